"""Variants to windows of sequence: the REF and ALT window of every allele that can be scored, a Status for the others.

An allele is taken in its minimal, left-aligned form (:mod:`varscore.genome.minimal`). The window of ``length`` bases
is anchored at the first REF base, which sits at index ``(length - 1) // 2``. The REF window is the genome; the ALT
window is the same left flank, the ALT allele, then the genome after the REF allele.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from varscore.genome.alleles import AlleleBatch, Status
from varscore.genome.coords import anchor
from varscore.genome.named import NamedGenome
from varscore.genome.reasons import BY_DEFAULT, Rules, judge, settle
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
    batch: AlleleBatch, genome: Genome, names: Sequence[str | None], length: int, rules: Rules = BY_DEFAULT
) -> tuple[np.ndarray, AlleleBatch, Windows]:
    """Status of every allele, uint8 (n,), the batch as it is scored (see ``judge``), and the windows of what is PASS.

    names: for each of the batch's ``contigs``, the FASTA contig it means (see ``match_contigs``), None if missing.
    N_WINDOW looks at both windows: a deletion can pull a stretch of N into the ALT window alone.
    Raises FastaError when the FASTA cannot be read.
    """
    named = NamedGenome(genome, names)
    status, batch = judge(batch, named, replace(rules, longest=length / 2))
    rows = np.flatnonzero(status == Status.PASS)
    ref = named.windows(batch.contig[rows], batch.start[rows] - anchor(length), length)
    alt = _alt_windows(batch, named, rows, ref)
    settle(status, _unknown_status(ref, alt), rows)
    if not (kept := status[rows] == Status.PASS).all():
        rows, ref, alt = rows[kept], ref[kept], alt[kept]
    start = batch.start[rows] - anchor(length)
    sizes = batch.ref.lengths[rows], batch.alt.lengths[rows]
    return status, batch, Windows(rows, ref, alt, batch.contig[rows], start, *sizes)


def _unknown_status(ref: np.ndarray, alt: np.ndarray) -> np.ndarray:
    """uint8 (m,): N_WINDOW where more than half of the REF or of the ALT window is unknown."""
    found = np.full(len(ref), Status.PASS, np.uint8)
    for windows in (ref, alt):
        some = np.flatnonzero(windows.max(axis=1, initial=0) == UNKNOWN)  # few windows have any, so few are counted
        many = 2 * np.count_nonzero(windows[some] == UNKNOWN, axis=1) > windows.shape[1]
        found[some[many]] = Status.N_WINDOW
    return found


def _alt_windows(batch: AlleleBatch, genome: NamedGenome, rows: np.ndarray, ref: np.ndarray) -> np.ndarray:
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
    right = genome.windows(batch.contig[rows[indels]], after_ref, length - middle)
    for size in np.unique(sizes[indels]).tolist():
        of_size = sizes[indels] == size
        alt[indels[of_size], middle + size :] = right[of_size, : length - middle - size]
    return alt
