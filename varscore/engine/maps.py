"""Feature maps of a tile of reference rows, on the way from the first layer to the recurrent or the dense one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from varscore.engine.memory import Room
from varscore.engine.product import BLOCK, Product, in_blocks, whole_blocks
from varscore.engine.reach import Span, receptive
from varscore.nets.layers import ConvPool, Projection, SequenceConv


class Workshop:
    """What the maps of a network are made with: products with the weights of its layers, and memory."""

    def __init__(self) -> None:
        self.product = cache(lambda layer: Product(weights_of(layer)))
        self.room = Room()

    def columns(self, layer: nn.Module, weight: Tensor, count: int, channels: int) -> Tensor:
        """Room for so many columns that a layer makes, float (n, channels), n in whole blocks; zeros behind them.

        Of the type of ``weight``. What was taken for this layer before is no longer valid.
        """
        columns = self.room.take(layer, weight, whole_blocks(count), channels)
        columns[count:] = 0
        return columns


class FeatureMap(ABC):
    """What a layer is given, and what it makes of that."""

    values: Tensor

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """positions and rows"""

    @abstractmethod
    def whole(self) -> Tensor:
        """float (rows, channels, positions)"""

    @abstractmethod
    def through(self, layer: nn.Module) -> FeatureMap:
        """After a layer that treats every position on its own."""

    @abstractmethod
    def convolved(self, layer: ConvPool) -> FeatureMap:
        """After a convolution."""

    @abstractmethod
    def at(self, field: Span, rows: Tensor) -> Tensor:
        """A copy of some positions of some rows, float (rows, channels, len(field))."""

    @abstractmethod
    def cells(self, layer: ConvPool, local: Tensor) -> Tensor:
        """A convolution of what :meth:`at` gave, changed or not: float (rows, filters, cells)."""


@dataclass(frozen=True, slots=True)
class WholeMap(FeatureMap):
    """Every row's own positions. values: float (rows, channels, positions)"""

    values: Tensor

    @property
    def size(self) -> tuple[int, int]:
        return self.values.shape[2], self.values.shape[0]

    def whole(self) -> Tensor:
        return self.values

    def through(self, layer: nn.Module) -> WholeMap:
        return WholeMap(layer(self.values))

    def convolved(self, layer: ConvPool) -> WholeMap:
        return WholeMap(layer(self.values))

    def at(self, field: Span, rows: Tensor) -> Tensor:
        return self.values[:, :, field.place].index_select(0, rows)

    def cells(self, layer: ConvPool, local: Tensor) -> Tensor:
        return cast(Tensor, layer(local))


