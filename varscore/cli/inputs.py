"""Files that a command is given, looked at before anything heavy is loaded: torch alone takes seconds."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

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


def demand_source(source: str) -> None:
    """Raises VariantFileError when variants are asked of a file that is not there, unless they may be spelled out."""
    from varscore.errors import VariantFileError
    from varscore.formats.lookalikes import describe_name

    if source != "-" and _is_absent(source) and not describe_name(source) and not re.search(r"[\s:>]", source):
        raise VariantFileError("no such file", where=source, remedy="check the path")


def demand_reference(path: Path | None) -> None:
    """Raises FastaError for a FASTA that is not there."""
    if path is not None and _is_absent(path):
        from varscore.genome.fasta.text import unreadable

        raise unreadable(path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))


def demand_files(*paths: str | Path | None) -> None:
    """Raises InputError for the first that is not there. None and ``-`` are no files."""
    from varscore.errors import InputError

    for path in paths:
        if path is not None and str(path) != "-" and _is_absent(path):
            raise InputError("no such file", where=path, remedy="check the path")


def _is_absent(path: str | Path) -> bool:
    """Whether nothing is there. What is there and cannot be read is for its reader to say."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False
