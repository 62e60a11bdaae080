"""The fused LSTM step against torch in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from varscore.nets.kernels.lstmcell import step

TOLERANCE = 4e-7
LANES = 16
"""float32 values of the widest registers"""


def true_step(gates: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hidden and cell state, float64, from the sums that go into the gates (input, forget, candidate, output)."""
    inward, kept, candidate, outward = (torch.from_numpy(g.astype(np.float64)) for g in np.split(gates, 4, 1))
    new = kept.sigmoid() * torch.from_numpy(cell.astype(np.float64)) + inward.sigmoid() * candidate.tanh()
    return (outward.sigmoid() * new.tanh()).numpy(), new.numpy()


def run(gates: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step with all of ``gates``, float32 (rows, 4 H), given by the inputs."""
    rows, width = cell.shape
    hidden, memory = np.zeros((1, rows, width), np.float32), cell.copy()
    bias = np.zeros(4 * width, np.float32)
    step(np.zeros_like(gates), gates, bias, np.arange(rows), memory, hidden, 0)
    return hidden[0], memory


def wide(gates: np.ndarray, cell: np.ndarray, width: int = 2 * LANES + 3) -> tuple[np.ndarray, np.ndarray]:
    """The same cells over and over, in vectors and a rest: at least ``width`` of them."""
    copies = -(-width // cell.shape[1])
    return np.tile(gates.reshape(len(gates), 4, -1), copies).reshape(len(gates), -1), np.tile(cell, copies)


def check(gates: np.ndarray, cell: np.ndarray) -> None:
    """What the forget gate keeps of a large cell state is as uncertain as the state is large."""
    for sums, before in ((gates, cell), wide(gates, cell)):
        hidden, memory = run(sums, before)
        expected, remembered = true_step(sums, before)
        allowed = TOLERANCE * np.maximum(1, np.abs(before))
        assert (np.abs(hidden - expected) < allowed).all()
        assert (np.abs(memory - remembered) < allowed).all()


@pytest.mark.parametrize("width", [1, 2, 7, 8, LANES - 1, LANES, LANES + 1, 2 * LANES, 2 * LANES + 1])
@pytest.mark.parametrize("scale", [0.01, 1, 5, 40])
def test_a_step_is_within_4e7_of_the_truth(width: int, scale: float) -> None:
    random = np.random.default_rng(width)
    gates = random.normal(0, scale, (200, 4 * width)).astype(np.float32)
    check(gates, random.normal(0, 2, (200, width)).astype(np.float32))


@given(
    hnp.arrays(np.float32, (3, 8), elements=st.floats(-20, 20, width=32)),
    hnp.arrays(np.float32, (3, 2), elements=st.floats(-70, 70, width=32)),
)
def test_any_gates(gates: np.ndarray, cell: np.ndarray) -> None:
    check(gates, cell)


def test_every_gate_alone_over_its_whole_range() -> None:
    """The others are chosen so that hidden or cell state shows this one undimmed."""
    line = np.concatenate([np.linspace(-30, 30, 4001), np.geomspace(1e-30, 1, 500)]).astype(np.float32)
    for gate in range(4):
        gates = np.full((len(line), 4), 30, np.float32)
        gates[:, gate] = line
        check(gates, np.ones((len(line), 1), np.float32))


@pytest.mark.parametrize("value", [1e4, -1e4, 3e38, -3e38, np.inf, -np.inf, 0.0])
def test_extreme_gates_saturate(value: float) -> None:
    for gate in range(4):
        gates = np.zeros((1, 4), np.float32)
        gates[0, gate] = value
        check(gates, np.array([[0.5]], np.float32))


@pytest.mark.parametrize("gate", range(4))
def test_what_is_not_a_number_is_not_hidden(gate: int) -> None:
    """A broken network must not look like a working one."""
    gates = np.zeros((1, 8), np.float32)
    gates[0, 2 * gate] = np.nan
    cell = np.ones((1, 2), np.float32)
    for hidden, memory in (run(gates, cell), run(*wide(gates, cell))):
        assert np.isnan(hidden[0, ::2]).all()
        assert (np.isnan(memory[0, ::2]) == (gate < 3)).all()
        assert np.isfinite([hidden[0, 1::2], memory[0, 1::2]]).all(), "the neighbours are well"


def test_rows_take_their_own_source_step_and_place() -> None:
    random = np.random.default_rng(0)
    added = random.normal(size=(5, 12)).astype(np.float32)
    given_ = random.normal(size=(4, 3, 12)).astype(np.float32)
    bias, source = random.normal(size=12).astype(np.float32), np.array([2, 0, 0, 1, 2])
    cell, hidden = random.normal(size=(5, 3)).astype(np.float32), np.full((6, 5, 3), 7, np.float32)
    expected, remembered = true_step(added.astype(np.float64) + given_[1, source] + bias, cell)
    kept = given_.copy()
    step(added, given_[1], bias, source, cell, hidden, 4)
    assert np.abs(hidden[4] - expected).max() < TOLERANCE
    assert np.abs(cell - remembered).max() < 2 * TOLERANCE
    assert (np.delete(hidden, 4, 0) == 7).all()
    assert (given_ == kept).all(), "the reference's inputs are used again"


@pytest.mark.parametrize("width", [2, LANES + 2])
def test_strided_arrays_are_taken_as_they_are(width: int) -> None:
    """The engine hands in a stretch of the steps, and may hand in one direction's half of an array for both."""
    random = np.random.default_rng(1)
    gates = random.normal(size=(4, 4 * width)).astype(np.float32)
    cell = random.normal(size=(4, width)).astype(np.float32)
    steps, both = np.zeros((9, *gates.shape), np.float32), np.zeros((9, 4, 2 * width), np.float32)
    steps[5] = gates
    nothing, bias = np.zeros_like(gates), np.zeros(4 * width, np.float32)
    step(nothing, steps[5], bias, np.arange(4), cell.copy(), both[3:7, :, width:], 2)
    expected, _ = run(gates, cell)
    assert (both[5, :, width:] == expected).all()
    assert np.count_nonzero(both) == expected.size
