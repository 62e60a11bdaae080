"""One direction of a recurrent layer, entered in the middle.

A :class:`LstmDirection` runs over the reference once, remembering the state where the alternative will enter; the
alternative then runs only from there. Maps here are (positions, rows, channels), so that a step is one block of memory.
Positions keep their order in both directions: the backward one simply visits them from the last to the first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from varscore.engine.exact.maps import FeatureMap, SharedMap
from varscore.engine.exact.memory import ScratchBuffers
from varscore.engine.exact.product import BLOCK, Product
from varscore.engine.exact.reach import Span
from varscore.nets.layers import BiLSTM, hard_sigmoid, lstm_in_full


@dataclass(frozen=True, slots=True)
class State:
    """hidden and cell, float (rows, H) each, after some step."""

    hidden: Tensor
    cell: Tensor


@dataclass(frozen=True, slots=True)
class BoundaryState:
    """What a direction left behind on its way over the reference; valid until it runs over the next one.

    length: steps in all; inputs: what they were given, as the direction wants it; state: on entering the changed steps.
    """

    length: int
    inputs: Any
    state: State


class LstmDirection(ABC):
    """One direction of a BiLSTM: ``backward`` visits positions from the last to the first, as the second one does if
    the layer turns."""

    def __init__(self, lstm: BiLSTM, second: bool) -> None:
        suffix = "_l0_reverse" if second else "_l0"
        parameters = dict(lstm.named_parameters())
        self.weights = [parameters[n + suffix].detach() for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        self.width = lstm.hidden_size
        self.channels = slice(self.width, None) if second else slice(self.width)
        self.backward = second and lstm.turns
        self.scratch = ScratchBuffers()

    def reference(self, steps: FeatureMap, changes: Sequence[Span]) -> tuple[list[BoundaryState], Tensor]:
        """Run over all ``steps``, noting the state before those of each of the ``changes``.

        Returns a boundary for each change, and the hidden states, float (T, rows, H).
        """
        last, rows = steps.size
        output = self.scratch.take("hidden", steps.values, last, rows, self.width)
        inputs, every = self._inputs(steps, "reference"), torch.arange(rows, device=output.device)
        entries = [changed.hi if self.backward else changed.lo for changed in changes]
        state, at = State(*output.new_zeros(2, rows, self.width)), last if self.backward else 0
        entered: dict[int, State] = {}
        for entry in [*sorted(set(entries), reverse=self.backward), 0 if self.backward else last]:
            span = Span(entry, at) if self.backward else Span(at, entry)
            state = self._run(inputs, span, every, state, output[span.place])
            entered.setdefault(entry, state)
            at = entry
        return [BoundaryState(last, inputs, entered[entry]) for entry in entries], output

    def alternative(
        self, boundary: BoundaryState, rows: Tensor, patch: FeatureMap, changed: Span
    ) -> tuple[Span, Tensor]:
        """Positions whose hidden states change, and these states, float (positions, rows, H), until the next call.

        rows: int64 (rows,), the reference row of each alternative; patch: what its ``changed`` steps are given.
        """
        span = Span(0, changed.hi) if self.backward else Span(changed.lo, boundary.length)
        rest = Span(0, changed.lo) if self.backward else Span(changed.hi, boundary.length)
        entered = State(boundary.state.hidden[rows], boundary.state.cell[rows])
        output = self.scratch.take("alternative", patch.values, len(span), len(rows), self.width)
        new, old = output[changed.within(span)], output[rest.within(span)]
        every = torch.arange(len(rows), device=rows.device)
        turned = self._run(self._inputs(patch, "patch"), Span(0, len(changed)), every, entered, new)
        self._run(boundary.inputs, rest, rows, turned, old)
        return span, output

    @abstractmethod
    def _inputs(self, steps: FeatureMap, name: str) -> Any:
        """What :meth:`_run` takes for these steps; what it took under the same name before is no longer valid."""

    @abstractmethod
    def _run(self, inputs: Any, span: Span, rows: Tensor, state: State, output: Tensor) -> State:
        """Run the given rows over a span of the steps, from ``state``, and write hidden states to ``output``, float
        (len(span), len(rows), H); returns the last state."""


class Projected:
    """What the steps of a map add to the gates: a product for each of its columns, made just before it is first read.

    It is then still in the cache. sums: float32 (columns, 4 H)
    """

    def __init__(self, product: Product, steps: SharedMap, sums: Tensor) -> None:
        self.sums = sums
        self._product, self._columns, self._index = product, steps.values, steps.index
        self._missing = set(range(len(steps.values) // BLOCK))
        blocks = steps.index // BLOCK
        self._first, self._last = blocks.min(1).tolist(), blocks.max(1).tolist()

    def sources(self, span: Span, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of ``sums`` that are some rows' at these steps, int64 (len(span), len(rows))."""
        return self._index[span.place][:, rows]

    def make(self, step: int) -> None:
        """Make what a step reads and nobody has read yet."""
        if self._missing:
            for block in self._missing.intersection(range(self._first[step], self._last[step] + 1)):
                here = slice(block * BLOCK, (block + 1) * BLOCK)
                self._product(self._columns[here], self.sums[here])
                self._missing.remove(block)


