"""``varscore report``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.groups import grouped
from varscore.cli.inputs import demand_free, look_at_files, look_at_folders, look_at_matrices, look_at_references
from varscore.cli.options import Device, Force, Model, Threads

if TYPE_CHECKING:
    from varscore.annotate.job import AnnotateJob
    from varscore.report.job import ReportJob
    from varscore.report.links import Link as PageLink

Genes = Annotated[
    str | None,
    typer.Option(
        metavar="GTF|BED",
        help="Genes for the locus and the table: GTF, GFF or BED12, plain or compressed.",
        callback=look_at_files,
    ),
]
Link = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=URL",
        help="A link of every allele, with {chrom} {pos} {ref} {alt} {id} in it; repeatable. None by default: the page "
        "itself reaches nothing.",
    ),
]


@dataclass(frozen=True)
class Further:
    """What else the page may be made of."""

    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Logos of a folder that varscore explain has finished, instead of making them.",
            callback=look_at_folders,
        ),
    ] = None
    motif_table: Annotated[
        str | None,
        typer.Option(
            metavar="TSV",
            help="annotate's --motif-table: all sites lost and gained, over the logos too.",
            callback=look_at_files,
        ),
    ] = None
    tracks: Annotated[
        bool,
        typer.Option("--tracks", help="What is predicted on either side of the first alleles, with REF and with ALT."),
    ] = False
    no_sequence: Annotated[
        bool, typer.Option("--no-sequence", help="No bases of the genome on the page, and so no logos.")
    ] = False
    igv: Annotated[
        bool,
        typer.Option("--igv", help="igv.js, of the package igv-notebook, in the place of the locus: 0.5 MB more."),
    ] = False
    igv_js: Annotated[
        Path | None,
        typer.Option(
            "--igv-js", metavar="FILE", help="The file of igv.js to put inside; it means --igv.", callback=look_at_files
        ),
    ] = None


Source = Annotated[
    str,
    typer.Argument(
        metavar="SCORED",
        help="What varscore annotate has written.",
        callback=look_at_files,
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        "--reference",
        "-r",
        metavar="FASTA",
        envvar="VARSCORE_REFERENCE",
        help="The genome that the file was scored on: brings every task and the logos.",
        show_default=False,
        callback=look_at_references,
    ),
]
Scores = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="annotate's --scores of the same run, instead of computing tasks again.",
        callback=look_at_matrices,
    ),
]
Top = Annotated[
    int,
    typer.Option(
        min=1,
        max=100_000,
        metavar="N",
        help="Alleles on the page; the others are counted. Of more than 5,000 the 50 largest differences each.",
    ),
]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter", metavar="EXPR", help="Only alleles for which this holds: 'VS_SIG<0.01 && status==\"PASS\"'."
    ),
]
ExplainTop = Annotated[
    int,
    typer.Option(min=0, max=5000, metavar="N", help="Alleles at the top of the table that get logos and tracks."),
]
Multiqc = Annotated[
    Path | None,
    typer.Option(metavar="NAME_mqc.json", help="Also write counts for MultiQC, and its general statistics beside."),
]


@grouped
def report(
    source: Source,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.html", help="The page to write.")],
    reference: Reference = None,
    model: Model = None,
    scores: Scores = None,
    genes: Genes = None,
    sort: Annotated[str, typer.Option(metavar="diff|sig|e|p_NAME", help="What alleles are ranked by.")] = "diff",
    top: Top = 1000,
    filter_: Filter = None,
    explain_top: ExplainTop = 50,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="By default the file's name.")] = None,
    link: Link = None,
    multiqc: Multiqc = None,
    further: Further = Further(),
    tag_prefix: Annotated[str, typer.Option(metavar="NAME", help="annotate's --tag-prefix, if it had one.")] = "VS",
    device: Device = "auto",
    threads: Threads = None,
    force: Force = False,
) -> None:
    """Make one offline page of a scored file: ranked table, and for each allele what changes, where and how rarely.

    The page needs no network and fetches nothing. It wants two packages: pip install bokeh jinja2.
    """
    demand_free((output, multiqc), force, [path for path in (source, scores) if path is not None])

    links = parse_links(link or [])

    from varscore.engine.compute import Compute
    from varscore.engine.device import use_threads
    from varscore.report.job import ReportJob
    from varscore.zoo.models import find_model

    use_threads(threads)
    make_page(
        ReportJob(
            source=source,
            output=output,
            model=find_model(model) if model else None,
            reference=reference,
            scores=scores,
            explain=further.explain,
            motif_table=further.motif_table,
            tracks=further.tracks,
            sequence=not further.no_sequence,
            igv=further.igv or further.igv_js is not None,
            igv_js=further.igv_js,
            genes=genes,
            tag_prefix=tag_prefix,
            sort=sort.lower(),
            top=top,
            filter=filter_,
            title=title,
            explain_top=explain_top,
            links=links,
            multiqc=multiqc,
            compute=Compute(device, threads=threads),
            force=force,
        )
    )


def parse_links(texts: Iterable[str]) -> tuple[PageLink, ...]:
    """``NAME=URL`` each. Raises UsageError."""
    from varscore.report.links import Link as PageLink

    return tuple(map(PageLink.parse, texts))


def page_of(job: AnnotateJob, output: Path) -> ReportJob:
    """The report of what a job will write. Raises UsageError when there will be no file to make it of."""
    from varscore.engine.compute import Compute
    from varscore.errors import UsageError
    from varscore.report.job import ReportJob
    from varscore.storage.atomic import is_stream
    from varscore.storage.outputs import check_names

    if is_stream(job.output) or job.shard:
        what = "a shard's output" if job.shard else "a stream"
        remedy = "make it later with varscore report, of the whole file"
        raise UsageError(f"--report cannot read {what}", where=job.output, remedy=remedy)
    page = ReportJob(
        source=job.output,
        output=output,
        model=job.model,
        reference=job.reference,
        scores=job.scores,
        motif_table=str(job.motif_table) if job.motif_table else None,
        tag_prefix=job.tag_prefix,
        force=job.force,
        compute=Compute(job.compute.device, threads=job.compute.threads),  # logos are made in fp32, whatever the scores
    )
    page.check()
    check_names([str(output)], job.files_read())
    return page


def make_page(job: ReportJob) -> None:
    """Write the page and say where it is."""
    import logging

    from varscore.report.flow import write_report

    made = write_report(job)
    log = logging.getLogger(__name__)
    log.info("%s", made)
    if not made.scored:
        log.warning("no allele of %s has a score: the page only says why", job.source)
