"""The pointwise half of an LSTM step on the CPU, fused into one pass over the gates and compiled by numba."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from varscore.compiled import compiled
from varscore.nets.kernels.rational import sigmoid, sigmoid_tanh, tanh

_ONE = np.float32(1)


@compiled
def step(
    gates: NDArray[np.float32],
    given: NDArray[np.float32],
    bias: NDArray[np.float32],
    source: NDArray[np.int64],
    cell: NDArray[np.float32],
    hidden: NDArray[np.float32],
    to: int,
) -> None:
    """One step of a batch of rows.

    gates: float32 (rows, 4 H), what the hidden state adds to input, forget, candidate and output gate
    given: float32 (sources, 4 H), what the inputs add; row r takes ``given[source[r]]``
    bias: float32 (4 H,), is added too
    cell: float32 (rows, H), updated; hidden: float32 (T', rows, H), written at step ``to``
    """
    width = cell.shape[1]
    for row in range(cell.shape[0]):
        g, x, c, h = gates[row], given[source[row]], cell[row], hidden[to, row]
        # short loops over few arrays: the compiler vectorises these, and a row stays in the fastest cache between them
        for j in range(4 * width):
            g[j] += x[j] + bias[j]
        inward, kept, candidate, outward = g[:width], g[width : 2 * width], g[2 * width : 3 * width], g[3 * width :]
        for j in range(width):
            inward[j] = sigmoid_tanh(inward[j], candidate[j])
        for j in range(width):
            kept[j] = sigmoid(kept[j])
        for j in range(width):
            c[j] = kept[j] * c[j] + inward[j]
        for j in range(width):
            h[j] = sigmoid_tanh(outward[j], c[j])


@compiled
def training_step(
    gates: NDArray[np.float32],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    seen: NDArray[np.float32],
    first: int,
) -> None:
    """One step of a batch of rows that keeps what :func:`gradient_step` needs. All float32.

    gates: (rows, 4 H), the sums that go into input, forget, candidate and output gate; become the gates
    before, after: (rows, H), cell states; ``after`` is written
    seen: (rows, first + H); the hidden states are written behind the first ``first`` columns
    """
    width = before.shape[1]
    for row in range(before.shape[0]):
        g, p, a, h = gates[row], before[row], after[row], seen[row, first:]
        inward, kept, candidate, outward = g[:width], g[width : 2 * width], g[2 * width : 3 * width], g[3 * width :]
        for j in range(2 * width):
            g[j] = sigmoid(g[j])
        for j in range(width):
            candidate[j] = tanh(candidate[j])
        for j in range(width):
            outward[j] = sigmoid(outward[j])
        for j in range(width):
            a[j] = kept[j] * p[j] + inward[j] * candidate[j]
        for j in range(width):
            h[j] = outward[j] * tanh(a[j])


@compiled
def gradient_step(
    hidden: NDArray[np.float32],
    cell: NDArray[np.float32],
    gates: NDArray[np.float32],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    sums: NDArray[np.float32],
    bias: NDArray[np.float32],
) -> None:
    """The way back through :func:`training_step`. All float32.

    hidden: (rows, H), the gradient of the hidden states
    cell: (rows, H), the gradient of the cell states that comes from later steps; becomes that for the step before
    gates, before, after: what :func:`training_step` left
    sums: (rows, 4 H), written: the gradient of the sums that go into the gates; it is added to ``bias`` (4 H,)
    """
    width = before.shape[1]
    for row in range(before.shape[0]):
        h, c, p, a, g, s = hidden[row], cell[row], before[row], after[row], gates[row], sums[row]
        inward, kept, candidate, outward = g[:width], g[width : 2 * width], g[2 * width : 3 * width], g[3 * width :]
        for j in range(width):
            t = tanh(a[j])
            s[3 * width + j] = h[j] * t * outward[j] * (_ONE - outward[j])
            c[j] += h[j] * outward[j] * (_ONE - t * t)
        for j in range(width):
            s[j] = c[j] * candidate[j] * inward[j] * (_ONE - inward[j])
        for j in range(width):
            s[width + j] = c[j] * p[j] * kept[j] * (_ONE - kept[j])
        for j in range(width):
            s[2 * width + j] = c[j] * inward[j] * (_ONE - candidate[j] * candidate[j])
        for j in range(width):
            c[j] *= kept[j]
        for j in range(4 * width):
            bias[j] += s[j]
