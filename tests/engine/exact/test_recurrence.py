"""Halves of a recurrent layer, entered in the middle, against the whole layer of torch in double precision."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from varscore.engine.exact.cells import Workspace
from varscore.engine.exact.maps import FeatureMap, SharedMap, WholeMap
from varscore.engine.exact.reach import Span
from varscore.engine.exact.recurrence import FusedDirection, LstmDirection, SteppedDirection
from varscore.nets.layers import BiLSTM

CHANNELS, HIDDEN = 3, 5
KINDS = [SteppedDirection, FusedDirection]


def layer() -> BiLSTM:
    torch.manual_seed(0)
    lstm = BiLSTM(CHANNELS, HIDDEN)
    for weight in lstm.parameters():
        nn.init.normal_(weight, std=0.7)
    return lstm


LSTM = layer()
DIRECTIONS = {(kind, backward): kind(LSTM, backward) for kind in KINDS for backward in (False, True)}


def as_map(kind: type[LstmDirection], steps: Tensor) -> FeatureMap:
    """(T, rows, channels), as this kind of direction wants it."""
    return SharedMap.separate(steps, Workspace()) if kind is SteppedDirection else WholeMap(steps.permute(1, 2, 0))


def whole(steps: Tensor, backward: bool) -> tuple[Tensor, Tensor]:
    """Hidden and cell states after every step, float64 (rows, T, H) each, by torch's own layer, one step at a time."""
    lstm = nn.LSTM(CHANNELS, HIDDEN, batch_first=True).double()
    suffix = "_reverse" if backward else ""
    lstm.load_state_dict({name: LSTM.state_dict()[name + suffix].double() for name in lstm.state_dict()})
    hidden = cell = torch.zeros(1, len(steps), HIDDEN, dtype=torch.float64)
    states = []
    with torch.no_grad():
        for now in (steps.flip(1) if backward else steps).double().unbind(1):
            _, (hidden, cell) = lstm(now[:, None], (hidden, cell))
            states.append((hidden[0], cell[0]))
    both = [torch.stack([state[i] for state in states], 1) for i in (0, 1)]
    return (both[0].flip(1), both[1].flip(1)) if backward else (both[0], both[1])


@st.composite
def stretches(draw: st.DrawFn) -> tuple[int, Span]:
    """The number of steps and those of them that change."""
    last = draw(st.integers(1, 9))
    lo = draw(st.integers(0, last - 1))
    return last, Span(lo, draw(st.integers(lo + 1, last)))


EDGES = [(9, Span(0, 9)), (9, Span(0, 1)), (9, Span(8, 9)), (9, Span(3, 9)), (9, Span(4, 5)), (1, Span(0, 1))]


def check(direction: LstmDirection, last: int, changed: Span, seed: int) -> None:
    torch.manual_seed(seed)
    steps = torch.randn(4, last, CHANNELS)
    rows = torch.tensor([2, 0, 0, 3, 1, 2])
    patch = torch.randn(len(rows), len(changed), CHANNELS)
    with torch.inference_mode():
        (boundary,), states = direction.reference(as_map(type(direction), steps.transpose(0, 1)), [changed])
        before = boundary.state.hidden.clone(), boundary.state.cell.clone()
        span, found = direction.alternative(boundary, rows, as_map(type(direction), patch.transpose(0, 1)), changed)
    states, found = states.transpose(0, 1), found.transpose(0, 1)

    hidden, cell = whole(steps, direction.backward)
    assert (states - hidden).abs().max() < 1e-5
    entry = changed.hi if direction.backward else changed.lo - 1
    for state, true in zip(before, (hidden, cell), strict=True):
        expected = true[:, entry] if 0 <= entry < last else torch.zeros(4, HIDDEN)
        assert (state - expected).abs().max() < 1e-5

    patched = steps[rows]
    patched[:, changed.place] = patch
    expected = whole(patched, direction.backward)[0]
    assert (span.lo, span.hi) == ((0, changed.hi) if direction.backward else (changed.lo, last))
    assert found.shape == (len(rows), len(span), HIDDEN)
    assert (found - expected[:, span.place]).abs().max() < 1e-5
    untouched = expected[:, changed.hi :] if direction.backward else expected[:, : changed.lo]
    reference = hidden[rows, changed.hi :] if direction.backward else hidden[rows, : changed.lo]
    # the same but for the rounding of another number of rows
    assert torch.allclose(untouched, reference, rtol=0, atol=1e-13), "what the engine leaves out is the reference's own"
    assert all(map(torch.equal, before, (boundary.state.hidden, boundary.state.cell))), "the state can be used again"


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("last", "changed"), EDGES)
def test_a_half_entered_at_the_edges(kind: type[LstmDirection], backward: bool, last: int, changed: Span) -> None:
    check(DIRECTIONS[kind, backward], last, changed, seed=0)


@settings(max_examples=40)
@given(stretches(), st.sampled_from(KINDS), st.booleans(), st.integers(0, 99))
def test_a_half_entered_anywhere(
    stretch: tuple[int, Span], kind: type[LstmDirection], backward: bool, seed: int
) -> None:
    check(DIRECTIONS[kind, backward], *stretch, seed=seed)


@pytest.mark.parametrize("kind", KINDS)
def test_both_halves_together_are_the_bidirectional_layer(kind: type[LstmDirection]) -> None:
    torch.manual_seed(1)
    steps = torch.randn(7, 3, CHANNELS)
    with torch.inference_mode():
        both = [
            DIRECTIONS[kind, backward].reference(as_map(kind, steps), [Span(2, 4)])[1] for backward in (False, True)
        ]
        expected = copy.deepcopy(LSTM).double()(steps.permute(1, 2, 0).double()).permute(2, 0, 1)
    assert (torch.cat(both, 2) - expected).abs().max() < 1e-5


def test_an_unchanged_patch_changes_nothing() -> None:
    torch.manual_seed(2)
    steps, rows = torch.randn(8, 4, CHANNELS), torch.arange(4)
    changed = Span(3, 5)
    for direction in DIRECTIONS.values():
        with torch.inference_mode():
            (boundary,), states = direction.reference(as_map(type(direction), steps), [changed])
            span, found = direction.alternative(boundary, rows, as_map(type(direction), steps[changed.place]), changed)
        assert (found - states[span.place]).abs().max() < 1e-6
