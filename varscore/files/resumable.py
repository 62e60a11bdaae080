"""What every output of a run can do: be finished under a hidden name, be put in place, be left and carried on with."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from varscore.errors import OutputExists
from varscore.files.atomic import AtomicFile, DamagedPartial, PartialFile, output_errors, sync_folder
from varscore.files.folders import replace_folder


@dataclass(frozen=True)
class Placement:
    """A finished file or folder under its hidden name, and the name that it is to have.

    Without a hidden name (None), ``target`` is to be removed: an index that would point into the wrong file, a spool.
    """

    temporary: str | None
    target: str
    is_ours: bool = False
    """Whether an older file goes with what is replaced: an index, a run.json"""


def place_all(placements: Sequence[Placement], *, force: bool) -> None:
    """Carry on where a killed process stopped renaming: what is not under its hidden name is in place already.

    Raises, before anything is renamed, DamagedPartial when something is under neither name, OutputExists when it is
    under both, without ``force``; OutputError.
    """
    for placement in placements:
        if placement.temporary is None:
            continue
        waits, there = os.path.exists(placement.temporary), os.path.exists(placement.target)
        if not waits and not there:
            raise DamagedPartial(placement.temporary)
        if waits and there and not (force or placement.is_ours):
            raise OutputExists("the output exists already", where=placement.target, remedy="pass --force")
    placed = {placement.target for placement in placements if placement.temporary}
    for placement in placements:
        with output_errors(placement.target):
            if placement.temporary is None:
                if os.path.realpath(placement.target) not in placed:  # else it may be the new one already
                    with suppress(FileNotFoundError):
                        os.unlink(placement.target)
            elif os.path.isdir(placement.temporary):
                replace_folder(placement.temporary, placement.target)
            elif os.path.exists(placement.temporary):
                os.rename(placement.temporary, placement.target)
                sync_folder(os.path.dirname(placement.target))


def removal(spool: PartialFile) -> list[Placement]:
    """What is left to do with a spool once its output is in place."""
    return [] if spool.direct else [Placement(None, spool.temporary)]


class Output(ABC):
    """An output that appears only when all of it is written. Raises OutputError.

    As a context manager it closes on success and aborts on an exception.
    """

    @abstractmethod
    def settle(self) -> list[Placement]:
        """Finish, under hidden names, and flush to disk; returns what :meth:`place` will do, in its order."""

    @abstractmethod
    def place(self) -> None:
        """Give what is settled its name."""

    @abstractmethod
    def abort(self) -> None:
        """Leave everything as it was before; does nothing after close or abort."""

    @abstractmethod
    def suspend(self) -> None:
        """Close, and leave what is under hidden names to a later run."""

    def close(self) -> None:
        """Finish and put in place. When that fails nothing is left behind."""
        try:
            self.settle()
            self.place()
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()


class FileOutput(Output):
    """An output that is one file, ``_file``, and has no name but that file's."""

    _file: AtomicFile | Output

    def place(self) -> None:
        self._file.place()

    def suspend(self) -> None:
        self._file.suspend()

    def abort(self) -> None:
        self._file.abort()


class Resumable(Output):
    """An output that can be left half-written, and carried on with by giving its mark to the next of its kind."""

    @abstractmethod
    def mark(self) -> dict[str, Any]:
        """Flush to disk; what the next needs to know, as JSON."""

    def facts(self) -> dict[str, Any]:
        """What run.json should say of it, as JSON: for the text of a shard where its blocks of records stand."""
        return {}
