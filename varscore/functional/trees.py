"""Gradient-boosted trees grown on a model's features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.scoring.classifier import Ensemble
from varscore.scoring.features import Preparation
from varscore.scoring.platt import balanced_weights


@dataclass(frozen=True)
class Settings:
    """How trees are grown; the defaults of the first four are DanQ's. max_bin: values a feature is split at, at most"""

    trees: int = 300
    depth: int = 6
    eta: float = 0.05
    max_delta_step: float = 1.0
    max_bin: int = 256
    seed: int = 0
    threads: int = 1


def fit(
    raw: NDArray[np.float32], labels: NDArray[np.bool_], conservation: Sequence[str], settings: Settings
) -> Ensemble:
    """Grow the trees on raw features, float32 (n, width), and labels, bool (n,); both classes weigh the same."""
    from xgboost import DMatrix, train

    preparation = Preparation.fit(raw, conservation)
    data = DMatrix(
        preparation.apply(raw), labels.astype(np.float32), weight=balanced_weights(labels), nthread=settings.threads
    )
    parameters = {
        "objective": "binary:logistic",
        "base_score": 0.5,
        "tree_method": "hist",
        "device": "cpu",
        "max_depth": settings.depth,
        "eta": settings.eta,
        "max_delta_step": settings.max_delta_step,
        "max_bin": settings.max_bin,
        "seed": settings.seed,
        "nthread": settings.threads,
        "verbosity": 0,
    }
    booster = train(parameters, data, settings.trees)
    return Ensemble(preparation, (bytes(booster.save_raw("json")),))
