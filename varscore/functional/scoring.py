"""The features of many variants, computed in as many processes as there are CPUs to use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from varscore.engine.compute import Compute
from varscore.functional.variants import Variants
from varscore.genome.contigs import ContigNames
from varscore.genome.sequence import Genome
from varscore.scoring.features import Tracks, raw_features
from varscore.scoring.score import score_chunks
from varscore.zoo.models import ModelFolder

CHUNK = 512


def features_of(
    variants: Variants,
    model: ModelFolder,
    genome: Genome,
    tracks: Tracks,
    how: Compute,
    advance: Callable[[int], None] = lambda n: None,
) -> np.ndarray:
    """The raw features of the m variants that can be scored (``variants.statuses``), float32 (m, width)."""
    pieces = (variants.take(rows) for rows in np.split(np.arange(len(variants)), range(CHUNK, len(variants), CHUNK)))
    config, untrained = model.config(), model.untrained.tolist()
    features = []
    with how.pool(model.load()) as pool:
        for piece, found in score_chunks(pieces, genome, ContigNames(genome, {}), pool, config.window):
            features.append(raw_features(found.effects, tracks.values(found.alleles, found.rows), untrained))
            advance(len(piece))
    return np.concatenate(features)
