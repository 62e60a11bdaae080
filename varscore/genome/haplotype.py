"""The window of a variant on a haplotype: with the other variants that lie there, and with or without itself.

The variants of a haplotype are applied as ``bcftools consensus`` does it: in the order of their position, and one that
overlaps another applied before it is left out. The base before an insertion or deletion is no part of what it changes:
it may be another variant's, unless that is an insertion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.genome.coords import anchor

Fetch = Callable[[int, int], NDArray[np.uint8]]
"""Bases [start, end) of a contig as codes, uint8, N past its ends"""


@dataclass(frozen=True, slots=True)
class Change:
    """An allele: the bases [start, end) of REF become ``alt``.

    order: of two at the same place, which comes first; alt: uint8 codes
    is_padded: whether the first base is the one before an insertion or deletion
    """

    start: int
    end: int
    alt: NDArray[np.uint8]
    order: int
    is_padded: bool

    @property
    def first(self) -> int:
        """The first base that changes, or the one after an insertion."""
        return self.start + self.is_padded

    @property
    def letters(self) -> NDArray[np.uint8]:
        """What [first, end) becomes."""
        return self.alt[int(self.is_padded) :]

    @property
    def is_insertion(self) -> bool:
        return len(self.alt) > self.end - self.start

    @property
    def place(self) -> tuple[int, int]:
        """What the variants of a haplotype are ordered by."""
        return self.start, self.order

    def may_follow(self, end: int, insertion: bool) -> bool:
        """Whether it can be applied after one that ends at ``end``; insertion: whether that inserts."""
        return self.start >= end or (self.start == end - 1 and self.is_padded and not insertion)


def applied(changes: Sequence[Change], focal: Change) -> tuple[list[Change], bool]:
    """Of the changes of a haplotype, ordered by ``place`` and without ``focal``, those that are applied beside it.

    focal goes before all others: those that overlap it are left out. Also says whether it would have been left out
    itself, had it not.
    """
    kept: list[Change] = []
    last: Change | None = None
    for change in changes:
        early, late = (change, focal) if change.place < focal.place else (focal, change)
        if not late.may_follow(early.end, early.is_insertion):
            continue
        if last is None or change.may_follow(last.end, last.is_insertion):
            kept.append(change)
            last = change
    return kept, _is_left_out(changes, focal)


def _is_left_out(changes: Sequence[Change], focal: Change) -> bool:
    last: Change | None = None
    for change in changes:
        if change.place > focal.place:
            break
        if last is None or change.may_follow(last.end, last.is_insertion):
            last = change
    return last is not None and not focal.may_follow(last.end, last.is_insertion)


def background(kept: Sequence[Change], focal: Change, length: int) -> list[Change]:
    """Of the changes that are applied those that are seen in focal's window of ``length`` bases, with it or without."""
    before = anchor(length) + focal.is_padded
    after = length - before - min(len(focal.letters), focal.end - focal.first)
    left = [change for change in kept if change.end <= focal.first]
    right = [change for change in kept if change.end > focal.first]
    seen = list(reversed(_seen([(focal.first - c.end, c) for c in reversed(left)], before)))
    return seen + _seen([(c.first - focal.end, c) for c in right], after)


def _seen(changes: Sequence[tuple[int, Change]], room: int) -> list[Change]:
    """The changes that a walk away from focal comes upon before it has seen ``room`` bases.

    changes: in the order of the walk, with how far each is from focal in bases of the reference
    """
    seen = []
    longer = 0  # bases that the changes passed so far have put in, less those that they took out
    for distance, change in changes:
        if distance + longer >= room:
            break
        seen.append(change)
        longer += len(change.letters) - (change.end - change.first)
    return seen


def haplotype_windows(
    fetch: Fetch, focal: Change, others: Sequence[Change], length: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The window of a haplotype without ``focal`` and with it: two uint8 (length,), focal's first REF base anchored.

    others: its background, ordered by place. Where that has taken the base before an insertion or deletion, the
    one that is before it now is anchored.
    """
    before = anchor(length) + focal.is_padded
    left = _leftwards(fetch, focal.first, [change for change in others if change.end <= focal.first], before)
    right = [change for change in others if change.end > focal.first]
    own = fetch(focal.first, focal.end), focal.letters
    after = (_rightwards(fetch, focal.end, bases, right, length - before) for bases in own)
    without, carried = (np.concatenate([left, bases]) for bases in after)
    return without, carried


def _leftwards(fetch: Fetch, at: int, changes: Sequence[Change], size: int) -> NDArray[np.uint8]:
    """The ``size`` bases before position ``at``, uint8."""
    pieces: list[NDArray[np.uint8]] = []
    room = size
    for change in reversed(changes):
        piece = fetch(max(change.end, at - room), at)
        pieces += [piece, change.letters]
        room -= len(piece) + len(change.letters)
        at = change.first
        if room <= 0:
            break
    if room > 0:
        pieces.append(fetch(at - room, at))
    bases = np.concatenate(pieces[::-1])
    return bases[len(bases) - size :]


def _rightwards(
    fetch: Fetch, at: int, begun: NDArray[np.uint8], changes: Sequence[Change], size: int
) -> NDArray[np.uint8]:
    """``size`` bases, uint8: those that are ``begun``, then what follows from position ``at`` on."""
    pieces = [begun]
    room = size - len(begun)
    for change in changes:
        if room <= 0:
            break
        piece = fetch(at, min(change.first, at + room))
        pieces += [piece, change.letters]
        room -= len(piece) + len(change.letters)
        at = change.end
    if room > 0:
        pieces.append(fetch(at, at + room))
    return np.concatenate(pieces)[:size]
