"""Tasks by what people call them: names, globs, numbers, and the spelling of VS_TASK."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from varscore.data.examples import Task
from varscore.errors import UsageError
from varscore.files.scores import safe

SHOWN = 3
"""Near matches in a message"""


def fitting(tasks: Sequence[Task], glob: str) -> list[int]:
    """Indices of the tasks with the number ``glob``, or to one of whose names it fits, in any case:
    ``GM12878|SIN3A``, ``GM12878_SIN3A`` as VS_TASK has it, or either after ``index:``."""
    wanted = glob.lower()
    return [
        index
        for index, task in enumerate(tasks)
        if wanted == str(index) or any(name == wanted or fnmatchcase(name, wanted) for name in _spellings(index, task))
    ]


def choose(tasks: Sequence[Task], globs: Sequence[str], option: str) -> list[int]:
    """Indices of the tasks that fit one of the globs, ascending. Raises UsageError when a glob fits none."""
    chosen: set[int] = set()
    for glob in globs:
        fits = fitting(tasks, glob)
        if not fits:
            raise UsageError(
                f"{option} {glob!r} matches none of the {len(tasks)} tasks", cause=f"near it are {_near(tasks, glob)}",
                remedy="`varscore models tasks MODEL` lists them",
            )  # fmt: skip
        chosen.update(fits)
    return sorted(chosen)


def _spellings(index: int, task: Task) -> tuple[str, ...]:
    name, spelled = task.name.lower(), safe(task.name).lower()
    return name, f"{index}:{name}", spelled, f"{index}:{spelled}"


def _near(tasks: Sequence[Task], glob: str) -> str:
    """Names that have the glob's letters in them, else those that are spelled most alike."""
    letters = safe(glob.lower()).replace("_", "")
    names = {task.name: safe(task.name.lower()).replace("_", "") for task in tasks}
    found = [name for name, bare in names.items() if letters and letters in bare]
    if not found:
        alike = difflib.get_close_matches(letters, names.values(), SHOWN, 0)
        found = [name for close in alike for name, bare in names.items() if bare == close]
    return ", ".join(found[:SHOWN])
