"""One model's figures, beside those of others and those that have been published."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varscore import __version__
from varscore.errors import UsageError
from varscore.evaluate.curves import Curve, curves_text, draw_curves
from varscore.evaluate.flow import Examined, predict_model
from varscore.evaluate.kinds import Scores, score
from varscore.evaluate.metrics import TaskScores
from varscore.evaluate.pictures import FORMATS, RELIABILITY, Figure, Scatter, draw, draw_reliability
from varscore.evaluate.reliability import Bins, by_group, reliability_text
from varscore.evaluate.tables import Figures, ValueFigures, groups, means_text, published, summarise, table_text
from varscore.storage.atomic import refuse_existing
from varscore.storage.whole import put_file
from varscore.zoo.models import ModelFolder

TABLE, FIGURES, MEANS, CURVES = "metrics.csv", "metrics.json", "means.csv", "curves.csv"
BINS = f"{RELIABILITY}.csv"
PICTURES = {"roc": ("auroc", "AUROC"), "pr": ("auprc", "average precision")}
"""Names of pictures, and the measure that each is about"""
MIN_POSITIVES = 50
"""Tasks with fewer positive examples say more about chance than about networks"""


@dataclass(frozen=True)
class Comparison:
    """Share, of the ``tasks`` with enough positives, on which one network is strictly better than another."""

    tasks: int
    auroc: float
    auprc: float
    both: float


def compare(scores: TaskScores, other: TaskScores, min_positives: int = MIN_POSITIVES) -> Comparison:
    """Where ``scores`` beats ``other``; the shares are NaN when no task has enough positives."""
    enough = (scores.positives >= min_positives) & np.isfinite(scores.auroc)
    auroc, auprc = (scores.auroc > other.auroc)[enough], (scores.auprc > other.auprc)[enough]
    shares = [float(wins.mean()) if len(wins) else math.nan for wins in (auroc, auprc, auroc & auprc)]
    return Comparison(int(enough.sum()), *shares)


@dataclass(frozen=True)
class Report:
    """Measures of some models on the same examples; the first is the one the report is about."""

    models: tuple[ModelFolder, ...]
    examined: Examined
    scores: tuple[Scores, ...]
    curves: tuple[Mapping[int, Curve], ...] = ()
    """Of each model, the curves of the tasks that were chosen"""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One name a model; models of the same name are told apart by their checksums."""
        ids = [model.id for model in self.models]
        return tuple(
            model.id if ids.count(model.id) == 1 else f"{model.id}@{model.sha256[:8]}" for model in self.models
        )

    @cached_property
    def summaries(self) -> Mapping[str, Mapping[str, Figures | ValueFigures]]:
        """Model -> group -> figures."""
        tasks = self.examined.data.tasks
        return {name: summarise(tasks, scores) for name, scores in zip(self.names, self.scores, strict=True)}

    @cached_property
    def published(self) -> dict[str, dict[str, Figures]]:
        """Network -> group -> figures that others measured, on other bins."""
        return published(self.examined.data.tasks)

    @property
    def confusions(self) -> list[NDArray[np.int64] | None]:
        """Of each model the matrix int64 (classes, classes), None where tasks are no classes."""
        return [scores.confusion if isinstance(scores, TaskScores) else None for scores in self.scores]

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(groups(self.examined.data.tasks))

    def comparisons(self) -> dict[str, Comparison]:
        """Where the first model beats each of the others; none where values are predicted."""
        first, others = self.scores[0], zip(self.names[1:], self.scores[1:], strict=True)
        return {
            name: compare(first, scores)
            for name, scores in others
            if isinstance(first, TaskScores) and isinstance(scores, TaskScores)
        }

    def figures(self) -> list[Figure]:
        """What there is to draw: curves that were asked for, and the first model against each of the others."""
        tasks, names = self.examined.data.tasks, self.names
        members = {name: at for name, at in groups(tasks).items() if name != "all"}
        rest = np.array([task.index for task in tasks if not task.group], np.int64)
        members |= {"": rest} if len(rest) else {}
        labels = [task.name for task in tasks]
        made = []
        for picture, (measure, title) in PICTURES.items():
            found = [getattr(scores, measure) for scores in self.scores if isinstance(scores, TaskScores)]
            curves = {
                f"{task}:{tasks[task].name}": {
                    name: (drawn[task], found[i][task]) for i, (name, drawn) in enumerate(self.drawn)
                }
                for task in (self.curves[0] if self.curves else ())
            }
            scatters = [
                Scatter(name, names[0], other, found[0], members, getattr(won, measure), won.tasks, labels)
                for (name, won), other in zip(self.comparisons().items(), found[1:], strict=True)
            ]
            made.append(Figure(picture, title, curves, scatters))
        return made

    @property
    def drawn(self) -> list[tuple[str, Mapping[int, Curve]]]:
        """Each model's name and curves."""
        return list(zip(self.names, self.curves, strict=True)) if self.curves else []

    @property
    def reliability(self) -> dict[str, dict[str, Bins]]:
        """Group -> model -> predictions against shares of positives, of tasks with both classes; none of values."""
        kinds = [(name, found) for name, found in zip(self.names, self.scores, strict=True)]
        known = [(name, x) for name, x in kinds if isinstance(x, TaskScores) and x.reliability is not None]
        if not known:
            return {}
        members = groups(self.examined.data.tasks)
        there = {name: tasks[np.isfinite(known[0][1].auroc[tasks])] for name, tasks in members.items()}
        found = [(name, scores.reliability) for name, scores in known if scores.reliability is not None]
        return by_group({name: tasks for name, tasks in there.items() if len(tasks)}, found)

    def means(self) -> str:
        """The CSV of all groups, with what others have published (``*``)."""
        return means_text({**self.summaries, **{f"{name}*": row for name, row in self.published.items()}})

    def table(self) -> str:
        """The CSV of all tasks."""
        others = dict(zip(self.names[1:], self.scores[1:], strict=True))
        return table_text(self.examined.data.tasks, self.scores[0], others)

    def facts(self) -> dict[str, object]:
        """All figures as plain values, for JSON."""
        models = {
            name: {
                "architecture": model.architecture,
                "sha256": model.sha256,
                "groups": {group: figures.row() for group, figures in self.summaries[name].items()},
                **({} if found is None else {"confusion": found.tolist()}),
            }
            for name, model, found in zip(self.names, self.models, self.confusions, strict=True)
        }
        beaten = {
            name: {"tasks": c.tasks, "min_positives": MIN_POSITIVES, "auroc": c.auroc, "auprc": c.auprc, "both": c.both}
            for name, c in self.comparisons().items()
            if c.tasks
        }
        stated = {
            name: {group: figures.row() for group, figures in row.items()} for name, row in self.published.items()
        }
        return {
            "varscore": __version__,
            "torch": torch.__version__,
            "model": self.names[0],
            **self.examined.facts(),
            "auprc_is": "average precision",
            "models": models,
            "better_than": beaten,
            "published_on_other_bins": stated,
        }


