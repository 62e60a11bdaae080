"""Figures of groups of tasks, and the table of all tasks."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray

from varscore.evaluate.kinds import Scores, ValueScores
from varscore.evaluate.metrics import TaskScores
from varscore.formats.csvtable import csv_text
from varscore.tasks import Task

PUBLISHED = "published_"
"""Facts of a task that begin so are figures others have published for it, such as ``published_auroc_danq``"""


@dataclass(frozen=True)
class Figures:
    """Means and medians over the tasks of a group that have a value; NaN where none has."""

    tasks: int
    na: int
    """Tasks without positives or without negatives: left out of every figure but ``loss``"""
    auroc: float
    auroc_median: float
    auprc: float
    auprc_median: float
    loss: float = math.nan
    recall_at_fdr: Mapping[float, float] = field(default_factory=dict)
    predicted: float = math.nan
    """Mean prediction, to be held against the share of positives, ``observed``"""
    observed: float = math.nan
    ece: float = math.nan
    """Mean of the tasks' expected calibration errors"""

    def row(self) -> dict[str, float]:
        """Plain names and numbers; what does not exist is left out."""
        named: dict[str, float] = {
            "tasks": self.tasks,
            "na": self.na,
            "auroc": self.auroc,
            "auroc_median": self.auroc_median,
            "auprc": self.auprc,
            "auprc_median": self.auprc_median,
            "loss": self.loss,
            **{f"recall_at_fdr_{rate:g}": value for rate, value in self.recall_at_fdr.items()},
            "predicted": self.predicted,
            "observed": self.observed,
            "ece": self.ece,
        }
        return {name: value for name, value in named.items() if math.isfinite(value)}


@dataclass(frozen=True)
class ValueFigures:
    """Means and medians over the tasks of a group whose values are predicted; NaN where none has spread."""

    tasks: int
    na: int
    pearson: float
    pearson_median: float
    spearman: float
    spearman_median: float
    mse: float

    def row(self) -> dict[str, float]:
        """Plain names and numbers; what does not exist is left out."""
        return {name: value for name, value in asdict(self).items() if math.isfinite(value)}


def groups(tasks: Iterable[Task]) -> dict[str, NDArray[np.int64]]:
    """Task indices of each group: ``all`` first, then the groups in order of appearance. int64 (k,) each"""
    names = np.array([task.group for task in tasks])
    found = {"all": np.arange(len(names))}
    for name in dict.fromkeys(names.tolist()):
        if name:
            found[name] = np.flatnonzero(names == name)
    return found


@overload
def summarise(tasks: Sequence[Task], scores: TaskScores) -> dict[str, Figures]: ...
@overload
def summarise(tasks: Sequence[Task], scores: ValueScores) -> dict[str, ValueFigures]: ...
def summarise(tasks: Sequence[Task], scores: Scores) -> dict[str, Figures] | dict[str, ValueFigures]:
    """The figures of each group of tasks."""
    if isinstance(scores, ValueScores):
        return {name: _value_figures(scores, members) for name, members in groups(tasks).items()}
    return {name: _figures(scores, members) for name, members in groups(tasks).items()}


def published(tasks: Sequence[Task]) -> dict[str, dict[str, Figures]]:
    """Network -> group -> figures others have published for these tasks, as the tasks' facts tell."""
    found: dict[str, dict[str, Figures]] = {}
    for name in sorted({fact.split("_", 2)[2] for fact in published_facts(tasks) if fact.count("_") >= 2}):
        columns = {m: [_number(task.facts.get(f"{PUBLISHED}{m}_{name}")) for task in tasks] for m in ("auroc", "auprc")}
        nothing = np.full(len(tasks), np.nan)
        scores = TaskScores(nothing, np.array(columns["auroc"]), np.array(columns["auprc"]), nothing, {})
        found[name] = summarise(tasks, scores)
    return found


def published_facts(tasks: Sequence[Task]) -> list[str]:
    return list(dict.fromkeys(fact for task in tasks for fact in task.facts if fact.startswith(PUBLISHED)))


def _figures(scores: TaskScores, members: NDArray[np.int64]) -> Figures:
    auroc, auprc = scores.auroc[members], scores.auprc[members]
    found = scores.reliability
    calibration = (
        {}
        if found is None
        else {
            name: _over_known(np.mean, np.where(np.isnan(auroc), np.nan, values[members]))
            for name, values in (("predicted", found.mean_predicted), ("observed", found.observed), ("ece", found.ece))
        }
    )
    return Figures(
        tasks=len(members),
        na=int(np.isnan(auroc).sum()),
        auroc=_over_known(np.mean, auroc),
        auroc_median=_over_known(np.median, auroc),
        auprc=_over_known(np.mean, auprc),
        auprc_median=_over_known(np.median, auprc),
        loss=_over_known(np.mean, scores.loss[members]),
        recall_at_fdr={rate: _over_known(np.mean, values[members]) for rate, values in scores.recall_at_fdr.items()},
        **calibration,
    )


def _value_figures(scores: ValueScores, members: NDArray[np.int64]) -> ValueFigures:
    pearson, spearman = scores.pearson[members], scores.spearman[members]
    return ValueFigures(
        tasks=len(members),
        na=int(np.isnan(pearson).sum()),
        pearson=_over_known(np.mean, pearson),
        pearson_median=_over_known(np.median, pearson),
        spearman=_over_known(np.mean, spearman),
        spearman_median=_over_known(np.median, spearman),
        mse=_over_known(np.mean, scores.mse[members]),
    )


def _over_known(average: Callable[[NDArray[np.float64]], np.floating], values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(average(known)) if len(known) else math.nan


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def table_text(tasks: Sequence[Task], scores: Scores, others: Mapping[str, Scores] | None = None) -> str:
    """CSV, one line a task, NA where a measure does not exist.

    The columns of each of ``others`` (model name -> its scores) carry its name; published figures come last.
    """
    counted = "examples" if isinstance(scores, ValueScores) else "positives"
    columns = {counted: getattr(scores, counted), **_columns(scores)}
    for name, other in (others or {}).items():
        columns |= {f"{measure}:{name}": values for measure, values in _columns(other).items()}
    stated = published_facts(tasks)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["index", "name", "group", *columns, *stated])
    for i, task in enumerate(tasks):
        measured = [_cell(values[i]) for values in columns.values()]
        rows.writerow([task.index, task.name, task.group, *measured, *(task.facts.get(fact, "NA") for fact in stated)])
    return text.getvalue()


def means_text(summaries: Mapping[str, Mapping[str, Figures | ValueFigures]]) -> str:
    """CSV, one line a group and network, NA where a measure does not exist. summaries: network -> group -> figures"""
    rows = [
        {"group": group, "model": name, **found[group].row()}
        for group in next(iter(summaries.values()))
        for name, found in summaries.items()
    ]
    return csv_text(
        [{key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows]
    )


def _columns(scores: Scores) -> dict[str, NDArray[np.float64]]:
    if isinstance(scores, ValueScores):
        return {"pearson": scores.pearson, "spearman": scores.spearman, "mse": scores.mse}
    recalls = {f"recall_at_fdr_{rate:g}": values for rate, values in scores.recall_at_fdr.items()}
    found = scores.reliability
    calibration = (
        {} if found is None else {"predicted": found.mean_predicted, "observed": found.observed, "ece": found.ece}
    )
    return {"auroc": scores.auroc, "auprc": scores.auprc, "loss": scores.loss, **recalls, **calibration}


def _cell(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else "NA"
