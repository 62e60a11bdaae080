"""Convolution of one-hot DNA as a sum of k-mer table rows, with max-pooling fused in.

A filter of width k over one-hot DNA is a sum of k weights, one per base. Cut into 3-mers, it is a sum of ceil(k / 3)
rows of tables that hold every 3-mer's sum once. Bases are digits in base 5 (A, C, G, T, unknown), so an unknown base
adds zero like the all-zero column it stands for. Max-pooling before bias and activation is exact, because both are
monotone, and leaves nothing of the full-length map in memory.

What a position gets does not depend on what is computed beside it. Gradients are summed over a fixed number of pieces,
which does not depend on the number of threads. So results are the same bits on one thread and on many.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from varscore.nets.compiled import PIECES, compiled, each_piece, inlined

ROWS = 125  # 5 ** 3
TOGETHER = 10  # rows are added so many at a time: filters of up to 30 bases take one pass
BANK = 352  # filters are computed in banks of at most so many, whose tables about fit into a core's own cache
LARGEST_POOL = 256  # the place of a maximum in its cell is kept as a byte


def tables(weight: Tensor) -> Tensor:
    """3-mer tables of a filter bank.

    weight: float (filters, 4, k). Returns float (ceil(k / 3), 125, filters); row ``25 a + 5 b + c`` is the 3-mer abc.
    """
    filters, _, width = weight.shape
    steps = -(-width // 3)
    padded = weight.new_zeros(filters, 5, 3 * steps)
    padded[:, :4, :width] = weight
    digit = padded.permute(2, 1, 0).reshape(steps, 3, 5, filters)
    first, second, third = digit[:, 0], digit[:, 1], digit[:, 2]
    rows = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
    return rows.reshape(steps, ROWS, filters).contiguous()


def banks(weight: Tensor) -> Tensor:
    """:func:`tables` of equally large banks of filters; the last is padded.

    Returns float (banks, ceil(k / 3) * 125 + 1, width): the tables one below the other, then a row of zeros.
    """
    filters = len(weight)
    count = -(-filters // BANK)
    width = -(-filters // count)
    padded = functional.pad(weight, (0, 0, 0, 0, 0, count * width - filters))
    below = [tables(bank).flatten(0, 1) for bank in padded.view(count, width, *padded.shape[1:])]
    return functional.pad(torch.stack(below), (0, 0, 0, 1))


def table_gradient(gradient: Tensor, width: int) -> Tensor:
    """The transpose of :func:`tables`: float (steps, 125, filters) to float (filters, 4, width)."""
    steps, _, filters = gradient.shape
    cube = gradient.reshape(steps, 5, 5, 5, filters)
    digit = torch.stack([cube.sum((2, 3)), cube.sum((1, 3)), cube.sum((1, 2))], 1)
    return digit.reshape(3 * steps, 5, filters)[:width, :4].permute(2, 1, 0).contiguous()


@compiled
def _threemers(codes: np.ndarray, scale: int, rows: np.ndarray) -> None:
    """rows[p] = base-5 number of the 3-mer at p, times ``scale``; positions past the end count as unknown."""
    length = codes.shape[0]
    for p in range(rows.shape[0]):
        value = 0
        for i in range(3):
            value = value * 5 + (codes[p + i] if p + i < length else 4)
        rows[p] = value * scale


@compiled
def _activate(best: np.ndarray, bias: np.ndarray, slope: float) -> None:
    """Add the bias (filters,), then multiply what is below zero by ``slope``, in place."""
    for n in range(best.shape[0]):
        for cell in range(best.shape[1]):
            values = best[n, cell]
            for f in range(len(bias)):
                value = values[f] + bias[f]
                values[f] = np.float32(slope) * value if value < 0 else value


@inlined
def _ten(flat, a, b, c, d, e, g, h, i, j, k):  # type: ignore[no-untyped-def]
    return ((flat[a] + flat[b]) + (flat[c] + flat[d]) + flat[e]) + ((flat[g] + flat[h]) + (flat[i] + flat[j]) + flat[k])


@inlined
def _places(steps, stride):  # type: ignore[no-untyped-def]
    """Where the tables of the first ten steps begin, and 1 for each of them that there is; the others' row is zero."""
    begin, real = np.empty(TOGETHER, np.uint64), np.empty(TOGETHER, np.uint64)
    for step in range(TOGETHER):
        begin[step], real[step] = np.uint64(min(step, steps)) * stride, np.uint64(step < steps)
    return begin, real


