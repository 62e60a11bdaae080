"""The minimal, left-aligned form of an allele: one variant, one spelling, whatever the record's.

Bases that REF and ALT share are trimmed, at the end, then at the beginning, as long as both keep one. What is left of
an insertion or deletion is moved left for as long as the sequence stays the same, and spelled with the base before it
(at the very beginning of a contig with the base after it). This is what ``bcftools norm -f`` makes of a record with one
ALT. A base that the genome does not know ends the way to the left, as does the contig's beginning.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from varscore.genome.alleles import AlleleBatch, ByteColumn, stretches
from varscore.genome.named import NamedGenome
from varscore.genome.sequence import UNKNOWN, decode, encode

_FIRST_LOOK, _LONGEST_LOOK = 32, 4096  # bases to the left that are compared at a time


def minimal_sizes(ref: ByteColumn, alt: ByteColumn) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lengths of REF and ALT in their minimal form, two int64 (n,); strings that are not empty."""
    prefix, suffix = shared_ends(_codes(ref), _codes(alt))
    spare = np.minimum(ref.lengths, alt.lengths) == prefix + suffix  # one of the two keeps a shared base
    return ref.lengths - prefix - suffix + spare, alt.lengths - prefix - suffix + spare


def changed_bases(written: AlleleBatch, scored: AlleleBatch, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many bases of the reference the alleles ``rows``, int64 (m,), change: none for an insertion. int64 (m,)

    written, scored: a batch before and after it was judged; all of what a structural allele affects counts
    """
    ref, alt = scored.ref.take(rows), scored.alt.take(rows)
    prefix, suffix = shared_ends(_codes(ref), _codes(alt))
    affected = written.affected_bases[rows]
    return np.asarray(np.where(affected > 0, affected, ref.lengths - prefix - suffix))


def minimal_form(batch: AlleleBatch, rows: NDArray[np.int64], genome: NamedGenome) -> AlleleBatch:
    """The batch with the alleles ``rows``, int64 (m,), in their minimal form; their REF is what the genome has."""
    rows = rows[(batch.ref.lengths[rows] > 1) | (batch.alt.lengths[rows] > 1)]
    if not len(rows):
        return batch
    ref, alt = _codes(batch.ref.take(rows)), _codes(batch.alt.take(rows))
    prefix, suffix = shared_ends(ref, alt)
    change = ref.lengths - alt.lengths
    used_up = np.minimum(ref.lengths, alt.lengths) == prefix + suffix
    suffix -= used_up & (change == 0)  # REF and ALT are the same, and keep a base each
    every, start = np.arange(len(rows)), batch.start[rows] + prefix
    ref, alt = (column.part(every, column.lengths - prefix - suffix, prefix) for column in (ref, alt))

    indel = np.flatnonzero(used_up & (change != 0))
    deletion = change[indel] > 0
    deleted, inserted = np.flatnonzero(deletion), np.flatnonzero(~deletion)
    body = alt.take(indel).replaced(deleted, ref.take(indel[deleted]))
    start[indel], longer, anchor = _moved_left(body, deletion, batch.contig[rows[indel]], start[indel], genome)
    ref = ref.replaced(indel, longer.replaced(inserted, anchor.take(inserted)))
    alt = alt.replaced(indel, longer.replaced(deleted, anchor.take(deleted)))

    place = batch.start.copy()
    place[rows] = start
    ref, alt = batch.ref.replaced(rows, spelled(ref)), batch.alt.replaced(rows, spelled(alt))
    return replace(batch, start=place, ref=ref, alt=alt)


def spelled(codes: ByteColumn) -> ByteColumn:
    """Columns of base codes as letters."""
    return ByteColumn(np.frombuffer(decode(codes.data), np.uint8), codes.offsets)


def _codes(letters: ByteColumn) -> ByteColumn:
    return ByteColumn(encode(letters.data), letters.offsets)


def shared_ends(ref: ByteColumn, alt: ByteColumn) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many letters of the first and of the last are the same: two int64 (n,), the last counted first and never
    more together than the shorter string has."""
    most = np.minimum(ref.lengths, alt.lengths)
    suffix = _agreement(ref, alt, ref.offsets[1:] - 1, alt.offsets[1:] - 1, most, -1)
    return _agreement(ref, alt, ref.offsets[:-1], alt.offsets[:-1], most - suffix, 1), suffix


def _agreement(
    one: ByteColumn,
    other: ByteColumn,
    at: NDArray[np.int64],
    other_at: NDArray[np.int64],
    most: NDArray[np.int64],
    step: int,
) -> NDArray[np.int64]:
    """How many letters from ``at`` on, to the right or (step -1) to the left, are the same in both columns, at most
    ``most``: int64 (n,), as are all."""
    row = np.repeat(np.arange(len(most)), most)
    place = stretches(np.zeros_like(most), most)
    differ = one.data[at[row] + step * place] != other.data[other_at[row] + step * place]
    found = most.copy()
    wrong = np.flatnonzero(differ)[::-1]  # of several for one row the last to be entered stays: the first
    found[row[wrong]] = place[wrong]
    return found


def _moved_left(
    body: ByteColumn,
    deletion: NDArray[np.bool_],
    contig: NDArray[np.int32],
    start: NDArray[np.int64],
    genome: NamedGenome,
) -> tuple[NDArray[np.int64], ByteColumn, ByteColumn]:
    """Insertions and deletions as far left as they go: position of the first REF base, the longer allele, the shorter.

    body: base codes that are deleted (``deletion``, bool (n,)) or inserted, from position ``start`` on, int64 (n,)
    """
    size = body.lengths
    steps = np.zeros_like(start)
    inserted = np.flatnonzero(~deletion)
    before = genome.letters(contig[inserted], start[inserted] - size[inserted], size[inserted])
    new = body.take(inserted)
    steps[inserted] = _agreement(before, new, before.offsets[1:] - 1, new.offsets[1:] - 1, new.lengths, -1)
    repeats = np.flatnonzero(deletion | (steps == size))  # from here on the genome is compared with itself
    steps[repeats] += repeat_to_the_left(contig[repeats], start[repeats] - steps[repeats], size[repeats], genome)

    first = start - steps
    turn = stretches(np.zeros_like(size), size) - np.repeat(steps, size)
    turned = body.data[np.repeat(body.offsets[:-1], size) + turn % np.repeat(size, size)]
    inside = first > 0
    anchor = genome.windows(contig, np.where(inside, first - 1, np.where(deletion, size, 0)), 1)[:, 0]
    longer = ByteColumn.end_to_end(np.empty(size.sum() + len(size), np.uint8), size + 1)
    longer.data[stretches(longer.offsets[:-1] + inside, size)] = turned
    longer.data[longer.offsets[:-1] + np.where(inside, 0, size)] = anchor
    return first - inside, longer, ByteColumn.end_to_end(anchor, np.ones_like(size))


def repeat_to_the_left(
    contig: NDArray[np.int32], start: NDArray[np.int64], period: NDArray[np.int64], genome: NamedGenome
) -> NDArray[np.int64]:
    """How many known bases just before ``start`` are the same as those ``period`` further right: int64 (n,)."""
    found, going, look = np.zeros_like(start), np.arange(len(start)), _FIRST_LOOK
    while len(going):
        first = start[going] - found[going] - look
        here = genome.windows(contig[going], first, look)[:, ::-1]
        there = genome.windows(contig[going], first + period[going], look)[:, ::-1]
        ends = (here != there) | (here == UNKNOWN)
        found[going] += np.where(ends.any(1), ends.argmax(1), look)
        going = going[~ends.any(1)]
        look = min(4 * look, _LONGEST_LOOK)
    return found