def evaluate_models(
    models: list[ModelFolder],
    examined: Examined,
    device: torch.device,
    precision: str = "fp32",
    advance: Callable[[int], None] = lambda n: None,
    curves: Sequence[int] = (),
) -> Report:
    """Every model on the same examples; ``curves`` are tasks whose curves are wanted.

    Raises UsageError for a model named twice, or curves of values; and what evaluate_model raises.
    """
    if len({model.sha256 for model in models}) < len(models):
        raise UsageError("a model cannot be compared with itself", where=", ".join(str(model.path) for model in models))
    data, rows = examined.data, examined.rows
    if curves and data.kind == "values":
        raise UsageError("values have no curves", where=data.folder, remedy="leave out `curves`")
    scores, drawn = [], []
    for model in models:
        predicted = predict_model(model, examined, device, precision, advance)
        scores.append(score(data, rows, predicted))
        if curves:
            drawn.append(draw_curves(data.labels(rows), predicted, data.known(rows), curves))
    return Report(tuple(models), examined, tuple(scores), tuple(drawn))


def refuse_report(folder: Path, force: bool) -> None:
    """Raises OutputExists when the folder holds a report that must not be replaced."""
    for name in (TABLE, FIGURES):
        refuse_existing(str(folder / name), force=force)


def write_report(folder: Path, report: Report) -> list[Path]:
    """Write ``metrics.csv`` (every task), ``means.csv`` (groups), ``metrics.json`` (means, provenance),
    ``reliability.csv``, ``curves.csv`` and pictures where there are any; returns the pictures. Those of a report in
    their place are gone. Raises OutputError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CURVES, BINS, *(f"{picture}.{kind}" for picture in (*PICTURES, RELIABILITY) for kind in FORMATS)):
        (folder / name).unlink(missing_ok=True)
    put_file(folder / TABLE, report.table())
    put_file(folder / MEANS, report.means())
    if report.curves:
        thinned = {name: {task: c.thinned() for task, c in curves.items()} for name, curves in report.drawn}
        put_file(folder / CURVES, curves_text(report.examined.data.tasks, thinned))
    pictures = [path for figure in report.figures() for path in draw(folder, figure)]
    if bins := report.reliability:
        put_file(folder / BINS, reliability_text(bins))
        pictures += draw_reliability(folder, bins)
    put_file(folder / FIGURES, json.dumps(report.facts(), indent=1) + "\n")
    return pictures
