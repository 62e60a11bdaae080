"""Variants to windows of sequence: the REF and ALT window of every allele that can be scored, a Status for the others.

An allele is taken in its minimal, left-aligned form (:mod:`varscore.genome.minimal`). The window of ``length`` bases
is anchored at the first REF base, which sits at index ``(length - 1) // 2``. The REF window is the genome; the ALT
window is the same left flank, the ALT allele, then the genome after the REF allele. Of an allele longer than what is
left of the window there is as much as fits. Structural alleles have theirs in :mod:`varscore.genome.structural`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from varscore.genome.alleles import AlleleBatch, Status
from varscore.genome.coords import anchor
from varscore.genome.named import NamedGenome
from varscore.genome.pairs import Windows
from varscore.genome.reasons import BY_DEFAULT, Rules, judge
from varscore.genome.sequence import UNKNOWN, Genome, encode
from varscore.genome.structural import structural_windows

__all__ = ["LONGEST", "Windows", "cut_windows", "known_windows"]


LONGEST = 10_000_000
"""Bases of an allele that is spelled out, at most: ``<DEL>`` and END say as much of a longer one"""


def cut_windows(
    batch: AlleleBatch, genome: Genome, names: Sequence[str | None], length: int, rules: Rules = BY_DEFAULT
) -> tuple[NDArray[np.uint8], AlleleBatch, Windows]:
    """Status of every allele, uint8 (n,), the batch as it is scored (see ``judge``), and the windows of what is PASS.

    names: for each of the batch's ``contigs``, the FASTA contig it means (see ``match_contigs``), None if missing.
    Raises FastaError when the FASTA cannot be read.
    """
    named = NamedGenome(genome, names)
    status, batch = judge(batch, named, replace(rules, longest=LONGEST))
    rows = np.flatnonzero(status == Status.PASS)
    windows = known_windows(batch, rows, named, length)
    status[np.setdiff1d(rows, windows.rows)] = Status.N_WINDOW
    return status, batch, windows


def known_windows(batch: AlleleBatch, rows: NDArray[np.int64], genome: NamedGenome, length: int) -> Windows:
    """The windows of the alleles ``rows``, int64 (m,), of a judged batch; without those that have too many N.

    A duplication or inversion has a pair of windows at either end; a pair with too many N is left out. Both windows of
    a pair are looked at: a deletion can pull a stretch of N into the ALT window alone.
    """
    structural = batch.affected_bases[rows] > 0
    windows = _spelled_windows(batch, rows[~structural], genome, length)
    if structural.any():
        named_only = structural_windows(batch, rows[structural], genome, length)
        windows = Windows.together([windows, named_only])
    return windows.take(~mostly_unknown(windows))


def _spelled_windows(batch: AlleleBatch, rows: NDArray[np.int64], genome: NamedGenome, length: int) -> Windows:
    """The windows of the spelled alleles ``rows``, int64 (m,)."""
    contig, start = batch.contig[rows], batch.start[rows] - anchor(length)
    ref = genome.windows(contig, start, length)
    alt = _alt_windows(batch, genome, rows, ref)
    return Windows.anchored(rows, ref, alt, contig, start, batch.ref.lengths[rows], batch.alt.lengths[rows])


def mostly_unknown(windows: Windows) -> NDArray[np.bool_]:
    """bool (m,): whether more than half of the REF or of the ALT window is unknown."""
    found = np.zeros(len(windows), bool)
    for codes in (windows.ref, windows.alt):
        some = np.flatnonzero(codes.max(axis=1, initial=0) == UNKNOWN)  # few windows have any, so few are counted
        found[some[2 * np.count_nonzero(codes[some] == UNKNOWN, axis=1) > codes.shape[1]]] = True
    return found


def _alt_windows(
    batch: AlleleBatch, genome: NamedGenome, rows: NDArray[np.int64], ref: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The ALT windows that go with the ``ref`` windows of ``rows``: uint8 (m, L)."""
    alt = ref.copy()
    middle, length = anchor(ref.shape[1]), ref.shape[1]
    same = batch.alt.lengths[rows] == batch.ref.lengths[rows]
    sizes = np.minimum(batch.alt.lengths[rows], length - middle)  # more does not fit
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
