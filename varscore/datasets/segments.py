"""Neighbouring examples as stretches of DNA that a network reads at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError

NONE = -1
"""In the place of an example, where a segment is shorter than the others"""


class Runs:
    """Rows of a data set whose windows begin ``step`` bases after one another; of several grids each has its own.

    rows: int64 (n,), of one split. Segments of ``size`` rows are cut out of the runs anew each time.
    """

    def __init__(self, data: ExampleSet, rows: NDArray[np.int64], step: int, size: int) -> None:
        self.size = size
        start = data.start[rows]
        self.rows = rows[np.lexsort((start, start % step, data.contig[rows]))]
        fresh = np.ones(len(rows), bool)
        fresh[1:] = (np.diff(data.offset[self.rows]) != step) | (np.diff(data.contig[self.rows]) != 0)
        self.first = np.flatnonzero(fresh)
        """Where in ``rows`` each run begins"""
        self.length = np.diff(np.append(self.first, len(rows)))
        if len(rows) and self.length.max() == 1:
            raise DataError(
                f"no two examples of the data set are {step} bases apart",
                where=data.folder,
                cause="segments are made of neighbouring bins",
                remedy="one bin a segment, or a data set of all bins",
            )

    @property
    def most(self) -> int:
        """The largest number of segments that :meth:`segments` may give."""
        return int((1 + -(-(self.length - 1) // self.size)).sum())

    @property
    def fewest(self) -> int:
        """The smallest number of segments that :meth:`segments` may give."""
        return int((-(-self.length // self.size)).sum())

    def segments(self, random: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Every row once: int64 (m, size), the rows of each segment in order, then ``NONE``.

        With ``random`` the first segment of each run has a size drawn at random, so that runs are cut elsewhere.
        """
        most = np.minimum(self.size, self.length)
        head = most if random is None else np.minimum(random.integers(1, self.size + 1, len(most)), self.length)
        pieces = 1 + -(-(self.length - head) // self.size)
        run = np.repeat(np.arange(len(pieces)), pieces)
        number = np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        start = np.where(number == 0, 0, head[run] + (number - 1) * self.size)
        count = np.where(number == 0, head[run], np.minimum(self.size, self.length[run] - start))
        place = np.arange(self.size)
        at = np.minimum((self.first[run] + start)[:, None] + place, len(self.rows) - 1)
        return np.where(place < count[:, None], self.rows[at], NONE)
