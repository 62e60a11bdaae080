"""Model directories: a card, checksummed weights and a task table; nothing in them is ever executed.

``<id>/`` holds

- ``card.toml``          architecture, arguments, sha256 of every other file, how it was made and how good it is
- ``model.safetensors``  the weights, float32 or float16, and the shift of each task's log-odds, if there is one
- ``tasks.tsv``          the names of the outputs
- ``priors.tsv``         how frequent positives are, in training and in truth, where that is known
"""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save

from varscore.errors import DataError, ModelError, UsageError
from varscore.nets import build, find
from varscore.nets.config import Config
from varscore.nets.layers import SequenceNet
from varscore.nets.registry import HOW_TO_ADD
from varscore.storage.bounded import (
    TABLE_BYTES,
    WEIGHTS_BYTES,
    demand_plain_name,
    demand_tensors,
    read_bounded,
)
from varscore.storage.digest import sha256
from varscore.storage.folders import own_name
from varscore.storage.whole import put_file
from varscore.tasks import Task, format_tasks, parse_tasks
from varscore.zoo.card import CARD, FORMAT, PRIORS, TASKS, WEIGHTS, Card, read_card, write_card
from varscore.zoo.priors import Priors
from varscore.zoo.shelf import model_folder

log = logging.getLogger(__name__)

METRICS = "metrics.csv"
"""How good a model is at each task, beside the model"""
SHIFT = "prior_shift"
"""A tensor among the weights: float32 (tasks,), what a model's priors add to its log-odds. It lies there so that
whatever predicts otherwise has another checksum."""


