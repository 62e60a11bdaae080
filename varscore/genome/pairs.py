"""Pairs of windows, reference and alternative, that are to be scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from varscore.genome.coords import anchor


@dataclass(frozen=True, slots=True)
class Windows:
    """m pairs of windows of L bases.

    rows:   int64 (m,) row of the batch that a pair belongs to, ascending; an allele may have two pairs
    ref, alt: uint8 (m, L) base codes, 0-3 = ACGT, 4 = unknown or past the contig's end
    contig: int32 (m,) index into the batch's ``contigs``
    start:  int64 (m,) 0-based position of the windows' first base; may be negative
    lo, hi: int64 (m,) outside of ``[lo, hi)`` the windows of a pair have the same bases
    sequence: int64 (m,) what ``ref`` is cut from: 0 is the genome, any other number a sequence of its own. Two ``ref``
        of one sequence and contig have the same bases wherever they overlap by their ``start``
    """

    rows: NDArray[np.int64]
    ref: NDArray[np.uint8]
    alt: NDArray[np.uint8]
    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    lo: NDArray[np.int64]
    hi: NDArray[np.int64]
    sequence: NDArray[np.int64]

    @classmethod
    def anchored(
        cls,
        rows: NDArray[np.int64],
        ref: NDArray[np.uint8],
        alt: NDArray[np.uint8],
        contig: NDArray[np.int32],
        start: NDArray[np.int64],
        ref_length: NDArray[np.int64],
        alt_length: NDArray[np.int64],
        sequence: NDArray[np.int64] | None = None,
    ) -> Self:
        """Pairs of which ``alt`` has ``alt_length`` other bases in the place of ``ref_length`` from the anchor on.

        ref_length, alt_length: int64 (m,); an insertion or deletion changes all to the right of it. sequence: by
        default all are cut from the genome
        """
        length = ref.shape[1]
        lo = np.full(len(rows), anchor(length))
        hi = np.where(ref_length == alt_length, np.minimum(lo + ref_length, length), length)
        return cls(rows, ref, alt, contig, start, lo, hi, np.zeros_like(lo) if sequence is None else sequence)

    @classmethod
    def together(cls, parts: Sequence[Windows]) -> Self:
        """Pairs of all parts, ordered by row; of those of a row an earlier part's come first."""
        windows = cls.joined(parts)
        return cls(*(getattr(windows, field.name)[np.argsort(windows.rows, kind="stable")] for field in fields(cls)))

    @classmethod
    def joined(cls, parts: Sequence[Windows]) -> Self:
        """Pairs of all parts, one part after the other, each with its own rows."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: NDArray[np.int64 | np.bool_]) -> Windows:
        """The pairs picked by a boolean mask or an index array."""
        if chosen.dtype == bool and chosen.all():
            return self
        return Windows(*(getattr(self, field.name)[chosen] for field in fields(self)))
