"""``varscore dataset deepsea``: the training data DeepSEA's authors distribute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from varscore.cli.inputs import look_at_files, look_at_folders
from varscore.cli.options import Force, OutputDir


def dataset_deepsea(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="Folder with train.mat, valid.mat and test.mat, or some of them.",
            callback=look_at_folders,
        ),
    ],
    output: OutputDir,
    names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Names of the tasks: one a line, or a table with a column 'name'.",
            callback=look_at_files,
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Turn DeepSEA's bundle (MATLAB files) into a data set; memory stays flat.

    Refused are other orders of axes than the bundle's, bases that are not one-hot and labels that are neither 0 nor 1.
    Rows that are reverse complements of others are checked and left out: every example is read from both strands
    anyway. Room for the unpacked valid.mat and test.mat (1.8 GB) is needed beside the output for the time being.
    """
    from varscore.datasets.deepsea import build_deepsea
    from varscore.datasets.examples import fresh_folder

    fresh_folder(output, force)
    counts = build_deepsea(bundle, output, names)
    typer.echo(f"{output}: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()))
