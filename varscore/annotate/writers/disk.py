"""The file below an HDF5 file."""

from __future__ import annotations

import os


class Disk:
    """A file for HDF5, which crashes once a write has failed, and so is never told.

    What the disk has refused is kept in memory (no more than a block), and :meth:`check` raises the error.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._position = 0
        self._kept: list[tuple[int, bytes]] = []
        self._error: OSError | None = None

    def write(self, data: memoryview) -> int:
        rest, at = memoryview(data), self._position
        self._position += len(rest)
        while rest and not self._error:
            try:
                written = os.pwrite(self._descriptor, rest, at)
                rest, at = rest[written:], at + written
            except OSError as error:
                self._error = error
        if rest:
            self._kept.append((at, rest.tobytes()))
        return len(data)

    def read(self, size: int) -> bytes:
        there = os.pread(self._descriptor, size, self._position)
        found = bytearray(there.ljust(size, b"\0"))
        for at, data in self._kept:
            first, last = max(at, self._position), min(at + len(data), self._position + size)
            if first < last:
                found[first - self._position : last - self._position] = data[first - at : last - at]
        self._position += size
        return bytes(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        end = max([os.fstat(self._descriptor).st_size, *(at + len(data) for at, data in self._kept)])
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: end}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def truncate(self, size: int) -> int:
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            self._error = self._error or error
        return size

    def flush(self) -> None:
        pass

    def check(self) -> None:
        if self._error:
            raise self._error

    def close(self) -> None:
        os.close(self._descriptor)
        self.check()
