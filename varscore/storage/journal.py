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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from varscore.errors import OutputError, UsageError
from varscore.storage.atomic import (
    SPOOL_SUFFIX,
    TEMPORARY_SUFFIX,
    SideFile,
    hidden_name,
    output_errors,
    side_name,
)
from varscore.storage.fields import count, entries, mapping, text
from varscore.storage.locks import claim, read_own
from varscore.storage.outputs import INDEX_SUFFIXES
from varscore.storage.runjson import SUFFIX as RUN_SUFFIX
from varscore.storage.stages import Placement

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
    counts: Mapping[str, object] = field(default_factory=dict)
    blocks: Sequence[Sequence[int]] = ()
    marks: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
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
        digest, _, body = content.partition(b"\n")
        if digest.decode("ascii", "replace") != hashlib.sha256(body).hexdigest():
            raise DamagedJournal("its checksum is wrong")
        try:
            entry = _parse(mapping(json.loads(body)), self._possible)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise DamagedJournal(f"written by another varscore, or by none: {error}") from None
        if entry.placements is not None and not self._all <= {one.target for one in entry.placements if one.temporary}:
            raise DamagedJournal("it does not name all outputs of this run")
        return entry

    def write(self, entry: Entry) -> None:
        """Replace the journal; it is on the disk when this returns. Raises OutputError."""
        body = json.dumps(asdict(entry)).encode()
        with SideFile(str(self.path)) as file:
            file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)

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
            "an earlier run was not finished and this one is another",
            where=journal.path,
            cause=f"not the same: {', '.join(differ)}",
            remedy=f"give the command of the earlier run to carry on with it, or {START_ANEW}",
        )


def possible_placements(output: str, further: Sequence[str]) -> dict[tuple[str | None, str], Placement]:
    """All that can be left to do at the end of a run with these outputs, by hidden name and name."""
    found = []
    for target in (os.path.realpath(path) for path in (output, *further)):
        found += [Placement(hidden_name(target, TEMPORARY_SUFFIX), target)]
        found += [Placement(None, hidden_name(target, SPOOL_SUFFIX))]
    for side in (side_name(output + suffix) for suffix in (*INDEX_SUFFIXES, RUN_SUFFIX)):
        found += [Placement(hidden_name(side, TEMPORARY_SUFFIX), side, is_ours=True), Placement(None, side)]
    return {(one.temporary, one.target): one for one in found}


def _parse(fields: Mapping[str, object], possible: Mapping[tuple[str | None, str], Placement]) -> Entry:
    """Raises KeyError, TypeError and ValueError for what no run has written, DamagedJournal for other files."""
    entry = Entry(
        key={name: str(value) for name, value in mapping(fields["key"]).items()},
        records=count(fields["records"]),
        counts=mapping(fields["counts"]),
        blocks=[_block(block) for block in entries(fields["blocks"])],
        marks={name: mapping(mark) for name, mark in mapping(fields["marks"]).items()},
        targets=[_absolute(target) for target in entries(fields["targets"])],
    )
    if fields["placements"] is None:
        return entry
    return replace(entry, placements=[_placement(mapping(one), possible) for one in entries(fields["placements"])])


def _block(value: object) -> list[int]:
    block, records, rows = map(count, entries(value))
    return [block, records, rows]


def _placement(fields: Mapping[str, object], possible: Mapping[tuple[str | None, str], Placement]) -> Placement:
    temporary = None if fields["temporary"] is None else text(fields["temporary"])
    known = possible.get((temporary, text(fields["target"])))
    if known is None:
        raise DamagedJournal("it names files that are not this run's")
    stamp = None if fields["stamp"] is None else tuple(map(count, entries(fields["stamp"])))
    return replace(known, stamp=stamp)


def _absolute(value: object) -> str:
    path = text(value)
    if not os.path.isabs(path) or "\0" in path:
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
