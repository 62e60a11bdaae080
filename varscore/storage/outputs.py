"""What can be known to be wrong with the names of a run's outputs before any work is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations

from varscore.errors import UsageError
from varscore.storage.atomic import demand_name, is_stream

INDEX_SUFFIXES = (".tbi", ".csi")
"""Of the files that may lie beside a bgzipped VCF or a BCF"""
INDEXES = (".fai", ".gzi", *INDEX_SUFFIXES)


def with_indexes(*paths: str) -> list[str]:
    """Inputs, and the names of the indexes that may lie beside them."""
    return [path + suffix for path in paths for suffix in ("", *INDEXES)]


def check_names(outputs: Sequence[str], inputs: Sequence[str], beside: Sequence[str] = ()) -> None:
    """Raises UsageError when two outputs are one file, one of them is an input, its name is too long or its folder is
    not there.

    beside: files that appear with the outputs under names made of theirs, and replace what has these names
    Links are followed. ``-`` may be an input and an output, but not two outputs; devices and pipes may be anything.
    """
    for first, second in combinations([*outputs, *beside], 2):
        if first == second == "-" or _same_file(first, second):
            raise UsageError("two outputs have the same name", where=second, remedy="give each a name of its own")
    for output in outputs:
        _refuse_input(output, inputs, "the output is also an input")
        if not is_stream(output) and not os.path.isdir(os.path.dirname(os.path.realpath(output))):
            raise UsageError("the output's folder does not exist", where=output, remedy="make the folder first")
    for side in beside:
        _refuse_input(side, inputs, "a file that goes with the output is also an input")
        if os.path.isdir(side) and not os.path.islink(side):
            raise UsageError("a folder has the name of a file that goes with the output", where=side, remedy="move it")
    for name in (*outputs, *beside):
        if not is_stream(name) or os.path.isdir(name):
            demand_name(name)


def _refuse_input(output: str, inputs: Sequence[str], message: str) -> None:
    for path in inputs:
        if _same_file(output, path) or _holds(output, path):
            cause = None if path == output else f"it is, or holds, {path}"
            raise UsageError(message, where=output, cause=cause, remedy="write to another file")


def _same_file(first: str, second: str) -> bool:
    if is_stream(first) or is_stream(second):
        return False
    with suppress(OSError):  # one of them is not there
        return os.path.samefile(first, second)
    return os.path.realpath(first) == os.path.realpath(second)


def _holds(folder: str, path: str) -> bool:
    """Whether ``path`` lies in an output that is a folder (of the one kind there is), and would go with it."""
    inside = os.path.join(os.path.realpath(folder), "")
    return (
        folder.endswith(".zarr")
        and os.path.isdir(folder)
        and not is_stream(path)
        and os.path.realpath(path).startswith(inside)
    )
