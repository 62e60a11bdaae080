"""What a run is asked to reuse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reuse:
    """Where scores may be that are there already.

    cache: a folder, limit: its size in bytes; matrix: whether it keeps the effects on all tasks, or the columns only
    archive: a file; archive_only: nothing is computed; any_device: its scores may differ in their last digits
    """

    cache: Path | None = None
    limit: int | None = None
    matrix: bool = False
    archive: Path | None = None
    archive_only: bool = False
    any_device: bool = False

    @property
    def is_on(self) -> bool:
        return self.cache is not None or self.archive is not None
