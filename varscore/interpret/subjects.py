"""What is to be explained, as windows: sequences, intervals, and alleles with REF and ALT side by side."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.engine.exact.reach import Span
from varscore.errors import UsageError
from varscore.formats.fasta import FastaRecord
from varscore.genome import spelling
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.contigs import ContigNames, find_contigs
from varscore.genome.coords import Interval, Variant, anchor, one_based, window_start
from varscore.genome.sequence import Genome, decode, encode, fit
from varscore.genome.spelling import FORMS, is_variant

LONGEST_NAME = 20
"""Bases of an allele that a file name spells out"""
LONGEST_SHOWN = 60
"""Bases of an allele that a picture shows, each in a column of its own"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A window to explain.

    codes: uint8 (window,); mutated: the positions of it that ism takes
    context: uint8 (len(mutated) + window - 1,), what windows around each of these show; None: the window stays
    contig: empty for a sequence of its own; labels: of every base, its position as tables have it, 1-based
    tasks: int64 (k,); allele: ``ref``, ``alt``, or ``.`` for what is none; number: of the input, from 0
    """

    name: str
    codes: NDArray[np.uint8]
    mutated: Span
    tasks: NDArray[np.int64]
    labels: Sequence[str]
    context: NDArray[np.uint8] | None = None
    contig: str = ""
    allele: str = "."
    number: int = 0

    @property
    def letters(self) -> str:
        return decode(self.codes).decode()


@dataclass(frozen=True, slots=True)
class Columns:
    """REF and ALT windows in one frame: a column a base, int64 (c,) index in each window, -1 where it has none.

    ``offsets``: of every column from the first base of REF, ``0.1`` and so on for inserted bases
    ``inside``: the allele's own columns; of a long one the first, where both windows part
    ``paired``: whether the bases of a column belong together; those of a long allele do not, from there on
    """

    ref: NDArray[np.int64]
    alt: NDArray[np.int64]
    offsets: Sequence[str]
    inside: Span
    paired: bool = True

    def around(self, flank: int) -> Columns:
        """The alleles' own columns, and so many on either side."""
        chosen = slice(max(self.inside.lo - flank, 0), self.inside.hi + flank)
        lo = self.inside.lo - chosen.start
        inside = Span(lo, lo + len(self.inside))
        return Columns(self.ref[chosen], self.alt[chosen], self.offsets[chosen], inside, self.paired)


@dataclass(frozen=True, slots=True)
class AllelePair:
    """An allele that can be scored. variant: in its minimal form; contig: its name in the FASTA

    diff, logodds: float32 (k,) of the subjects' tasks, as ``annotate`` gives them
    affected: of an allele that is named, such as ``<DEL>``, how many bases after the first change; 0: it is spelled out
    """

    name: str
    variant: Variant
    contig: str
    ref: Subject
    alt: Subject
    columns: Columns
    diff: NDArray[np.float32]
    logodds: NDArray[np.float32]
    affected: int = 0


def parse_variant(text: str, genome: Genome | None = None) -> Variant | None:
    """One variant given as text, see :mod:`varscore.genome.spelling`. None when it looks like none.

    genome: what spells out a variant that does not say its bases, such as ``NC_000001.10:g.1005_1006del``
    Raises UsageError for one that is wrong, and for one that only a genome can spell out.
    """
    if not is_variant(text):
        return None
    try:
        edit = spelling.parse_variant(text)
        if edit.kind == "replace" and edit.ref:
            return Variant(edit.contig, edit.start, edit.ref, edit.alt)
        if genome is None:
            raise UsageError("the variant does not say its bases", where=repr(text), remedy="`varscore normalise` does")
        if (contig := ContigNames(genome, {}).find(edit.contig)) is None:
            raise UsageError(
                "the variant does not say its bases",
                where=repr(text),
                cause=f"{genome.path.name} has no {edit.contig}",
                remedy="pass its FASTA",
            )
        return Variant(edit.contig, *spelling.spell(edit, genome, contig))
    except ValueError as error:
        raise UsageError("not a variant", where=repr(text), cause=str(error), remedy=f"write {FORMS}") from None


def batch_of(variant: Variant) -> AlleleBatch:
    """One variant as a batch."""
    zero = np.zeros(1, np.int64)
    ref, alt = (ByteColumn.of([allele.encode()]) for allele in (variant.ref, variant.alt))
    return AlleleBatch(zero, np.zeros(1, np.int32), (variant.contig,), zero + variant.start, ref, alt)


def sequences(records: Iterable[FastaRecord], window: int, tasks: NDArray[np.int64]) -> Iterator[Subject]:
    """The records of a FASTA, each fitted to the window; positions count from the window's first base."""
    labels = [str(at) for at in range(1, window + 1)]
    for number, record in enumerate(records):
        codes = fit(record.sequence, window)
        yield Subject(record.name, codes, Span(0, window), tasks, labels, number=number)


