"""A BiLSTM in pieces: any stretch of steps, either direction, from any state.

What makes sharing possible is that a recurrence can be entered in the middle. On the CPU a step is one matrix product and one
fused pointwise pass, about 1.5 times faster than the library's whole-sequence kernel, and input projections are kept so that
a restarted stretch does not compute them again. On other devices a stretch is one call of the library's fused kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from varscore.nets.layers import BiLSTM

BACKWARD = 1


@dataclass(frozen=True, slots=True)
class State:
    """hidden and cell, float (rows, H) each, after some step of one direction."""

    hidden: Tensor
    cell: Tensor

    def rows(self, index: Tensor) -> State:
        return State(self.hidden[index], self.cell[index])


class Direction:
    """One direction's weights. Steps always run through the stretch they are given front to back: callers flip time."""

    def __init__(self, lstm: BiLSTM, backward: bool) -> None:
        suffix = "_l0_reverse" if backward else "_l0"
        self.weights = [getattr(lstm, name + suffix).detach() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        self.hidden = lstm.hidden_size
        w_in, w_hidden, b_in, b_hidden = self.weights
        self.stepwise = w_in.device.type == "cpu" and w_in.dtype == torch.float32
        self.recurrent = w_hidden.t().contiguous()
        self.bias = b_in + b_hidden

    def start(self, rows: int) -> State:
        return State(*(self.bias.new_zeros(2, rows, self.hidden)))

    def prepare(self, steps: Tensor) -> Tensor:
        """What :meth:`run` takes for the inputs ``steps``, float (T, rows, channels): input projections on the CPU."""
        return F.linear(steps, self.weights[0], self.bias) if self.stepwise else steps

    def run(self, prepared: Tensor, state: State) -> tuple[Tensor, State]:
        """Hidden states (T, rows, H) over a stretch entered in ``state``, and the state after it."""
        if self.stepwise:
            return self._steps(prepared, state)
        start = state.hidden[None], state.cell[None]
        output, hidden, cell = torch.lstm(prepared, start, self.weights, True, 1, 0.0, False, False, False)
        return output, State(hidden[0], cell[0])

    def _steps(self, prepared: Tensor, state: State) -> tuple[Tensor, State]:
        from varscore.engine.cell import lstm_cell  # numba takes half a second to import

        output = prepared.new_empty(*prepared.shape[:2], self.hidden)
        hidden, cell = state.hidden, state.cell.clone()
        gates = prepared.new_empty(prepared.shape[1:])
        flat, memory, outputs = gates.numpy(), cell.numpy(), output.numpy()
        for step in range(len(prepared)):
            torch.addmm(prepared[step], hidden, self.recurrent, out=gates)
            lstm_cell(flat, memory, outputs[step])
            hidden = output[step]
        return output, State(hidden, cell)
