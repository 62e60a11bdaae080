"""Runs of neighbouring bins, and how they are cut into segments."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varscore.datasets.segments import NONE, Runs
from varscore.errors import DataError


def data_set(runs: list[int], step: int = 200) -> Any:
    """Runs of so many bins, with gaps of another length between them; the last two lie on different contigs."""
    offset, contig, at = [], [], 0
    for number, length in enumerate(runs):
        offset += [at + step * i for i in range(length)]
        contig += [int(number == len(runs) - 1)] * length
        at = offset[-1] + (step if number == len(runs) - 2 else 3 * step)
    return SimpleNamespace(offset=np.array(offset), start=np.array(offset), contig=np.array(contig), folder="made")


def told(rows: np.ndarray) -> list[list[int]]:
    return [[row for row in segment if row != NONE] for segment in rows.tolist()]


def test_by_hand() -> None:
    data = data_set([5, 1, 3])
    runs = Runs(data, np.arange(9), 200, 2)
    assert (runs.first.tolist(), runs.length.tolist()) == ([0, 5, 6], [5, 1, 3])
    assert told(runs.segments()) == [[0, 1], [2, 3], [4], [5], [6, 7], [8]]
    assert runs.most == 3 + 1 + 2


def test_rows_of_one_split_only() -> None:
    data = data_set([6, 2])
    assert told(Runs(data, np.array([0, 1, 4, 5, 6, 7]), 200, 4).segments()) == [[0, 1], [4, 5], [6, 7]]


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), st.integers(2, 9), st.integers(0, 99))
def test_every_row_once_and_neighbours_together(lengths: list[int], size: int, seed: int) -> None:
    data = data_set([*lengths, 2])
    rows = np.arange(len(data.offset))
    runs = Runs(data, rows, 200, size)
    for random in (None, np.random.default_rng(seed)):
        segments = told(runs.segments(random))
        assert sorted(row for segment in segments for row in segment) == rows.tolist()
        for segment in segments:
            assert 1 <= len(segment) <= size
            assert (np.diff(data.offset[segment]) == 200).all() and len(set(data.contig[segment].tolist())) == 1
        assert runs.fewest <= len(segments) <= runs.most


@given(st.sets(st.integers(0, 199), min_size=1, max_size=4), st.sets(st.integers(0, 25)), st.integers(2, 9))
def test_each_grid_has_runs_of_its_own(shifts: set[int], absent: set[int], size: int) -> None:
    """Bins of several grids in genome order, some of them missing: segments hold neighbours of one grid."""
    starts = np.sort([200 * i + shift for shift in shifts for i in range(26) if i not in absent] + [6000, 6200])
    data: Any = SimpleNamespace(offset=starts, start=starts, contig=np.zeros(len(starts), np.int16), folder="made")
    segments = told(Runs(data, np.arange(len(starts)), 200, size).segments())
    assert sorted(row for segment in segments for row in segment) == list(range(len(starts)))
    assert all((np.diff(starts[segment]) == 200).all() for segment in segments)
    longest = [segment for segment in segments if len(segment) == size or starts[segment[-1]] + 200 not in starts]
    assert longest == segments  # none ends before its run does


def test_runs_are_cut_elsewhere_each_time() -> None:
    runs = Runs(data_set([40, 2]), np.arange(42), 200, 8)
    heads = {len(told(runs.segments(np.random.default_rng(seed)))[0]) for seed in range(99)}
    assert heads == set(range(1, 9))


def test_no_neighbours_is_an_error() -> None:
    with pytest.raises(DataError, match="no two examples of the data set are 100 bases apart"):
        Runs(data_set([5, 3]), np.arange(8), 100, 2)
