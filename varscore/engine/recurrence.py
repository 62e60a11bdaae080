"""One direction of a recurrent layer, entered in the middle.

A :class:`Half` runs over the reference once, remembering the state where the alternative will enter; the alternative then
runs only from there. Feature maps here are (positions, rows, channels). Positions keep their order in both directions:
a backward half simply visits them from the last to the first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from varscore.engine.reach import Span
from varscore.nets.layers import BiLSTM


@dataclass(frozen=True, slots=True)
class State:
    """hidden and cell, float (rows, H) each, after some step."""

    hidden: Tensor
    cell: Tensor


@dataclass(frozen=True, slots=True)
class Passage:
    """What a half left behind on its way over the reference.

    inputs: what each step was given; output: hidden states, float (T, rows, H); state: on entering the changed steps.
    """

    inputs: Tensor
    output: Tensor
    state: State


class Half(ABC):
    """One direction of a BiLSTM: ``backward`` visits positions from the last to the first."""

    def __init__(self, lstm: BiLSTM, backward: bool) -> None:
        suffix = "_l0_reverse" if backward else "_l0"
        parameters = dict(lstm.named_parameters())
        self.weights = [parameters[n + suffix].detach() for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        self.width = lstm.hidden_size
        self.backward = backward

    def reference(self, steps: Tensor, changed: Span) -> Passage:
        """Run over all of ``steps``, float (T, rows, channels), noting the state before the ``changed`` ones."""
        last, rows = steps.shape[:2]
        inputs = self._inputs(steps)
        output = steps.new_empty(last, rows, self.width)
        state = State(*steps.new_zeros(2, rows, self.width))
        before, after = Span(0, changed.lo), Span(changed.lo, last)
        if self.backward:
            before, after = Span(changed.hi, last), Span(0, changed.hi)
        entered = self._run(inputs[before.slice], state, output[before.slice])
        self._run(inputs[after.slice], entered, output[after.slice])
        return Passage(inputs, output, entered)

    def alternative(self, passage: Passage, rows: Tensor, patch: Tensor, changed: Span) -> tuple[Span, Tensor]:
        """Positions whose hidden states change, and these states, float (positions, rows, H).

        rows: int64 (rows,), the reference row of each alternative; patch: float (len(changed), rows, channels), new inputs.
        """
        last = len(passage.inputs)
        span = Span(0, changed.hi) if self.backward else Span(changed.lo, last)
        rest = Span(0, changed.lo) if self.backward else Span(changed.hi, last)
        output = patch.new_empty(len(span), len(rows), self.width)
        new, old = output[changed.lo - span.lo : changed.hi - span.lo], output[rest.lo - span.lo : rest.hi - span.lo]
        entered = State(passage.state.hidden[rows], passage.state.cell[rows])
        self._run(passage.inputs[rest.slice], self._run(self._inputs(patch), entered, new), old, rows)
        return span, output

    @abstractmethod
    def _inputs(self, steps: Tensor) -> Tensor:
        """What :meth:`_run` takes for these steps."""

    @abstractmethod
    def _run(self, inputs: Tensor, state: State, output: Tensor, rows: Tensor | None = None) -> State:
        """Run over ``inputs`` (their ``rows``, or all) from ``state``; write hidden states to ``output``."""


class SteppedHalf(Half):
    """For the CPU in float32: a matrix product and a fused pointwise pass a step; input projections are kept."""

    def __init__(self, lstm: BiLSTM, backward: bool) -> None:
        super().__init__(lstm, backward)
        self.bias = self.weights[2] + self.weights[3]
        self.recurrent = self.weights[1].t().contiguous()

    def _inputs(self, steps: Tensor) -> Tensor:
        return F.linear(steps, self.weights[0], self.bias)

    def _run(self, inputs: Tensor, state: State, output: Tensor, rows: Tensor | None = None) -> State:
        from varscore.nets.lstmcell import step  # numba takes half a second to import

        hidden, cell = state.hidden, state.cell.clone()
        gates = inputs.new_empty(len(hidden), 4 * self.width)
        flat, memory, written = gates.numpy(), cell.numpy(), output.numpy()
        for t in reversed(range(len(inputs))) if self.backward else range(len(inputs)):
            given = inputs[t] if rows is None else inputs[t].index_select(0, rows)
            torch.addmm(given, hidden, self.recurrent, out=gates)
            step(flat, memory, written[t])
            hidden = output[t]
        return State(hidden, cell)


class FusedHalf(Half):
    """For every other device and precision: the library's fused kernel, a stretch a call."""

    def _inputs(self, steps: Tensor) -> Tensor:
        return steps

    def _run(self, inputs: Tensor, state: State, output: Tensor, rows: Tensor | None = None) -> State:
        if len(inputs) == 0:
            return state
        steps = inputs if rows is None else inputs[:, rows]
        start = (state.hidden[None], state.cell[None])
        order = (0,) if self.backward else ()
        hidden_states, hidden, cell = torch.lstm(
            steps.flip(order), start, self.weights, True, 1, 0.0, False, False, False
        )  # fmt: skip
        output.copy_(hidden_states.flip(order))
        return State(hidden[0].to(output.dtype), cell[0].to(output.dtype))
