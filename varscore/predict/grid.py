"""The grid that tracks are predicted on: windows that begin at the multiples of a step, in a contig's own coordinates.

Window k begins at base ``k * step`` (before the contig's first base for a negative k) and stands for the ``step`` bases
in its middle, as a 200-bp bin stands in the middle of the window that a network is trained on. So two tracks over
different regions agree where they overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.engine.exact.reach import stride
from varscore.errors import UsageError
from varscore.genome.coords import Interval
from varscore.genome.sequence import UNKNOWN, Genome
from varscore.nets.layers import SequenceNet

WIDEST = 100
"""Bases of a step that nobody has chosen, at most"""
PIECE = 1024
"""Windows of a piece, at most"""


@dataclass(frozen=True)
class Grid:
    """window: bases a network sees; step: bases from one window to the next"""

    window: int
    step: int

    @property
    def first(self) -> int:
        """Where in its window the bases begin that it stands for."""
        return self.window // 2 - self.step // 2

    def windows(self, start: int, end: int) -> range:
        """The windows that stand for one of the bases [start, end)."""
        return range((start - self.first) // self.step, (end - 1 - self.first) // self.step + 1)

    def bases(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first base that each window stands for, int64 (n,)."""
        return np.asarray(windows * self.step + self.first)


@dataclass(frozen=True)
class Piece:
    """Windows ``[first, last)`` of a contig, of which bases [start, end) are wanted."""

    contig: str
    first: int
    last: int
    start: int
    end: int

    def __len__(self) -> int:
        return self.last - self.first

    def codes(self, genome: Genome, grid: Grid) -> NDArray[np.uint8]:
        """The bases of all its windows, uint8; N beyond the contig's ends."""
        start = self.first * grid.step
        return genome.codes(self.contig, start, start + (len(self) - 1) * grid.step + grid.window)

    def intervals(self, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The bases that each window stands for, cut to what is wanted: where they begin and end, int64 (n,) each."""
        begin = grid.bases(np.arange(self.first, self.last))
        return begin.clip(self.start), (begin + grid.step).clip(max=self.end)


def pieces(intervals: Iterable[Interval], grid: Grid) -> Iterator[Piece]:
    """The windows of disjoint intervals, contigs by name, cut at the multiples of PIECE windows."""
    for one in sorted(intervals, key=lambda interval: (interval.contig, interval.start)):
        windows = grid.windows(one.start, one.end) if len(one) else range(0)
        cuts = [windows.start, *range((windows.start // PIECE + 1) * PIECE, windows.stop, PIECE), windows.stop]
        for first, last in zip(cuts, cuts[1:], strict=False):
            if first < last:
                yield Piece(one.contig, first, last, one.start, one.end)


def is_known(codes: NDArray[np.uint8], grid: Grid) -> NDArray[np.bool_]:
    """bool (windows,): which windows of a stretch, uint8 (n,), are not mostly N."""
    before = np.concatenate([[0], np.cumsum(codes == UNKNOWN)])
    starts = np.arange(0, len(codes) - grid.window + 1, grid.step)
    return np.asarray(2 * (before[starts + grid.window] - before[starts]) <= grid.window)


def choose_step(net: SequenceNet, asked: int | None) -> int:
    """The step asked for, or the largest up to WIDEST at which windows have all cells in common that they can have.

    Raises UsageError for one that is not within the window.
    """
    if asked is not None:
        if not 1 <= asked <= net.window:
            raise UsageError(f"`step={asked}` is not from 1 to {net.window}", cause="that is how much a window shows")
        return asked
    common = stride(net)
    return max(common * (WIDEST // common), 1) if common <= WIDEST else min(WIDEST, net.window)
