"""The only forward loop: batching, device, precision, strands."""

from __future__ import annotations

from varscore.engine.plain import PlainEngine
from varscore.engine.shared import SharedEngine

ENGINES = {"exact": SharedEngine, "plain": PlainEngine}
"""``exact`` shares what reference and alternative have in common; ``plain`` is what it is compared with."""

__all__ = ["ENGINES", "PlainEngine", "SharedEngine"]
