"""A genome as the contig numbers of a batch of alleles see it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from varscore.genome.alleles import ByteColumn, stretches
from varscore.genome.sequence import Genome


class NamedGenome:
    """names: for each of a batch's ``contigs``, the FASTA contig it means (see ``match_contigs``), None if missing."""

    def __init__(self, genome: Genome, names: Sequence[str | None]) -> None:
        self._genome, self._names = genome, names
        self._sizes = np.array([-1 if name is None else genome.contigs[name] for name in names], np.int64)

    def sizes(self, contig: NDArray[np.int32]) -> NDArray[np.int64]:
        """Bases of each contig, -1 for one the FASTA does not have: int64 (n,)."""
        return np.asarray(self._sizes[contig])

    def windows(self, contig: NDArray[np.integer], start: NDArray[np.int64], length: int) -> NDArray[np.uint8]:
        """The genome from ``start``, int64 (n,), on contigs that the FASTA has: uint8 (n, length) codes, padded."""
        present = np.unique(contig).tolist()
        if len(present) == 1:
            return self._genome.windows(self._name(present[0]), start, length)
        windows = np.empty((len(start), length), np.uint8)
        for index in present:
            here = np.flatnonzero(contig == index)
            windows[here] = self._genome.windows(self._name(index), start[here], length)
        return windows

    def letters(self, contig: NDArray[np.int32], start: NDArray[np.int64], lengths: NDArray[np.int64]) -> ByteColumn:
        """The same for stretches of any lengths, int64 (n,): columns of base codes."""
        column = ByteColumn.end_to_end(np.empty(lengths.sum(), np.uint8), lengths)
        width = 1 << np.ceil(np.log2(np.maximum(lengths, 64))).astype(np.int64)  # few widths, not much too wide
        for size in np.unique(width).tolist():
            rows = np.flatnonzero(width == size)
            wide = self.windows(contig[rows], start[rows], size)
            inside = np.arange(size) < lengths[rows, None]
            column.data[stretches(column.offsets[rows], lengths[rows])] = wide[inside]
        return column

    def _name(self, index: int) -> str:
        name = self._names[index]
        assert name is not None  # alleles on a missing contig do not get so far
        return name
