"""What an epoch is judged by: the loss of the validation split, and how well its tasks are told apart, or how near
predicted values are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from varscore.datasets.examples import ExampleSet
from varscore.datasets.segments import NONE
from varscore.evaluate.kinds import score_values
from varscore.evaluate.metrics import score_tasks
from varscore.nets.objectives import Objective

MOST = 1 << 25
"""Predictions kept for the measures (128 MB): of a larger split, every so many-th example counts"""


class Validation:
    """Collects what a network makes of the validation split, ``rows`` of a data set, in any order."""

    def __init__(self, data: ExampleSet, goal: Objective, rows: NDArray[np.int64]) -> None:
        self._data, self._goal = data, goal
        self.total = self.weight = 0.0
        self._rows = rows[:: -(-len(rows) * len(data.tasks) // MOST) or 1]
        self._predicted = np.full((len(self._rows), len(data.tasks)), np.nan, np.float32)

    def add(self, rows: NDArray[np.int64], outputs: Tensor, targets: Tensor, known: Tensor | None) -> None:
        """rows: int64 (n,), ``NONE`` where there is no example; outputs, targets, known: as for Objective.loss."""
        loss, weight = self._goal.loss(outputs, targets, known)
        self.total, self.weight = self.total + loss.item() * weight, self.weight + weight
        if not len(self._rows):
            return
        place = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
        kept = (self._rows[place] == rows) & (rows != NONE)
        self._predicted[place[kept]] = self._goal.predict(outputs.cpu().numpy()[kept])

    def measures(self) -> dict[str, float]:
        """Mean AUROC and AUPRC over the tasks with positives, of all and of each group: ``auroc``, ``auroc DNase``, ...

        Of values mean Pearson's r, ``pearson``. Of what this process was given; nothing where no task has a figure.
        """
        there = ~np.isnan(self._predicted).any(1)
        if not there.any():
            return {}
        rows, tasks = self._rows[there], self._data.tasks
        if self._data.kind == "values":
            return self._nearness(rows, self._predicted[there])
        scores = score_tasks(self._data.labels(rows), self._predicted[there], known=self._data.known(rows))
        found = {}
        groups = dict.fromkeys(task.group for task in tasks)
        for group in ("", *(name for name in groups if name and len(groups) > 1)):
            inside = np.array([not group or task.group == group for task in tasks]) & np.isfinite(scores.auroc)
            if inside.any():
                suffix = f" {group}" if group else ""
                found[f"auroc{suffix}"] = float(scores.auroc[inside].mean())
                found[f"auprc{suffix}"] = float(scores.auprc[inside].mean())
        return found

    def _nearness(self, rows: NDArray[np.int64], predicted: NDArray[np.float32]) -> dict[str, float]:
        r = score_values(self._data.targets(rows), predicted, self._data.known(rows)).pearson
        return {"pearson": float(np.nanmean(r))} if np.isfinite(r).any() else {}