@dataclass(frozen=True)
class ModelFolder:
    """A model directory whose card has been read; weights are loaded by :meth:`load`."""

    path: Path
    card: Card

    @property
    def id(self) -> str:
        return self.card.id or own_name(self.path)

    @property
    def architecture(self) -> str:
        return self.card.architecture

    @property
    def sha256(self) -> str:
        """Hash of the weights, as the card states it: the identity of the model."""
        return self.card.files[WEIGHTS]

    @property
    def files(self) -> list[str]:
        """The card and every file that it names."""
        return [str(self.path / name) for name in (CARD, *self.card.files)]

    def config(self) -> Config:
        """The architecture's configuration, without its weights. Raises ModelError for arguments it does not have."""
        try:
            return find(self.architecture).configure(**self.card.arguments)
        except UsageError as error:
            raise ModelError(error.what, where=self.path / CARD, remedy=error.remedy) from None

    def tasks(self) -> tuple[Task, ...]:
        """Raises ModelError when the table is damaged."""
        try:
            tasks = parse_tasks(self.read(TASKS).decode())
        except (DataError, UnicodeDecodeError) as error:
            raise ModelError("damaged model", where=self.path / TASKS, cause=str(error)) from None
        if len(tasks) != self.config().n_tasks:
            raise ModelError(f"{len(tasks)} tasks for {self.config().n_tasks} outputs", where=self.path / TASKS)
        return tasks

    def priors(self) -> Priors | None:
        """How frequent positives are; None where the card does not say. Raises ModelError when the table is damaged."""
        if PRIORS not in self.card.files:
            return None
        try:
            return Priors.parse(self.read(PRIORS).decode(), self.config().n_tasks)
        except (DataError, UnicodeDecodeError) as error:
            raise ModelError("damaged model", where=self.path / PRIORS, cause=str(error)) from None

    def figures(self) -> dict[int, dict[str, float]]:
        """What the model's ``metrics.csv`` says of each task it lists, by index: ``auroc``, ``auprc`` ... Empty without
        one: it is no part of the model, and has no checksum."""
        try:
            text = read_bounded(self.path / METRICS, TABLE_BYTES).decode()
            rows = csv.DictReader(io.StringIO(text, newline=""))
            return {int(row["index"]): dict(_numbers(row)) for row in rows if row.get("model", self.id) == self.id}
        except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError, csv.Error):
            return {}

    @property
    def untrained(self) -> NDArray[np.int64]:
        """int64 (k,), ascending: tasks that the card says had no positive example in training. Raises ModelError."""
        try:
            tasks = self.card.untrained
        except ValueError:
            tasks = (-1,)
        if tasks and not 0 <= tasks[0] <= tasks[-1] < self.config().n_tasks:
            raise ModelError("the card's untrained tasks are none of the model's", where=self.path / CARD)
        return np.array(tasks, np.int64)

    def verify(self) -> dict[str, str]:
        """Read every file the card names, load weights and tasks; returns the files' checksums.

        Raises ModelError at the first file that is not what the card says.
        """
        self.load()
        self.tasks()
        return {name: sha256(self.read(name)) for name in self.card.files}

    def warn_of_interim(self) -> None:
        """Say so, where its predictions are used, when the model's training was cut short."""
        if self.card.interim:
            why = f" ({self.card.ended})" if self.card.ended else ""
            log.warning("the model %s is interim: its training did not come to its end%s", self.id, why)

    def load(self) -> SequenceNet:
        """The network with its weights, float32, on the CPU, in evaluation mode.

        Nothing is allocated for a network before its shapes are known to be those of the file. Raises ModelError when a
        checksum, an argument, a tensor name or a shape is wrong.
        """
        content = self.read(WEIGHTS)
        try:
            demand_tensors(content)
            weights = {name: t.float() if t.is_floating_point() else t for name, t in load(content).items()}
            with torch.device("meta"):
                net = self.outline()
            shift = weights.pop(SHIFT, None)
            net.load_state_dict(weights, assign=True)
            if shift is not None:
                net.goal.prior_shift = _demand_shift(shift, net.n_tasks)
        except (SafetensorError, UsageError, RuntimeError, KeyError, TypeError, ValueError, OverflowError) as error:
            reason = " ".join(str(error).split())
            raise ModelError(
                "the weights do not fit the architecture on the card", where=self.path, cause=reason
            ) from None
        return net.eval()

    def outline(self) -> SequenceNet:
        """The network with weights of its own, adapted to what the card says it is for. Raises UsageError."""
        net = build(self.architecture, **self.card.arguments)
        net.adapt(self.card.objective or net.objective, self.card.strands or net.strands, self.card.visible)
        return net

    def read(self, name: str) -> bytes:
        """The content of one of the card's files, its checksum verified. Raises ModelError."""
        demand_plain_name(name, self.path / CARD)
        try:
            content = read_bounded(self.path / name, WEIGHTS_BYTES if name == WEIGHTS else TABLE_BYTES)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"cannot read {name!r}", where=self.path, cause=str(error), remedy="copy the whole model folder"
            ) from None
        if sha256(content) != self.card.files.get(name):
            raise ModelError(
                f"{name} does not have the checksum on the card",
                where=self.path,
                cause="a damaged copy, or an edited file",
                remedy="copy the model again",
            )
        return content


def open_model(folder: Path) -> ModelFolder:
    """Read the card of a model directory. Raises ModelError when there is none or it is not one."""
    card = read_card(folder)
    try:
        find(card.architecture)
    except UsageError as error:
        raise ModelError(
            f"the architecture {card.architecture!r} is not known here",
            where=folder / CARD,
            cause=error.cause or "it is somebody's own, or of another varscore",
            remedy=HOW_TO_ADD,
        ) from None
    return ModelFolder(folder, card)


