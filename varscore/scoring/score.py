"""Variants to effects: one stream, batch after batch, nothing of the input's length held in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from varscore.engine.plain import PlainEngine, demand_numbers
from varscore.engine.pool import Pool, busy
from varscore.genome.alleles import AlleleBatch, Status
from varscore.genome.contigs import ContigNames
from varscore.genome.named import NamedGenome
from varscore.genome.reasons import BY_DEFAULT, Rules, judge
from varscore.genome.sequence import Genome
from varscore.genome.windows import LONGEST, Windows, known_windows
from varscore.scoring.effects import Effects, effects


@dataclass(frozen=True, slots=True)
class ScoreBatch:
    """What became of a batch of n alleles.

    status: uint8 (n,) :class:`varscore.genome.alleles.Status`; rows: int64 (m,), the alleles that were scored;
    alleles: the batch in the form in which these were scored; effects: of the rows ``computed``, which are all of them
    where nothing is ``stored``.
    """

    status: NDArray[np.uint8]
    rows: NDArray[np.int64]
    alleles: AlleleBatch
    effects: Effects
    stored: Stored | None = None

    @property
    def computed(self) -> NDArray[np.int64]:
        """The scored alleles that have effects here, int64 (c,); of the others the columns are known."""
        return self.rows if self.stored is None else self.rows[~self.stored.there]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store knows of m alleles.

    there: bool (m,), those whose columns are known; columns: of these, by name
    computed: bool (r,), of the r others those whose effects have to be computed; keys: of these, uint64 (c, 2), where
    they are to be kept; effects: of the rest of the others, where effects are stored
    """

    there: NDArray[np.bool_]
    columns: Mapping[str, NDArray[np.generic]]
    computed: NDArray[np.bool_]
    keys: NDArray[np.uint64] | None = None
    effects: Effects | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """Alleles of a batch that can be scored as far as their record tells, before windows are cut.

    alleles: the batch, in the form in which they are scored; rows: int64 (m,), these
    names: the FASTA's, of the batch's contigs
    """

    alleles: AlleleBatch
    rows: NDArray[np.int64]
    names: Sequence[str | None]

    def others(self, there: NDArray[np.bool_]) -> Judged:
        """Those for which ``there``, bool (m,), does not hold."""
        return replace(self, rows=self.rows[~there])


class Store(Protocol):
    """Where scores may be that are there already. tasks: of the model; only: nothing is to be computed"""

    tasks: int
    only: bool

    def find(
        self, judged: Judged, genome: Genome, cut: Callable[[Judged], Windows]
    ) -> tuple[NDArray[np.int64], Stored, Windows]:
        """The alleles that have a score or get one, int64 (m,), what is known of them, and the windows of those that
        are to be computed. cut: makes windows, without those of alleles that have no score."""

    def settle(self, stored: Stored, computed: Effects) -> Effects:
        """The effects on all alleles whose columns are not known, from those that were computed."""


class HasAlleles(Protocol):
    """A piece of a variant file; a RecordChunk, for one."""

    @property
    def alleles(self) -> AlleleBatch: ...


Chunk = TypeVar("Chunk", bound=HasAlleles)


def score_chunks(
    chunks: Iterable[Chunk],
    genome: Genome,
    names: ContigNames,
    pool: Pool,
    window: int,
    rules: Rules = BY_DEFAULT,
    store: Store | None = None,
    untrained: Sequence[int] = (),
) -> Iterator[tuple[Chunk, ScoreBatch]]:
    """Each chunk with what became of its alleles, in order.

    Windows are cut here while the pool's engines compute those of earlier chunks; a few chunks are under way at a time.
    window: length of the network's windows; rules: which alleles are scored, and in which form; store: what it knows is
    not computed; untrained: tasks that say nothing of which of an allele's windows counts, should it have two.
    """

    def cut() -> Iterator[
        tuple[tuple[Chunk, NDArray[np.uint8], NDArray[np.int64], AlleleBatch, Stored | None], Windows]
    ]:
        for chunk in chunks:
            contigs = names.of(chunk.alleles.contigs)
            named = NamedGenome(genome, contigs)
            status, alleles = judge(chunk.alleles, named, replace(rules, longest=LONGEST))
            judged, stored = Judged(alleles, np.flatnonzero(status == Status.PASS), contigs), None
            windows_of = partial(_windows_of, named, window)
            if store is None:
                windows = windows_of(judged)
                rows = np.unique(windows.rows)
            else:
                rows, stored, windows = store.find(judged, genome, windows_of)
            status[np.setdiff1d(judged.rows, rows, assume_unique=True)] = Status.N_WINDOW
            yield (chunk, status, rows, alleles, stored), windows

    work = partial(effects_of, untrained=tuple(untrained))
    idle = busy if store is None else partial(no_effects, store.tasks)
    for (chunk, status, rows, alleles, stored), found in pool.map(work, cut(), idle):
        if store is not None and stored is not None:
            found = store.settle(stored, found)
            if store.only:
                status[rows[~stored.there]] = Status.NOT_IN_ARCHIVE
                rows, stored = rows[stored.there], replace(stored, there=stored.there[stored.there])
        yield chunk, ScoreBatch(status, rows, alleles, found, stored)


def _windows_of(genome: NamedGenome, window: int, judged: Judged) -> Windows:
    return known_windows(judged.alleles, judged.rows, genome, window)


def no_effects(tasks: int, windows: Windows) -> Effects | None:
    """The effects of no windows; None when there are some."""
    return None if len(windows) else Effects(*np.empty((4, 0, tasks), np.float32))


def effects_of(engine: PlainEngine, windows: Windows, untrained: Sequence[int] = ()) -> Effects:
    """What a pool's engine does with the windows of a chunk: the effects on each allele that has any."""
    ref, alt = logits_of(engine, windows)
    return most_changed(effects(ref, alt, engine.net.goal, engine.net.strands), windows.rows, untrained)


def logits_of(engine: PlainEngine, windows: Windows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits of REF and ALT windows, two float32 (S, m, outputs). Raises DeviceError where one is no number."""
    ref, alt = engine.score(windows)
    demand_numbers(ref, alt)
    same = (windows.ref == windows.alt).all(1)
    alt[:, same] = ref[:, same]  # an ALT that changes nothing has no effect, not even one of rounding
    return ref, alt


def most_changed(found: Effects, rows: NDArray[np.int64], untrained: Sequence[int] = ()) -> Effects:
    """Of the effects on m pairs of windows those that speak for an allele: of two pairs the one where some task's
    difference is larger, the first of equals.

    rows: int64 (m,), ascending, the allele of each pair; untrained: tasks that are not looked at
    """
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    if len(first) == len(rows):
        return found
    change = np.abs(np.delete(found.diff, np.asarray(untrained, np.int64), 1)).max(1)
    return found.take(np.lexsort((-change, rows))[first])


def spread(values: NDArray[np.float32], rows: NDArray[np.int64], n: int) -> NDArray[np.float32]:
    """float32 values of the scored rows as a column of all n alleles, NaN elsewhere. values: (m, ...)."""
    out = np.full((n, *values.shape[1:]), np.nan, np.float32)
    out[rows] = values
    return out
