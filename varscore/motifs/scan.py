"""Motif matrices along sequence: log-odds scores of every placement, on both strands.

Six bases are one number, so a matrix of twelve columns costs two look-ups a placement, whatever stands in the sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from varscore.compiled import compiled
from varscore.formats.motifs import Motif
from varscore.genome.sequence import UNKNOWN

WORD = 6
"""Bases looked up together: a table of 4^6 scores stays in the processor's nearest cache"""
_PIECE = 1 << 16
UNIFORM = (0.25, 0.25, 0.25, 0.25)
LOWEST = -(2**31)
"""Less than any whole-number score"""
SITES = 100.0
"""How many sites a matrix is taken to come from whose file does not say"""


def log_odds(motif: Motif, background: tuple[float, ...] = UNIFORM) -> NDArray[np.float64]:
    """float64 (w, 4): log2 of each base's frequency in a motif over its frequency in the background.

    A matrix of n sites gets sqrt(n) further ones of the background (1 where n is not known, and taken to be 100), so
    that what was never seen is rare, not impossible.
    """
    expected = np.asarray(background)
    sites, pseudo = (motif.sites, np.sqrt(motif.sites)) if motif.sites else (SITES, 1.0)
    smoothed = (motif.frequencies * sites + expected * pseudo) / (sites + pseudo)
    return np.asarray(np.log2(smoothed / expected))


def other_strand(matrix: NDArray[np.number]) -> NDArray[np.number]:
    """A matrix (w, 4) as it reads on the other strand."""
    return matrix[::-1, ::-1]


class Words:
    """A sequence, uint8 (L,) base codes, made ready to be scanned with many matrices."""

    def __init__(self, codes: NDArray[np.uint8]) -> None:
        self._unknown = np.concatenate([[0], np.cumsum(codes == UNKNOWN)])
        self._codes = codes
        padded = np.concatenate([np.where(codes == UNKNOWN, 0, codes), np.zeros(WORD, np.uint8)]).astype(np.intp)
        self._numbers = np.zeros(len(codes), np.intp)
        for place in range(WORD):
            self._numbers *= 4
            self._numbers += padded[place : place + len(codes)]

    def __len__(self) -> int:
        return len(self._numbers)

    def strands(self, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
        """float32 (2, L - w + 1): the score of a matrix (w, 4) at every placement, as it stands and turned round.

        A placement on an unknown base has minus infinity. There is none in a sequence that is shorter than the matrix.
        """
        return np.concatenate([np.zeros((2, 0), np.float32), *self._pieces(matrix)], axis=1)

    def best(self, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
        """float32 (L - w + 1,): the better strand's score of every placement."""
        return np.concatenate([np.zeros(0, np.float32), *(piece.max(0) for piece in self._pieces(matrix))])

    def best_from(
        self, tables: NDArray[np.int16], width: int, first: NDArray[np.int64], last: NDArray[np.int64]
    ) -> Placements:
        """The best placement, on either strand, that begins in [first, last) of each of some stretches.

        tables: of a matrix of whole numbers that is ``width`` columns wide, see :func:`word_tables`; first, last: int64
        (n,), every placement of which lies in the sequence
        """
        score, place = np.empty(len(first), np.int32), np.empty(len(first), np.int64)
        _best_from(self._words, self._known, tables, width, first, last, score, place)
        return Placements(score, np.where(place < 0, -1, place >> 1), (place & 1).astype(bool))

    @cached_property
    def _words(self) -> NDArray[np.uint16]:
        """uint16 (L,): the six bases from each on as a number."""
        return self._numbers.astype(np.uint16)

    @cached_property
    def _known(self) -> NDArray[np.int64]:
        """int64 (L,): how many known bases follow one another from each on."""
        place = np.arange(len(self))
        ends = np.where(self._codes == UNKNOWN, place, len(self))
        return np.minimum.accumulate(ends[::-1])[::-1] - place

    def _pieces(self, matrix: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
        """The scores of both strands, float32 (2, m), a piece at a time: what the processor's cache holds."""
        width = len(matrix)
        count = max(len(self) - width + 1, 0)
        at = range(0, width, WORD)
        tables = [[_table(turned[i : i + WORD]) for i in at] for turned in (matrix, other_strand(matrix))]
        for first in range(0, count, _PIECE):
            last = min(first + _PIECE, count)
            scores = np.zeros((2, last - first), np.float32)
            for score, words in zip(scores, tables, strict=True):
                for i, table in zip(at, words, strict=True):
                    score += table.take(self._numbers[first + i : last + i], mode="clip")  # the mode that copies least
            unknown = self._unknown[first : last + width]
            if unknown[0] < unknown[-1]:
                scores[:, unknown[width:] > unknown[:-width]] = -np.inf
            yield scores


def _table(columns: NDArray[np.number]) -> NDArray[np.float32]:
    """float32 (4^6,): the score of every word of six bases under at most six columns, the first ones."""
    table = np.zeros(1, np.float64)
    for column in [*columns, *[np.zeros(4)] * (WORD - len(columns))]:
        table = (table[:, None] + column).reshape(-1)
    return table.astype(np.float32)


@dataclass(frozen=True)
class Placements:
    """One placement for each of n stretches.

    score: int32 (n,), LOWEST where there is none; start: int64 (n,), -1 there; backward: bool (n,), on the other strand
    """

    score: NDArray[np.int32]
    start: NDArray[np.int64]
    backward: NDArray[np.bool_]


def word_tables(matrix: NDArray[np.int64]) -> NDArray[np.int16]:
    """int16 (blocks, 4^6, 2): what every word of six bases scores under a matrix of whole numbers, int64 (w, 4), as it
    stands and turned round, for :meth:`Words.best_from`."""
    both = matrix, other_strand(matrix)
    blocks = [[_table(turned[i : i + WORD]) for turned in both] for i in range(0, len(matrix), WORD)]
    return np.ascontiguousarray(np.array(blocks, np.int16).transpose(0, 2, 1))


@compiled
def _best_from(
    words: NDArray[np.int16],
    known: NDArray[np.int64],
    tables: NDArray[np.int16],
    width: int,
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    score: NDArray[np.int32],
    place: NDArray[np.int64],
) -> None:
    """place: twice the start, and one more on the other strand; see :meth:`Words.best_from`."""
    for row in range(len(first)):
        best, where = LOWEST, -1
        for start in range(first[row], last[row]):
            if known[start] < width:
                continue
            forward, backward = 0, 0
            for block in range(len(tables)):
                word = words[start + WORD * block]
                forward += tables[block, word, 0]
                backward += tables[block, word, 1]
            if forward > best:
                best, where = forward, 2 * start
            if backward > best:
                best, where = backward, 2 * start + 1
        score[row], place[row] = best, where


def highest(scores: NDArray[np.float32], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float32]:
    """The largest of ``scores[start:end]`` of some stretches, which may overlap: float32 (n,), minus infinity if empty.

    scores: float32 (m,); start, end: int64 (n,), 0 <= start <= m
    """
    padded = np.append(scores, np.float32(-np.inf))
    last = np.minimum(end, len(scores))
    bounds = np.stack([start, np.maximum(last, start)], 1).reshape(-1)
    found = np.maximum.reduceat(padded, bounds)[::2] if len(bounds) else np.zeros(0, np.float32)
    found[last <= start] = -np.inf  # reduceat has one element there
    return found


def consensus(motif: Motif) -> NDArray[np.uint8]:
    """uint8 (w,): the most frequent base of every column, the first of equals."""
    return np.asarray(motif.frequencies.argmax(1), np.uint8)
