"""A study: many trainings that are compared. Which ones there are is the study's affair; how they are run is the same.

Every run has a folder of its own and is an ordinary model. What is trained and measured already is left alone, so a
study that was stopped goes on where it was, and parts of it may be trained by several processes in one folder: tables
and pictures are written after each run, by one process after the other.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from varscore.datasets.examples import ExampleSet
from varscore.errors import UsageError
from varscore.evaluate import Examined, evaluate_model, record
from varscore.formats.motifs import Motif
from varscore.nets import find
from varscore.nets.init import first_layer
from varscore.nets.registry import Recipe
from varscore.storage.folders import one_at_a_time
from varscore.train.run import RunOptions, fitting, network_for, planned_steps, train_model
from varscore.zoo.models import ModelFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How one architecture is trained.

    overrides: fields of its recipe; arguments: of its configuration; motifs: its first filters; parent: whose weights
    it begins with; teachers: whose predictions it learns, too; visible: positions ``[first, last)`` of the window,
    outside of which it sees nothing
    """

    architecture: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, object] = field(default_factory=dict)
    motifs: tuple[Motif, ...] = ()
    parent: ModelFolder | None = None
    teachers: tuple[ModelFolder, ...] = ()
    visible: tuple[int, int] | None = None

    @property
    def recipe(self) -> Recipe:
        return dataclasses.replace(find(self.architecture).recipe, **self.overrides)

    def given(self, **arguments: object) -> Plan:
        """The same with further arguments of the configuration."""
        return dataclasses.replace(self, arguments={**self.arguments, **arguments})


@dataclass(frozen=True)
class Run:
    """One model of a study. name: its folder in the study's, which may be a path"""

    name: str
    plan: Plan
    data: ExampleSet

    def check(self) -> None:
        """Raises UsageError and DataError for a network that cannot be had; nothing is allocated for one that can."""
        plan = self.plan
        data, visible = fitting(self.data, plan.architecture, plan.arguments, plan.visible)
        with torch.device("meta"):
            net = network_for(plan.architecture, data, plan.arguments, visible)
        if plan.motifs:
            first_layer(net)

    def train(self, folder: Path, options: RunOptions, progress: Callable[[int], None]) -> ModelFolder:
        """Train it in the study's folder, or carry on. Raises what :func:`varscore.train.run.train_model` raises."""
        plan = self.plan
        return train_model(
            plan.architecture,
            self.data,
            folder / self.name,
            recipe=plan.recipe,
            arguments=plan.arguments,
            motifs=plan.motifs,
            parent=plan.parent,
            teachers=plan.teachers,
            visible=plan.visible,
            options=options,
            progress=progress,
        )


class Study(ABC):
    """What is trained, how it is measured, and what is written of it."""

    @abstractmethod
    def runs(self) -> Sequence[Run]:
        """In the order in which they are trained. Raises UsageError and DataError, before hours of training."""

    def measure(self, run: Run, model: ModelFolder, options: RunOptions) -> None:
        """Measure a model on the test split of its data; the figures go onto its card, unless they are there."""
        examined = Examined(run.data)
        if not measured(model, examined):
            record(model, examined, evaluate_model(model, examined, options.device, options.precision))

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Tables and pictures of what has been trained and measured so far. Raises OutputError."""


def measured(model: ModelFolder, examined: Examined) -> bool:
    """Whether the card of a model has the figures of this data set's split."""
    return model.card.measured_on(examined.split) == examined.data.sha256


def carry_out(
    study: Study, folder: Path, options: RunOptions, progress: Callable[[int], None] = lambda n: None
) -> None:
    """Train and measure what of a study is not trained and measured yet.

    ``options`` are those of each run, its time limit too; ``progress`` is told of steps. Raises UsageError under
    torchrun, DataError when a data set has no test split, and what :func:`varscore.train.run.train_model` raises.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("a study is trained by one process", remedy="several in one folder, each with a part of it")
    runs = study.runs()
    for run in runs:
        _ = Examined(run.data).rows
        run.check()
    for number, run in enumerate(runs, 1):
        log.info("run", extra={"fields": {"name": run.name, "number": f"{number}/{len(runs)}"}})
        model = run.train(folder, options, progress)
        study.measure(run, model, options)
        with one_at_a_time(folder):
            study.write(folder)


def total_steps(study: Study) -> int:
    """How many steps all runs of a study take at most."""
    return sum(planned_steps(run.data, run.plan.recipe) for run in study.runs())
