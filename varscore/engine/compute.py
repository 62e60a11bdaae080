"""How a network computes: one value that every job carries, and the command line has one group of options for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from varscore.engine import ENGINES
from varscore.engine.device import demand_precision
from varscore.engine.pool import LOCAL, EnginePool, Engines, Plan
from varscore.errors import UsageError
from varscore.nets.layers import SequenceNet


@dataclass(frozen=True)
class Compute:
    """device: ``auto`` (every GPU there is, else the CPU), ``cpu``, ``cuda``, ...; precision: ``fp32``, ``bf16``, ...;
    threads: CPUs, None for all there are; engine: a name in :data:`varscore.engine.ENGINES`"""

    device: str = "auto"
    precision: str = "fp32"
    threads: int | None = None
    engine: str = "exact"

    def __post_init__(self) -> None:
        demand_precision(self.precision)
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"`threads={self.threads}` are none", remedy="1 or more")

    @property
    def options(self) -> list[str]:
        """As of the command line, those that scores depend on."""
        return [f"--engine {self.engine}", f"--precision {self.precision}"]

    def where(self, engines: Engines = LOCAL) -> Sequence[torch.device]:
        """The device of each engine. Raises DeviceError when a GPU is asked for and absent."""
        return engines.devices(self.device, self.threads)

    def plan(self, net: SequenceNet, where: Sequence[torch.device]) -> Plan:
        """Engines on some devices. Raises UsageError for a network that reads more than the bases of windows."""
        return Plan(net, where, ENGINES[self.engine], self.precision)

    def pool(self, net: SequenceNet) -> EnginePool:
        """Engines on all devices of this machine. Raises as :meth:`where` and :meth:`plan` do."""
        return EnginePool(self.plan(net, self.where()))
