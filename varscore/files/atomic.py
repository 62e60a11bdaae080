"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from varscore.errors import OutputError, OutputExists, UsageError

TEMPORARY_SUFFIX = ".varscore-part"
# Names that mean "a stream this process already has", even where the shell has pointed it at a regular file.
_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")
_LONGEST_NAME = 255


@contextmanager
def output_errors(path: str) -> Iterator[None]:
    """Turn an OSError met while writing ``path`` into OutputError. A closed pipe is left to the command line."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write: {error.strerror or error}",
            where=path,
            remedy="check free space, quota and permissions, then run the command again",
        ) from error


def is_stream(path: str) -> bool:
    """Whether ``path`` is written to directly and never replaced: ``-``, a FIFO, a device, ``/dev/stdout``."""
    if path == "-" or path.startswith(_STREAMS):
        return True
    with suppress(OSError):
        return not stat.S_ISREG(os.stat(path).st_mode)
    return False


def refuse_existing(path: str, *, force: bool) -> None:
    """Raise OutputExists when ``path`` is a file already, unless ``force``; UsageError when it is a folder."""
    if path != "-" and os.path.isdir(path):
        raise UsageError("the output is a folder", where=path, remedy="name a file inside it")
    if not force and not is_stream(path) and os.path.exists(path):
        raise OutputExists("the output exists already", where=path, remedy="choose another name or pass --force")


class AtomicFile:
    """A binary file, written beside its target as ``.<name>.varscore-part`` and renamed over it by :meth:`commit`.

    The temporary file is locked while it is written, so that a second process with the same output is refused, and a
    leftover of a killed process is reused instead of piling up. A symbolic link is followed: the link stays, the file
    that it names is replaced and keeps its permissions. Streams (see :func:`is_stream`) are written directly.

    Raises OutputExists, UsageError (a folder) and OutputError. BrokenPipeError passes through unchanged.
    """

    def __init__(self, path: str, *, force: bool = False) -> None:
        refuse_existing(path, force=force)
        self.path, self._force = path, force
        self.direct = is_stream(path)
        self._target = self.temporary = path
        self._file: BinaryIO | None
        with output_errors(path):
            if path == "-":
                self._file = sys.stdout.buffer
            elif self.direct:
                self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "wb")
            else:
                self._target = os.path.realpath(path)
                self.temporary = _temporary_name(self._target)
                self._file = os.fdopen(_open_locked(self.temporary, path), "wb", buffering=1 << 20)

    def write(self, data: bytes) -> None:
        with output_errors(self.path):
            self._open_file().write(data)

    def sync(self) -> None:
        """Flush to disk; a full disk that hides behind a cache shows itself here."""
        with output_errors(self.path):
            file = self._open_file()
            file.flush()
            if not self.direct:
                os.fsync(file.fileno())

    def commit(self) -> None:
        """Flush to disk and rename over the target. On failure the target is as it was and nothing is left behind."""
        try:
            with output_errors(self.path):
                self._commit()
        except BaseException:
            self.abort()
            raise

    def _commit(self) -> None:
        self.sync()
        file = self._open_file()
        if self.direct:
            if self.path != "-":
                file.close()
            self._file = None
            return
        with suppress(FileNotFoundError):
            os.fchmod(file.fileno(), stat.S_IMODE(os.stat(self._target).st_mode))
        refuse_existing(self.path, force=self._force)
        os.rename(self.temporary, self._target)
        self._file = None
        file.close()
        _sync_folder(os.path.dirname(self._target))

    def abort(self) -> None:
        """Give up: remove the temporary file and leave the target alone. Does nothing after commit or abort."""
        file, self._file = self._file, None
        if file is None or self.path == "-":
            return
        if not self.direct:
            with suppress(OSError):
                os.unlink(self.temporary)
        with suppress(OSError):  # close flushes what is left, which may fail for the reason that brought us here
            file.close()

    def _open_file(self) -> BinaryIO:
        if self._file is None:
            raise ValueError(f"{self.path} is closed")
        return self._file


def _temporary_name(target: str) -> str:
    folder, name = os.path.split(target)
    room = _LONGEST_NAME - 1 - len(TEMPORARY_SUFFIX)
    return os.path.join(folder, "." + os.fsdecode(os.fsencode(name)[:room]) + TEMPORARY_SUFFIX)


def _open_locked(temporary: str, path: str) -> int:
    """Create or take over ``temporary``, empty and locked; returns its descriptor."""
    while True:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            _lock(descriptor, path)
            if _names(temporary, descriptor):
                os.ftruncate(descriptor, 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Its owner renamed or removed the file between our open and our lock: what we hold is no longer temporary.
        os.close(descriptor)


def _lock(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            "another process is writing this file", where=path, remedy="wait for it, or choose another output"
        ) from None
    except OSError:
        pass  # a file system without locks: the rename is still atomic, only the last of two writers wins


def _names(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems cannot sync a folder; the file itself is on disk
    finally:
        os.close(descriptor)
