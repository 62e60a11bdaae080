"""Motifs that recur: planted ones come back, with the positions and counts of a loop."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from varscore.genome.sequence import UNKNOWN, decode, encode, reverse_complement
from varscore.motifs.recurring import (
    FEWEST,
    Recurring,
    best_sites,
    fisher,
    gains,
    recurring,
    split,
    trimmed,
    word_counts,
)

LENGTH = 120


def planted(word: str, n: int, at: tuple[int, int], share: float, seed: int, *, turn: bool = False) -> np.ndarray:
    """Random sequences, of which a share has a word somewhere in [at), half of them on the other strand with turn."""
    dice = np.random.default_rng(seed)
    codes = dice.integers(0, 4, (n, LENGTH), np.uint8)
    site = encode(word.encode())
    for row in codes[: int(share * n)]:
        start = int(dice.integers(*at))
        row[start : start + len(site)] = reverse_complement(site) if turn and dice.random() < 0.5 else site
    return codes


@pytest.mark.parametrize("both", [True, False])
def test_two_planted_motifs_come_back_where_they_are(both: bool) -> None:
    first = planted("TATAAAAG", 300, (28, 34), 0.4, 1)
    first[150:] = planted("CCGGAAGT", 150, (0, 110), 0.6, 2, turn=both)
    other = planted("A", 900, (0, 1), 0, 3)
    found = list(recurring(first, other, number=3, both_strands=both))
    names = [one.motif.name for one in found]
    spelled = [name in word or word in name for name, word in itertools.product(names[:2], ("TATAAA", "CTTTTATA"))]
    assert any(spelled) and found[0].p < 1e-3 and found[1].p < 0.05
    assert any("GGAAG" in name or "CTTCC" in name for name in names[:2])
    tata = next(one for one in found if "TATAA" in one.motif.name or "TTATA" in one.motif.name)
    middle = tata.positions(tata.first, LENGTH) + LENGTH // 2
    assert np.mean((middle > 27) & (middle < 43)) > 0.9
    mine, n, theirs, m = tata.hits
    assert (n, m) == (300, 900) and 100 < mine < 150 and theirs < 45
    assert len(found) < 3 or found[2].p > 0.01, "there is no third one"


def test_the_same_seed_finds_the_same() -> None:
    first, other = planted("TGACGTCA", 120, (0, 110), 0.5, 4), planted("A", 200, (0, 1), 0, 5)
    one, two = (next(recurring(first, other, number=1)) for _ in range(2))
    assert (one.motif.frequencies == two.motif.frequencies).all() and one.p == two.p


def test_nothing_recurs_in_nothing() -> None:
    first, other = planted("A", 100, (0, 1), 0, 6), planted("A", 400, (0, 1), 0, 7)
    assert all(one.p > 1e-3 for one in recurring(first, other, number=2))
    blank = np.full((50, LENGTH), UNKNOWN, np.uint8)
    assert list(recurring(blank, blank)) == []


@pytest.mark.parametrize("both", [True, False])
def test_words_are_counted_once_a_sequence(both: bool) -> None:
    codes = planted("A", 20, (0, 1), 0, 8)[:, :40]
    codes[3, 10:14] = UNKNOWN
    texts = [decode(row).decode() for row in codes]
    counts = word_counts(codes, both)
    for number, word in enumerate(map("".join, itertools.product("ACGT", repeat=6))):
        back = decode(reverse_complement(encode(word.encode()))).decode()
        expected = sum(word in text or (both and back in text) for text in texts)
        assert counts[number] == (expected if not both or word <= back else 0)


def test_the_best_site_of_each_sequence_is_that_of_a_loop() -> None:
    codes = planted("A", 12, (0, 1), 0, 9)[:, :30]
    codes[2, 5:9] = UNKNOWN
    odds = np.random.default_rng(1).normal(size=(7, 4))
    for both in (True, False):
        found = best_sites(codes, odds, both)
        for row, sequence in enumerate(codes):
            every = [
                (sum(matrix[i, sequence[at + i]] for i in range(7)), -turn, -at)
                for turn, matrix in enumerate((odds, odds[::-1, ::-1])[: 1 + both])
                for at in range(24)
                if (sequence[at : at + 7] != UNKNOWN).all()
            ]
            score, turn, at = max(every)
            assert found.score[row] == pytest.approx(score, abs=1e-5)
            assert (found.start[row], found.backward[row]) == (-at, turn == -1)


def test_gains_by_hand() -> None:
    """30 of 40 against 10 of 60: the log-likelihoods of the shares, less those of 40 of 100."""
    by_hand = 30 * math.log(0.75 / 0.4) + 10 * math.log(0.25 / 0.6)
    by_hand += 10 * math.log((1 / 6) / 0.4) + 50 * math.log((5 / 6) / 0.6)
    mine, theirs = np.array([30, 4, 40, 0]), np.array([10, 6, 0, 60])
    found = gains(mine, theirs, 40, 60)
    assert found[0] == pytest.approx(by_hand) and found[1] == 0 == found[3]
    assert found[2] == pytest.approx(40 * math.log(1 / 0.4) + 60 * math.log(1 / 0.6))


def test_the_threshold_that_tells_apart_best() -> None:
    scores = np.concatenate([np.arange(20, 40), np.arange(0, 20), [25.5]]).astype(np.float32)
    is_first = np.arange(41) < 20
    threshold, gain = split(scores, is_first)
    assert threshold == 20 and gain > 0
    assert split(scores, ~is_first) == (math.inf, 0.0), "the other way round all of them score low"
    assert split(scores[: FEWEST - 1], is_first[: FEWEST - 1]) == (math.inf, 0.0)


def test_fisher_by_counting() -> None:
    for mine, theirs, n, m in ((3, 1, 4, 4), (0, 2, 5, 3), (5, 0, 5, 9), (2, 2, 3, 3)):
        have = mine + theirs
        total = math.comb(n + m, have)
        ways = sum(math.comb(n, k) * math.comb(m, have - k) for k in range(mine, min(n, have) + 1))
        assert fisher(mine, theirs, n, m) == pytest.approx(float(Fraction(ways, total)))


def test_columns_that_say_nothing_are_taken_off() -> None:
    even = np.full(4, 0.25)
    sharp = np.array([0.97, 0.01, 0.01, 0.01])
    assert len(trimmed(np.stack([even, even, *[sharp] * 6, even]), even)) == 6
    assert len(trimmed(np.stack([even] * 9), even)) == 5


def test_positions_count_from_the_middle() -> None:
    first, other = planted("TGACGTCA", 100, (56, 57), 0.8, 10), planted("A", 300, (0, 1), 0, 11)
    one: Recurring = next(recurring(first, other, number=1))
    positions = one.positions(one.first, LENGTH)
    assert abs(np.median(positions)) <= 1 and len(positions) == one.hits[0]
