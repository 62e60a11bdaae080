"""A whole training run: a network and a data set in, a model directory out."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from varscore import __version__
from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError, DivergedError, ModelError, OutputExists, UsageError
from varscore.formats.motifs import Motif
from varscore.genome.coords import anchor
from varscore.nets import build, find
from varscore.nets.init import Inherited, first_layer, inherit, init_motifs, keeps_filters, lay_motifs
from varscore.nets.kernels import bf16
from varscore.nets.layers import BIN, SequenceNet
from varscore.nets.registry import Recipe
from varscore.stop import Stop
from varscore.tasks import Task, shared
from varscore.train.batches import Order
from varscore.train.loop import CHECKPOINT, Trainer, planned
from varscore.train.pictures import learning_curve, log_to_tensorboard
from varscore.train.progress import HISTORY, Progress, write_history
from varscore.train.ranks import join_ranks
from varscore.train.teachers import Teachers
from varscore.zoo.card import CARD
from varscore.zoo.models import ModelFolder, demand_text, open_model, save_model, state_priors
from varscore.zoo.priors import count_priors

log = logging.getLogger(__name__)

STORAGE = {"fp32": torch.float32, "fp16": torch.float16}


@dataclass(frozen=True)
class RunOptions:
    """What a run is besides its network, data and recipe."""

    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: str = "fp32"
    storage: str = "fp32"
    resume: bool = True
    max_seconds: float = math.inf
    checkpoint_seconds: float = 300.0
    command: str = ""
    pictures: bool = True
    """Draw learning curves, for TensorBoard too"""
    stopping: Callable[[], AbstractContextManager[Stop | None]] = nullcontext
    """Entered while the network is trained: who says whether to stop"""


def train_model(
    architecture: str,
    data: ExampleSet,
    folder: Path,
    *,
    recipe: Recipe,
    arguments: Mapping[str, object],
    motifs: tuple[Motif, ...] = (),
    parent: ModelFolder | None = None,
    teachers: Sequence[ModelFolder] = (),
    options: RunOptions | None = None,
    visible: tuple[int, int] | None = None,
    progress: Callable[[int], None] = lambda n: None,
) -> ModelFolder:
    """Train ``architecture`` on ``data`` and write a model directory; with ``resume``, carry on where a checkpoint is.

    The kind of data decides on the objective, and data of one strand on the network's strands; both are on the card. A
    network that reads tracks or scalars reads all there are, unless ``arguments`` has fewer (0: none of them).
    A network whose window is shorter than the data set's, by its architecture or by an argument, sees their middle;
    ``visible`` are positions ``[first, last)`` of the data set's window, outside of which it is to see nothing.
    ``motifs`` become the first filters; the weights of ``parent`` that fit replace those the network would begin with,
    of the last layer those of the tasks that both have. Motifs that a parent's filters would replace are refused.
    ``teachers`` are models whose predictions become part of the targets (:class:`Teachers`).
    The weights are those of the lowest validation loss. A run that ``max_seconds`` ended is a model all the same, its
    card marked interim. Raises UsageError for wrong arguments or a checkpoint of another run, DataError for unfit data,
    OutputExists when the folder holds a model that was not trained there.
    """
    options = options or RunOptions()
    if recipe.renewed_filters and not (motifs and parent):
        raise UsageError("filters are renewed in a parent, from motifs", remedy="`init_from` and `init_motifs`")
    _look_around(folder, [data.folder, *(model.path for model in (parent, *teachers) if model)], options)
    torch.manual_seed(options.seed)
    data, visible = fitting(data, architecture, arguments, visible)
    net = network_for(architecture, data, arguments, visible)
    warn_of_idle(net, recipe, find(architecture).recipe)
    begun = _begin(net, motifs, recipe, options.seed)
    inherited = inherit(net, parent.load(), shared(data.tasks, parent.tasks())) if parent else Inherited()
    overlaid = bool(begun) and not recipe.renewed_filters and keeps_filters(net, inherited)
    begun = 0 if overlaid else begun
    with join_ranks(options.device) as ranks:
        trainer = Trainer(
            net,
            data,
            recipe,
            folder,
            device=options.device,
            precision=options.precision,
            seed=options.seed,
            origin=_origin(motifs, parent, teachers),
            checkpoint_seconds=options.checkpoint_seconds,
            ranks=ranks,
            teachers=Teachers(teachers, data, recipe.teacher_share, options.device) if teachers else None,
        )
        if options.resume and trainer.resume():
            done = trainer.progress
            log.info("carrying on", extra={"fields": {"epoch": done.epoch, "step": done.step}})
            progress(done.epoch * trainer.steps + done.step)
            if _complete(folder, done, options):
                return open_model(folder)
        elif overlaid:
            raise _no_place_for_motifs()
        else:
            trainer.start(inherited, [motif.frequencies for motif in motifs])
        with options.stopping() as stop:
            _run(trainer, options, stop, progress)
            if ranks.first:
                _write(trainer, architecture, _facts(trainer, options, begun, parent, inherited, teachers), options)
            ranks.wait()
            if stop is not None and stop.asked:  # the model is whole, what was to come after it is not
                stop.leave()
    return open_model(folder)


def _no_place_for_motifs() -> UsageError:
    return UsageError(
        "no filter would begin as one of `init_motifs`",
        cause="all of them are those of `init_from`",
        remedy="`renew_filters=N` gives motifs the place of N idle ones, or leave out one of the two",
    )


def _look_around(folder: Path, read: Sequence[Path], options: RunOptions) -> None:
    """Raises OutputExists, UsageError for a folder that is ``read`` or cannot be a model's, and warns of a slow CPU."""
    demand_text(folder)
    if folder.resolve() in [path.resolve() for path in read]:
        raise UsageError("the output is also an input", where=folder, remedy="write to another folder")
    if (folder / CARD).exists() and not (folder / CHECKPOINT).exists():
        raise OutputExists("a model without a checkpoint is there", where=folder, remedy="choose another folder")
    if _in_bf16_on_the_cpu(options) and not bf16.multiplies():
        log.warning("this CPU has neither AMX nor AVX512-bf16: it trains more slowly in bf16 than in fp32")


