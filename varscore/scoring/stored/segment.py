"""A file of a cache: keys, sorted, and a record for each. It is written once and never changed.

header     64 bytes: magic, number of records, bytes of a record, digest of the profile, CRC-32 of what is before
           the keys
checksums  CRC-32 of each block of 4,096 records, its keys included
keys       the first 8 bytes of every key, then the last 8, as numbers
records
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from varscore.storage.whole import whole_file

SUFFIX = ".scores"
BLOCK = 4096
_MAGIC = b"VSSCORE1"
_HEADER = struct.Struct("<8sQI32sI8x")
Element = TypeVar("Element", bound=np.generic)


class DamagedSegment(Exception):
    """A file that is not what was written."""


class Segment:
    """keys: uint64 (n, 2) as they are looked up; records: of ``dtype``. Blocks are verified when they are first used.

    Raises DamagedSegment, OSError.
    """

    def __init__(self, path: Path, dtype: np.dtype[np.void], profile: bytes) -> None:
        self.path, self.dtype = path, dtype
        self._bytes = np.memmap(path, np.uint8, "r")
        if len(self._bytes) < _HEADER.size:
            raise DamagedSegment("it is cut short")
        head = self._bytes[: _HEADER.size].tobytes()
        magic, self.count, size, owner, stated = _HEADER.unpack(head)
        blocks = -(-self.count // BLOCK)
        first = _HEADER.size + 4 * blocks
        if magic != _MAGIC or len(self._bytes) != first + self.count * (16 + size):
            raise DamagedSegment("it is cut short, or no file of a cache")
        if size != dtype.itemsize or owner != profile:
            raise DamagedSegment("it belongs to another profile")
        self._sums = self._part(_HEADER.size, blocks, np.dtype("<u4"))
        if _crc(magic, self.count, size, owner, self._sums) != stated:
            raise DamagedSegment("its header is damaged")
        self._high = self._part(first, self.count, np.dtype("<u8"))
        self._low = self._part(first + 8 * self.count, self.count, np.dtype("<u8"))
        self._records = self._part(first + 16 * self.count, self.count, dtype)
        self._verified = np.zeros(blocks, bool)
        self._damaged = np.zeros(blocks, bool)

    def __len__(self) -> int:
        return int(self.count)

    @property
    def is_damaged(self) -> bool:
        """Whether a block has been found that is not what was written."""
        return bool(self._damaged.any())

    def find(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.void]]:
        """Which of the keys are there, bool (m,), and their records in this order. keys: uint64 (m, 2)

        Of two keys that share their first half one is not found; nothing is taken from a damaged block.
        """
        place = np.searchsorted(self._high, keys[:, 0]).clip(max=len(self) - 1)
        there = (self._high[place] == keys[:, 0]) & (self._low[place] == keys[:, 1])
        blocks = place // BLOCK
        for block in np.unique(blocks[there & ~self._verified[blocks]]).tolist():
            self._verify(block)
        there &= ~self._damaged[blocks]
        return there, np.asarray(self._records[place[there]])

    def content(self) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.void]]]:
        """Keys and records of every sound block."""
        for block in range(len(self._sums)):
            self._verify(block)
            if not self._damaged[block]:
                here = slice(block * BLOCK, (block + 1) * BLOCK)
                yield np.stack([self._high[here], self._low[here]], 1), np.asarray(self._records[here])

    def _verify(self, block: int) -> None:
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        self._damaged[block] = _sum(self._high[here], self._low[here], self._records[here]) != self._sums[block]
        self._verified[block] = True

    def _part(self, start: int, count: int, dtype: np.dtype[Element]) -> NDArray[Element]:
        return np.ndarray(count, dtype, buffer=self._bytes, offset=start)


def write_segment(path: Path, keys: NDArray[np.uint64], records: NDArray[np.void], profile: bytes) -> None:
    """Sort and write; of equal keys the first stays. keys: uint64 (n, 2), n > 0; records: (n,). Raises OutputError."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    same = (keys[order][1:] == keys[order][:-1]).all(1)
    order = order[np.append(True, ~same)]
    high, low, kept = (np.ascontiguousarray(part) for part in (keys[order, 0], keys[order, 1], records[order]))
    parts = [slice(first, first + BLOCK) for first in range(0, len(order), BLOCK)]
    sums = np.array([_sum(high[here], low[here], kept[here]) for here in parts], "<u4")
    fields = _MAGIC, len(order), records.dtype.itemsize, profile
    with whole_file(path) as file:
        file.write(_HEADER.pack(*fields, _crc(*fields, sums)))
        for part in (sums, high.astype("<u8"), low.astype("<u8"), kept):
            file.write(part.tobytes())


def _crc(magic: bytes, count: int, size: int, profile: bytes, sums: NDArray[np.uint32]) -> int:
    return crc32(sums.tobytes(), crc32(_HEADER.pack(magic, count, size, profile, 0)))


def _sum(high: NDArray[np.uint64], low: NDArray[np.uint64], records: NDArray[np.void]) -> int:
    return crc32(records.tobytes(), crc32(low.tobytes(), crc32(high.tobytes())))
