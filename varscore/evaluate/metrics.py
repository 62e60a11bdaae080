"""The measures of one task and of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RATES = (0.1, 0.5)
"""False-discovery rates at which recall is reported"""
_TOGETHER = 16  # tasks copied out of the row-major matrices at once


@dataclass(frozen=True)
class TaskScores:
    """Measures of every task, float64 (tasks,) each; NaN where a task has no positive or no negative example.

    ``positives`` is int64. ``auprc`` is average precision (not trapezoids); ``recall_at_fdr`` maps a false-discovery
    rate to the largest recall whose precision is at least ``1 - rate``; ``loss`` is mean binary cross-entropy, and is
    there for every task with a known label.
    """

    positives: np.ndarray
    auroc: np.ndarray
    auprc: np.ndarray
    loss: np.ndarray
    recall_at_fdr: dict[float, np.ndarray]
    confusion: np.ndarray | None = None
    """int64 (classes, classes), true by predicted, where tasks are classes"""


def score_task(labels: np.ndarray, scores: np.ndarray, rates: Sequence[float] = RATES) -> tuple[float, ...]:
    """AUROC, average precision, and recall at each false-discovery rate; equal scores are one threshold.

    labels: bool (n,); scores: float (n,), no NaN. All NaN when one class is absent.
    """
    positive, n = np.sort(scores[labels]), len(scores)
    if len(positive) in (0, n):
        return (np.nan,) * (2 + len(rates))
    ranked = np.sort(scores)
    # Every measure is a sum or a maximum over the scores of positive examples, taken as thresholds: count what lies
    # below and at each of them.
    below, up_to = np.searchsorted(ranked, positive), np.searchsorted(ranked, positive, "right")
    positives_below = np.searchsorted(positive, positive)
    positives_up_to = np.searchsorted(positive, positive, "right")
    false_below = below - positives_below
    false_tied = up_to - below - (positives_up_to - positives_below)
    auroc = (false_below + 0.5 * false_tied).sum() / (len(positive) * (n - len(positive)))
    true = len(positive) - positives_below
    precision, recall = true / (n - below), true / len(positive)
    at = (float(recall[precision >= 1 - rate].max(initial=0.0)) for rate in rates)
    return (float(auroc), float(precision.mean()), *at)


def score_tasks(
    labels: np.ndarray, predicted: np.ndarray, rates: Sequence[float] = RATES, known: np.ndarray | None = None
) -> TaskScores:
    """Every task's measures. labels: 0 or 1 (n, tasks); predicted: float32 (n, tasks) probabilities, no NaN.

    known: bool (n, tasks), the labels that count; None: all of them
    """
    tasks = labels.shape[1]
    positives, loss, measures = np.zeros(tasks, np.int64), np.empty(tasks), np.empty((tasks, 2 + len(rates)))
    for first in range(0, tasks, _TOGETHER):
        some = slice(first, first + _TOGETHER)
        truths, scores = labels[:, some].T.astype(bool, order="C"), np.ascontiguousarray(predicted[:, some].T)
        for task, (truth, score) in enumerate(zip(truths, scores, strict=True), first):
            if known is not None:
                truth, score = truth[known[:, task]], score[known[:, task]]
            positives[task] = np.count_nonzero(truth)
            measures[task] = score_task(truth, score, rates)
            certain = np.clip(score.astype(np.float64), 1e-7, 1 - 1e-7)
            loss[task] = -np.log(np.where(truth, certain, 1 - certain)).mean() if len(truth) else np.nan
    recalls = {rate: measures[:, 2 + i] for i, rate in enumerate(rates)}
    return TaskScores(positives, measures[:, 0], measures[:, 1], loss, recalls)