class SteppedDirection(LstmDirection):
    """For the CPU in float32: matrix products and a fused pointwise pass a step; input projections are kept."""

    def __init__(self, lstm: BiLSTM, backward: bool) -> None:
        super().__init__(lstm, backward)
        self.inward, self.recurrent = (Product(weight) for weight in self.weights[:2])
        self.bias = (self.weights[2] + self.weights[3]).numpy()

    def _inputs(self, steps: FeatureMap, name: str) -> Projected:
        shared = cast(SharedMap, steps)
        sums = self.scratch.take(name, shared.values, len(shared.values), 4 * self.width)
        return Projected(self.inward, shared, sums)

    def _run(self, inputs: Projected, span: Span, rows: Tensor, state: State, output: Tensor) -> State:
        from varscore.nets.kernels.lstmcell import step  # numba takes half a second to import

        hidden, cell, order = state.hidden, state.cell.clone(), range(span.lo, span.hi)
        gates = self.scratch.take("gates", output, len(rows), 4 * self.width)
        flat, given, chosen, memory, written = (t.numpy() for t in (gates, inputs.sums, rows, cell, output))
        sources, states = inputs.sources(span, chosen), output.unbind()
        for t in reversed(order) if self.backward else order:
            inputs.make(t)
            self.recurrent(hidden, gates)
            step(flat, given, self.bias, sources[t - span.lo], memory, written, t - span.lo)
            hidden = states[t - span.lo]
        return State(hidden, cell)


class FusedDirection(LstmDirection):
    """For every other device and precision: the library's fused kernel, a stretch a call."""

    def _inputs(self, steps: FeatureMap, name: str) -> Tensor:
        return steps.whole().permute(2, 0, 1).contiguous()

    def _run(self, inputs: Tensor, span: Span, rows: Tensor, state: State, output: Tensor) -> State:
        if not len(span):
            return state
        steps = inputs[span.place, rows]
        order = (0,) if self.backward else ()

        def run(steps: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return torch.lstm(steps, (hidden, cell), self.weights, True, 1, 0.0, False, False, False)

        states, hidden, cell = lstm_in_full(run, steps.flip(order), state.hidden[None], state.cell[None])
        output.copy_(states.flip(order))
        return State(hidden[0].to(output.dtype), cell[0].to(output.dtype))


class HardDirection(LstmDirection):
    """With hard gates, which no fused kernel has: a few calls a step, on every device."""

    def _inputs(self, steps: FeatureMap, name: str) -> Tensor:
        return F.linear(steps.whole().permute(2, 0, 1).contiguous(), self.weights[0], self.weights[2] + self.weights[3])

    def _run(self, inputs: Tensor, span: Span, rows: Tensor, state: State, output: Tensor) -> State:
        hidden, cell, order = state.hidden, state.cell, range(span.lo, span.hi)
        for t in reversed(order) if self.backward else order:
            gates = inputs[t, rows] + F.linear(hidden, self.weights[1])
            inward, kept, candidate, outward = gates.chunk(4, 1)
            cell = hard_sigmoid(kept) * cell + hard_sigmoid(inward) * candidate.tanh()
            hidden = hard_sigmoid(outward) * cell.tanh()
            output[t - span.lo] = hidden
        return State(hidden, cell)


def directions(lstm: BiLSTM, stepwise: bool) -> list[LstmDirection]:
    """Both directions of a layer. stepwise: for the CPU in float32"""
    kind = HardDirection if lstm.hard_gates else SteppedDirection if stepwise else FusedDirection
    return [kind(lstm, False), kind(lstm, True)]
