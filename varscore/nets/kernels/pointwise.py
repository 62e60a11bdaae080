"""What lies between matrix products when a network is trained in bf16 on the CPU: one pass over memory each.

Torch has its products at the CPU's full speed, but spends more time on what is around them. Values are bf16, kept as
uint16 arrays, and computed with in float32; sums of gradients stay float32. Maps are (N, positions, channels).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varscore.compiled import COMPILES, compiled, inlined

if COMPILES:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    def _bits_to_float(context: object, bits: object) -> Any:
        return types.float32(types.uint32), lambda c, builder, s, a: builder.bitcast(a[0], ir.FloatType())

    def _float_to_bits(context: object, value: object) -> Any:
        return types.uint32(types.float32), lambda c, builder, s, a: builder.bitcast(a[0], ir.IntType(32))

    _as_float: Any = intrinsic(_bits_to_float)
    _as_bits: Any = intrinsic(_float_to_bits)


@inlined
def up(half):  # type: ignore[no-untyped-def]
    """bf16 to float32."""
    return _as_float(np.uint32(np.uint32(half) << np.uint32(16)))


@inlined
def down(value):  # type: ignore[no-untyped-def]
    """float32 to bf16, to the nearest, ties to even; no number keeps being none unless its payload is all ones."""
    bits = _as_bits(value)
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@compiled
def gather(x: NDArray[np.uint16], dilation: int, slope: float, columns: NDArray[np.uint16]) -> None:
    """columns[n, t, k] = leaky(x[n, t + k * dilation]): uint16 (N, T, C) to (N, T', taps, C)."""
    taps, channels = columns.shape[2], x.shape[2]
    row = np.empty((x.shape[1], channels), np.uint16)
    for n in range(columns.shape[0]):
        for t in range(x.shape[1]):
            a, b = x[n, t], row[t]
            if slope == 1:
                for c in range(channels):
                    b[c] = a[c]
            else:
                for c in range(channels):
                    value = up(a[c])
                    b[c] = down(value if value > 0 else value * np.float32(slope))
        for t in range(columns.shape[1]):
            for k in range(taps):
                a, b = row[t + k * dilation], columns[n, t, k]
                for c in range(channels):
                    b[c] = a[c]


@compiled
def scatter(columns: NDArray[np.uint16], dilation: int, x: NDArray[np.uint16]) -> None:
    """The way back through :func:`gather` with slope 1: x[n, t + k * dilation] is the sum of columns[n, t, k]."""
    taps, channels = columns.shape[2], x.shape[2]
    total = np.empty((x.shape[1], channels), np.float32)
    for n in range(columns.shape[0]):
        total[:] = 0
        for t in range(columns.shape[1]):
            for k in range(taps):
                a, b = columns[n, t, k], total[t + k * dilation]
                for c in range(channels):
                    b[c] += up(a[c])
        for t in range(x.shape[1]):
            a, b = total[t], x[n, t]
            for c in range(channels):
                b[c] = down(a[c])


@compiled
def scatter_residual(
    columns: NDArray[np.uint16],
    kept: NDArray[np.uint16],
    x: NDArray[np.uint16],
    dilation: int,
    slope: float,
    by: NDArray[np.uint16],
) -> None:
    """The way back through a residual block: the gradient of its input, ``by``, uint16 like x (N, T, C).

    columns: the gradient of what :func:`gather` gave; kept: that of the block's output, which x is part of
    """
    channels, first, last = x.shape[2], dilation, dilation + kept.shape[1]
    total = np.empty((x.shape[1], channels), np.float32)
    for n in range(columns.shape[0]):
        total[:] = 0
        for t in range(columns.shape[1]):
            for k in range(columns.shape[2]):
                a, b = columns[n, t, k], total[t + k * dilation]
                for c in range(channels):
                    b[c] += up(a[c])
        for t in range(x.shape[1]):
            a, b, out = total[t], x[n, t], by[n, t]
            for c in range(channels):
                a[c] = a[c] if up(b[c]) > 0 else a[c] * np.float32(slope)
            if first <= t < last:
                more = kept[n, t - first]
                for c in range(channels):
                    out[c] = down(a[c] + up(more[c]))
            else:
                for c in range(channels):
                    out[c] = down(a[c])


@compiled
def add_middle(x: NDArray[np.uint16], dilation: int, y: NDArray[np.uint16]) -> None:
    """y[n, t] += x[n, t + dilation]"""
    for n in range(y.shape[0]):
        for t in range(y.shape[1]):
            a, b = x[n, t + dilation], y[n, t]
            for c in range(y.shape[2]):
                b[c] = down(up(a[c]) + up(b[c]))


@compiled
def activate(x: NDArray[np.uint16], bias: NDArray[np.float32], slope: float) -> None:
    """x = leaky(x + bias), uint16 (rows, C)."""
    for row in range(x.shape[0]):
        a = x[row]
        for c in range(x.shape[1]):
            value = up(a[c]) + bias[c]
            a[c] = down(value if value > 0 else value * np.float32(slope))


@compiled
def activate_back(by: NDArray[np.uint16], y: NDArray[np.uint16], slope: float, by_bias: NDArray[np.float32]) -> None:
    """The way back through :func:`activate`, which gave y: ``by`` becomes the gradient of x; by_bias adds it up."""
    total = np.zeros(len(by_bias), np.float32)
    for row in range(by.shape[0]):
        a, b = by[row], y[row]
        for c in range(by.shape[1]):
            value = up(a[c])
            value = value if up(b[c]) > 0 else value * np.float32(slope)
            a[c] = down(value)
            total[c] += value
    for c in range(len(total)):
        by_bias[c] += total[c]


@compiled
def pool(
    x: NDArray[np.uint16],
    bias: NDArray[np.float32],
    size: int,
    slope: float,
    y: NDArray[np.uint16],
    at: NDArray[np.uint8],
) -> None:
    """y[n, t] = leaky(max(x[n, size * t + i]) + bias); at: the first i to reach the maximum, uint8 like y."""
    channels = y.shape[2]
    best, place = np.empty(channels, np.float32), np.empty(channels, np.int32)
    for n in range(y.shape[0]):
        for t in range(y.shape[1]):
            a = x[n, t * size]
            for c in range(channels):
                best[c] = up(a[c])
                place[c] = 0
            for i in range(1, size):
                a = x[n, t * size + i]
                for c in range(channels):
                    value, most = up(a[c]), best[c]
                    place[c] = i if value > most else place[c]
                    best[c] = value if value > most else most
            b, p = y[n, t], at[n, t]
            for c in range(channels):
                value = best[c] + bias[c]
                b[c] = down(value if value > 0 else value * np.float32(slope))
            for c in range(channels):
                p[c] = place[c]


@compiled
def pool_back(
    by: NDArray[np.uint16],
    y: NDArray[np.uint16],
    at: NDArray[np.uint8],
    size: int,
    slope: float,
    x: NDArray[np.uint16],
    by_bias: NDArray[np.float32],
) -> None:
    """The way back through :func:`pool`: x, the gradient of its input; that of the bias is added to ``by_bias``."""
    channels = y.shape[2]
    value, total = np.empty(channels, np.float32), np.zeros(channels, np.float32)
    for n in range(y.shape[0]):
        for t in range(y.shape[1]):
            a, b, p = by[n, t], y[n, t], at[n, t]
            for c in range(channels):
                given = up(a[c])
                value[c] = given if up(b[c]) > 0 else given * np.float32(slope)
                total[c] += value[c]
            for i in range(size):
                out = x[n, t * size + i]
                for c in range(channels):
                    out[c] = down(value[c]) if p[c] == i else np.uint16(0)
        for t in range(y.shape[1] * size, x.shape[1]):
            out = x[n, t]
            for c in range(channels):
                out[c] = 0
    for c in range(channels):
        by_bias[c] += total[c]


@compiled
def finish(peak: NDArray[np.float32], bias: NDArray[np.float32], slope: float, y: NDArray[np.uint16]) -> None:
    """y = leaky(peak + bias), float32 (N, T, C) to uint16."""
    for n in range(y.shape[0]):
        for t in range(y.shape[1]):
            a, b = peak[n, t], y[n, t]
            for c in range(y.shape[2]):
                value = a[c] + bias[c]
                b[c] = down(value if value > 0 else value * np.float32(slope))


@compiled
def finish_back(
    by: NDArray[np.uint16], y: NDArray[np.uint16], slope: float, peak: NDArray[np.float32], by_bias: NDArray[np.float32]
) -> None:
    """The way back through :func:`finish`: peak, the gradient of its input, float32."""
    total = np.zeros(len(by_bias), np.float32)
    for n in range(y.shape[0]):
        for t in range(y.shape[1]):
            a, b, out = by[n, t], y[n, t], peak[n, t]
            for c in range(y.shape[2]):
                value = up(a[c])
                out[c] = value if up(b[c]) > 0 else value * np.float32(slope)
                total[c] += out[c]
    for c in range(len(total)):
        by_bias[c] += total[c]


@compiled
def weigh(x: NDArray[np.uint16], weight: NDArray[np.float32], step: int, y: NDArray[np.uint16]) -> None:
    """y[n, s, k] = sum over p of x[n, step * s + p] * weight[k, p].

    x: (N, T, C); weight: float32 (sets, P, C); y: (N, stretches, sets, C)
    """
    channels = x.shape[2]
    total = np.empty(channels, np.float32)
    for n in range(y.shape[0]):
        for s in range(y.shape[1]):
            for k in range(y.shape[2]):
                total[:] = 0
                for p in range(weight.shape[1]):
                    a, w = x[n, step * s + p], weight[k, p]
                    for c in range(channels):
                        total[c] += up(a[c]) * w[c]
                b = y[n, s, k]
                for c in range(channels):
                    b[c] = down(total[c])


@compiled
def weigh_back(
    by: NDArray[np.uint16],
    x: NDArray[np.uint16],
    weight: NDArray[np.float32],
    step: int,
    by_x: NDArray[np.uint16],
    by_weight: NDArray[np.float32],
) -> None:
    """The way back through :func:`weigh`; the gradient of the weights is added to ``by_weight``."""
    channels = x.shape[2]
    total, given = np.empty((x.shape[1], channels), np.float32), np.empty(channels, np.float32)
    for n in range(by.shape[0]):
        total[:] = 0
        for s in range(by.shape[1]):
            for k in range(by.shape[2]):
                a = by[n, s, k]
                for c in range(channels):
                    given[c] = up(a[c])
                for p in range(weight.shape[1]):
                    seen, w, to, of = x[n, step * s + p], weight[k, p], total[step * s + p], by_weight[k, p]
                    for c in range(channels):
                        to[c] += given[c] * w[c]
                        of[c] += given[c] * up(seen[c])
        for t in range(x.shape[1]):
            a, b = total[t], by_x[n, t]
            for c in range(channels):
                b[c] = down(a[c])


@compiled
def accumulate(total: NDArray[np.float32], part: NDArray[np.uint16]) -> None:
    """total += part, float32 and uint16 (rows, columns)."""
    for row in range(total.shape[0]):
        a, b = total[row], part[row]
        for c in range(total.shape[1]):
            a[c] += up(b[c])


@compiled
def drop(x: NDArray[np.uint16], drawn: NDArray[np.uint16], dropped: int, scale: float, y: NDArray[np.uint16]) -> None:
    """y[n] is x[n] * scale, and 0 where drawn[n] < dropped; uint16 (N,), of ``drawn`` the first N."""
    by = np.float32(scale)
    for n in range(x.shape[0]):
        y[n] = down(up(x[n]) * by) if drawn[n] >= dropped else np.uint16(0)
