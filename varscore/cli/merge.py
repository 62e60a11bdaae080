"""``varscore merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from varscore.cli.inputs import demand_free, look_at_files
from varscore.cli.options import Force


def merge(
    shards: Annotated[
        list[str],
        typer.Argument(
            metavar="SHARDS...",
            help="Outputs of annotate --shard, each with its .run.json beside it.",
            callback=look_at_files,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File to write, of the shards' format; .bcf from .vcf or .vcf.gz; - is stdout.",
        ),
    ],
    scores: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Merge the shards' score matrices too: .parquet, .zarr or .h5."),
    ] = None,
    skipped: Annotated[
        Path | None, typer.Option(metavar="FILE.tsv", help="Merge the shards' lists of skipped alleles too.")
    ] = None,
    motif_table: Annotated[
        Path | None, typer.Option(metavar="FILE.tsv", help="Merge the shards' lists of motif sites too.")
    ] = None,
    haplotype_table: Annotated[
        Path | None, typer.Option(metavar="FILE.tsv", help="Merge the shards' tables of haplotypes too.")
    ] = None,
    force: Force = False,
) -> None:
    """Join the outputs of all shards of a run into what one run would have written, byte for byte."""
    demand_free((output, scores, skipped, motif_table, haplotype_table), force, shards)

    import logging
    import shlex
    import sys

    from varscore.annotate.merge import MergeJob, merge_shards
    from varscore.cli import log

    command = {"run": log.RUN_ID, "command": shlex.join(["varscore", *sys.argv[1:]])}
    job = MergeJob(
        tuple(shards),
        output,
        scores=scores,
        skipped=skipped,
        motifs=motif_table,
        haplotypes=haplotype_table,
        force=force,
        run=command,
    )
    counts = merge_shards(job)
    message = f"{len(shards):,} shards, {counts['records']:,} records, {counts['alleles']:,} alleles"
    logging.getLogger(__name__).info(message, extra={"json_fields": counts})
