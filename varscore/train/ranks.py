"""The processes that train one network together: usually one, or as many as torchrun has started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """This process is number ``rank`` of ``world``. Only the first writes files."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def first(self) -> bool:
        return self.rank == 0

    def replica(self, net: nn.Module) -> nn.Module:
        """``net`` so wrapped that a backward pass averages gradients over the processes."""
        return net if self.world == 1 else DistributedDataParallel(net)

    def total(self, values: Sequence[float]) -> list[float]:
        """Element-wise sums over the processes, the same bits in each of them. Every process has to call it."""
        if self.world == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(sums)
        return [float(value) for value in sums.tolist()]

    def wait(self) -> None:
        """Return when every process has come here."""
        self.total([0.0])


@contextmanager
def join_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the processes torchrun has started (``RANK``, ``WORLD_SIZE``) and leave them at the end."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(int(os.environ["RANK"]), world, device)
    finally:
        distributed.destroy_process_group()
