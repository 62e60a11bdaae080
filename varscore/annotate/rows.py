"""From the scores of a chunk to the rows of the outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varscore.annotate.writers.arrays import EFFECTS, MatrixWriter
from varscore.annotate.writers.matrix import SpooledMatrix
from varscore.annotate.writers.scores import MISSING, AlleleScores
from varscore.formats.vcf import RecordChunk
from varscore.formats.vcf_header import encode
from varscore.genome.alleles import Status
from varscore.genome.coords import one_based
from varscore.scoring.annotations import Extra
from varscore.scoring.effects import Effects, strongest
from varscore.scoring.score import ScoreBatch, spread

REF_PROB = "ref_prob"
SPAN = "span"
"""The further columns that every run has"""
EVALUE = "evalue"
"""The block of a score matrix that comes with a background"""


def strongest_columns(
    effects: Effects, tasks: NDArray[np.int64], extra: Mapping[str, NDArray[np.number]] | None = None
) -> dict[str, NDArray[np.generic]]:
    """Every column of scored alleles, (m,) each, float32, or int64 for tasks: ``diff``, ``task``, ``logodds`` and
    ``ref_prob`` of the strongest task, then ``extra``."""
    best, scored = strongest(effects.diff, tasks), np.arange(len(effects))
    columns: dict[str, NDArray[np.generic]] = {
        "diff": effects.diff[scored, best],
        "task": best,
        "logodds": effects.logodds[scored, best],
    }
    return {**columns, REF_PROB: effects.ref[scored, best], **(extra or {})}


def spread_columns(found: ScoreBatch, columns: Mapping[str, NDArray[np.generic]]) -> AlleleScores:
    """Columns of the scored alleles (see :func:`strongest_columns`), or of their text, object (m,), as columns of all n
    of a batch."""
    n, rows = len(found.status), found.rows
    spreads = {name: _spreader(column)(column, rows, n) for name, column in columns.items()}
    of_all = {name: spreads.pop(name) for name in ("task", "diff", "logodds")}
    return AlleleScores(status=found.status, **of_all, extra=spreads)


def _spreader(column: NDArray[np.generic]) -> Callable[[Any, NDArray[np.int64], int], NDArray[Any]]:
    if column.dtype == object:
        return _spread_text
    return spread if column.dtype == np.float32 else spread_numbers


def _spread_text(texts: NDArray[np.object_], rows: NDArray[np.int64], n: int) -> NDArray[np.object_]:
    """Bytes of the scored rows as a column of all n alleles, MISSING elsewhere."""
    out = np.full(n, MISSING, object)
    out[rows] = texts
    return out


def spread_numbers(numbers: NDArray[np.int64], rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Whole numbers of the scored rows as a column of all n alleles, int64, -1 elsewhere."""
    out = np.full(n, -1, np.int64)
    out[rows] = numbers
    return out


def write_matrix(
    matrix: MatrixWriter | SpooledMatrix, chunk: RecordChunk, found: ScoreBatch, extra: Extra, tasks: NDArray[np.int64]
) -> None:
    """Append a chunk to the score matrix; its columns are ``tasks``, int64 (k,)."""
    alleles, n = chunk.alleles, len(found.status)
    blocks = {name: getattr(found.effects, name) for name in EFFECTS}
    if extra.evalues is not None:
        blocks[EVALUE] = extra.evalues
    contigs = [encode(name).decode("utf-8", "replace") for name in alleles.contigs]
    matrix.write(
        chrom=[contigs[index] for index in alleles.contig.tolist()],
        pos=one_based(alleles.start),
        ref=alleles.ref,
        alt=alleles.alt,
        status=[Status(value).name for value in found.status.tolist()],
        values={name: spread(block[:, tasks], found.rows, n) for name, block in blocks.items()},
    )
