"""The user's cache folder: indexes and checksums that can always be computed again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import platformdirs


def cache_folder(chosen: str | os.PathLike[str] | None = None) -> Path:
    """``chosen``, else ``$VARSCORE_CACHE``, else the platform's folder; it is made when something is put there."""
    return Path(chosen or os.environ.get("VARSCORE_CACHE") or platformdirs.user_cache_dir("varscore"))


def file_key(path: Path) -> str:
    """A name for a file as it is now (path, size, modification time, inode): another name once it has changed."""
    stat = path.stat()
    identity = [str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def put_file(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, also when several processes write it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
