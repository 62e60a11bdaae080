"""One direction of a recurrent layer, entered in the middle.

A :class:`Half` runs over the reference once, remembering the state where the alternative will enter; the alternative
then runs only from there. Maps here are (positions, rows, channels), so that a step is one block of memory. Positions
keep their order in both directions: a backward half simply visits them from the last to the first.
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

    inputs: what each step was given, float (T, rows, ...); state: on entering the changed steps.
    """

    inputs: Tensor
    state: State


class Half(ABC):
    """One direction of a BiLSTM: ``backward`` visits positions from the last to the first."""

    def __init__(self, lstm: BiLSTM, backward: bool) -> None:
        suffix = "_l0_reverse" if backward else "_l0"
        parameters = dict(lstm.named_parameters())
        self.weights = [parameters[n + suffix].detach() for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        self.width = lstm.hidden_size
        self.channels = slice(self.width, None) if backward else slice(self.width)
        self.backward = backward

    def reference(self, steps: Tensor, changed: Span, output: Tensor) -> Passage:
        """Run over all of ``steps``, float (T, rows, channels), noting the state before the ``changed`` ones.

        output: float (T, rows, H), written.
        """
        last, rows = steps.shape[:2]
        inputs, every = self._inputs(steps), torch.arange(rows, device=steps.device)
        before, after = Span(0, changed.lo), Span(changed.lo, last)
        if self.backward:
            before, after = Span(changed.hi, last), Span(0, changed.hi)
        start = State(*steps.new_zeros(2, rows, self.width))
        entered = self._run(inputs[before.place], every, start, output[before.place])
        self._run(inputs[after.place], every, entered, output[after.place])
        return Passage(inputs, entered)

    def alternative(self, passage: Passage, rows: Tensor, patch: Tensor, changed: Span) -> tuple[Span, Tensor]:
        """Positions whose hidden states change, and these states, float (positions, rows, H).

        rows: int64 (rows,), the reference row of each alternative; patch: float (len(changed), rows, channels).
        """
        last = len(passage.inputs)
        span = Span(0, changed.hi) if self.backward else Span(changed.lo, last)
        rest = Span(0, changed.lo) if self.backward else Span(changed.hi, last)
        output = patch.new_empty(len(span), len(rows), self.width)
        new, old = output[changed.within(span)], output[rest.within(span)]
        entered = State(passage.state.hidden[rows], passage.state.cell[rows])
        turned = self._run(self._inputs(patch), torch.arange(len(rows), device=rows.device), entered, new)
        self._run(passage.inputs[rest.place], rows, turned, old)
        return span, output

    @abstractmethod
    def _inputs(self, steps: Tensor) -> Tensor:
        """What :meth:`_run` takes for these steps."""

    @abstractmethod
    def _run(self, inputs: Tensor, rows: Tensor, state: State, output: Tensor) -> State:
        """Run over ``inputs[:, rows]`` from ``state`` and write hidden states to ``output``; returns the last state."""


class SteppedHalf(Half):
    """For the CPU in float32: a matrix product and a fused pointwise pass a step; input projections are kept."""

    def __init__(self, lstm: BiLSTM, backward: bool) -> None:
        super().__init__(lstm, backward)
        self.bias = self.weights[2] + self.weights[3]
        self.recurrent = self.weights[1].t().contiguous()

    def _inputs(self, steps: Tensor) -> Tensor:
        return F.linear(steps, self.weights[0], self.bias)

    def _run(self, inputs: Tensor, rows: Tensor, state: State, output: Tensor) -> State:
        from varscore.nets.lstmcell import step  # numba takes half a second to import

        hidden, cell, last = state.hidden, state.cell.clone(), len(inputs)
        gates = inputs.new_empty(len(rows), 4 * self.width)
        flat, given, source, memory, written = (t.numpy() for t in (gates, inputs, rows, cell, output))
        for t in reversed(range(last)) if self.backward else range(last):
            torch.mm(hidden, self.recurrent, out=gates)
            step(flat, given, source, t, memory, written, t)
            hidden = output[t]
        return State(hidden, cell)


class FusedHalf(Half):
    """For every other device and precision: the library's fused kernel, a stretch a call."""

    def _inputs(self, steps: Tensor) -> Tensor:
        return steps

    def _run(self, inputs: Tensor, rows: Tensor, state: State, output: Tensor) -> State:
        if len(inputs) == 0:
            return state
        steps = inputs[:, rows]
        order = (0,) if self.backward else ()
        start = (state.hidden[None], state.cell[None])
        states, hidden, cell = torch.lstm(steps.flip(order), start, self.weights, True, 1, 0.0, False, False, False)
        output.copy_(states.flip(order))
        return State(hidden[0].to(output.dtype), cell[0].to(output.dtype))
