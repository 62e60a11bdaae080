"""Options of ``annotate`` that look for sites of motifs."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.groups import given_of

if TYPE_CHECKING:
    from varscore.annotate.motifs import MotifSearch
    from varscore.zoo.models import ModelFolder

log = logging.getLogger(__name__)
SITES = "Binding sites that an allele breaks or makes"


@dataclass(frozen=True)
class MotifOptions:
    """``--motifs`` and those that go with it."""

    motifs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="VARSCORE_MOTIFS",
            help="JASPAR or MEME text: adds VS_MOTIF, the motifs whose sites each allele breaks (-NAME), makes (+NAME) "
            "or changes (~NAME). By default motifs of the configuration file, if it says any; none: no one.",
            show_default=False,
            rich_help_panel=SITES,
        ),
    ] = None
    motif_table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.tsv", help="Also list those sites, with places, scores and p.", rich_help_panel=SITES
        ),
    ] = None
    motif_p: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="P",
            help="A site is a placement whose score random sequence reaches with this probability at most; by default "
            "1e-4 of motifs that the model knows, else 1e-5.",
            show_default=False,
            rich_help_panel=SITES,
        ),
    ] = None
    motif_ratio: Annotated[
        float,
        typer.Option(
            min=1, metavar="X", help="By what factor p must differ between REF and ALT.", rich_help_panel=SITES
        ),
    ] = 10.0
    motif_models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Only motifs whose name or id fits, such as 'GATA*'; repeatable.",
            rich_help_panel=SITES,
        ),
    ] = None
    motif_background: Annotated[
        str | None,
        typer.Option(
            metavar="A,C,G,T",
            help="Frequencies of bases that sites are measured against, both strands taken together; by default all "
            "the same.",
            show_default=False,
            rich_help_panel=SITES,
        ),
    ] = None
    motif_active: Annotated[
        bool | None,
        typer.Option(
            "--motif-active/--no-motif-active",
            help="Only motifs that match a filter of the model, as the motifs.json in its folder says; by default "
            "where there is one.",
            show_default=False,
            rich_help_panel=SITES,
        ),
    ] = None
    all_motifs: Annotated[
        bool,
        typer.Option(
            "--all-motifs",
            help="Report every motif; otherwise of motifs that look alike the one with the best p.",
            rich_help_panel=SITES,
        ),
    ] = False

    @property
    def file(self) -> Path | None:
        """That of the option or the variable, if it names one."""
        return None if str(self.motifs) == "none" else self.motifs

    def search(self, model: ModelFolder) -> MotifSearch | None:
        """None without motifs. Raises UsageError and DataError."""
        from varscore.annotate.motifs import MotifRules, MotifSearch
        from varscore.cli.config import find_motifs
        from varscore.motifs.scan import UNIFORM

        path = find_motifs(self.motifs)
        if path is None:
            if self.motif_table is not None:
                raise typer.BadParameter("--motif-table wants --motifs FILE")
            for option in given_of(replace(self, motifs=None)):
                log.warning("%s changes nothing without --motifs", option)
            return None
        rules = MotifRules(
            p=self.motif_p,
            ratio=self.motif_ratio,
            models=tuple(self.motif_models or ()),
            background=UNIFORM if self.motif_background is None else parse_background(self.motif_background),
            active=self.motif_active,
            one_voice=not self.all_motifs,
        )
        return MotifSearch.open(path, model.path, rules)


def parse_background(text: str) -> tuple[float, ...]:
    """``.3,.2,.2,.3``: four positive numbers, made to sum to 1. Raises BadParameter."""
    import math

    try:
        shares = [float(word) for word in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != 4 or not all(math.isfinite(share) and share > 0 for share in shares):
        raise typer.BadParameter(f"{text!r} is not four positive frequencies of A, C, G and T, such as .3,.2,.2,.3")
    return tuple(share / sum(shares) for share in shares)
