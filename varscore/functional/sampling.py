"""Negatives that a classifier cannot tell from the positives by where they lie or how common they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.functional.variants import Variants
from varscore.genome.sequence import UNKNOWN, Genome, encode, reverse_complement

RANDOM = "random"
_FREQUENCY_EDGES = np.array([0.001, 0.005, 0.01, 0.02, *np.arange(0.05, 0.5, 0.05)])
_TSS_UNIT = 50  # bp; bins of distance to a TSS end at 50, 150, 350, 750, ...: each is twice as wide as the one before
_NO_TSS = 63
_LONGEST_INDEL = 20  # bp; longer ones are one class
_CONTEXTS = 256 + _LONGEST_INDEL + 1
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Match:
    """What negatives have in common with positives: the class of allele frequency; the chromosome and the class of
    distance to the nearest TSS (``tss``: FASTA contig -> sorted int64 positions); the substitution and the bases beside
    it (``context``: the genome these are read from)."""

    frequency: bool = False
    tss: Mapping[str, NDArray[np.int64]] | None = None
    context: Genome | None = None

    def __bool__(self) -> bool:
        return self.frequency or self.tss is not None or self.context is not None


def strata(variants: Variants, match: Match) -> NDArray[np.int64]:
    """int64 (n,): equal numbers, equal stratum; -1 for a variant of which something that is needed is not known."""
    found, unknown = np.zeros(len(variants), np.int64), np.zeros(len(variants), bool)
    columns: list[tuple[NDArray[np.integer], int]] = []
    if match.tss is not None:
        columns += [(variants.contig, len(variants.alleles.contigs)), (tss_classes(variants, match.tss), _NO_TSS + 1)]
    if match.frequency:
        columns.append((frequency_classes(variants.frequency), len(_FREQUENCY_EDGES) + 1))
    if match.context is not None:
        columns.append((context_classes(variants, match.context), _CONTEXTS))
    for classes, count in columns:
        found, unknown = found * count + classes, unknown | (classes < 0)
    return np.where(unknown, -1, found)


def context_classes(variants: Variants, genome: Genome) -> NDArray[np.int64]:
    """int64 (n,): which two bases stand between which neighbours, whichever of them is REF and on either strand (52
    classes): features are absolute values of strand means, so more a classifier does not see. Insertions and deletions
    by their length; -1 for what is neither, and beside a base that is not known."""
    alleles = variants.alleles
    longer = np.minimum(np.abs(alleles.alt.lengths - alleles.ref.lengths), _LONGEST_INDEL)
    found = np.where(longer == 0, -1, 256 + longer)
    single = np.flatnonzero((alleles.ref.lengths == 1) & (alleles.alt.lengths == 1))
    alt = encode(alleles.alt.data[alleles.alt.offsets[single]])
    for index in np.unique(variants.contig[single]).tolist():
        here = variants.contig[single] == index
        rows = single[here]
        three = genome.windows(alleles.contigs[index], variants.start[rows] - 1, 3)
        bases = np.concatenate([three, alt[here, None]], axis=1)  # the one before, REF, the one after, ALT
        other = reverse_complement(bases)[:, [1, 2, 3, 0]]
        either = np.minimum(_context_number(bases), _context_number(other))
        found[rows] = np.where((bases < UNKNOWN).all(1), either, -1)
    return found


def _context_number(bases: NDArray[np.uint8]) -> NDArray[np.int64]:
    """int64 (n,) below 256 of base codes (n, 4): before, REF, after, ALT. Without the order of REF and ALT."""
    before, ref, after, alt = bases.astype(np.int64).T
    return np.asarray(64 * before + 16 * after + 4 * np.minimum(ref, alt) + np.maximum(ref, alt))


def frequency_classes(frequency: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64 (n,): the class of the rarer allele's frequency, -1 where it is not known."""
    rarer = np.minimum(frequency, 1 - frequency)
    return np.where(np.isnan(rarer), -1, np.searchsorted(_FREQUENCY_EDGES, rarer, "right"))


