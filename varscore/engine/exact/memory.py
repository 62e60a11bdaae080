"""Memory that is used again: on a CPU, pages that come fresh from the system cost more than filling them."""

from __future__ import annotations

import math
from collections.abc import Hashable

from torch import Tensor


class ScratchBuffers:
    """Blocks of memory by name."""

    def __init__(self) -> None:
        self._blocks: dict[Hashable, Tensor] = {}

    def take(self, name: Hashable, like: Tensor, *shape: int) -> Tensor:
        """A tensor of any content, of the type and on the device of ``like``.

        What was taken under this name before is no longer valid.
        """
        size = math.prod(shape)
        if name not in self._blocks or len(self._blocks[name]) < size or self._blocks[name].dtype != like.dtype:
            self._blocks[name] = like.new_empty(size)
        return self._blocks[name][:size].view(shape)
