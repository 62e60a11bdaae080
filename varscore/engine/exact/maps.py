"""Feature maps of a tile of reference rows, on the way from the first layer to the recurrent or the dense one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from varscore.engine.exact.memory import ScratchBuffers
from varscore.engine.exact.product import BLOCK, Product, in_blocks, whole_blocks
from varscore.engine.exact.reach import Span, cells_of, extent, receptive
from varscore.nets.dilated import Residual
from varscore.nets.layers import ConvPool, Projection, SequenceConv

Local = ConvPool | Residual
"""Layers whose cells read some positions around their own"""


class Workspace:
    """What the maps of a network are made with: products with the weights of its layers, and memory."""

    def __init__(self) -> None:
        self.product = cache(lambda layer: Product(weights_of(layer)))
        self.scratch = ScratchBuffers()

    def columns(self, layer: nn.Module, weight: Tensor, count: int, channels: int) -> Tensor:
        """Room for so many columns that a layer makes, float (n, channels), n in whole blocks; zeros behind them.

        Of the type of ``weight``. What was taken for this layer before is no longer valid.
        """
        columns = self.scratch.take(layer, weight, whole_blocks(count), channels)
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
    def convolved(self, layer: Local) -> FeatureMap:
        """After a convolution or a residual block."""

    @abstractmethod
    def at(self, field: Span, rows: Tensor) -> Tensor:
        """A copy of some positions of some rows, float (rows, channels, len(field))."""

    @abstractmethod
    def cells(self, layer: Local, local: Tensor) -> Tensor:
        """The layer's cells from what :meth:`at` gave, changed or not: float (rows, filters, cells)."""


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

    def convolved(self, layer: Local) -> WholeMap:
        return WholeMap(layer(self.values))

    def at(self, field: Span, rows: Tensor) -> Tensor:
        return self.values[:, :, field.place].index_select(0, rows)

    def cells(self, layer: Local, local: Tensor) -> Tensor:
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
    workspace: Workspace

    @staticmethod
    def first(layer: SequenceConv, codes: Tensor, shift: np.ndarray, workspace: Workspace) -> SharedMap:
        """The first layer's map of a tile, uint8 (rows, window).

        shift: int64 (rows,), by how many bases each row lies to the right of the one before; -1: it does not.
        """
        length = codes.shape[1]
        begin = np.cumsum(np.where(shift >= 0, shift, length))
        index, made = common_cells(begin, layer.pool, (length - layer.kernel_size[0] + 1) // layer.pool)
        to = np.full(index.size, -1)
        to[made] = np.arange(len(made))
        values = workspace.columns(layer, layer.weight, len(made), layer.out_channels)
        layer.columns(codes, shift, np.ascontiguousarray(to.reshape(index.shape).T), values)
        return SharedMap(values, index, begin, layer.pool, workspace)

    @staticmethod
    def separate(steps: Tensor, workspace: Workspace) -> SharedMap:
        """Of rows that have nothing in common. steps: float (positions, rows, channels)"""
        positions, rows, channels = steps.shape
        count = positions * rows
        values = steps.new_zeros(whole_blocks(count), channels)
        values[:count] = steps.reshape(count, channels)
        index = np.arange(count).reshape(positions, rows)
        return SharedMap(values, index, np.arange(rows) * positions, 1, workspace)

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
        values = self.workspace.columns(layer, self.values, len(self.values), layer.out_features)
        in_blocks(self.workspace.product(layer), self.values, values)
        return replace(self, values=values)

    def convolved(self, layer: Local) -> SharedMap:
        _, pool = extent(layer)
        stride = self.stride * pool
        index, made = common_cells(self.begin, stride, cells_of(layer, len(self.index)))
        cell, row = np.divmod(made, index.shape[1])
        read = self.index[cell[:, None] * pool + _taps(layer), row[:, None]]
        values = self.workspace.columns(layer, self.values, len(made), _outputs(layer))
        self._make(layer, self.values, read, values)
        return SharedMap(values, index, self.begin, stride, self.workspace)

    def at(self, field: Span, rows: Tensor) -> Tensor:
        chosen = self.index[field.place].T[rows.numpy()]
        found = self.values.index_select(0, torch.from_numpy(chosen.ravel()))
        return found.view(len(rows), len(field), -1).transpose(1, 2)

    def cells(self, layer: Local, local: Tensor) -> Tensor:
        rows, channels, length = local.shape
        count = cells_of(layer, length)
        if isinstance(layer, Residual):
            read = np.arange(count)[:, None, None] + np.arange(rows)[:, None] * length + _taps(layer)
            made = local.new_empty(whole_blocks(count * rows), channels)
            self._make(layer, local.transpose(1, 2).reshape(-1, channels), read.reshape(count * rows, -1), made)
            return made[: count * rows].view(count, rows, channels).permute(1, 2, 0)
        seen = local.transpose(1, 2).reshape(rows, -1)
        values = local.new_empty(count, rows, layer.out_channels)
        for cell, out in enumerate(values):
            field = receptive(Span(cell, cell + 1), *extent(layer))
            self._cell(layer, seen[:, channels * field.lo : channels * field.hi], out)
        return values.permute(1, 2, 0)

    def _make(self, layer: Local, columns: Tensor, read: np.ndarray, out: Tensor) -> None:
        """Cells, block by block, from the columns that each reads, int64 (n, taps), to ``out``: whole blocks."""
        padded = np.zeros((len(out), read.shape[1]), np.int64)
        padded[: len(read)] = read
        seen = columns.new_empty(BLOCK * read.shape[1], columns.shape[1])
        for first in range(0, len(out), BLOCK):
            block = slice(first, first + BLOCK)
            torch.index_select(columns, 0, torch.from_numpy(padded[block].ravel()), out=seen)
            self._cell(layer, seen.view(BLOCK, -1), out[block])

    def _cell(self, layer: Local, seen: Tensor, out: Tensor) -> None:
        """One cell of each row, from what it reads, float (rows, taps * channels), to ``out``, (rows, filters)."""
        if isinstance(layer, Residual):
            self._added(layer, seen, out)
        else:
            self._sums(layer, seen, out)
            # monotone, so the largest sum becomes the largest value
            functional.leaky_relu_(out.add_(cast(Tensor, layer.bias)), layer.activation.slope)

    def _added(self, layer: Residual, seen: Tensor, out: Tensor) -> None:
        """A residual block's cell from its three taps, which are overwritten."""
        channels, slope = layer.conv.in_channels, layer.activation.slope
        out.copy_(seen[:, channels : 2 * channels])
        hidden = self.workspace.product(layer.conv)(functional.leaky_relu_(seen, slope), torch.empty_like(out))
        functional.leaky_relu_(hidden.add_(cast(Tensor, layer.conv.bias)), slope)
        out.addcmul_(self.workspace.product(layer.mix)(hidden, torch.empty_like(out)), layer.scale)

    def _sums(self, layer: ConvPool, seen: Tensor, out: Tensor) -> None:
        """The largest sum of a convolution's cell."""
        product, channels = self.workspace.product(layer), layer.in_channels
        product(seen[:, : layer.kernel_size[0] * channels], out)
        for offset in range(1, layer.pool):
            here = seen[:, offset * channels : (offset + layer.kernel_size[0]) * channels]
            torch.maximum(out, product(here, torch.empty_like(out)), out=out)


def _taps(layer: Local) -> np.ndarray:
    """The positions that a layer's first cell reads, in order."""
    width, pool = extent(layer)
    return np.arange(0, width + pool - 1, layer.dilation if isinstance(layer, Residual) else 1)


def _outputs(layer: Local) -> int:
    return layer.conv.out_channels if isinstance(layer, Residual) else layer.out_channels


def weights_of(layer: nn.Conv1d | Projection) -> Tensor:
    """A layer's weights for what a position's columns, one after the other, contribute: float (out, in)."""
    weight = layer.weight.detach()
    return weight.transpose(1, 2).flatten(1) if isinstance(layer, nn.Conv1d) else weight


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
