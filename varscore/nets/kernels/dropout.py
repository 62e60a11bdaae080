"""Dropout of bf16 maps on the CPU. Torch draws its mask value by value, which takes longer than many a layer.

Of a mask only the seed is kept, and it is drawn again on the way back.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from varscore.nets.kernels import pointwise
from varscore.nets.kernels.bf16 import HALF, bits
from varscore.nets.kernels.pieces import each_piece

_DRAWN = 1 << 17
"""Values masked at a time, so that what is drawn for them is still in the cache"""
_LEVELS = 1 << 16
"""A probability is rounded to so many steps, and what is kept is scaled by the rounded one"""


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: int) -> Tensor:
        # as x lies in memory: maps come transposed out of the layers before
        order = sorted(range(x.dim()), key=x.stride, reverse=True)
        ctx.rest = order, dropped, int(torch.randint(1 << 62, ()))
        return _masked(x, *ctx.rest)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _masked(gradients[0], *ctx.rest), None


def _masked(x: Tensor, order: list[int], dropped: int, seed: int) -> Tensor:
    """x where 16 random bits are not below ``dropped``, scaled; the n-th bits are of the n-th value in this order."""
    x = x.permute(order).contiguous()
    y = torch.empty_like(x)
    given, out, scale = bits(x).reshape(-1), bits(y).reshape(-1), _LEVELS / (_LEVELS - dropped)

    def work(piece: int, first: int, last: int) -> None:
        random = np.random.Generator(np.random.SFC64([seed, piece]))
        for start in range(first, last, _DRAWN):
            some = slice(start, min(start + _DRAWN, last))
            drawn = random.integers(0, 1 << 64, _DRAWN // 4, np.uint64).view(np.uint16)
            pointwise.drop(given[some], drawn, dropped, scale, out[some])

    each_piece(work, len(given))
    return y.permute([order.index(axis) for axis in range(len(order))])


def dropout(x: Tensor, p: float) -> Tensor:
    """As ``torch.nn.functional.dropout`` in training, bf16 of any shape on the CPU; torch's own generator seeds it."""
    dropped = round(p * _LEVELS)
    if dropped == _LEVELS:
        return x * 0
    return cast(Tensor, _Dropout.apply(x.to(HALF), dropped))  # type: ignore[no-untyped-call]