@inlined
def _sums(flat, begin, real, steps, stride, rows, p, raised, out):  # type: ignore[no-untyped-def]
    """out[f] = sum of the table rows at position ``p``; if ``raised``, and steps are ten or fewer, only where larger.

    Tables are read through one flat view with unsigned indices, ten rows in one expression, and their sum goes straight
    into the maximum: that is what the compiler turns into vector instructions that mostly read.
    """
    a = begin[0] + rows[p]
    b = begin[1] + real[1] * rows[p + 3]
    c = begin[2] + real[2] * rows[p + 6]
    d = begin[3] + real[3] * rows[p + 9]
    e = begin[4] + real[4] * rows[p + 12]
    g = begin[5] + real[5] * rows[p + 15]
    h = begin[6] + real[6] * rows[p + 18]
    i = begin[7] + real[7] * rows[p + 21]
    j = begin[8] + real[8] * rows[p + 24]
    k = begin[9] + real[9] * rows[p + 27]
    if raised:
        for f in range(np.uint64(len(out))):
            total = _ten(flat, a + f, b + f, c + f, d + f, e + f, g + f, h + f, i + f, j + f, k + f)
            out[f] = max(out[f], total)
    else:
        for f in range(np.uint64(len(out))):
            out[f] = _ten(flat, a + f, b + f, c + f, d + f, e + f, g + f, h + f, i + f, j + f, k + f)
        for step in range(TOGETHER, steps):
            a = np.uint64(step) * stride + rows[p + 3 * step]
            for f in range(np.uint64(len(out))):
                out[f] += flat[a + f]


@compiled
def _forward(codes: np.ndarray, table: np.ndarray, pool: int, best: np.ndarray, where: np.ndarray) -> None:
    """best[n, cell] = largest sum of rows over the cell's positions; where, if not empty = the first to reach it."""
    steps, filters = table.shape[1] // ROWS, best.shape[2]
    rows = np.empty(codes.shape[1] + 3 * max(steps, TOGETHER), np.uint64)
    total = np.empty(table.shape[2], np.float32)
    stride = np.uint64(ROWS * table.shape[2])
    begin, real = _places(steps, stride)
    straight = len(where) == 0 and steps <= TOGETHER
    for bank in range(table.shape[0]):
        flat, here = table[bank].ravel(), slice(bank * len(total), min((bank + 1) * len(total), filters))
        for n in range(codes.shape[0]):
            _threemers(codes[n], table.shape[2], rows)
            for cell in range(best.shape[1]):
                peak = best[n, cell, here]
                for offset in range(pool):
                    p = cell * pool + offset
                    if straight:
                        _sums(flat, begin, real, steps, stride, rows, p, offset > 0, peak)
                        continue
                    _sums(flat, begin, real, steps, stride, rows, p, False, total)
                    if len(where):
                        _mark(total, offset, peak, where[n, cell, here])
                    else:
                        for f in range(len(peak)):
                            peak[f] = max(peak[f], total[f]) if offset else total[f]


