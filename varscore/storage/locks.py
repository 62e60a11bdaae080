"""Files under hidden names that nobody but varscore makes, and that one process has at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from varscore.errors import OutputError

_NOT_OURS = (errno.ELOOP, errno.ENXIO, errno.EISDIR)
"""What opening a link, a pipe or a folder ends with where a file of ours should be"""


def claim(temporary: str) -> int | None:
    """Create or take over a hidden file, locked; its descriptor, or None when another process has it.

    Raises OutputError when a link, a pipe or a folder has the name, OSError.
    """
    while True:
        descriptor = open_own(temporary, os.O_RDWR | os.O_CREAT)
        try:
            if not try_lock(descriptor):
                os.close(descriptor)
                return None
            if _names(temporary, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Its owner renamed or removed the file between our open and our lock: what we hold is no longer temporary.
        os.close(descriptor)


def open_own(path: str, flags: int) -> int:
    """Open a file that nobody but varscore has made: not through a link, and no pipe that would keep us waiting.

    Raises OutputError when it is something else, OSError.
    """
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno in _NOT_OURS:
            raise _not_ours(path) from None
        raise
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(descriptor)
        raise _not_ours(path)
    return descriptor


def read_own(path: str, most: int) -> bytes:
    """The content of a file of at most ``most`` bytes that nobody but varscore has made.

    Raises OutputError when it is something else, FileNotFoundError, OSError.
    """
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return content


def try_lock(descriptor: int) -> bool:
    """Lock a file or folder that is open until it is closed; False when another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: the rename is still atomic, only the last of two writers wins
    return True


def _not_ours(path: str) -> OutputError:
    return OutputError(
        "something else has the name of a file that varscore keeps for itself",
        where=path,
        cause="a link, a pipe or a folder",
        remedy="remove it",
    )


def _names(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
