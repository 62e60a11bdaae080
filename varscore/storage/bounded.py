"""Files of models and the like, which may come from anywhere, read within bounds and without side effects.

What is read is a regular file inside the folder that its card lies in, and no longer than it may be: no device, no pipe
that never ends, no name that leads elsewhere. Of a safetensors file the header is checked first.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from varscore.errors import ModelError, VarscoreError

MEGABYTE = 1 << 20
CARD_BYTES = 4 * MEGABYTE
TABLE_BYTES = 64 * MEGABYTE
WEIGHTS_BYTES = 8 << 30
HEADER_BYTES = 16 * MEGABYTE
_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "I64": 8,
    "U64": 8, "F64": 8,
}  # fmt: skip


def read_bounded(path: Path, most: int, error: type[VarscoreError] = ModelError) -> bytes:
    """The content of a regular file of at most ``most`` bytes. Raises ``error``, or OSError when it cannot be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not keep us waiting
    try:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(about.st_mode):
            raise error("not a file", where=path, cause="a device or a pipe", remedy="copy the file itself")
        with open(descriptor, "rb", closefd=False) as file:
            content = b"" if about.st_size > most else file.read(about.st_size + 1)
    finally:
        os.close(descriptor)
    if about.st_size > most or len(content) > most:
        raise _too_large(path, most, error)
    return content


def read_text(path: Path, error: type[VarscoreError], most: int = TABLE_BYTES, encoding: str = "utf-8-sig") -> str:
    """The text of a file or pipe of at most ``most`` bytes, its line ends ``\\n``.

    Raises ``error`` for one that goes on, as /dev/zero would for ever, OSError, UnicodeDecodeError.
    """
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise _too_large(path, most, error)
    return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def _too_large(path: Path, most: int, error: type[VarscoreError]) -> VarscoreError:
    cause = f"more than {most // MEGABYTE:,} MB"
    return error("the file is too large to be what it should be", where=path, cause=cause)


def demand_plain_name(name: str, card: Path) -> None:
    """Raises ModelError for the name of a file that is not simply in the card's folder."""
    if name in ("", ".", "..", card.name) or Path(name).name != name or "\\" in name or not name.isprintable():
        raise ModelError(f"the card names a file outside its folder: {name!r}", where=card)


def demand_tensors(content: bytes) -> None:
    """Raises ValueError for a safetensors file whose header is too large, is damaged, or does not tell of its bytes.

    Every tensor has to have the bytes that its type and shape say, end to end, up to the end of the file.
    """
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(HEADER_BYTES, len(content) - 8):
        raise ValueError("its header is cut short or too large")
    try:
        header = json.loads(content[8 : 8 + size])
        spans = sorted(_span(entry) for name, entry in header.items() if name != "__metadata__")
    except (KeyError, TypeError, AttributeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"its header is damaged ({type(error).__name__})") from None
    end = 0
    for first, last in spans:
        if first != end:
            raise ValueError("its tensors overlap, or leave bytes between them")
        end = last
    if end != len(content) - 8 - size:
        raise ValueError("its tensors are not as long as the file")


def _span(entry: dict[str, Any]) -> tuple[int, int]:
    first, last = entry["data_offsets"]
    shape, kind = entry["shape"], entry["dtype"]
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 1 << 40 for n in (*shape, first, last)):
        raise ValueError("a tensor's shape is not one")
    if kind not in _SIZES or math.prod(shape) * _SIZES[kind] != last - first:
        raise ValueError("a tensor has not the bytes that its shape says")
    return first, last
