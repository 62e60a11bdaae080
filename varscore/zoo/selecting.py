"""A model of some of another model's tasks: what was trained with auxiliary tasks, without them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.errors import OutputExists, UsageError
from varscore.nets import build
from varscore.nets.layers import SequenceNet
from varscore.zoo.card import CARD
from varscore.zoo.models import ModelFolder, save_model
from varscore.zoo.priors import Priors


def select_tasks(model: ModelFolder, chosen: NDArray[np.int64], folder: Path, *, force: bool = False) -> ModelFolder:
    """Write the model that has only the tasks ``chosen``, int64 (k,) ascending; its predictions of them are the same.

    Weights keep their precision. Raises UsageError for classes, for an architecture that has more of each task than its
    last dense layer, or where no task is left, OutputExists, ModelError, OutputError.
    """
    if (folder / CARD).exists() and not force:
        raise OutputExists("a model is there", where=folder, remedy="`force` replaces it")
    if folder.resolve() == model.path.resolve():
        raise UsageError("a model cannot take its own place", where=folder, remedy="write to another folder")
    if not len(chosen):
        raise UsageError("no task is left")
    whole = model.load()
    if whole.objective == "classes":
        raise UsageError(
            "classes cannot be taken apart", where=model.id, cause="the probability of each is what the others leave"
        )
    net = _of_tasks(whole, model, chosen)
    tasks = model.tasks()
    kept = [dataclasses.replace(tasks[old], index=new) for new, old in enumerate(chosen.tolist())]
    selected = {"id": model.id, "sha256": model.sha256, "tasks": whole.n_tasks}
    stored = torch.float16 if model.card.storage == "fp16" else torch.float32
    facts = {**model.card.origin(), "selected": selected}
    return save_model(folder, net, model.architecture, kept, facts, stored, _priors(model, chosen))


def _of_tasks(whole: SequenceNet, model: ModelFolder, chosen: NDArray[np.int64]) -> SequenceNet:
    net = build(model.architecture, **dataclasses.asdict(whole.config_for(len(chosen))))
    net.adapt(whole.objective, whole.strands, whole.visible)
    outputs, own = whole.outputs_of(chosen), net.state_dict()
    last = [weight.data_ptr() for weight in net.output.parameters()]
    for name, weight in whole.state_dict().items():
        if own[name].data_ptr() in last:
            weight = weight[outputs]
        elif name.startswith("goal."):
            weight = weight[chosen]
        if weight.shape != own[name].shape:
            raise UsageError(
                f"tasks of {model.architecture} cannot be taken apart",
                where=model.id,
                cause=f"{name} is of all tasks together",
            )
        own[name].copy_(weight)
    return net.eval()


def _priors(model: ModelFolder, chosen: NDArray[np.int64]) -> Priors | None:
    priors = model.priors()
    if priors is None:
        return None
    return Priors(*(getattr(priors, field.name)[chosen] for field in dataclasses.fields(priors)))
