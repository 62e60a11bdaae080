"""Long works that are done piece by piece into one output: how many pieces are done, in a journal beside it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping

from varscore.storage.journal import DamagedJournal, Entry, Journal, demand_same

COMMIT_SECONDS = 3.0
"""Between two commits, at least"""
COMMIT_SHARE = 0.02
"""Of the time, what commits may take at most"""
log = logging.getLogger(__name__)


class PieceJournal:
    """key: what the work is, by name; an earlier one with another is refused. resume: whether there is a journal at all

    done, marks: how far an earlier process has come, and where its files stood then; 0 and empty for a new work
    Whoever uses it holds the lock of the output's file. Raises UsageError and OutputError.
    """

    def __init__(self, output: str, key: Mapping[str, str], *, resume: bool) -> None:
        self._output, self._key = output, key
        self._journal = Journal(output) if resume else None
        self.done, self.marks = 0, dict[str, Mapping[str, object]]()
        self._next = time.monotonic() + COMMIT_SECONDS
        if self._journal is None:
            Journal(output).discard()
            return
        try:
            entry = self._journal.read()
        except DamagedJournal as damage:
            self.distrust(str(damage))
            return
        if entry is not None:
            demand_same(self._journal, entry, key)
            self.done, self.marks = entry.records, dict(entry.marks)

    def distrust(self, cause: str) -> None:
        """Say that what an earlier process has left cannot be carried on with."""
        log.warning("the journal of an earlier run is damaged (%s): this one starts anew", cause)
        self.done, self.marks = 0, {}

    @property
    def is_time(self) -> bool:
        """Whether the next commit is due."""
        return self._journal is not None and time.monotonic() >= self._next

    def commit(self, done: int, mark: Mapping[str, Mapping[str, object]], seconds: float = 0.0) -> None:
        """Say that so many pieces are on the disk.

        mark: where the files stand, a table a file; seconds: what flushing them took
        """
        if self._journal is None:
            return
        start = time.monotonic()
        targets = [os.path.realpath(self._output)]
        self._journal.write(Entry(key=self._key, records=done, marks=mark, targets=targets))
        self.done, self.marks = done, dict(mark)
        end = time.monotonic()
        self._next = end + max(COMMIT_SECONDS, (end - start + seconds) / COMMIT_SHARE)

    def remove(self) -> None:
        """The work is done, its output in place."""
        if self._journal is not None:
            self._journal.remove()