def _run(trainer: Trainer, options: RunOptions, stop: Stop | None, progress: Callable[[int], None]) -> None:
    """Train to the end, or for as long as it may take; a run that is asked to stop saves a checkpoint and leaves."""
    trainer.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        state = trainer.run(progress, options.max_seconds, lambda: stop is not None and stop.asked)
        if stop is not None and stop.asked and not state.finished:
            stop.leave()
    except BaseException as error:
        if not isinstance(error, Exception) and trainer.ranks.first:
            log.warning(_how_to_go_on(trainer, options))
        raise
    if trainer.ranks.first:
        fields = {"why": state.finished or "time", "seconds": round(time.monotonic() - began)}
        log.info("training ended", extra={"fields": fields})


def _how_to_go_on(trainer: Trainer, options: RunOptions) -> str:
    """For a run that a signal has ended."""
    if trainer.saved_step is None:
        return "stopped before the first checkpoint; the same command starts anew"
    again = "the same command" if options.resume else "the same command without `resume=False`"
    steps = f"{trainer.saved_step:,} steps"
    return f"stopped; {trainer.folder / CHECKPOINT} holds the first {steps}: {again} carries on from there"


def add_priors(model: ModelFolder, data: ExampleSet) -> ModelFolder:
    """State the priors of a model that was trained before models did so, from the data set that it was trained on.

    Raises DataError when it was trained on another one.
    """
    if data.kind == "values":
        raise DataError("values have no priors", where=data.folder)
    if names(model.tasks()) != names(data.tasks):
        raise DataError("the data set has other tasks than the model", where=data.folder)
    stated = {"source_sha256": model.card.data_sha256, "counts": model.card.counts}
    ours = {"source_sha256": data.source_sha256, "counts": data.info.get("counts", {})}
    if different := [name for name, value in stated.items() if value and ours[name] != value]:
        raise DataError(
            f"the model was trained on another data set: {', '.join(different)} differ",
            where=data.folder,
            remedy="make it with the options on the model's card (varscore models show)",
        )
    return state_priors(model, count_priors(data))


def planned_steps(data: ExampleSet, recipe: Recipe) -> int:
    """How many steps a run takes at most. Raises as training would."""
    order = Order(data, data.rows("train"), recipe.batch_size, recipe.segment, data.bin or BIN, 0)
    return planned(recipe, order.steps)


def fitting(
    data: ExampleSet, architecture: str, arguments: Mapping[str, Any], visible: tuple[int, int] | None
) -> tuple[ExampleSet, tuple[int, int] | None]:
    """The data set with windows as long as the network's, and where in these the visible positions of its own ones are.

    Raises DataError when they are shorter.
    """
    window = arguments.get("window", find(architecture).window(data.window))
    shift = anchor(data.window) - anchor(window)
    return data.cropped(window), visible and (visible[0] - shift, visible[1] - shift)


def network_for(
    architecture: str, data: ExampleSet, arguments: Mapping[str, object], visible: tuple[int, int] | None = None
) -> SequenceNet:
    """A fresh network for a data set: its tasks, window, inputs, objective and strands. Raises UsageError."""
    spec = find(architecture)
    there = {"tracks": len(data.track_names), "scalars": len(data.scalar_names)}
    extra = {field.name: there[field.name] for field in fields(spec.config) if field.name in there}
    net = build(architecture, **{**extra, **arguments, "n_tasks": len(data.tasks), "window": data.window})
    objective = net.objective if net.goal.kind == data.kind else data.kind
    net.adapt(objective, "one" if data.strands == "one" else net.strands, visible)
    return net


def warn_of_idle(net: SequenceNet, recipe: Recipe, own: Recipe) -> None:
    """Say what was made other than in the architecture's own recipe and has nothing to act on."""
    recurrent = any(isinstance(layer, torch.nn.RNNBase) for layer in net.modules())
    of_labels = net.objective == "labels"
    idle = {"recurrent_clip": not recurrent, "output_l1": not of_labels, "task_balance": not of_labels}
    for name, is_idle in idle.items():
        if is_idle and getattr(recipe, name) not in (0, getattr(own, name)):
            log.warning("`%s` changes nothing: the network has no part that it is for", name)


