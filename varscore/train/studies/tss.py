"""The safe-region study of start sites: how much of what a network knows lies in the TATA box, the start, or both?

A network of a region sees nothing else of its window, in training or later. Positions count from the representative
base of the peak, which is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from varscore.datasets.examples import ExampleSet
from varscore.datasets.tss import SYSTEM
from varscore.engine.device import evaluating
from varscore.engine.plain import PlainEngine
from varscore.errors import DataError
from varscore.evaluate import Examined, TaskScores, predict_rows, record
from varscore.evaluate.kinds import score
from varscore.formats.csvtable import cell, csv_text
from varscore.storage.whole import put_file
from varscore.train.run import RunOptions
from varscore.train.studies.study import Plan, Run, Study
from varscore.zoo.models import ModelFolder

SAFE = {"tata": (-35, -20), "center": (-10, 10), "both": (-35, 10)}
"""First and last visible position of each region"""
WHOLE = "whole"
TABLE = "safe.csv"
PUBLISHED = {"sharp": (0.798, 0.545), "broad": (0.889, 0.806), "background": (0.954, 0.944)}
"""AUROC and AUPRC of one class against the others, whole windows, on the thesis's own peaks"""


@dataclass(frozen=True)
class Result:
    """A model of a region on the test split: as it was trained, or shown whole windows all the same."""

    safe: str
    model: str
    tested: str
    scores: TaskScores

    def row(self, classes: Sequence[str]) -> dict[str, str]:
        measured = {
            f"{name}_{measure}": cell(values[i], 4)
            for i, name in enumerate(classes)
            for measure, values in (("auroc", self.scores.auroc), ("auprc", self.scores.auprc))
        }
        return {"safe": self.safe, "model": self.model, "tested_on": self.tested, **measured}


def visible(data: ExampleSet, safe: str) -> tuple[int, int] | None:
    """The positions of a window that a region leaves, ``[first, last)``; None for all of them.

    Raises DataError when the data set does not say where its start sites are.
    """
    if data.info.get("system") != SYSTEM:
        raise DataError("no data set of start sites", where=data.folder, remedy="make one with `varscore dataset tss`")
    if safe == WHOLE:
        return None
    first, last = (data.window // 2 + position for position in SAFE[safe])
    if first < 0 or last >= data.window:
        raise DataError(f"the region {safe} does not lie in windows of {data.window} bp", where=data.folder)
    return first, last + 1


def measure(model: ModelFolder, data: ExampleSet, safe: str, device: torch.device) -> list[Result]:
    """A model on the test split; one of a region twice, the second time with whole windows before it."""
    net, rows, results = model.load(), data.rows("test"), []
    data = data.cropped(net.window)
    with evaluating(net, device):
        for tested in dict.fromkeys([safe, WHOLE]):
            if tested != safe:
                net.visible = None
            found = score(data, rows, predict_rows(PlainEngine(net, device), data, rows))
            assert isinstance(found, TaskScores)
            results.append(Result(safe, model.architecture, tested, found))
    return results


def record_whole(model: ModelFolder, data: ExampleSet, results: Sequence[Result]) -> None:
    """The figures of a model as it was trained onto its card. Raises OutputError."""
    record(model, Examined(data), results[0].scores)


def table(results: Iterable[Result], data: ExampleSet) -> list[dict[str, str]]:
    """A row a result, the published one last."""
    classes = [task.name for task in data.tasks]
    nothing = np.full(len(classes), np.nan)
    auroc, auprc = np.array([PUBLISHED[name] for name in classes]).T
    stated = Result(WHOLE, "published", "other peaks", TaskScores(nothing, auroc, auprc, nothing, {}))
    return [result.row(classes) for result in (*results, stated)]


@dataclass
class SafeRegions(Study):
    """A network and a k-mer model of each region: ``ARCH.REGION``, ``safe.csv``."""

    plan: Plan
    baseline: Plan
    data: ExampleSet
    results: list[Result] = field(default_factory=list)

    def runs(self) -> list[Run]:
        return [
            Run(f"{plan.architecture}.{region}", replace(plan, visible=visible(self.data, region)), self.data)
            for region in (WHOLE, *SAFE)
            for plan in (self.plan, self.baseline)
        ]

    def measure(self, run: Run, model: ModelFolder, options: RunOptions) -> None:
        found = measure(model, self.data, run.name.rpartition(".")[2], options.device)
        record_whole(model, self.data, found)
        self.results += found

    def write(self, folder: Path) -> None:
        put_file(folder / TABLE, csv_text(table(self.results, self.data)))
