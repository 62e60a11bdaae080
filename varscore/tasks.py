"""Tasks: their table, and what people call them: names, globs, numbers, and the spelling of VS_TASK."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, UsageError

NAMING = ("cell", "mark", "treatment")
"""What is told of a task besides its name, where its source says it; ``mark`` is the assay or the protein"""
SHOWN = 3
"""Near matches in a message"""
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:+-]")


@dataclass(frozen=True)
class Task:
    """One column of labels. ``group`` is its class (DNase, TF, histone, ...), ``facts`` what else the source said."""

    index: int
    name: str
    group: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    def told(self, fact: str) -> str:
        """One of the facts, empty where there is none."""
        return self.facts.get(fact, "")


def several(given: str | Integral | Task | Iterable[object] | None) -> tuple[str, ...]:
    """Names and numbers that a caller gave, one of them alone too: a text is a name, not a list of letters."""
    if given is None:
        return ()
    every = [given] if isinstance(given, str | Integral | Task) else given
    return tuple(f"{one.index}:{one.name}" if isinstance(one, Task) else str(one) for one in every)


def format_tasks(tasks: Sequence[Task]) -> str:
    """The text of ``tasks.tsv``."""
    columns = list(dict.fromkeys(key for task in tasks for key in task.facts))
    text = io.StringIO()
    rows = csv.writer(text, delimiter="\t", lineterminator="\n")
    rows.writerow(["index", "name", "group", *columns])
    for task in tasks:
        rows.writerow([task.index, task.name, task.group, *(task.facts.get(column, "") for column in columns)])
    return text.getvalue()


def parse_tasks(text: str) -> tuple[Task, ...]:
    """Raises DataError when the text is no task table, or its indices are not 0, 1, 2, ..."""
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
        tasks = tuple(
            Task(int(row.pop("index")), row.pop("name"), row.pop("group"), {k: v for k, v in row.items() if v})
            for row in rows
        )
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError("not a task table", cause=f"{type(error).__name__}: {error}") from None
    if not tasks:
        raise DataError("not a task table", cause="it has no line but the header")
    if odd := [task for task in tasks if "\0" in f"{task.name}{task.group}"]:  # which no format could hold
        raise DataError("not a task table", cause=f"task {odd[0].index} has a NUL in its name, {odd[0].name!r}")
    ragged = any(None in task.facts or task.group is None for task in tasks)
    if ragged or [task.index for task in tasks] != list(range(len(tasks))):
        raise DataError(
            "not a task table", cause="it wants one line a task, in order, with as many columns as the header"
        )
    return tasks


def shared(tasks: Sequence[Task], others: Sequence[Task]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tasks that two lists have by name: their places in each, int64 (k,), ascending in the first.

    Of a name that stands in a list more than once (DeepSEA's lists have such), the n-th is the n-th of the other.
    """
    places: dict[tuple[str, int], int] = dict(zip(_numbered(others), range(len(others)), strict=True))
    pairs = [(at, places[key]) for at, key in enumerate(_numbered(tasks)) if key in places]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _numbered(tasks: Sequence[Task]) -> list[tuple[str, int]]:
    """Each task's name, and how many before it have that name."""
    seen: Counter[str] = Counter()
    keys = []
    for task in tasks:
        keys.append((task.name, seen[task.name]))
        seen[task.name] += 1
    return keys


def safe(text: str) -> str:
    """``text`` with every character that a VCF value could trip over replaced by ``_``."""
    return _UNSAFE.sub("_", text)


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
    """Indices of the tasks that fit one of the globs, ascending.

    Raises UsageError when a glob fits none, or is the number of one task and the name of another.
    """
    chosen: set[int] = set()
    for glob in globs:
        fits = fitting(tasks, glob)
        if glob.isdecimal() and len(fits) > 1 and (named := [one for one in fits if str(one) != glob]):
            names = " or ".join(f"{one}:{tasks[one].name}" for one in (int(glob), named[0]))
            raise UsageError(f"{option} {glob!r} is the number of one task and the name of another", remedy=names)
        if not fits:
            raise UsageError(
                f"{option} {glob!r} matches none of the {len(tasks)} tasks",
                cause=f"near it are {_near(tasks, glob)}",
                remedy="`varscore models tasks MODEL` lists them",
            )
        chosen.update(fits)
    return sorted(chosen)


def search(tasks: Sequence[Task], text: str, option: str) -> list[int]:
    """Indices of the tasks that have ``text`` in their name or in what is known of them, in any case, ascending; of a
    glob those that it fits. Raises UsageError when there is none."""
    wanted = text.lower()
    found = [
        task.index
        for task in tasks
        if any(wanted in told.lower() for told in (task.name, task.group, *map(task.told, NAMING)))
    ]
    return found or choose(tasks, [text], option)


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