@dataclass(frozen=True, slots=True)
class SharedMap(FeatureMap):
    """For the CPU in float32: a map in which cells that rows have in common are kept, and computed, once.

    Windows that overlap show the same bases, and a cell of a pooled map is the same in both if they lie a multiple of
    its ``stride`` apart. Columns, the values of a cell in all channels, are computed in blocks of one shape, so that
    they have the same bits however many there are.

    values: float (n, channels), the columns, then rows up to a whole block that count for nothing
    index: int64 (positions, rows), the column of each cell
    begin: int64 (rows,), where rows begin on a line on which those overlap that have bases in common
    stride: bases from one cell to the next
    """

    values: Tensor
    index: np.ndarray
    begin: np.ndarray
    stride: int
    workshop: Workshop

    @staticmethod
    def first(layer: SequenceConv, codes: Tensor, shift: np.ndarray, workshop: Workshop) -> SharedMap:
        """The first layer's map of a tile, uint8 (rows, window).

        shift: int64 (rows,), by how many bases each row lies to the right of the one before; -1: it does not.
        """
        length = codes.shape[1]
        begin = np.cumsum(np.where(shift >= 0, shift, length))
        index, made = common_cells(begin, layer.pool, (length - layer.kernel_size[0] + 1) // layer.pool)
        to = np.full(index.size, -1)
        to[made] = np.arange(len(made))
        values = workshop.columns(layer, layer.weight, len(made), layer.out_channels)
        layer.columns(codes, shift, np.ascontiguousarray(to.reshape(index.shape).T), values)
        return SharedMap(values, index, begin, layer.pool, workshop)

    @staticmethod
    def apart(steps: Tensor, workshop: Workshop) -> SharedMap:
        """Of rows that have nothing in common. steps: float (positions, rows, channels)"""
        positions, rows, channels = steps.shape
        count = positions * rows
        values = steps.new_zeros(whole_blocks(count), channels)
        values[:count] = steps.reshape(count, channels)
        index = np.arange(count).reshape(positions, rows)
        return SharedMap(values, index, np.arange(rows) * positions, 1, workshop)

    @property
    def size(self) -> tuple[int, int]:
        positions, rows = self.index.shape
        return positions, rows

    def whole(self) -> Tensor:
        steps = self.values.index_select(0, torch.from_numpy(self.index.ravel()))
        return steps.view(*self.index.shape, -1).permute(1, 2, 0)

    def through(self, layer: nn.Module) -> SharedMap:
        if not isinstance(layer, Projection):
            return replace(self, values=layer(self.values))
        values = self.workshop.columns(layer, self.values, len(self.values), layer.out_features)
        in_blocks(self.workshop.product(layer), self.values, values)
        return replace(self, values=values)

    def convolved(self, layer: ConvPool) -> SharedMap:
        length, width = len(self.index), layer.kernel_size[0]
        stride = self.stride * layer.pool
        index, made = common_cells(self.begin, stride, (length - width + 1) // layer.pool)
        cell, row = np.divmod(made, index.shape[1])
        field = receptive(Span(0, 1), width, layer.pool)
        read = np.zeros((whole_blocks(len(made)), len(field)), np.int64)
        read[: len(made)] = self.index[cell[:, None] * layer.pool + np.arange(len(field)), row[:, None]]
        values = self.workshop.columns(layer, self.values, len(made), layer.out_channels)
        seen = self.values.new_empty(BLOCK * len(field), layer.in_channels)
        for first in range(0, len(read), BLOCK):
            block = slice(first, first + BLOCK)
            torch.index_select(self.values, 0, torch.from_numpy(read[block].ravel()), out=seen)
            self._sums(layer, seen.view(BLOCK, -1), values[block])
        return SharedMap(_finished(layer, values), index, self.begin, stride, self.workshop)

    def at(self, field: Span, rows: Tensor) -> Tensor:
        chosen = self.index[field.place].T[rows.numpy()]
        found = self.values.index_select(0, torch.from_numpy(chosen.ravel()))
        return found.view(len(rows), len(field), -1).transpose(1, 2)

    def cells(self, layer: ConvPool, local: Tensor) -> Tensor:
        rows, channels, length = local.shape
        seen = local.transpose(1, 2).reshape(rows, -1)
        count = (length - layer.kernel_size[0] + 1) // layer.pool
        values = local.new_empty(count, rows, layer.out_channels)
        for cell, out in enumerate(values):
            field = receptive(Span(cell, cell + 1), layer.kernel_size[0], layer.pool)
            self._sums(layer, seen[:, channels * field.lo : channels * field.hi], out)
        return _finished(layer, values).permute(1, 2, 0)

    def _sums(self, layer: ConvPool, seen: Tensor, out: Tensor) -> None:
        """The largest sum of one cell of each row, from what it reads, float (rows, positions * channels), to ``out``,
        (rows, filters)."""
        product, channels = self.workshop.product(layer), layer.in_channels
        product(seen[:, : layer.kernel_size[0] * channels], out)
        for offset in range(1, layer.pool):
            here = seen[:, offset * channels : (offset + layer.kernel_size[0]) * channels]
            torch.maximum(out, product(here, torch.empty_like(out)), out=out)


def _finished(layer: ConvPool, sums: Tensor) -> Tensor:
    """Bias and activation, which are monotone: the largest sum becomes the largest value."""
    return cast(Tensor, layer.activation(sums.add_(cast(Tensor, layer.bias))))


def weights_of(layer: ConvPool | Projection) -> Tensor:
    """A layer's weights for what a position's columns, one after the other, contribute: float (out, in)."""
    weight = layer.weight.detach()
    return weight.transpose(1, 2).flatten(1) if isinstance(layer, ConvPool) else weight


def common_cells(begin: np.ndarray, stride: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The column of each cell, int64 (cells, rows), and for each column a cell, counted row by row of that.

    Columns stand in the order in which rows, cell by cell, first have them: a recurrent layer reads them almost so.
    """
    rows = np.arange(len(begin))
    order = np.lexsort((-rows, begin, begin % stride))  # so that rows that have cells in common follow one another
    turn, cell = begin[order] // stride, np.arange(cells)[:, None]
    ahead = np.where(np.diff(begin[order] % stride) == 0, np.diff(turn), cells).clip(max=cells)
    number, own = np.empty_like(rows), np.empty_like(rows)
    number[order] = np.cumsum([cells, *ahead]) - cells  # of a row's first cell, if each cell is counted once
    own[order] = [*ahead, cells]  # cells that no later row has
    made = np.flatnonzero(cell < own)
    column = np.empty(len(made), np.int64)
    column[(number + cell).ravel()[made]] = np.arange(len(made))
    return column[number + cell], made
