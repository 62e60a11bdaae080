"""Cross-validation of expression from promoters: every gene is predicted once, by networks that have not seen it.

A network that was trained on each fold's complement is a series; all series in a folder stand in one table. A permuted
series was trained on genes that had been dealt each other's expression, and is measured on those: what r is worth where
there is nothing to learn.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varscore import pictures
from varscore.datasets.examples import ExampleSet
from varscore.datasets.promoters import SYSTEM, PermutedSet
from varscore.engine.device import evaluating
from varscore.engine.plain import PlainEngine
from varscore.errors import DataError, ModelError
from varscore.evaluate import Examined, predict_rows, record
from varscore.evaluate.kinds import correlation, score
from varscore.formats.csvtable import cell, csv_text
from varscore.pictures import standard
from varscore.storage.whole import put_file, whole_file
from varscore.train.run import RunOptions
from varscore.train.studies.study import Plan, Run, Study, measured
from varscore.zoo.card import CARD
from varscore.zoo.models import ModelFolder, open_model

log = logging.getLogger(__name__)

TABLE, PREDICTIONS, PREDICTED = "expression.csv", "predictions.tsv", "test.npy"
PERMUTED = "permuted"
PERMUTATIONS = 1000
PUBLISHED = {"promoternet": 0.587, "deepbind": 0.506, "deepmotif": 0.441}
"""Mean r over eleven lineages, of 2000-bp promoters on the ImmGen microarrays: other genes and other cell types"""


def series_name(architecture: str, permuted: bool) -> str:
    return f"{architecture}.{PERMUTED}" if permuted else architecture


def fold_name(series: str, fold: int) -> str:
    """The folder of a fold's model."""
    return f"{series}.fold-{fold}"


def folds_of(data: ExampleSet) -> list[int]:
    """Raises DataError when the data set has no folds, or its targets are no values."""
    if data.info.get("system") != SYSTEM or data.fold is None:
        raise DataError("no data set of expression", where=data.folder, remedy="one of `varscore dataset promoters`")
    return [int(fold) for fold in np.unique(data.fold)]


def measure(model: ModelFolder, examined: Examined, device: torch.device) -> None:
    """Keep a model's predictions for the examples beside it, and their measures on its card, unless they are there.

    Raises ModelError when it predicts what is no number.
    """
    if _is_measured(model, examined):
        return
    data, rows, net = examined.data, examined.rows, model.load()
    with evaluating(net, device):
        predicted = predict_rows(PlainEngine(net, device), data.cropped(net.window), rows)
    if not np.isfinite(predicted).all():
        raise ModelError("the model predicts what is no number", where=model.path, cause="its training diverged")
    with whole_file(model.path / PREDICTED) as file:
        np.save(file, predicted)
    record(model, examined, score(data, rows, predicted))


def _is_measured(model: ModelFolder, examined: Examined) -> bool:
    return measured(model, examined) and (model.path / PREDICTED).exists()


