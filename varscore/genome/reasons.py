"""Whether an allele can be scored: the reasons found in its text, its position and the genome under its REF.

All but the length are judged on the record as it is written: a position off the contig or a REF that the genome
contradicts is wrong, however much of it would be trimmed away. The length is the minimal form's, so that padding costs
no allele its score. N at an end that REF and ALT share is such padding where the genome has N too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from varscore.genome.alleles import AlleleBatch, ByteColumn, Status
from varscore.genome.minimal import minimal_form, minimal_sizes, shared_ends, spelled
from varscore.genome.named import NamedGenome
from varscore.genome.sequence import UNKNOWN, encode
from varscore.genome.structural import minimal_place


@dataclass(frozen=True, slots=True)
class Rules:
    """check_ref: without it a REF that is not what the FASTA has is no reason; the FASTA's bases are REF all the same.

    as_written: alleles keep the spelling of their record; longest: bases of a spelled REF or ALT, None for no limit
    """

    check_ref: bool = True
    as_written: bool = False
    longest: float | None = None


BY_DEFAULT = Rules()


def judge(batch: AlleleBatch, genome: NamedGenome, rules: Rules) -> tuple[NDArray[np.uint8], AlleleBatch]:
    """Status of every allele, uint8 (n,), N_WINDOW left out, and the batch with those that are PASS as they are scored:
    REF is what the genome has, and both are in their minimal form. The others stay as they are written.

    A structural allele of which the batch says what it affects is judged by its REF and its place, like any other.

    Raises FastaError when the FASTA cannot be read.
    """
    structural = batch.affected_bases > 0
    lone_ref, lone_alt = _lone_unknowns(batch, structural)
    status = _text_status(batch, lone_ref | lone_alt, structural)
    place = _place_status(batch, genome)
    if not rules.as_written:
        is_spelled = (batch.ref.lengths > 0) & ~structural
        padded = np.flatnonzero((status == Status.NON_ACGT) & (place == Status.PASS) & is_spelled)
        status[padded[_is_padding(batch.take(padded, padded), genome)]] = Status.PASS
    settle(status, place)
    _settle_lengths(status, batch, rules)

    rows = np.flatnonzero(status == Status.PASS)
    found, differs = _ref_status(batch, rows, lone_ref[rows], lone_alt[rows], genome)
    if not rules.check_ref:
        found[found == Status.REF_MISMATCH] = Status.PASS
    settle(status, found, rows)
    passing = found == Status.PASS
    batch = _as_genome(batch, rows[differs & passing], rows[lone_alt[rows] & passing], genome)

    if not rules.as_written:
        batch = minimal_form(batch, np.flatnonzero((status == Status.PASS) & ~structural), genome)
        if structural.any():
            batch = minimal_place(batch, np.flatnonzero((status == Status.PASS) & structural), genome)
    _settle_lengths(status, batch, rules)  # a REF that the FASTA has replaced may share less with ALT
    return status, batch


def settle(status: NDArray[np.uint8], found: NDArray[np.uint8], rows: NDArray[np.int64] | slice = slice(None)) -> None:
    """Enter later findings (uint8, for ``rows``) where no earlier reason has been found."""
    status[rows] = np.where(status[rows] == Status.PASS, found, status[rows])


def _first_match(reasons: Sequence[tuple[Status, NDArray[np.bool_]]]) -> NDArray[np.uint8]:
    """The first status whose mask (n,) holds, uint8 (n,); PASS where none does."""
    return np.select([mask for _, mask in reasons], [np.uint8(status) for status, _ in reasons], np.uint8(Status.PASS))


# -- in the alleles' text --------------------------------------------------------------------------------------------


def _text_status(
    batch: AlleleBatch, with_lone_unknown: NDArray[np.bool_], structural: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """uint8 (n,): what REF and ALT alone tell, before the genome is asked. All bool (n,)"""
    size, first, last = batch.alt.lengths, _letter(batch.alt, 0), _letter(batch.alt, -1)
    dot, star = ord("."), ord("*")
    bracketed = _count(batch.alt, _BRACKET) > 0
    odd_alt = (_count(batch.alt, _NOT_ACGT) > 0) & ~structural
    not_bases = (_count(batch.ref, _NOT_ACGT) > 0) | odd_alt | (batch.ref.lengths == 0)
    return _first_match(
        [
            (Status.NO_ALT, (size == 0) | ((size == 1) & (first == dot))),
            (Status.SYMBOLIC, (first == ord("<")) & (last == ord(">")) & ~structural),
            (Status.BREAKEND, bracketed | (first == dot) | (last == dot)),
            (Status.SPANNING_DELETION, (size == 1) & (first == star)),
            (Status.NON_ACGT, not_bases & ~with_lone_unknown),
        ]
    )


def _lone_unknowns(batch: AlleleBatch, structural: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where REF, where ALT is the single letter N beside a spelled sequence of 2 or more bases, or REF beside a
    ``structural`` ALT: two bool (n,).

    So do some callers of structural variants write insertions and deletions; N stands for the genome's base.
    """
    found = [np.zeros(len(batch), bool), np.zeros(len(batch), bool)]
    for lone, one, other in zip(found, (batch.ref, batch.alt), (batch.alt, batch.ref), strict=True):
        rows = np.flatnonzero((one.lengths == 1) & (other.lengths > 1) & (_UPPER[_letter(one, 0)] == ord("N")))
        lone[rows] = (_count(other.take(rows), _NOT_ACGT) == 0) | structural[rows]
    return found[0], found[1]


