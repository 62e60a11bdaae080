"""Whether probabilities are what they claim: predicted against observed shares of positives.

Chromatin features are rare, and predictions span orders of magnitude: bins are equally wide in log-odds, four to
a factor of ten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.formats.csvtable import csv_text

_LOG_ODDS = np.arange(-24, 25) / 4
EDGES = (1 / (1 + 10.0**-_LOG_ODDS)).astype(np.float32)
"""float32 (bins - 1,): probabilities between two bins, from 1e-6 to 1 - 1e-6"""
BINS = len(EDGES) + 1


@dataclass(frozen=True)
class Reliability:
    """Of each task and bin of predictions: examples, sum of the predictions, positives. (tasks, bins) each."""

    examples: NDArray[np.int64]
    predicted: NDArray[np.float64]
    positives: NDArray[np.int64]

    @classmethod
    def empty(cls, tasks: int) -> Reliability:
        return cls(np.zeros((tasks, BINS), np.int64), np.zeros((tasks, BINS)), np.zeros((tasks, BINS), np.int64))

    def count(self, task: int, labels: NDArray[np.bool_], predicted: NDArray[np.float32]) -> None:
        """Enter a task's examples. labels: bool (n,); predicted: float32 (n,), in [0, 1]"""
        bin_ = np.searchsorted(EDGES, predicted, "right")
        self.examples[task] = np.bincount(bin_, minlength=BINS)
        self.predicted[task] = np.bincount(bin_, predicted, BINS)
        self.positives[task] = np.bincount(bin_[labels], minlength=BINS)

    @property
    def mean_predicted(self) -> NDArray[np.float64]:
        """float64 (tasks,), NaN without an example"""
        return _divided(self.predicted.sum(1), self.examples.sum(1))

    @property
    def observed(self) -> NDArray[np.float64]:
        """Share of positives: float64 (tasks,), NaN without an example"""
        return _divided(self.positives.sum(1), self.examples.sum(1))

    @property
    def ece(self) -> NDArray[np.float64]:
        """Expected calibration error: how far the observed share lies from the mean prediction of a bin, in the mean
        over examples. float64 (tasks,), NaN without an example"""
        return _divided(np.abs(self.predicted - self.positives).sum(1), self.examples.sum(1))

    def of(self, tasks: NDArray[np.int64]) -> Bins:
        """Of some tasks together, int64 (k,)."""
        return Bins(*(counts[tasks].sum(0) for counts in (self.examples, self.predicted, self.positives)))


@dataclass(frozen=True)
class Bins:
    """As Reliability, of several tasks together: (bins,) each."""

    examples: NDArray[np.int64]
    predicted: NDArray[np.float64]
    positives: NDArray[np.int64]

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean prediction and observed share of the bins that have examples: float64 (k,) each."""
        there = self.examples > 0
        return self.predicted[there] / self.examples[there], self.positives[there] / self.examples[there]


def reliability_text(groups: Mapping[str, Mapping[str, Bins]]) -> str:
    """CSV, one line a bin that has examples. groups: group of tasks -> model -> its bins"""
    ends = ["0", *(f"{edge:.6g}" for edge in EDGES), "1"]
    rows = []
    for group, models in groups.items():
        for name, bins in models.items():
            shares = zip(*bins.points(), strict=True)
            for at, (predicted, observed) in zip(np.flatnonzero(bins.examples).tolist(), shares, strict=True):
                where = {"group": group, "model": name, "from": ends[at], "to": ends[at + 1]}
                counts = {"examples": int(bins.examples[at]), "positives": int(bins.positives[at])}
                rows.append({**where, **counts, "predicted": f"{predicted:.6g}", "observed": f"{observed:.6g}"})
    return csv_text(rows)


def by_group(
    members: Mapping[str, NDArray[np.int64]], models: Sequence[tuple[str, Reliability]]
) -> dict[str, dict[str, Bins]]:
    """Group -> model -> bins. members: group -> int64 (k,) tasks"""
    return {group: {name: found.of(tasks) for name, found in models} for group, tasks in members.items()}


def _divided(sums: NDArray[np.number], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))
