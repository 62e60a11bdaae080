"""The only forward loop: batching, device, precision, strands."""

from __future__ import annotations

from varscore.engine.exact.shared import SharedEngine
from varscore.engine.plain import PlainEngine

ENGINES = {"exact": SharedEngine, "plain": PlainEngine}
"""``exact`` shares what reference and alternative have in common; ``plain`` is what it is compared with."""

__all__ = ["ENGINES", "PlainEngine", "SharedEngine"]