def intervals(
    wanted: Sequence[Interval],
    genome: Genome,
    window: int,
    tasks: NDArray[np.int64],
    *,
    centred: bool = True,
    span: int | None = None,
) -> Iterator[Subject]:
    """The window around the middle of each interval. centred: each mutated base gets a window of its own

    span: bases on either side of the middle that are mutated; None: all of the window. Raises DataError.
    """
    contigs = find_contigs(wanted, genome)
    mutated = mutated_span(window, window // 2, 1, span)
    for number, interval in enumerate(wanted):
        contig, start = contigs[interval.contig], window_start(interval.start, interval.end, window)
        codes = genome.codes(contig, start, start + window)
        first = start + mutated.lo - anchor(window)
        context = genome.codes(contig, first, first + len(mutated) + window - 1) if centred else None
        labels = [str(position) for position in range(one_based(start), one_based(start) + window)]
        yield Subject(str(interval), codes, mutated, tasks, labels, context, interval.contig, number=number)


def pair(
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
    """REF and ALT windows of an allele in its minimal form, the first base of REF at ``anchor(window)``.

    contig: its name in the FASTA; centred, span: see :func:`intervals`; the span lies around the allele
    """
    start, middle = variant.start, anchor(window)
    is_long = max(len(variant.ref), len(variant.alt)) > LONGEST_SHOWN
    subjects = []
    for allele, letters in (("ref", variant.ref), ("alt", variant.alt)):
        inserted = encode(letters.encode())[: 2 * window]  # more is in no window
        size = len(inserted)
        mutated = mutated_span(window, middle, 1 if is_long else size, span)
        reach = Span(min(mutated.lo - middle, 0) - middle, max(mutated.hi, window) + window - 2 * middle)
        left = genome.codes(contig, start + reach.lo, start)
        after = start + len(variant.ref)
        right = genome.codes(contig, after, after + max(reach.hi - size, 0))
        haplotype = np.concatenate([left, inserted, right])
        zero = -reach.lo  # of the first base of the allele
        codes = haplotype[zero - middle : zero - middle + window]
        first = zero + mutated.lo - 2 * middle
        context = haplotype[first : first + len(mutated) + window - 1] if centred else None
        labels = list(_labels(one_based(start), len(variant.ref), size, middle, window))
        subjects.append(
            Subject(file_name(variant), codes, mutated, tasks, labels, context, variant.contig, allele, number)
        )
    ref, alt = subjects
    columns = align(len(variant.ref), len(variant.alt), window)
    return AllelePair(file_name(variant), variant, contig, ref, alt, columns, diff, logodds)


def file_name(variant: Variant, affected: int = 0) -> str:
    """``chrom_pos_REF_ALT``; alleles over 20 bases as their length and 8 digits of their SHA-256, ``<DEL>`` as ``DEL``
    and how many bases are ``affected``."""
    alleles = [_short(allele, affected) for allele in (variant.ref, variant.alt)]
    return "_".join([_plain(variant.contig), str(variant.pos), *alleles])


def _short(allele: str, affected: int) -> str:
    if allele.startswith("<"):
        return f"{_plain(allele.strip('<>'))}{affected}bp"
    if len(allele) <= LONGEST_NAME:
        return allele
    return f"{len(allele)}bp{hashlib.sha256(allele.encode()).hexdigest()[:8]}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", text)


def mutated_span(window: int, middle: int, size: int, span: int | None) -> Span:
    """The positions of a window that are mutated: of ``size`` bases from ``middle`` on and ``span`` around them; None:
    all."""
    if span is None:
        return Span(0, window)
    return Span(max(middle - span, 0), min(middle + size + span, window))


def _labels(position: int, ref: int, size: int, middle: int, window: int) -> Iterator[str]:
    """The genome's positions of a window whose allele of ``size`` bases stands for ``ref`` from ``position`` on.

    Bases beyond those of REF are ``.1``, ``.2`` and so on behind the last of these.
    """
    for at in range(window):
        within = at - middle
        if within < min(size, ref):
            yield str(position + within)
        elif within < size:
            yield f"{position + ref - 1}.{within - ref + 1}"
        else:
            yield str(position + within + ref - size)


def align(ref: int, alt: int, window: int) -> Columns:
    """The columns of windows whose alleles have so many bases: bases in common one below the other, then those that
    only one has, then what follows. With a long allele each window reads on from where they part."""
    if max(ref, alt) > LONGEST_SHOWN:
        return side_by_side(window, Span(anchor(window), anchor(window) + 1))
    middle, most = anchor(window), window - anchor(window)
    ref, alt = min(ref, most), min(alt, most)
    left, own = np.arange(middle), np.arange(middle, middle + max(ref, alt))
    right = np.arange(window - middle - max(ref, alt))  # as many as both windows have
    rows = [
        np.concatenate([left, np.where(own < middle + size, own, -1), middle + size + right]) for size in (ref, alt)
    ]
    offsets = [str(at - middle) for at in left.tolist()]
    offsets += [str(at) if at < ref else f"{ref - 1}.{at - ref + 1}" for at in range(max(ref, alt))]
    offsets += [str(ref + at) for at in right.tolist()]
    return Columns(rows[0], rows[1], offsets, Span(middle, middle + max(ref, alt)))


def side_by_side(window: int, inside: Span, *, paired: bool = False) -> Columns:
    """A column for each position of both windows, counted from the first one inside."""
    every = np.arange(window)
    return Columns(every, every, [str(at - inside.lo) for at in range(window)], inside, paired)