@compiled
def _slide(codes: np.ndarray, shift: np.ndarray, table: np.ndarray, pool: int, best: np.ndarray) -> None:
    """What :func:`_forward` does, for windows that overlap: each lies ``shift`` bases to the right of the one before.

    Sums of every position, and the largest of every ``pool`` positions, are made once. Two rings hold the sums of the
    last ``pool`` positions and the maxima of as many positions as a window has; a window picks each ``pool``-th.
    """
    steps, filters, cells = table.shape[1] // ROWS, best.shape[2], best.shape[1]
    rows = np.empty(codes.shape[1] + 3 * max(steps, TOGETHER), np.uint64)
    span = (cells - 1) * pool + 1
    sums, peaks = np.empty((pool, table.shape[2]), np.float32), np.empty((span, table.shape[2]), np.float32)
    stride = np.uint64(ROWS * table.shape[2])
    begin, real = _places(steps, stride)
    for bank in range(table.shape[0]):
        flat, here = table[bank].ravel(), slice(bank * table.shape[2], min((bank + 1) * table.shape[2], filters))
        start, done = 0, 0  # counted from the first window's first base
        for n in range(codes.shape[0]):
            _threemers(codes[n], table.shape[2], rows)
            start += shift[n] if n else 0
            while done < start + cells * pool:
                total = sums[done % pool]
                _sums(flat, begin, real, steps, stride, rows, done - start, False, total)
                done += 1
                if done >= pool:
                    peak = peaks[(done - pool) % span]
                    peak[:] = total
                    for other in range(pool):
                        for f in range(len(peak)):
                            peak[f] = max(peak[f], sums[other, f])
            for cell in range(cells):
                chosen = best[n, cell, here]
                chosen[:] = peaks[(start + cell * pool) % span, : len(chosen)]


@compiled
def _mark(total: np.ndarray, offset: int, peak: np.ndarray, at: np.ndarray) -> None:
    """Raise ``peak``, float32 (filters,), to ``total`` where that is higher, and note ``offset`` there."""
    mark = np.uint8(offset)
    if offset == 0:
        peak[:] = total[: len(peak)]
        at[:] = mark
    else:
        for f in range(len(peak)):
            higher = total[f] > peak[f]
            peak[f] = total[f] if higher else peak[f]
            at[f] = mark if higher else at[f]


@compiled
def _backward(codes: np.ndarray, gradient: np.ndarray, where: np.ndarray, pool: int, table: np.ndarray) -> None:
    """table[bank, step, 3-mer, f] += gradient, at the position each maximum came from."""
    steps, filters = table.shape[1], gradient.shape[2]
    rows = np.empty(codes.shape[1] + 3 * steps, np.uint64)
    total = np.empty(table.shape[3], np.float32)
    stride = np.uint64(ROWS * table.shape[3])
    for bank in range(table.shape[0]):
        flat, here = table[bank].ravel(), slice(bank * len(total), min((bank + 1) * len(total), filters))
        for n in range(codes.shape[0]):
            _threemers(codes[n], table.shape[3], rows)
            for cell in range(gradient.shape[1]):
                slope, at = gradient[n, cell, here], where[n, cell, here]
                for offset in range(pool):
                    mark, position = np.uint8(offset), cell * pool + offset
                    for f in range(len(slope)):
                        total[f] = slope[f] if at[f] == mark else np.float32(0)
                    for step in range(steps):
                        a = np.uint64(step) * stride + rows[position + 3 * step]
                        for f in range(np.uint64(len(slope))):
                            flat[a + f] += total[f]


def _room(*shape: int) -> np.ndarray:
    """Float32, of any content, where torch would put it: how a library rounds may depend on where operands begin."""
    room: np.ndarray = torch.empty(shape).numpy()
    return room


