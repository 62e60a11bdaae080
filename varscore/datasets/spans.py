"""Intervals of peak files as arrays: reading, union, overlap."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError
from varscore.formats.lines import Lines, read_blocks
from varscore.formats.regions import bed_lines
from varscore.genome.contigs import match_contigs, shown
from varscore.genome.sequence import Genome

log = logging.getLogger(__name__)

Spans = dict[str, NDArray[np.int64]]
"""contig -> int64 (n, 2) of start, end; 0-based half-open"""


def read_spans(path: Path) -> Spans:
    """First three columns of a BED, narrowPeak or broadPeak file (gzip or not), as written: not sorted, not merged.

    Raises DataError with the line number when a line is not ``chrom start end``.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for interval, _, _ in bed_lines(str(path)):
        found.setdefault(interval.contig, []).append((interval.start, interval.end))
    return {contig: np.array(spans, np.int64) for contig, spans in found.items()}


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a text, gzip or not, without their ends and a byte order mark. Raises DataError for one that cannot
    be read, is cut or damaged."""
    yield from chain.from_iterable(Lines(read_blocks(str(path), DataError), str(path), DataError))


def placed_contigs(path: Path, contigs: Iterable[str], genome: Genome, demanded: bool = False) -> dict[str, str | None]:
    """The FASTA's name for every contig of a file. Where there are contigs and none is in the FASTA, warns, or, where
    that is ``demanded``, raises DataError: a track may have no peak on the contigs of a small FASTA."""
    names = match_contigs(contigs, genome)
    if names and not any(names.values()):
        error = DataError(
            "none of the contigs is in the FASTA",
            where=path,
            cause=f"they are {shown(names)}; {genome.path.name} has {shown(genome.contigs)}",
        )
        if demanded:
            raise error
        log.warning("%s", error)
    return names


def read_union(path: Path, genome: Genome, demanded: bool = False) -> Spans:
    """What the intervals of a file cover: FASTA contig -> disjoint sorted intervals. Other contigs are left out.

    Raises DataError when the file is damaged, and see :func:`placed_contigs`. Intervals that end beyond their contig
    are warned of.
    """
    spans = read_spans(path)
    names = placed_contigs(path, spans, genome, demanded)
    ends = ((name, rows[:, 1].max(), genome.contigs[there]) for name, rows in spans.items() if (there := names[name]))
    if beyond := next(((name, end, length) for name, end, length in ends if end > length), None):
        log.warning(
            "%s is probably of another assembly: it goes to base %s of %s, the FASTA to %s",
            path,
            *(f"{beyond[1]:,}", beyond[0], f"{beyond[2]:,}"),
        )
    placed: dict[str, list[NDArray[np.int64]]] = {}
    for name, rows in spans.items():
        target = names[name]
        if target is not None:
            placed.setdefault(target, []).append(rows)
    return {contig: merge_spans(np.concatenate(parts)) for contig, parts in placed.items()}


def merge_spans(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """The union of intervals, int64 (n, 2): int64 (m, 2), sorted, disjoint, not touching."""
    if len(spans) == 0:
        return spans.reshape(0, 2)
    ordered = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    heads = np.flatnonzero(np.append(True, ordered[1:, 0] > reach[:-1]))
    return np.stack([ordered[heads, 0], reach[np.append(heads[1:], len(ordered)) - 1]], 1)


def chains(contig: NDArray[np.integer], start: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """int64 (n,), from 0 along the genome: places less than ``reach`` bases apart have one number, and so have those
    that others between them link. So have windows of that length that overlap. contig, start: int (n,), in any order"""
    order = np.lexsort((start, contig))
    opens = np.ones(len(order), bool)
    opens[1:] = (np.diff(contig[order]) != 0) | (np.diff(start[order]) >= reach)
    found = np.empty(len(order), np.int64)
    found[order] = np.cumsum(opens) - 1
    return found


def covered(union: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bases of each ``[start, end)`` that lie under a disjoint sorted union. int64 (n,)"""
    before = np.concatenate([[0], np.cumsum(union[:, 1] - union[:, 0])])

    def up_to(position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Covered bases left of each position."""
        index = np.searchsorted(union[:, 0], position, "right")
        inside = np.zeros(len(position), np.int64)
        behind = index > 0
        inside[behind] = np.minimum(position[behind], union[index[behind] - 1, 1]) - union[index[behind] - 1, 0]
        total: NDArray[np.int64] = before[np.maximum(index - 1, 0)] + inside
        return total

    difference: NDArray[np.int64] = up_to(end) - up_to(start)
    return difference


def find_contig(contigs: Sequence[str], name: str) -> int | None:
    """Which contig a user means: the one of that name, else the first of that name with or without ``chr``."""
    if name in contigs:
        return contigs.index(name)
    bare = name.removeprefix("chr")
    return next((index for index, contig in enumerate(contigs) if contig.removeprefix("chr") == bare), None)
