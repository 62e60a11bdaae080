"""The options of ``annotate --haplotypes``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.groups import given_of
from varscore.cli.inputs import look_at_files

if TYPE_CHECKING:
    from varscore.annotate.phased import OfHaplotypes

PANEL = "Haplotypes"


@dataclass(frozen=True)
class HaplotypeOptions:
    """``--haplotypes`` and what belongs to it"""

    haplotypes: Annotated[
        bool,
        typer.Option(
            "--haplotypes",
            help="Also score every allele on the haplotypes that carry it, with the variants beside it there: VS_HAP_ "
            "and VS_JOINT_ tags. IN needs genotypes and must be sorted.",
            rich_help_panel=PANEL,
        ),
    ] = False
    samples: Annotated[
        str | None,
        typer.Option(
            metavar="S[,S]", help="Only the haplotypes of these samples; by default all.", rich_help_panel=PANEL
        ),
    ] = None
    samples_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The same, a name a line.",
            rich_help_panel=PANEL,
            callback=look_at_files,
        ),
    ] = None
    phase: Annotated[
        Literal["phased", "all-hom", "unphased-as-is"],
        typer.Option(
            help="What makes a background: phased calls of one phase set and homozygous ones; homozygous ones alone; "
            "or every call as it is written, phased or not.",
            rich_help_panel=PANEL,
        ),
    ] = "phased"
    haplotype_table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a row for each allele on each background: .tsv, .tsv.gz or .parquet.",
            rich_help_panel=PANEL,
        ),
    ] = None
    max_joint: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Backgrounds of more variants than this are left out.", rich_help_panel=PANEL
        ),
    ] = 32
    min_count: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Backgrounds that fewer haplotypes carry are left out.", rich_help_panel=PANEL
        ),
    ] = 1

    def demand(self) -> None:
        """Raises BadParameter for what means nothing without ``--haplotypes``."""
        extra = given_of(self)
        if extra and not self.haplotypes:
            raise typer.BadParameter(f"{extra[0]} belongs to --haplotypes")

    def asked(self) -> OfHaplotypes | None:
        """None without ``--haplotypes``. Raises DataError for a file of samples that cannot be read."""
        self.demand()
        if not self.haplotypes:
            return None
        from varscore.annotate.phased import OfHaplotypes, read_names
        from varscore.scoring.backgrounds import HaplotypeRules

        names = [name for name in (self.samples or "").split(",") if name]
        names += read_names(self.samples_file) if self.samples_file else []
        is_chosen = self.samples is not None or self.samples_file is not None
        rules = HaplotypeRules(self.phase, self.max_joint, self.min_count, self.haplotype_table is not None)
        return OfHaplotypes(tuple(names) if is_chosen else None, rules, self.haplotype_table)
