"""The cache and the archive that a run takes scores from."""

from __future__ import annotations

import logging
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from varscore.annotate.job import AnnotateJob
from varscore.annotate.rows import REF_PROB
from varscore.genome.sequence import Genome
from varscore.scoring.stored.archive import Archive
from varscore.scoring.stored.cache import ScoreCache
from varscore.scoring.stored.columns import record_of
from varscore.scoring.stored.profile import Arithmetic, profile_of_columns, profile_of_effects
from varscore.scoring.stored.reuse import ArchivedScores, Cached, StoredScores, effects_record

log = logging.getLogger(__name__)


def columns_of(job: AnnotateJob) -> tuple[str, ...]:
    """The columns of a run that are numbers or tasks, in the order in which they are stored."""
    return ("diff", "task", "logodds", REF_PROB, *job.annotations.columns)


def open_store(
    job: AnnotateJob, ranked: NDArray[np.int64], device: str, genome: Genome, stack: ExitStack
) -> StoredScores | None:
    """What a run reuses; None when that is nothing. ranked: int64 (k,), tasks among which the strongest is looked for

    The stack closes it. Raises UsageError and DataError for an archive that does not go with the run.
    """
    reuse, how = job.reuse, Arithmetic(device, job.compute.precision, job.compute.engine)
    if not reuse.is_on:
        return None
    columns, tasks = columns_of(job), job.model.config().n_tasks
    profile = profile_of_columns(job.model, how, job.annotations, ranked, columns)
    archived = cached = None
    if reuse.archive is not None:
        archived = ArchivedScores(Archive(reuse.archive), profile, columns, reuse.any_device)
        archived.fit(genome)
    if reuse.cache is not None and reuse.matrix:
        cache = ScoreCache(reuse.cache, profile_of_effects(job.model, how), effects_record(tasks), reuse.limit)
        cached = Cached(cache, of_effects=True)
    elif reuse.cache is not None:
        if job.scores is not None:
            log.info("`scores` wants all tasks: nothing is taken from the cache (`cache_matrix` keeps all tasks)")
        cache = ScoreCache(reuse.cache, profile, record_of(columns, tasks), reuse.limit)
        positional = bool(job.annotations.tracks.files)
        cached = Cached(cache, positional=positional, reads=job.scores is None)
    return stack.enter_context(StoredScores(tasks, cached, archived, reuse.archive_only))
