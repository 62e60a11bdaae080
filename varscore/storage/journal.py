"""The journal of a run: beside its output, what is needed to carry on after a kill, a full disk or a power cut.

One small file, ``.<output>.varscore-journal``, replaced as a whole at every commit, so that it is always either the old
one or the new. Its first line is the SHA-256 of the rest, which is JSON. Whoever can write to the folder can write a
journal too: it is believed only as far as it speaks of the outputs of the run that reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from varscore.errors import OutputError, UsageError
from varscore.storage.atomic import (
    SPOOL_SUFFIX,
    TEMPORARY_SUFFIX,
    SideFile,
    claim,
    hidden_name,
    output_errors,
    read_own,
    side_name,
)
from varscore.storage.outputs import INDEX_SUFFIXES
from varscore.storage.resumable import Placement
from varscore.storage.runjson import SUFFIX as RUN_SUFFIX

SUFFIX = ".varscore-journal"
MOST_BYTES = 1 << 30
START_ANEW = "pass `resume=False` to start anew"


class DamagedJournal(Exception):
    """A journal that is not what was written, or that speaks of what no run can have written."""


@dataclass(frozen=True)
class Entry:
    """How far a run had come when everything was last flushed to disk.

    key: what the run is, by name; a run with another key must not carry on
    records: records of the input that are done with; counts: of the run's summary
    blocks: of a shard, [block, records, rows] each; marks: of its outputs, by name
    targets: names of its outputs; placements: once everything is settled, what is left to do
    """

    key: Mapping[str, str]
    records: int = 0
    counts: Mapping[str, Any] = field(default_factory=dict)
    blocks: Sequence[Sequence[int]] = ()
    marks: Mapping[str, Any] = field(default_factory=dict)
    targets: Sequence[str] = ()
    placements: Sequence[Placement] | None = None


class Journal:
    """The journal beside ``output``, which is not a stream. Whoever uses it holds the lock of the output's file.

    further: the run's other outputs. A journal that would place or remove anything but these and the files that go with
    ``output`` is damaged.
    """

    def __init__(self, output: str, further: Sequence[str] = ()) -> None:
        self._output = output
        self._possible = possible_placements(output, further)
        self._all = {os.path.realpath(path) for path in (output, *further)}
        self.path = Path(hidden_name(os.path.realpath(output), SUFFIX))

    def read(self) -> Entry | None:
        """None when there is none. Raises DamagedJournal."""
        try:
            content = read_own(str(self.path), MOST_BYTES)
        except FileNotFoundError:
            return None
        except OutputError as error:
            raise DamagedJournal(error.cause) from None
        except OSError as error:
            raise DamagedJournal(error.strerror or str(error)) from None
        digest, _, text = content.partition(b"\n")
        if digest.decode("ascii", "replace") != hashlib.sha256(text).hexdigest():
            raise DamagedJournal("its checksum is wrong")
        try:
            entry = _parse(json.loads(text), self._possible)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise DamagedJournal(f"written by another varscore, or by none: {error}") from None
        if entry.placements is not None and not self._all <= {one.target for one in entry.placements if one.temporary}:
            raise DamagedJournal("it does not name all outputs of this run")
        return entry

    def write(self, entry: Entry) -> None:
        """Replace the journal; it is on the disk when this returns. Raises OutputError."""
        text = json.dumps(asdict(entry)).encode()
        file = SideFile(str(self.path))
        file.write(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
        file.commit()

    def remove(self) -> None:
        with output_errors(self._output), suppress(FileNotFoundError):
            self.path.unlink()

    def discard(self) -> None:
        """Remove it, and what it says is unfinished except the output itself, which is written anew.

        In another folder than the output's, and where another process is at work, everything stays.
        """
        with suppress(DamagedJournal):
            entry = self.read()
            output = os.path.realpath(self._output)
            for target in entry.targets if entry else ():
                if target != output and os.path.dirname(target) == os.path.dirname(output):
                    for suffix in (TEMPORARY_SUFFIX, SPOOL_SUFFIX):
                        _remove_unfinished(hidden_name(target, suffix))
        self.remove()


def demand_same(journal: Journal, entry: Entry, key: Mapping[str, str]) -> None:
    """Raises UsageError when the journal is of a run with another key."""
    differ = [name for name in {**entry.key, **key} if entry.key.get(name) != key.get(name)]
    if differ:
        raise UsageError(
            "an earlier run was not finished and this one is another", where=journal.path,
            cause=f"not the same: {', '.join(differ)}",
            remedy=f"give the command of the earlier run to carry on with it, or {START_ANEW}",
        )  # fmt: skip


def possible_placements(output: str, further: Sequence[str]) -> dict[tuple[str | None, str], Placement]:
    """All that can be left to do at the end of a run with these outputs, by hidden name and name."""
    found = []
    for target in (os.path.realpath(path) for path in (output, *further)):
        found += [Placement(hidden_name(target, TEMPORARY_SUFFIX), target)]
        found += [Placement(None, hidden_name(target, SPOOL_SUFFIX))]
    for side in (side_name(output + suffix) for suffix in (*INDEX_SUFFIXES, RUN_SUFFIX)):
        found += [Placement(hidden_name(side, TEMPORARY_SUFFIX), side, is_ours=True), Placement(None, side)]
    return {(one.temporary, one.target): one for one in found}


def _parse(fields: dict[str, Any], possible: Mapping[tuple[str | None, str], Placement]) -> Entry:
    """Raises KeyError, TypeError and ValueError for what no run has written, DamagedJournal for other files."""
    entry = Entry(
        key={str(name): str(value) for name, value in fields["key"].items()},
        records=_count(fields["records"]),
        counts=dict(fields["counts"]),
        blocks=[[_count(number) for number in (block, records, rows)] for block, records, rows in fields["blocks"]],
        marks={str(name): dict(mark) for name, mark in fields["marks"].items()},
        targets=[_absolute(target) for target in fields["targets"]],
    )
    if fields["placements"] is None:
        return entry
    placements = []
    for one in fields["placements"]:
        known = possible.get((one["temporary"], one["target"]))
        if known is None:
            raise DamagedJournal("it names files that are not this run's")
        stamp = None if one["stamp"] is None else tuple(_count(number) for number in one["stamp"])
        placements.append(Placement(known.temporary, known.target, known.is_ours, stamp))
    return Entry(**{**vars(entry), "placements": placements})


def _count(number: object) -> int:
    if type(number) is not int or not 0 <= number < 1 << 63:
        raise ValueError(f"{number!r} is no number")
    return number


def _absolute(path: object) -> str:
    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path:
        raise ValueError(f"{path!r} is no name")
    return path


def _remove_unfinished(name: str) -> None:
    """Remove a hidden file or folder unless somebody is writing it, or it is nothing of ours."""
    if os.path.isdir(name) and not os.path.islink(name):
        shutil.rmtree(name, ignore_errors=True)
        return
    with suppress(OSError, OutputError):
        if os.path.lexists(name) and (descriptor := claim(name)) is not None:
            os.unlink(name)
            os.close(descriptor)
