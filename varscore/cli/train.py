"""``varscore train-...``: networks from scratch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

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

RECIPE = "Recipe (default: the architecture's own)"


def recipe_option(help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=RECIPE, show_default=False, **more)


Optimizer = Annotated[Literal["adam", "rmsprop", "sgd"] | None, recipe_option("Optimizer.")]
Schedule = Annotated[Literal["plateau", "cosine", "constant"] | None, recipe_option("How the learning rate falls.")]
Patience = Annotated[
    int | None, recipe_option("Stop after N epochs without a better validation loss.", min=1, metavar="N")
]
WarmupSteps = Annotated[int | None, recipe_option("Steps over which the rate rises from 0.", min=0, metavar="N")]
WeightDecay = Annotated[float | None, recipe_option("L2 decay of weight matrices.", min=0, metavar="RATE")]
ClipNorm = Annotated[float | None, recipe_option("Clip the gradient to this norm; 0: do not.", min=0, metavar="NORM")]
PriorBias = Annotated[
    bool | None, recipe_option("Start the output bias at each task's log-odds, or at 0.", "--prior-bias/--zero-bias")
]
MovingAverage = Annotated[
    float | None,
    recipe_option("Validate and keep a moving average of the weights.", "--ema", min=0, max=1, metavar="DECAY"),
]


def train_chromatin(
    architecture: Annotated[str, typer.Argument(metavar="ARCH", help="See `varscore models list --architectures`.")],
    data: Data,
    output: OutputDir,
    argument: Annotated[
        list[str] | None,
        typer.Option(
            "--arg", metavar="NAME=VALUE", help="Argument of the architecture, such as dense=400; repeatable."
        ),
    ] = None,
    init_motifs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Start the first filters from the motifs of a JASPAR or MEME file."),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Start from a model's weights: every layer whose name and shape agree (fine-tuning)."
        ),
    ] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: LearningRate = None,
    optimizer: Optimizer = None,
    schedule: Schedule = None,
    patience: Patience = None,
    warmup_steps: WarmupSteps = None,
    weight_decay: WeightDecay = None,
    clip_norm: ClipNorm = None,
    prior_bias: PriorBias = None,
    ema: MovingAverage = None,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision = "fp32",
    threads: Threads = None,
    storage: Annotated[Literal["fp32", "fp16"], typer.Option(help="Precision of the saved weights.")] = "fp32",
    resume: Resume = True,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="N", help="Stop after N minutes; the model is marked interim.", rich_help_panel=COMPUTING
        ),
    ] = None,
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0, metavar="N", help="Checkpoint every N minutes.", rich_help_panel=COMPUTING)
    ] = 5.0,
) -> None:
    """Train a chromatin network on a data set and write a model directory."""
    import dataclasses
    import math

    from varscore.cli import log
    from varscore.data.examples import ExampleSet
    from varscore.engine.device import pick_device, use_threads
    from varscore.files.motifs import read_motifs
    from varscore.nets import find
    from varscore.train.run import RunOptions, train_model
    from varscore.zoo import find_model

    given: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": optimizer,
        "schedule": schedule,
        "patience": patience,
        "warmup_steps": warmup_steps,
        "weight_decay": weight_decay,
        "clip_norm": clip_norm,
        "prior_bias": prior_bias,
        "ema": ema,
    }
    spec = find(architecture)
    recipe = dataclasses.replace(spec.recipe, **{name: value for name, value in given.items() if value is not None})
    options = RunOptions(
        seed=seed,
        device=pick_device(device),
        precision=precision,
        storage=storage,
        resume=resume,
        max_seconds=math.inf if max_minutes is None else 60 * max_minutes,
        checkpoint_seconds=60 * checkpoint_minutes,
        command=command_line(sys.argv[1:]),
    )
    use_threads(threads)
    examples = ExampleSet(data)
    steps = recipe.epochs * -(-len(examples.rows("train")) // recipe.batch_size)
    with log.progress(steps, "steps") as meter:
        model = train_model(
            architecture,
            examples,
            output,
            recipe=recipe,
            arguments=parse_arguments(spec.config, argument or []),
            motifs=read_motifs(init_motifs) if init_motifs else (),
            parent=find_model(init_from) if init_from else None,
            options=options,
            progress=meter.advance,
        )
    if os.environ.get("RANK", "0") != "0":
        return  # of torchrun's processes, the first speaks
    training = model.card["training"]
    state = "interim, carry on with the same command" if model.card["interim"] else training["ended"]
    typer.echo(f"{model.path}: validation loss {training.get('validation_loss', 'not known yet')} ({state})")


def parse_arguments(config: type[Any], given: list[str]) -> dict[str, Any]:
    """``NAME=VALUE`` strings as typed arguments of a configuration.

    Raises UsageError for an unknown name or a value of the wrong type.
    """
    import dataclasses

    from varscore.errors import UsageError

    kinds: dict[str, Any] = {field.name: type(field.default) for field in dataclasses.fields(config)}
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in kinds:
            cause = "not NAME=VALUE of an argument it has"
            raise UsageError(f"--arg {text}", cause=cause, remedy=f"one of {', '.join(kinds)}")
        try:
            values[name] = {"true": True, "false": False}[value.lower()] if kinds[name] is bool else kinds[name](value)
        except (KeyError, ValueError):
            raise UsageError(f"--arg {text}", cause=f"the value is no {kinds[name].__name__}") from None
    return values


def command_line(arguments: list[str]) -> str:
    """The command as it goes on a card: paths of this machine shortened to their last part."""
    import shlex

    return shlex.join(["varscore", *(Path(a).name if "/" in a else a for a in arguments)])
