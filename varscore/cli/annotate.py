"""``varscore annotate``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli import completing
from varscore.cli.choosing import CHOOSING, AnnotationOptions, RegionOptions
from varscore.cli.genome import Fitting
from varscore.cli.groups import grouped
from varscore.cli.haplotypes import HaplotypeOptions
from varscore.cli.inputs import (
    demand_files,
    demand_free,
    demand_genome,
    demand_kind,
    demand_matrix,
    demand_model,
    demand_source,
    demand_variants,
    look_at_files,
)
from varscore.cli.listing import Listing, saturated
from varscore.cli.motif_options import MotifOptions
from varscore.cli.options import (
    COMPUTING,
    AutoBatchSize,
    Computing,
    Force,
    Model,
    Reference,
)
from varscore.cli.stored import Storing

if TYPE_CHECKING:
    from varscore.annotate.job import AnnotateJob
    from varscore.formats.shards import Shard
    from varscore.normalise import Given
    from varscore.report.job import ReportJob


def _check_cluster(cluster: str | None) -> str | None:
    if cluster is not None and cluster != "ray" and not re.fullmatch(r"ray://\S+", cluster):
        raise typer.BadParameter(f"{cluster!r} is neither ray nor ray://ADDRESS")
    return cluster


SUFFIXES = (".vcf.gz", ".vcf.bgz", ".vcf", ".bcf")
DEFAULT_SUFFIXES = {"v": ".vcf", "z": ".vcf.gz", "b": ".bcf", "u": ".bcf", "t": ".tsv", "p": ".parquet"}

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="[IN]",
        help="VCF, bgzipped VCF or BCF (- is stdin); or a table, BED with alleles, a list of variants or of rsIDs; or "
        "one variant, such as chr1:1005A>G.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="File to write; its suffix says the format: .vcf .vcf.gz .bcf .tsv .tsv.gz .parquet; - is stdout. "
        "By default STEM.varscore.vcf.gz here, or stdout when reading stdin.",
        show_default=False,
    ),
]
OutputType = Annotated[
    Literal["v", "z", "b", "u", "t", "p"] | None,
    typer.Option(
        "--output-type",
        "-O",
        help="Format where the name has no suffix: VCF, VCF.gz, BCF, uncompressed BCF, TSV, Parquet.",
        show_default=False,
    ),
]
TagPrefix = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="What INFO tags begin with. Those of a run with another prefix stay: two models fit in one VCF.",
    ),
]
Scores = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Also write the full matrix, every task of every allele: .parquet, .zarr or .h5."
    ),
]
Skipped = Annotated[
    Path | None, typer.Option(metavar="FILE.tsv", help="Also list the alleles without a score, and why.")
]
Page = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="OUT.html",
        help="Also make an offline page of the output, as varscore report does with these model and FASTA.",
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Only tasks whose name fits, such as 'K562*'; repeatable.",
        autocompletion=completing.tasks,
        rich_help_panel=CHOOSING,
    ),
]
Saturate = Annotated[
    str | None,
    typer.Option(
        metavar="BED",
        help="Instead of IN: every substitution at every base of these intervals, as a VCF without samples.",
        rich_help_panel=CHOOSING,
        callback=look_at_files,
    ),
]
CheckRef = Annotated[
    Literal["warn", "error", "skip"],
    typer.Option(
        help="A REF that disagrees with the FASTA: mark the allele REF_MISMATCH, stop, or do not compare "
        "(the FASTA's bases are scored as REF). An ALT that is what the FASTA has is SWAPPED, compared or not.",
        rich_help_panel=CHOOSING,
    ),
]
AsWritten = Annotated[
    bool,
    typer.Option(
        "--as-written",
        help="Score each allele in its record's spelling, padding and place of an indel, instead of its minimal, "
        "left-aligned form.",
        rich_help_panel=CHOOSING,
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="End with status 3 when some allele could not be scored.", rich_help_panel=CHOOSING),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only every Nth block of records, from the Ith on (I from 1 to N); varscore merge joins the outputs.",
        rich_help_panel=CHOOSING,
    ),
]
ResumeRun = Annotated[
    bool,
    typer.Option(
        "--resume/--no-resume",
        help="Keep a journal beside OUT, and carry on where a run of this command was stopped or killed. "
        "--no-resume starts anew and keeps none.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only check options, names, model and header; read and write nothing else.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        callback=_check_cluster,
        metavar="ray|ray://ADDRESS",
        help="Let Ray's workers compute: on this machine (ray), on a cluster (ray://HOST:10001), or on the one that "
        "this machine belongs to (ray://auto). The output is the same, byte for byte.",
        rich_help_panel=COMPUTING,
    ),
]
Engine = Annotated[
    Literal["exact", "plain"],
    typer.Option(
        help="exact shares work between REF and ALT; plain does not: the same scores to 1e-6, several times slower.",
        rich_help_panel=COMPUTING,
    ),
]


@dataclass(frozen=True)
class Beside:
    """What is written beside OUT."""

    scores: Scores = None
    skipped: Skipped = None
    report: Page = None


@dataclass(frozen=True)
class Judging:
    """Which alleles are scored, and in which form."""

    check_ref: CheckRef = "warn"
    as_written: AsWritten = False


@dataclass(frozen=True)
class Course:
    """Where a run computes, how much of the input it takes, and what it finds there already."""

    batch_size: AutoBatchSize = None
    cluster: Cluster = None
    shard: ShardOf = None
    resume: ResumeRun = True
    dry_run: DryRun = False


@grouped
def annotate(
    source: Source = None,
    reference: Reference = None,
    output: Output = None,
    output_format: OutputType = None,
    model: Model = None,
    tag_prefix: TagPrefix = "VS",
    *,
    beside: Beside,
    listing: Listing,
    tasks: Tasks = None,
    where: RegionOptions,
    saturate: Saturate = None,
    held: AnnotationOptions,
    looking: MotifOptions,
    judging: Judging,
    fitting: Fitting,
    phasing: HaplotypeOptions,
    storing: Storing,
    strict: Strict = False,
    engine: Engine = "exact",
    computing: Computing,
    course: Course,
    force: Force = False,
) -> None:
    """Score every variant of a VCF with a chromatin network and write the VCF back with the scores.

    With --saturate, score every substitution at every base of some intervals instead.
    """
    _demand_one_source(source, saturate, where.regions)
    demand_files(looking.file)
    others = (beside.scores, beside.skipped, beside.report, looking.motif_table)
    if output is not None:  # before anything that takes a tenth of a second
        demand_kind(output, output_format)
        demand_free((output, *others), force, [path for path in (source, saturate, reference) if path is not None])
    demand_model(model, tasks or (), held.classifiers)
    given = listing.read(source) if source is not None else saturated(str(saturate))

    from varscore.cli.config import find_reference
    from varscore.formats.shards import Shard
    from varscore.storage.outputs import check_names, with_indexes

    part = Shard.parse(course.shard) if course.shard is not None else None
    target = output or default_output(given.name, output_format, part)
    demand_kind(target, output_format)
    fasta = find_reference(reference, given.path if given.kind.value == "vcf" else "-")
    outputs = [str(path) for path in (target, *others) if path is not None]
    check_names(outputs, with_indexes(*map(str, (*given.files, fasta))))
    demand_free(outputs, force)
    demand_matrix(beside.scores)
    intervals, rules, reuse = where.read(), fitting.rules(), storing.reuse()
    phasing.demand()
    demand_variants(given)
    if not course.dry_run:
        demand_genome(fasta)

    from varscore.annotate.job import AnnotateJob
    from varscore.cli.report import page_of
    from varscore.normalise import place_for_vcf
    from varscore.zoo.models import find_model

    chosen, further = find_model(model), (where.regions, held.background, fitting.rename_chrs)
    with place_for_vcf(target) as made:
        job = AnnotateJob(
            source=made if given.is_list else given.path,
            output=target,
            reference=fasta,
            model=chosen,
            output_format=output_format,
            tasks=tuple(tasks or ()),
            regions=intervals,
            saturate=given.intervals(),
            annotations=held.open(chosen),
            tag_prefix=tag_prefix,
            check_ref=judging.check_ref,
            as_written=judging.as_written,
            rules=rules,
            scores=beside.scores,
            skipped=beside.skipped,
            motifs=looking.search(chosen),
            motif_table=looking.motif_table,
            compute=computing.compute(engine),
            batch_size=course.batch_size,
            force=force,
            resume=course.resume,
            shard=part,
            inputs=tuple(str(path) for path in (*given.files, *further) if path),
            reuse=reuse,
            haplotypes=phasing.asked(),
        )
        _demand_alike(job, course.cluster)
        page = page_of(job, beside.report) if beside.report else None
        check(job) if course.dry_run else run(job, strict, course.cluster, given, page)


def _demand_one_source(source: str | None, saturate: str | None, regions: str | None) -> None:
    """Raises BadParameter and InputError."""
    if (source is None) == (saturate is None):
        raise typer.BadParameter("give either IN or --saturate BED")
    if source == regions == "-":
        raise typer.BadParameter("IN and --regions cannot both be stdin")
    if source is not None:
        demand_source(source)


def _demand_alike(job: AnnotateJob, cluster: str | None) -> None:
    """Raises BadParameter where scores of one machine would be mixed with those of others."""
    if cluster and job.reuse.is_on:
        cause = "whose machines may compute otherwise"
        raise typer.BadParameter(f"--cache and --archive do not go with --cluster, {cause}")


def check(job: AnnotateJob) -> None:
    """What ``--dry-run`` does: everything that can be known to be wrong before any work is done."""
    import logging

    from varscore.annotate.job import choose_tasks
    from varscore.zoo.models import ranked_tasks

    job.check()
    chosen = choose_tasks(job.model.tasks(), job.tasks)
    ranked_tasks(job.model, chosen)
    message = "nothing wrong so far: %s, %d tasks of %s, would write %s"
    logging.getLogger(__name__).info(message, job.source, len(chosen), job.model.id, job.output)


def run(job: AnnotateJob, strict: bool, cluster: str | None, given: Given, page: ReportJob | None = None) -> None:
    """Run the job, with progress and a summary on stderr, and make the page of its output.

    Raises StrictError when an allele has no score.
    """
    import logging
    import shlex
    import sys
    import time
    from contextlib import nullcontext

    from varscore.annotate.flow import annotate_file
    from varscore.annotate.job import count_records, demand_all, warn_of_assembly, warn_of_swapped
    from varscore.annotate.record import RunInfo, peak_memory
    from varscore.cli import log
    from varscore.cli.ending import at_last
    from varscore.cli.report import make_page
    from varscore.cli.stopping import SignalStop
    from varscore.cluster import ray_engines
    from varscore.engine.pool import LOCAL
    from varscore.normalise import demand_all_given, make_vcf

    job.check()  # before the records are counted
    made = make_vcf(given, job.source, job.reference, job.rules) if given.is_list else None
    engines = ray_engines(cluster, job.compute.threads) if cluster else nullcontext(LOCAL)
    total = count_records(job.source) if log.shows_progress() and not (job.saturate or job.shard) else None
    info = RunInfo(log.RUN_ID, shlex.join(["varscore", *sys.argv[1:]]))
    with log.progress(total, "records") as meter, SignalStop() as stop, engines as there:
        summary = annotate_file(job, meter.advance, stop, info, there, at_last)
    seconds = time.monotonic() - info.began
    fields = {"seconds": round(seconds, 3), "records_per_second": round(meter.rate, 1), "peak_memory_mb": peak_memory()}
    logging.getLogger(__name__).info("%s", summary, extra={"json_fields": summary.fields() | fields})
    warn_of_assembly(summary, job.reference)
    warn_of_swapped(summary, job.reference)
    job.model.warn_of_interim()
    if page is not None:
        make_page(page)
    if strict:
        demand_all_given(made)
        demand_all(summary)


def default_output(source: str, output_format: str | None = None, shard: Shard | None = None) -> str:
    """``STEM.varscore.vcf.gz``, or with the suffix that ``-O`` asks for, in the working directory; stdout for stdin.

    A shard's has its number in it: ``STEM.varscore.shard-0003-of-0010.vcf.gz``.
    """
    from varscore.storage.atomic import is_stream

    if source == "/dev/stdin" or is_stream(source):
        return "-"
    name = Path(source).name
    stem = next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), Path(name).stem)
    return f"{stem}.varscore{f'.{shard.tag}' if shard else ''}{DEFAULT_SUFFIXES[output_format or 'z']}"
