"""Which motifs of a database a motif is like, and how surprising that is: TOMTOM (Gupta 2007), complete scores,
Euclidean distance.

The score of two columns is minus their distance, less the median over all columns of the database, in hundredths of the
range. A target's score is the best sum over all overlaps and both ways round. Its p comes from the distribution of
column scores over the whole database, by convolution, summed from the top, where p is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.compiled import compiled
from varscore.formats.motifs import Motif

BINS = 100
PSEUDOCOUNT = 0.1
"""Of sites with bases at random, which are added to the counts of a motif"""
FEW = 20
"""Fewer targets say little of what is surprising"""


def smoothed(motif: Motif) -> NDArray[np.float64]:
    """float64 (w, 4): a motif's frequencies with TOMTOM's pseudocount; as they are where sites were not counted."""
    if not motif.sites:
        return motif.frequencies
    return np.asarray((motif.frequencies * motif.sites + PSEUDOCOUNT / 4) / (motif.sites + PSEUDOCOUNT))


@dataclass(frozen=True)
class Targets:
    """A database made ready. columns: float64 (total, 4), each matrix followed by itself turned round; widths: int64
    (n,)"""

    columns: NDArray[np.float64]
    widths: NDArray[np.int64]

    @classmethod
    def of(cls, matrices: Sequence[NDArray[np.float64]]) -> Targets:
        both = [turned for matrix in matrices for turned in (matrix, matrix[::-1, ::-1])]
        return cls(np.concatenate([np.zeros((0, 4)), *both]), np.array([len(matrix) for matrix in matrices], np.int64))

    def __len__(self) -> int:
        return len(self.widths)


@dataclass(frozen=True)
class Matches:
    """Of a query to each of n targets: p float64, offset int64 (the column of the target at which the query begins),
    overlap int64 columns, turned bool (the target is turned round), (n,) each."""

    p: NDArray[np.float64]
    offset: NDArray[np.int64]
    overlap: NDArray[np.int64]
    turned: NDArray[np.bool_]


def match(query: NDArray[np.float64], targets: Targets) -> Matches:
    """query: float64 (w, 4). Of equal scores the larger overlap counts, then the target as it stands, then the first
    offset."""
    w, n = len(query), len(targets)
    if not n:
        none = np.zeros(0, np.int64)
        return Matches(np.zeros(0), none, none, np.zeros(0, bool))
    scores = column_scores(query, targets.columns)
    lo, hi = int(scores.min()), int(scores.max())
    null = np.stack([np.bincount(row - lo, minlength=hi - lo + 1) for row in scores]) / scores.shape[1]
    best, overlap, offset = (np.empty(n, np.int64) for _ in range(3))
    turned = np.empty(n, bool)
    starts = 2 * (np.cumsum(targets.widths) - targets.widths)
    _align(scores, starts, targets.widths, best, overlap, offset, turned)
    sizes = np.arange(w + 1) * (hi - lo) + 1
    places = np.cumsum(np.concatenate([[0], np.tile(sizes[1:], w)]))[:-1].reshape(w, w)
    tails, p = np.empty(int(sizes[1:].sum()) * w), np.empty(n)
    _tails(null, places, tails)
    _p_values(best, targets.widths, w, lo, sizes, places, tails, p)
    return Matches(p, offset, overlap, turned)


def column_scores(query: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64 (w, total): the scores of a query's columns, (w, 4), and a database's."""
    squares = (query**2).sum(1)[:, None] + (columns**2).sum(1) - 2 * query @ columns.T
    scores = -np.sqrt(np.maximum(squares, 0))
    scores -= np.median(scores, axis=1, keepdims=True)
    span = scores.max() - scores.min()
    return np.asarray(np.rint(scores * (BINS / span if span else 1)).astype(np.int64))


@compiled
def _align(
    scores: NDArray[np.int64],
    starts: NDArray[np.int64],
    widths: NDArray[np.int64],
    best: NDArray[np.int64],
    overlap: NDArray[np.int64],
    offset: NDArray[np.int64],
    turned: NDArray[np.bool_],
) -> None:
    w = scores.shape[0]
    for target in range(len(widths)):
        t = widths[target]
        best[target], overlap[target] = -(2**62), 0
        for turn in range(2):
            start = starts[target] + turn * t
            for shift in range(1 - w, t):
                first, last = max(0, -shift), min(w, t - shift)
                total = 0
                for row in range(first, last):
                    total += scores[row, start + row + shift]
                if total > best[target] or (total == best[target] and last - first > overlap[target]):
                    best[target], overlap[target] = total, last - first
                    offset[target], turned[target] = shift, turn == 1


@compiled
def _tails(null: NDArray[np.float64], places: NDArray[np.int64], tails: NDArray[np.float64]) -> None:
    """How likely the sum of rows a .. a + n - 1 is at least its least, one more, ...: from places[a, n - 1] on.

    null: float64 (w, bins), the distribution of each row
    """
    w, bins = null.shape
    density, longer = np.zeros(w * (bins - 1) + 1), np.zeros(w * (bins - 1) + 1)
    for a in range(w):
        density[:bins] = null[a]
        size = bins
        for n in range(1, w - a + 1):
            if n > 1:
                longer[: size + bins - 1] = 0
                for j in range(bins):
                    share = null[a + n - 1, j]
                    if share > 0:
                        for i in range(size):
                            longer[i + j] += share * density[i]
                size += bins - 1
                density[:size] = longer[:size]
            above, at = 0.0, places[a, n - 1]
            for i in range(size - 1, -1, -1):
                above += density[i]
                tails[at + i] = min(above, 1.0)


@compiled
def _p_values(
    best: NDArray[np.int64],
    widths: NDArray[np.int64],
    w: int,
    lo: int,
    sizes: NDArray[np.int64],
    places: NDArray[np.int64],
    tails: NDArray[np.float64],
    p: NDArray[np.float64],
) -> None:
    for target in range(len(widths)):
        t, kept = widths[target], 0.0
        for shift in range(1 - w, t):
            a = max(0, -shift)
            n = min(w, t - shift) - a
            at = best[target] - n * lo
            chance = 1.0 if at <= 0 else (0.0 if at >= sizes[n] else tails[places[a, n - 1] + at])
            kept += 2 * np.log1p(-chance)
        p[target] = -np.expm1(kept)


def q_values(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Benjamini and Hochberg's, of p values of any shape taken together (TOMTOM's estimate of how many are of nothing,
    which makes q smaller, is left out)."""
    flat, q = p.reshape(-1), np.empty(p.shape)
    order = np.argsort(flat, kind="stable")
    raised = flat[order] * len(flat) / np.arange(1, len(flat) + 1)
    q.reshape(-1)[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return q


@dataclass(frozen=True)
class Comparison:
    """All m queries with all n targets: (m, n) arrays, see Matches; E is p times n."""

    p: NDArray[np.float64]
    q: NDArray[np.float64]
    offset: NDArray[np.int64]
    overlap: NDArray[np.int64]
    turned: NDArray[np.bool_]

    @property
    def e(self) -> NDArray[np.float64]:
        return np.asarray(self.p * self.p.shape[1])


def compare(queries: Sequence[NDArray[np.float64]], targets: Targets) -> Comparison:
    """queries: float64 (w, 4) each"""
    found = [match(query, targets) for query in queries]
    shape = len(found), len(targets)
    columns = [
        np.array([getattr(one, name) for one in found]).reshape(shape) for name in ("p", "offset", "overlap", "turned")
    ]
    return Comparison(columns[0], q_values(columns[0]), *columns[1:])
