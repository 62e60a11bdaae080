"""A block of an archive: base codes and three records a base, as bytes.

Of a block of ``n`` bases (those that lie beyond its end are unknown, their records are zeros)

    codes     n bytes
    planes    the first bytes of all records, the second bytes and so on, 3 n each: those of a kind lie together

The codes and the planes that are worth it are compressed with LZ4; the two low bytes of a float32 are as good as
random and follow as they are. So what is read of a block has one size, and many blocks are read at once.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

_codec = pa.Codec("lz4_raw")  # of so few bytes zstd makes 10 % less, and takes 15 times as long to read


class Layout(NamedTuple):
    """Where the planes of a record's bytes lie: plane[i] of byte i; packed: how many of the planes are compressed."""

    plane: np.ndarray
    packed: int


@cache
def layout(dtype: np.dtype[np.void]) -> Layout:
    """High bytes first, so that like stands beside like; the low bytes of float32 last."""
    rank = []
    for name in dtype.names or ():
        field, offset = dtype.fields[name][:2]  # type: ignore[index]
        for byte in range(field.itemsize):
            is_low = field == np.dtype("<f4") and byte < 2
            rank.append((is_low, field.kind == "f", -byte if field.kind == "f" else byte, offset + byte))
    order = [entry[3] for entry in sorted(rank)]
    plane = np.empty(dtype.itemsize, np.int64)
    plane[order] = np.arange(dtype.itemsize)
    return Layout(plane, sum(not entry[0] for entry in rank))


def stored_as(dtype: np.dtype[np.void], precision: str) -> np.dtype[np.void]:
    """The record in the file. precision: ``float32``, or ``float16``"""
    if precision == "float32":
        return dtype
    halves = {np.dtype("<f4"): np.dtype("<f2")}
    names = dtype.names or ()
    return np.dtype([(name, halves.get(dtype[name], dtype[name])) for name in names])


def pack(codes: np.ndarray, records: np.ndarray, bases: int, precision: str) -> bytes:
    """codes: uint8 (n,), n up to ``bases``; records: (3 n,), those of unknown bases count for nothing."""
    kind = stored_as(records.dtype, precision)
    every, rows = np.full(bases, 4, np.uint8), np.zeros(3 * bases, kind)
    every[: len(codes)] = codes
    for name in kind.names or ():
        rows[name][: len(records)] = records[name]
    plane, packed = layout(kind)
    planes = np.empty((kind.itemsize, 3 * bases), np.uint8)
    planes[plane] = rows.view(np.uint8).reshape(len(rows), -1).T
    return bytes(_codec.compress(every.tobytes() + planes[:packed].tobytes(), asbytes=True)) + planes[packed:].tobytes()


class Blocks:
    """Many blocks of one archive, unpacked side by side. contents: of each, as :func:`pack` gave it.

    Raises ValueError for what it has not given.
    """

    def __init__(self, contents: list[memoryview], bases: int, dtype: np.dtype[np.void], precision: str) -> None:
        self.bases, self._dtype = bases, dtype
        self._kind = stored_as(dtype, precision)
        plane, packed = layout(self._kind)
        first, low = bases + packed * 3 * bases, (self._kind.itemsize - packed) * 3 * bases
        self._raw = np.empty((len(contents), first + low), np.uint8)
        self._at = bases + plane * 3 * bases
        for row, content in zip(self._raw, contents, strict=True):
            if len(content) < low:
                raise ValueError("a block is too short")
            end = len(content) - low
            try:
                row[:first] = np.frombuffer(_codec.decompress(content[:end], first), np.uint8)
            except (pa.ArrowException, OSError) as error:
                raise ValueError(str(error)) from None
            row[first:] = np.frombuffer(content[end:], np.uint8)

    def codes(self) -> np.ndarray:
        """uint8 (blocks, bases)"""
        return self._raw[:, : self.bases]

    def records(self, block: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Records by block and row in it, int64 (m,) each: (m,) of ``dtype``."""
        found = self._raw[block[:, None], self._at + row[:, None]]
        return np.asarray(found.view(self._kind)[:, 0].astype(self._dtype))
