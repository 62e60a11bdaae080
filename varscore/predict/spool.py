"""Values of tracks that wait until all are known: each track is a file of its own, and pieces come with all of them."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from varscore.errors import OutputError, VarscoreError
from varscore.storage.atomic import DamagedPartial, Mark, Spool
from varscore.storage.pieces import PieceJournal

Later = Callable[[Callable[[], None]], object]
"""Given what is to be done last of all"""
log = logging.getLogger(__name__)


class TrackSpool:
    """The values of all pieces of some tracks, in a hidden file beside ``record``, which will be written last.

    windows: of each piece; key: what the work is, see PieceJournal; done: pieces that are there already
    A context manager: what is committed stays for the next process when it is left early. Raises UsageError and
    OutputError.
    """

    def __init__(
        self, record: Path, windows: Sequence[int], tracks: int, key: Mapping[str, str], *, resume: bool
    ) -> None:
        made = not record.parent.exists()
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError("cannot make the folder", where=record.parent, cause=error.strerror) from None
        self._tracks, self._folder = tracks, record.parent if made else None
        self._offsets = np.concatenate([[0], np.cumsum(4 * tracks * np.array(windows, np.int64))]).tolist()
        self._file = Spool(str(record), keep=resume)
        try:
            self._journal = PieceJournal(str(record), key, resume=resume)
            self._carry_on()
        except BaseException:
            self._file.suspend()
            raise
        self.done = self._journal.done
        self._finished = False
        if self.done:
            log.info("carrying on after the first %s of %s pieces", f"{self.done:,}", f"{len(windows):,}")

    def _carry_on(self) -> None:
        """Go back to where the journal says, or to the beginning."""
        if self._journal.done:
            try:
                mark = Mark.parse(self._journal.marks["spool"]["file"])
                if mark.length != self._offsets[self._journal.done]:
                    raise ValueError("it is of other pieces")
                self._file.carry_on(mark)
                return
            except (DamagedPartial, KeyError, TypeError, ValueError, IndexError) as damage:
                self._journal.distrust(str(damage))
        self._file.empty()

    def add(self, values: NDArray[np.float32]) -> None:
        """Those of the next piece, float32 (tracks, windows)."""
        self._file.write(values.astype("<f4", copy=False).tobytes())
        self.done += 1
        if self._journal.is_time:
            self.commit()

    def commit(self) -> None:
        start = time.monotonic()
        mark = self._file.mark()
        self._journal.commit(self.done, {"spool": {"file": mark.fields()}}, time.monotonic() - start)

    def read(self, track: int, number: int) -> NDArray[np.float32]:
        """The values of a track in a piece, float32 (windows,)."""
        first, end = self._offsets[number], self._offsets[number + 1]
        size = (end - first) // self._tracks
        return np.frombuffer(self._file.read_at(first + track * size, size), "<f4")

    def settle(self, record: str) -> None:
        """All tracks are in place; record: the text that is to be put beside them, last of all."""
        mark = self._file.mark()
        done = {"sha256": hashlib.sha256(record.encode()).hexdigest()}
        self._journal.commit(self.done, {"spool": {"file": mark.fields()}, "done": done})

    def finish(self, later: Later) -> None:
        """Everything has been written."""
        self._finished = True
        self._file.abort()
        later(self._journal.remove)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._finished:
            return
        with suppress(VarscoreError, OSError):
            if self.done > self._journal.done:
                self.commit()
        if self._journal.done:
            self._file.suspend()
            log.warning("%s pieces are done; the same command carries on from there", f"{self._journal.done:,}")
            return
        self._file.abort()
        if self._folder is not None:
            with suppress(OSError):
                self._folder.rmdir()
