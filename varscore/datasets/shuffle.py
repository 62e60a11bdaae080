"""Sequences that look like others but mean nothing: the same dinucleotides in another order (Altschul & Erikson 1985).

The dinucleotides of a sequence are the edges of a graph whose vertices are bases, and the sequence is a walk that takes
every edge once. Any other such walk with the same ends is a sequence with the same dinucleotides. A walk is drawn by
drawing, for each base but the last one of the sequence, the edge by which it is left for the last time; if these lead
from everywhere to the sequence's end, any order of the other edges gives a walk, else they are drawn again. All walks
are alike likely.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_VERTICES = 5  # A, C, G, T, unknown
_AT_ONCE = 4096


def shuffle_dinucleotides(codes: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """A sequence for each of ``codes``, uint8 (n, length): the same ends, and every dinucleotide as often as there.

    Drawn evenly from all sequences of that kind, the given one among them.
    """
    pieces = [_shuffle(codes[first : first + _AT_ONCE], random) for first in range(0, len(codes), _AT_ONCE)]
    return np.concatenate(pieces) if pieces else codes.copy()


def _shuffle(codes: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    n, length = codes.shape
    if length < 4:  # no other order
        return codes.copy()
    source, target = codes[:, :-1].astype(np.int64), codes[:, 1:].astype(np.int64)
    leaving = _last_edges(source, target, random)
    # edges by the base they leave, in random order but for the last one
    key = source + 0.5 * random.random(source.shape)
    rows, vertices = np.nonzero(leaving >= 0)
    key[rows, leaving[rows, vertices]] = vertices + 0.75
    ordered = np.take_along_axis(target, np.argsort(key, axis=1), 1)
    counts = np.stack([(source == vertex).sum(1) for vertex in range(_VERTICES)], 1)
    following = np.cumsum(counts, axis=1) - counts
    walk, every = np.empty_like(codes), np.arange(n)
    walk[:, 0] = now = codes[:, 0].astype(np.int64)
    for step in range(1, length):
        edge = following[every, now]
        following[every, now] += 1
        walk[:, step] = now = ordered[every, edge]
    return walk


def _last_edges(source: NDArray[np.int64], target: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """The edge by which each base is left for the last time, -1 where there is none: int64 (n, vertices).

    source, target: int64 (n, edges). One that leads back to the base itself cannot be the last.
    """
    n, end = len(source), target[:, -1]
    chosen = np.full((n, _VERTICES), -1, np.int64)
    left = np.arange(n)
    while len(left):
        away = source[left] != target[left]
        for vertex in range(_VERTICES):
            drawn = np.where(away & (source[left] == vertex), random.random(away.shape), -1.0)
            edge = drawn.argmax(1)
            there = (drawn.max(1) >= 0) & (vertex != end[left])
            chosen[left, vertex] = np.where(there, edge, -1)
        left = left[~_leads_to_end(target[left], chosen[left], end[left])]
    return chosen


def _leads_to_end(target: NDArray[np.int64], chosen: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool (n,): whether from every base that is left at all the chosen edges lead to the sequence's last base."""
    n = len(target)
    # a base that is never left is not in the sequence, or is its end
    after = np.where(chosen >= 0, np.take_along_axis(target, np.maximum(chosen, 0), 1), end[:, None])
    at = np.broadcast_to(np.arange(_VERTICES), (n, _VERTICES))
    for _ in range(_VERTICES):
        at = np.where(at == end[:, None], at, np.take_along_axis(after, at, 1))
    leads: NDArray[np.bool_] = (at == end[:, None]).all(1)
    return leads
