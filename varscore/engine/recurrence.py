"""One direction of a recurrent layer, entered in the middle.

A :class:`Half` runs over the reference once, remembering the state where the alternative will enter; the alternative
then runs only from there. Maps here are (positions, rows, channels), so that a step is one block of memory. Positions
keep their order in both directions: a backward half simply visits them from the last to the first.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from varscore.engine.product import Product
from varscore.engine.reach import Span
from varscore.nets.layers import BiLSTM, hard_sigmoid


@dataclass(frozen=True, slots=True)
class State:
    """hidden and cell, float (rows, H) each, after some step."""

    hidden: Tensor
    cell: Tensor


@dataclass(frozen=True, slots=True)
class Passage:
    """What a half left behind on its way over the reference; valid until it runs over the next one.

    inputs: what each step was given, float (T, rows, ...); state: on entering the changed steps.
    """

    inputs: Tensor
    state: State


class Room:
    """Memory that is used again: on a CPU, pages that come fresh from the system cost more than filling them."""

    def __init__(self) -> None:
        self._blocks: dict[str, Tensor] = {}

    def take(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """A tensor of any content, of the type and on the device of ``like``.

        What was taken under this name before is no longer valid.
        """
        size = math.prod(shape)
        if name not in self._blocks or len(self._blocks[name]) < size or self._blocks[name].dtype != like.dtype:
            self._blocks[name] = like.new_empty(size)
        return self._blocks[name][:size].view(shape)


class Half(ABC):
    """One half of a BiLSTM: ``backward`` visits positions from the last to the first, as the second one does if the
    layer turns."""

    def __init__(self, lstm: BiLSTM, second: bool) -> None:
        suffix = "_l0_reverse" if second else "_l0"
        parameters = dict(lstm.named_parameters())
        self.weights = [parameters[n + suffix].detach() for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        self.width = lstm.hidden_size
        self.channels = slice(self.width, None) if second else slice(self.width)
        self.backward = second and lstm.turns
        self.room = Room()

    def reference(self, steps: Tensor, changed: Span, output: Tensor) -> Passage:
        """Run over all of ``steps``, float (T, rows, channels), noting the state before the ``changed`` ones.

        output: float (T, rows, H), written.
        """
        last, rows = steps.shape[:2]
        inputs, every = self._inputs(steps, "reference"), torch.arange(rows, device=steps.device)
        before, after = Span(0, changed.lo), Span(changed.lo, last)
        if self.backward:
            before, after = Span(changed.hi, last), Span(0, changed.hi)
        start = State(*steps.new_zeros(2, rows, self.width))
        entered = self._run(inputs[before.place], every, start, output[before.place], steps[before.place])
        self._run(inputs[after.place], every, entered, output[after.place], steps[after.place])
        return Passage(inputs, entered)

    def alternative(self, passage: Passage, rows: Tensor, patch: Tensor, changed: Span) -> tuple[Span, Tensor]:
        """Positions whose hidden states change, and these states, float (positions, rows, H), until the next call.

        rows: int64 (rows,), the reference row of each alternative; patch: float (len(changed), rows, channels).
        """
        last = len(passage.inputs)
        span = Span(0, changed.hi) if self.backward else Span(changed.lo, last)
        rest = Span(0, changed.lo) if self.backward else Span(changed.hi, last)
        output = self.room.take("alternative", patch, len(span), len(rows), self.width)
        new, old = output[changed.within(span)], output[rest.within(span)]
        entered = State(passage.state.hidden[rows], passage.state.cell[rows])
        every = torch.arange(len(rows), device=rows.device)
        turned = self._run(self._inputs(patch, "patch"), every, entered, new, patch)
        self._run(passage.inputs[rest.place], rows, turned, old)
        return span, output

    @abstractmethod
    def _inputs(self, steps: Tensor, name: str) -> Tensor:
        """What :meth:`_run` takes for these steps; what it took under the same name before is no longer valid."""

    @abstractmethod
    def _run(self, inputs: Tensor, rows: Tensor, state: State, output: Tensor, steps: Tensor | None = None) -> State:
        """Run over ``inputs[:, rows]`` from ``state`` and write hidden states to ``output``; returns the last state.

        steps: what the inputs are to be computed from, float (T, rows, channels); None where they have been.
        """


class SteppedHalf(Half):
    """For the CPU in float32: matrix products and a fused pointwise pass a step; input projections are kept."""

    def __init__(self, lstm: BiLSTM, backward: bool) -> None:
        super().__init__(lstm, backward)
        self.inward, self.recurrent = (Product(weight) for weight in self.weights[:2])
        self.bias = (self.weights[2] + self.weights[3]).numpy()

    def _inputs(self, steps: Tensor, name: str) -> Tensor:
        return self.room.take(name, steps, *steps.shape[:2], 4 * self.width)

    def _run(self, inputs: Tensor, rows: Tensor, state: State, output: Tensor, steps: Tensor | None = None) -> State:
        from varscore.nets.lstmcell import step  # numba takes half a second to import

        hidden, cell, last = state.hidden, state.cell.clone(), len(inputs)
        gates = self.room.take("gates", inputs, len(rows), 4 * self.width)
        flat, given, source, memory, written = (t.numpy() for t in (gates, inputs, rows, cell, output))
        for t in reversed(range(last)) if self.backward else range(last):
            if steps is not None:
                self.inward(steps[t], inputs[t])  # just before it is read: it is still in the cache
            self.recurrent(hidden, gates)
            step(flat, given, self.bias, source, t, memory, written, t)
            hidden = output[t]
        return State(hidden, cell)


class FusedHalf(Half):
    """For every other device and precision: the library's fused kernel, a stretch a call."""

    def _inputs(self, steps: Tensor, name: str) -> Tensor:
        return steps

    def _run(self, inputs: Tensor, rows: Tensor, state: State, output: Tensor, steps: Tensor | None = None) -> State:
        if len(inputs) == 0:
            return state
        steps = inputs[:, rows]
        order = (0,) if self.backward else ()
        start = (state.hidden[None], state.cell[None])
        states, hidden, cell = torch.lstm(steps.flip(order), start, self.weights, True, 1, 0.0, False, False, False)
        output.copy_(states.flip(order))
        return State(hidden[0].to(output.dtype), cell[0].to(output.dtype))


class HardHalf(Half):
    """With hard gates, which no fused kernel has: a few calls a step, on every device."""

    def _inputs(self, steps: Tensor, name: str) -> Tensor:
        return F.linear(steps, self.weights[0], self.weights[2] + self.weights[3])

    def _run(self, inputs: Tensor, rows: Tensor, state: State, output: Tensor, steps: Tensor | None = None) -> State:
        hidden, cell, last = state.hidden, state.cell, len(inputs)
        for t in reversed(range(last)) if self.backward else range(last):
            gates = inputs[t, rows] + F.linear(hidden, self.weights[1])
            inward, kept, candidate, outward = gates.chunk(4, 1)
            cell = hard_sigmoid(kept) * cell + hard_sigmoid(inward) * candidate.tanh()
            hidden = hard_sigmoid(outward) * cell.tanh()
            output[t] = hidden
        return State(hidden, cell)


def halves(lstm: BiLSTM, stepwise: bool) -> list[Half]:
    """Both halves of a layer. stepwise: for the CPU in float32"""
    kind = HardHalf if lstm.hard_gates else SteppedHalf if stepwise else FusedHalf
    return [kind(lstm, False), kind(lstm, True)]
