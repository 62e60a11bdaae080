"""Files of motifs compared, as a table: TOMTOM's question."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from varscore.formats.motifs import Motif, read_motifs
from varscore.motifs.tomtom import FEW, Comparison, Targets, compare, smoothed

MOST_E = 10.0
"""Matches that are written"""
MATCHES = ("target", "name", "p", "E", "q", "offset", "overlap", "orientation")
STRANDS = {False: "+", True: "-"}
Row = Sequence[str | int | float]
log = logging.getLogger(__name__)


def matches(queries: Sequence[Motif], targets: Sequence[Motif], compared: Comparison) -> Iterable[Row]:
    """Rows of matches of E below MOST_E, the best of each query first."""
    e, p, q = compared.e, compared.p, compared.q
    for i, query in enumerate(queries):
        for j in p[i].argsort(kind="stable").tolist():
            if e[i, j] >= MOST_E:
                break
            yield (
                query.id,
                targets[j].id,
                targets[j].name,
                float(p[i, j]),
                float(e[i, j]),
                float(q[i, j]),
                int(compared.offset[i, j]),
                int(compared.overlap[i, j]),
                STRANDS[bool(compared.turned[i, j])],
            )


def compare_files(query: Path, against: Sequence[Path]) -> str:
    """TOMTOM alone: the table of matches of a file's motifs. Raises DataError."""
    queries, targets = read_motifs(query), [motif for path in against for motif in read_motifs(path)]
    compared = compare([smoothed(motif) for motif in queries], Targets.of([smoothed(motif) for motif in targets]))
    return format_table(("query", *MATCHES), matches(queries, targets, compared))


def warn_of_few(targets: Sequence[Motif]) -> None:
    """Say so when the database is too small to say what is surprising."""
    if 0 < len(targets) < FEW:
        log.warning("only %d motifs to compare with: p depends on what else is there", len(targets))


def format_table(head: Sequence[str], rows: Iterable[Row]) -> str:
    """Tab-separated text of a head and rows."""
    lines = ["\t".join(head)]
    lines += ["\t".join(f"{cell:.6g}" if isinstance(cell, float) else str(cell) for cell in row) for row in rows]
    return "\n".join(lines) + "\n"
