"""How rare a matrix's score is in random sequence, exactly.

Log-odds are rounded to hundredths, so that scores are whole numbers and the distribution of their sum can be worked out
column by column (dynamic programming, as in FIMO; Staden 1989).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.formats.motifs import Motif
from varscore.motifs.scan import UNIFORM, log_odds, word_tables

SCALE = 100
"""Of a log2 odds score to a whole number"""


def scaled(motif: Motif, background: tuple[float, ...] = UNIFORM) -> NDArray[np.int64]:
    """int64 (w, 4): a motif's log-odds in hundredths."""
    return np.asarray(np.rint(SCALE * log_odds(motif, background)).astype(np.int64))


def survival(matrix: NDArray[np.int64], background: tuple[float, ...] = UNIFORM) -> tuple[int, NDArray[np.float64]]:
    """The least score of a matrix of whole numbers, int64 (w, 4), and float64 (n,): how likely random sequence scores
    at least that, at least one more, ... up to the highest score."""
    least = matrix.min(1)
    density = np.ones(1)
    for column in matrix - least[:, None]:
        longer = np.zeros(len(density) + int(column.max()))
        for more, share in zip(column.tolist(), background, strict=True):
            longer[more : more + len(density)] += share * density
        density = longer
    tail = np.cumsum(density[::-1])[::-1]  # from the top, where the numbers are small
    return int(least.sum()), np.minimum(tail, 1.0)


def both_strands(background: tuple[float, ...]) -> tuple[float, ...]:
    """Frequencies of A, C, G, T over both strands, which sum to 1: a site is looked for on either."""
    total = 2 * sum(background)
    return tuple((one + other) / total for one, other in zip(background, background[::-1], strict=True))


@dataclass(frozen=True)
class Model:
    """A motif made ready to be scanned with. tables: see word_tables; least, tail: see survival"""

    motif: Motif
    tables: NDArray[np.int16]
    least: int
    tail: NDArray[np.float64]

    @classmethod
    def of(cls, motif: Motif, background: tuple[float, ...] = UNIFORM) -> Model:
        matrix = scaled(motif, background)
        return cls(motif, word_tables(matrix), *survival(matrix, background))

    @property
    def width(self) -> int:
        return len(self.motif.frequencies)

    @property
    def best_p(self) -> float:
        """Of the highest score."""
        return float(self.tail[-1])

    def p(self, score: NDArray[np.integer]) -> NDArray[np.float64]:
        """float64 (n,): how likely random sequence scores as high at one placement on one strand. score: int (n,), any
        number below the least means no placement at all, of which p is 1"""
        return np.asarray(self.tail[np.clip(score.astype(np.int64) - self.least, 0, len(self.tail) - 1)])

    def cut(self, p: float) -> int:
        """The least score of at most this p; one more than the highest score where none is so rare."""
        return self.least + int(np.searchsorted(-self.tail, -p, side="left"))
