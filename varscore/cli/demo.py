"""``varscore demo``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.inputs import demand_free, look_at_target
from varscore.cli.options import Device, Force, Model, Threads
from varscore.cli.tables import print_table

if TYPE_CHECKING:
    from varscore.demo import DemoFiles, DemoVariant
    from varscore.zoo.models import ModelFolder


SITE_P = "1e-6"
"""--motif-p of the demo: one base less than the consensus is a site no more"""


def demo(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder to write.",
            callback=look_at_target,
        ),
    ] = Path("varscore-demo"),
    model: Model = None,
    device: Device = "auto",
    threads: Threads = None,
    force: Force = False,
) -> None:
    """Write a small genome and variants that break and make binding sites in it, score them, and show the result.

    The page report.html in DIR shows it too; it wants two packages: pip install bokeh jinja2.
    """
    from varscore.demo import DemoFiles

    files = DemoFiles(folder)
    demand_free((files.fasta, files.vcf, files.motifs, files.scored, files.page), force, folders=False)

    import logging

    from varscore.annotate.flow import annotate_file
    from varscore.annotate.job import AnnotateJob
    from varscore.annotate.motifs import MotifRules, MotifSearch
    from varscore.engine.compute import Compute
    from varscore.engine.device import use_threads
    from varscore.scoring.annotations import Annotations
    from varscore.storage.atomic import output_errors
    from varscore.zoo.models import find_model

    chosen = find_model(model)
    with output_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    records = files.write()
    use_threads(threads)
    sites = MotifRules(p=float(SITE_P), active=False)
    job = AnnotateJob(
        source=str(files.vcf),
        output=str(files.scored),
        reference=files.fasta,
        model=chosen,
        compute=Compute(device),
        force=True,
        annotations=Annotations.open(chosen),
        motifs=MotifSearch.open(files.motifs, chosen.path, sites),
    )
    summary = annotate_file(job)
    logging.getLogger(__name__).info("%s", summary)
    _show(records, files)
    typer.echo(f"\ngenome    {files.fasta}\nvariants  {files.vcf}\nmotifs    {files.motifs}\nscores    {files.scored}")
    typer.echo(f"page      {_page(files, chosen)}")
    typer.echo(f"\nThe same by hand:\n{_by_hand(files, model)}")


def _show(records: Sequence[DemoVariant], files: DemoFiles) -> None:
    """The table of what each variant does."""
    from varscore.demo import read_outcomes

    scored = list(zip(records, read_outcomes(files.scored), strict=True))
    found = {tag for _, outcomes in scored for outcome in outcomes for tag in outcome.tags}
    shown = {"STATUS": "status", "TASK": "strongest task", "DIFF": "diff", "LOGODDS": "log-odds", "SIG": "significance"}
    shown |= {tag: f"VS_{tag}" for tag in sorted(found) if tag.startswith("P_")}
    tags = [tag for tag in shown if tag in found]
    rows = [
        [outcome.variant, record.meaning, *(outcome.tags.get(tag, ".") for tag in tags)]
        for record, outcomes in scored
        for outcome in outcomes
    ]
    names = [shown[tag] for tag in tags]
    print_table(["variant", "what it does", *names], rows, right=names[2:])


def _by_hand(files: DemoFiles, model: str | None) -> str:
    """The command that does the same."""
    import shlex

    command = ["varscore", "annotate", str(files.vcf), "-r", str(files.fasta), "-o", str(files.scored)]
    command += ["--motifs", str(files.motifs), "--no-motif-active", "--motif-p", SITE_P]
    return shlex.join([*command, *(["-m", model] if model else []), "--report", str(files.page)])


def _page(files: DemoFiles, model: ModelFolder) -> str:
    """Make the page; where it is, or how to get it."""
    from varscore.errors import UsageError
    from varscore.report.flow import write_report
    from varscore.report.job import ReportJob
    from varscore.report.page import EXTRA, demand_libraries

    try:
        demand_libraries()
    except UsageError:
        return f"not made: {EXTRA}"
    job = ReportJob(
        source=str(files.scored),
        output=files.page,
        model=model,
        reference=files.fasta,
        force=True,
        title="varscore demo: broken and made binding sites",
    )
    return f"{write_report(job).output}, open it in a browser"
