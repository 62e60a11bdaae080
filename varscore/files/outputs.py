"""What can be known to be wrong with the names of a run's outputs before any work is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations

from varscore.errors import UsageError
from varscore.files.atomic import is_stream


def check_names(outputs: Sequence[str], inputs: Sequence[str]) -> None:
    """Raises UsageError when two outputs are one file, an output is an input, or its folder is not there.

    Links are followed. ``-`` may be an input and an output, but not two outputs; devices and pipes may be anything.
    """
    for first, second in combinations(outputs, 2):
        if first == second == "-" or _same_file(first, second):
            raise UsageError("two outputs have the same name", where=second, remedy="give each a name of its own")
    for output in outputs:
        if any(_same_file(output, path) for path in inputs):
            raise UsageError("the output is also an input", where=output, remedy="write to another file")
        if not is_stream(output) and not os.path.isdir(os.path.dirname(os.path.realpath(output))):
            raise UsageError("the output's folder does not exist", where=output, remedy="make the folder first")


def _same_file(first: str, second: str) -> bool:
    if is_stream(first) or is_stream(second):
        return False
    with suppress(OSError):  # one of them is not there
        return os.path.samefile(first, second)
    return os.path.realpath(first) == os.path.realpath(second)
