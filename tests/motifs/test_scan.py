"""Scanning against loops over placements and bases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varscore.formats.motifs import Motif
from varscore.genome.sequence import encode
from varscore.motifs.scan import Words, consensus, highest, log_odds

SEQUENCES = st.text("ACGTN", max_size=40)
COLUMNS = st.lists(st.tuples(*[st.floats(-5, 5, width=16)] * 4), min_size=1, max_size=20)


def slowly(sequence: str, columns: list[tuple[float, ...]]) -> list[list[float]]:
    """A matrix's score of every placement: as the sequence reads, and as its other strand does."""
    turned = [column[::-1] for column in columns[::-1]]
    found = []
    for matrix in (columns, turned):
        row = []
        for at in range(len(sequence) - len(columns) + 1):
            site = sequence[at : at + len(columns)]
            known = "N" not in site
            scores = [column["ACGT".index(base)] for base, column in zip(site, matrix, strict=True)] if known else []
            row.append(sum(scores) if known else -math.inf)
        found.append(row)
    return found


@given(SEQUENCES, COLUMNS)
def test_every_placement_has_the_score_of_a_loop(sequence: str, columns: list[tuple[float, ...]]) -> None:
    words, matrix = Words(encode(sequence.encode())), np.array(columns)
    expected = np.array(slowly(sequence, columns)).reshape(2, -1)
    assert np.allclose(words.strands(matrix), expected, atol=1e-4)
    assert np.allclose(words.best(matrix), expected.max(0), atol=1e-4)


def test_the_other_strand_of_a_site_is_found_where_it_stands() -> None:
    """GATA on the other strand reads TATC."""
    matrix = np.where(np.eye(4)[[2, 0, 3, 0]] == 1, 2.0, -2.0)
    forward, backward = Words(encode(b"AAGATACCTATCAA")).strands(matrix)
    assert np.flatnonzero(forward == 8).tolist() == [2]
    assert np.flatnonzero(backward == 8).tolist() == [8]


@given(
    st.lists(st.floats(-9, 9, width=16), max_size=30),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8),
)
def test_the_highest_of_stretches(scores: list[float], stretches: list[tuple[int, int]]) -> None:
    stretches = [(min(a, len(scores)), b) for a, b in stretches]
    start, end = np.array(stretches, np.int64).reshape(-1, 2).T
    expected = [max(scores[a:b], default=-math.inf) for a, b in stretches]
    assert highest(np.array(scores, np.float32), start, end).tolist() == expected


def test_log_odds_by_hand() -> None:
    """16 sites get 4 more of the background; where nobody has counted, 100 get 1."""
    frequencies = np.array([[1.0, 0, 0, 0], [0.5, 0.25, 0.25, 0]])
    counted = log_odds(Motif("m", "m", frequencies, 16.0))
    assert counted[0, 0] == pytest.approx(math.log2((16 + 1) / 20 / 0.25))
    assert counted[0, 1] == pytest.approx(math.log2(1 / 20 / 0.25))
    stated = log_odds(Motif("m", "m", frequencies), (0.3, 0.2, 0.2, 0.3))
    assert stated[1, 1] == pytest.approx(math.log2((25 + 0.2) / 101 / 0.2))
    assert stated[1, 3] == pytest.approx(math.log2(0.3 / 101 / 0.3))


def test_the_consensus_has_the_first_of_equals() -> None:
    frequencies = np.array([[0.1, 0.2, 0.6, 0.1], [0.25] * 4, [0, 0.5, 0, 0.5]])
    assert consensus(Motif("m", "m", frequencies)).tolist() == [2, 0, 1]
