"""The cells of an LSTM that is trained in bf16: one pass over the gates of a step. bf16 values are uint16 arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from varscore.compiled import compiled
from varscore.nets.kernels.pointwise import down, up
from varscore.nets.kernels.rational import sigmoid, tanh

_ONE = np.float32(1)


@compiled
def forward(
    given: NDArray[np.uint16],
    added: NDArray[np.uint16],
    bias: NDArray[np.float32],
    cell: NDArray[np.float32],
    kept: NDArray[np.uint16],
    hidden: NDArray[np.uint16],
) -> None:
    """One step of a batch of rows.

    given: (rows, 4 H), what the inputs add to input, forget, candidate and output gate; becomes the gates
    added: (rows, 4 H), what the hidden state adds; bias: float32 (4 H,)
    cell: float32 (rows, H), updated; kept, hidden: (rows, H), written: the cell and hidden states
    """
    width = cell.shape[1]
    gates = np.empty(4 * width, np.float32)
    for row in range(cell.shape[0]):
        g, a, c, k, h = given[row], added[row], cell[row], kept[row], hidden[row]
        inward, forget, candidate, outward = (
            gates[:width],
            gates[width : 2 * width],
            gates[2 * width : 3 * width],
            gates[3 * width :],
        )
        for j in range(4 * width):
            gates[j] = up(g[j]) + up(a[j]) + bias[j]
        for j in range(2 * width):
            gates[j] = sigmoid(gates[j])
        for j in range(width):
            candidate[j] = tanh(candidate[j])
        for j in range(width):
            outward[j] = sigmoid(outward[j])
        for j in range(4 * width):
            g[j] = down(gates[j])
        for j in range(width):
            c[j] = forget[j] * c[j] + inward[j] * candidate[j]
        for j in range(width):
            k[j] = down(c[j])
        for j in range(width):
            h[j] = down(outward[j] * tanh(c[j]))


@compiled
def backward(
    by: NDArray[np.uint16],
    later: NDArray[np.uint16],
    by_cell: NDArray[np.float32],
    gates: NDArray[np.uint16],
    before: NDArray[np.uint16],
    after: NDArray[np.uint16],
    sums: NDArray[np.uint16],
    by_bias: NDArray[np.float32],
) -> None:
    """The way back through :func:`forward`.

    by, later: (rows, H), the gradient of the hidden states: from the layer above, and from the step after this one
    by_cell: float32 (rows, H), that of the cell states from later steps; becomes that for the step before
    gates: (rows, 4 H); before, after: (rows, H), the cell states: what :func:`forward` left
    sums: (rows, 4 H), written: the gradient of the sums that went into the gates; it is added to ``by_bias``
    """
    width = by_cell.shape[1]
    values, total = np.empty(4 * width, np.float32), np.zeros(4 * width, np.float32)
    hidden, bent = np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(by_cell.shape[0]):
        g, c, b, n, p, a, s = gates[row], by_cell[row], by[row], later[row], before[row], after[row], sums[row]
        inward, forget, candidate, outward = (
            values[:width],
            values[width : 2 * width],
            values[2 * width : 3 * width],
            values[3 * width :],
        )
        for j in range(4 * width):
            values[j] = up(g[j])
        for j in range(width):
            hidden[j] = up(b[j]) + up(n[j])
        for j in range(width):
            bent[j] = tanh(up(a[j]))
        for j in range(width):
            c[j] += hidden[j] * outward[j] * (_ONE - bent[j] * bent[j])
        for j in range(width):
            outward[j] = hidden[j] * bent[j] * outward[j] * (_ONE - outward[j])
        for j in range(width):
            now, gate, kept, new = c[j], inward[j], forget[j], candidate[j]
            c[j] = now * kept
            inward[j] = now * new * gate * (_ONE - gate)
            forget[j] = now * up(p[j]) * kept * (_ONE - kept)
            candidate[j] = now * gate * (_ONE - new * new)
        for j in range(4 * width):
            total[j] += values[j]
            s[j] = down(values[j])
    for j in range(4 * width):
        by_bias[j] += total[j]
