"""A model and a data set in, measures out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.datasets.examples import ExampleSet
from varscore.engine.device import evaluating
from varscore.engine.plain import PlainEngine
from varscore.errors import DataError, ModelError
from varscore.evaluate.kinds import Scores, score
from varscore.evaluate.metrics import TaskScores
from varscore.evaluate.tables import summarise, table_text
from varscore.nets.objectives import make_objective
from varscore.storage.digest import sha256
from varscore.storage.whole import put_file
from varscore.zoo.card import write_card
from varscore.zoo.models import ModelFolder

BATCH = 4096


@dataclass(frozen=True)
class Examined:
    """Which examples of a data set a model was examined on."""

    data: ExampleSet
    split: str = "test"
    labelled_only: bool = False

    @property
    def rows(self) -> NDArray[np.int64]:
        """int64 (n,). Raises DataError when there are none."""
        rows = self.data.rows(self.split, self.labelled_only)
        if len(rows) == 0:
            raise DataError(f"no example in the {self.split} split", where=self.data.folder)
        return rows

    @property
    def is_thinned(self) -> bool:
        """Whether bins without a label are missing, so that positives are more frequent than in the genome."""
        made = self.data.info.get("options", {})
        thinned = made.get("unlabelled") is not None and self.split != "test"
        return self.labelled_only or made.get("bins", "all") != "all" or thinned

    def facts(self) -> dict[str, object]:
        return {
            "data_sha256": self.data.sha256,
            "source_sha256": self.data.source_sha256,
            "split": self.split,
            "labelled_only": self.labelled_only,
            "examples": len(self.rows),
        }


def evaluate_model(
    model: ModelFolder,
    examined: Examined,
    device: torch.device,
    precision: str = "fp32",
    advance: Callable[[int], None] = lambda n: None,
) -> Scores:
    """Measures of a model's predictions, of the kind that the data set is; arguments as for :func:`predict_model`."""
    predicted = predict_model(model, examined, device, precision, advance)
    return score(examined.data, examined.rows, predicted)


def predict_model(
    model: ModelFolder,
    examined: Examined,
    device: torch.device,
    precision: str = "fp32",
    advance: Callable[[int], None] = lambda n: None,
) -> NDArray[np.float32]:
    """A model's predictions for the examples: float32 (n, tasks). ``advance`` is told of examples done.

    A model of a shorter window than the data set's sees their middle. Raises DataError when the model has other tasks,
    or of another kind, or a longer window, ModelError when it is damaged or predicts what is no number.
    """
    data, rows = examined.data, examined.rows
    check_fits(model, data)
    net = model.load()
    with evaluating(net, device):
        predicted = predict_rows(PlainEngine(net, device, precision), data.cropped(net.window), rows, advance)
    if not np.isfinite(predicted).all():
        raise ModelError("the model predicts what is no number", where=model.path, cause="its training diverged")
    return predicted


def check_fits(model: ModelFolder, data: ExampleSet) -> None:
    """Raises DataError when a model and a data set do not go together."""
    ours, theirs = [task.name for task in model.tasks()], [task.name for task in data.tasks]
    if len(ours) != len(theirs):
        raise DataError(f"the model has {len(ours)} tasks, the data {len(theirs)}", where=data.folder)
    different = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    if different:
        i = different[0]
        raise DataError(f"task {i} is {ours[i]!r} in the model, {theirs[i]!r} in the data", where=data.folder)
    kind = make_objective(model.card.objective or "labels", len(ours)).kind
    if kind != data.kind:
        raise DataError(f"the model predicts {kind}, the data set holds {data.kind}", where=data.folder)
    data.cropped(model.config().window)


def predict_rows(
    engine: PlainEngine, data: ExampleSet, rows: NDArray[np.int64], advance: Callable[[int], None] = lambda n: None
) -> NDArray[np.float32]:
    """Predictions for a data set's examples: float32 (len(rows), tasks). Its windows are as long as the network's."""
    net = engine.net
    out = np.empty((len(rows), net.n_tasks), np.float32)
    for first in range(0, len(rows), BATCH):
        some = rows[first : first + BATCH]
        tracks = data.tracks(some)[:, : getattr(net.config, "tracks", 0)] if "tracks" in net.inputs else None
        scalars = data.scalars(some)[:, : getattr(net.config, "scalars", 0)] if "scalars" in net.inputs else None
        out[first : first + BATCH] = engine.predict(data.windows(some), tracks, scalars)
        advance(len(some))
    return out


def record(model: ModelFolder, examined: Examined, scores: Scores) -> None:
    """Write the figures into the model's card (``[metrics.SPLIT]``, or ``[metrics.SPLIT.labelled]``) and the table of
    tasks into its folder, as a file the card vouches for. Raises OutputError."""
    tasks, split = examined.data.tasks, examined.split
    figures: dict[str, object] = examined.facts()
    figures |= {group: _rounded(row.row()) for group, row in summarise(tasks, scores).items()}
    if isinstance(scores, TaskScores) and scores.confusion is not None:
        figures["confusion"] = scores.confusion.tolist()
    name = ".".join(["metrics", *([split] if split != "test" else []), *(["labelled"] * examined.labelled_only), "csv"])
    table = table_text(tasks, scores).encode()
    put_file(model.path / name, table)
    write_card(model.path, model.card.with_figures(split, examined.labelled_only, figures, name, sha256(table)))


def _rounded(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value if isinstance(value, int) else float(f"{value:.6g}") for name, value in row.items()}
