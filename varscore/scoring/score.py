"""Variants to effects: one stream, batch after batch, nothing of the input's length held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from varscore.engine.plain import PlainEngine
from varscore.engine.pool import Pool
from varscore.genome.alleles import AlleleBatch
from varscore.genome.contigs import ContigNames
from varscore.genome.reasons import BY_DEFAULT, Rules
from varscore.genome.sequence import Genome
from varscore.genome.windows import Windows, cut_windows
from varscore.scoring.effects import Effects, effects


@dataclass(frozen=True, slots=True)
class ScoreBatch:
    """What became of a batch of n alleles.

    status: uint8 (n,) :class:`varscore.genome.alleles.Status`; rows: int64 (m,), the alleles that were scored;
    alleles: the batch in the form in which these were scored; effects: m rows.
    """

    status: np.ndarray
    rows: np.ndarray
    alleles: AlleleBatch
    effects: Effects


class HasAlleles(Protocol):
    """A piece of a variant file; a RecordChunk, for one."""

    @property
    def alleles(self) -> AlleleBatch: ...


Chunk = TypeVar("Chunk", bound=HasAlleles)


def score_chunks(
    chunks: Iterable[Chunk], genome: Genome, names: ContigNames, pool: Pool, window: int, rules: Rules = BY_DEFAULT
) -> Iterator[tuple[Chunk, ScoreBatch]]:
    """Each chunk with what became of its alleles, in order.

    Windows are cut here while the pool's engines compute those of earlier chunks; a few chunks are under way at a time.
    window: length of the network's windows; rules: which alleles are scored, and in which form.
    """

    def cut() -> Iterator[tuple[tuple[Chunk, np.ndarray, np.ndarray, AlleleBatch], Windows]]:
        for chunk in chunks:
            written = chunk.alleles
            status, alleles, windows = cut_windows(written, genome, names.of(written.contigs), window, rules)
            yield (chunk, status, windows.rows, alleles), windows

    for (chunk, status, rows, alleles), found in pool.map(effects_of, cut()):
        yield chunk, ScoreBatch(status, rows, alleles, found)


def effects_of(engine: PlainEngine, windows: Windows) -> Effects:
    """What a pool's engine does with the windows of a chunk."""
    ref, alt = engine.score(windows)
    same = (windows.ref == windows.alt).all(1)
    alt[:, same] = ref[:, same]  # an ALT that changes nothing has no effect, not even one of rounding
    return effects(ref, alt, engine.net.goal, engine.net.strands)


def spread(values: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    """float32 values of the scored rows as a column of all n alleles, NaN elsewhere. values: (m, ...)."""
    out = np.full((n, *values.shape[1:]), np.nan, np.float32)
    out[rows] = values
    return out
