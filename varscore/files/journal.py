"""The journal of a run: beside its output, what is needed to carry on after a kill, a full disk or a power cut.

One small file, ``.<output>.varscore-journal``, replaced as a whole at every commit, so that it is always either the old
one or the new. Its first line is the SHA-256 of the rest, which is JSON.
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

from varscore.errors import UsageError
from varscore.files.atomic import SPOOL_SUFFIX, TEMPORARY_SUFFIX, AtomicFile, hidden_name, output_errors
from varscore.files.resumable import Placement

SUFFIX = ".varscore-journal"
START_ANEW = "pass --no-resume to start anew"


class DamagedJournal(Exception):
    """A journal that is not what was written, or that lists bytes which are not there."""


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
    """The journal beside ``output``, which is not a stream. Whoever uses it holds the lock of the output's file."""

    def __init__(self, output: str) -> None:
        self._output = output
        self.path = Path(hidden_name(os.path.realpath(output), SUFFIX))

    def read(self) -> Entry | None:
        """None when there is none. Raises DamagedJournal."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedJournal(str(error)) from None
        digest, _, text = content.partition(b"\n")
        if digest.decode("ascii", "replace") != hashlib.sha256(text).hexdigest():
            raise DamagedJournal("its checksum is wrong")
        return _parse(json.loads(text))

    def write(self, entry: Entry) -> None:
        """Replace the journal; it is on the disk when this returns. Raises OutputError."""
        text = json.dumps(asdict(entry)).encode()
        file = AtomicFile(str(self.path), force=True)
        file.write(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
        file.commit()

    def remove(self) -> None:
        with output_errors(self._output), suppress(FileNotFoundError):
            self.path.unlink()

    def discard(self) -> None:
        """Remove it, and what it says is unfinished except the output itself, which is written anew."""
        with suppress(DamagedJournal):
            entry = self.read()
            kept = hidden_name(os.path.realpath(self._output), TEMPORARY_SUFFIX)
            targets = entry.targets if entry else ()
            for name in (hidden_name(t, suffix) for t in targets for suffix in (TEMPORARY_SUFFIX, SPOOL_SUFFIX)):
                if name != kept:
                    with suppress(FileNotFoundError):
                        shutil.rmtree(name) if os.path.isdir(name) else os.unlink(name)
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


def _parse(fields: dict[str, Any]) -> Entry:
    try:
        placements = fields.pop("placements")
        return Entry(**fields, placements=None if placements is None else [Placement(**one) for one in placements])
    except (KeyError, TypeError) as error:
        raise DamagedJournal(f"written by another varscore: {error}") from None
