"""The stages that every output goes through: it is settled, finished under a hidden name, then placed under its own;
or it is given up, or left to a later run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Placement:
    """A finished file or folder under its hidden name, and the name that it is to have.

    Without a hidden name (None), ``target`` is to be removed: an index that would point into the wrong file, a spool.
    """

    temporary: str | None
    target: str
    is_ours: bool = False
    """Whether an older file goes with what is replaced: an index, a run.json"""
    stamp: tuple[int, ...] | None = None
    """Of what is finished: inode, size and time of its last change, which renaming leaves as they are"""


class Output(ABC):
    """An output, a file or a folder or several, that appears only when all of it is written. Raises OutputError.

    As a context manager it commits on success and aborts on an exception.
    """

    @abstractmethod
    def settle(self) -> list[Placement]:
        """Finish, under hidden names, and flush to disk; returns what :meth:`place` will do, in its order."""

    @abstractmethod
    def place(self) -> None:
        """Give what is settled its name."""

    @abstractmethod
    def abort(self) -> None:
        """Leave everything as it was before; does nothing after commit or abort."""

    @abstractmethod
    def suspend(self) -> None:
        """Close, and leave what is under hidden names to a later run."""

    def commit(self) -> None:
        """Finish and put in place. When that fails, what was there before still is, and nothing is left behind."""
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
            self.commit()
        else:
            self.abort()
