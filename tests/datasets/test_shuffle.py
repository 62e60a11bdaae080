"""Dinucleotide shuffles: exact counts, and no sequence likelier than another."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varscore.datasets.shuffle import shuffle_dinucleotides
from varscore.genome.sequence import decode, encode


def dinucleotides(letters: str) -> Counter[str]:
    return Counter(a + b for a, b in zip(letters, letters[1:], strict=False))


def shuffled(letters: str, times: int, seed: int = 0) -> list[str]:
    codes = np.tile(encode(letters.encode()), (times, 1))
    return [decode(row).decode() for row in shuffle_dinucleotides(codes, np.random.default_rng(seed))]


def all_orders(letters: str) -> set[str]:
    """Every sequence with the same dinucleotides and ends, by trying all orders of the inner letters."""
    wanted = dinucleotides(letters)
    orders = {letters[0] + "".join(inner) + letters[-1] for inner in permutations(letters[1:-1])}
    return {order for order in orders if dinucleotides(order) == wanted}


@given(st.text("ACGTN", min_size=1, max_size=60), st.integers(0, 2**32))
def test_dinucleotides_and_ends_stay(letters: str, seed: int) -> None:
    for order in shuffled(letters, 3, seed):
        assert dinucleotides(order) == dinucleotides(letters)
        assert (order[0], order[-1]) == (letters[0], letters[-1])


@pytest.mark.parametrize("letters", ["ACAGATA", "AACCAGGAC", "ACGTACGAT", "AAACACA", "TTATGTCTA", "CACGCTCNC"])
def test_all_orders_are_alike_likely(letters: str) -> None:
    expected = all_orders(letters)
    assert len(expected) > 2
    draws = 4000
    counts = Counter(shuffled(letters, draws))
    assert set(counts) == expected
    each = draws / len(expected)
    chi_square = sum((counts[order] - each) ** 2 / each for order in expected)
    degrees = len(expected) - 1
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5, "four standard deviations above what chance gives"


def test_rows_are_shuffled_each_on_its_own_and_by_the_seed() -> None:
    codes = np.random.default_rng(0).integers(0, 4, (1000, 101), dtype=np.uint8)
    one = shuffle_dinucleotides(codes, np.random.default_rng(1))
    assert one.dtype == np.uint8 and not (one == codes).all(1).any()
    for row in range(0, 1000, 100):
        assert dinucleotides(decode(one[row]).decode()) == dinucleotides(decode(codes[row]).decode())
    assert np.array_equal(one, shuffle_dinucleotides(codes, np.random.default_rng(1)))
    assert not np.array_equal(one, shuffle_dinucleotides(codes, np.random.default_rng(2)))
    # two shuffles of one sequence agree by chance alone: a quarter of the places, or little more
    assert 0.2 < (one == codes).mean() < 0.32


def test_hard_sequences_and_none() -> None:
    for letters in ("A" * 50, "AC" * 30 + "G", "A" * 30 + "C" * 30 + "G" * 30 + "T" * 30, "ACG", "A"):
        assert all(dinucleotides(order) == dinucleotides(letters) for order in shuffled(letters, 2))
    assert shuffle_dinucleotides(np.zeros((0, 101), np.uint8), np.random.default_rng(0)).shape == (0, 101)


@pytest.mark.realdata
def test_deepbinds_own_negatives_are_shuffles_of_this_kind(shared_data: Path) -> None:
    path = next((shared_data / "tfbs101").glob("SRF*_B.seq.gz"))
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode()), delimiter="\t"))
    peaks, theirs = ([row["seq"] for row in rows if row["Bound"] == bound] for bound in "10")
    ours = shuffle_dinucleotides(np.stack([encode(peak.encode()) for peak in peaks]), np.random.default_rng(0))
    places = {"theirs": 0, "ours": 0}
    for peak, their, codes in zip(peaks, theirs, ours, strict=True):
        our = decode(codes).decode()
        for name, order in (("theirs", their), ("ours", our)):
            assert dinucleotides(order) == dinucleotides(peak)
            assert (order[0], order[-1]) == (peak[0], peak[-1])
            places[name] += sum(a == b for a, b in zip(order, peak, strict=True))
    assert places["ours"] == pytest.approx(places["theirs"], rel=0.03), "as many places are left as they were"
