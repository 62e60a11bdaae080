"""REF and ALT tracks around one variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.engine.plain import PlainEngine
from varscore.errors import DataError
from varscore.genome.coords import Variant
from varscore.genome.sequence import Genome, encode
from varscore.predict.grid import Grid, choose_step, is_known
from varscore.predict.tracks import along

FLANK = 2000
"""Bases on either side of a variant that its tracks show"""


@dataclass(frozen=True)
class VariantTracks:
    """What is predicted around a variant with either allele, on the grid of the tracks along the genome.

    start, end: int64 (n,), the bases of the reference that each value stands for
    ref, alt: float32 (tracks, n): a track a task, of a network of one strand two; NaN where windows are mostly N
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    ref: NDArray[np.float32]
    alt: NDArray[np.float32]


def tracks_around(
    engine: PlainEngine,
    genome: Genome,
    variant: Variant,
    tasks: Sequence[int],
    *,
    flank: int = FLANK,
    step: int | None = None,
    as_logits: bool = False,
) -> VariantTracks:
    """Predict the windows within ``flank`` bases of a variant, whose contig is spelled as in the genome.

    A window that stands for bases up to the variant's first has the same first base with either allele; one that stands
    for later ones has the same last. So windows without the variant show the same, and have the same value. Values of
    REF are those of the tracks along the genome. Raises DataError when REF is not what the genome has, UsageError for a
    step that is none.
    """
    ref, alt = (encode(allele.encode()) for allele in (variant.ref, variant.alt))
    there = genome.codes(variant.contig, variant.start, variant.start + len(ref))
    if not np.array_equal(ref, there):
        raise DataError(f"REF of {variant} is not what the FASTA has", where=genome.path)
    grid = Grid(engine.net.window, choose_step(engine.net, step))
    lo, hi = max(variant.start - flank, 0), min(variant.start + len(ref) + flank, genome.contigs[variant.contig])
    windows = grid.windows(lo, hi)
    first, last = windows.start * grid.step, (windows.stop - 1) * grid.step + grid.window
    shift = len(alt) - len(ref)
    reach = abs(shift)
    whole = genome.codes(variant.contig, first - reach, last + reach)
    at = variant.start - (first - reach)
    changed = np.concatenate([whole[:at], alt, whole[at + len(ref) :]])
    left, right = (slice(start, start + last - first) for start in (reach, reach + shift))
    begin = grid.bases(np.arange(windows.start, windows.stop))

    def values(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = along(tasks, as_logits, engine, (np.ascontiguousarray(codes), grid.step))
        return np.where(is_known(codes, grid), found, np.float32(np.nan))

    before = begin + grid.step // 2 <= variant.start  # the middle of what a window stands for
    altered = np.where(before, values(changed[left]), values(changed[right]))
    return VariantTracks(begin.clip(lo), (begin + grid.step).clip(max=hi), values(whole[left]), altered)
