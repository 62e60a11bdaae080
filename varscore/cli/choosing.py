"""Options of ``varscore annotate`` that say which records are scored, and what effects are held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.inputs import look_at_files
from varscore.cli.tracks import Conservation, parse_tracks

if TYPE_CHECKING:
    from varscore.formats.regions import RegionSet
    from varscore.scoring.annotations import Annotations
    from varscore.zoo.models import ModelFolder

CHOOSING = "What to score"

Region = Annotated[
    list[str] | None,
    typer.Option(metavar="CHR:FROM-TO", help="Only records that overlap; repeatable.", rich_help_panel=CHOOSING),
]
Regions = Annotated[
    str | None,
    typer.Option(
        metavar="BED",
        help="Only records that overlap these intervals.",
        rich_help_panel=CHOOSING,
        callback=look_at_files,
    ),
]
Classifiers = Annotated[
    list[str] | None,
    typer.Option(
        "--classifier",
        "-c",
        metavar="ID|DIR",
        help="A classifier of the model, which gives VS_P_ID; repeatable. By default those that are on; none: no one.",
        show_default=False,
        rich_help_panel=CHOOSING,
    ),
]
BackgroundFile = Annotated[
    Path | None,
    typer.Option(
        "--background",
        metavar="FILE",
        help="What VS_SIG is measured against, made by varscore background; by default the model's.",
        show_default=False,
        rich_help_panel=CHOOSING,
        callback=look_at_files,
    ),
]
DeepseaFloor = Annotated[
    bool,
    typer.Option(
        "--deepsea-floor",
        help="The smallest E-value is 1e-6 even when the background has fewer variants.",
        rich_help_panel=CHOOSING,
    ),
]


def named_classifiers(given: list[str] | None) -> list[str] | None:
    """What ``--classifier`` names, with ``none`` for no classifier at all; None for those that are on by default."""
    return None if given is None else [name for name in given if name != "none"]


@dataclass(frozen=True)
class AnnotationOptions:
    """What effects are held against."""

    classifier: Classifiers = None
    background: BackgroundFile = None
    conservation: Conservation = None
    deepsea_floor: DeepseaFloor = False

    @property
    def classifiers(self) -> list[str] | None:
        return named_classifiers(self.classifier)

    def open(self, model: ModelFolder) -> Annotations:
        """Raises UsageError, ModelError, DataError."""
        from varscore.scoring.annotations import Annotations

        return Annotations.open(
            model, self.classifiers, self.background, parse_tracks(self.conservation), self.deepsea_floor
        )


@dataclass(frozen=True)
class RegionOptions:
    """Which records."""

    region: Region = None
    regions: Regions = None

    def read(self) -> RegionSet | None:
        """None for all. Raises UsageError and DataError."""
        from varscore.formats.regions import RegionSet, parse_regions, read_bed

        if not self.region and not self.regions:
            return None
        return RegionSet([*parse_regions(self.region or []), *(read_bed(self.regions) if self.regions else [])])
