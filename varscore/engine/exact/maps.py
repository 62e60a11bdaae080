"""Feature maps of a tile of reference rows, on the way from the first layer to the recurrent or the dense one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from varscore.engine.exact.cells import Workspace
from varscore.engine.exact.product import in_blocks, whole_blocks
from varscore.engine.exact.reach import ROLES, Role, Span, cells_of
from varscore.nets.layers import SequenceConv


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
    def convolved(self, layer: nn.Module) -> FeatureMap:
        """After a convolution or a residual block."""

    @abstractmethod
    def at(self, field: Span, rows: Tensor) -> Tensor:
        """A copy of some positions of some rows, float (rows, channels, len(field))."""

    @abstractmethod
    def cells(self, layer: nn.Module, local: Tensor) -> Tensor:
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

    def convolved(self, layer: nn.Module) -> WholeMap:
        return WholeMap(layer(self.values))

    def at(self, field: Span, rows: Tensor) -> Tensor:
        return self.values[:, :, field.place].index_select(0, rows)

    def cells(self, layer: nn.Module, local: Tensor) -> Tensor:
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
    index: NDArray[np.int64]
    begin: NDArray[np.int64]
    stride: int
    workspace: Workspace

    @staticmethod
    def first(layer: SequenceConv, codes: Tensor, shift: NDArray[np.int64], workspace: Workspace) -> SharedMap:
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
        if ROLES[layer] is not Role.COLUMNWISE:
            return replace(self, values=layer(self.values))
        values = self.workspace.columns(layer, self.values, len(self.values), cast(nn.Linear, layer).out_features)
        in_blocks(self.workspace.product(layer), self.values, values)
        return replace(self, values=values)

    def convolved(self, layer: nn.Module) -> SharedMap:
        cells = self.workspace.cells(layer)
        stride = self.stride * cells.pool
        index, made = common_cells(self.begin, stride, cells_of(layer, len(self.index)))
        cell, row = np.divmod(made, index.shape[1])
        read = self.index[cell[:, None] * cells.pool + cells.taps, row[:, None]]
        values = self.workspace.columns(layer, self.values, len(made), cells.outputs)
        cells.gather(self.values, read, values)
        return SharedMap(values, index, self.begin, stride, self.workspace)

    def at(self, field: Span, rows: Tensor) -> Tensor:
        chosen = self.index[field.place].T[rows.numpy()]
        found = self.values.index_select(0, torch.from_numpy(chosen.ravel()))
        return found.view(len(rows), len(field), -1).transpose(1, 2)

    def cells(self, layer: nn.Module, local: Tensor) -> Tensor:
        return self.workspace.cells(layer).along(local)


def common_cells(begin: NDArray[np.int64], stride: int, cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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
