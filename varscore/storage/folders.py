"""Folders that appear under their final name only when they are complete."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from varscore.errors import OutputError, OutputExists
from varscore.storage.atomic import TEMPORARY_SUFFIX, demand_name, hidden_name, output_errors
from varscore.storage.locks import try_lock
from varscore.storage.stages import Output, Placement


def own_name(folder: Path) -> str:
    """A folder's name, also of one that is called ``.`` from where we stand."""
    return os.path.basename(os.path.abspath(folder))


def refuse_existing_folder(path: str, marker: str, *, force: bool) -> None:
    """Raise OutputExists when ``path`` is there, unless ``force`` and it is a folder that holds a file ``marker``.

    Raises UsageError for a name that is too long.
    """
    demand_name(path)
    if not os.path.exists(path):
        return
    if not force:
        raise OutputExists("the output exists already", where=path, remedy="choose another name or pass `force`")
    if not os.path.isfile(os.path.join(path, marker)):
        raise OutputExists(
            "the output exists and is something else",
            where=path,
            cause=f"it has no {marker}",
            remedy="remove it yourself, or choose another name",
        )


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Of the processes that share a folder, one is inside the block; the others wait. It ends with the process."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


class AtomicFolder(Output):
    """A folder, filled under the name ``temporary`` beside its target and renamed by :meth:`commit`.

    Like :class:`varscore.storage.atomic.AtomicFile` it is locked while it is filled, reuses what a killed process left
    behind, and follows a symbolic link. An existing folder is replaced only with ``force`` and only when it holds a
    file ``marker``, so that nothing but an earlier output can be lost. No rename replaces a folder that has files: the
    old one is moved aside first, and a crash between the two renames leaves both, complete, under hidden names.

    Raises OutputExists and OutputError.
    """

    def __init__(self, path: str, *, marker: str, force: bool = False) -> None:
        self.path, self._marker, self._force = path, marker, force
        self.target = os.path.realpath(path)
        refuse_existing_folder(self.path, self._marker, force=self._force)
        self.temporary = hidden_name(self.target, TEMPORARY_SUFFIX)
        with output_errors(path):
            self._lock = claim_folder(self.temporary)
        if self._lock is None:
            raise OutputError(
                "another process is writing this folder", where=path, remedy="wait for it, or choose another output"
            )

    def settle(self) -> list[Placement]:
        with output_errors(self.path):
            for folder, _, files in os.walk(self.temporary):
                for name in [*files, "."]:
                    _sync(os.path.join(folder, name))
        return [Placement(self.temporary, self.target)]

    def place(self) -> None:
        with output_errors(self.path):
            refuse_existing_folder(self.path, self._marker, force=self._force)
            replace_folder(self.temporary, self.target)
            self._unlock()

    def abort(self) -> None:
        if self._lock is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)
            self._unlock()

    def suspend(self) -> None:
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def replace_folder(folder: str, target: str) -> None:
    """Rename ``folder`` to ``target``, an absolute path, and remove what was there before. Raises OSError.

    Of several processes that do so, the last one's folder stays.
    """
    parent, old = os.path.dirname(target), hidden_name(target, f"{TEMPORARY_SUFFIX}-old")
    with one_at_a_time(Path(parent)):
        if os.path.exists(target):
            shutil.rmtree(old, ignore_errors=True)  # left by a crash after the renames
            os.rename(target, old)
        try:
            os.rename(folder, target)
        except OSError:
            with suppress(FileNotFoundError):
                os.rename(old, target)
            raise
        _sync(parent)
        shutil.rmtree(old, ignore_errors=True)


def claim_folder(folder: str) -> int | None:
    """Create or take over ``folder``, locked and empty; its descriptor, or None when another process has it.

    Raises OSError, also when a link or a file has the name.
    """
    while True:
        with suppress(FileExistsError):
            os.mkdir(folder)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:  # its owner renamed or removed it since; mkdir says so if its parent is missing
            continue
        if not try_lock(descriptor):
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(folder), os.fstat(descriptor)):
                _empty(folder)
                return descriptor
        os.close(descriptor)  # its owner renamed or removed it between our open and our lock


def _empty(folder: str) -> None:
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
