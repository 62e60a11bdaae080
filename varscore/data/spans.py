"""Intervals of peak files as arrays: reading, union, overlap."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from varscore.errors import DataError
from varscore.genome.sequence import Genome, match_contigs

log = logging.getLogger(__name__)

Spans = dict[str, np.ndarray]
"""contig -> int64 (n, 2) of start, end; 0-based half-open"""


def read_spans(path: Path) -> Spans:
    """First three columns of a BED, narrowPeak or broadPeak file (gzip or not), as written: not sorted, not merged.

    Raises DataError with the line number when a line is not ``chrom start end``.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    try:
        for number, line in enumerate(read_lines(path), 1):
            if not line.strip() or line.startswith((b"#", b"track", b"browser")):
                continue
            columns = line.split(None, 3)
            try:
                start, end = int(columns[1]), int(columns[2])
            except (IndexError, ValueError):
                start, end = 0, -1
            if not 0 <= start <= end:
                where = f"{path} line {number}"
                raise DataError("not a BED interval", where=where, remedy="columns: contig, start (from 0), end")
            found.setdefault(columns[0].decode("ascii", "replace"), []).append((start, end))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError("cannot read peaks", where=path, cause=str(error)) from None
    return {contig: np.array(spans, np.int64) for contig, spans in found.items()}


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, gzip or not. Raises OSError, EOFError or zlib.error when it is damaged."""
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if zipped else path.open("rb") as lines:
        yield from lines


def read_union(path: Path, genome: Genome) -> Spans:
    """What the intervals of a file cover: FASTA contig -> disjoint sorted intervals. Other contigs are left out.

    Raises DataError when the file is damaged. A file with intervals but none on a contig of the FASTA is warned of.
    """
    spans = read_spans(path)
    names = match_contigs(spans, genome, None)
    if spans and not any(names.values()):
        log.warning("no contig of %s is in the FASTA, which has no %s", path, ", ".join(list(spans)[:3]))
    placed: dict[str, list[np.ndarray]] = {}
    for name, rows in spans.items():
        target = names[name]
        if target is not None:
            placed.setdefault(target, []).append(rows)
    return {contig: merge_spans(np.concatenate(parts)) for contig, parts in placed.items()}


def merge_spans(spans: np.ndarray) -> np.ndarray:
    """The union of intervals, int64 (n, 2): int64 (m, 2), sorted, disjoint, not touching."""
    if len(spans) == 0:
        return spans.reshape(0, 2)
    ordered = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    heads = np.flatnonzero(np.append(True, ordered[1:, 0] > reach[:-1]))
    return np.stack([ordered[heads, 0], reach[np.append(heads[1:], len(ordered)) - 1]], 1)


def covered(union: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Bases of each ``[start, end)`` that lie under a disjoint sorted union. int64 (n,)"""
    before = np.concatenate([[0], np.cumsum(union[:, 1] - union[:, 0])])

    def up_to(position: np.ndarray) -> np.ndarray:
        """Covered bases left of each position."""
        index = np.searchsorted(union[:, 0], position, "right")
        inside = np.zeros(len(position), np.int64)
        behind = index > 0
        inside[behind] = np.minimum(position[behind], union[index[behind] - 1, 1]) - union[index[behind] - 1, 0]
        total: np.ndarray = before[np.maximum(index - 1, 0)] + inside
        return total

    difference: np.ndarray = up_to(end) - up_to(start)
    return difference


def find_contig(contigs: Sequence[str], name: str) -> int | None:
    """Which contig a user means: the one of that name, else the first of that name with or without ``chr``."""
    if name in contigs:
        return contigs.index(name)
    bare = name.removeprefix("chr")
    return next((index for index, contig in enumerate(contigs) if contig.removeprefix("chr") == bare), None)
