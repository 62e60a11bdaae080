"""Variants to effects: one stream, batch after batch, nothing of the input's length held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from varscore.effects import Effects, effects
from varscore.engine.plain import PlainEngine
from varscore.genome.alleles import AlleleBatch
from varscore.genome.sequence import Genome, match_contigs
from varscore.genome.windows import cut_windows


@dataclass(frozen=True, slots=True)
class ScoreBatch:
    """What became of a batch of n alleles.

    status: uint8 (n,) :class:`varscore.genome.alleles.Status`; rows: int64 (m,), the alleles that were scored;
    effects: m rows.
    """

    status: np.ndarray
    rows: np.ndarray
    effects: Effects


class ContigNames:
    """The FASTA's name for every contig name of a variant file, looked up once each."""

    def __init__(self, genome: Genome, lengths: Mapping[str, int | None]) -> None:
        self._genome = genome
        self._lengths = {name: length for name, length in lengths.items() if length is not None}
        self._known: dict[str, str | None] = {}

    def of(self, names: Iterable[str]) -> list[str | None]:
        asked = list(names)
        fresh = [name for name in dict.fromkeys(asked) if name not in self._known]
        if fresh:
            self._known.update(match_contigs(fresh, self._genome, self._lengths))
        return [self._known[name] for name in asked]

    def none_of(self, names: Iterable[str]) -> bool:
        """Whether neither one of ``names`` nor any name asked for before is in the FASTA."""
        self.of(names)
        return not any(self._known.values())


def score_alleles(
    batch: AlleleBatch, genome: Genome, names: ContigNames, engine: PlainEngine, check_ref: bool = True
) -> ScoreBatch:
    """Effects of one batch of alleles; the ones that cannot be scored get their reason instead."""
    status, windows = cut_windows(batch, genome, names.of(batch.contigs), engine.net.window, check_ref)
    return ScoreBatch(status, windows.rows, effects(*engine.score(windows)))


def score_variants(
    batches: Iterable[AlleleBatch], genome: Genome, names: ContigNames, engine: PlainEngine, check_ref: bool = True
) -> Iterator[ScoreBatch]:
    """:func:`score_alleles` over a stream."""
    for batch in batches:
        yield score_alleles(batch, genome, names, engine, check_ref)


def spread(values: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    """float32 values of the scored rows as a column of all n alleles, NaN elsewhere. values: (m, ...)."""
    out = np.full((n, *values.shape[1:]), np.nan, np.float32)
    out[rows] = values
    return out
