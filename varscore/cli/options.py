"""Options that mean the same in every command that has them.

A command writes ``device: Device = "auto"``; name, check and help text come from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli import completing
from varscore.cli.inputs import look_at_data, look_at_models, look_at_references, look_at_target

if TYPE_CHECKING:
    from typer._click import Command

    from varscore.engine.compute import Compute

COMPUTING = "Computing"
MOST = 2**31 - 1
"""The largest whole number that an option takes which does not say so itself"""
MOST_THREADS = 4096


def bound_numbers(command: Command) -> None:
    """Give every option of a command, and of those below it, that takes whole numbers a largest one.

    What lies above could not be counted by the libraries that get to see it. ``--help`` stays as it is.
    """
    for parameter in command.params:
        described = getattr(parameter, "type_descriptor", None)
        if described is not None and described.annotation is int and described.parameter_info.max is None:
            described.parameter_info.max = MOST
    for below in getattr(command, "commands", {}).values():
        bound_numbers(below)


def _check_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise typer.BadParameter(f"{device!r} is not auto, cpu, cuda or cuda:N")
    return device


def _parse_batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not re.fullmatch(r"[1-9]\d*", text):
        raise typer.BadParameter(f"{text!r} is neither auto nor a positive whole number")
    if int(text) > MOST:
        raise typer.BadParameter(f"{text} is more than {MOST}")
    return int(text)


def parse_names(text: str) -> tuple[str, ...]:
    """``chr8,chr9`` as names."""
    return tuple(filter(None, text.split(",")))


# what to compute on
Device = Annotated[
    str,
    typer.Option(
        callback=_check_device,
        metavar="auto|cpu|cuda|cuda:N",
        help="Where to compute; auto takes a GPU if there is one.",
        rich_help_panel=COMPUTING,
    ),
]
Precision = Annotated[
    Literal["fp32", "tf32", "bf16", "fp16"],
    typer.Option(
        help="Arithmetic of the network. Anything but fp32 is faster on a GPU and changes the scores.",
        rich_help_panel=COMPUTING,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_THREADS,
        metavar="N",
        help="CPU threads; by default the CPUs this process may use (affinity, cgroup, SLURM).",
        show_default=False,
        rich_help_panel=COMPUTING,
    ),
]
AutoBatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        parser=_parse_batch_size,
        metavar="N|auto",
        help="Windows in flight at once. It changes speed and memory, never the scores.",
        show_default="auto",
        rich_help_panel=COMPUTING,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        min=0, metavar="N", help="Seed of everything random: same seed, same result.", rich_help_panel=COMPUTING
    ),
]

# what to read and write
Reference = Annotated[
    Path | None,
    typer.Option(
        "--reference",
        "-r",
        metavar="FASTA",
        envvar="VARSCORE_REFERENCE",
        callback=look_at_references,
        help="Reference genome, plain or bgzipped; its .fai is made when missing.",
        show_default=False,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="ID|DIR",
        help="A model's name (see varscore models list) or folder; by default the bundled one.",
        show_default=False,
        autocompletion=completing.models,
        callback=look_at_models,
    ),
]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A model's name or folder.", autocompletion=completing.models, callback=look_at_models
    ),
]
Data = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="DATA",
        help="A data set made by varscore dataset.",
        callback=look_at_data,
    ),
]
OutputFile = Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="File to write.")]
OutputDir = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Folder to write.",
        callback=look_at_target,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]

# training
Epochs = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Passes over the data, at most; by default the architecture's.", show_default=False
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Examples a step; by default the architecture's.", show_default=False),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--lr", min=0, metavar="RATE", help="Learning rate; by default the architecture's.", show_default=False
    ),
]
Resume = Annotated[bool, typer.Option(help="Continue from the last checkpoint in the output folder.")]


@dataclass(frozen=True)
class Computing:
    """Options that say how a network computes."""

    device: Device = "auto"
    precision: Precision = "fp32"
    threads: Threads = None

    def compute(self, engine: str = "exact") -> Compute:
        from varscore.engine.compute import Compute

        return Compute(self.device, self.precision, self.threads, engine)
