"""Outputs of a run that a later process carries on with, or only has to rename."""

from __future__ import annotations

import os
import stat
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from varscore.errors import OutputExists
from varscore.storage.atomic import DamagedPartial, PartialFile, output_errors, sync_folder
from varscore.storage.folders import replace_folder
from varscore.storage.stages import Output, Placement
from varscore.storage.textfacts import TextFacts


def stamped(placements: Sequence[Placement]) -> list[Placement]:
    """The same with the stamps of what lies under the hidden names now. Raises OSError."""
    return [one if one.temporary is None else replace(one, stamp=_stamp(one.temporary)) for one in placements]


def _stamp(path: str) -> tuple[int, ...] | None:
    """None when there is nothing, or neither a file nor a folder."""
    try:
        about = os.lstat(path)
    except OSError:
        return None
    if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def place_all(placements: Sequence[Placement], *, force: bool) -> None:
    """Carry on where a killed process stopped renaming: what is not under its hidden name is in place already.

    Raises, before anything is renamed, DamagedPartial when what was finished is under neither name, OutputExists when
    something else is under the name that it is to have, without ``force``; OutputError.
    """
    for placement in placements:
        if placement.temporary is None:
            continue
        waits = os.path.lexists(placement.temporary)
        if _stamp(placement.temporary if waits else placement.target) != placement.stamp:
            raise DamagedPartial(placement.temporary)
        if waits and os.path.exists(placement.target) and not (force or placement.is_ours):
            raise OutputExists("the output exists already", where=placement.target, remedy="pass `force`")
    placed = {placement.target for placement in placements if placement.temporary}
    for placement in placements:
        with output_errors(placement.target):
            if placement.temporary is None:
                if placement.target not in placed:  # else it may be the new one already
                    with suppress(FileNotFoundError):
                        os.unlink(placement.target)
            else:
                _put_in_place(placement.temporary, placement.target)
                if _stamp(placement.target) != placement.stamp:
                    raise DamagedPartial(placement.temporary)


def _put_in_place(temporary: str, target: str) -> None:
    """Rename what is finished, unless another process that carries on with the same run has just done so."""
    with suppress(FileNotFoundError):
        if os.path.isdir(temporary):
            replace_folder(temporary, target)
        elif os.path.exists(temporary):
            os.rename(temporary, target)
    sync_folder(os.path.dirname(target))


def removal(spool: PartialFile) -> list[Placement]:
    """What is left to do with a spool once its output is in place."""
    return [] if spool.direct else [Placement(None, spool.temporary)]


class FileOutput(Output):
    """An output that is one file, ``_file``, and has no name but that file's."""

    _file: Output

    def place(self) -> None:
        self._file.place()

    def suspend(self) -> None:
        self._file.suspend()

    def abort(self) -> None:
        self._file.abort()


class Resumable(Output):
    """An output that can be left half-written, and carried on with by giving its mark to the next of its kind."""

    @abstractmethod
    def mark(self) -> dict[str, object]:
        """Flush to disk; what the next needs to know, as JSON."""

    def facts(self) -> TextFacts:
        """For the text of a shard, where its blocks of records stand."""
        return TextFacts()
