"""The user's cache folder: indexes and checksums that can always be computed again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import stat
from pathlib import Path

import platformdirs

MOST_BYTES = 1 << 30


def cache_folder(chosen: str | os.PathLike[str] | None = None) -> Path:
    """``chosen``, else ``$VARSCORE_CACHE``, else the platform's folder; it is made when something is put there."""
    return Path(chosen or os.environ.get("VARSCORE_CACHE") or platformdirs.user_cache_dir("varscore"))


def file_key(path: Path) -> str:
    """A name for a file as it is now (path, size, inode, times): another name once it has changed.

    Programs can put the time of the last modification back, but not that of the last change of any kind (ctime).
    """
    about = path.stat()
    identity = [str(path.resolve()), about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def put_file(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, also when several processes write it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:  # x: nothing that has the name already is written to
            file.write(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of an index or a checksum. Raises OSError also for what is no file: a pipe would keep us waiting."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file", str(path))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content
