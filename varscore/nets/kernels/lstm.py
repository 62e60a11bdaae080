"""An LSTM that is trained in bf16 on the CPU: as ``lstmtrain`` has it, with products of half the width.

Everything is (T, N, ...), so that a step is one block. What goes from step to step in a cell stays float32.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from varscore.nets.kernels import cells
from varscore.nets.kernels.bf16 import HALF, bits


class _Direction(torch.autograd.Function):
    """States are (T + 1, N, H), one more than there are steps: step t goes from ``t + enter`` to ``t + leave``."""

    @staticmethod
    def forward(ctx: Any, steps: Tensor, inward: Tensor, recurrent: Tensor, bias: Tensor, backward: bool) -> Tensor:
        steps, (length, rows, _), width = steps.contiguous(), steps.shape, recurrent.shape[1]
        enter, leave = int(backward), int(not backward)
        inside, across = inward.detach().to(HALF), recurrent.detach().to(HALF)
        gates = (steps.flatten(0, 1) @ inside.t()).view(length, rows, 4 * width)
        hidden, kept = (torch.empty(length + 1, rows, width, dtype=HALF) for _ in range(2))
        cell, added, moved = torch.zeros(rows, width), torch.empty(rows, 4 * width, dtype=HALF), bias.detach().numpy()
        start = enter * length
        hidden[start] = kept[start] = 0
        turned = across.t()
        for t in reversed(range(length)) if backward else range(length):
            torch.mm(hidden[t + enter], turned, out=added)
            cells.forward(
                bits(gates[t]), bits(added), moved, cell.numpy(), bits(kept[t + leave]), bits(hidden[t + leave])
            )
        ctx.save_for_backward(steps, hidden, kept, gates, inside, across)
        ctx.backward = backward
        return hidden[leave : leave + length]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        steps, hidden, kept, gates, inside, across = ctx.saved_tensors
        length, rows, width = len(gates), gates.shape[1], kept.shape[2]
        enter, leave = int(ctx.backward), int(not ctx.backward)
        sums, by = torch.empty_like(gates), gradients[0].contiguous()
        later, by_cell, by_bias = torch.zeros(rows, width, dtype=HALF), torch.zeros(rows, width), torch.zeros(4 * width)
        for t in range(length) if ctx.backward else reversed(range(length)):
            left = bits(gates[t]), bits(kept[t + enter]), bits(kept[t + leave])
            cells.backward(bits(by[t]), bits(later), by_cell.numpy(), *left, bits(sums[t]), by_bias.numpy())
            torch.mm(sums[t], across, out=later)
        flat = sums.flatten(0, 1)
        by_inward = (flat.t() @ steps.flatten(0, 1)).float()
        by_recurrent = (flat.t() @ hidden[enter : enter + length].flatten(0, 1)).float()
        return (flat @ inside).view(steps.shape), by_inward, by_recurrent, by_bias, None


def direction(steps: Tensor, weights: list[Tensor], backward: bool) -> Tensor:
    """Hidden states, bf16 (T, N, H), in the order of the steps; differentiable once.

    steps: (T, N, C) on the CPU. weights: float32, as torch.lstm takes them: input-to-hidden (4 H, C), hidden-to-hidden
    (4 H, H), two biases (4 H,); gates are input, forget, candidate, output. ``backward`` begins at the last step.
    """
    inward, recurrent, bias, second = weights
    apply = _Direction.apply
    return cast(Tensor, apply(steps.to(HALF), inward, recurrent, bias + second, backward))  # type: ignore[no-untyped-call]
