"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import hashlib
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
from varscore.storage.fields import entries, integer
from varscore.storage.locks import claim, open_own, try_lock
from varscore.storage.stages import Output, Placement

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


def demand_name(path: str) -> None:
    """Raises UsageError when the last part of ``path`` is longer than a name can be in its folder."""
    folder, name = os.path.split(path)
    longest = _LONGEST_NAME
    with suppress(OSError, ValueError):  # a folder that is not there, a system that does not know
        longest = os.pathconf(folder or ".", "PC_NAME_MAX")
    if len(os.fsencode(name)) > longest:
        raise UsageError(
            "the name is too long",
            where=path,
            cause=f"it has {len(os.fsencode(name))} bytes of at most {longest}",
            remedy="choose a shorter one",
        )


def refuse_existing(path: str, *, force: bool) -> None:
    """Raise OutputExists when ``path`` is a file already, unless ``force``; UsageError when it is a folder, or has a
    name that is too long."""
    if not is_stream(path):
        demand_name(path)
    if path != "-" and os.path.isdir(path):
        raise UsageError("the output is a folder", where=path, remedy="name a file inside it")
    if not force and not is_stream(path) and os.path.exists(path):
        raise OutputExists("the output exists already", where=path, remedy="choose another name or pass `force`")


class DamagedPartial(Exception):
    """A partial file is not what it was when it was marked."""


@dataclass(frozen=True)
class Mark:
    """How far a partial file had been written when it was last flushed to disk: bytes, and the CRC-32 of them all."""

    length: int = 0
    crc: int = 0

    @classmethod
    def parse(cls, fields: object) -> Mark:
        """Of a journal's entry. Raises TypeError and ValueError for what :meth:`fields` has not made."""
        length, crc = map(integer, entries(fields))
        return cls(length, crc)

    def fields(self) -> list[int]:
        """As JSON, which :meth:`parse` reads."""
        return [self.length, self.crc]


class PartialFile:
    """A binary file under a hidden name, locked while it is written, so that a second process is refused.

    What a killed process left behind is taken over: emptied, or with ``keep`` left as it is until :meth:`carry_on`.
    path: of the output that it is for, as messages show it. Raises OutputError; BrokenPipeError passes unchanged.
    """

    def __init__(self, path: str, temporary: str, *, keep: bool = False) -> None:
        self.path, self.temporary, self.direct = path, temporary, False
        with output_errors(path):
            descriptor = claim(temporary)
            if descriptor is None:
                raise _being_written(path)
            self._begin(os.fdopen(descriptor, "wb", buffering=1 << 20))
            if not keep:
                os.ftruncate(descriptor, 0)

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
            for piece in self.read_back(max(mark.length, 0)):
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


class AtomicFile(PartialFile, Output):
    """A binary file, written beside its target as ``.<name>.varscore-part`` and renamed over it by :meth:`commit`.

    A symbolic link is followed: the link stays, the file that it names is replaced and keeps its permissions. Streams
    (see :func:`is_stream`) are written directly.

    Raises OutputExists, UsageError (a folder, a name that is too long) and OutputError. BrokenPipeError passes through
    unchanged.
    """

    _is_ours = False

    def __init__(self, path: str, *, force: bool = False, keep: bool = False) -> None:
        self._force = force
        self._refuse_existing(path)
        if (target := self._target_of(path)) is not None:
            self.target = target
            super().__init__(path, hidden_name(target, TEMPORARY_SUFFIX), keep=keep)
            return
        self.path, self.direct, self.target, self.temporary = path, True, path, path
        if path == "-" and sys.stdout is None:
            raise OutputError("standard output is closed", remedy="give a file, or a pipe to write to")
        with output_errors(path):
            self._begin(
                sys.stdout.buffer if path == "-" else os.fdopen(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "wb")
            )

    def _target_of(self, path: str) -> str | None:
        """The file that is to be replaced; None for a stream."""
        return None if is_stream(path) else os.path.realpath(path)

    def _refuse_existing(self, path: str) -> None:
        refuse_existing(path, force=self._force)

    @staticmethod
    def hidden(path: str) -> str:
        """The hidden name under which ``path`` is written."""
        return hidden_name(os.path.realpath(path), TEMPORARY_SUFFIX)

    def settle(self) -> list[Placement]:
        """Flush to disk, with the permissions that it will have."""
        self.sync()
        if not self.direct:
            with output_errors(self.path), suppress(FileNotFoundError):
                about = os.lstat(self.target)
                if stat.S_ISREG(about.st_mode):
                    os.fchmod(self._open_file().fileno(), stat.S_IMODE(about.st_mode))
        return [Placement(self.temporary, self.target, self._is_ours)]

    def place(self) -> None:
        """Rename over the target."""
        with output_errors(self.path):
            file = self._open_file()
            if not self.direct:
                self._refuse_existing(self.path)
                os.rename(self.temporary, self.target)
            self._file = None
            if self.path != "-":
                file.close()
            if not self.direct:
                sync_folder(os.path.dirname(self.target))


class SideFile(AtomicFile):
    """A file that goes with an output and has its name from it: an index, a run.json, a journal.

    It replaces whatever has its name, and nothing else: a link is not followed, a pipe not written to.
    """

    _is_ours = True

    def __init__(self, path: str) -> None:
        super().__init__(path, force=True)

    def _target_of(self, path: str) -> str:
        return side_name(path)

    def _refuse_existing(self, path: str) -> None:
        demand_name(path)
        if os.path.isdir(path) and not os.path.islink(path):
            raise UsageError("a folder has the name of a file that goes with the output", where=path, remedy="move it")


def side_name(path: str) -> str:
    """``path`` without the links in its folders, but with the one that it may be itself."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def refuse_locked(temporary: str, path: str) -> None:
    """Raise OutputError when another process has ``temporary``, the hidden file of ``path``, under way."""
    with output_errors(path), suppress(FileNotFoundError):
        descriptor = open_own(temporary, os.O_RDONLY)
        try:
            if not try_lock(descriptor):
                raise _being_written(path)
        finally:
            os.close(descriptor)


def hidden_name(target: str, suffix: str) -> str:
    """``.<name><suffix>`` in the folder of ``target``; a name too long for that is cut, with a digest in its end."""
    folder, name = os.path.split(target)
    encoded, room = os.fsencode(name), _LONGEST_NAME - 1 - len(suffix)
    if len(encoded) > room:
        digest = hashlib.sha256(encoded).hexdigest()[:12]
        name = os.fsdecode(encoded[: room - 1 - len(digest)]) + "~" + digest
    return os.path.join(folder, "." + name + suffix)


def _being_written(path: str) -> OutputError:
    return OutputError(
        "another process is writing this file", where=path, remedy="wait for it, or choose another output"
    )


def sync_folder(folder: str) -> None:
    """Flush to disk what was created, renamed or removed in ``folder``."""
    descriptor = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems cannot sync a folder; the file itself is on disk
    finally:
        os.close(descriptor)
