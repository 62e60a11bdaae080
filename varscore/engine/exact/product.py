"""Products of many small matrices with one large one, on a CPU in float32."""

from __future__ import annotations

import torch
from torch import Tensor

LARGE = 1 << 20
"""Elements of a matrix that does not fit into a core's own cache"""

BLOCK = 128
"""Rows of a product where there may be any number: a row of a product of one shape has the same bits in any place"""


def padded(matrix: Tensor) -> Tensor:
    """A copy of a float32 matrix (..., n, m) whose rows begin an odd number of cache lines (64 bytes) apart.

    Rows that lie a power of two apart compete for the same places of the cache: a product with 2,048 columns takes
    half as long again.
    """
    lines = -(-matrix.shape[-1] // 16)
    room = matrix.new_empty(*matrix.shape[:-1], 16 * (lines + 1 - lines % 2))
    return room[..., : matrix.shape[-1]].copy_(matrix)


class Product:
    """``x @ weight.T`` for one ``weight``, float32 (out, in).

    A library rearranges a matrix before it multiplies with it. For a large one and few rows of ``x`` that takes a third
    of the time, so it is done once for all where MKL can, once for every number of rows.
    """

    def __init__(self, weight: Tensor) -> None:
        self._packs = weight.numel() >= LARGE and _mkl_packs()
        self._weight = weight.contiguous() if self._packs else padded(weight.t())
        self._packed: dict[int, Tensor] = {}

    def __call__(self, x: Tensor, out: Tensor) -> Tensor:
        """The product with ``x``, float32 (rows, in); written to ``out``, (rows, out), and returned."""
        if not self._packs:
            return torch.mm(x, self._weight, out=out)
        rows = len(x)
        if rows not in self._packed:
            self._packed[rows] = torch.ops.mkl._mkl_reorder_linear_weight(self._weight, rows)
        return out.copy_(torch.ops.mkl._mkl_linear(x, self._packed[rows], self._weight, None, rows))


def whole_blocks(rows: int) -> int:
    """So many rows and those that fill the last block."""
    return -(-rows // BLOCK) * BLOCK


def in_blocks(product: Product, x: Tensor, out: Tensor) -> None:
    """A product with whole blocks, float32 (n, in); written to ``out``, (n, out)."""
    for first in range(0, len(x), BLOCK):
        product(x[first : first + BLOCK], out[first : first + BLOCK])


def _mkl_packs() -> bool:
    """Whether this torch can multiply with a matrix that MKL has rearranged before."""
    return torch.backends.mkl.is_available() and hasattr(torch.ops.mkl, "_mkl_linear")  # type: ignore[no-untyped-call]
