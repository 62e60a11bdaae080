"""``--conservation NAME=BIGWIG``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

Conservation = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=BIGWIG",
        help="A conservation score, one value a base; repeatable. DeepSEA's are called phastcons_primates, "
        "phylop_primates, gerp_neutral and gerp_rejected.",
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
