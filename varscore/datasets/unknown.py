"""Labels that are not known, as a table says: where a track was not measured, no peak is no evidence of anything.

The table is tab-separated, with a header:

    track     a task's name or the name of its peak file; ``*`` and ``?`` stand for any letters, so it may be many
    contig    where it is unknown; ``X`` and ``chrX`` are the same
    start     0-based; this column may be missing, or empty: from the start of the contig
    end       the first base that is known again; the same: to the end of the contig
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.cells import numbered_rows
from varscore.datasets.spans import find_contig
from varscore.errors import DataError

_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Patch:
    """Some tracks over a stretch of one contig. tracks: bool (T,); contig: its index; start, end: 0-based half-open."""

    tracks: NDArray[np.bool_]
    contig: int
    start: int
    end: int


def read_unknown(table: Path, tracks: Sequence[tuple[str, str]], contigs: Sequence[str]) -> list[Patch]:
    """What a table says is unknown, a patch a line.

    tracks: the name of each one's peak file, and its task's; contigs: of the FASTA, in order
    Raises DataError, with the line, when no track or contig has such a name, or the stretch is none.
    """
    return [_patch(where, row, tracks, contigs) for where, row in numbered_rows(table, ["track", "contig"])]


def _patch(where: str, row: Mapping[str, str], tracks: Sequence[tuple[str, str]], contigs: Sequence[str]) -> Patch:
    wanted = row["track"]
    chosen = np.array([wanted in names or any(fnmatchcase(name, wanted) for name in names) for names in tracks])
    if not chosen.any():
        remedy = f"the name of a task or of its peak file, such as {tracks[0][0]}, or with * for any letters"
        raise DataError(f"no track {wanted!r}", where=where, remedy=remedy)
    contig = find_contig(contigs, row["contig"])
    if contig is None:
        remedy = f"name contigs of the FASTA, such as {contigs[0]}"
        raise DataError(f"no contig {row['contig']!r}", where=where, remedy=remedy)
    try:
        start, end = (int(row.get(column) or other) for column, other in (("start", 0), ("end", _END)))
    except ValueError:
        start, end = 0, 0
    if not 0 <= start < end <= _END:
        remedy = "start from 0, and an end beyond it; both empty for the whole contig"
        raise DataError("not a stretch of a contig", where=where, remedy=remedy)
    return Patch(chosen, contig, start, end)
