"""``--from`` and ``--dbsnp``: what IN is, and where rsIDs are looked up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.inputs import look_at_files

if TYPE_CHECKING:
    from varscore.normalise import Given

INPUT = "What IN is"


@dataclass(frozen=True)
class Listing:
    """``--from`` and ``--dbsnp``"""

    kind: Annotated[
        Literal["auto", "vcf", "tsv", "bed", "region", "list", "rsid", "hgvs"],
        typer.Option(
            "--from",
            help="What IN is: VCF or BCF; a table (tabs, commas or semicolons) with a header; BED with REF/ALT in its "
            "fourth column; intervals; a list of variants, rsIDs or genomic HGVS, one a line. auto looks at it.",
            rich_help_panel=INPUT,
        ),
    ] = "auto"
    dbsnp: Annotated[
        Path | None,
        typer.Option(
            "--dbsnp",
            metavar="VCF",
            help="Where rsIDs are looked up: dbSNP's VCF of the assembly of the FASTA, or any other with IDs.",
            rich_help_panel=INPUT,
            callback=look_at_files,
        ),
    ] = None

    def read(self, source: str) -> Given:
        """Raises VariantFileError for a file that is not there, and DataError."""
        from varscore.formats.variantlist import parse_kind
        from varscore.normalise import Given

        return Given.of(source, parse_kind(self.kind), None if self.dbsnp is None else str(self.dbsnp))


def saturated(bed: str) -> Given:
    """``--saturate BED``"""
    from varscore.formats.variantlist import Kind
    from varscore.normalise import Given

    return Given(bed, Kind.REGION)
