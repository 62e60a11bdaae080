"""The sequence around an allele as the genome has it and as the allele makes it, and where the two differ.

Of an insertion or deletion in a repeat nobody can say which copy has come or gone. It touches all of them, so that
neither the spelling of the allele nor the strand on which the genome is written makes a difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.compiled import compiled
from varscore.genome.alleles import AlleleBatch, ByteColumn, stretches
from varscore.genome.named import NamedGenome
from varscore.genome.sequence import encode

REPEAT = 256
"""Bases on either side of an insertion or deletion in which repeats are followed"""


@dataclass(frozen=True)
class Sequences:
    """The sequences of n alleles, REF's first, then ALT's: 2n strings of base codes.

    begin, end: int64 (2n,), the stretch of ``codes.data`` that differs; they are the same for a junction, between two
    bases that only came together by the change
    origin: int64 (n,), 0-based position on the contig of the first base of both strings
    """

    codes: ByteColumn
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    origin: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.origin)

    def placements(self, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the first placement of so many bases begins in ``codes.data`` that touches what differs, and where the
        one after the last: int64 (2n,) each. At a junction it has to have a base on either side."""
        first = np.maximum(self.begin - width + 1, self.codes.offsets[:-1])
        last = np.minimum(self.end, self.codes.offsets[1:] - width + 1)
        return first, last


def sequences(batch: AlleleBatch, rows: NDArray[np.int64], genome: NamedGenome, flank: int) -> Sequences:
    """The alleles ``rows``, int64 (n,), of a batch whose REF the FASTA has, with ``flank`` bases on either side."""
    starts, sizes = batch.start[rows], batch.ref.lengths[rows]
    alt = batch.alt.take(rows)
    alt = ByteColumn(encode(alt.data), alt.offsets)
    side = np.where(sizes == alt.lengths, flank, flank + REPEAT)
    ref = genome.letters(batch.contig[rows], starts - side, sizes + 2 * side)
    every = np.arange(len(rows))
    parts = [ref.part(every, side), alt, ref.part(every, side, side + sizes)]
    both = np.concatenate([ref.data, _beside(parts)])
    codes = ByteColumn.end_to_end(both, np.concatenate([ref.lengths, alt.lengths + 2 * side]))
    begin, end = np.empty((2, 2 * len(rows)), np.int64)
    _differences(codes.data, codes.offsets, begin, end)
    return Sequences(codes, begin, end, starts - side)


def _beside(columns: list[ByteColumn]) -> NDArray[np.uint8]:
    """The strings of each row of some columns one after another, uint8 (total,)."""
    lengths = np.stack([column.lengths for column in columns], 1)
    ends = np.cumsum(lengths).reshape(lengths.shape)
    data = np.empty(int(lengths.sum()), np.uint8)
    for column, start, length in zip(columns, (ends - lengths).T, lengths.T, strict=True):
        data[stretches(start, length)] = column.data
    return data


@compiled
def _differences(
    codes: NDArray[np.uint8], offsets: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]
) -> None:
    """See Sequences. With p and s bases shared at either end, p + s may be more than the shorter string has: then the
    change could lie anywhere between."""
    n = len(begin) // 2
    for row in range(n):
        a, b = offsets[row], offsets[n + row]
        size, other = offsets[row + 1] - a, offsets[n + row + 1] - b
        short = min(size, other)
        prefix = 0
        while prefix < short and codes[a + prefix] == codes[b + prefix]:
            prefix += 1
        suffix = 0
        while suffix < short and codes[a + size - 1 - suffix] == codes[b + other - 1 - suffix]:
            suffix += 1
        left, right = min(prefix, short - suffix), min(suffix, short - prefix)
        begin[row], end[row] = a + left, a + size - right
        begin[n + row], end[n + row] = b + left, b + other - right
