"""How far a changed stretch of DNA reaches, layer by layer: geometry only, no numbers.

A changed base touches only the cells of a convolution whose receptive field holds it. The forward half of a recurrent
layer changes from the first touched step on, the backward half up to the last. Everything else is the reference's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile
from math import prod
from typing import Any, cast

from torch import nn

from varscore.nets.dilated import PositionPool, Residual
from varscore.nets.layers import (
    DROPOUTS,
    Activation,
    BiLSTM,
    ConvPool,
    FlattenChannels,
    FlattenTime,
    MeanOverTime,
    Projection,
    SequenceConv,
    SequenceNet,
)
from varscore.nets.walk import Rules, flat, is_plain


class Role(Enum):
    """What a layer does with positions."""

    FIRST = "reads bases"
    LOCAL = "a cell reads some positions around its own"
    COLUMNWISE = "every position on its own, its channels together"
    ELEMENTWISE = "every value on its own"
    RECURRENT = "goes from position to position"
    GATHERING = "leaves no positions"
    FLATTENING = "leaves none: the dense layer behind it has weights for every position"
    DENSE = "of rows without positions"


ROLES: Rules[Role] = Rules()
for role, kinds in {
    Role.FIRST: (SequenceConv,),
    Role.LOCAL: (ConvPool, Residual),
    Role.COLUMNWISE: (Projection,),
    Role.ELEMENTWISE: (Activation, *DROPOUTS),
    Role.RECURRENT: (BiLSTM,),
    Role.GATHERING: (MeanOverTime, PositionPool),
    Role.FLATTENING: (FlattenTime, FlattenChannels),
    Role.DENSE: (nn.Linear,),
}.items():
    ROLES.of(*kinds)(role)


@dataclass(frozen=True, slots=True)
class Span:
    """Positions ``[lo, hi)`` of a feature map, or of the window itself."""

    lo: int
    hi: int

    def __len__(self) -> int:
        return self.hi - self.lo

    @property
    def place(self) -> slice:
        return slice(self.lo, self.hi)

    def within(self, other: Span) -> slice:
        """Where these positions lie when counted from the start of ``other``."""
        return slice(self.lo - other.lo, self.hi - other.lo)


def touched(span: Span, width: int, pool: int, length: int) -> Span:
    """Cells of an unpadded convolution, max-pooled, whose receptive field meets ``span``.

    Cell c reads input positions ``[c * pool, c * pool + pool + width - 1)``. ``length``: input positions in all. A span
    in the tail that pooling drops touches nothing: the result is empty.
    """
    cells = (length - width + 1) // pool
    first = max(0, -(-(span.lo - pool - width + 2) // pool))
    return Span(min(first, cells), min((span.hi - 1) // pool + 1, cells))


def receptive(cells: Span, width: int, pool: int) -> Span:
    """Input positions that the given cells read."""
    return Span(cells.lo * pool, cells.hi * pool + width - 1)


_EXTENTS: Rules[Callable[[Any], tuple[int, int]]] = Rules()


@_EXTENTS.of(SequenceConv, ConvPool)
def _pooled(layer: SequenceConv | ConvPool) -> tuple[int, int]:
    return layer.kernel_size[0], layer.pool


@_EXTENTS.of(Residual)
def _dilated(layer: Residual) -> tuple[int, int]:
    return 2 * layer.dilation + 1, 1


def extent(layer: nn.Module) -> tuple[int, int]:
    """Width and pooling of a layer that is first or local, as :func:`touched` and :func:`receptive` count them.

    The taps of a dilated convolution lie apart: it is as wide as what lies between the outermost. Raises NoRule for
    another layer.
    """
    return _EXTENTS[layer](layer)


def cells_of(layer: nn.Module, length: int) -> int:
    """How many cells a layer makes of so many positions."""
    width, pool = extent(layer)
    return (length - width + 1) // pool


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a change is seen.

    first: cells of the first layer that change; maps: for each convolution or residual block after the first layer, its
    changed output cells, in order; steps: the changed positions of the last of these maps, which are the recurrent
    layer's if there is one.
    """

    window: Span
    first: Span
    maps: tuple[Span, ...]

    @property
    def steps(self) -> Span:
        return self.maps[-1] if self.maps else self.first


@dataclass(frozen=True, eq=False)
class Sections:
    """The layers of a network by what reference and alternative can share of them.

    first: the convolution of bases; local: from there on, as long as a position depends on some around it; recurrent:
    the layer after them, if it is one, with what is elementwise ``later``; gathering: the layer that leaves no
    positions, with the dense one behind it if it flattens; rest: all others, where each row is on its own
    """

    first: SequenceConv
    local: Sequence[nn.Module]
    recurrent: BiLSTM | None
    later: Sequence[nn.Module]
    gathering: Sequence[nn.Module]
    rest: nn.Sequential

    @property
    def stride(self) -> int:
        """Bases from one cell of the last local map to the next."""
        return _stride([self.first, *self.local])


def sections(net: SequenceNet) -> Sections | None:
    """None when nothing can be shared: the network is no plain list of layers, or has one before its first dense one
    that this module does not know, or sees a part of its window only."""
    if not is_plain(net) or net.visible is not None:
        return None
    first, *layers = flat(net)
    local = _leading(layers, Role.LOCAL, Role.COLUMNWISE, Role.ELEMENTWISE)
    layers = layers[len(local) :]
    recurrent = _leading(layers, Role.RECURRENT)[:1]
    later = _leading(layers[len(recurrent) :], Role.ELEMENTWISE) if recurrent else []
    layers = layers[len(recurrent) + len(later) :]
    roles = [ROLES.find(layer) for layer in layers[:2]]
    size = 1 if roles[:1] == [Role.GATHERING] else 2 if roles == [Role.FLATTENING, Role.DENSE] else 0
    if ROLES.find(first) is not Role.FIRST or not size:
        return None
    lstm = cast(BiLSTM, recurrent[0]) if recurrent else None
    gathering, rest = layers[:size], nn.Sequential(*layers[size:])
    return Sections(cast(SequenceConv, first), local, lstm, later, gathering, rest)


def _leading(layers: Iterable[nn.Module], *roles: Role) -> list[nn.Module]:
    """The first layers, as long as they have one of these roles."""
    return list(takewhile(lambda layer: ROLES.find(layer) in roles, layers))


def reach(net: SequenceNet, span: Span) -> Reach | None:
    """How a change of the window's positions ``span`` spreads through ``net``.

    None when nothing can be shared (see :func:`sections`), or the change touches nothing.
    """
    parts = sections(net)
    if parts is None:
        return None
    first = now = touched(span, *extent(parts.first), net.window)
    length = cells_of(parts.first, net.window)
    maps: list[Span] = []
    for layer in parts.local:
        if ROLES[layer] is Role.LOCAL and len(now):
            now = touched(now, *extent(layer), length)
            length = cells_of(layer, length)
            maps.append(now)
    return Reach(span, first, tuple(maps)) if len(now) else None


def stride(net: SequenceNet) -> int:
    """Bases between two neighbouring cells of a network's last pooled map; 1 where it pools nothing."""
    return _stride(flat(net))


def _stride(layers: Iterable[nn.Module]) -> int:
    return prod(extent(layer)[1] for layer in layers if _EXTENTS.find(layer) is not None)
