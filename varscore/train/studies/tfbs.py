"""Table 1 of the Genetic Architect on any collection of data sets: every network on each of them, and who beats whom.

A run is a model folder ``SET/NETWORK`` of the study's own; table and picture show every run that lies there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.datasets.examples import ExampleSet, set_folders
from varscore.datasets.tfbs import TRAINED
from varscore.errors import DataError
from varscore.evaluate import Examined
from varscore.formats.csvtable import cell, csv_text
from varscore.genome.coords import anchor
from varscore.nets.attentionnet import AttentiveNet
from varscore.storage.whole import put_file
from varscore.train.attention import CHOSEN, attend, write_masks
from varscore.train.pictures import difference_bars
from varscore.train.run import RunOptions
from varscore.train.studies.study import Plan, Run, Study, measured
from varscore.zoo.card import CARD
from varscore.zoo.models import ModelFolder, open_model

NETWORKS = ("deepbind", "deepmotif", "attentionnet")
BASELINE = "kmer"
BASELINE_RECIPE = {"lr": 1e-3, "schedule": "plateau"}
"""These sets are small: at its usual rate the k-mer model would be far from done after its 60 epochs, and too weak"""
PUBLISHED = {"deepbind": (0.904, 0.932), "deepmotif": (0.927, 0.949), "attentionnet": (0.933, 0.952)}
"""Mean and median AUC over 108 sets of K562 cells"""
TABLE, SUMMARY, PICTURE = "tfbs.csv", "summary.csv", "tfbs.png"

UNUSED = 3
"""In the place of a split, of examples that a limit leaves out"""


@dataclass(frozen=True)
class Looks:
    """Which attention masks are saved of a network that has them: those of the ``count`` surest positives, or of
    ``chosen`` sequences, names and codes uint8 (n, window)."""

    count: int = 16
    chosen: tuple[Sequence[str], NDArray[np.uint8]] | None = None


@dataclass(frozen=True)
class Result:
    """A run of the study, trained to its end or ``interim``, and measured on the test split."""

    data: str
    network: str
    positives: int
    """Trained and validated with"""
    parameters: int
    epochs: int
    validation_loss: float
    auroc: float
    auprc: float
    interim: bool

    def row(self) -> dict[str, str]:
        """Column -> text; NA where a figure does not exist."""
        figures = {"validation_loss": self.validation_loss, "test_auroc": self.auroc, "test_auprc": self.auprc}
        return {
            "data_set": self.data,
            "network": self.network,
            "positives": str(self.positives),
            "parameters": str(self.parameters),
            "epochs": str(self.epochs),
            **{name: cell(value, 5) for name, value in figures.items()},
            "state": "interim" if self.interim else "done",
        }


def open_sets(folder: Path) -> list[ExampleSet]:
    """The data set in a folder, or those in its folders. Raises DataError when there is none."""
    return [ExampleSet(path) for path in set_folders(folder)]


def limited(data: ExampleSet, max_positives: int | None) -> ExampleSet:
    """The data set with no more positives to train and validate with: its first, and as large a share of its other
    examples. The test split stays as it is. Raises DataError when it is not one of bound and unbound sequences.
    """
    if data.kind != "labels" or len(data.tasks) != 1:
        raise DataError("not a data set of one factor", where=data.folder, remedy="see `varscore dataset tfbs`")
    positive = data.labels(data.rows("all"))[:, 0] > 0
    mine = data.split < 2
    there = int(np.count_nonzero(mine & positive))
    if max_positives is None or there <= max_positives:
        return data
    split = data.split.copy()
    for kind in (positive, ~positive):
        rows = np.flatnonzero(mine & kind)
        split[rows[-(-len(rows) * max_positives // there) :]] = UNUSED
    counts = {name: int(np.count_nonzero(split == number)) for number, name in enumerate(("train", "validation"))}
    return data.with_split(
        split,
        options={**data.info.get("options", {}), "max_positives": max_positives},
        counts={**data.info.get("counts", {}), **counts, TRAINED: max_positives},
    )


@dataclass(frozen=True)
class FactorStudy(Study):
    """Each plan on each data set: ``SET/ARCH``, ``tfbs.csv``, ``summary.csv`` and ``tfbs.png``."""

    plans: Sequence[Plan]
    sets: Sequence[ExampleSet]
    looks: Looks = Looks()

    def runs(self) -> list[Run]:
        return [Run(f"{data.name}/{plan.architecture}", plan, data) for data in self.sets for plan in self.plans]

    def measure(self, run: Run, model: ModelFolder, options: RunOptions) -> None:
        is_done = measured(model, Examined(run.data))
        if not is_done or self.looks.chosen is not None or not (model.path / CHOSEN).exists():
            look(model, run.data, options.device, self.looks)
        super().measure(run, model, options)

    def write(self, folder: Path) -> None:
        results = collect(folder)
        put_file(folder / TABLE, csv_text([result.row() for result in results]))
        put_file(folder / SUMMARY, csv_text(summary(results)))
        difference_bars(folder / PICTURE, differences(results), "test AUC")


def look(model: ModelFolder, data: ExampleSet, device: torch.device, looks: Looks) -> None:
    """Save the attention masks of a network that has them."""
    net = model.load()
    if isinstance(net, AttentiveNet):
        chosen, first = looks.chosen, anchor(data.window) - anchor(net.window)
        if chosen is not None:
            chosen = chosen[0], np.ascontiguousarray(chosen[1][:, first : first + net.window])
        found = attend(net, data.cropped(net.window), device, looks.count, chosen)
        write_masks(model.path, found, f"{model.architecture}, {data.name}")


# results


def collect(folder: Path) -> list[Result]:
    """The results of every run in the folder, by data set, the baseline last."""
    found = [_result(open_model(path.parent)) for path in folder.glob(f"*/*/{CARD}")]
    return sorted(found, key=lambda result: (result.data, *_order(result.network)))


def _order(network: str) -> tuple[int, str]:
    order = (*NETWORKS, "", BASELINE)
    return order.index(network) if network in order else order.index(""), network


def _result(model: ModelFolder) -> Result:
    with torch.device("meta"):
        parameters = model.outline().counts()[0]
    figures = model.card.figures("test")
    return Result(
        data=model.path.parent.name,
        network=model.path.name,
        positives=model.card.counts.get(TRAINED, 0),
        parameters=parameters,
        epochs=model.card.epochs,
        validation_loss=model.card.validation_loss,
        auroc=figures.get("auroc", math.nan),
        auprc=figures.get("auprc", math.nan),
        interim=model.card.interim,
    )


def by_network(results: Iterable[Result]) -> dict[str, dict[str, float]]:
    """Network -> data set -> test AUROC, of what is measured; the baseline last."""
    found: dict[str, dict[str, float]] = {}
    for result in results:
        if math.isfinite(result.auroc):
            found.setdefault(result.network, {})[result.data] = result.auroc
    return {network: found[network] for network in sorted(found, key=_order)}


def summary(results: Sequence[Result]) -> list[dict[str, str]]:
    """Table 1: a row a network, with mean and median AUC over its data sets and the share of the data sets that both
    were trained on where it beats each of the others; then the published rows, of other data sets."""
    found, rows = by_network(results), []
    for network, aucs in found.items():
        epochs = [result.epochs for result in results if result.network == network]
        row = {
            "network": network,
            "sets": str(len(aucs)),
            "mean_epochs": cell(statistics.fmean(epochs), 1),
            "mean_auc": cell(statistics.fmean(aucs.values()), 4),
            "median_auc": cell(statistics.median(aucs.values()), 4),
        }
        for other, theirs in found.items():
            both = [aucs[name] > theirs[name] for name in aucs if name in theirs]
            row[f"beats_{other}"] = cell(statistics.fmean(both), 3) if both and other != network else "NA"
        rows.append(row)
    for network, (mean, median) in PUBLISHED.items():
        stated = {"network": f"{network}, published", "sets": "108 others"}
        rows.append(stated | {"mean_auc": cell(mean, 4), "median_auc": cell(median, 4)})
    return [{column: row.get(column, "NA") for column in rows[0]} for row in rows]


def differences(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Comparison in words -> data set -> difference in AUC, of the last network and each other one."""
    found = by_network(results)
    names = [name for name in found if name != BASELINE]
    if not names or len(found) < 2:
        return {}
    best = names[-1]
    return {
        f"{best} - {other}": {name: found[best][name] - auc for name, auc in theirs.items() if name in found[best]}
        for other, theirs in found.items()
        if other != best
    }
