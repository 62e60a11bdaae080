"""``varscore models import danq-keras`` and ``import torch``, ``models export``: networks of and for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from varscore.cli.inputs import demand_free, demand_free_model, look_at_files
from varscore.cli.options import Force, ModelName, OutputDir

Names = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Names of the tasks: one a line, or a table with a column 'name'; columns 'positives' and 'examples' say "
        "what the training set had of each, 'true_positives' and 'true_examples' what it was drawn from.",
        callback=look_at_files,
    ),
]
Check = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="REF.h5",
        help="Predictions to compare with: 'pred' (n, tasks) of the one-hot sequences 'testxdata' (n, 4, window), as "
        "they stand; repeatable, as the two may be in two files.",
        callback=look_at_files,
    ),
]


def import_danq_keras(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.hdf5", help="DanQ_bestmodel.hdf5, DanQ-JASPAR_bestmodel.hdf5.", callback=look_at_files
        ),
    ],
    output: OutputDir,
    backward: Annotated[
        Literal["auto", "aligned", "unaligned", "forward"],
        typer.Option(
            help="What the backward LSTM does, which only the authors' own copy of its code tells: it reads from the "
            "end, and its states are put back in place; or they stay in the order in which they were computed; or it "
            "reads from the start. auto takes what --check proves, or aligned."
        ),
    ] = "auto",
    names: Names = None,
    check: Check = None,
    window: Annotated[int, typer.Option(min=1, metavar="BP", help="Window the weights were trained on.")] = 1000,
    force: Force = False,
) -> None:
    """Read the weights of DanQ or DanQ-JASPAR that their authors have published (Keras 0.2); nothing is executed.

    Kernels, channels, gates and dropout are translated, so that the model predicts what Keras did.
    """
    demand_free_model(output, force)

    from varscore.exchange import import_danq_keras as import_weights

    way = None if backward == "auto" else backward
    model, difference = import_weights(
        file, output, backward=way, names=names, check=check or (), window=window, force=force
    )
    arguments = model.card.arguments
    sizes = f"{arguments['filters']} filters, {arguments['hidden']} units, {arguments['n_tasks']:,} tasks"
    typer.echo(f"{model.path}: {model.architecture}, {sizes}, backward LSTM {model.card.imported['backward']}")
    _tell(difference)


def import_torch(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A state dict: of torch.save, or .safetensors.",
            callback=look_at_files,
        ),
    ],
    output: OutputDir,
    architecture: Annotated[str, typer.Option(metavar="ARCH", help="The architecture that the weights are for.")],
    argument: Annotated[
        list[str] | None,
        typer.Option("--arg", metavar="NAME=VALUE", help="An argument of the architecture; repeatable."),
    ] = None,
    name_map: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE",
            help="A line a tensor: varscore's name, a tab, the file's name, perhaps a tab and what to do to it: "
            "transpose, flip, scale=X. Without, names must be varscore's.",
            callback=look_at_files,
        ),
    ] = None,
    channels: Annotated[
        str,
        typer.Option(
            metavar="ACGT|AGCT|...",
            help="Order of bases in the file's first layer and in --check, which cannot prove it.",
        ),
    ] = "ACGT",
    names: Names = None,
    check: Check = None,
    force: Force = False,
) -> None:
    """Read the weights of a network that was trained elsewhere with PyTorch; nothing in the file is executed."""
    demand_free_model(output, force)

    from varscore.cli.train import parse_arguments
    from varscore.exchange import import_state_dict
    from varscore.nets import find

    arguments = parse_arguments(find(architecture).config, argument or [])
    model, difference = import_state_dict(
        file,
        output,
        architecture,
        arguments,
        name_map=name_map,
        channels=channels,
        names=names,
        check=check or (),
        force=force,
    )
    typer.echo(f"{model.path}: {model.architecture}, {len(model.tasks()):,} tasks")
    _tell(difference)


def _tell(difference: float | None) -> None:
    if difference is not None:
        typer.echo(f"largest difference from the reference: {difference:.2g}")


def export(
    name: ModelName,
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE.onnx", help="File to write.")],
    force: Force = False,
) -> None:
    """Write a model as ONNX: one-hot sequence (n, 4, window) in, predictions (n, tasks) of both strands out.

    It wants the package onnx (pip install onnx).
    """
    demand_free((onnx,), force)

    from varscore.exchange.onnx import INPUT, OUTPUT, export_onnx
    from varscore.zoo.models import find_model

    model = find_model(name)
    model.warn_of_interim()
    export_onnx(model, onnx, force=force)
    config = model.config()
    typer.echo(f"{onnx}: {INPUT} (n, 4, {config.window:,}), channels ACGT -> {OUTPUT} (n, {config.n_tasks:,})")
