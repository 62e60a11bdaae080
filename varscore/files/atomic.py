"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO
from zlib import crc32

from varscore.errors import OutputError, OutputExists, UsageError

TEMPORARY_SUFFIX = ".varscore-part"
SPOOL_SUFFIX = ".varscore-spool"
# Names that mean "a stream this process already has", even where the shell has pointed it at a regular file.
_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")
_LONGEST_NAME = 255
_READ = 1 << 20


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


class DamagedPartial(Exception):
    """A partial file is not what it was when it was marked."""


@dataclass(frozen=True)
class Mark:
    """How far a partial file had been written when it was last flushed to disk: bytes, and the CRC-32 of them all."""

    length: int = 0
    crc: int = 0


class PartialFile:
    """A binary file under a hidden name, locked while it is written, so that a second process is refused.

    What a killed process left behind is taken over: emptied, or with ``keep`` left as it is until :meth:`carry_on`.
    path: of the output that it is for, as messages show it. Raises OutputError; BrokenPipeError passes unchanged.
    """

    def __init__(self, path: str, temporary: str, *, keep: bool = False) -> None:
        self.path, self.temporary, self.direct = path, temporary, False
        with output_errors(path):
            self._begin(os.fdopen(_open_locked(temporary, path, keep), "wb", buffering=1 << 20))

    def _begin(self, file: BinaryIO) -> None:
        self._file: BinaryIO | None = file
        self._length = self._crc = 0
        self._listed = False

    def write(self, data: bytes | memoryview) -> None:
        with output_errors(self.path):
            self._open_file().write(data)
        self._length, self._crc = self._length + len(data), crc32(data, self._crc)

    def sync(self) -> None:
        """Flush to disk; a full disk that hides behind a cache shows itself here."""
        with output_errors(self.path):
            file = self._open_file()
            file.flush()
            if not self.direct:
                os.fsync(file.fileno())

    def mark(self) -> Mark:
        """Flush to disk, the name included; what was written so far can be carried on from."""
        self.sync()
        if not self._listed:
            with output_errors(self.path):
                sync_folder(os.path.dirname(self.temporary))
            self._listed = True
        return Mark(self._length, self._crc)

    def carry_on(self, mark: Mark) -> None:
        """Go back to ``mark`` and write on from there. Raises DamagedPartial when those bytes are not there."""
        with output_errors(self.path):
            file = self._open_file()
            length = crc = 0
            for piece in self.read_back(mark.length):
                length, crc = length + len(piece), crc32(piece, crc)
            if (length, crc) != (mark.length, mark.crc):
                raise DamagedPartial(self.temporary)
            file.truncate(length)
            file.seek(length)
        self._length, self._crc = length, crc

    def has_content(self) -> bool:
        """Whether there is anything in the file."""
        return os.fstat(self._open_file().fileno()).st_size > 0

    def empty(self) -> None:
        """Start anew, where what was there had been kept."""
        if not self.direct:
            self.carry_on(Mark())

    def read_back(self, length: int | None = None) -> Iterator[bytes]:
        """What has been written (or the first ``length`` bytes of the file), in pieces."""
        start, end = 0, self._length if length is None else length
        while piece := self.read_at(start, min(_READ, end - start)):
            yield piece
            start += len(piece)

    def read_at(self, start: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``start`` on of what has been written."""
        file = self._open_file()
        file.flush()
        return os.pread(file.fileno(), size, start)

    def suspend(self) -> None:
        """Close, and leave what is there to a later run. Does nothing once closed."""
        file, self._file = self._file, None
        if file is not None and self.path != "-":
            with suppress(OSError):  # what could not be written lies behind the last mark
                file.close()

    def abort(self) -> None:
        """Give up: remove the temporary file and leave the target alone. Does nothing once closed."""
        if self._file is not None and not self.direct:
            with suppress(OSError):
                os.unlink(self.temporary)
        self.suspend()

    def _open_file(self) -> BinaryIO:
        if self._file is None:
            raise ValueError(f"{self.path} is closed")
        return self._file


class Spool(PartialFile):
    """What waits for the end of a run before it can be written as it should be: ``.<name>.varscore-spool`` beside the
    output, or an unnamed file for a stream."""

    def __init__(self, path: str, *, keep: bool = False) -> None:
        if not is_stream(path) or os.path.isdir(path):
            super().__init__(path, hidden_name(os.path.realpath(path), SPOOL_SUFFIX), keep=keep)
            return
        self.path, self.temporary, self.direct = path, "", True
        with output_errors(path):
            self._begin(tempfile.TemporaryFile())  # noqa: SIM115


class AtomicFile(PartialFile):
    """A binary file, written beside its target as ``.<name>.varscore-part`` and renamed over it by :meth:`commit`.

    A symbolic link is followed: the link stays, the file that it names is replaced and keeps its permissions. Streams
    (see :func:`is_stream`) are written directly.

    Raises OutputExists, UsageError (a folder) and OutputError. BrokenPipeError passes through unchanged.
    """

    def __init__(self, path: str, *, force: bool = False, keep: bool = False) -> None:
        refuse_existing(path, force=force)
        self._force = force
        if not is_stream(path):
            self.target = os.path.realpath(path)
            super().__init__(path, self.hidden(path), keep=keep)
            return
        self.path, self.direct, self.target, self.temporary = path, True, path, path
        with output_errors(path):
            self._begin(
                sys.stdout.buffer if path == "-" else os.fdopen(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "wb")
            )

    @staticmethod
    def hidden(path: str) -> str:
        """The hidden name under which ``path`` is written."""
        return hidden_name(os.path.realpath(path), TEMPORARY_SUFFIX)

    def commit(self) -> None:
        """Flush to disk and rename over the target. On failure the target is as it was and nothing is left behind."""
        try:
            self.settle()
            self.place()
        except BaseException:
            self.abort()
            raise

    def settle(self) -> None:
        """Flush to disk, with the permissions that it will have: all of :meth:`commit` but the renaming."""
        self.sync()
        if not self.direct:
            with output_errors(self.path), suppress(FileNotFoundError):
                os.fchmod(self._open_file().fileno(), stat.S_IMODE(os.stat(self.target).st_mode))

    def place(self) -> None:
        """Rename over the target."""
        with output_errors(self.path):
            file = self._open_file()
            if not self.direct:
                refuse_existing(self.path, force=self._force)
                os.rename(self.temporary, self.target)
            self._file = None
            if self.path != "-":
                file.close()
            if not self.direct:
                sync_folder(os.path.dirname(self.target))


def refuse_locked(temporary: str, path: str) -> None:
    """Raise OutputError when another process has ``temporary``, the hidden file of ``path``, under way."""
    with suppress(FileNotFoundError):
        descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _lock(descriptor, path)
        finally:
            os.close(descriptor)


def hidden_name(target: str, suffix: str) -> str:
    """``.<name><suffix>`` in the folder of ``target``, cut to what a file system takes."""
    folder, name = os.path.split(target)
    room = _LONGEST_NAME - 1 - len(suffix)
    return os.path.join(folder, "." + os.fsdecode(os.fsencode(name)[:room]) + suffix)


def _open_locked(temporary: str, path: str, keep: bool) -> int:
    """Create or take over ``temporary``, locked, and empty unless ``keep``; returns its descriptor."""
    while True:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            _lock(descriptor, path)
            if _names(temporary, descriptor):
                if not keep:
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


def sync_folder(folder: str) -> None:
    """Flush to disk what was created, renamed or removed in ``folder``."""
    descriptor = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems cannot sync a folder; the file itself is on disk
    finally:
        os.close(descriptor)
