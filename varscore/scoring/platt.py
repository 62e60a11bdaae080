"""Scores of trees to probabilities that hold what they claim: Platt's sigmoid, fitted on scores of held-out folds.

Trees know the variants they were grown on too well: their own scores promise more than they keep. Scores of variants
that the trees have not seen do not, and two numbers are few enough to be learnt from some hundred of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.odds import probabilities

PRIOR = 0.5
"""Share of positives that probabilities are for: both classes weigh the same, in trees and here"""
_STEPS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Platt:
    """Probability 1 / (1 + exp(-(slope x score + intercept))), where a score is log-odds. By itself it does nothing."""

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> Platt:
        """Maximum likelihood by Newton's method, classes weighing the same; scores, float (n,), labels, bool (n,).

        Targets are Platt's, a little inside 0 and 1. A slope is never below 0: scores that say nothing, or the
        opposite, give the prior.
        """
        x, weights = scores.astype(np.float64), balanced_weights(labels).astype(np.float64)
        positives = int(labels.sum())
        high, low = (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2)
        targets = np.where(labels, high, low)
        at = _newton(np.stack([x, np.ones_like(x)], 1), targets, weights)
        if at[0] > 0:
            return cls(float(at[0]), float(at[1]))
        share = float(np.average(targets, weights=weights))
        return cls(0.0, math.log(share / (1 - share)))

    def apply(self, scores: NDArray[np.floating]) -> NDArray[np.float32]:
        """float32 (n,) scores to float32 (n,) probabilities"""
        return probabilities((self.slope * scores + self.intercept).astype(np.float32))

    def facts(self) -> dict[str, object]:
        """For a card; :meth:`read` reads it."""
        return {"method": "platt", "prior": PRIOR, "slope": self.slope, "intercept": self.intercept}

    @classmethod
    def read(cls, facts: Mapping[str, object]) -> Platt:
        """Raises ValueError for what is no calibration."""
        numbers = [facts.get(name) for name in ("slope", "intercept")]
        slope, intercept = (float(value) if isinstance(value, int | float) else math.nan for value in numbers)
        if facts.get("method") != "platt" or not slope >= 0 or not math.isfinite(slope + intercept):
            raise ValueError(f"not a calibration: {dict(facts)}")
        return cls(slope, intercept)


def calibrate_folds(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], fold: NDArray[np.int64]
) -> tuple[NDArray[np.float32], Platt]:
    """Probabilities of cross-validated scores, float32 (n,), those of each fold by what the others teach; and what all
    of them teach. fold: int64 (n,); those below 0 take no part (NaN)."""
    out = np.full(len(scores), np.nan, np.float32)
    kept = fold >= 0
    for test in range(fold.max() + 1):
        here, others = fold == test, kept & (fold != test)
        out[here] = Platt.fit(scores[others], labels[others]).apply(scores[here])
    return out, Platt.fit(scores[kept], labels[kept])


def balanced_weights(labels: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weights under which both classes weigh the same and the mean is 1: float32 (n,). labels: bool (n,), both there"""
    positive = labels.mean()
    return np.asarray(np.where(labels, 0.5 / positive, 0.5 / (1 - positive)), np.float32)


def _newton(
    features: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coefficients of a logistic regression: float64 (k,), for features float64 (n, k)."""
    at = np.zeros(features.shape[1])
    ridge = 1e-9 * np.eye(features.shape[1])  # constant scores have no slope of their own
    loss = _loss(features @ at, targets, weights)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-features @ at))
        gradient = features.T @ (weights * (p - targets))
        curvature = (features * (weights * p * (1 - p))[:, None]).T @ features + ridge
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (new := _loss(features @ (at - size * step), targets, weights)) > loss and size > _TOLERANCE:
            size /= 2
        at = at - size * step
        if loss - new < _TOLERANCE:
            break
        loss = new
    return at


def _loss(odds: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    return float((weights * (np.logaddexp(0, odds) - targets * odds)).sum())
