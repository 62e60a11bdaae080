"""Variants as columns: what a chunk of a VCF becomes before windows are cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Status(IntEnum):
    """Why an allele has no score, in the order in which the reasons are tried; the first that holds is reported."""

    PASS = 0
    NO_ALT = 1
    SYMBOLIC = 2
    BREAKEND = 3
    SPANNING_DELETION = 4
    NON_ACGT = 5
    MISSING_CONTIG = 6
    OFF_CONTIG = 7
    TOO_LONG = 8
    REF_UNKNOWN = 9
    REF_MISMATCH = 10
    N_WINDOW = 11


@dataclass(frozen=True, slots=True)
class ByteColumn:
    """A column of byte strings laid end to end: string i is ``data[offsets[i]:offsets[i + 1]]``.

    data: uint8 (total,); offsets: int64 (n + 1,).
    """

    data: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, values: Iterable[bytes]) -> ByteColumn:
        items = values if isinstance(values, Sequence) else list(values)
        offsets = np.zeros(len(items) + 1, np.int64)
        np.cumsum([len(item) for item in items], out=offsets[1:])
        return cls(np.frombuffer(b"".join(items), np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> bytes:
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()

    @property
    def lengths(self) -> np.ndarray:
        """int64 (n,)"""
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True)
class AlleleBatch:
    """One row per ALT allele, in file order (a record without ALT is one row whose ``alt`` is ``.``).

    record: int64 (n,) index of the record the row belongs to, counted from the start of the chunk
    contig: int32 (n,) index into ``contigs``
    contigs: the contig names as the variant file spells them
    start:  int64 (n,) 0-based position of the first REF base (POS - 1)
    ref, alt: the alleles as spelled in the file
    """

    record: np.ndarray
    contig: np.ndarray
    contigs: tuple[str, ...]
    start: np.ndarray
    ref: ByteColumn
    alt: ByteColumn

    def __len__(self) -> int:
        return len(self.record)