class _ConvolvePool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, codes: Tensor, weight: Tensor, pool: int) -> Tensor:
        table, bases, (filters, _, width) = banks(weight.detach()).numpy(), codes.contiguous().numpy(), weight.shape
        best = _room(len(bases), (bases.shape[1] - width + 1) // pool, filters)
        where = np.empty(best.shape if ctx.needs_input_grad[1] else (0, 0, 0), np.uint8)
        each_piece(lambda _, a, b: _forward(bases[a:b], table, pool, best[a:b], where[a:b]), len(bases))
        ctx.saved = (bases, where, pool, (len(table), -(-width // 3), ROWS, table.shape[2]), width)
        return torch.from_numpy(best)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        bases, where, pool, shape, width = ctx.saved
        slope = gradients[0].float().contiguous().numpy()
        parts = np.zeros((PIECES, *shape), np.float32)
        each_piece(lambda i, a, b: _backward(bases[a:b], slope[a:b], where[a:b], pool, parts[i]), len(bases))
        by_bank = [table_gradient(bank, width) for bank in torch.from_numpy(parts.sum(0))]
        return None, torch.cat(by_bank)[: slope.shape[2]], None


def convolve_pool(codes: Tensor, weight: Tensor, pool: int) -> Tensor:
    """Max-pooled convolution of DNA on the CPU, differentiable in ``weight``.

    codes: uint8 (N, L), 0-3 = ACGT, 4 = unknown. weight: float (filters, 4, k). pool: at most ``LARGEST_POOL``.
    Returns float32 (N, (L - k + 1) // pool, filters): channels last, no bias, no activation.
    """
    return cast(Tensor, _ConvolvePool.apply(codes, weight, pool))  # type: ignore[no-untyped-call]


def convolve_pool_activate(
    codes: Tensor, weight: Tensor, bias: Tensor, pool: int, slope: float, shift: np.ndarray | None = None
) -> Tensor:
    """:func:`convolve_pool`, plus ``bias`` (filters,), through a leaky ReLU: one pass, for inference, without gradient.

    shift: int64 (N,), by how many bases each window of one genome lies to the right of the one before, if that is so:
    what overlapping windows have in common is computed once then. It is no more than a hint; the bits are the same.
    Returns float32 (N, (L - k + 1) // pool, filters).
    """
    table, bases, moved = _kept_tables(weight), codes.contiguous().numpy(), bias.detach().numpy()
    best = _room(len(bases), (bases.shape[1] - weight.shape[2] + 1) // pool, len(weight))
    no_places = np.empty((0, 0, 0), np.uint8)

    def work(_: int, a: int, b: int) -> None:
        most = best.shape[1] * pool // 3  # further apart, it is no gain
        for first, last, together in _runs(bases[a:b], None if shift is None else shift[a:b], most):
            here = slice(a + first, a + last)
            if together and shift is not None:
                _slide(bases[here], shift[here], table, pool, best[here])
            else:
                _forward(bases[here], table, pool, best[here], no_places)
        _activate(best[a:b], moved, slope)

    if torch.get_num_threads() == 1:
        work(0, 0, len(bases))  # longer runs
    else:
        each_piece(work, len(bases))
    return torch.from_numpy(best)


def _runs(codes: np.ndarray, shift: np.ndarray | None, most: int) -> Iterator[tuple[int, int, bool]]:
    """Stretches ``[first, last)`` of windows, and whether each of its windows overlaps the one before.

    It does if it is what the one before shows from ``shift`` on; ``most`` is the largest shift that counts.
    """
    n, length = codes.shape
    if shift is None:
        yield 0, n, False
        return
    near = [
        i > 0 and 0 <= by <= most and np.array_equal(codes[i, : length - by], codes[i - 1, by:])
        for i, by in enumerate(shift.tolist())
    ]
    first = 0
    while first < n:
        together = first + 1 < n and near[first + 1]
        last = first + 1
        while last < n and (near[last] if together else not (last + 1 < n and near[last + 1])):
            last += 1
        yield first, last, together
        first = last


_kept: tuple[Tensor, np.ndarray] | None = None


def _kept_tables(weight: Tensor) -> np.ndarray:
    """:func:`banks`, made anew only when the weights are not those of the last call: a comparison costs far less."""
    global _kept
    kept = _kept
    if kept is None or not torch.equal(kept[0], weight):
        kept = weight.detach().clone(), banks(weight.detach()).numpy()
        _kept = kept
    return kept[1]