def tss_classes(variants: Variants, tss: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """int64 (n,): the class of distance to the nearest TSS, one of its own for contigs without any."""
    classes = np.full(len(variants), _NO_TSS)
    for index in np.unique(variants.contig).tolist():
        positions = tss.get(variants.alleles.contigs[index])
        if positions is not None:
            here = variants.contig == index
            distance, _ = nearest(variants.start[here], positions)
            classes[here] = np.log2(distance / _TSS_UNIT + 1).astype(np.int64)
    return classes


def nearest(places: NDArray[np.int64], targets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distance to the nearest of ``targets`` (sorted int64, at least one) and its index: two int64 (n,)."""
    right = np.minimum(np.searchsorted(targets, places), len(targets) - 1)
    left = np.maximum(right - 1, 0)
    closer = np.where(np.abs(places - targets[left]) <= np.abs(places - targets[right]), left, right)
    return np.abs(places - targets[closer]), closer


def match_classes(
    positive: NDArray[np.int64], negative: NDArray[np.int64], ratio: float, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As many of both classes as there can be with ``ratio`` negatives a positive within every stratum.

    positive, negative: int64 strata; returns the rows that are kept of each, sorted. What is in excess is left out at
    random: a stratum then tells nothing about the class. (Numbers that the ratio does not divide are rounded down.)
    """
    names = np.unique(positive[positive >= 0])
    n, m = _count(names, positive), _count(names, negative)
    if ratio >= 1:
        n = np.minimum(n, (m / ratio + 1e-9).astype(np.int64))
        m = (n * ratio + 1e-9).astype(np.int64)
    else:
        m = np.minimum(m, (n * ratio + 1e-9).astype(np.int64))
        n = (m / ratio + 1e-9).astype(np.int64)
    return _pick(names, n, positive, random), _pick(names, m, negative, random)


def draw(
    cases: NDArray[np.int64], pool: NDArray[np.int64], ratio: float, random: np.random.Generator
) -> NDArray[np.int64]:
    """Rows of the pool, sorted: ``ratio`` of them for each case of the same stratum, or as many as the stratum has.

    cases, pool: int64 strata. Where that is no whole number it is rounded up or down, so that all strata together come
    out right.
    """
    names = np.unique(cases[cases >= 0])
    wanted = _count(names, cases) * ratio
    if (np.abs(wanted - np.rint(wanted)) > 1e-9).any():
        wanted = np.diff(np.floor(np.append(0, np.cumsum(wanted)) + random.random()))
    return _pick(names, np.rint(wanted).astype(np.int64), pool, random)


def _count(names: NDArray[np.int64], strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows each of the strata ``names`` (sorted) has: int64 (k,)"""
    ordered = np.sort(strata)
    return np.searchsorted(ordered, names, "right") - np.searchsorted(ordered, names)


def _pick(
    names: NDArray[np.int64], wanted: NDArray[np.int64], strata: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Up to ``wanted`` random rows of each of the strata ``names``, sorted. int64"""
    if not len(names):
        return np.zeros(0, np.int64)
    order = np.lexsort((random.random(len(strata)), strata))
    ordered = strata[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    index = np.minimum(np.searchsorted(names, ordered), len(names) - 1)
    chosen = (names[index] == ordered) & (rank < wanted[index])
    return np.sort(order[chosen])


def at_distances(
    positives: Variants, pool: Variants, distances: Sequence[int | None], ratio: float, match: Match, seed: int
) -> dict[str, NDArray[np.int64]]:
    """Negatives of several groups, as DeepSEA has them: group name -> rows of the pool, none in two groups.

    A group of distance d has variants whose nearest positive is d/2 to 3d/2 away: ``ratio`` for each positive, chosen
    among those whose nearest positive it is, or, with ``match``, so that both classes are spread over the same strata.
    The group of distance None, ``random``, is drawn from the whole pool. A positive may find none.
    """
    random = np.random.default_rng(seed)
    away, which = _nearest_variant(pool, positives)
    own = np.arange(len(positives)), which
    alike = strata(positives, match), strata(pool, match)
    free = np.ones(len(pool), bool)
    groups: dict[str, NDArray[np.int64]] = {}
    for distance in distances:
        near = free if distance is None else free & (2 * away >= distance) & (2 * away <= 3 * distance)
        rows = np.flatnonzero(near)
        cases, candidates = alike if distance is None or match else own
        chosen = rows[draw(cases, candidates[rows], ratio, random)]
        groups[RANDOM if distance is None else str(distance)] = chosen
        free[chosen] = False
    return groups


def _nearest_variant(variants: Variants, others: Variants) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distance to the nearest of ``others`` on the same contig, a huge one if there is none, and its row. int64 (n,)"""
    distance, row = np.full(len(variants), _FAR // 4), np.full(len(variants), -1)
    for index in np.unique(others.contig).tolist():
        here, there = np.flatnonzero(variants.contig == index), np.flatnonzero(others.contig == index)
        there = there[np.argsort(others.start[there], kind="stable")]
        if len(here):
            distance[here], closest = nearest(variants.start[here], others.start[there])
            row[here] = there[closest]
    return distance, row
