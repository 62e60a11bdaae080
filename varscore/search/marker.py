"""What makes a folder the study of a search. Nothing here loads a network, so that a command can ask at once."""

from __future__ import annotations

from pathlib import Path

from varscore.errors import DataError

STUDY = "study.toml"


def demand_study(folder: Path) -> None:
    """Raises DataError for a folder that holds none."""
    if not (folder / STUDY).is_file():
        raise DataError("no study", where=folder, remedy="`varscore search --data DATA -o STUDY` begins one")
