"""E-values against counting, the background's file, and significance by hand."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from varscore.errors import ModelError, OutputExists
from varscore.scoring.evalue import (
    Background,
    BackgroundBuilder,
    load_background,
    magnitudes,
    save_background,
    significance,
)


def background(values: np.ndarray, tail: int = 2048, batch: int = 512, conservation: int = 0) -> Background:
    """values: (n, columns), the last ``conservation`` of them conservation scores."""
    builder = BackgroundBuilder(values.shape[1], tail)
    for first in range(0, len(values), batch):
        builder.add(values[first : first + batch].astype(np.float32))
    return builder.finish("a" * 64, [f"c{i}" for i in range(conservation)], {"model": "made"})


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def counted(value: float, others: list[float]) -> float:
    """Share of ``others`` that are strictly larger; NaN is smaller than everything."""
    known = [-math.inf if math.isnan(other) else other for other in others]
    return sum(other > (-math.inf if math.isnan(value) else value) for other in known) / len(others)


@pytest.mark.parametrize(("deepsea", "expected"), [(False, [0.5, 1, 0.2, 0.2]), (True, [0.5, 1, 1e-6, 1e-6])])
def test_the_example_of_the_definition(deepsea: bool, expected: list[float]) -> None:
    found = background(column(1, 2, 3, 4)).evalues(column(2, 0, 4, 9), deepsea_floor=deepsea)
    assert found.ravel().tolist() == expected


def test_the_floor_does_not_fall_below_deepseas() -> None:
    made = Background("", 3_000_000, (), np.zeros((1, 1), np.float32), np.zeros(1, int), np.zeros((1, 1), int))
    assert made.floor() == made.floor(True) == 1e-6


ODD = np.float32([0.0, -0.0, 1.0, 1.5, -2.0, -1e-30, 1e-40, 3e38, math.nan, math.inf, -math.inf])
VALUES = st.sampled_from(ODD.tolist()) | st.floats(width=32)  # float32 all of them, as those that are compared are


@given(st.lists(VALUES, min_size=1, max_size=30), st.lists(VALUES, min_size=1, max_size=10))
@example([ODD[6].item()], [ODD[6].item()])
def test_a_small_background_is_exact(others: list[float], values: list[float]) -> None:
    made = background(column(*others), batch=7)
    found = made.evalues(column(*values))
    expected = [max(counted(value, others), 1 / (len(others) + 1)) for value in values]
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-12)


def test_the_tail_is_exact_and_the_rest_close() -> None:
    random = np.random.default_rng(0)
    others = np.exp(random.normal(-8, 3, (60_000, 3))).astype(np.float32)
    others[random.random(others.shape) < 0.1] = 0
    values = np.concatenate([np.exp(random.normal(-8, 3, (4000, 3))), np.zeros((1, 3)), others[:500]])
    values = values.astype(np.float32)
    made = background(others, tail=1000)
    found = made.evalues(values)
    ordered = np.sort(others, axis=0)
    ranks = np.stack([len(others) - np.searchsorted(ordered[:, i], values[:, i], "right") for i in range(3)], 1)
    expected = np.maximum(ranks / len(others), 1 / 60_001)
    tail = ranks < 1000
    assert tail.sum() > 100
    np.testing.assert_array_equal(found[tail], expected[tail])
    np.testing.assert_allclose(found, expected, rtol=0.01)
    assert np.abs(found / expected - 1).mean() < 5e-4
    assert found[4000, 0] == pytest.approx(np.mean(others[:, 0] > 0), rel=1e-12)  # a tie of thousands


def test_what_comes_in_pieces_or_another_order_is_the_same_background() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(20_000, 2)).astype(np.float32)
    one = background(values, tail=50)
    for other in (background(values, tail=50, batch=3001), background(random.permutation(values), tail=50, batch=9000)):
        for part in ("tail", "bins", "counts"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_memory_does_not_grow_with_the_number_of_variants() -> None:
    """What 50 more pieces of 8,192 rows add is less than one of them takes."""
    builder = BackgroundBuilder(4, tail=100)
    draw = np.random.default_rng(0)
    held = []
    tracemalloc.start()
    try:
        for piece in range(60):
            builder.add(draw.lognormal(size=(8192, 4)).astype(np.float32))
            if piece in (9, 59):
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert builder.n == 60 * 8192
    assert held[1] - held[0] < 8192 * 4 * 4


def test_conservation_scores_are_ranked_with_their_sign() -> None:
    made = background(np.array([[1, -3], [2, -1], [3, np.nan], [4, 2]], float), conservation=1)
    assert (made.tasks, made.conservation) == (1, ("c0",))
    found = made.evalues(column(-2, -1, 5, np.nan), first=1)
    assert found.ravel().tolist() == [0.5, 0.25, 0.2, 0.75]


def test_magnitudes_and_significance_by_hand() -> None:
    assert magnitudes(column(-0.5, 0.25), column(2, -4)).ravel().tolist() == [1, 1]
    evalues = np.array([[0.5, 0.125], [1.0, 1.0]])
    np.testing.assert_allclose(significance(evalues), [0.25, 1])
    np.testing.assert_allclose(significance(evalues, np.array([[0.1, 0.4], [0.5, 0.5]])), [0.25 * 0.2, 0.5])


@given(arrays(np.float32, (9, 2), elements=st.floats(0, 100, width=32)))
def test_a_larger_effect_is_never_less_significant(values: np.ndarray) -> None:
    made = background(np.linspace(0, 100, 5000)[:, None] * [1, 0.5], tail=20)
    found = made.evalues(values)
    for i in range(2):
        assert (np.diff(found[np.argsort(values[:, i]), i]) <= 0).all()


# -- the file --------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    values = np.random.default_rng(2).lognormal(size=(5000, 3))
    made = background(values, tail=100, conservation=1)
    size = save_background(str(tmp_path / "b"), made)
    assert size == (tmp_path / "b").stat().st_size < (100 + 700) * 4 * 3
    return tmp_path / "b"


def test_a_background_comes_back_as_it_was(saved: Path) -> None:
    made = background(np.random.default_rng(2).lognormal(size=(5000, 3)), tail=100, conservation=1)
    read = load_background(saved, "a" * 64, 2)
    values = np.random.default_rng(3).lognormal(size=(50, 3)).astype(np.float32)
    np.testing.assert_array_equal(read.evalues(values), made.evalues(values))
    assert (read.n, read.conservation, read.facts, read.sha256) == (5000, ("c0",), {"model": "made"}, made.sha256)


def test_another_model_s_background_is_refused(saved: Path) -> None:
    with pytest.raises(ModelError, match=r"belongs to another model.*made with made.*begins bbbb"):
        load_background(saved, "b" * 64, 2)
    with pytest.raises(ModelError, match="belongs to another model"):
        load_background(saved, "a" * 64, 3)


@pytest.mark.parametrize("at", [0, 9, 40, -1, -2000])
def test_a_damaged_background_is_refused(saved: Path, at: int) -> None:
    content = bytearray(saved.read_bytes())
    content[at] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ModelError, match="not a background, or a damaged one"):
        load_background(saved, "a" * 64, 2)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b'{"format": 1}'])
def test_what_is_no_background_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ModelError, match="not a background"):
        load_background(tmp_path / "x", "a" * 64, 2)
    with pytest.raises(ModelError, match="cannot read the background"):
        load_background(tmp_path / "absent", "a" * 64, 2)


def test_an_existing_file_is_kept_without_force(saved: Path) -> None:
    made = background(column(1, 2))
    with pytest.raises(OutputExists):
        save_background(str(saved), made)
    save_background(str(saved), made, force=True)
    assert load_background(saved, "a" * 64, 1).n == 2
