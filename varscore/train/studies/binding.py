"""What open chromatin adds: models of the same architecture with and without each input, and k-mer models beside them.

The k-mer models have the sequence alone, or DNase too, so that a network has a baseline of the same inputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.datasets.binding import DNASE, SYSTEM
from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError, UsageError
from varscore.evaluate import Examined, TaskScores, predict_model, record
from varscore.evaluate.kinds import score
from varscore.formats.csvtable import csv_text
from varscore.nets import find
from varscore.storage.whole import put_file
from varscore.tasks import Task
from varscore.train.run import RunOptions
from varscore.train.studies.study import Plan, Run, Study
from varscore.zoo.models import ModelFolder

TABLE = "binding.csv"
SEQUENCE, ALL, MEAN = "sequence", "all", "mean"
KMER = {SEQUENCE: "kmer", DNASE.lower(): "kmer-tracks"}
"""Inputs -> the baseline that has the same"""
MEASURES = ("auroc", "auprc", "recall_at_fdr_0.1", "recall_at_fdr_0.5")
PUBLISHED: dict[str, Mapping[tuple[str, str], tuple[float, ...]]] = {
    "CTCF": {
        ("binding-shallow", "sequence"): (0.950, 0.263, 0.012, 0.200),
        ("binding-shallow", "dnase"): (0.988, 0.655, 0.343, 0.700),
        ("binding-shallow", "dnase+shape"): (0.987, 0.662, 0.360, 0.701),
        ("binding-shallow", "dnase+expression"): (0.985, 0.633, 0.307, 0.673),
        ("binding-deep", "dnase"): (0.919, 0.459, 0.127, 0.469),
        ("binding-multitask", "dnase"): (0.963, 0.382, 0.04, 0.324),
    },
    "JUND": {("binding-multitask", "dnase"): (0.969, 0.163, 0.0, 0.006)},
    "EGR1": {("binding-multitask", "dnase"): (0.979, 0.141, 0.0, 0.001)},
    "MYC": {("binding-multitask", "dnase"): (0.99, 0.29, 0.0, 0.098)},
    "GABPA": {("binding-multitask", "dnase"): (0.924, 0.147, 0.0, 0.0)},
    "REST": {("binding-multitask", "dnase"): (0.924, 0.031, 0.0, 0.0)},
    "RFX5": {("binding-multitask", "dnase"): (0.928, 0.03, 0.0, 0.0)},
    "TCF12": {("binding-multitask", "dnase"): (0.943, 0.076, 0.0, 0.0)},
}
"""Factor -> (architecture, inputs) -> the measures of the thesis, with the whole genome and the signal of every base"""


@dataclass(frozen=True)
class Variant:
    """A model to train: what it reads, and the arguments of its architecture that say so."""

    architecture: str
    inputs: str
    arguments: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.architecture}.{self.inputs}"


def variant(architecture: str, inputs: str, data: ExampleSet) -> Variant:
    """An architecture that reads the sequence, with DNase (``dnase``, ``dnase+shape``, ...), or all that is there.

    Raises UsageError when it cannot read them, DataError when the data set does not have them.
    """
    if data.info.get("system") != SYSTEM:
        raise DataError("no data set of binding", where=data.folder, remedy="make one with `varscore dataset binding`")
    if inputs == ALL:
        return Variant(architecture, inputs)
    there = {"shape": len(data.track_names) > 1, "expression": bool(data.scalar_names)}
    if absent := [what for what in there if what in inputs and not there[what]]:
        remedy = f"make it with `{absent[0]}`, or `inputs=dnase`"
        raise DataError(f"the data set has no {absent[0]}", where=data.folder, remedy=remedy)
    wanted = {
        "tracks": 0 if inputs == SEQUENCE else len(data.track_names) if "shape" in inputs else 1,
        "scalars": len(data.scalar_names) if "expression" in inputs else 0,
    }
    fields = {field.name for field in dataclasses.fields(find(architecture).config)}
    unread = [name for name, count in wanted.items() if count and name not in fields]
    if unread:
        raise UsageError(f"{architecture} reads no {unread[0]}", remedy="`inputs=sequence`, or a binding-... network")
    return Variant(architecture, inputs, {name: count for name, count in wanted.items() if name in fields})


def variants(architecture: str, data: ExampleSet) -> list[Variant]:
    """The models of a study: every combination of inputs that the thesis has and the data set allows."""
    inputs = [SEQUENCE, "dnase"]
    inputs += ["dnase+shape"] * (len(data.track_names) > 1) + ["dnase+expression"] * bool(data.scalar_names)
    return [variant(architecture, name, data) for name in inputs] + [
        variant(kmer, name, data) for name, kmer in KMER.items()
    ]


@dataclass(frozen=True)
class Result:
    """A model on the test split. cells: its measures in each cell type of the test; of several also in ``ALL``"""

    variant: Variant
    cells: Mapping[str, TaskScores]

    def rows(self, tasks: Sequence[Task]) -> list[dict[str, str]]:
        """A line for each factor and cell type that the test has bound and unbound bins of; where a cell type has
        several factors, their mean too."""
        return [row for cell, scores in self.cells.items() for row in self._rows_of(cell, scores, tasks)]

    def _rows_of(self, cell: str, scores: TaskScores, tasks: Sequence[Task]) -> list[dict[str, str]]:
        columns = dict(zip(MEASURES, _measures(scores), strict=True))
        there = [task for task in tasks if np.isfinite(scores.auroc[task.index])]
        of = [(task.name, np.array([task.index])) for task in there]
        if len(there) > 1:
            of.append((MEAN, np.array([task.index for task in there])))
        return [
            {
                "factor": name,
                "cell": cell,
                "model": self.variant.architecture,
                "inputs": self.variant.inputs,
                "bound": str(scores.positives[rows].sum()),
                **{measure: f"{values[rows].mean():.4f}" for measure, values in columns.items()},
            }
            for name, rows in of
        ]


def _measures(scores: TaskScores) -> list[NDArray[np.float64]]:
    return [scores.auroc, scores.auprc, scores.recall_at_fdr[0.1], scores.recall_at_fdr[0.5]]


def measure(model: ModelFolder, of: Variant, data: ExampleSet, device: torch.device) -> Result:
    """A model on the test split, its figures, of all cell types together, recorded on its card."""
    examined = Examined(data)
    predicted, rows = predict_model(model, examined, device), examined.rows

    def scores(here: NDArray[np.int64]) -> TaskScores:
        return cast(TaskScores, score(data, rows[here], predicted[here]))

    together = scores(np.arange(len(rows)))
    record(model, examined, together)
    assert data.cell is not None  # or it were no data set of binding
    owner = data.cell[rows]
    tested = {data.cells[number]: np.flatnonzero(owner == number) for number in np.unique(owner)}
    if len(tested) == 1:
        return Result(of, dict.fromkeys(tested, together))
    return Result(of, {**{cell: scores(here) for cell, here in tested.items()}, ALL: together})


def table(results: Iterable[Result], data: ExampleSet) -> list[dict[str, str]]:
    """Lines of all results, those of a factor and cell type together, and what is published of the factor."""
    rows = [row for result in results for row in result.rows(data.tasks)]
    cells, together = (*data.cells, ALL), []
    for factor in (*(task.name for task in data.tasks), MEAN):
        own = [row for row in rows if row["factor"] == factor]
        asked = {row["model"] for row in own}
        together += sorted(own, key=lambda row: cells.index(row["cell"]))
        for (architecture, inputs), figures in PUBLISHED.get(factor, {}).items():
            if architecture in asked:
                named = {name: f"{value:.3f}" for name, value in zip(MEASURES, figures, strict=True)}
                line = {"factor": factor, "cell": "", "model": f"{architecture} (published, other data)"}
                together.append({**line, "inputs": inputs, "bound": "", **named})
    return together


@dataclass
class InputStudy(Study):
    """A network with each combination of inputs, and the k-mer models: ``ARCH.INPUTS``, ``binding.csv``.

    plan: of the network; baseline: of the k-mer models, whatever its architecture
    """

    plan: Plan
    baseline: Plan
    data: ExampleSet
    results: list[Result] = field(default_factory=list)

    def runs(self) -> list[Run]:
        return [Run(of.name, self._plan(of), self.data) for of in variants(self.plan.architecture, self.data)]

    def _plan(self, of: Variant) -> Plan:
        plan = self.baseline if of.architecture in KMER.values() else self.plan
        return dataclasses.replace(plan, architecture=of.architecture).given(**of.arguments)

    def measure(self, run: Run, model: ModelFolder, options: RunOptions) -> None:
        of = next(each for each in variants(self.plan.architecture, self.data) if each.name == run.name)
        self.results.append(measure(model, of, self.data, options.device))

    def write(self, folder: Path) -> None:
        put_file(folder / TABLE, csv_text(table(self.results, self.data)))
