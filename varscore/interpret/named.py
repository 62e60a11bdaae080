"""Alleles that are named, not spelled out (``<DEL>``, ``<DUP>``, ``<INV>``): their windows, and where their bases lie.

The windows are those that ``annotate`` scores. A duplication or inversion has a pair of them at either end; explained
is the pair in which some task's difference is larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from varscore.engine.exact.reach import Span
from varscore.engine.plain import PlainEngine
from varscore.genome.alleles import AlleleBatch
from varscore.genome.coords import Variant, anchor, one_based
from varscore.genome.named import NamedGenome
from varscore.genome.sequence import Genome, decode
from varscore.genome.structural import structural_windows
from varscore.genome.windows import Windows, mostly_unknown
from varscore.interpret.subjects import (
    LONGEST_SHOWN,
    AllelePair,
    Columns,
    Subject,
    file_name,
    mutated_span,
    side_by_side,
)
from varscore.scoring.effects import Effects
from varscore.scoring.score import effects_of


@dataclass(frozen=True, slots=True)
class NamedAllele:
    """batch: its one row, where its minimal form stands; end: the index of its pair of windows that counts"""

    batch: AlleleBatch
    end: int = 0

    @property
    def affected(self) -> int:
        return int(self.batch.affected_bases[0])

    @property
    def is_short_deletion(self) -> bool:
        return self.batch.alt[0].startswith(b"<DEL") and self.affected < LONGEST_SHOWN

    def spelled(self, genome: Genome, contig: str) -> Variant:
        """A deletion by its bases, whose windows are the same."""
        start = int(self.batch.start[0])
        bases = decode(genome.codes(contig, start, start + 1 + self.affected)).decode()
        return Variant(self.batch.contigs[int(self.batch.contig[0])], start, bases, bases[0])

    def windows(self, genome: Genome, contig: str, length: int) -> Windows:
        """Its pairs of windows, each a row of its own. contig: the FASTA's name"""
        names = [contig if index == self.batch.contig[0] else None for index in range(len(self.batch.contigs))]
        found = structural_windows(self.batch, np.zeros(1, np.int64), NamedGenome(genome, names), length)
        return replace(found, rows=np.arange(len(found)))


def effects_apart(engine: PlainEngine, windows: Sequence[Windows]) -> list[Effects]:
    """What a pool's engine does with the windows of some alleles: the effects of each of their pairs."""
    return [effects_of(engine, one) for one in windows]


def end_that_counts(windows: Windows, found: Effects, untrained: Sequence[int]) -> int:
    """The pair with the largest difference of a trained task, the first of equals; not one that is mostly N."""
    change = np.abs(np.delete(found.diff, np.asarray(untrained, np.int64), 1)).max(1)
    return int(np.where(mostly_unknown(windows), -1, change).argmax())


def named_pair(
    allele: NamedAllele,
    variant: Variant,
    contig: str,
    genome: Genome,
    window: int,
    tasks: NDArray[np.int64],
    diff: NDArray[np.float32],
    logodds: NDArray[np.float32],
    number: int = 0,
    *,
    centred: bool = True,
    span: int | None = None,
) -> AllelePair:
    """See :func:`varscore.interpret.subjects.pair`; the span lies around the bases that change, or where they begin."""
    at = allele.end
    windows = allele.windows(genome, contig, window)
    inside = _inside(int(windows.lo[at]), int(windows.hi[at]))
    mutated = mutated_span(window, inside.lo, len(inside), span)
    # the same windows with more on either side are what windows around each mutated base show
    more = max(anchor(window) - mutated.lo, mutated.hi - 1 - anchor(window), 0)
    wide = allele.windows(genome, contig, window + 2 * more)
    first = more + mutated.lo - anchor(window)
    name = file_name(variant, allele.affected)
    subjects = []
    for kind, codes, around, places in zip(
        ("ref", "alt"),
        (windows.ref, windows.alt),
        (wide.ref, wide.alt),
        places_of(variant, allele.affected, at, window),
        strict=True,
    ):
        context = around[at, first : first + len(mutated) + window - 1] if centred else None
        labels = [str(one_based(place)) for place in places.tolist()]
        subjects.append(Subject(name, codes[at], mutated, tasks, labels, context, variant.contig, kind, number))
    ref, alt = subjects
    return AllelePair(name, variant, contig, ref, alt, _columns(windows, at, inside), diff, logodds, allele.affected)


def _inside(lo: int, hi: int) -> Span:
    """The positions that differ; of many the one next to the bases that do not."""
    if hi - lo <= LONGEST_SHOWN:
        return Span(lo, hi)
    return Span(lo, lo + 1) if lo else Span(hi - 1, hi)


def _columns(windows: Windows, at: int, inside: Span) -> Columns:
    return side_by_side(windows.ref.shape[1], inside, paired=bool(windows.hi[at] - windows.lo[at] == len(inside)))


def places_of(variant: Variant, affected: int, end: int, window: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """0-based positions in the genome of the bases of the REF and of the ALT window: int64 (window,) each."""
    first, last, middle, at = variant.start + 1, variant.start + 1 + affected, anchor(window), np.arange(window)
    left = middle + 1
    if variant.alt.startswith("<DUP"):
        return (last, first)[end] - left + at, np.where(at < left, last, first) - left + at
    if variant.alt.startswith("<INV"):
        ref = (first - middle if end == 0 else last - (window - middle)) + at
        turned = (ref >= first) & (ref < last) & (at >= middle if end == 0 else at < window - middle)
        return ref, np.where(turned, first + last - 1 - ref, ref)
    ref = variant.start - middle + at
    return ref, np.where(at <= middle, ref, ref + affected)
