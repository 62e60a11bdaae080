"""DNA as numbers, and random access to a genome FASTA.

A base is a uint8 code: 0, 1, 2, 3 = A, C, G, T in either case; 4 = anything else (N and the other IUPAC letters).
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from varscore.errors import FastaError
from varscore.genome.assembly import identify
from varscore.genome.cache import cache_folder, file_key, put_file, read_file
from varscore.genome.coords import window_start
from varscore.genome.fasta.index import Fasta
from varscore.storage.digest import file_sha256

UNKNOWN = 4
_LETTERS = np.frombuffer(b"ACGTN", np.uint8)
_CODES = np.full(256, UNKNOWN, np.uint8)
for _code, _letter in enumerate(b"ACGT"):
    _CODES[[_letter, _letter + 32]] = _code
_COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN], np.uint8)
_ONE_HOT = np.eye(5, 4, dtype=np.float32).T.copy()

# A block is decoded with an overhang, so that every window of up to _LONGEST_CACHED bases lies in one block.
_BLOCK = 1 << 16
_OVERHANG = 1 << 12
_LONGEST_CACHED = _OVERHANG + 1
_CACHED_BLOCKS = 4096  # 285 MB at most


def encode(bases: bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Letters (bytes, or uint8 of any shape) to base codes, uint8 of the same shape."""
    letters = np.frombuffer(bases, np.uint8) if isinstance(bases, bytes | bytearray | memoryview) else bases
    return _CODES.take(letters)


def decode(codes: NDArray[np.uint8]) -> bytes:
    """Base codes, uint8 (L,), to upper-case letters; code 4 becomes N."""
    return _LETTERS.take(codes).tobytes()


def reverse_complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The other strand of base codes, uint8 (..., L), read 5' to 3'; code 4 stays 4."""
    return complement(codes[..., ::-1])


def complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The paired base of each of the base codes, uint8 of any shape; code 4 stays 4."""
    return _COMPLEMENT.take(codes)


def one_hot(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Base codes, uint8 (..., L), to float32 (..., 4, L), channels A, C, G, T; code 4 becomes an all-zero column."""
    return np.stack([channel.take(codes) for channel in _ONE_HOT], axis=-2)


def fit(sequence: bytes, length: int) -> NDArray[np.uint8]:
    """The central ``length`` bases of a sequence, padded with N where it is shorter: uint8 (length,) base codes."""
    start = window_start(0, len(sequence), length)
    codes = np.full(length, UNKNOWN, np.uint8)
    inside = encode(sequence[max(start, 0) : start + length])
    codes[max(-start, 0) : max(-start, 0) + len(inside)] = inside
    return codes


class Genome:
    """Random access to a plain or bgzipped FASTA, as base codes. Holds at most about 300 MB of decoded blocks.

    Safe to share between threads and to use after a fork. Raises FastaError for a file that is missing, is not a
    FASTA or is damaged. A missing ``.fai`` / ``.gzi`` is made beside the FASTA, or in ``cache_dir`` (default:
    ``$VARSCORE_CACHE``, else the user's cache folder) when that folder is not writable or the index there is stale.
    """

    def __init__(self, path: str | os.PathLike[str], *, cache_dir: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path)
        self._cache_dir = cache_folder(cache_dir)
        self._fasta = Fasta(self.path, self._cache_dir)
        #: contig name -> length in bases, in FASTA order
        self.contigs: dict[str, int] = {name: record.length for name, record in self._fasta.records.items()}
        self._blocks: OrderedDict[tuple[str, int], NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def codes(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Bases [start, end) of a contig, uint8 (end - start,), with code 4 past either end of the contig."""
        if 0 <= end - start <= _LONGEST_CACHED:
            return self.windows(contig, np.array([start]), end - start).reshape(-1)
        return self._decode(contig, start, end)

    def windows(self, contig: str, starts: NDArray[np.int64], length: int) -> NDArray[np.uint8]:
        """Windows [start, start + length) for each of ``starts``, int64 (n,): uint8 (n, length), padded with code 4.

        Fastest when ``starts`` is sorted: each block of the contig is then decoded once.
        """
        self._length(contig)
        starts = np.asarray(starts, np.int64)
        out = np.empty((len(starts), length), np.uint8)
        if length > _LONGEST_CACHED:
            for row, start in enumerate(starts.tolist()):
                out[row] = self._decode(contig, start, start + length)
            return out
        if length == 0:
            return out
        block = starts // _BLOCK
        order = np.argsort(block, kind="stable")
        edges = np.flatnonzero(np.diff(block[order])) + 1
        for rows in np.split(order, edges) if len(order) else []:
            index = int(block[rows[0]])
            views = sliding_window_view(self._block(contig, index), length)
            out[rows] = views[starts[rows] - index * _BLOCK]
        return out

    @property
    def sha256(self) -> str:
        """Hex digest of the FASTA file's bytes; computed once per file and remembered in the cache folder."""
        note = self._cache_dir / "sha256" / file_key(self.path)
        with suppress(OSError):
            known = read_file(note).decode("ascii", "replace")
            if len(known) == 64:
                return known
        digest = file_sha256(self.path)
        with suppress(OSError):  # an unwritable cache only costs the time to compute it again
            put_file(note, digest.encode())
        return digest

    def told(self) -> dict[str, str]:
        """What is kept of it on record: the file's name, its SHA-256, and its assembly where that is known."""
        known = identify(self.contigs)
        return {"name": self.path.name, "sha256": self.sha256} | ({"assembly": known.name} if known else {})

    def close(self) -> None:
        self._blocks.clear()
        self._fasta.close()

    def __reduce__(self) -> tuple[object, ...]:
        return partial(Genome, self.path, cache_dir=self._cache_dir), ()  # a copy in another process opens the file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _length(self, contig: str) -> int:
        try:
            return self.contigs[contig]
        except KeyError:
            raise FastaError(f"no contig named {contig!r}", where=self.path) from None

    def _block(self, contig: str, index: int) -> NDArray[np.uint8]:
        """Decoded block ``index`` with its overhang, from the least-recently-used cache."""
        key = contig, index
        with self._lock:
            codes = self._blocks.get(key)
            if codes is not None:
                self._blocks.move_to_end(key)
                return codes
        codes = self._decode(contig, index * _BLOCK, (index + 1) * _BLOCK + _OVERHANG)
        with self._lock:
            self._blocks[key] = codes
            if len(self._blocks) > _CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        return codes

    def _decode(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Bases [start, end) straight from the file, padded."""
        length = self._length(contig)
        first, last = min(max(start, 0), length), max(min(end, length), 0)
        codes = np.full(end - start, UNKNOWN, np.uint8)
        if first < last:
            codes[first - start : last - start] = self._fasta.bases(contig, first, last, _CODES.tobytes())
        return codes
