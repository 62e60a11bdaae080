"""Layers trained in bf16 on a CPU that multiplies in it (AMX, AVX512-bf16): products by torch, few passes for the rest.

Weights stay float32 and are rounded for each step; what is added up over many examples is added up in float32. Work
goes through memory a few examples at a time, so that what lies between two products is still in the cache. Each
function is one layer, differentiable once; maps are bf16 (N, positions, channels).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varscore.compiled import COMPILES
from varscore.nets.kernels import pointwise
from varscore.nets.kernels.kmertable import WeightGradient, forward_tables, tables_of
from varscore.nets.kernels.pieces import PIECES, each_piece

HALF = torch.bfloat16
CACHED = 1 << 20
"""Bytes of columns that are made and multiplied together"""
TAPS_OF_A_TILE = 32
"""AMX multiplies in blocks of so many values"""


@cache
def amx() -> bool:
    """Whether the CPU multiplies bf16 in tiles."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


@cache
def multiplies() -> bool:
    """Whether the CPU multiplies in bf16, faster than in float32."""
    return amx() or bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def products() -> str:
    """What the CPU multiplies bf16 with, for people; empty if nothing."""
    return "AMX" if amx() else "AVX512-bf16" if multiplies() else ""


def wanted(x: Tensor) -> bool:
    """Whether a layer computes by these kernels: under autocast in bf16, on a CPU that gains by it."""
    if not (COMPILES and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
        return False
    return torch.get_autocast_dtype("cpu") == HALF and multiplies()


def bits(x: Tensor) -> NDArray[np.uint16]:
    """A bf16 tensor as uint16, the same memory."""
    array: NDArray[np.uint16] = x.view(torch.uint16).numpy()
    return array


def _few(rows: int, bytes_each: int) -> Iterator[slice]:
    """Slices of ``range(rows)`` whose columns fit into the cache."""
    size = max(1, CACHED // bytes_each)
    for first in range(0, rows, size):
        yield slice(first, min(first + size, rows))


def _spread(work: Callable[[slice, int], None], rows: int) -> None:
    """``work(slice, piece)`` for pieces of ``range(rows)``, on torch's number of threads."""
    each_piece(lambda piece, first, last: work(slice(first, last), piece), rows)


def _column_matrix(weight: Tensor) -> Tensor:
    """Of a convolution, float32 (F, C, k): bf16 (k * C, F)."""
    return weight.detach().permute(2, 1, 0).reshape(-1, len(weight)).to(HALF)


class _FirstByTables(torch.autograd.Function):
    """By tables of 3-mers (``kmertable``), in float32, where products of one-hot DNA are no faster."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor, weight: Tensor, bias: Tensor, pool: int, slope: float) -> Tensor:
        bases, (filters, _, width) = codes.contiguous().numpy(), weight.shape
        cells = (bases.shape[1] - width + 1) // pool
        y, at = torch.empty(len(bases), cells, filters, dtype=HALF), np.empty((len(bases), cells, filters), np.uint8)
        out, moved, table = bits(y), bias.detach().numpy(), tables_of(weight)

        def work(rows: slice, piece: int) -> None:
            peak = np.empty((1, cells, filters), np.float32)
            for n in range(rows.start, rows.stop):
                forward_tables(bases[n : n + 1], table, width, pool, peak, at[n : n + 1])
                pointwise.finish(peak, moved, slope, out[n : n + 1])

        _spread(work, len(bases))
        ctx.save_for_backward(codes, y)
        ctx.rest = at, weight.shape, pool, slope
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor, None, None]:
        codes, y = ctx.saved_tensors
        at, shape, pool, slope = ctx.rest
        by, out, bases = bits(gradients[0].contiguous()), bits(y), codes.contiguous().numpy()
        by_bias = np.zeros((PIECES, shape[0]), np.float32)
        collected = WeightGradient(shape)

        def work(rows: slice, piece: int) -> None:
            peak = np.empty((1, *y.shape[1:]), np.float32)
            for n in range(rows.start, rows.stop):
                one = slice(n, n + 1)
                pointwise.finish_back(by[one], out[one], slope, peak, by_bias[piece])
                collected.add(piece, bases[one], peak, at[one], pool)

        _spread(work, len(bases))
        return None, collected.total(), torch.from_numpy(by_bias.sum(0)), None, None


class _FirstByProducts(torch.autograd.Function):
    """One product of one-hot DNA: each pooled cell is multiplied with the filters at each of its positions."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor, weight: Tensor, bias: Tensor, pool: int, slope: float) -> Tensor:
        filters, _, width = weight.shape
        cells = (codes.shape[1] - width + 1) // pool
        matrix = _shifted(weight.detach(), pool)
        y = torch.empty(len(codes), cells, filters, dtype=HALF)
        at = torch.empty(y.shape, dtype=torch.uint8)
        moved = bias.detach().numpy()
        for rows in _few(len(codes), 2 * cells * (len(matrix) + pool * filters)):
            sums = (_one_hot_cells(codes[rows], cells, pool, len(matrix)) @ matrix).view(-1, cells * pool, filters)
            pointwise.pool(bits(sums), moved, pool, slope, bits(y[rows]), at[rows].numpy())
        ctx.save_for_backward(codes, y, at)
        ctx.rest = weight.shape, pool, slope, len(matrix)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor, None, None]:
        codes, y, at = ctx.saved_tensors
        shape, pool, slope, inner = ctx.rest
        (filters, _, width), cells = shape, y.shape[1]
        by, by_bias = gradients[0].contiguous(), torch.zeros(filters)
        total = torch.zeros(inner, pool * filters)
        for rows in _few(len(codes), 2 * cells * (inner + pool * filters)):
            hot = _one_hot_cells(codes[rows], cells, pool, inner)
            sums = torch.empty(len(codes[rows]), cells * pool, filters, dtype=HALF)
            pointwise.pool_back(
                bits(by[rows]), bits(y[rows]), at[rows].numpy(), pool, slope, bits(sums), by_bias.numpy()
            )
            pointwise.accumulate(total.numpy(), bits(hot.t() @ sums.view(-1, pool * filters)))
        shifted = total.view(inner // 4, 4, pool, filters)
        by_weight = sum(shifted[p : p + width, :, p] for p in range(pool))
        return None, cast(Tensor, by_weight).permute(2, 1, 0).contiguous(), by_bias, None, None


def _shifted(weight: Tensor, pool: int) -> Tensor:
    """Filters, float32 (F, 4, k), at each of ``pool`` positions: bf16 (4 * bases of a cell, pool * F)."""
    filters, _, width = weight.shape
    bases = -(-4 * (width + pool - 1) // TAPS_OF_A_TILE) * TAPS_OF_A_TILE // 4
    matrix = weight.new_zeros(bases, 4, pool, filters)
    for p in range(pool):
        matrix[p : p + width, :, p] = weight.permute(2, 1, 0)
    return matrix.view(4 * bases, -1).to(HALF)


def _one_hot_cells(codes: Tensor, cells: int, pool: int, inner: int) -> Tensor:
    """The bases that each pooled cell sees, one-hot: uint8 (N, L) to bf16 (N * cells, inner)."""
    alphabet = torch.zeros(5, 4, dtype=HALF)
    alphabet[:4] = torch.eye(4)
    last = (cells - 1) * pool + inner // 4
    padded = torch.nn.functional.pad(codes, (0, max(0, last - codes.shape[1])), value=4)
    bases = alphabet.view(torch.int64).flatten()[padded.int()]  # the four values of a base are eight bytes
    seen = bases.unfold(1, inner // 4, pool)[:, :cells]
    return seen.reshape(-1, inner // 4).view(HALF)


def first_layer(codes: Tensor, weight: Tensor, bias: Tensor, pool: int, slope: float) -> Tensor:
    """Convolution of DNA, max-pooling, activation: uint8 (N, L) to bf16 (N, cells, F). weight: float32 (F, 4, k)."""
    kind = _FirstByProducts if amx() else _FirstByTables
    return cast(Tensor, kind.apply(codes, weight, bias, pool, slope))  # type: ignore[no-untyped-call]


class _ConvPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, pool: int, slope: float) -> Tensor:
        x, (filters, channels, width) = x.contiguous(), weight.shape
        steps = x.shape[1] - width + 1
        matrix, moved = _column_matrix(weight), bias.detach().numpy()
        y = torch.empty(len(x), steps // pool, filters, dtype=HALF)
        at = torch.empty(y.shape, dtype=torch.uint8)
        for rows in _few(len(x), 2 * steps * width * channels):
            sums = (_columns(x[rows], width, 1, 1.0) @ matrix).view(-1, steps, filters)
            pointwise.pool(bits(sums), moved, pool, slope, bits(y[rows]), at[rows].numpy())
        ctx.save_for_backward(x, y, at, matrix)
        ctx.rest = weight.shape, pool, slope
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, y, at, matrix = ctx.saved_tensors
        (filters, channels, width), pool, slope = ctx.rest
        steps, by = x.shape[1] - width + 1, gradients[0].contiguous()
        total, by_bias, by_x = torch.zeros(matrix.shape), torch.zeros(filters), torch.empty_like(x)
        for rows in _few(len(x), 2 * steps * width * channels):
            sums = torch.empty(len(x[rows]), steps, filters, dtype=HALF)
            pointwise.pool_back(
                bits(by[rows]), bits(y[rows]), at[rows].numpy(), pool, slope, bits(sums), by_bias.numpy()
            )
            flat = sums.view(-1, filters)
            pointwise.accumulate(total.numpy(), bits(_columns(x[rows], width, 1, 1.0).t() @ flat))
            columns = (flat @ matrix.t()).view(-1, steps, width, channels)
            pointwise.scatter(bits(columns), 1, bits(by_x[rows]))
        return by_x, total.view(width, channels, filters).permute(2, 1, 0).contiguous(), by_bias, None, None


def conv_pool(x: Tensor, weight: Tensor, bias: Tensor, pool: int, slope: float) -> Tensor:
    """Convolution, max-pooling, activation: bf16 (N, T, C) to (N, T', F). weight: float32 (F, C, k)."""
    return cast(Tensor, _ConvPool.apply(x.to(HALF), weight, bias, pool, slope))  # type: ignore[no-untyped-call]


class _Residual(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mix: Tensor, dilation: int, slope: float) -> Tensor:
        x, (hidden, channels, taps) = x.contiguous(), weight.shape
        steps = x.shape[1] - (taps - 1) * dilation
        matrix, mixing, moved = _column_matrix(weight), mix.detach().to(HALF), bias.detach().numpy()
        h = torch.empty(len(x), steps, hidden, dtype=HALF)
        y = torch.empty(len(x), steps, channels, dtype=HALF)
        for rows in _few(len(x), 2 * steps * taps * channels):
            inner, outer = h[rows].view(-1, hidden), y[rows].view(-1, channels)
            torch.mm(_columns(x[rows], taps, dilation, slope), matrix, out=inner)
            pointwise.activate(bits(inner), moved, slope)
            torch.mm(inner, mixing, out=outer)
            pointwise.add_middle(bits(x[rows]), dilation, bits(y[rows]))
        ctx.save_for_backward(x, h, matrix, mixing)
        ctx.rest = weight.shape, dilation, slope
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
        x, h, matrix, mixing = ctx.saved_tensors
        (hidden, channels, taps), dilation, slope = ctx.rest
        steps, by = h.shape[1], gradients[0].contiguous()
        total, by_mix = torch.zeros(matrix.shape), torch.zeros(mixing.shape)
        by_bias, by_x = torch.zeros(hidden), torch.empty_like(x)
        for rows in _few(len(x), 2 * steps * taps * channels):
            inner, outer = h[rows].view(-1, hidden), by[rows].view(-1, channels)
            pointwise.accumulate(by_mix.numpy(), bits(inner.t() @ outer))
            by_inner = outer @ mixing.t()
            pointwise.activate_back(bits(by_inner), bits(inner), slope, by_bias.numpy())
            pointwise.accumulate(total.numpy(), bits(_columns(x[rows], taps, dilation, slope).t() @ by_inner))
            columns = (by_inner @ matrix.t()).view(-1, steps, taps, channels)
            pointwise.scatter_residual(bits(columns), bits(by[rows]), bits(x[rows]), dilation, slope, bits(by_x[rows]))
        by_weight = total.view(taps, channels, hidden).permute(2, 1, 0).contiguous()
        return by_x, by_weight, by_bias, by_mix, None, None


def residual(x: Tensor, weight: Tensor, bias: Tensor, mix: Tensor, dilation: int, slope: float) -> Tensor:
    """``x + leaky(conv(leaky(x)) + bias) @ mix``: bf16 (N, T, C) to (N, T - 2 * dilation, C).

    weight: float32 (H, C, 3), taps ``dilation`` apart; mix: float32 (H, C)
    """
    return cast(Tensor, _Residual.apply(x.to(HALF), weight, bias, mix, dilation, slope))  # type: ignore[no-untyped-call]


def _columns(x: Tensor, taps: int, dilation: int, slope: float) -> Tensor:
    """What a convolution multiplies its weights with: bf16 (N, T, C) to (N * T', taps * C), through a leaky ReLU."""
    rows, length, channels = x.shape
    columns = torch.empty(rows, length - (taps - 1) * dilation, taps, channels, dtype=HALF)
    pointwise.gather(bits(x), dilation, slope, bits(columns))
    return columns.view(-1, taps * channels)


class _PositionPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, step: int) -> Tensor:
        x, by_position = x.contiguous(), weight.detach().transpose(1, 2).contiguous()
        sets, positions, channels = by_position.shape
        stretches = (x.shape[1] - positions) // step + 1
        y = torch.empty(len(x), stretches, sets, channels, dtype=HALF)
        pointwise.weigh(bits(x), by_position.numpy(), step, bits(y))
        ctx.save_for_backward(x, by_position)
        ctx.step = step
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, by_position = ctx.saved_tensors
        by_x, total = torch.empty_like(x), torch.zeros_like(by_position)
        by = bits(gradients[0].contiguous())
        pointwise.weigh_back(by, bits(x), by_position.numpy(), ctx.step, bits(by_x), total.numpy())
        return by_x, total.transpose(1, 2).contiguous(), None


def position_pool(x: Tensor, weight: Tensor, step: int) -> Tensor:
    """Sums over stretches of positions, ``step`` apart: bf16 (N, T, C) to (N, stretches, sets * C).

    weight: float32 (sets, C, positions of a stretch)
    """
    return cast(Tensor, _PositionPool.apply(x.to(HALF), weight, step)).flatten(2)  # type: ignore[no-untyped-call]
