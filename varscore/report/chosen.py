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

DIFF_EDGES = tuple(round(-1 + 0.05 * i, 2) for i in range(41))
"""Bins of VS_DIFF"""
E_EDGES = tuple(-6 + 0.25 * i for i in range(25))
"""Bins of log10 E"""


@dataclass
class Counts:
    """What the whole file has. by_status: alleles by VS_STATUS; diffs, evalues: alleles in each bin"""

    by_status: Counter[str] = field(default_factory=Counter)
    diffs: list[int] = field(default_factory=lambda: [0] * (len(DIFF_EDGES) - 1))
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
            self.diffs[min(max(int((diff + 1) / 0.05), 0), len(self.diffs) - 1)] += 1
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
        raise UsageError(f"--sort {sort}: the file has no such score", remedy=f"it has {', '.join(ranks)}")


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