def ranked_tasks(model: ModelFolder, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the chosen tasks (int64) that an allele can be told by: without those that had no positive in training.

    Raises UsageError when none is left.
    """
    ranked = np.setdiff1d(chosen, model.untrained)
    if not len(ranked):
        labels = ", ".join(f"{task}:{model.tasks()[task].name}" for task in chosen[:3].tolist())
        raise UsageError(
            f"the model knows nothing of {labels}",
            where=model.id,
            cause="it had no positive example in training",
            remedy="choose other `tasks`",
        )
    return ranked


def _numbers(row: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, text in row.items():
        with suppress(ValueError):
            yield name, float(text)


def demand_odds(model: ModelFolder, what: str) -> None:
    """Raises UsageError for a model of values, whose effects have no log-odds. what: is made of them"""
    if model.card.objective == "values":
        raise UsageError(
            f"the model predicts values, which have no odds: there is no {what}",
            where=model.id,
            remedy="a model of probabilities; or compare differences of values with those of other variants",
        )


def find_model(name: str | None) -> ModelFolder:
    """A model by name, by folder, by the beginning of its name, or the default one (see model_folder).

    Raises ModelError, with the nearest names, when there is no such model.
    """
    return open_model(model_folder(name))


def demand_text(folder: Path) -> None:
    """Raises UsageError for a path that is no UTF-8: a card has the folder's name, and TensorBoard takes no other."""
    try:
        os.path.abspath(folder).encode()
    except UnicodeEncodeError:
        raise UsageError(
            "a model cannot lie there", where=folder, cause="the path is no UTF-8", remedy="choose another folder"
        ) from None


def save_model(
    folder: Path,
    net: SequenceNet,
    architecture: str,
    tasks: Sequence[Task],
    facts: Mapping[str, object],
    dtype: torch.dtype = torch.float32,
    priors: Priors | None = None,
) -> ModelFolder:
    """Write weights, tasks, priors and card into ``folder``, replacing what is there; a folder with a card is whole.

    ``facts`` is what else the card should say (training, data, metrics); values must be TOML types. Raises UsageError
    (:func:`demand_text`).
    """
    demand_text(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    weights = {
        name: tensor.detach().to("cpu", dtype if tensor.is_floating_point() else tensor.dtype).contiguous()
        for name, tensor in net.state_dict().items()
    }
    contents, said = _with_priors(weights, tasks, priors)
    contents[TASKS] = format_tasks(tasks).encode()
    for name, content in contents.items():
        put_file(folder / name, content)
    card = {
        "format": FORMAT,
        "id": own_name(folder),
        "architecture": architecture,
        "arguments": dataclasses.asdict(net.config),
        "objective": net.objective,
        "strands": net.strands,
        **({"visible": list(net.visible)} if net.visible else {}),
        "files": {name: sha256(content) for name, content in contents.items()},
        **said,
        **facts,
    }
    write_card(folder, card)
    return open_model(folder)


def state_priors(model: ModelFolder, priors: Priors) -> ModelFolder:
    """Write priors into a model's folder, in the place of those that are there: table, shift and card.

    Raises ModelError when the model is damaged, OutputError.
    """
    weights = load(model.read(WEIGHTS))
    weights.pop(SHIFT, None)
    contents, said = _with_priors(weights, model.tasks(), priors)
    for name, content in contents.items():
        put_file(model.path / name, content)
    files = {**model.card.files, **{name: sha256(content) for name, content in contents.items()}}
    write_card(model.path, model.card.changed(files=files, **said))
    return open_model(model.path)


def _demand_shift(shift: torch.Tensor, tasks: int) -> NDArray[np.float32]:
    """Raises ValueError for what is no shift of so many tasks."""
    if shift.shape != (tasks,) or not shift.is_floating_point() or not torch.isfinite(shift).all():
        raise ValueError(f"{SHIFT} is not a number for each of {tasks} tasks")
    return shift.numpy()


def _with_priors(
    weights: Mapping[str, torch.Tensor], tasks: Sequence[Task], priors: Priors | None
) -> tuple[dict[str, bytes], dict[str, dict[str, object]]]:
    """The files of weights and priors, and what the card says of priors."""
    if priors is None:
        return {WEIGHTS: save(dict(weights))}, {}
    shift = {SHIFT: torch.from_numpy(priors.shift)} if priors.shift.any() else {}
    shares = {"training": priors.training, "true": priors.true}
    means = {name: float(f"{np.nanmean(share):.6g}") for name, share in shares.items() if np.isfinite(share).any()}
    untrained = [f"{task}:{tasks[task].name}" for task in priors.untrained.tolist()]
    said = {"priors": {"shifted": bool(shift), **means, "untrained": untrained}}
    return {WEIGHTS: save({**weights, **shift}), PRIORS: priors.text(tasks).encode()}, said
