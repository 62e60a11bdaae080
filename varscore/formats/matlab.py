"""Arrays of numbers in MATLAB files: version 5, and version 7.3, which is HDF5.

Both store the first axis of MATLAB side by side. An array is given as it is stored, axes in reverse: what MATLAB shows
as (N, 4, 1000) is (1000, 4, N) here. Only what is sliced is read: arrays of version 5 are mapped, those that the file
keeps compressed from a copy in a scratch folder. Nothing but numbers is looked at: no object, no function, no cell.
"""

from __future__ import annotations

import math
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, reason
from varscore.formats.hdf5 import SIGNATURE, Sliceable, open_hdf5

_MATRIX, _COMPRESSED = 14, 15
_KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMBERS, _COMPLEX = range(6, 16), 0x800  # classes of numeric arrays; a flag
_PIECE = 1 << 20


class _Damaged(Exception):
    """The file is not what it says."""


@contextmanager
def open_matlab(path: Path, names: Sequence[str], scratch: Path) -> Iterator[Mapping[str, Sliceable]]:
    """The arrays of these names, each with ``shape`` and ``dtype``, sliced as NumPy's are.

    scratch: a folder with room for what the file keeps compressed; it is gone afterwards. Raises DataError when the
    file is none of MATLAB's, lacks a name, or is damaged; UsageError when h5py is missing.
    """
    with _problems(path), path.open("rb") as file:
        head = file.read(1024)
        is_hdf5 = any(head.startswith(SIGNATURE, at) for at in (0, 512))
        order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
        if order is None and not is_hdf5:
            raise DataError("not a MATLAB file", where=path, cause="version 5 and version 7.3 are read")
        found = {} if is_hdf5 else _read_arrays(file, str(order), names, scratch)
    if is_hdf5:
        with open_hdf5(path) as hdf5:
            yield {name: hdf5.array(name) for name in names}
        return
    if missing := [name for name in names if name not in found]:
        raise DataError(f"no array {missing[0]!r}", where=path)
    yield {name: found[name] for name in names}


@contextmanager
def _problems(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError("cannot read", where=path, cause=reason(error)) from None
    except (_Damaged, zlib.error, struct.error, ValueError) as error:
        raise DataError("damaged MATLAB file", where=path, cause=str(error) or "it ends too early") from None


@dataclass
class _Stream:
    """The bytes of one element of a file, unpacked if they are compressed."""

    file: BinaryIO
    left: int
    """Bytes of the file that have not been read"""
    inflate: zlib._Decompress | None = None

    def read(self, count: int) -> bytes:
        """Exactly so many. Raises _Damaged at the end."""
        out = b""
        while len(out) < count:
            out += self._some(count - len(out))
        return out

    def _some(self, most: int) -> bytes:
        """At least one byte."""
        while True:
            packed = self.inflate.unconsumed_tail if self.inflate else b""
            if not packed:
                packed = self.file.read(min(self.left, _PIECE if self.inflate else most))
                self.left -= len(packed)
                if not packed:
                    raise _Damaged("it ends too early")
            out: bytes = self.inflate.decompress(packed, most) if self.inflate else packed
            if out:
                return out


def _read_arrays(file: BinaryIO, order: str, names: Sequence[str], scratch: Path) -> dict[str, NDArray[np.number]]:
    found: dict[str, NDArray[np.number]] = {}
    size, at = file.seek(0, 2), 128
    while at + 8 <= size and len(found) < len(names):
        file.seek(at)
        kind, length = struct.unpack(order + "II", file.read(8))
        at += 8 + length
        if at > size:
            raise _Damaged("it ends too early")
        if kind == _COMPRESSED:
            stream = _Stream(file, length, zlib.decompressobj())
            kind = struct.unpack(order + "II", stream.read(8))[0]
        else:
            stream = _Stream(file, length)
        if kind == _MATRIX:
            found |= _read_matrix(stream, order, names, scratch)
    return found


def _read_matrix(stream: _Stream, order: str, names: Sequence[str], scratch: Path) -> dict[str, NDArray[np.number]]:
    """The array, under its name, if it is one of ``names``."""
    flags = np.frombuffer(_element(stream, order), order + "u4")[0]
    shape = np.frombuffer(_element(stream, order), order + "i4").tolist()
    name = _element(stream, order).decode("latin1")
    if name not in names:
        return {}
    if flags & 0xFF not in _NUMBERS or flags & _COMPLEX or min(shape) < 0:
        raise _Damaged(f"{name!r} is no array of real numbers")
    kind, length, inside = _tag(stream, order)
    dtype = np.dtype(order + _KINDS.get(kind, "V1"))
    if kind not in _KINDS or length != math.prod(shape) * dtype.itemsize:
        raise _Damaged(f"the size of {name!r} is not that of its content")
    stored = shape[::-1]
    if inside or length == 0:
        return {name: np.frombuffer(inside[:length], dtype).reshape(stored)}
    if stream.inflate is None:
        return {name: np.memmap(stream.file, dtype, "r", stream.file.tell(), tuple(stored))}
    with tempfile.TemporaryFile(dir=scratch) as copy:
        for first in range(0, length, _PIECE):
            copy.write(stream.read(min(_PIECE, length - first)))
        copy.flush()
        return {name: np.memmap(copy, dtype, "r", 0, tuple(stored))}


def _tag(stream: _Stream, order: str) -> tuple[int, int, bytes]:
    """Kind and length of what follows; its bytes where they are so few that they stand in the tag itself."""
    tag = stream.read(8)
    kind, length = struct.unpack(order + "II", tag)
    return (kind & 0xFFFF, kind >> 16, tag[4:]) if kind >> 16 else (kind, length, b"")


def _element(stream: _Stream, order: str) -> bytes:
    """A short element: flags, shape or name."""
    _, length, inside = _tag(stream, order)
    if length > 1 << 16:
        raise _Damaged("a header is too long")
    return inside[:length] if inside else stream.read(-(-length // 8) * 8)[:length]
