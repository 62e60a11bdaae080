"""The measures that fit what a data set holds: labels, classes or values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.examples import ExampleSet
from varscore.evaluate.metrics import TaskScores, score_tasks
from varscore.tasks import Task


@dataclass(frozen=True)
class ValueScores:
    """How near predicted values are to the true ones, float64 (tasks,) each; NaN where a task has no spread.

    ``examples`` is int64: those whose value is known. ``mse`` is in the square of the data's units.
    """

    examples: NDArray[np.int64]
    pearson: NDArray[np.float64]
    spearman: NDArray[np.float64]
    mse: NDArray[np.float64]


Scores = TaskScores | ValueScores


def score(data: ExampleSet, rows: NDArray[np.int64], predicted: NDArray[np.float32]) -> Scores:
    """The measures of predictions, float32 (len(rows), tasks), for examples of a data set.

    Unknown targets do not count. Classes are measured each against the rest, and together as a confusion matrix.
    """
    if data.kind == "values":
        return score_values(data.targets(rows), predicted, data.known(rows))
    labels = data.labels(rows)
    scores = score_tasks(labels, predicted, known=data.known(rows))
    return replace(scores, confusion=confusion(labels, predicted)) if data.kind == "classes" else scores


def score_values(
    values: NDArray[np.float32], predicted: NDArray[np.float32], known: NDArray[np.bool_] | None = None
) -> ValueScores:
    """values, predicted: float32 (n, tasks); known: bool (n, tasks), None: all"""
    tasks = values.shape[1]
    examples, (pearson, spearman, mse) = np.zeros(tasks, np.int64), np.full((3, tasks), np.nan)
    for task in range(tasks):
        there = slice(None) if known is None else known[:, task]
        truth, guess = (array[there, task].astype(np.float64) for array in (values, predicted))
        examples[task] = len(truth)
        pearson[task], spearman[task] = correlation(truth, guess), correlation(ranks(truth), ranks(guess))
        mse[task] = np.mean((truth - guess) ** 2) if len(truth) else np.nan
    return ValueScores(examples, pearson, spearman, mse)


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's r of float64 (n,) each; NaN when either of them is constant."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    one, other = one - one.mean(), other - other.mean()
    return float((one @ other) / np.sqrt((one @ one) * (other @ other)))


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (n,), from 1 on; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
    return means[place]


def confusion(labels: NDArray[np.uint8], predicted: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64 (classes, classes): examples by their class (row) and the likeliest class (column).

    labels: 0 or 1 (n, classes), one 1 a row; predicted: float32 (n, classes)
    """
    classes = labels.shape[1]
    pairs = labels.argmax(1) * classes + predicted.argmax(1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def confusion_rows(tasks: Sequence[Task], counts: NDArray[np.int64]) -> list[list[str]]:
    """The matrix as lines of a table: class, examples, share of them called each class."""
    names = [task.name for task in tasks]
    total = np.maximum(counts.sum(1, keepdims=True), 1)
    return [
        [name, f"{row.sum():,}", *(f"{n:,} ({n / all_:.1%})" for n in row.tolist())]
        for name, row, all_ in zip(names, counts, total[:, 0].tolist(), strict=True)
    ]
