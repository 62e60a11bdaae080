"""How a map becomes one row without positions: of the reference, and of the alternative from what changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn

from varscore.engine.exact.product import padded
from varscore.engine.exact.trace import Piece, Pieces
from varscore.nets.dilated import PositionPool
from varscore.nets.layers import FlattenChannels, FlattenTime, MeanOverTime
from varscore.nets.walk import Rules


class Gathering(ABC):
    """``layers``: one that leaves no positions, or a flattening and the dense one behind it"""

    @abstractmethod
    def reference(self, seen: Pieces) -> Tensor:
        """float (rows, channels)"""

    @abstractmethod
    def alternative(self, seen: Pieces, rows: Tensor, patch: Pieces, total: Tensor) -> Tensor:
        """From the reference's ``total``, which is overwritten, and what changed; ``rows`` of ``seen`` are meant."""


_GATHERINGS: Rules[Callable[[Sequence[nn.Module], bool], Gathering]] = Rules()


def gathering(layers: Sequence[nn.Module], stepwise: bool) -> Gathering:
    """stepwise: for the CPU in float32"""
    return _GATHERINGS[layers[0]](layers, stepwise)


@_GATHERINGS.of(MeanOverTime)
class Mean(Gathering):
    def __init__(self, layers: Sequence[nn.Module], stepwise: bool) -> None:
        (self._layer,) = layers

    def reference(self, seen: Pieces) -> Tensor:
        return torch.cat([self._layer(piece.values) for piece in seen], 1)

    def alternative(self, seen: Pieces, rows: Tensor, patch: Pieces, total: Tensor) -> Tensor:
        for piece, reference in zip(patch, seen, strict=True):
            more = piece.values.sum(2) - piece.of(reference).sum(2)[rows]
            total[:, piece.channels] += more / len(reference.span)
        return total


@_GATHERINGS.of(PositionPool)
class WeightedSums(Gathering):
    def __init__(self, layers: Sequence[nn.Module], stepwise: bool) -> None:
        self._weight = cast(PositionPool, layers[0]).weight.detach()

    def reference(self, seen: Pieces) -> Tensor:
        sets, channels, _ = self._weight.shape
        total = self._weight.new_zeros(len(seen[0].values), sets * channels)
        for piece in seen:
            self._add(piece, piece.steps, total)
        return total

    def alternative(self, seen: Pieces, rows: Tensor, patch: Pieces, total: Tensor) -> Tensor:
        for piece, reference in zip(patch, seen, strict=True):
            self._add(piece, _changes(piece, reference, rows), total)
        return total

    def _add(self, piece: Piece, steps: Iterable[Tensor], total: Tensor) -> None:
        """Add weighted sums of a piece's positions, float (rows, channels) each, to (rows, sets * channels)."""
        weight = self._weight[:, piece.channels, piece.span.place].permute(2, 0, 1)
        sums = total.view(len(total), weight.shape[1], -1)[:, :, piece.channels]
        for step, share in zip(steps, weight, strict=True):
            sums.addcmul_(step[:, None], share)


@_GATHERINGS.of(FlattenTime, FlattenChannels)
class Dense(Gathering):
    """A dense layer on a flattened map."""

    def __init__(self, layers: Sequence[nn.Module], stepwise: bool) -> None:
        self._flatten, dense = layers
        self._dense, self._stepwise = cast(nn.Linear, dense), stepwise
        self._time_major = isinstance(self._flatten, FlattenTime)
        self._by_position = cache(self._cut)

    def reference(self, seen: Pieces) -> Tensor:
        if not self._stepwise:
            return cast(Tensor, self._dense(self._flatten(torch.cat([piece.values for piece in seen], 1))))
        total = self._dense.bias.repeat(len(seen[0].values), 1)
        for piece in seen:
            # much faster than one product with the weights as they lie in the layer
            for own, share in zip(piece.steps, self._shares(seen, piece), strict=True):
                total.addmm_(own, share)
        return total

    def alternative(self, seen: Pieces, rows: Tensor, patch: Pieces, total: Tensor) -> Tensor:
        """Only changed positions are multiplied again."""
        for piece, reference in zip(patch, seen, strict=True):
            weight = self._shares(seen, piece)[piece.span.place]
            if self._stepwise:
                for change, share in zip(_changes(piece, reference, rows), weight, strict=True):
                    total.addmm_(change, share)
            else:
                change = (piece.steps - reference.steps[piece.span.place][:, rows]).transpose(0, 1)
                total = torch.addmm(total, change.flatten(1), weight.flatten(0, 1))
        return total

    def _shares(self, seen: Pieces, piece: Piece) -> Tensor:
        """The weights for the channels of a piece, float (positions, channels, out)."""
        kinds, length = sum(one.values.shape[1] for one in seen), seen[0].values.shape[2]
        return self._by_position(kinds, length, piece.channels.indices(kinds))

    def _cut(self, kinds: int, length: int, channels: tuple[int, int, int]) -> Tensor:
        """The weights as float (positions, channels, out), so that a span of positions is one block."""
        weight = self._dense.weight.detach()
        cube = (
            weight.view(-1, length, kinds).permute(1, 2, 0)
            if self._time_major
            else weight.view(-1, kinds, length).permute(2, 1, 0)
        )
        return padded(cube[:, slice(*channels)])


def _changes(piece: Piece, reference: Piece, rows: Tensor) -> Iterator[Tensor]:
    """By how much each position of a piece is more than the reference's, float (rows, channels), until the next."""
    change = torch.empty_like(piece.steps[0])
    for now, before in zip(piece.steps, reference.steps[piece.span.place], strict=True):
        torch.index_select(before, 0, rows, out=change)
        yield torch.sub(now, change, out=change)
