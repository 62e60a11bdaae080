"""An LSTM that is trained on the CPU: large matrix products, and little between them.

What a step sees is one row of memory, its inputs and the hidden state before it. Inputs take part in one product before
the recurrence, the gradients of weights and inputs are one product each after it; a step that is left is a product with
the hidden-to-hidden weights and one fused pass over the gates (:mod:`varscore.nets.kernels.lstmcell`). Everything is
(T, N, ...), so that a step is one block.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from varscore.nets.kernels.lstmcell import gradient_step, training_step


class _Direction(torch.autograd.Function):
    """States are (T + 1, N, ...), one more than there are steps: step t goes from ``t + enter`` to ``t + leave``."""

    @staticmethod
    def forward(ctx: Any, steps: Tensor, weight: Tensor, bias: Tensor, backward: bool) -> Tensor:
        length, rows, first = steps.shape
        width, enter, leave = len(bias) // 4, int(backward), int(not backward)
        seen = steps.new_empty(length + 1, rows, first + width)
        cells = steps.new_empty(length + 1, rows, width)
        start = enter * length
        seen[enter : enter + length, :, :first] = steps
        seen[start, :, first:] = cells[start] = 0
        transposed = weight.t().contiguous()
        inputs = seen[enter : enter + length, :, :first].flatten(0, 1)
        gates = torch.addmm(bias, inputs, transposed[:first]).view(length, rows, 4 * width)
        g, c, s = gates.numpy(), cells.numpy(), seen.numpy()
        for t in reversed(range(length)) if backward else range(length):
            gates[t].addmm_(seen[t + enter, :, first:], transposed[first:])
            training_step(g[t], c[t + enter], c[t + leave], s[t + leave], first)
        ctx.save_for_backward(seen, cells, gates, weight)
        ctx.backward = backward
        return seen[leave : leave + length, :, first:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        seen, cells, gates, weight = ctx.saved_tensors
        length, width, enter, leave = len(gates), cells.shape[2], int(ctx.backward), int(not ctx.backward)
        first = seen.shape[2] - width
        by_hidden, by_cell = torch.zeros_like(cells), torch.zeros_like(cells[0])
        by_hidden[leave : leave + length] = gradients[0]
        by_sums, by_bias = torch.empty_like(gates), gates.new_zeros(4 * width)
        h, m, g, c, s, b = (a.numpy() for a in (by_hidden, by_cell, gates, cells, by_sums, by_bias))
        for t in range(length) if ctx.backward else reversed(range(length)):
            gradient_step(h[t + leave], m, g[t], c[t + enter], c[t + leave], s[t], b)
            by_hidden[t + enter].addmm_(by_sums[t], weight[:, first:])
        flat = by_sums.flatten(0, 1)
        by_steps = (flat @ weight[:, :first]).view(length, -1, first) if ctx.needs_input_grad[0] else None
        return by_steps, flat.t() @ seen[enter : enter + length].flatten(0, 1), by_bias, None


def direction(steps: Tensor, weights: list[Tensor], backward: bool) -> Tensor:
    """Hidden states, float32 (T, N, H), in the order of the steps; differentiable once.

    steps: float32 (T, N, C) on the CPU. weights: as torch.lstm takes them: input-to-hidden (4 H, C), hidden-to-hidden
    (4 H, H), two biases (4 H,); gates are input, forget, candidate, output. ``backward`` begins at the last step.
    """
    inward, recurrent, bias, second = weights
    both = torch.cat([inward, recurrent], 1)
    return cast(Tensor, _Direction.apply(steps, both, bias + second, backward))  # type: ignore[no-untyped-call]
