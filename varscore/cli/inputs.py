"""What a command is given, looked at before anything heavy is loaded: torch alone takes seconds."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
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


def demand_variants(given: Given) -> None:
    """Raises VariantFileError for a VCF or BCF whose header cannot be read. A stream can be read only once."""
    from varscore.formats.vcf import VariantReader
    from varscore.storage.atomic import is_stream

    if given.kind.value == "vcf" and not is_stream(given.path):
        with VariantReader(given.path, quiet=True):
            pass


def demand_genome(path: Path) -> None:
    """Raises FastaError for what is no FASTA. Its index is made where it is missing."""
    from varscore.genome.sequence import Genome

    with Genome(path):
        pass


def demand_model(name: str | None, tasks: Sequence[str] = ()) -> None:
    """Raises ModelError when there is no model of this name (None: the default one), and UsageError for a glob of
    ``--tasks`` that fits none of its tasks. A damaged model is for its reader to say."""
    from varscore.errors import DataError
    from varscore.tasks import choose, parse_tasks
    from varscore.zoo.card import TASKS
    from varscore.zoo.shelf import model_folder

    folder = model_folder(name)
    if tasks:
        with suppress(OSError, UnicodeDecodeError, DataError):
            choose(parse_tasks((folder / TASKS).read_text(encoding="utf-8")), tasks, "--tasks")


def demand_free(paths: Iterable[str | Path | None], force: bool, inputs: Iterable[str | Path] = ()) -> None:
    """Raises OutputExists for the first output that is a file already, unless ``force``. None is no output; of what a
    killed run has left its journal beside the first one decides later, and of folders whoever writes them.

    Raises UsageError for one that is also an input, which ``force`` would not help.
    """
    from varscore.storage.atomic import refuse_existing
    from varscore.storage.journal import Journal
    from varscore.storage.outputs import check_names, with_indexes

    given = [str(path) for path in paths if path is not None]
    if inputs:
        check_names(given, with_indexes(*map(str, inputs)))
    if given and not Journal(given[0]).path.exists():
        for path in given:
            if path == "-" or not os.path.isdir(path):
                refuse_existing(path, force=force)


def demand_free_folder(path: Path, force: bool) -> None:
    """Raises OutputExists when a folder to be written is there, unless ``force``."""
    from varscore.storage.folders import refuse_existing_folder

    if not force:
        refuse_existing_folder(str(path), "", force=False)


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
