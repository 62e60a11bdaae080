"""From the scores of a chunk to the rows of the outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from varscore.annotate.writers.arrays import EFFECTS, MatrixWriter
from varscore.annotate.writers.matrix import SpooledMatrix
from varscore.annotate.writers.scores import AlleleScores
from varscore.formats.vcf import RecordChunk
from varscore.formats.vcf_header import encode
from varscore.genome.alleles import Status
from varscore.genome.coords import one_based
from varscore.scoring.annotations import Extra
from varscore.scoring.effects import strongest
from varscore.scoring.score import ScoreBatch, spread

REF_PROB = "ref_prob"
"""The further column that every run has"""
EVALUE = "evalue"
"""The block of a score matrix that comes with a background"""


def allele_scores(found: ScoreBatch, tasks: np.ndarray, extra: Mapping[str, np.ndarray] | None = None) -> AlleleScores:
    """The columns of the annotated file: the strongest of ``tasks`` (int64 column indices) of every allele.

    extra: further columns of the scored alleles, float32 (m,), or int64 (m,) indices of tasks
    """
    n, effects = len(found.status), found.effects
    best = strongest(effects.diff, tasks)
    scored = np.arange(len(effects))
    columns = {REF_PROB: effects.ref[scored, best], **(extra or {})}
    return AlleleScores(
        status=found.status,
        task=_spread_tasks(best, found.rows, n),
        diff=spread(effects.diff[scored, best], found.rows, n),
        logodds=spread(effects.logodds[scored, best], found.rows, n),
        extra={
            name: (spread if column.dtype == np.float32 else _spread_tasks)(column, found.rows, n)
            for name, column in columns.items()
        },
    )


def _spread_tasks(tasks: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    """Indices of tasks of the scored rows as a column of all n alleles, int32, -1 elsewhere."""
    out = np.full(n, -1, np.int32)
    out[rows] = tasks
    return out


def write_matrix(
    matrix: MatrixWriter | SpooledMatrix, chunk: RecordChunk, found: ScoreBatch, extra: Extra, tasks: np.ndarray
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
