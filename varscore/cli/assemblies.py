"""``varscore genome``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.inputs import demand_reference, look_at_references
from varscore.cli.tables import print_table

if TYPE_CHECKING:
    from varscore.genome.assembly import Assembly
    from varscore.genome.inspect import FastaFacts

WHERE = {
    "GRCh37": "UCSC hg19.fa.gz; Ensembl Homo_sapiens.GRCh37.dna.primary_assembly.fa.gz; 1000 Genomes hs37d5.fa.gz",
    "GRCh38": "UCSC hg38.fa.gz; Ensembl Homo_sapiens.GRCh38.dna.primary_assembly.fa.gz; NCBI no_alt_analysis_set",
    "T2T-CHM13v2": "UCSC hs1.fa.gz; NCBI GCF_009914755.1",
    "GRCm38": "UCSC mm10.fa.gz; Ensembl Mus_musculus.GRCm38.dna.primary_assembly.fa.gz",
    "GRCm39": "UCSC mm39.fa.gz; Ensembl Mus_musculus.GRCm39.dna.primary_assembly.fa.gz",
}
"""Names of files to look for; no address, which would be wrong one day"""
LINE = 60
"""Bases a line of what is shown"""
MOSTLY_MASKED = 0.3
"""Share of N above which a human FASTA has lost its repeats: a whole one has 5 to 8 %"""
ALSO = {"GRCh37": "hg19, b37", "GRCh38": "hg38", "T2T-CHM13v2": "hs1", "GRCm38": "mm10", "GRCm39": "mm39"}


def genome(
    fasta: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FASTA]", help="Check this one: assembly, names, masked share, index.", callback=look_at_references
        ),
    ] = None,
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHR:FROM-TO", help="Show the bases of a region instead, as they are spelled; repeatable."
        ),
    ] = None,
) -> None:
    """List the assemblies that varscore knows and where to get one, or check a FASTA.

    Variants are scored with the FASTA of the assembly that they were called on.
    """
    demand_reference(fasta)
    from varscore.genome.inspect import inspect, known_assemblies

    if show:
        _show(fasta, show)
    elif fasta is not None:
        _print_facts(inspect(fasta))
    else:
        _print_known(known_assemblies())


def _show(path: Path | None, regions: list[str]) -> None:
    """A FASTA of regions."""
    from varscore.errors import UsageError
    from varscore.formats.regions import parse_regions
    from varscore.genome.coords import Interval
    from varscore.genome.fasta.regions import Regions

    if path is None:
        raise UsageError("--show wants a FASTA", remedy="varscore genome FASTA --show CHR:FROM-TO")
    with Regions(path) as fasta:
        for region in parse_regions(regions):
            whole = Interval(region.contig, region.start, min(region.end, fasta.lengths.get(region.contig, region.end)))
            typer.echo(f">{whole}")
            text = fasta.text(whole)
            for first in range(0, len(text), LINE):
                typer.echo(text[first : first + LINE])


def _print_known(assemblies: Sequence[Assembly]) -> None:
    rows = [[str(one), ALSO[str(one)], f"{one.lengths['1']:,}", WHERE[str(one)]] for one in assemblies]
    print_table(["assembly", "also called", "bases of chromosome 1", "files to look for"], rows)
    typer.echo("\nunpack .fa.gz with gunzip, or make it bgzip's; varscore genome FASTA checks what you have")


def _print_facts(facts: FastaFacts) -> None:
    whole = len(facts.assembly.lengths) - len(facts.wrong) if facts.assembly else 0
    known = f"{facts.assembly}, {whole} of {len(facts.assembly.lengths)} chromosomes" if facts.assembly else "not known"
    missing = f"; missing or of another length: {', '.join(facts.wrong)}" if facts.wrong else ""
    rows = [
        ["file", str(facts.path)],
        ["contigs", f"{facts.contigs:,}, called like {facts.spelling}; {facts.bases:,} bases"],
        ["assembly", known + missing],
        ["lower-case (soft-masked)", f"{facts.masked:.1%}, read as sequence"],
        ["N", f"{facts.unknown:.1%}, not scored" + ("; hard-masked?" if facts.unknown > MOSTLY_MASKED else "")],
        ["index", "in order"],
    ]
    print_table(["what", "found"], rows)
