"""``--conservation NAME=BIGWIG``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from varscore.cli.inputs import demand_files, look_later


def look_at_tracks(context: typer.Context, option: typer.CallbackParam, texts: list[str] | None) -> list[str] | None:
    """Raises BadParameter. A bigWig that is not there is told later."""
    look_later(context, demand_files, parse_tracks(texts, option.opts[0]).values())
    return texts


Conservation = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=BIGWIG",
        help="A conservation score, one value a base; repeatable. DeepSEA's are called phastcons_primates, "
        "phylop_primates, gerp_neutral and gerp_rejected.",
        callback=look_at_tracks,
    ),
]


def parse_tracks(texts: Sequence[str] | None, option: str = "--conservation") -> dict[str, Path]:
    """``NAME=BIGWIG`` each, in order. Raises BadParameter, which names the option."""
    tracks: dict[str, Path] = {}
    for text in texts or ():
        name, equals, path = text.partition("=")
        if not equals or not name or not path or name in tracks:
            raise typer.BadParameter(f"{option} {text!r} is not NAME=BIGWIG with a name of its own")
        tracks[name] = Path(path)
    return tracks
