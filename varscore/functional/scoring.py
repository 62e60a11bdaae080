"""The features of many variants, computed in as many processes as there are CPUs to use."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.engine.compute import Compute
from varscore.functional.variants import Variants
from varscore.genome.contigs import ContigNames
from varscore.genome.sequence import Genome
from varscore.scoring.features import Tracks, raw_features
from varscore.scoring.score import score_chunks
from varscore.scoring.stored.cache import ScoreCache
from varscore.scoring.stored.profile import Arithmetic, profile_of_effects
from varscore.scoring.stored.reuse import Cached, StoredScores, effects_record
from varscore.zoo.models import ModelFolder

CHUNK = 512


def features_of(
    variants: Variants,
    model: ModelFolder,
    genome: Genome,
    tracks: Tracks,
    how: Compute,
    advance: Callable[[int], None] = lambda n: None,
    cache: Path | None = None,
) -> NDArray[np.float32]:
    """The raw features of the m variants that can be scored (``variants.statuses``), float32 (m, width). cache: see
    :func:`open_cache`"""
    pieces = (variants.take(rows) for rows in np.split(np.arange(len(variants)), range(CHUNK, len(variants), CHUNK)))
    config, untrained = model.config(), model.untrained.tolist()
    features = []
    with how.pool(model.load()) as pool, open_cache(cache, model, how) as store:
        names = ContigNames(genome, {})
        scored = score_chunks(pieces, genome, names, pool, config.window, store=store, untrained=untrained)
        for piece, found in scored:
            features.append(raw_features(found.effects, tracks.values(found.alleles, found.rows), untrained))
            advance(len(piece))
    return np.concatenate(features)


def open_cache(folder: Path | None, model: ModelFolder, how: Compute) -> AbstractContextManager[StoredScores | None]:
    """Where effects on all tasks are taken from and kept, as ``annotate --cache-matrix`` does; None without a folder.

    Raises UsageError when ``folder`` is a file.
    """
    if folder is None:
        return nullcontext(None)
    profile = profile_of_effects(model, Arithmetic(how.where()[0].type, how.precision, how.engine))
    tasks = model.config().n_tasks
    return StoredScores(tasks, Cached(ScoreCache(folder, profile, effects_record(tasks)), of_effects=True), None)
