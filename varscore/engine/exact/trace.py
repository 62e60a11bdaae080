"""What the reference leaves behind for its alternatives: values of feature maps, and states of recurrent layers."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from varscore.engine.exact.maps import FeatureMap
from varscore.engine.exact.reach import Span
from varscore.engine.exact.recurrence import BoundaryState


@dataclass(frozen=True, slots=True)
class Piece:
    """Values of a feature map: float (rows, channels, positions), at ``channels`` and ``span`` of the map."""

    channels: slice
    span: Span
    values: Tensor

    def of(self, whole: Piece) -> Tensor:
        """The same positions of a piece that has all positions of these channels."""
        return whole.values[:, :, self.span.place]

    @property
    def steps(self) -> Tensor:
        """The same values, float (positions, rows, channels)."""
        return self.values.permute(2, 0, 1)

    def through(self, layer: nn.Module) -> Piece:
        """After a layer that treats every position on its own."""
        return Piece(self.channels, self.span, layer(self.values))


Pieces = tuple[Piece, ...]
"""A feature map, or what changed of it: one piece, or one for each direction of a recurrent layer"""


@dataclass
class Trace:
    """What a tile of reference rows left behind.

    convolved: what each convolution after the first was given; states: the way of each recurrent direction, for each of
    the changes that were announced; gathered: the last values that have positions; whole: float (rows, channels), what
    was made of them.
    """

    convolved: list[FeatureMap] = field(default_factory=list)
    states: list[list[BoundaryState]] = field(default_factory=list)
    gathered: Pieces = ()
    whole: Tensor = field(default_factory=lambda: torch.empty(0))
