"""Convolution of one-hot DNA as a sum of k-mer table rows, with max-pooling fused in.

A filter of width k over one-hot DNA is a sum of k weights, one per base. Cut into 3-mers, it is a sum of ceil(k / 3)
rows of tables that hold every 3-mer's sum once. Bases are digits in base 5 (A, C, G, T, unknown), so an unknown base
adds zero like the all-zero column it stands for. Max-pooling before bias and activation is exact, because both are
monotone, and leaves nothing of the full-length map in memory.

What a position gets does not depend on what is computed beside it. Gradients are summed over a fixed number of pieces,
which does not depend on the number of threads. So results are the same bits on one thread and on many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from varscore.compiled import COMPILES, compiled, inlined
from varscore.nets.kernels.pieces import PIECES, each_piece

if COMPILES:
    from varscore.nets.kernels.vectorkernels import LANES, largest_sum

ROWS = 125  # 5 ** 3
BANK = 352  # gradients are summed in banks of at most so many filters, which about fit into a core's own cache
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
    """:func:`tables` of ``LANES`` filters at a time; the last ones are padded with zeros.

    Returns float (banks, ceil(k / 3) * 125 * LANES).
    """
    padded = functional.pad(weight, (0, 0, 0, 0, 0, -len(weight) % LANES))
    return torch.stack([tables(bank).flatten() for bank in torch.split(padded, LANES)])


def table_gradient(gradient: Tensor, width: int) -> Tensor:
    """The transpose of :func:`tables`: float (steps, 125, filters) to float (filters, 4, width)."""
    steps, _, filters = gradient.shape
    cube = gradient.reshape(steps, 5, 5, 5, filters)
    digit = torch.stack([cube.sum((2, 3)), cube.sum((1, 3)), cube.sum((1, 2))], 1)
    return digit.reshape(3 * steps, 5, filters)[:width, :4].permute(2, 1, 0).contiguous()


@compiled
def _threemers(codes: NDArray[np.uint8], scale: int, rows: NDArray[np.uint32]) -> None:
    """rows[p] = base-5 number of the 3-mer at p, times ``scale``; positions past the end count as unknown."""
    length = codes.shape[0]
    for p in range(rows.shape[0]):
        value = 0
        for i in range(3):
            value = value * 5 + (codes[p + i] if p + i < length else 4)
        rows[p] = value * scale


@compiled
def _places(codes: NDArray[np.uint8], rows: NDArray[np.uint32]) -> None:
    """Where in a table of :func:`banks` the row of each 3-mer begins."""
    for n in range(codes.shape[0]):
        _threemers(codes[n], LANES, rows[n])


@compiled
def _forward(
    places: NDArray[np.uint32],
    table: NDArray[np.float32],
    pool: int,
    best: NDArray[np.float32],
    where: NDArray[np.uint8],
) -> None:
    """best[n, cell] = largest sum of rows over the cell's positions; where = the first position to reach it."""
    steps, filters = table.shape[1] // (ROWS * LANES), best.shape[2]
    peak, at = np.empty(LANES, np.float32), np.empty(LANES, np.uint8)
    for bank in range(table.shape[0]):
        first, last = bank * LANES, min((bank + 1) * LANES, filters)
        for n in range(best.shape[0]):
            for cell in range(best.shape[1]):
                largest_sum(table[bank], places[n], cell * pool, pool, steps, ROWS * LANES, peak, at)
                best[n, cell, first:last] = peak[: last - first]
                where[n, cell, first:last] = at[: last - first]


@inlined
def _finish(peak, bias, slope, out):  # type: ignore[no-untyped-def]
    """out = peak + bias; then what is below zero is multiplied by ``slope``."""
    for f in range(len(out)):
        value = peak[f] + bias[f]
        out[f] = np.float32(slope) * value if value < 0 else value


