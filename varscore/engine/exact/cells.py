"""How the cells of a local layer are made from the columns that they read, on a CPU in float32.

A column is a position's values in all channels. Whatever is multiplied goes through products of one shape, so that a
cell has the same bits whatever is computed beside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from varscore.engine.exact.memory import ScratchBuffers
from varscore.engine.exact.product import BLOCK, Product, whole_blocks
from varscore.engine.exact.reach import Span, cells_of, extent, receptive
from varscore.nets.dilated import Residual
from varscore.nets.layers import ConvPool
from varscore.nets.walk import Rules


class Workspace:
    """What the maps of a network are made with: products with the weights of its layers, their cells, and memory."""

    def __init__(self) -> None:
        self.product = cache(lambda layer: Product(_columnwise(layer.weight.detach())))
        self.cells = cache(lambda layer: CELLS[layer](layer, self))
        self.scratch = ScratchBuffers()

    def columns(self, layer: nn.Module, weight: Tensor, count: int, channels: int) -> Tensor:
        """Room for so many columns that a layer makes, float (n, channels), n in whole blocks; zeros behind them.

        Of the type of ``weight``. What was taken for this layer before is no longer valid.
        """
        columns = self.scratch.take(layer, weight, whole_blocks(count), channels)
        columns[count:] = 0
        return columns


def _columnwise(weight: Tensor) -> Tensor:
    """Weights for what columns, one after the other, contribute: float (out, in), also of a convolution."""
    return weight.transpose(1, 2).flatten(1) if weight.dim() == 3 else weight


class Cells(ABC):
    """The cells of one layer.

    outputs: channels of a cell; taps: int64, the positions that the first one reads, in order; pool: by how many
    positions the next one reads further on
    """

    outputs: int
    taps: NDArray[np.int64]
    pool: int

    @abstractmethod
    def make(self, seen: Tensor, out: Tensor) -> None:
        """One cell of each row, from the columns that it reads, float (rows, taps * channels), which may be
        overwritten, to ``out``, (rows, outputs)."""

    @abstractmethod
    def along(self, local: Tensor) -> Tensor:
        """All cells of rows on their own: float (rows, channels, positions) to (rows, outputs, cells)."""

    def gather(self, columns: Tensor, read: NDArray[np.int64], out: Tensor) -> None:
        """Cells, block by block, from the columns that each reads, int64 (n, taps), to ``out``: whole blocks."""
        padded = np.zeros((len(out), read.shape[1]), np.int64)
        padded[: len(read)] = read
        seen = columns.new_empty(BLOCK * read.shape[1], columns.shape[1])
        for first in range(0, len(out), BLOCK):
            block = slice(first, first + BLOCK)
            torch.index_select(columns, 0, torch.from_numpy(padded[block].ravel()), out=seen)
            self.make(seen.view(BLOCK, -1), out[block])


CELLS: Rules[Callable[[Any, Workspace], Cells]] = Rules()


@CELLS.of(ConvPool)
class PooledCells(Cells):
    """Of a convolution: the largest of its sums, and what the activation makes of that."""

    def __init__(self, layer: ConvPool, workspace: Workspace) -> None:
        width, self.pool = extent(layer)
        self.taps, self.outputs = np.arange(width + self.pool - 1), layer.out_channels
        self._layer, self._product = layer, workspace.product(layer)

    def make(self, seen: Tensor, out: Tensor) -> None:
        layer, channels = self._layer, self._layer.in_channels
        self._product(seen[:, : layer.kernel_size[0] * channels], out)
        for offset in range(1, layer.pool):
            here = seen[:, offset * channels : (offset + layer.kernel_size[0]) * channels]
            torch.maximum(out, self._product(here, torch.empty_like(out)), out=out)
        # monotone, so the largest sum becomes the largest value
        functional.leaky_relu_(out.add_(cast(Tensor, layer.bias)), layer.activation.slope)

    def along(self, local: Tensor) -> Tensor:
        rows, channels, length = local.shape
        seen = local.transpose(1, 2).reshape(rows, -1)
        values = local.new_empty(cells_of(self._layer, length), rows, self.outputs)
        for cell, out in enumerate(values):
            field = receptive(Span(cell, cell + 1), *extent(self._layer))
            self.make(seen[:, channels * field.lo : channels * field.hi], out)
        return values.permute(1, 2, 0)


@CELLS.of(Residual)
class ResidualCells(Cells):
    """Of a residual block, from three taps."""

    def __init__(self, layer: Residual, workspace: Workspace) -> None:
        width, self.pool = extent(layer)
        self.taps, self.outputs = np.arange(0, width, layer.dilation), layer.conv.out_channels
        self._layer = layer
        self._convolved, self._mixed = workspace.product(layer.conv), workspace.product(layer.mix)

    def make(self, seen: Tensor, out: Tensor) -> None:
        layer, channels, slope = self._layer, self._layer.conv.in_channels, self._layer.activation.slope
        out.copy_(seen[:, channels : 2 * channels])
        hidden = self._convolved(functional.leaky_relu_(seen, slope), torch.empty_like(out))
        functional.leaky_relu_(hidden.add_(cast(Tensor, layer.conv.bias)), slope)
        out.addcmul_(self._mixed(hidden, torch.empty_like(out)), layer.scale)

    def along(self, local: Tensor) -> Tensor:
        rows, channels, length = local.shape
        count = cells_of(self._layer, length)
        read = np.arange(count)[:, None, None] + np.arange(rows)[:, None] * length + self.taps
        made = local.new_empty(whole_blocks(count * rows), channels)
        self.gather(local.transpose(1, 2).reshape(-1, channels), read.reshape(count * rows, -1), made)
        return made[: count * rows].view(count, rows, channels).permute(1, 2, 0)
