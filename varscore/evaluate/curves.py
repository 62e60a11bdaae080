"""ROC and precision-recall curves of chosen tasks."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.errors import UsageError
from varscore.tasks import Task, choose

MOST_TASKS = 24
_POINTS = 500


@dataclass(frozen=True)
class Curve:
    """What a threshold does, from the highest score downwards: float64 (points,) each.

    ``recall`` is the true-positive rate. The first point is the one above all scores: nothing found, precision 1.
    """

    threshold: NDArray[np.float64]
    false_positive_rate: NDArray[np.float64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.threshold)

    def thinned(self, points: int = _POINTS) -> Curve:
        """Those of its points that come after even steps of recall, of the false-positive rate and of precision where
        it changes fastest: no picture can tell them from all."""
        steps = np.linspace(0, 1, points)
        every = [np.searchsorted(along, steps) for along in (self.recall, self.false_positive_rate)]
        first = np.arange(min(points, len(self)))
        kept = np.unique(np.minimum(np.concatenate([first, *every]), len(self) - 1))
        return Curve(self.threshold[kept], self.false_positive_rate[kept], self.recall[kept], self.precision[kept])


def draw_curve(labels: NDArray[np.bool_], scores: NDArray[np.floating]) -> Curve | None:
    """One point a distinct score. labels: bool (n,); scores: float (n,), no NaN. None when one class is absent."""
    order = np.argsort(-scores, kind="stable")
    truth, ranked = labels[order], scores[order]
    positives = np.count_nonzero(truth)
    if positives in (0, len(truth)):
        return None
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    true = np.cumsum(truth)[last]
    called = last + 1
    points: tuple[NDArray[np.floating], ...] = (
        ranked[last],
        (called - true) / (len(truth) - positives),
        true / positives,
        true / called,
    )
    start = (np.inf, 0.0, 0.0, 1.0)
    return Curve(*(np.append(first, values) for first, values in zip(start, points, strict=True)))


def draw_curves(
    labels: NDArray[np.uint8], predicted: NDArray[np.float32], known: NDArray[np.bool_] | None, tasks: Sequence[int]
) -> dict[int, Curve]:
    """The curves of some tasks that have one. labels: 0 or 1 (n, T); predicted: float32 (n, T); known: bool (n, T)"""
    curves = {}
    for task in tasks:
        there = slice(None) if known is None else known[:, task]
        curve = draw_curve(labels[there, task].astype(bool), predicted[there, task])
        if curve is not None:
            curves[task] = curve
    return curves


def choose_tasks(tasks: Sequence[Task], wanted: Sequence[str]) -> list[int]:
    """Indices of the tasks that are named, in order; see data.tasknames.

    Raises UsageError for what fits nothing, and for more tasks than anybody looks at.
    """
    chosen = choose(tasks, wanted, "`curves`")
    if len(chosen) > MOST_TASKS:
        raise UsageError(f"curves of {len(chosen)} tasks", remedy=f"choose {MOST_TASKS} at most")
    return chosen


def curves_text(tasks: Sequence[Task], curves: Mapping[str, Mapping[int, Curve]]) -> str:
    """CSV, one line a point. curves: model -> task -> its curve"""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["index", "name", "model", "threshold", "false_positive_rate", "recall", "precision"])
    for model, drawn in curves.items():
        for task, curve in drawn.items():
            points = zip(curve.threshold, curve.false_positive_rate, curve.recall, curve.precision, strict=True)
            rows.writerows([task, tasks[task].name, model, *(f"{value:.6g}" for value in point)] for point in points)
    return text.getvalue()
