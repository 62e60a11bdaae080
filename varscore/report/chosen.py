"""One pass over a scored file: what is in it, and the alleles that the page shows."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from varscore.errors import UsageError
from varscore.report.filters import Holds
from varscore.report.scored import PASS, Allele, Scored

BINS = 40
"""Of the histogram of VS_DIFF, half of them below zero"""
E_EDGES = tuple(-6 + 0.25 * i for i in range(25))
"""Bins of log10 E"""


@dataclass
class Histogram:
    """Counts in :data:`BINS` bins of one width around zero, which doubles whenever a value lies beyond them: whatever
    the unit, one pass is enough. reach: upper end of the last bin"""

    reach: float = 2.0**-6
    counts: list[int] = field(default_factory=lambda: [0] * BINS)

    def add(self, value: float) -> None:
        """value: finite"""
        while abs(value) > self.reach:
            self._double()
        place = int((value / self.reach + 1) * BINS / 2)
        self.counts[min(place, BINS - 1)] += 1

    def _double(self) -> None:
        self.reach *= 2
        quarter = BINS // 4
        merged = [self.counts[i] + self.counts[i + 1] for i in range(0, BINS, 2)]
        self.counts = [0] * quarter + merged + [0] * quarter

    @property
    def edges(self) -> list[float]:
        return [self.reach * (2 * i / BINS - 1) for i in range(BINS + 1)]


@dataclass
class Counts:
    """What the whole file has. by_status: alleles by VS_STATUS; diffs, evalues: alleles in each bin"""

    by_status: Counter[str] = field(default_factory=Counter)
    diffs: Histogram = field(default_factory=Histogram)
    evalues: list[int] = field(default_factory=lambda: [0] * (len(E_EDGES) - 1))
    below: Counter[float] = field(default_factory=Counter)
    """E-value -> alleles with a smaller one"""
    passed: int = 0
    """Alleles that the filter lets through"""

    @property
    def alleles(self) -> int:
        return self.by_status.total()

    @property
    def scored(self) -> int:
        return self.by_status[PASS]

    def add(self, allele: Allele) -> None:
        self.by_status[allele.status] += 1
        diff, evalue = allele.number("diff"), allele.number("e")
        if not math.isnan(diff):
            self.diffs.add(diff)
        if not math.isnan(evalue):
            place = (math.log10(max(evalue, 1e-6)) + 6) / 0.25
            self.evalues[min(max(int(place), 0), len(self.evalues) - 1)] += 1
            for limit in (1e-2, 1e-3, 1e-4):
                self.below[limit] += evalue < limit


@dataclass(frozen=True)
class Chosen:
    """The page's alleles, best first, and what the file has."""

    alleles: list[Allele]
    counts: Counts


def check_sort(scored: Scored, sort: str) -> None:
    """Raises UsageError for a column that the file does not have or that says nothing of rank."""
    ranks = [column for column in scored.columns if column in ("diff", "sig", "e") or column.startswith("p_")]
    if sort not in ranks:
        raise UsageError(f"`sort={sort}`: the file has no such score", remedy=f"it has {', '.join(ranks)}")


def choose(scored: Scored, sort: str, top: int, holds: Holds | None = None) -> Chosen:
    """The ``top`` alleles that rank first among those for which ``holds``; equal ones in the file's order.

    sort: ``diff`` (largest absolute value first), ``sig``, ``e`` (smallest first), ``p_NAME`` (largest first). Alleles
    without a score come last. The file is read once; memory holds ``top`` alleles.
    """
    counts = Counts()

    def passing() -> Iterator[tuple[float, int, Allele]]:
        for number, allele in enumerate(scored.alleles()):
            counts.add(allele)
            if holds is None or holds(allele):
                counts.passed += 1
                yield _rank(allele, sort), number, allele

    best = heapq.nsmallest(top, passing(), key=lambda found: found[:2])
    return Chosen([allele for _, _, allele in best], counts)


def _rank(allele: Allele, sort: str) -> float:
    value = allele.number(sort)
    if math.isnan(value):
        return math.inf
    return value if sort in ("sig", "e") else -abs(value)
