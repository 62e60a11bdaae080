"""``varscore train-...``: networks from scratch."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from varscore.cli.groups import grouped
from varscore.cli.inputs import look_at_files, look_at_models
from varscore.cli.options import (
    COMPUTING,
    BatchSize,
    Data,
    Device,
    Epochs,
    LearningRate,
    OutputDir,
    Precision,
    Resume,
    Seed,
    Threads,
)
from varscore.cli.recipe import (
    Beta2,
    ClipNorm,
    DecayFilters,
    MaxNorm,
    Momentum,
    MotifShare,
    MovingAverage,
    Optimizer,
    OutputL1,
    Patience,
    PriorBias,
    RecipeName,
    RecurrentClip,
    RenewedFilters,
    Rho,
    RootEpsilon,
    Schedule,
    Segment,
    Steps,
    TaskBalance,
    TeacherShare,
    WarmupSteps,
    WeightDecay,
    refuse_idle,
)

if TYPE_CHECKING:
    from varscore.datasets.examples import ExampleSet
    from varscore.formats.motifs import Motif
    from varscore.nets.config import Config
    from varscore.train.run import RunOptions
    from varscore.train.studies.study import Plan, Study
    from varscore.zoo.models import ModelFolder


@dataclass(frozen=True)
class Training:
    """The options of every ``train-...`` command; a group (:mod:`varscore.cli.groups`)."""

    argument: Annotated[
        list[str] | None,
        typer.Option(
            "--arg", metavar="NAME=VALUE", help="Argument of the architecture, such as dense=400; repeatable."
        ),
    ] = None
    init_motifs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Start the first filters from the motifs of a JASPAR or MEME file.",
            callback=look_at_files,
        ),
    ] = None
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Start from a model's weights: every layer whose name and shape agree, and of the last one the "
            "outputs of the tasks that both have (fine-tuning).",
            callback=look_at_models,
        ),
    ] = None
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="Learn not the labels alone but what a model predicts of the same DNA, too (distillation); "
            "repeatable: the mean of several. For data sets of all bins.",
            callback=look_at_models,
        ),
    ] = None
    recipe: RecipeName = "own"
    epochs: Epochs = None
    steps: Steps = None
    batch_size: BatchSize = None
    segment: Segment = None
    motif_share: MotifShare = None
    renewed_filters: RenewedFilters = None
    lr: LearningRate = None
    optimizer: Optimizer = None
    momentum: Momentum = None
    rho: Rho = None
    root_epsilon: RootEpsilon = None
    schedule: Schedule = None
    patience: Patience = None
    warmup_steps: WarmupSteps = None
    beta2: Beta2 = None
    weight_decay: WeightDecay = None
    decay_filters: DecayFilters = None
    clip_norm: ClipNorm = None
    recurrent_clip: RecurrentClip = None
    max_norm: MaxNorm = None
    output_l1: OutputL1 = None
    task_balance: TaskBalance = None
    teacher_share: TeacherShare = None
    prior_bias: PriorBias = None
    ema: MovingAverage = None
    seed: Seed = 0
    device: Device = "auto"
    precision: Precision = "fp32"
    threads: Threads = None
    storage: Annotated[Literal["fp32", "fp16"], typer.Option(help="Precision of the saved weights.")] = "fp32"
    resume: Resume = True
    max_minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Stop after N minutes, each run of a study; the model is marked interim.",
            rich_help_panel=COMPUTING,
        ),
    ] = None
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0, metavar="N", help="Checkpoint every N minutes.", rich_help_panel=COMPUTING)
    ] = 5.0

    def given(self) -> dict[str, Any]:
        """The fields of a recipe that were set."""
        from varscore.nets.registry import Recipe

        fields = [field.name for field in dataclasses.fields(Recipe)]
        return {name: getattr(self, name) for name in fields if getattr(self, name, None) is not None}

    def overrides(self) -> dict[str, Any]:
        """What is to be other than the architecture's own recipe has it: all fields of a recipe that was named, and
        those that were set."""
        from varscore.nets.registry import FAST

        return {**dataclasses.asdict(FAST), **self.given()} if self.recipe == "fast" else self.given()

    def run_options(self) -> RunOptions:
        """Where and how long to train. Raises DeviceError."""
        from functools import partial

        from varscore.cli.stopping import TRAINING_PATIENCE, SignalStop
        from varscore.engine.device import pick_device
        from varscore.train.run import RunOptions

        return RunOptions(
            seed=self.seed,
            device=pick_device(self.device),
            precision=self.precision,
            storage=self.storage,
            resume=self.resume,
            max_seconds=math.inf if self.max_minutes is None else 60 * self.max_minutes,
            checkpoint_seconds=60 * self.checkpoint_minutes,
            command=command_line(sys.argv[1:]),
            stopping=partial(SignalStop, TRAINING_PATIENCE),
        )

    def baseline(self) -> Training:
        """The same computing and the same limits for a baseline, which has its own arguments and recipe."""
        kept = ("epochs", "seed", "device", "precision", "threads", "storage", "resume", "max_minutes")
        return Training(checkpoint_minutes=self.checkpoint_minutes, **{name: getattr(self, name) for name in kept})

    def plan(self, architecture: str) -> Plan:
        """How an architecture is trained. Raises UsageError for arguments that it does not have and for options that
        its recipe has no use for, DataError."""
        from varscore.nets import find
        from varscore.train.studies.study import Plan
        from varscore.zoo.models import find_model

        arguments = parse_arguments(find(architecture).config, self.argument or [])
        parent = find_model(self.init_from) if self.init_from else None
        if parent is not None:
            parent.warn_of_interim()
        teachers = tuple(find_model(name) for name in self.teacher or ())
        for teacher in teachers:
            teacher.warn_of_interim()
        plan = Plan(architecture, self.overrides(), arguments, self.motifs(), parent, teachers)
        laid = bool(plan.motifs) and not plan.recipe.renewed_filters
        refuse_idle(self.given(), plan.recipe, laid=laid, taught=bool(teachers))
        return plan

    def motifs(self) -> tuple[Motif, ...]:
        """Raises DataError when there are none in the file."""
        from varscore.formats.motifs import read_motifs

        return read_motifs(self.init_motifs) if self.init_motifs else ()


def run_training(
    architecture: str,
    data: ExampleSet,
    output: Path,
    training: Training,
    *,
    visible: tuple[int, int] | None = None,
) -> ModelFolder:
    """Train one network on one data set as the options say, say on stdout what came of it, and return the model.

    visible: positions ``[first, last)`` of the window, outside of which the network sees nothing
    """
    from varscore.cli.log import progress
    from varscore.engine.device import use_threads
    from varscore.train.allocator import keep_freed_memory
    from varscore.train.run import planned_steps
    from varscore.train.studies.study import Run

    keep_freed_memory()
    use_threads(training.threads)
    run = Run(output.name, replace(training.plan(architecture), visible=visible), data)
    with progress(planned_steps(data, run.plan.recipe), "steps") as meter:
        model = run.train(output.parent, training.run_options(), meter.advance)
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes, the first speaks
        card = model.card
        state = "interim, carry on with the same command" if card.interim else card.ended
        loss = "not known yet" if math.isnan(card.validation_loss) else card.validation_loss
        typer.echo(f"{model.path}: validation loss {loss} ({state})")
    return model


def run_study(study: Study, output: Path, training: Training) -> None:
    """Train and measure what of a study is not trained and measured yet."""
    from varscore.cli.log import progress
    from varscore.engine.device import use_threads
    from varscore.train.allocator import keep_freed_memory
    from varscore.train.studies.study import carry_out, total_steps

    keep_freed_memory()
    use_threads(training.threads)
    with progress(total_steps(study), "steps") as meter:
        carry_out(study, output, training.run_options(), meter.advance)


@grouped
def train_chromatin(
    data: Data,
    output: OutputDir,
    training: Training,
    architecture: Annotated[
        str | None,
        typer.Argument(
            metavar="ARCH",
            help="See `varscore models list --architectures`. With --grid: only cnn-500 or only danq-500, or left out.",
            show_default=False,
        ),
    ] = None,
    grid: Annotated[
        Literal["projection"] | None,
        typer.Option(
            help="Train a whole study instead: cnn-500 and danq-500 with and without projection and dropout, in four "
            "sizes. Every run is a model in DIR, beside grid.csv and grid.png; called again, it goes on.",
            show_default=False,
        ),
    ] = None,
    grid_filters: Annotated[
        str | None,
        typer.Option(metavar="N,...", help="First-layer sizes of the study; by default 320,500,700,1000."),
    ] = None,
) -> None:
    """Train a chromatin network on a data set and write a model directory."""
    from varscore.datasets.examples import ExampleSet
    from varscore.errors import UsageError

    if grid:
        if training.init_from:
            raise UsageError("--init-from is for one network", remedy="leave it out with --grid")
        _train_grid(ExampleSet(data), output, architecture, grid_filters, training)
    elif architecture is None or grid_filters:
        raise UsageError("name an architecture" if architecture is None else "--grid-filters is for --grid projection")
    else:
        run_training(architecture, ExampleSet(data), output, training)


def _train_grid(
    data: ExampleSet,
    output: Path,
    family: str | None,
    filters: str | None,
    training: Training,
) -> None:
    from varscore.nets import find
    from varscore.train.studies.grid import FAMILIES, FILTERS, ProjectionStudy, collect, markdown, projection_grid

    chosen = projection_grid([family] if family else FAMILIES, parse_sizes(filters) if filters else FILTERS)
    for arrangement in chosen:  # each of them has to have the arguments
        parse_arguments(find(arrangement.family).config, training.argument or [])
    run_study(ProjectionStudy(chosen, data, training.plan(chosen[0].family)), output, training)
    typer.echo(markdown(collect(output)))


def parse_arguments(config: type[Config], given: list[str]) -> dict[str, object]:
    """``NAME=VALUE`` strings as typed arguments of a configuration.

    Raises UsageError for an unknown name or a value of the wrong type.
    """
    from varscore.errors import UsageError

    kinds: dict[str, type] = {field.name: type(field.default) for field in dataclasses.fields(config)}
    read: dict[type, Callable[[str], object]] = {
        bool: lambda value: {"true": True, "false": False}[value.lower()],
        tuple: lambda value: tuple(int(each) for each in value.split(",")),
    }
    values: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--arg {text!r} is not NAME=VALUE", remedy=f"NAME is one of {', '.join(kinds)}")
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, 3)
            remedy = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(kinds)}"
            raise UsageError(f"--arg {text}: no argument {name!r}", remedy=remedy)
        try:
            values[name] = read.get(kinds[name], kinds[name])(value)
        except (KeyError, ValueError):
            kind = "row of ints with commas between them" if kinds[name] is tuple else kinds[name].__name__
            raise UsageError(f"--arg {text}", cause=f"the value is no {kind}") from None
    return values


def parse_sizes(text: str) -> list[int]:
    """``320,500`` as numbers, in order, each once. Raises UsageError."""
    from varscore.errors import UsageError

    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text):
        raise UsageError(f"--grid-filters {text}", cause="not whole numbers with commas between them")
    return sorted({int(size) for size in text.split(",")})


def command_line(arguments: list[str]) -> str:
    """The command as it goes on a card: paths of this machine shortened to their last part."""
    import shlex

    return shlex.join(["varscore", *(Path(a).name if "/" in a else a for a in arguments)])
