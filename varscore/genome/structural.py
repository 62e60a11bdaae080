"""Windows of structural variants that are named, not spelled out: ``<DEL>``, ``<DUP>``, ``<INV>``.

A batch says of such an allele how many bases after the one at ``start`` it affects. Nothing is spelled out on the way:
a window is put together from stretches of the genome, however long the variant is.

    deletion     the window of the same deletion spelled out: the base before it is anchored, ALT jumps what is deleted
    duplication  in tandem. ALT is the junction, the last base of the first copy anchored and the second copy after it.
                 It is compared with the genome at the end of what is doubled, and at its beginning
    inversion    the left end, its first base anchored; the right end by the same rule on the other strand
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from varscore.genome.alleles import AlleleBatch
from varscore.genome.coords import anchor
from varscore.genome.minimal import repeat_to_the_left, spelled
from varscore.genome.named import NamedGenome
from varscore.genome.pairs import Windows
from varscore.genome.sequence import UNKNOWN, complement

_FIRST_LOOK, _LONGEST_LOOK = 32, 4096
"""Bases at either end of an inversion that are compared at a time"""


def minimal_place(batch: AlleleBatch, rows: NDArray[np.int64], genome: NamedGenome) -> AlleleBatch:
    """The batch with the structural alleles ``rows``, int64 (m,), where their minimal forms stand.

    A deletion or duplication is moved left for as long as the sequence stays the same, as ``bcftools norm -f`` does it.
    An inversion loses the bases at its ends that it leaves as they were. REF is one base, the genome's.
    """
    start, affected = batch.start.copy(), batch.affected_bases.copy()
    inverted = _is_inversion(batch, rows)
    moved = rows[~inverted]
    steps = repeat_to_the_left(batch.contig[moved], start[moved] + 1, affected[moved], genome)
    start[moved] -= np.minimum(steps, start[moved])  # the base before stays on the contig: the sequence is the same
    turned = rows[inverted]
    same = _same_when_inverted(batch.contig[turned], start[turned] + 1, affected[turned], genome)
    start[turned] += same
    affected[turned] -= 2 * same
    letters = genome.letters(batch.contig[rows], start[rows], np.ones_like(rows))
    return replace(batch, start=start, affected=affected, ref=batch.ref.replaced(rows, spelled(letters)))


def structural_windows(batch: AlleleBatch, rows: NDArray[np.int64], genome: NamedGenome, length: int) -> Windows:
    """The windows of the structural alleles ``rows``, int64 (m,): one pair of a deletion, two of any other."""
    inverted, doubled = _is_inversion(batch, rows), _starts_with(batch, rows, b"<DUP")
    parts = [
        *_duplications(batch, rows[doubled], genome, length),
        *_inversions(batch, rows[inverted], genome, length),
        _deletions(batch, rows[~inverted & ~doubled], genome, length),
    ]
    return Windows.together(parts)


def _deletions(batch: AlleleBatch, rows: NDArray[np.int64], genome: NamedGenome, length: int) -> Windows:
    contig, before, middle = batch.contig[rows], batch.start[rows], anchor(length)
    after = before + 1 + batch.affected_bases[rows]
    ref = genome.windows(contig, before - middle, length)
    alt = np.concatenate([ref[:, : middle + 1], genome.windows(contig, after, length - middle - 1)], 1)
    return _pairs(rows, ref, alt, contig, before - middle, middle, length)


def _duplications(batch: AlleleBatch, rows: NDArray[np.int64], genome: NamedGenome, length: int) -> list[Windows]:
    """At the end of what is doubled, and at its beginning."""
    contig, first, left = batch.contig[rows], batch.start[rows] + 1, anchor(length) + 1
    end = first + batch.affected_bases[rows]
    copies = genome.windows(contig, end - left, left), genome.windows(contig, first, length - left)
    alt = np.concatenate(copies, 1)
    places = ((end - left, left, length), (first - left, 0, left))
    return [_pairs(rows, genome.windows(contig, start, length), alt, contig, start, lo, hi) for start, lo, hi in places]


def _inversions(batch: AlleleBatch, rows: NDArray[np.int64], genome: NamedGenome, length: int) -> list[Windows]:
    """At the left end, and at the right end."""
    contig, first, middle = batch.contig[rows], batch.start[rows] + 1, anchor(length)
    size, right = batch.affected_bases[rows], length - middle
    end, inside = first + size, np.arange(right) < size[:, None]

    ref = genome.windows(contig, first - middle, length)
    alt, turned = ref.copy(), complement(genome.windows(contig, end - right, right)[:, ::-1])
    alt[:, middle:] = np.where(inside, turned, ref[:, middle:])
    at_left = _pairs(rows, ref, alt, contig, first - middle, middle, np.minimum(middle + size, length))

    ref = genome.windows(contig, end - right, length)
    alt, turned = ref.copy(), complement(genome.windows(contig, first, right)[:, ::-1])
    alt[:, :right] = np.where(inside[:, ::-1], turned, ref[:, :right])
    return [at_left, _pairs(rows, ref, alt, contig, end - right, np.maximum(right - size, 0), right)]


def _pairs(
    rows: NDArray[np.int64],
    ref: NDArray[np.uint8],
    alt: NDArray[np.uint8],
    contig: NDArray[np.int32],
    start: NDArray[np.int64],
    lo: NDArray[np.int64] | int,
    hi: NDArray[np.int64] | int,
) -> Windows:
    zeros = np.zeros(len(rows), np.int64)
    return Windows(rows, ref, alt, contig, start, zeros + lo, zeros + hi, zeros)


def _is_inversion(batch: AlleleBatch, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    return _starts_with(batch, rows, b"<INV")


def _starts_with(batch: AlleleBatch, rows: NDArray[np.int64], name: bytes) -> NDArray[np.bool_]:
    """bool (m,)"""
    return np.array([batch.alt[row].startswith(name) for row in rows.tolist()], bool)


def _same_when_inverted(
    contig: NDArray[np.int32], first: NDArray[np.int64], size: NDArray[np.int64], genome: NamedGenome
) -> NDArray[np.int64]:
    """How many bases at either end of an inversion it leaves as they were, int64 (m,); one base at least is left."""
    most = (size - 1) // 2
    found, going, look = np.zeros_like(first), np.arange(len(first)), _FIRST_LOOK
    while len(going):
        here = genome.windows(contig[going], first[going] + found[going], look)
        after = first[going] + size[going] - found[going]
        there = complement(genome.windows(contig[going], after - look, look)[:, ::-1])
        ends = (here != there) | (here == UNKNOWN)
        found[going] += np.where(ends.any(1), ends.argmax(1), look)
        going = going[~ends.any(1) & (found[going] < most[going])]
        look = min(4 * look, _LONGEST_LOOK)
    return np.asarray(np.minimum(found, most))
