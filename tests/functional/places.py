"""Variants for tests, made without reading a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from varscore.functional.variants import Variants
from varscore.genome.alleles import AlleleBatch, ByteColumn

CONTIGS = ("chr1", "chr2", "chr3")


def variants_at(
    contig: Sequence[int] | np.ndarray, start: Sequence[int] | np.ndarray, frequency: Sequence[float] | None = None
) -> Variants:
    """SNVs; contig: indices into CONTIGS; start: 0-based"""
    n = len(start)
    batch = AlleleBatch(
        record=np.arange(n),
        contig=np.asarray(contig, np.int32),
        contigs=CONTIGS,
        start=np.asarray(start, np.int64),
        ref=ByteColumn.of([b"A"] * n),
        alt=ByteColumn.of([b"G"] * n),
    )
    return Variants(batch, np.full(n, np.nan) if frequency is None else np.asarray(frequency, np.float64))
