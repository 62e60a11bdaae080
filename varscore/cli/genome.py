"""Options that say how variants must fit the genome, the same in every command that reads both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.inputs import look_at_files

if TYPE_CHECKING:
    from varscore.scoring.survey import GenomeRules

GENOME = "Whether variants and genome belong together"


@dataclass(frozen=True)
class Fitting:
    """``--check-assembly``, ``--max-mismatch``, ``--rename-chrs``"""

    check_assembly: Annotated[
        Literal["error", "warn", "off"],
        typer.Option(
            help="When the header says that the variants are on another assembly than the FASTA, by contig lengths or "
            "by name: stop before anything is scored, say so, or do not look.",
            rich_help_panel=GENOME,
        ),
    ] = "error"
    max_mismatch: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Stop before anything is scored when more of the first 10,000 REF alleles disagree with the FASTA.",
            rich_help_panel=GENOME,
        ),
    ] = 0.3
    rename_chrs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="What contigs of the variants are called in the FASTA: two columns, old and new name, as bcftools "
            "annotate takes it. The output keeps the old names.",
            rich_help_panel=GENOME,
            callback=look_at_files,
        ),
    ] = None

    def rules(self) -> GenomeRules:
        """Raises DataError for a file that does not rename contigs."""
        from varscore.formats.renames import read_renames
        from varscore.scoring.survey import GenomeRules

        renames = {} if self.rename_chrs is None else read_renames(self.rename_chrs)
        return GenomeRules(self.check_assembly, self.max_mismatch, renames)
