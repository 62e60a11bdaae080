"""The measures of one task and of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from varscore.evaluate.reliability import Reliability

RATES = (0.1, 0.5)
"""False-discovery rates at which recall is reported"""
_TASKS, _ROWS = 64, 256  # copied out of the row-major matrices at once: what the processor's cache holds
Element = TypeVar("Element", bound=np.generic)


@dataclass(frozen=True)
class TaskScores:
    """Measures of every task, float64 (tasks,) each; NaN where a task has no positive or no negative example.

    ``positives`` is int64. ``auprc`` is average precision (not trapezoids); ``recall_at_fdr`` maps a false-discovery
    rate to the largest recall whose precision is at least ``1 - rate``; ``loss`` is mean binary cross-entropy, and is
    there for every task with a known label.
    """

    positives: NDArray[np.int64]
    auroc: NDArray[np.float64]
    auprc: NDArray[np.float64]
    loss: NDArray[np.float64]
    recall_at_fdr: dict[float, NDArray[np.float64]]
    confusion: NDArray[np.int64] | None = None
    """int64 (classes, classes), true by predicted, where tasks are classes"""
    reliability: Reliability | None = None
    """Predictions against shares of positives; None where only figures are known"""


def score_task(
    labels: NDArray[np.bool_], scores: NDArray[np.floating], rates: Sequence[float] = RATES
) -> tuple[float, ...]:
    """AUROC, average precision, and recall at each false-discovery rate; equal scores are one threshold.

    labels: bool (n,); scores: float (n,), no NaN. All NaN when one class is absent.
    """
    n, positives = len(scores), int(np.count_nonzero(labels))
    if positives in (0, n):
        return (np.nan,) * (2 + len(rates))
    # Every measure is a sum or a maximum over the scores of positive examples, taken as thresholds. They are sorted
    # with the label as the lowest bit, so that at each positive its place tells how many negatives come before it:
    # those below, where positives go first among equals, and those up to it, where they go last.
    doubled, rank = _in_order(scores) << 1, np.arange(positives)
    below, ranked = _places(doubled | ~labels, 0)
    up_to, _ = _places(doubled | labels, 1)
    false_below, false_up_to = below - rank, up_to - rank
    fresh = np.append(True, ranked[1:] != ranked[:-1])
    positives_below = np.maximum.accumulate(rank * fresh)
    auroc = (int(false_below.sum()) + int(false_up_to.sum())) / (2 * positives * (n - positives))
    true = positives - positives_below
    precision, recall = true / (n - positives_below - false_below), true / positives
    at = (float(recall[precision >= 1 - rate].max(initial=0.0)) for rate in rates)
    return (auroc, float(precision.mean()), *at)


def average_precisions(positives: Sequence[NDArray[np.int64]], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Average precision of many tasks by one score that all of them share: float64 (tasks,), NaN without a positive.

    positives: int64, the positive examples of each task; scores: float (n,), no NaN. Sorts once for all tasks.
    """
    ranked = np.sort(scores)
    at_least = len(scores) - np.searchsorted(ranked, scores)
    found = np.full(len(positives), np.nan)
    for task, rows in enumerate(positives):
        if len(rows):
            called = np.sort(at_least[rows])  # examples called at the threshold of each positive
            found[task] = (np.searchsorted(called, called, "right") / called).mean()
    return found


def _by_task(columns: NDArray[np.number], kind: type[Element]) -> NDArray[Element]:
    """(n, k) as (k, n), a task's values side by side."""
    turned = np.empty(columns.shape[::-1], kind)
    for first in range(0, len(columns), _ROWS):
        turned[:, first : first + _ROWS] = columns[first : first + _ROWS].T
    return turned


def _in_order(scores: NDArray[np.floating]) -> NDArray[np.uint32]:
    """uint32 (n,), less than 2**31: in the order of the scores, equal where they are."""
    if scores.dtype == np.float32 and not np.signbit(scores).any():
        bits: NDArray[np.uint32] = scores.view(np.uint32)
        return bits  # of floats of one sign they are ordered as the floats are
    return np.asarray(np.unique(scores, return_inverse=True)[1], np.uint32)


def _places(keys: NDArray[np.integer], bit: int) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
    """Where the keys whose lowest bit is ``bit`` stand when all are sorted, int64 (k,), and these keys, sorted."""
    ranked = np.sort(keys)
    places = np.flatnonzero((ranked & 1) == bit)
    return places, ranked[places]


def score_tasks(
    labels: NDArray[np.integer],
    predicted: NDArray[np.float32],
    rates: Sequence[float] = RATES,
    known: NDArray[np.bool_] | None = None,
) -> TaskScores:
    """Every task's measures. labels: 0 or 1 (n, tasks); predicted: float32 (n, tasks) probabilities, no NaN.

    known: bool (n, tasks), the labels that count; None: all of them
    """
    tasks = labels.shape[1]
    positives, loss, measures = np.zeros(tasks, np.int64), np.empty(tasks), np.empty((tasks, 2 + len(rates)))
    reliability = Reliability.empty(tasks)
    for first in range(0, tasks, _TASKS):
        some = slice(first, first + _TASKS)
        truths, scores = _by_task(labels[:, some], np.bool_), _by_task(predicted[:, some], np.float32)
        for task, (truth, score) in enumerate(zip(truths, scores, strict=True), first):
            if known is not None:
                truth, score = truth[known[:, task]], score[known[:, task]]
            positives[task] = np.count_nonzero(truth)
            measures[task] = score_task(truth, score, rates)
            reliability.count(task, truth, score)
            certain = np.clip(score.astype(np.float64), 1e-7, 1 - 1e-7)
            loss[task] = -np.log(np.abs(certain - ~truth)).mean() if len(truth) else np.nan  # p, or |p - 1|
    recalls = {rate: measures[:, 2 + i] for i, rate in enumerate(rates)}
    return TaskScores(positives, measures[:, 0], measures[:, 1], loss, recalls, reliability=reliability)
