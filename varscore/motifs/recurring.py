"""Motifs that recur in one set of sequences and not in another, one after the other: discriminative discovery, as
MEME-ChIP's tools do it.

Words of six bases that more sequences of the first set have than of the other are seeds. Each is made a matrix, which
is drawn from its sites anew for some rounds; a sequence has a site when its best placement scores above the threshold
that tells both sets apart best. The best matrix is kept, its sites are hidden, and the next is looked for. A tenth of
the sequences is laid aside: p is of Fisher's exact test on these alone, which no choice has been made on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.formats.motifs import BASES, Motif
from varscore.genome.sequence import UNKNOWN
from varscore.motifs.scan import Words

SEED_WORD, SEEDS, REFINED, ROUNDS = 6, 10, 3, 5
"""Bases of a seed, seeds that are looked at, those of them that are refined, rounds of that at most"""
FLANK = 3
"""Columns on either side of a seed, before columns that say nothing are taken off"""
FEWEST = 8
"""Sites that a matrix is made of, at least"""
LEAST_BITS, LEAST_COLUMNS = 0.15, 5
KEPT = 0.95
"""Of the gain, when columns are taken off"""
LAID_ASIDE = 0.1
SMOOTH = 1.0
"""Sites of background that are added to the counts"""


@dataclass(frozen=True)
class Sites:
    """The best placement in each of n sequences. score: float32 (n,), minus infinity where there is none; start: int64
    (n,); backward: bool (n,)"""

    score: NDArray[np.float32]
    start: NDArray[np.int64]
    backward: NDArray[np.bool_]


@dataclass(frozen=True)
class Recurring:
    """A motif. threshold: in bits, a site scores at least this; first, other: its sites in both sets, all sequences

    hits: sequences with a site, of how many: (first, of, other, of), all sequences; p: on those laid aside
    """

    motif: Motif
    threshold: float
    first: Sites
    other: Sites
    p: float

    @property
    def hits(self) -> tuple[int, int, int, int]:
        counts = [(int((each.score >= self.threshold).sum()), len(each.score)) for each in (self.first, self.other)]
        return counts[0] + counts[1]

    def positions(self, sites: Sites, length: int) -> NDArray[np.int64]:
        """int64 (k,): of the sequences with a site the site's middle, counted from the middle of the sequence."""
        there = sites.score >= self.threshold
        return np.asarray(sites.start[there] + len(self.motif.frequencies) // 2 - length // 2)


@dataclass(frozen=True)
class _Sets:
    """Sequences of both sets, one below the other, uint8 (n, L); is_first, is_aside: bool (n,)"""

    codes: NDArray[np.uint8]
    is_first: NDArray[np.bool_]
    is_aside: NDArray[np.bool_]

    @property
    def background(self) -> NDArray[np.float64]:
        """float64 (4,): frequencies of bases in the other set."""
        other = self.codes[~self.is_first]
        counted = np.bincount(other[other < UNKNOWN], minlength=4) + 1.0
        return np.asarray(counted / counted.sum())


@dataclass(frozen=True)
class _Found:
    """A matrix, (w, 4), the threshold that tells the sets apart best, by so many nats, and who has a site then: bool"""

    frequencies: NDArray[np.float64]
    sites: Sites
    chosen: NDArray[np.bool_]
    threshold: float
    gain: float


class _Search:
    """For one motif, in what is not laid aside."""

    def __init__(self, sets: _Sets, both_strands: bool) -> None:
        used = ~sets.is_aside
        self.codes, self.is_first = sets.codes[used], sets.is_first[used]
        self.background, self.both_strands = sets.background, both_strands

    def seeds(self) -> list[NDArray[np.uint8]]:
        """The words that tell the sets apart best, uint8 (6,) each."""
        used = [self.codes[self.is_first == which] for which in (True, False)]
        mine, theirs = (word_counts(codes, self.both_strands) for codes in used)
        gain = gains(mine, theirs, len(used[0]), len(used[1]))
        gain[mine < FEWEST] = 0
        best = np.argsort(-gain, kind="stable")[:SEEDS]
        places = 4 ** np.arange(SEED_WORD - 1, -1, -1)
        return [(word // places % 4).astype(np.uint8) for word in best[gain[best] > 0].tolist()]

    def begin(self, word: NDArray[np.uint8]) -> _Found:
        """A word as a matrix."""
        frequencies = np.tile(self.background, (SEED_WORD + 2 * FLANK, 1))
        frequencies[FLANK : FLANK + SEED_WORD] = 0.05 + 0.8 * np.eye(4)[word]
        return self.judge(frequencies)

    def refine(self, found: _Found) -> _Found:
        """Drawn anew from its sites as long as that makes it better, then without the columns that say nothing."""
        for _ in range(ROUNDS):
            if found.chosen.sum() < FEWEST:
                return found
            drawn = self.judge(self.draw(found))
            if drawn.gain <= found.gain:
                break
            found = drawn
        short = trimmed(found.frequencies, self.background)
        if len(short) < len(found.frequencies):
            cut = self.judge(short)
            found = cut if cut.gain > KEPT * found.gain else found
        return found

    def judge(self, frequencies: NDArray[np.float64]) -> _Found:
        sites = best_sites(self.codes, odds_of(frequencies, self.background), self.both_strands)
        threshold, gain = split(sites.score, self.is_first)
        return _Found(frequencies, sites, (sites.score >= threshold) & self.is_first, threshold, gain)

    def draw(self, found: _Found) -> NDArray[np.float64]:
        """float64 (w, 4): frequencies under the chosen sites, as they read on their strand."""
        rows, width = np.flatnonzero(found.chosen), len(found.frequencies)
        bases = self.codes[rows[:, None], found.sites.start[rows, None] + np.arange(width)].astype(np.int64)
        bases = np.where(found.sites.backward[rows, None], 3 - bases[:, ::-1], bases)
        counts = (bases[:, :, None] == np.arange(4)).sum(0)
        return np.asarray((counts + SMOOTH * self.background) / (len(rows) + SMOOTH))


def recurring(
    first: NDArray[np.uint8], other: NDArray[np.uint8], *, number: int = 5, both_strands: bool = True, seed: int = 0
) -> Iterator[Recurring]:
    """The motifs of ``first`` against ``other``, uint8 (n, L) and (m, L); ends before ``number`` when no word is left
    that tells the sets apart. The same seed lays the same sequences aside.
    """
    codes = np.concatenate([first, other])
    is_first = np.arange(len(codes)) < len(first)
    aside = np.random.default_rng(seed).random(len(codes)) < LAID_ASIDE
    sets = _Sets(codes.copy(), is_first, aside)
    for index in range(number):
        search = _Search(sets, both_strands)
        begun = sorted((search.begin(word) for word in search.seeds()), key=lambda one: -one.gain)
        found = max((search.refine(one) for one in begun[:REFINED]), key=lambda one: one.gain, default=None)
        if found is None or found.gain <= 0:
            return
        sites = best_sites(sets.codes, odds_of(found.frequencies, sets.background), both_strands)
        hit = sites.score >= found.threshold
        p = fisher(
            *(int((hit & aside & of).sum()) for of in (is_first, ~is_first)),
            *(int((aside & of).sum()) for of in (is_first, ~is_first)),
        )
        name = "".join(BASES[base] for base in found.frequencies.argmax(1))
        motif = Motif(f"recurring-{index + 1}", name, found.frequencies, float(found.chosen.sum()))
        parts = [Sites(sites.score[of], sites.start[of], sites.backward[of]) for of in (is_first, ~is_first)]
        yield Recurring(motif, found.threshold, parts[0], parts[1], p)
        _hide(sets.codes, sites, hit, len(found.frequencies))


def word_counts(codes: NDArray[np.uint8], both_strands: bool) -> NDArray[np.int64]:
    """int64 (4^6,): in how many sequences each word of six known bases stands; of a word and its reverse complement the
    smaller number counts for both."""
    numbers, turned, known = (np.zeros((len(codes), codes.shape[1] - SEED_WORD + 1), np.int64) for _ in range(3))
    for place in range(SEED_WORD):
        column = codes[:, place : place + numbers.shape[1]].astype(np.int64)
        known += column != UNKNOWN
        base = np.where(column == UNKNOWN, 0, column)
        numbers += base * 4 ** (SEED_WORD - 1 - place)
        turned += (3 - base) * 4**place
    words = np.minimum(numbers, turned) if both_strands else numbers
    words += np.arange(len(codes))[:, None] * 4**SEED_WORD
    each = np.unique(words[known == SEED_WORD])
    return np.bincount(each % 4**SEED_WORD, minlength=4**SEED_WORD)


def gains(mine: NDArray[np.int64], theirs: NDArray[np.int64], n: int, m: int) -> NDArray[np.float64]:
    """float64: by how many nats the counts of sequences with a site, of n and of m, speak for more of them in the first
    set: the log-likelihood ratio of two shares against one; 0 where there are not more."""
    chance = (mine + theirs) / (n + m)

    def nats(count: NDArray[np.int64], of: int, expected: NDArray[np.float64]) -> NDArray[np.float64]:
        share = np.maximum(count, 1) / max(of, 1)  # of no count it does not matter
        return np.asarray(count * np.log(share / np.maximum(expected, 1e-300)))

    both = [nats(c, of, chance) + nats(of - c, of, 1 - chance) for c, of in ((mine, n), (theirs, m))]
    return np.where(mine * m > theirs * n, both[0] + both[1], 0.0)


def split(scores: NDArray[np.floating], is_first: NDArray[np.bool_]) -> tuple[float, float]:
    """The threshold that tells both sets apart best, and by how many nats; infinity and 0 where none does."""
    order = np.argsort(-scores, kind="stable")
    ranked, mine = scores[order], np.cumsum(is_first[order], dtype=np.int64)
    theirs = np.arange(1, len(order) + 1) - mine
    gain = gains(mine, theirs, int(is_first.sum()), int((~is_first).sum()))
    last = np.append(ranked[1:] < ranked[:-1], True)  # of equal scores all or none
    gain[~last | (mine < FEWEST) | ~np.isfinite(ranked)] = 0
    at = int(gain.argmax())
    return (float(ranked[at]), float(gain[at])) if gain[at] > 0 else (math.inf, 0.0)


def best_sites(codes: NDArray[np.uint8], odds: NDArray[np.float64], both_strands: bool) -> Sites:
    """The best placement of a matrix of log-odds, (w, 4), in each sequence, uint8 (n, L); the first of equals."""
    n, length = codes.shape
    joined = np.full((n, length + 1), UNKNOWN, np.uint8)  # a placement across two sequences lies on an unknown base
    joined[:, :length] = codes
    scores = np.full((2, n * (length + 1)), -np.inf, np.float32)
    found = Words(joined.reshape(-1)).strands(odds)
    scores[:, : found.shape[1]] = found
    if not both_strands:
        scores[1] = -np.inf
    rows = scores.reshape(2, n, length + 1).transpose(1, 0, 2).reshape(n, -1)
    place = rows.argmax(1)
    return Sites(rows[np.arange(n), place], place % (length + 1), place > length)


def trimmed(frequencies: NDArray[np.float64], background: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the columns at either end that hardly differ from the background; five are left at least."""
    bits = (frequencies * np.log2(np.maximum(frequencies, 1e-300) / background)).sum(1)
    first, last = 0, len(bits)
    while last - first > LEAST_COLUMNS and min(bits[first], bits[last - 1]) < LEAST_BITS:
        first, last = (first + 1, last) if bits[first] <= bits[last - 1] else (first, last - 1)
    return frequencies[first:last]


def odds_of(frequencies: NDArray[np.float64], background: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (w, 4): log2 of frequencies over the background's."""
    return np.asarray(np.log2(np.maximum(frequencies, 1e-4) / background))


def _hide(codes: NDArray[np.uint8], sites: Sites, hit: NDArray[np.bool_], width: int) -> None:
    rows = np.flatnonzero(hit)
    codes[rows[:, None], sites.start[rows, None] + np.arange(width)] = UNKNOWN


def fisher(mine: int, theirs: int, n: int, m: int) -> float:
    """Fisher's exact test: how likely at least ``mine`` of n have what ``mine + theirs`` of all n + m have."""

    def ways(k: int, of: int) -> float:
        return math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1)

    have = mine + theirs
    terms = [ways(k, n) + ways(have - k, m) - ways(have, n + m) for k in range(mine, min(n, have) + 1) if have - k <= m]
    return min(math.fsum(map(math.exp, terms)), 1.0)
