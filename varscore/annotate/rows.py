"""From the scores of a chunk to the rows of the outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from varscore.effects import strongest
from varscore.files.arrays import EFFECTS, MatrixWriter
from varscore.files.matrix import SpooledMatrix
from varscore.files.scores import AlleleScores
from varscore.files.vcf import RecordChunk
from varscore.files.vcf_header import encode
from varscore.functional.annotations import Extra
from varscore.genome.alleles import Status
from varscore.genome.coords import one_based
from varscore.score import ScoreBatch, spread

EVALUE = "evalue"
"""The block of a score matrix that comes with a background"""


def allele_scores(found: ScoreBatch, tasks: np.ndarray, extra: Mapping[str, np.ndarray] | None = None) -> AlleleScores:
    """The columns of the annotated file: the strongest of ``tasks`` (int64 column indices) of every allele.

    extra: further columns of the scored alleles, float32 (m,)
    """
    n, effects = len(found.status), found.effects
    best = strongest(effects.diff, tasks)
    scored = np.arange(len(effects))
    task = np.full(n, -1, np.int32)
    task[found.rows] = best
    return AlleleScores(
        status=found.status,
        task=task,
        diff=spread(effects.diff[scored, best], found.rows, n),
        logodds=spread(effects.logodds[scored, best], found.rows, n),
        extra={name: spread(column, found.rows, n) for name, column in (extra or {}).items()},
    )


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
