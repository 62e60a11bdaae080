"""How far a changed stretch of DNA reaches, layer by layer: geometry only, no numbers.

A changed base touches only the cells of a convolution whose receptive field holds it. The forward half of a recurrent
layer changes from the first touched step on, the backward half up to the last. Everything else is the reference's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from varscore.nets.dilated import PositionPool, Residual
from varscore.nets.layers import (
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

POINTWISE = (Activation, nn.Dropout, nn.Dropout1d)
"""Layers that treat every cell alike, and on its own."""


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


def extent(layer: SequenceConv | ConvPool | Residual) -> tuple[int, int]:
    """Width and pooling of a layer, as :func:`touched` and :func:`receptive` count them.

    The taps of a dilated convolution lie apart: it is as wide as what lies between the outermost.
    """
    if isinstance(layer, Residual):
        return 2 * layer.dilation + 1, 1
    return layer.kernel_size[0], layer.pool


def cells_of(layer: SequenceConv | ConvPool | Residual, length: int) -> int:
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


def reach(net: SequenceNet, span: Span) -> Reach | None:
    """How a change of the window's positions ``span`` spreads through ``net``.

    None when nothing can be shared: the network is no plain list of layers, or has one before its first dense one that
    this module does not know, or sees a part of its window only, or the change touches nothing.
    """
    if type(net).forward is not SequenceNet.forward or net.visible is not None:
        return None
    layers = iter(net.layers)
    head = next(layers)
    if not isinstance(head, SequenceConv):
        return None
    first = now = touched(span, *extent(head), net.window)
    length = cells_of(head, net.window)
    maps: list[Span] = []
    layer = next(layers, None)
    while len(now) and isinstance(layer, (ConvPool, Residual, Projection, *POINTWISE)):
        if isinstance(layer, (ConvPool, Residual)):
            now = touched(now, *extent(layer), length)
            length = cells_of(layer, length)
            maps.append(now)
        layer = next(layers, None)
    if isinstance(layer, BiLSTM):
        layer = next((later for later in layers if not isinstance(later, POINTWISE)), None)
    flat = isinstance(layer, (FlattenTime, FlattenChannels)) and isinstance(next(layers, None), nn.Linear)
    summed = isinstance(layer, (MeanOverTime, PositionPool))
    return Reach(span, first, tuple(maps)) if len(now) and (flat or summed) else None


def recurrent(net: SequenceNet) -> BiLSTM | None:
    """The network's recurrent layer, if it has one."""
    return next((layer for layer in net.layers if isinstance(layer, BiLSTM)), None)
