"""How good a classifier is: AUROC and AUPRC with intervals, and whether its probabilities are what they claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A measure with the ends of its bootstrap interval (95 %)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return self.text(3)

    def text(self, digits: int) -> str:
        return f"{self.value:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


class Ranking:
    """Labels in the order of their scores, so that measures under many weightings cost little.

    labels: bool (n,); scores: float (n,). Equal scores are one threshold.
    """

    def __init__(self, labels: NDArray[np.bool_], scores: NDArray[np.floating]) -> None:
        self.labels = labels
        self.thresholds, self._step = np.unique(scores, return_inverse=True)

    def measures(self, weights: NDArray[np.number] | None = None) -> tuple[float, float]:
        """AUROC and average precision; both NaN when one class has no weight. weights: float (n,), 1 each by default"""
        positive, negative = self._steps(weights)
        positives, negatives = positive.sum(), negative.sum()
        if positives <= 0 or negatives <= 0:
            return np.nan, np.nan
        below = negative.cumsum() - negative
        auroc = (positive * (below + 0.5 * negative)).sum() / (positives * negatives)
        true, false = _from_top(positive), _from_top(negative)
        precision = true / np.maximum(true + false, np.finfo(float).tiny)
        return float(auroc), float((positive * precision).sum() / positives)

    def curves(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """False-positive rate, true-positive rate (recall) and precision from the strictest threshold to the laxest."""
        positive, negative = self._steps(None)
        true, false = _from_top(positive)[::-1], _from_top(negative)[::-1]
        return false / false[-1], true / true[-1], true / (true + false)

    def _steps(self, weights: NDArray[np.number] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of the positives and of the negatives at each threshold."""
        given = np.ones(len(self.labels)) if weights is None else weights
        n = len(self.thresholds)
        positive, negative = (np.bincount(self._step, given * of, n) for of in (self.labels, ~self.labels))
        return np.asarray(positive, np.float64), np.asarray(negative, np.float64)


def resample(clusters: NDArray[np.int64], seed: int, times: int = RESAMPLES) -> Iterator[NDArray[np.float64]]:
    """Bootstrap weights, float64 (n,) each: how often each variant is drawn when whole clusters are (int64 (n,))."""
    random = np.random.default_rng(seed)
    _, member = np.unique(clusters, return_inverse=True)
    count = member.max() + 1
    for _ in range(times):
        drawn = np.bincount(random.integers(0, count, count), minlength=count)
        yield drawn[member].astype(np.float64)


@dataclass(frozen=True)
class Measures:
    """Of one classifier on some variants."""

    positives: int
    negatives: int
    auroc: Interval
    auprc: Interval


def assess(
    labels: NDArray[np.bool_],
    scores: NDArray[np.floating],
    clusters: NDArray[np.int64],
    seed: int,
    other: NDArray[np.floating] | None = None,
) -> tuple[Measures, Measures | None, Interval | None]:
    """Measures of ``scores``; with ``other`` scores of the same variants, theirs, and the difference in AUROC.

    labels: bool (n,); scores, other: float (n,); clusters: int64 (n,), drawn as a whole, because what lies together is
    alike.
    """
    rankings = [Ranking(labels, values) for values in (scores, other) if values is not None]
    drawn = np.array([[ranking.measures(weights) for ranking in rankings] for weights in resample(clusters, seed)])
    found = []
    for number, ranking in enumerate(rankings):
        auroc, auprc = ranking.measures()
        intervals = _interval(auroc, drawn[:, number, 0]), _interval(auprc, drawn[:, number, 1])
        found.append(Measures(int(labels.sum()), int((~labels).sum()), *intervals))
    if other is None:
        return found[0], None, None
    difference = found[0].auroc.value - found[1].auroc.value
    return found[0], found[1], _interval(difference, drawn[:, 0, 0] - drawn[:, 1, 0])


@dataclass(frozen=True)
class Calibration:
    """How probabilities compare with shares of positives, both classes weighing the same.

    predicted, observed: float64 (bins,), means over each tenth of the scale, NaN where it is empty
    weight: float64 (bins,), shares of the variants' weight; brier: with its interval
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    weight: NDArray[np.float64]
    brier: Interval
    ece: float
    """Expected calibration error: the mean absolute difference of predicted and observed"""


def calibrate(
    labels: NDArray[np.bool_],
    probabilities: NDArray[np.floating],
    clusters: NDArray[np.int64],
    seed: int,
    bins: int = 10,
) -> Calibration:
    """labels: bool (n,); probabilities: float (n,); clusters: int64 (n,), drawn as a whole for the interval."""
    weights = _balanced(labels, np.ones(len(labels)))
    bin_ = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    total = np.bincount(bin_, weights, bins)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(bin_, weights * probabilities, bins) / total
        observed = np.bincount(bin_, weights * labels, bins) / total
    share = total / total.sum()
    there = total > 0
    squares = (probabilities.astype(np.float64) - labels) ** 2
    drawn = np.array([squares @ _balanced(labels, weights) for weights in resample(clusters, seed)])
    ece = float((share * np.abs(predicted - observed))[there].sum())
    return Calibration(predicted, observed, share, _interval(float(squares @ weights), drawn), ece)


def _balanced(labels: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights, so that each class has half of a sum of 1; NaN where one has none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        halves = [0.5 / (weights * of).sum() for of in (~labels, labels)]
        return np.asarray(weights * np.where(labels, halves[1], halves[0]))


def _from_top(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of a step and of all above it."""
    sums: NDArray[np.float64] = steps[::-1].cumsum()[::-1]
    return sums


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    known = drawn[np.isfinite(drawn)]
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(known, [tail, 100 - tail]) if len(known) else (np.nan, np.nan)
    return Interval(value, float(low), float(high))
