"""Saturation mutagenesis as a variant file made up on the way: every substitution at every base of some intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError
from varscore.formats.fields import Field
from varscore.formats.shards import Shard
from varscore.formats.vcf import RecordChunk
from varscore.formats.vcf_header import COLUMNS, VcfHeader, encode
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.contigs import match_contigs
from varscore.genome.coords import Interval, one_based
from varscore.genome.sequence import UNKNOWN, Genome
from varscore.genome.sequence import decode as letters

_OTHERS = (b"C,G,T", b"A,G,T", b"A,C,T", b"A,C,G")
"""The alternatives of A, C, G, T"""


class SaturationReader:
    """Reads like a VariantReader: one record a base, its three alternatives together; bases that are N are left out.

    Overlapping intervals are merged, so that no record comes twice. ``skipped`` counts the bases left out so far, each
    by the shard that has the record after it. Raises DataError when an interval lies outside the genome.
    """

    def __init__(
        self,
        intervals: Sequence[Interval],
        genome: Genome,
        where: str,
        shard: Shard | None = None,
        renames: Mapping[str, str] | None = None,
    ) -> None:
        self.where = where
        self.skipped = 0
        self._shard = shard or Shard()
        self.records = 0
        """Records made so far, those left out included"""
        self._genome = genome
        self.intervals = merged(intervals, genome, where, renames)
        lengths: dict[str, int | None] = dict(genome.contigs)
        lines = [b"##contig=<ID=%s,length=%d>" % (encode(name), size) for name, size in genome.contigs.items()]
        self.header = VcfHeader((b"##fileformat=VCFv4.2", *lines), b"\t".join(COLUMNS), contigs=lengths)

    @property
    def bases(self) -> int:
        """Bases of all intervals."""
        return sum(len(interval) for interval in self.intervals)

    def first_contigs(self, records: int) -> tuple[str, ...]:
        """As of a VariantReader; the header declares every contig."""
        return self.contigs

    @property
    def contigs(self) -> tuple[str, ...]:
        """Names of the contigs that records are on."""
        return tuple(dict.fromkeys(interval.contig for interval in self.intervals))

    def chunks(self, size: int = 4096, wanted: Callable[[int], bool] | None = None) -> Iterator[RecordChunk]:
        """All records, or those whose number is ``wanted``, ``size`` at a time at most."""
        for interval in self.intervals:
            for start in range(interval.start, interval.end, size):
                chunk = self.chunk(Interval(interval.contig, start, min(start + size, interval.end)))
                if wanted is not None:
                    chunk = chunk.select(np.array([wanted(number) for number in chunk.numbers.tolist()], bool))
                if len(chunk):
                    yield chunk

    def chunk(self, interval: Interval) -> RecordChunk:
        """The records of a stretch of one of the ``intervals``, which come next."""
        codes = self._genome.codes(interval.contig, interval.start, interval.end)
        known = np.flatnonzero(codes != UNKNOWN)
        after = self.records + np.searchsorted(known, np.flatnonzero(codes == UNKNOWN))
        self.skipped += sum(n for record, n in Counter(after.tolist()).items() if self._shard.has(record))
        first, self.records = self.records, self.records + len(known)
        return saturated(self.contigs, interval, known, codes[known], first)


def saturated(
    contigs: tuple[str, ...], interval: Interval, known: NDArray[np.int64], bases: NDArray[np.uint8], first: int
) -> RecordChunk:
    """One record a base, its three alternatives together.

    contigs: names, among them the interval's; known: int64 (n,), places in the interval; bases: uint8 (n,) codes there;
    first: number of the first record
    """
    name, starts = encode(interval.contig), interval.start + known
    lines = [
        b"%s\t%d\t.\t%s\t%s\t.\t.\t." % (name, position, b"ACGT"[base : base + 1], _OTHERS[base])
        for position, base in zip(one_based(starts).tolist(), bases.tolist(), strict=True)
    ]
    record, missing = np.repeat(np.arange(len(lines)), 3), Field.of([b"."] * len(lines))
    three = np.arange(3 * len(lines) + 1)
    return RecordChunk(
        numbers=first + np.arange(len(lines)),
        lines=lines,
        ids=missing,
        infos=missing,
        info_ends=np.array([len(line) for line in lines], np.int64),
        rows=3 * np.arange(len(lines) + 1),
        alleles=AlleleBatch(
            record=record,
            contig=np.full(len(record), contigs.index(interval.contig), np.int32),
            contigs=contigs,
            start=starts[record],
            ref=ByteColumn(np.frombuffer(letters(bases[record]), np.uint8), three),
            alt=ByteColumn(np.frombuffer(b"".join(_OTHERS[b].replace(b",", b"") for b in bases), np.uint8), three),
        ),
    )


def merged(
    intervals: Sequence[Interval], genome: Genome, where: str, renames: Mapping[str, str] | None
) -> list[Interval]:
    """The union, in the order of the FASTA's contigs and spelled its way. Raises DataError for what is not in it."""
    names = match_contigs({interval.contig for interval in intervals}, genome, None, renames)
    order = {name: index for index, name in enumerate(genome.contigs)}
    spans = []
    for interval in intervals:
        name = names[interval.contig]
        if name is None or interval.end > genome.contigs[name]:
            raise DataError(f"{interval} is not in the FASTA", where=where, remedy="same assembly?")
        spans.append((order[name], interval.start, interval.end))
    union: list[list[int]] = []
    for contig, start, end in sorted(spans):
        if union and union[-1][0] == contig and start <= union[-1][2]:
            union[-1][2] = max(union[-1][2], end)
        else:
            union.append([contig, start, end])
    contigs = list(genome.contigs)
    return [Interval(contigs[contig], start, end) for contig, start, end in union]
