"""Variants to windows of sequence: the REF and ALT window of every allele that can be scored, a Status for the others.

The window of ``length`` bases is anchored at the first REF base, which sits at index ``(length - 1) // 2``. The REF
window is the genome; the ALT window is the same left flank, the ALT allele, then the genome after the REF allele.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from varscore.genome.alleles import AlleleBatch, ByteColumn, Status
from varscore.genome.coords import anchor
from varscore.genome.sequence import UNKNOWN, Genome, encode


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of the m alleles of a batch that are PASS, in batch order.

    rows:   int64 (m,) row of the batch
    ref, alt: uint8 (m, L) base codes, 0-3 = ACGT, 4 = unknown or past the contig's end
    contig: int32 (m,) index into the batch's ``contigs``
    start:  int64 (m,) 0-based position of the windows' first base; may be negative
    ref_length, alt_length: int64 (m,) lengths of the alleles in bases
    """

    rows: np.ndarray
    ref: np.ndarray
    alt: np.ndarray
    contig: np.ndarray
    start: np.ndarray
    ref_length: np.ndarray
    alt_length: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: np.ndarray) -> Windows:
        """The windows picked by a boolean mask or an index array."""
        fields = (self.rows, self.ref, self.alt, self.contig, self.start, self.ref_length, self.alt_length)
        return Windows(*(field[chosen] for field in fields))


def cut_windows(
    batch: AlleleBatch, genome: Genome, names: Sequence[str | None], length: int, check_ref: bool = True
) -> tuple[np.ndarray, Windows]:
    """Status of every allele, uint8 (n,), and the windows of those that are PASS.

    names: for each of the batch's ``contigs``, the FASTA contig it means (see ``match_contigs``), None if missing.
    check_ref: without it a REF that is not what the FASTA has is no reason; the REF window is the FASTA's all the same.
    N_WINDOW looks at both windows: a deletion can pull a stretch of N into the ALT window alone.
    Raises FastaError when the FASTA cannot be read.
    """
    status = _text_status(batch)
    _settle(status, _place_status(batch, genome, names, length))

    rows = np.flatnonzero(status == Status.PASS)
    ref = _genome_windows(batch, genome, names, rows, batch.start[rows] - anchor(length), length)
    _settle(status, _ref_status(batch, rows, ref, check_ref), rows)
    rows, ref = _still_passing(status, rows, ref)

    alt = _alt_windows(batch, genome, names, rows, ref)
    _settle(status, _unknown_status(ref, alt), rows)
    kept, ref = _still_passing(status, rows, ref)
    _, alt = _still_passing(status, rows, alt)

    start = batch.start[kept] - anchor(length)
    sizes = batch.ref.lengths[kept], batch.alt.lengths[kept]
    return status, Windows(kept, ref, alt, batch.contig[kept], start, *sizes)


def _settle(status: np.ndarray, found: np.ndarray, rows: np.ndarray | slice = slice(None)) -> None:
    """Enter later findings (uint8, for ``rows``) where no earlier reason has been found."""
    status[rows] = np.where(status[rows] == Status.PASS, found, status[rows])


def _first_match(reasons: Sequence[tuple[Status, np.ndarray]]) -> np.ndarray:
    """The first status whose mask (n,) holds, uint8 (n,); PASS where none does."""
    return np.select([mask for _, mask in reasons], [np.uint8(status) for status, _ in reasons], np.uint8(Status.PASS))


