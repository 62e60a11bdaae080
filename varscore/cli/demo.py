"""``varscore demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from varscore.cli.options import Device, Force, Model, Threads
from varscore.cli.tables import print_table


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write.")] = Path("varscore-demo"),
    model: Model = None,
    device: Device = "auto",
    threads: Threads = None,
    force: Force = False,
) -> None:
    """Write a small genome and variants that break and make binding sites in it, score them, and show the result."""
    import logging
    import shlex

    from varscore.annotate import AnnotateJob, annotate_file
    from varscore.demo import DemoFiles, read_outcomes
    from varscore.engine.device import use_threads
    from varscore.files.atomic import output_errors, refuse_existing
    from varscore.zoo import find_model

    chosen, files = find_model(model), DemoFiles(folder)
    for path in (files.fasta, files.vcf, files.scored):
        refuse_existing(str(path), force=force)
    with output_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    records = files.write()
    use_threads(threads)
    job = AnnotateJob(
        source=str(files.vcf), output=str(files.scored), reference=files.fasta, model=chosen, device=device, force=True
    )
    summary = annotate_file(job)
    logging.getLogger(__name__).info("%s", summary)

    rows = [
        [outcome.variant, record.meaning, outcome.status, outcome.task, outcome.diff, outcome.logodds]
        for record, outcomes in zip(records, read_outcomes(files.scored), strict=True)
        for outcome in outcomes
    ]
    columns = ["variant", "what it does", "status", "strongest task", "diff", "log-odds"]
    print_table(columns, rows, right=columns[4:])
    command = ["varscore", "annotate", str(files.vcf), "-r", str(files.fasta), "-o", str(files.scored)]
    command += ["-m", model] if model else []
    typer.echo(f"\ngenome    {files.fasta}\nvariants  {files.vcf}\nscores    {files.scored}")
    typer.echo(f"\nThe same by hand:\n{shlex.join(command)}")
