"""Files and folders of varscore's own (models, data sets, reports) that get their names when they are complete.

Several processes may write the same one: each writes apart from the others, and the content is that of the last to
finish. What a killed process has left is taken over by the next.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from varscore.storage.atomic import hidden_name, output_errors, sync_folder
from varscore.storage.folders import claim_folder, replace_folder
from varscore.storage.locks import claim

PARTIAL = ".partial"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which replaces ``path`` when the block ends and is dropped when it fails. Raises OutputError."""
    with output_errors(str(path)):
        partial, descriptor = _claimed(path, claim)
        try:
            os.ftruncate(descriptor, 0)
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.rename(partial, path)
            sync_folder(os.path.dirname(partial))
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise


def put_file(path: Path, content: bytes | str) -> None:
    """Write a whole file, safely for several processes. Raises OutputError."""
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill; it replaces ``folder`` when the block ends and is dropped when it fails. Raises OutputError."""
    with output_errors(str(folder)):
        target = Path(os.path.realpath(folder))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial, lock = _claimed(target, claim_folder)
        try:
            yield Path(partial)
            for path in Path(partial).iterdir():
                _sync(path)
            replace_folder(partial, str(target))
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            os.close(lock)


def reserve(descriptor: int, size: int) -> None:
    """Take the space of a file that will be written through memory, where a full disk ends a process (SIGBUS).

    Raises OSError when there is not so much; does nothing where the system or the file system cannot.
    """
    if size > 0 and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def _claimed(path: Path, claim: Callable[[str], int | None]) -> tuple[str, int]:
    """A hidden name to write under, and its lock: the usual one, so that what is left there is swept away, or one of
    its own while another process has that."""
    usual = hidden_name(str(path), PARTIAL)
    name, lock = usual, claim(usual)
    while lock is None:
        name = hidden_name(str(path), f".{secrets.token_hex(4)}{PARTIAL}")
        lock = claim(name)
    return name, lock


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