@dataclass(frozen=True)
class Series:
    """A network's predictions for all genes, float32 (n, tasks), each from the fold that had held it out.

    truth: float32 (n, tasks), NaN where unknown
    """

    name: str
    truth: NDArray[np.floating]
    predicted: NDArray[np.floating]
    interim: int
    """Models whose training has not ended"""

    @property
    def r(self) -> NDArray[np.float64]:
        """Pearson's r of each task: float64 (tasks,), NaN where there is none."""
        return np.array([correlation(*pair) for pair in self.pairs()])

    def pairs(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """True and predicted values of each task, where they are known: float64 (m,) each."""
        truths, guesses = (array.T.astype(np.float64) for array in (self.truth, self.predicted))
        known = ~np.isnan(truths)
        return [(t[there], p[there]) for t, p, there in zip(truths, guesses, known, strict=True)]

    def chance(self, seed: int = 0) -> NDArray[np.float64]:
        """The r that 5 % of random orders of the genes exceed: float64 (tasks,)."""
        random = np.random.default_rng((seed, 5))
        found = []
        for truth, predicted in self.pairs():
            if math.isnan(correlation(truth, predicted)):
                found.append(math.nan)
                continue
            one, other = ((x - x.mean()) / np.linalg.norm(x - x.mean()) for x in (truth, predicted))
            found.append(np.quantile([random.permutation(one) @ other for _ in range(PERMUTATIONS)], 0.95))
        return np.array(found)


def gather(folder: Path, data: ExampleSet, name: str, seed: int) -> Series | None:
    """A series whose models for all folds of the data set are in the folder and measured; None if one is not.

    seed: of a permuted series
    """
    source = PermutedSet(data.folder, seed) if name.endswith(f".{PERMUTED}") else data
    truth = np.where(_known(source), source.targets(source.rows("all")), np.nan)
    predicted = np.full(truth.shape, np.nan, np.float32)
    times, interim = np.zeros(len(data), int), 0
    for fold in folds_of(data):
        path, examined = folder / fold_name(name, fold), Examined(source.held_out(fold))
        if not (path / CARD).exists():
            return None
        model = open_model(path)
        if not _is_measured(model, examined):
            return None
        predicted[examined.rows] = np.load(path / PREDICTED)
        times[examined.rows] += 1
        interim += model.card.interim
    if (times != 1).any():
        raise DataError("a gene is in two folds or in none", where=data.folder, remedy="make the data set again")
    return Series(name, truth, predicted, interim)


def _known(data: ExampleSet) -> NDArray[np.bool_]:
    rows = data.rows("all")
    known = data.known(rows)
    return np.ones((len(rows), len(data.tasks)), bool) if known is None else known


def gather_all(folder: Path, data: ExampleSet, seed: int) -> list[Series]:
    """Every complete series in the folder: networks by name, baseline and permuted ones last."""
    names = {path.parent.name.rpartition(".fold-")[0] for path in folder.glob(f"*.fold-*/{CARD}")}
    ordered = sorted(names, key=lambda name: (name.endswith(f".{PERMUTED}"), name.startswith("kmer"), name))
    return [series for name in ordered if (series := gather(folder, data, name, seed))]


def table(found: Sequence[Series], data: ExampleSet, first: str) -> list[dict[str, str]]:
    """A row an output: its genes, r of each series, and what chance leaves for the series ``first``; then means, and
    published ones."""
    names = [task.name for task in data.tasks]
    genes = _known(data).sum(0).tolist()
    columns = {series.name: series.r for series in found}
    columns["chance_95"] = next(series for series in found if series.name == first).chance()
    rows = [
        {"output": name, "genes": str(genes[i]), **{key: cell(values[i], 4) for key, values in columns.items()}}
        for i, name in enumerate(names)
    ]
    means = {
        key: cell(values[np.isfinite(values)].mean(), 4) if np.isfinite(values).any() else "NA"
        for key, values in columns.items()
    }
    stated = {key: cell(PUBLISHED.get(key, math.nan), 4) for key in columns}
    return [
        *rows,
        {"output": "mean", "genes": str(len(data)), **means},
        {"output": "published mean, other genes", "genes": "NA", **stated},
    ]


def predictions(found: Iterable[Series], data: ExampleSet) -> list[dict[str, str]]:
    """A row a gene: its fold, and of every output the true value and each series' prediction; NA where unknown."""
    folds = [] if data.fold is None else data.fold.tolist()
    rows = [{"gene": name, "fold": str(fold)} for name, fold in zip(data.names, folds, strict=True)]
    real = [series for series in found if not series.name.endswith(f".{PERMUTED}")]
    for i, task in enumerate(data.tasks):
        columns = {task.name: real[0].truth[:, i], **{f"{task.name}:{s.name}": s.predicted[:, i] for s in real}}
        for name, values in columns.items():
            for row, value in zip(rows, values.tolist(), strict=True):
                row[name] = cell(value, 4)
    return rows


@dataclass
class CrossValidation(Study):
    """A model a fold, of a network, of the k-mer baseline, and of the network on permuted genes:
    ``ARCH.fold-N``, ``expression.csv``, ``predictions.tsv`` and a picture a series.

    baseline: None for none; permuted: whether permuted genes take part. Raises DataError when the data set has no folds
    """

    plan: Plan
    baseline: Plan | None
    data: ExampleSet
    seed: int = 0
    permuted: bool = True
    rows: list[dict[str, str]] = field(default_factory=list)
    """Of the table, once it has been written"""

    def runs(self) -> list[Run]:
        parts = [(self.plan.architecture, self.plan, self.data)]
        if self.baseline and self.baseline.architecture != self.plan.architecture:
            parts.append((self.baseline.architecture, self.baseline, self.data))
        if self.permuted:
            mixed = PermutedSet(self.data.folder, self.seed)
            parts.append((series_name(self.plan.architecture, True), self.plan, mixed))
        return [
            Run(fold_name(series, fold), plan, data.held_out(fold))
            for series, plan, data in parts
            for fold in folds_of(data)
        ]

    def measure(self, run: Run, model: ModelFolder, options: RunOptions) -> None:
        measure(model, Examined(run.data), options.device)

    def write(self, folder: Path) -> None:
        """Nothing before the series of the network is whole."""
        found = gather_all(folder, self.data, self.seed)
        if self.plan.architecture not in {series.name for series in found}:
            return
        for series in found:
            if series.interim:
                log.warning("%s: %s of its models are interim", series.name, series.interim)
            scatter(folder / f"{series.name}.png", series, [task.name for task in self.data.tasks])
        self.rows = table(found, self.data, self.plan.architecture)
        put_file(folder / TABLE, csv_text(self.rows))
        put_file(folder / PREDICTIONS, csv_text(predictions(found, self.data), delimiter="\t"))


def scatter(path: Path, series: Series, names: Sequence[str]) -> None:
    """PNG of true against predicted values, a panel an output. It wants the ``train`` extra, or is left out."""
    if importlib.util.find_spec("matplotlib") is None:
        log.warning("scatter picture left out: matplotlib is not installed (pip install matplotlib)")
        return
    from matplotlib.figure import Figure

    across = math.ceil(math.sqrt(len(names)))
    down = math.ceil(len(names) / across)
    with standard():
        figure = Figure(figsize=(2.4 * across + 0.6, 2.4 * down + 0.6), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for panel, name, r, (truth, predicted) in zip(panels, names, series.r, series.pairs(), strict=False):
            panel.scatter(truth, predicted, s=3, alpha=0.4, linewidths=0, rasterized=True)
            panel.set_title(f"{name}: r = {cell(r, 4)}", fontsize="small")
        for panel in panels[len(names) :]:
            panel.set_axis_off()
        figure.suptitle(series.name)
        figure.supxlabel("true")
        figure.supylabel("predicted")
        with whole_file(path) as file:
            pictures.paint(figure, file)
