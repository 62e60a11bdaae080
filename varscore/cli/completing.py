"""What the shell offers when somebody presses Tab: names of models and of their tasks. Quick, and never an error."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import typer


def models(incomplete: str) -> list[str]:
    """Models whose names begin so."""
    return [name for name in _models() if name.startswith(incomplete)]


def tasks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Tasks of the model that the command line names, or of the default one, that have the letters anywhere."""
    wanted = incomplete.strip("'\"*").lower()
    given = {**ctx.params}.get("model") or {**ctx.params}.get("name")
    return [name for name in _tasks(given) if wanted in name.lower()]


def _models() -> dict[str, Path]:
    from varscore.zoo.shelf import available

    with suppress(OSError):
        return available()
    return {}


def _tasks(given: object) -> Iterator[str]:
    from varscore.zoo.card import CARD, TASKS

    folders = _models()
    if isinstance(given, str):
        folder: Path | None = folders.get(given, Path(given))
    else:
        default = (path for path in folders.values() if "default = true" in (path / CARD).read_text(errors="replace"))
        folder = next(default, None)
    with suppress(OSError, KeyError, UnicodeDecodeError):
        if folder is not None:
            with (folder / TASKS).open(newline="", encoding="utf-8") as file:
                yield from (row["name"] for row in csv.DictReader(file, delimiter="\t"))
