"""The projection study (Hawkins-Hooker, Kenlay & Reid): a network for every combination of its arrangements.

Table and picture show every run that lies in the study's folder.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from varscore.datasets.examples import ExampleSet
from varscore.errors import UsageError
from varscore.formats.csvtable import cell, csv_text
from varscore.nets import build
from varscore.storage.whole import put_file
from varscore.train.pictures import study_curves
from varscore.train.studies.study import Plan, Run, Study
from varscore.zoo.card import CARD
from varscore.zoo.models import ModelFolder, open_model

FAMILIES = ("cnn-500", "danq-500")
FILTERS = (320, 500, 700, 1000)
TABLE, PICTURE = "grid.csv", "grid.png"


@dataclass(frozen=True, order=True)
class Arrangement:
    """One network of the study."""

    family: str
    projection: bool
    dropout: bool
    """Behind the first layer or its projection; the later ones are always there"""
    filters: int

    @property
    def name(self) -> str:
        """The folder of its run: ``cnn-500.320.projection.dropout``"""
        switches = {"projection": self.projection, "dropout": self.dropout}
        return ".".join([self.family, str(self.filters), *(name for name, on in switches.items() if on)])

    @property
    def architecture(self) -> str:
        return f"{self.family}-projection" if self.projection else self.family

    @property
    def arguments(self) -> dict[str, object]:
        return {"filters": self.filters, **({} if self.dropout else {"dropout": 0.0})}


def parse_name(name: str) -> Arrangement | None:
    """The arrangement whose folder has this name, if there is one."""
    found = re.fullmatch(rf"({'|'.join(FAMILIES)})\.(\d+)(\.projection)?(\.dropout)?", name)
    return found and Arrangement(found[1], found[3] is not None, found[4] is not None, int(found[2]))


def projection_grid(families: Sequence[str] = FAMILIES, filters: Sequence[int] = FILTERS) -> list[Arrangement]:
    """All combinations, 32 unless restricted. Raises UsageError for a family that is not of the study."""
    unknown = [family for family in families if family not in FAMILIES]
    if unknown:
        raise UsageError(f"{unknown[0]} is not of the projection study", remedy=f"{' or '.join(FAMILIES)}, or neither")
    return [Arrangement(*each) for each in itertools.product(families, (False, True), (False, True), filters)]


@dataclass(frozen=True)
class Result:
    """A run of the study, trained to its end or ``interim``, and measured on the test split (means over tasks)."""

    arrangement: Arrangement
    parameters: int
    epochs: int
    validation_loss: float
    auroc: float
    auprc: float
    interim: bool

    def row(self) -> dict[str, str]:
        """Column -> text; NA where a figure does not exist."""
        yes, its = {False: "no", True: "yes"}, self.arrangement
        figures = {"validation_loss": self.validation_loss, "test_auroc": self.auroc, "test_auprc": self.auprc}
        return {
            "network": its.family,
            "filters": str(its.filters),
            "projection": yes[its.projection],
            "dropout": yes[its.dropout],
            "parameters": str(self.parameters),
            "epochs": str(self.epochs),
            **{name: cell(value, 5) for name, value in figures.items()},
            "state": "interim" if self.interim else "done",
        }


@dataclass(frozen=True)
class ProjectionStudy(Study):
    """The ``chosen`` arrangements on one data set: ``grid.csv`` and ``grid.png``.

    plan: overrides, arguments and motifs of every network; its architecture is the arrangement's. Raises UsageError
    for an argument that the study itself sets.
    """

    chosen: Sequence[Arrangement]
    data: ExampleSet
    plan: Plan

    def __post_init__(self) -> None:
        for name in ("filters", "projection", "dropout"):
            if name in self.plan.arguments:
                raise UsageError(f"the study itself sets {name}", remedy="`grid_filters` chooses numbers of filters")

    def runs(self) -> list[Run]:
        return [
            Run(each.name, replace(self.plan, architecture=each.architecture).given(**each.arguments), self.data)
            for each in self.chosen
        ]

    def write(self, folder: Path) -> None:
        results = collect(folder)
        put_file(folder / TABLE, csv_text([result.row() for result in results]))
        study_curves(folder / PICTURE, curves(results))


def collect(folder: Path) -> list[Result]:
    """The results of every run in the folder that is a model, in the order of the study."""
    found = []
    for card in folder.glob(f"*/{CARD}"):
        arrangement = parse_name(card.parent.name)
        if arrangement:
            found.append(_result(arrangement, open_model(card.parent)))
    return sorted(found, key=lambda result: result.arrangement)


def _result(arrangement: Arrangement, model: ModelFolder) -> Result:
    with torch.device("meta"):
        net = build(model.architecture, **model.card.arguments)
    figures = model.card.figures("test")
    return Result(
        arrangement,
        net.counts()[0],
        model.card.epochs,
        model.card.validation_loss,
        figures.get("auroc", math.nan),
        figures.get("auprc", math.nan),
        model.card.interim,
    )


def curves(results: Sequence[Result]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Family -> arrangement in words -> (first-layer filters, test AUPRC), by filters; what is not measured is out."""
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for result in sorted(results, key=lambda result: result.arrangement):
        its = result.arrangement
        if math.isfinite(result.auprc):
            words = f"{'projection' if its.projection else 'no projection'}, {'' if its.dropout else 'no '}dropout"
            found.setdefault(its.family, {}).setdefault(words, []).append((its.filters, result.auprc))
    return found


def markdown(results: Sequence[Result]) -> str:
    """The table for a reader: one line a run."""
    rows = [result.row() for result in results]
    lines = [list(rows[0]), ["-"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