def _is_padding(batch: AlleleBatch, genome: NamedGenome) -> NDArray[np.bool_]:
    """bool (n,): whether every letter other than ACGT is an N that REF and ALT share at an end and the genome has too.

    So a variant beside unknown sequence may be spelled with more or fewer letters, like any other.
    """
    ref, alt = (ByteColumn(_UPPER[column.data], column.offsets) for column in (batch.ref, batch.alt))
    prefix, suffix = shared_ends(ref, alt)
    every, shared = np.arange(len(batch)), prefix + suffix
    rest = [_count(c.part(every, c.lengths - shared, prefix), _NOT_ACGT) for c in (ref, alt)]
    there = genome.letters(batch.contig, batch.start, ref.lengths)
    other = _NOT_ACGT[ref.data] & ((ref.data != ord("N")) | (there.data != UNKNOWN))
    is_change = np.maximum(ref.lengths, alt.lengths) > shared
    found: NDArray[np.bool_] = is_change & (rest[0] + rest[1] + _sums(other, ref.offsets) == 0)
    return found


_UPPER = np.frombuffer(bytes(range(256)).upper(), np.uint8)
_NOT_ACGT = encode(np.arange(256, dtype=np.uint8)) == UNKNOWN
_BRACKET = np.isin(np.arange(256), [ord("["), ord("]")])


def _letter(column: ByteColumn, index: int) -> NDArray[np.uint8]:
    """First (0) or last (-1) byte of every string, uint8 (n,); 0 for an empty string."""
    at = column.offsets[:-1] if index == 0 else column.offsets[1:] - 1
    padded = np.append(column.data, np.uint8(0))
    return np.where(column.lengths > 0, padded[at], 0).astype(np.uint8)


