"""Sites that an allele breaks, makes or changes.

Every placement, on either strand, that touches what differs between REF and ALT is scored in each; a motif's best
placement in REF is compared with its best in ALT, so that a site may move. It is *lost* when p passes the threshold in
REF alone, *gained* when in ALT alone, *changed* when in both, and p must differ by a factor in each case: p just under
and just over the threshold say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.formats.motifs import Motif
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.coords import Variant
from varscore.genome.named import NamedGenome
from varscore.genome.sequence import Genome
from varscore.motifs.alleles import Sequences, sequences
from varscore.motifs.clusters import clusters_of
from varscore.motifs.pvalues import SCALE, Model, both_strands
from varscore.motifs.scan import LOWEST, UNIFORM, Words

SIGNS = {-1: "-", 0: "~", 1: "+"}
"""Lost, changed, gained"""
P, RATIO = 1e-4, 10.0


@dataclass(frozen=True)
class Changes:
    """k changes, in the order of their alleles, those of an allele by their better p.

    row: int64 (k,), the allele; motif: int64 (k,); change: int64 (k,), see SIGNS
    backward: bool (k,), whether the better site is on the other strand
    score: float64 (k, 2) log2 odds of REF and ALT, p: float64 (k, 2), start: int64 (k, 2) 0-based position of the
    site's leftmost base, in ALT counted along ALT; NaN, 1 and -1 where nothing can be placed
    """

    row: NDArray[np.int64]
    motif: NDArray[np.int64]
    change: NDArray[np.int64]
    backward: NDArray[np.bool_]
    score: NDArray[np.float64]
    p: NDArray[np.float64]
    start: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: NDArray[np.int64 | np.bool_]) -> Changes:
        """Some of them: int64 or bool."""
        return Changes(*(column[chosen] for column in vars(self).values()))

    def first_of_each(self, key: NDArray[np.int64]) -> Changes:
        """The first of those of an allele that have the same key, int64 (k,), not negative."""
        _, first = np.unique(self.row * (1 + key.max(initial=0)) + key, return_index=True)
        return self.take(np.sort(first))


@dataclass(frozen=True)
class MotifSet:
    """Motifs made ready, and what counts as a change. :meth:`of` makes one.

    clusters: int64 (m,); of motifs in one cluster only that with the better p speaks; None lets all speak
    """

    models: tuple[Model, ...]
    clusters: NDArray[np.int64] | None
    p: float = P
    ratio: float = RATIO

    @classmethod
    def of(
        cls,
        motifs: Sequence[Motif],
        *,
        p: float = P,
        ratio: float = RATIO,
        background: tuple[float, ...] = UNIFORM,
        chosen: Sequence[int] | None = None,
        one_voice: bool = True,
    ) -> MotifSet:
        """background: frequencies of A, C, G, T; both strands are taken together. chosen: indices of the motifs to look
        for, all by default; clusters are those of all. one_voice: whether a cluster has one"""
        picked = list(range(len(motifs)) if chosen is None else chosen)
        frequencies = both_strands(background)
        models = tuple(Model.of(motifs[index], frequencies) for index in picked)
        return cls(models, clusters_of(motifs)[picked] if one_voice else None, p, ratio)

    @property
    def widest(self) -> int:
        return max((model.width for model in self.models), default=1)

    def deaf(self) -> list[Motif]:
        """Those whose best site is not rare enough to count."""
        return [model.motif for model in self.models if model.best_p > self.p]

    def changes(self, batch: AlleleBatch, rows: NDArray[np.int64], genome: NamedGenome) -> Changes:
        """What the alleles ``rows``, int64 (n,), of a batch do; their REF is what the FASTA has."""
        if not len(rows) or not self.models:
            return _NONE
        around = sequences(batch, rows, genome, self.widest - 1)
        words = Words(around.codes.data)
        found = [self._of_model(index, around, words) for index in range(len(self.models))]
        every = Changes(
            *(np.concatenate(columns) for columns in zip(*(vars(one).values() for one in found), strict=True))
        )
        every = every.take(np.lexsort((every.motif, every.p.min(1), every.row)))
        return every if self.clusters is None else every.first_of_each(self.clusters[every.motif])

    def _of_model(self, index: int, around: Sequences, words: Words) -> Changes:
        model, n = self.models[index], len(around)
        best = words.best_from(model.tables, model.width, *around.placements(model.width))
        rows = np.flatnonzero(np.maximum(best.score[:n], best.score[n:]) >= model.cut(self.p))
        pairs = np.stack([rows, n + rows], 1)
        score, start = best.score[pairs], best.start[pairs]
        p = np.where(score == LOWEST, 1.0, model.p(score))
        passes, better = p <= self.p, p.argmin(1)
        change = np.where(passes.all(1), 0, np.where(passes[:, 0], -1, 1))
        kept = p.max(1) >= self.ratio * p.min(1)
        found = Changes(
            row=rows,
            motif=np.full(len(rows), index),
            change=change,
            backward=best.backward[pairs][np.arange(len(rows)), better],
            score=np.where(score == LOWEST, np.nan, score / SCALE),
            p=p,
            start=np.where(start < 0, -1, start - around.codes.offsets[pairs] + around.origin[rows, None]),
        )
        return found.take(kept)


_NONE = Changes(
    row=np.zeros(0, np.int64),
    motif=np.zeros(0, np.int64),
    change=np.zeros(0, np.int64),
    backward=np.zeros(0, bool),
    score=np.zeros((0, 2)),
    p=np.zeros((0, 2)),
    start=np.zeros((0, 2), np.int64),
)


@dataclass(frozen=True)
class MotifChange:
    """What one allele does to a motif's site. sign: ``-`` lost, ``+`` gained, ``~`` changed

    p, score: of REF and ALT, score in log2 odds, None where nothing can be placed; start: 0-based position of each
    site's leftmost base, in ALT counted along ALT; strand: ``+`` or ``-``, of the better one
    """

    sign: str
    motif: Motif
    strand: str
    start: tuple[int | None, int | None]
    score: tuple[float | None, float | None]
    p: tuple[float, float]


def motif_changes(variant: Variant, genome: Genome, motifs: MotifSet) -> list[MotifChange]:
    """What one allele does, the better p first; the variant's contig and REF are what the FASTA has."""
    batch = AlleleBatch(
        record=np.zeros(1, np.int64),
        contig=np.zeros(1, np.int32),
        contigs=(variant.contig,),
        start=np.array([variant.start]),
        ref=ByteColumn.of([variant.ref.encode()]),
        alt=ByteColumn.of([variant.alt.encode()]),
    )
    found = motifs.changes(batch, np.zeros(1, np.int64), NamedGenome(genome, [variant.contig]))
    rows = zip(
        found.motif.tolist(),
        found.change.tolist(),
        found.backward.tolist(),
        found.start.tolist(),
        found.score.tolist(),
        found.p.tolist(),
        strict=True,
    )
    return [
        MotifChange(
            sign=SIGNS[change],
            motif=motifs.models[motif].motif,
            strand="-" if backward else "+",
            start=(_or_none(start[0], -1), _or_none(start[1], -1)),
            score=(None if np.isnan(score[0]) else score[0], None if np.isnan(score[1]) else score[1]),
            p=(p[0], p[1]),
        )
        for motif, change, backward, start, score, p in rows
    ]


def _or_none(value: int, missing: int) -> int | None:
    return None if value == missing else value
