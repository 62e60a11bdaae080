"""Options and commands about scores that are there already: ``--cache``, ``--archive``, ``varscore cache``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.inputs import look_at_files, look_at_folders

if TYPE_CHECKING:
    from varscore.scoring.stored.asked import Reuse

STORED = "Scores that are there already"
EffectsCache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        help="A folder of scores, as annotate --cache-matrix keeps them: 16 bytes a task for each allele. "
        "What is there is not computed again, what is not is added.",
        show_default=False,
    ),
]
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_size(text: str) -> int:
    """``20G`` in bytes. Raises BadParameter."""
    found = re.fullmatch(r"(\d{1,12})([KMGT]?)B?", text.strip().upper())
    if not found:
        raise typer.BadParameter(f"{text!r} is no size: write 500M or 20G")
    return int(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True)
class Storing:
    """``--cache`` and ``--archive``"""

    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="VARSCORE_SCORES",
            help="A folder of scores that runs share: what is there is not computed again, and the output has the same "
            "bytes; what is not is added. Also score-cache of the configuration file.",
            rich_help_panel=STORED,
        ),
    ] = None
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="No cache, whatever is configured.", rich_help_panel=STORED)
    ] = False
    cache_matrix: Annotated[
        bool,
        typer.Option(
            "--cache-matrix",
            help="Keep the effects on all tasks, so that runs with --scores find theirs too: 16 bytes a task.",
            rich_help_panel=STORED,
        ),
    ] = False
    cache_limit: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Of the whole cache, such as 20G; what is oldest goes first. By default there is none.",
            show_default=False,
            rich_help_panel=STORED,
        ),
    ] = None

    archive: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.vsa",
            help="Scores of all substitutions of some regions, made by varscore archive build; others are computed.",
            rich_help_panel=STORED,
            callback=look_at_files,
        ),
    ] = None
    archive_only: Annotated[
        bool,
        typer.Option(
            "--archive-only", help="Compute nothing: what is not there is NOT_IN_ARCHIVE.", rich_help_panel=STORED
        ),
    ] = False
    archive_any_device: Annotated[
        bool,
        typer.Option(
            "--archive-any-device",
            help="Also an archive from another kind of machine, or another version, whose scores may have other last "
            "digits; the header says so.",
            rich_help_panel=STORED,
        ),
    ] = False

    def reuse(self) -> Reuse:
        """Raises BadParameter and UsageError."""
        from varscore.cli.config import configured_path
        from varscore.scoring.stored.asked import Reuse

        if self.archive is None and (self.archive_only or self.archive_any_device):
            raise typer.BadParameter("--archive-only and --archive-any-device want --archive FILE.vsa")
        cache = None if self.no_cache else self.cache or configured_path("score-cache")
        if cache is None and (self.cache_matrix or self.cache_limit is not None) and not self.no_cache:
            raise typer.BadParameter("--cache-matrix and --cache-limit want --cache DIR")
        limit = None if self.cache_limit is None else parse_size(self.cache_limit)
        return Reuse(cache, limit, self.cache_matrix, self.archive, self.archive_only, self.archive_any_device)


# -- varscore cache --------------------------------------------------------------------------------------------------

CacheFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="The folder that --cache names.",
        callback=look_at_folders,
    ),
]


def cache_info(folder: CacheFolder) -> None:
    """Say what a cache has: of which model, how many scores, how many bytes."""
    from varscore.scoring.stored.cache import parts

    found = parts(folder)
    for part in found:
        facts = part.facts
        kind = facts.get("stored", "").partition(" ")[0]
        damaged = f", {len(part.damaged)} damaged" if part.damaged else ""
        typer.echo(
            f"{part.folder.name}\t{facts.get('model', '').partition(' ')[0]}\t{kind}\t{facts.get('device')}\t"
            f"{part.entries:,} alleles\t{part.size:,} bytes\t{len(part.segments)} files{damaged}"
        )
    typer.echo(f"{sum(part.entries for part in found):,} alleles, {sum(part.size for part in found):,} bytes")


def cache_verify(folder: CacheFolder) -> None:
    """Read all of a cache and remove the files that are damaged."""
    from varscore.scoring.stored.cache import verify

    sound, removed = verify(folder)
    for path in removed:
        typer.echo(f"removed {path}")
    typer.echo(f"{sound:,} files are sound, {len(removed):,} were removed")


def cache_prune(
    folder: CacheFolder,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="What is left at most, such as 20G; 0 empties it.")],
) -> None:
    """Remove the oldest files of a cache until the rest is small enough."""
    from varscore.scoring.stored.cache import parts, prune

    limit = parse_size(size)
    parts(folder)  # nothing is removed from what is no cache
    typer.echo(f"{prune(folder, limit):,} files were removed")


def cache_merge(folder: CacheFolder) -> None:
    """Put the files of each part of a cache together, which makes it quicker to ask."""
    from varscore.scoring.stored.cache import merge_segments, parts

    for part in parts(folder):
        typer.echo(f"{part.folder.name}: {merge_segments(part.folder, everything=True):,} files into one")