def _count(column: ByteColumn, of: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many bytes of every string belong to the set ``of``, bool (256,): int64 (n,)."""
    return _sums(of[column.data], column.offsets)


def _sums(marked: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many bytes of every string are marked: int64 (n,). marked: bool (bytes,); offsets: int64 (n + 1,)"""
    before = np.concatenate([[0], np.cumsum(marked)])
    return np.asarray(before[offsets[1:]] - before[offsets[:-1]])


# -- in the position, the length and the genome ----------------------------------------------------------------------


def _place_status(batch: AlleleBatch, genome: NamedGenome) -> NDArray[np.uint8]:
    """uint8 (n,): contig and position."""
    size = genome.sizes(batch.contig)
    end = batch.start + np.maximum(batch.ref.lengths, 1 + batch.affected_bases)
    off = (batch.start < 0) | (batch.start >= size) | (end > size)
    return _first_match([(Status.MISSING_CONTIG, size < 0), (Status.OFF_CONTIG, off)])


def _settle_lengths(status: NDArray[np.uint8], batch: AlleleBatch, rules: Rules) -> None:
    """Enter TOO_LONG where an allele that is PASS so far is too long to be scored."""
    if rules.longest is None:
        return
    longest = np.maximum(batch.ref.lengths, batch.alt.lengths)
    rows = np.flatnonzero((status == Status.PASS) & (longest > rules.longest))
    if not rules.as_written and len(rows):
        ref, alt = minimal_sizes(batch.ref.take(rows), batch.alt.take(rows))
        rows = rows[np.maximum(ref, alt) > rules.longest]
    status[rows] = Status.TOO_LONG


def _ref_status(
    batch: AlleleBatch,
    rows: NDArray[np.int64],
    lone_ref: NDArray[np.bool_],
    lone_alt: NDArray[np.bool_],
    genome: NamedGenome,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """uint8 (m,): whether the REF of ``rows`` is what the genome has; bool (m,): whether a letter differs.

    lone_ref, lone_alt: bool (m,), see _lone_unknowns. SWAPPED: the genome has all of ALT where REF begins.
    """
    differs, unknown = _compare(batch, rows, lone_ref, genome)
    mismatch = differs & ~lone_ref
    asked = np.flatnonzero(mismatch & ~unknown & ~lone_alt & (batch.affected_bases[rows] == 0))
    alt = batch.alt.take(rows[asked])
    there = genome.letters(batch.contig[rows[asked]], batch.start[rows[asked]], alt.lengths)
    swapped = np.zeros(len(rows), bool)
    swapped[asked] = _sums(there.data != encode(alt.data), alt.offsets) == 0
    reasons = [(Status.REF_UNKNOWN, unknown), (Status.SWAPPED, swapped), (Status.REF_MISMATCH, mismatch)]
    return _first_match(reasons), differs


def _compare(
    batch: AlleleBatch, rows: NDArray[np.int64], lone_ref: NDArray[np.bool_], genome: NamedGenome
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the genome under REF of ``rows`` has another letter; whether it has N under a letter or a lone N.

    REF of a structural allele is no part of it: there N over N is as good as any letter.
    """
    contig, start, lengths = batch.contig[rows], batch.start[rows], batch.ref.lengths[rows]
    there = genome.windows(contig, start, 1)[:, 0]
    claimed = encode(batch.ref.data[batch.ref.offsets[rows]])
    asks = lone_ref & (batch.affected_bases[rows] == 0)
    differs, unknown = there != claimed, (there == UNKNOWN) & ((claimed != UNKNOWN) | asks)
    long = np.flatnonzero(lengths > 1)
    if len(long):
        under = genome.letters(contig[long], start[long], lengths[long])
        ref = encode(batch.ref.take(rows[long]).data)
        wrong = under.data != ref
        differs[long] = _sums(wrong, under.offsets) > 0
        unknown[long] = _sums(wrong & (under.data == UNKNOWN), under.offsets) > 0
    return differs, unknown


def _as_genome(batch: AlleleBatch, ref: NDArray[np.int64], alt: NDArray[np.int64], genome: NamedGenome) -> AlleleBatch:
    """The batch with what the genome has for the REF of some rows and for a lone N that is the ALT of others."""
    if len(ref):
        letters = genome.letters(batch.contig[ref], batch.start[ref], batch.ref.lengths[ref])
        batch = replace(batch, ref=batch.ref.replaced(ref, spelled(letters)))
    if len(alt):
        letters = genome.letters(batch.contig[alt], batch.start[alt], batch.alt.lengths[alt])
        batch = replace(batch, alt=batch.alt.replaced(alt, spelled(letters)))
    return batch
