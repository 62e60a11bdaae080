"""What can be known to be wrong with the names of a run's outputs before any work is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations

from varscore.errors import UsageError
from varscore.storage.atomic import demand_name, is_stream

INDEX_SUFFIXES = (".tbi", ".csi")
"""Of the files that may lie beside a bgzipped VCF or a BCF"""
INDEXES = (".fai", ".gzi", *INDEX_SUFFIXES)


def with_indexes(*paths: str) -> list[str]:
    """Inputs, and the names of the indexes that may lie beside them."""
    return [path + suffix for path in paths for suffix in ("", *INDEXES)]


@dataclass(frozen=True)
class _Named:
    """A path, looked at once. file: device and inode of what has the name, None for nothing; place: without links"""

    path: str
    is_stream: bool
    file: tuple[int, int] | None
    place: str

    @classmethod
    def of(cls, path: str) -> _Named:
        file = None
        with suppress(OSError):
            about = os.stat(path)
            file = about.st_dev, about.st_ino
        return cls(path, is_stream(path), file, os.path.realpath(path))

    def is_same(self, other: _Named) -> bool:
        if self.is_stream or other.is_stream:
            return False
        return self.file == other.file if self.file and other.file else self.place == other.place

    def holds(self, other: _Named) -> bool:
        """Whether ``other`` lies in this output, a folder (of the one kind there is), and would go with it."""
        is_folder = self.path.endswith(".zarr") and os.path.isdir(self.path)
        return is_folder and not other.is_stream and other.place.startswith(os.path.join(self.place, ""))


def check_names(outputs: Sequence[str], inputs: Sequence[str], beside: Sequence[str] = ()) -> None:
    """Raises UsageError when two outputs are one file, one of them is an input, its name is too long or its folder is
    not there.

    beside: files that appear with the outputs under names made of theirs, and replace what has these names
    Links are followed. ``-`` may be an input and an output, but not two outputs; devices and pipes may be anything.
    """
    written, sides, read = ([_Named.of(path) for path in paths] for paths in (outputs, beside, inputs))
    for first, second in combinations([*written, *sides], 2):
        if first.path == second.path == "-" or first.is_same(second):
            raise UsageError("two outputs have the same name", where=second.path, remedy="give each a name of its own")
    for output in written:
        _refuse_input(output, read, "the output is also an input")
        if not output.is_stream and not os.path.isdir(os.path.dirname(output.place)):
            raise UsageError("the output's folder does not exist", where=output.path, remedy="make the folder first")
    for side in sides:
        _refuse_input(side, read, "a file that goes with the output is also an input")
        if os.path.isdir(side.path) and not os.path.islink(side.path):
            raise UsageError(
                "a folder has the name of a file that goes with the output", where=side.path, remedy="move it"
            )
    for name in (*written, *sides):
        if not name.is_stream or os.path.isdir(name.path):
            demand_name(name.path)


def _refuse_input(output: _Named, inputs: Sequence[_Named], message: str) -> None:
    for given in inputs:
        if output.is_same(given) or output.holds(given):
            cause = None if given.path == output.path else f"it is, or holds, {given.path}"
            raise UsageError(message, where=output.path, cause=cause, remedy="write to another file")
