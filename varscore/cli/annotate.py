"""``varscore annotate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from varscore.cli.options import COMPUTING, AutoBatchSize, Device, Force, Model, Precision, Reference, Threads

CHOOSING = "What to score"
SUFFIXES = (".vcf.gz", ".vcf.bgz", ".vcf", ".bcf")


def annotate(
    source: Annotated[str, typer.Argument(metavar="IN", help="VCF, bgzipped VCF or BCF; - is stdin.")],
    reference: Reference = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="OUT", show_default=False,
            help="File to write; its suffix says the format: .vcf .vcf.gz .bcf .tsv .tsv.gz .parquet; - is stdout. "
            "By default STEM.varscore.vcf.gz here, or stdout when reading stdin.",
        ),
    ] = None,
    output_format: Annotated[
        Literal["v", "z", "b", "u", "t", "p"] | None,
        typer.Option("--output-type", "-O", help="Format where the name has no suffix: VCF, VCF.gz, BCF, uncompressed BCF, TSV, Parquet.", show_default=False),
    ] = None,
    model: Model = None,
    scores: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the full matrix, every task of every allele: .parquet, .zarr or .h5.")] = None,
    skipped: Annotated[Path | None, typer.Option(metavar="FILE.tsv", help="Also list the alleles without a score, and why.")] = None,
    tasks: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only tasks whose name fits, such as 'K562*'; repeatable.", rich_help_panel=CHOOSING)] = None,
    region: Annotated[list[str] | None, typer.Option(metavar="CHR:FROM-TO", help="Only records that overlap; repeatable.", rich_help_panel=CHOOSING)] = None,
    regions: Annotated[Path | None, typer.Option(metavar="BED", help="Only records that overlap these intervals.", rich_help_panel=CHOOSING)] = None,
    check_ref: Annotated[
        Literal["warn", "error", "skip"],
        typer.Option(help="A REF that disagrees with the FASTA: mark the allele REF_MISMATCH, stop, or do not look.", rich_help_panel=CHOOSING),
    ] = "warn",
    strict: Annotated[bool, typer.Option(help="End with status 3 when some allele could not be scored.", rich_help_panel=CHOOSING)] = False,
    engine: Annotated[Literal["exact", "plain"], typer.Option(help="exact shares work between REF and ALT; plain does not: the same scores to 1e-6, several times slower.", rich_help_panel=COMPUTING)] = "exact",
    device: Device = "auto",
    precision: Precision = "fp32",
    threads: Threads = None,
    batch_size: AutoBatchSize = None,
    force: Force = False,
) -> None:  # fmt: skip
    """Score every variant of a VCF with a chromatin network and write the VCF back with the scores."""
    import logging

    from varscore.cli import log
    from varscore.cli.config import find_reference

    output = output or default_output(source)
    from varscore.annotate import AnnotateJob, annotate_file, count_records, demand_all, finish
    from varscore.engine.device import use_threads
    from varscore.files.regions import RegionSet, parse_regions, read_bed
    from varscore.zoo import find_model

    use_threads(threads)
    intervals = [*parse_regions(region or []), *(read_bed(str(regions)) if regions else [])]
    job = AnnotateJob(
        source=source, output=output, reference=find_reference(reference, source), model=find_model(model),
        output_format=output_format, tasks=tuple(tasks or ()), check_ref=check_ref, scores=scores, skipped=skipped,
        regions=RegionSet(intervals) if region or regions else None, device=device, precision=precision, engine=engine, force=force,
    )  # fmt: skip
    total = count_records(source) if log.shows_progress() else None
    with log.progress(total, "records") as meter:
        summary = annotate_file(job, meter.advance)
    logging.getLogger("varscore").info("%s", summary, extra={"fields": {}})
    finish(summary, job)
    if strict:
        demand_all(summary)


def default_output(source: str) -> str:
    """``STEM.varscore.vcf.gz`` in the working directory; stdout for stdin."""
    if source == "-":
        return "-"
    name = Path(source).name
    stem = next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), Path(name).stem)
    return f"{stem}.varscore.vcf.gz"
