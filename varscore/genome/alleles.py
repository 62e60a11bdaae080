"""Variants as columns: what a chunk of a VCF becomes before windows are cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


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
    SWAPPED = 10
    REF_MISMATCH = 11
    N_WINDOW = 12
    NOT_IN_ARCHIVE = 13


def stretches(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """start, start + 1, ... of each stretch, one stretch after the other. All int64: (n,), (n,), (total,)"""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    places = np.repeat(starts - (ends - lengths), lengths)
    places += np.arange(total)  # in place: of long alleles this is the largest array of all
    return np.asarray(places)


@dataclass(frozen=True, slots=True)
class ByteColumn:
    """A column of byte strings laid end to end: string i is ``data[offsets[i]:offsets[i + 1]]``.

    data: uint8 (total,); offsets: int64 (n + 1,).
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, values: Iterable[bytes]) -> ByteColumn:
        items = values if isinstance(values, Sequence) else list(values)
        offsets = np.zeros(len(items) + 1, np.int64)
        np.cumsum(list(map(len, items)), out=offsets[1:])
        return cls(np.frombuffer(b"".join(items), np.uint8), offsets)

    @classmethod
    def end_to_end(cls, data: NDArray[np.uint8], lengths: NDArray[np.int64]) -> ByteColumn:
        """data: uint8 (total,); lengths: int64 (n,) of the strings it consists of"""
        return cls(data, np.concatenate([[0], np.cumsum(lengths)]))

    @classmethod
    def joined(cls, parts: Sequence[ByteColumn]) -> ByteColumn:
        """The strings of all parts, one part after the other."""
        data = [part.data[part.offsets[0] : part.offsets[-1]] for part in parts]
        lengths = [part.lengths for part in parts]
        return cls.end_to_end(
            np.concatenate([np.zeros(0, np.uint8), *data]), np.concatenate([np.zeros(0, np.int64), *lengths])
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> bytes:
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def take(self, rows: NDArray[np.int64]) -> ByteColumn:
        """The strings ``rows``, int64 (m,)."""
        return self.part(rows, self.lengths[rows])

    def part(
        self, rows: NDArray[np.int64], lengths: NDArray[np.int64], skip: NDArray[np.int64] | int = 0
    ) -> ByteColumn:
        """Of each of the strings ``rows`` the ``lengths`` bytes that follow the first ``skip``; int64 (m,) each."""
        data = self.data[stretches(self.offsets[rows] + skip, lengths)]
        return ByteColumn.end_to_end(data, lengths)

    def replaced(self, rows: NDArray[np.int64], by: ByteColumn) -> ByteColumn:
        """The column with other strings at ``rows``, int64 (m,)."""
        lengths = self.lengths
        lengths[rows] = by.lengths
        column = ByteColumn.end_to_end(np.empty(lengths.sum(), np.uint8), lengths)
        same = np.ones(len(self), bool)
        same[rows] = False
        for there, strings in ((np.flatnonzero(same), self.take(np.flatnonzero(same))), (rows, by)):
            column.data[stretches(column.offsets[there], strings.lengths)] = strings.data
        return column

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 (n,)"""
        return np.asarray(self.offsets[1:] - self.offsets[:-1])


@dataclass(frozen=True, slots=True)
class AlleleBatch:
    """One row per ALT allele, in file order (a record without ALT is one row whose ``alt`` is ``.``).

    record: int64 (n,) index of the record the row belongs to, counted from the start of the chunk
    contig: int32 (n,) index into ``contigs``
    contigs: the contig names as the variant file spells them
    start:  int64 (n,) 0-based position of the first REF base (POS - 1)
    ref, alt: the alleles as spelled in the file
    affected: int64 (n,) for a structural allele (``<DEL>``, ``<DUP>``, ``<INV>``) how many bases from ``start`` + 1 on
        it deletes, doubles or inverts, 0 where that is not known and for every other allele; None: 0 for all
    """

    record: NDArray[np.int64]
    contig: NDArray[np.int32]
    contigs: tuple[str, ...]
    start: NDArray[np.int64]
    ref: ByteColumn
    alt: ByteColumn
    affected: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.record)

    @property
    def affected_bases(self) -> NDArray[np.int64]:
        """``affected`` as int64 (n,), whether it is given or not."""
        return np.zeros(len(self), np.int64) if self.affected is None else self.affected

    @classmethod
    def joined(cls, parts: Sequence[AlleleBatch]) -> AlleleBatch:
        """The rows of all parts, records counted on. The contigs of a part begin with those of the one before it."""
        records = np.cumsum([0, *(int(part.record[-1]) + 1 if len(part) else 0 for part in parts)])
        return cls(
            np.concatenate([part.record + before for part, before in zip(parts, records[:-1], strict=True)]),
            np.concatenate([part.contig for part in parts]),
            parts[-1].contigs,
            np.concatenate([part.start for part in parts]),
            ByteColumn.joined([part.ref for part in parts]),
            ByteColumn.joined([part.alt for part in parts]),
            np.concatenate([part.affected_bases for part in parts]),
        )

    def take(self, rows: NDArray[np.int64], record: NDArray[np.int64]) -> AlleleBatch:
        """The rows ``rows``, int64 (m,), which belong to the records ``record``, int64 (m,)."""
        ref, alt = self.ref.take(rows), self.alt.take(rows)
        affected = None if self.affected is None else self.affected[rows]
        return AlleleBatch(record, self.contig[rows], self.contigs, self.start[rows], ref, alt, affected)
