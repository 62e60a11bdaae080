"""Stretches of the genome that a run is limited to: ``--region``, ``--regions BED``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, UsageError
from varscore.formats.lines import Lines, read_blocks, source_name, why_columns
from varscore.genome.alleles import AlleleBatch
from varscore.genome.contigs import match_contigs
from varscore.genome.coords import FARTHEST, Interval
from varscore.genome.sequence import Genome

_NOT_INTERVALS = (b"#", b"track", b"browser")


def parse_regions(texts: Iterable[str]) -> list[Interval]:
    """``CHR:FROM-TO``, ``CHR:POS`` or ``CHR`` each (1-based, inclusive). Raises UsageError."""
    return [_parse_region(text) for text in texts]


def _parse_region(text: str) -> Interval:
    try:
        return Interval.parse(text)
    except ValueError as error:
        remedy = "write CHR:FROM-TO, such as chr1:1,000-2,000"
        raise UsageError("not a region", where=repr(text), cause=str(error), remedy=remedy) from None


def ended(intervals: Iterable[Interval], genome: Genome) -> list[Interval]:
    """The same; those that say no end (a whole contig) end with their contig, if the genome has it."""
    every = list(intervals)
    found = match_contigs([interval.contig for interval in every], genome)
    ends = {name: genome.contigs[there] for name, there in found.items() if there is not None}
    return [replace(one, end=ends.get(one.contig, one.end)) if one.end == FARTHEST else one for one in every]


def read_bed(path: str) -> list[Interval]:
    """The intervals of a BED file (plain, gzip or bgzip; ``-`` is stdin) in file order.

    Comment, ``track`` and ``browser`` lines are skipped. Raises DataError, with the line, for anything else that is not
    an interval, and for a file without any.
    """
    intervals = [interval for interval, _, _ in bed_lines(path)]
    if not intervals:
        raise DataError("no interval in the BED file", where=path)
    return intervals


def bed_lines(path: str) -> Iterator[tuple[Interval, list[bytes], str]]:
    """Every interval of a BED, narrowPeak or broadPeak file with the columns of its line, and where it stands.

    Columns are separated by tabs, or by blanks where a line has no tab. Raises DataError, with the line, for a line
    that is neither an interval nor a comment, ``track`` or ``browser``, or has more columns than the first.
    """
    number = width = 0
    for group in Lines(read_blocks(path, DataError), source_name(path), DataError):
        for line in group:
            number += 1
            if not line.strip() or line.startswith(_NOT_INTERVALS):
                width = 0 if line.startswith(b"track") else width
                continue
            where = f"{source_name(path)} line {number}"
            fields = line.split(b"\t") if b"\t" in line else line.split()
            interval = _bed_interval(fields, where)
            demand_one_interval(fields, width := width or len(fields), where)
            yield interval, fields, where


def demand_one_interval(fields: Sequence[bytes], most: int, where: str) -> None:
    """Raises DataError for a line with more than ``most`` columns, or in which a second interval of the contig follows
    on the first: where a line end was lost, that one would vanish. Fewer columns are no error; all but three may lack.
    """
    glued = any(
        before.endswith(fields[0]) and start.isdigit() and end.isdigit()
        for before, start, end in zip(fields[3:], fields[4:], fields[5:], strict=False)
    )
    if glued or len(fields) > most:
        cause = "a line end was lost: two intervals on one line" if glued else why_columns(len(fields), most)
        raise DataError(f"{len(fields)} columns where the first line has {most}", where=where, cause=cause)


def _bed_interval(fields: list[bytes], where: str) -> Interval:
    try:
        contig, start, end, *_ = fields
        return Interval.from_bed(contig.decode(), start.strip(), end.strip())
    except ValueError as error:
        cause = str(error) if len(fields) > 2 else f"it has {len(fields)} columns"
        remedy = "columns: contig, start (from 0), end"
        raise DataError("not a BED interval", where=where, cause=cause, remedy=remedy) from None


class RegionSet:
    """The union of some intervals, asked which records lie in it.

    key: the same for all names of a contig; by default ``chr1`` and ``1`` are one
    """

    def __init__(self, intervals: Iterable[Interval], key: Callable[[str], str] | None = None) -> None:
        self._key = key or _bare
        self._intervals = tuple(intervals)
        spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for interval in self._intervals:
            if len(interval) > 0:
                spans[self._key(interval.contig)].append((interval.start, interval.end))
        self._merged = {contig: _merge(pairs) for contig, pairs in spans.items()}

    def placed(self, key: Callable[[str], str]) -> RegionSet:
        """The same regions where contigs with one ``key`` are one."""
        return RegionSet(self._intervals, key)

    @property
    def contigs(self) -> tuple[str, ...]:
        """Their names, as they were given."""
        return tuple(dict.fromkeys(interval.contig for interval in self._intervals))

    @property
    def intervals(self) -> list[tuple[str, int, int]]:
        """The union as disjoint intervals, by contig (without ``chr``) and start."""
        merged = sorted(self._merged.items())
        return [(c, *span) for c, (a, b) in merged for span in zip(a.tolist(), b.tolist(), strict=True)]

    def overlaps(self, alleles: AlleleBatch) -> NDArray[np.bool_]:
        """bool (records,): whether the record's REF, or what a structural allele of it affects, shares a base with one
        of the intervals.

        ``alleles`` has at least one row for every record, as the chunks of a VariantReader have.
        """
        _, rows = np.unique(alleles.record, return_index=True)
        contig, start = alleles.contig[rows], alleles.start[rows]
        sizes = np.maximum(alleles.ref.lengths, 1 + alleles.affected_bases)
        end = start + (np.maximum.reduceat(sizes, rows) if len(rows) else sizes)
        inside = np.zeros(len(rows), bool)
        for index in np.unique(contig):
            starts, ends = self._merged.get(self._key(alleles.contigs[index]), (_NOTHING, _NOTHING))
            if len(starts):
                here = contig == index
                candidate = np.searchsorted(ends, start[here], side="right")  # the first that ends beyond start
                begins = np.append(starts, np.iinfo(np.int64).max)[candidate]
                inside[here] = begins < end[here]
        return inside


_NOTHING = np.zeros(0, np.int64)


def _bare(contig: str) -> str:
    return contig.removeprefix("chr")


def _merge(spans: list[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends, both ascending, of the disjoint intervals that cover the same bases."""
    starts, ends = np.array(sorted(spans), np.int64).T
    reach = np.maximum.accumulate(ends)
    opens = np.append(True, starts[1:] > reach[:-1])
    return starts[opens], reach[np.append(opens[1:], True)]