def _begin(net: SequenceNet, motifs: Sequence[Motif], recipe: Recipe, seed: int) -> int:
    """Start the first filters from motifs; returns how many are. Filters to be renewed wait for those of the parent."""
    if not motifs:
        return 0
    if recipe.renewed_filters:
        return min(recipe.renewed_filters, len(motifs), len(first_layer(net).weight))
    columns, share = [motif.frequencies for motif in motifs], recipe.motif_share
    return lay_motifs(net, columns, share, seed) if share else init_motifs(net, columns, seed=seed)


def _in_bf16_on_the_cpu(options: RunOptions) -> bool:
    return options.precision == "bf16" and options.device.type == "cpu"


def _origin(motifs: Sequence[Motif], parent: ModelFolder | None, teachers: Sequence[ModelFolder]) -> str:
    """What the first weights were taken from, and who taught; empty if nothing and nobody."""
    found = []
    if motifs:
        columns = np.concatenate([motif.frequencies for motif in motifs]).astype("<f8")
        found.append(f"motifs {hashlib.sha256(columns.tobytes()).hexdigest()}")
    if parent:
        found.append(f"model {parent.sha256}")
    found += [f"teacher {teacher.sha256}" for teacher in teachers]
    return ", ".join(found)


def _complete(folder: Path, state: Progress, options: RunOptions) -> bool:
    """Whether the folder already holds the model this run ended with; it is left alone, with all recorded of it."""
    try:
        card = open_model(folder).card
    except ModelError:
        return False
    same = (card.epochs, card.storage) == (state.epoch, options.storage)
    return bool(state.finished) and same and not card.interim


def _write(trainer: Trainer, architecture: str, facts: Mapping[str, object], options: RunOptions) -> None:
    state, folder = trainer.progress, trainer.folder
    if state.finished == "diverged" and not state.best:
        raise DivergedError(
            "training diverged in its first epoch",
            cause="the loss is no number",
            remedy="a lower `lr`, or `clip_norm=1`",
        )
    write_history(folder / HISTORY, state.history)  # a kill may have come between the last checkpoint and its history
    if state.history and options.pictures:
        learning_curve(folder / "learning_curve.png", state.history, architecture, trainer.net.goal.loss_name)
        log_to_tensorboard(folder / "tensorboard", state.history)
    data = trainer.data
    priors = None if data.kind == "values" else count_priors(data)
    save_model(folder, trainer.best(), architecture, data.tasks, facts, STORAGE[options.storage], priors)
    log.info("model written", extra={"fields": {"folder": str(folder)}})


def _facts(
    trainer: Trainer,
    options: RunOptions,
    motifs: int,
    parent: ModelFolder | None,
    inherited: Inherited,
    teachers: Sequence[ModelFolder],
) -> dict[str, object]:
    """What the card says of how the model was made."""
    data, state = trainer.data, trainer.progress
    training = {
        "varscore": __version__,
        "torch": torch.__version__,
        "command": options.command,
        "seed": options.seed,
        "device": options.device.type,
        "precision": options.precision,
        "storage": options.storage,
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "ended": state.finished or "stopped by --max-minutes",
        "motifs": motifs,
        "recipe": _toml(asdict(trainer.recipe)),
    }
    if _in_bf16_on_the_cpu(options):
        training["products"] = bf16.products() or "torch's own"
    if parent:
        whole, rows = list(inherited.names), len(inherited.outputs)
        training["parent"] = {"id": parent.id, "sha256": parent.sha256, "inherited": whole, "outputs": rows}
    if teachers:
        training["teachers"] = [{"id": teacher.id, "sha256": teacher.sha256} for teacher in teachers]
    if state.best:
        training["validation_loss"] = state.best_loss
    info, inputs = data.info, trainer.examples
    extra = {"tracks": list(data.track_names[: inputs.tracks]), "scalars": list(data.scalar_names[: inputs.scalars])}
    assembly = info.get("reference", {}).get("assembly")
    return {
        "interim": not state.finished,
        **({"trained_on": assembly} if assembly else {}),
        **({"frequencies": info["frequencies"]} if "frequencies" in info else {}),
        "training": training,
        "data": {
            "window": data.window,
            "tasks": len(data.tasks),
            "kind": data.kind,
            **{name: given for name, given in extra.items() if given},
            "counts": info.get("counts", {}),
            "options": _toml(info.get("options", {})),
            "reference": info.get("reference", {}),
            **{use: info.get(use, {}) for use in ("exclude", "unknown")},
            "source_sha256": data.source_sha256,
        },
    }


def names(tasks: Sequence[Task]) -> list[str]:
    return [task.name for task in tasks]


def _toml(values: Mapping[str, object]) -> dict[str, object]:
    """TOML has no null: what is None is left out."""
    return {key: value for key, value in values.items() if value is not None}
