"""``varscore configs``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from varscore.cli.inputs import look_at_files, look_at_target
from varscore.cli.options import Force


def configs(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder for the files.",
            callback=look_at_target,
        ),
    ],
    scored: Annotated[
        str,
        typer.Argument(
            metavar="SCORED", help="Output of varscore annotate, .vcf.gz with its index.", callback=look_at_files
        ),
    ],
    force: Force = False,
) -> None:
    """Write what bcftools, VEP, vcfanno, echtvar and IGV need to carry the scores of an annotated VCF."""
    from varscore.annotate.configs import write_configs

    for path in write_configs(folder, scored, force=force):
        typer.echo(path)