@compiled
def _alone(
    places: NDArray[np.uint32],
    table: NDArray[np.float32],
    pool: int,
    bias: NDArray[np.float32],
    slope: float,
    to: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """out[to[n, cell]] = the cell's column, for cells of window n that are to be written anywhere."""
    steps, filters = table.shape[1] // (ROWS * LANES), out.shape[1]
    peak = np.empty(LANES, np.float32)
    for bank in range(table.shape[0]):
        here = slice(bank * LANES, min((bank + 1) * LANES, filters))
        for cell in range(to.shape[1]):  # columns of one cell most often lie together
            for n in range(to.shape[0]):
                if to[n, cell] >= 0:
                    largest_sum(table[bank], places[n], cell * pool, pool, steps, ROWS * LANES, peak, None)
                    _finish(peak, bias[here], slope, out[to[n, cell], here])


@compiled
def _slide(
    places: NDArray[np.uint32],
    shift: NDArray[np.int64],
    table: NDArray[np.float32],
    pool: int,
    bias: NDArray[np.float32],
    slope: float,
    to: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """What :func:`_alone` does, for windows that overlap: each lies ``shift`` bases to the right of the one before.

    Sums of every position, and the largest of every ``pool`` positions, are made once. Two rings hold the sums of the
    last ``pool`` positions and the maxima of as many positions as a window has; a window picks each ``pool``-th.
    """
    steps, filters, cells = table.shape[1] // (ROWS * LANES), out.shape[1], to.shape[1]
    span = (cells - 1) * pool + 1
    sums, peaks = np.empty(pool * LANES, np.float32), np.empty(span * LANES, np.float32)
    every = np.arange(0, pool * LANES, LANES).astype(np.uint32)
    for bank in range(table.shape[0]):
        here = slice(bank * LANES, min((bank + 1) * LANES, filters))
        start, done = 0, 0  # counted from the first window's first base
        for n in range(to.shape[0]):
            start += shift[n] if n else 0
            while done < start + cells * pool:
                total = sums[done % pool * LANES :]
                largest_sum(table[bank], places[n], done - start, 1, steps, ROWS * LANES, total, None)
                done += 1
                if done >= pool:
                    largest_sum(sums, every, 0, pool, 1, 0, peaks[(done - pool) % span * LANES :], None)
            for cell in range(cells):
                if to[n, cell] >= 0:
                    peak = peaks[(start + cell * pool) % span * LANES :]
                    _finish(peak, bias[here], slope, out[to[n, cell], here])


@compiled
def _backward(
    codes: NDArray[np.uint8],
    gradient: NDArray[np.float32],
    where: NDArray[np.uint8],
    pool: int,
    table: NDArray[np.float32],
) -> None:
    """table[bank, step, 3-mer, f] += gradient, at the position each maximum came from."""
    steps, filters = table.shape[1], gradient.shape[2]
    rows = np.empty(codes.shape[1] + 3 * steps, np.uint32)
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
                        a = np.uint64(step) * stride + np.uint64(rows[position + 3 * step])
                        for f in range(np.uint64(len(slope))):
                            flat[a + f] += total[f]


def _room(*shape: int) -> NDArray[np.float32]:
    """Float32, of any content, where torch would put it: how a library rounds may depend on where operands begin."""
    room: NDArray[np.float32] = torch.empty(shape).numpy()
    return room


def _made_places(codes: NDArray[np.uint8], width: int) -> NDArray[np.uint32]:
    """:func:`_places` of windows, uint32 (N, L + width), for filters of this width."""
    rows = np.empty((len(codes), codes.shape[1] + width), np.uint32)
    _places(codes, rows)
    return rows


def tables_of(weight: Tensor) -> NDArray[np.float32]:
    """:func:`banks` of weights that are trained."""
    made: NDArray[np.float32] = banks(weight.detach()).numpy()
    return made


def forward_tables(
    bases: NDArray[np.uint8],
    table: NDArray[np.float32],
    width: int,
    pool: int,
    best: NDArray[np.float32],
    where: NDArray[np.uint8],
) -> None:
    """The max-pooled convolution of windows, uint8 (n, L), by :func:`tables_of` filters of this width.

    Written: best, float32 (n, cells, filters), and where each maximum stands in its cell, uint8.
    """
    _forward(_made_places(bases, width), table, pool, best, where)


class WeightGradient:
    """The gradient of filters, float32 (filters, 4, k), in ``PIECES`` parts that threads fill side by side."""

    def __init__(self, shape: Sequence[int]) -> None:
        self._filters, _, self._width = shape
        count = -(-self._filters // BANK)
        self._parts = np.zeros((PIECES, count, -(-self._width // 3), ROWS, -(-self._filters // count)), np.float32)

    def add(
        self, piece: int, bases: NDArray[np.uint8], by: NDArray[np.float32], where: NDArray[np.uint8], pool: int
    ) -> None:
        """What windows contribute. by: the gradient of ``best`` of :func:`forward_tables`, which gave ``where``."""
        _backward(bases, by, where, pool, self._parts[piece])

    def total(self) -> Tensor:
        by_bank = [table_gradient(bank, self._width) for bank in torch.from_numpy(self._parts.sum(0))]
        return torch.cat(by_bank)[: self._filters]


class _ConvolvePool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, codes: Tensor, weight: Tensor, pool: int) -> Tensor:
        table, bases, (filters, _, width) = tables_of(weight), codes.contiguous().numpy(), weight.shape
        best = _room(len(bases), (bases.shape[1] - width + 1) // pool, filters)
        where, places = np.empty(best.shape, np.uint8), _made_places(bases, width)
        each_piece(lambda _, a, b: _forward(places[a:b], table, pool, best[a:b], where[a:b]), len(bases))
        ctx.saved = (bases, where, pool, weight.shape)
        return torch.from_numpy(best)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        bases, where, pool, shape = ctx.saved
        slope, collected = gradients[0].float().contiguous().numpy(), WeightGradient(shape)
        each_piece(lambda i, a, b: collected.add(i, bases[a:b], slope[a:b], where[a:b], pool), len(bases))
        return None, collected.total(), None


def convolve_pool(codes: Tensor, weight: Tensor, pool: int) -> Tensor:
    """Max-pooled convolution of DNA on the CPU, differentiable in ``weight``.

    codes: uint8 (N, L), 0-3 = ACGT, 4 = unknown. weight: float (filters, 4, k). pool: at most ``LARGEST_POOL``.
    Returns float32 (N, (L - k + 1) // pool, filters): channels last, no bias, no activation.
    """
    return cast(Tensor, _ConvolvePool.apply(codes, weight, pool))  # type: ignore[no-untyped-call]


def convolve_pool_activate(codes: Tensor, weight: Tensor, bias: Tensor, pool: int, slope: float) -> Tensor:
    """:func:`convolve_pool`, plus ``bias`` (filters,), through a leaky ReLU: one pass, for inference, without gradient.

    Returns float32 (N, (L - k + 1) // pool, filters).
    """
    rows, cells = len(codes), (codes.shape[1] - weight.shape[2] + 1) // pool
    out = torch.empty(rows * cells, len(weight))
    to = np.arange(rows * cells).reshape(rows, cells)
    convolve_columns(codes, weight, bias, pool, slope, np.full(rows, -1), to, out)
    return out.view(rows, cells, len(weight))


def convolve_columns(
    codes: Tensor,
    weight: Tensor,
    bias: Tensor,
    pool: int,
    slope: float,
    shift: NDArray[np.int64],
    to: NDArray[np.int64],
    out: Tensor,
) -> None:
    """What :func:`convolve_pool_activate` gives for windows that overlap, each column of it once.

    shift: int64 (N,), by how many bases each window lies to the right of the one before in the same sequence; -1: it
        does not. to: int64 (N, cells), the row of ``out``, float32 (columns, filters), that a cell is written to; -1:
        nowhere, as it is another window's cell too.
    """
    table, moved = _kept_tables(weight), bias.detach().numpy()
    places = _made_places(codes.contiguous().numpy(), weight.shape[2])
    columns, most = out.numpy(), to.shape[1] * pool // 3  # further apart, sliding is no gain

    def work(_: int, a: int, b: int) -> None:
        for first, last, together in _runs(shift[a:b], most):
            here = slice(a + first, a + last)
            if together:
                _slide(places[here], shift[here], table, pool, moved, slope, to[here], columns)
            else:
                _alone(places[here], table, pool, moved, slope, to[here], columns)

    if torch.get_num_threads() == 1:
        work(0, 0, len(places))  # longer runs
    else:
        each_piece(work, len(places))


def _runs(shift: NDArray[np.int64], most: int) -> Iterator[tuple[int, int, bool]]:
    """Stretches ``[first, last)`` of windows, and whether each of its windows but the first is at most ``most`` bases
    from the one before.
    """
    near = ((shift >= 0) & (shift <= most)).tolist()
    first, n = 0, len(shift)
    while first < n:
        together = first + 1 < n and near[first + 1]
        last = first + 1
        while last < n and (near[last] if together else not (last + 1 < n and near[last + 1])):
            last += 1
        yield first, last, together
        first = last


_kept: tuple[Tensor, NDArray[np.float32]] | None = None


def _kept_tables(weight: Tensor) -> NDArray[np.float32]:
    """:func:`banks`, made anew only when the weights are not those of the last call: a comparison costs far less."""
    global _kept
    kept = _kept
    if kept is None or not torch.equal(kept[0], weight):
        kept = weight.detach().clone(), banks(weight.detach()).numpy()
        _kept = kept
    return kept[1]