def _still_passing(status: np.ndarray, rows: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    passing = status[rows] == Status.PASS
    return (rows, windows) if passing.all() else (rows[passing], windows[passing])


# -- reasons found in the alleles' text ------------------------------------------------------------------------------


def _text_status(batch: AlleleBatch) -> np.ndarray:
    """uint8 (n,): what REF and ALT alone tell, before the genome is asked."""
    size, first, last = batch.alt.lengths, _letter(batch.alt, 0), _letter(batch.alt, -1)
    dot, star = ord("."), ord("*")
    bracketed = _count(batch.alt, _BRACKET) > 0
    not_bases = (_count(batch.ref, _NOT_ACGT) > 0) | (_count(batch.alt, _NOT_ACGT) > 0) | (batch.ref.lengths == 0)
    return _first_match(
        [
            (Status.NO_ALT, (size == 0) | ((size == 1) & (first == dot))),
            (Status.SYMBOLIC, (first == ord("<")) & (last == ord(">"))),
            (Status.BREAKEND, bracketed | (first == dot) | (last == dot)),
            (Status.SPANNING_DELETION, (size == 1) & (first == star)),
            (Status.NON_ACGT, not_bases),
        ]
    )


_NOT_ACGT = encode(np.arange(256, dtype=np.uint8)) == UNKNOWN
_BRACKET = np.isin(np.arange(256), [ord("["), ord("]")])


def _letter(column: ByteColumn, index: int) -> np.ndarray:
    """First (0) or last (-1) byte of every string, uint8 (n,); 0 for an empty string."""
    at = column.offsets[:-1] if index == 0 else column.offsets[1:] - 1
    padded = np.append(column.data, np.uint8(0))
    return np.where(column.lengths > 0, padded[at], 0).astype(np.uint8)


def _count(column: ByteColumn, of: np.ndarray) -> np.ndarray:
    """How many bytes of every string belong to the set ``of``, bool (256,): int64 (n,)."""
    before = np.concatenate([[0], np.cumsum(of[column.data])])
    return np.asarray(before[column.offsets[1:]] - before[column.offsets[:-1]])


# -- reasons found in the position and in the genome -----------------------------------------------------------------


def _place_status(batch: AlleleBatch, genome: Genome, names: Sequence[str | None], length: int) -> np.ndarray:
    """uint8 (n,): contig, position and allele length."""
    sizes = np.array([-1 if name is None else genome.contigs[name] for name in names], np.int64)
    size = sizes[batch.contig]
    off = (batch.start < 0) | (batch.start >= size) | (batch.start + batch.ref.lengths > size)
    longest = np.maximum(batch.ref.lengths, batch.alt.lengths)
    return _first_match(
        [(Status.MISSING_CONTIG, size < 0), (Status.OFF_CONTIG, off), (Status.TOO_LONG, 2 * longest > length)]
    )


def _ref_status(batch: AlleleBatch, rows: np.ndarray, ref: np.ndarray, check: bool) -> np.ndarray:
    """uint8 (m,): whether REF is what the genome has in the ``ref`` windows of ``rows``."""
    sizes = batch.ref.lengths[rows]
    window = np.repeat(np.arange(len(rows)), sizes)
    base = np.arange(len(window)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    there = ref[window, anchor(ref.shape[1]) + base]
    claimed = encode(batch.ref.data[batch.ref.offsets[rows][window] + base])
    unknown = np.bincount(window[there == UNKNOWN], minlength=len(rows)) > 0
    different = np.bincount(window[there != claimed], minlength=len(rows)) > 0
    return _first_match([(Status.REF_UNKNOWN, unknown), (Status.REF_MISMATCH, different & check)])


def _unknown_status(ref: np.ndarray, alt: np.ndarray) -> np.ndarray:
    """uint8 (m,): N_WINDOW where more than half of the REF or of the ALT window is unknown."""
    found = np.full(len(ref), Status.PASS, np.uint8)
    for windows in (ref, alt):
        some = np.flatnonzero(windows.max(axis=1, initial=0) == UNKNOWN)  # few windows have any, so few are counted
        many = 2 * np.count_nonzero(windows[some] == UNKNOWN, axis=1) > windows.shape[1]
        found[some[many]] = Status.N_WINDOW
    return found


# -- windows -----------------------------------------------------------------------------------------------------


def _genome_windows(
    batch: AlleleBatch,
    genome: Genome,
    names: Sequence[str | None],
    rows: np.ndarray,
    starts: np.ndarray,
    length: int,
) -> np.ndarray:
    """The genome from ``starts``, int64 (m,), on the contigs of ``rows``: uint8 (m, length)."""
    contig = batch.contig[rows]
    present = np.unique(contig).tolist()
    if len(present) == 1 and (name := names[present[0]]) is not None:
        return genome.windows(name, starts, length)
    windows = np.empty((len(rows), length), np.uint8)
    for index in present:
        name = names[index]
        assert name is not None  # rows on a missing contig are not PASS
        here = np.flatnonzero(contig == index)
        windows[here] = genome.windows(name, starts[here], length)
    return windows


def _alt_windows(
    batch: AlleleBatch, genome: Genome, names: Sequence[str | None], rows: np.ndarray, ref: np.ndarray
) -> np.ndarray:
    """The ALT windows that go with the ``ref`` windows of ``rows``: uint8 (m, L)."""
    alt = ref.copy()
    middle, length = anchor(ref.shape[1]), ref.shape[1]
    sizes = batch.alt.lengths[rows]
    same = sizes == batch.ref.lengths[rows]
    for size in np.unique(sizes).tolist():
        chosen = np.flatnonzero(sizes == size)
        letters = batch.alt.data[batch.alt.offsets[rows[chosen], None] + np.arange(size)]
        alt[chosen, middle : middle + size] = encode(letters)
    indels = np.flatnonzero(~same)
    after_ref = batch.start[rows[indels]] + batch.ref.lengths[rows[indels]]
    right = _genome_windows(batch, genome, names, rows[indels], after_ref, length - middle)
    for size in np.unique(sizes[indels]).tolist():
        of_size = sizes[indels] == size
        alt[indels[of_size], middle + size :] = right[of_size, : length - middle - size]
    return alt
