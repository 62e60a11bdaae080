"""Logos of REF and ALT of the alleles that rank first: what each base is worth to the prediction.

In-silico mutagenesis: the window stays where it is while its bases are mutated, and the number explained is the
model's own: log2 odds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from varscore.engine.compute import Compute
from varscore.engine.pool import LOCAL
from varscore.genome.contigs import ContigNames
from varscore.genome.coords import Variant
from varscore.genome.reasons import Rules
from varscore.genome.sequence import Genome
from varscore.genome.windows import cut_windows
from varscore.interpret.explain import ExplainedPair, ExplainJob, explain_alleles
from varscore.interpret.logos import COLOURS, GLYPHS
from varscore.interpret.methods import Options
from varscore.interpret.subjects import AllelePair, pair
from varscore.interpret.targets import default_target
from varscore.report.matrix import Rescored, TaskEffects
from varscore.report.scored import Allele
from varscore.zoo.models import ModelFolder

FLANK, LONGEST = 30, 20
"""Bases on both sides of an allele; bases of an allele that are drawn"""
WIDTH = 2 * FLANK + LONGEST
GAP, UNKNOWN = 5, 4
"""Among base codes: no base in this row; a base that is not known"""


@dataclass(frozen=True)
class Logos:
    """The first n alleles of the page's table; W columns, the first base of REF in column :data:`FLANK`.

    heights: float32 (n, 2, W), what each base of REF and ALT is worth, 0 in a gap
    bases: uint8 (n, 2, W) codes; changed: bool (n, W), columns that the variant changes
    tasks: what is explained, ``index:name``; empty where there is no logo
    """

    heights: np.ndarray
    bases: np.ndarray
    changed: np.ndarray
    tasks: Sequence[str]

    def __len__(self) -> int:
        return len(self.tasks)

    @classmethod
    def make(
        cls, alleles: Sequence[Allele], effects: TaskEffects, model: ModelFolder, reference: Path,
        compute: Compute,
    ) -> Logos:  # fmt: skip
        """Explain the task of the largest difference of every allele that has been scored.

        effects: the rows of ``alleles`` first. Raises the errors of explain.
        """
        rows = [row for row in range(len(alleles)) if np.isfinite(effects.diff[row]).all()]
        made = cls.empty(len(alleles))
        if not rows:
            return made
        tasks, labels = [""] * len(alleles), {_index(label): label for label in effects.labels}
        net = model.load()
        plan = compute.plan(net, compute.where()[:1])
        options = Options(target=default_target(net.goal))
        with Genome(reference) as genome, LOCAL.pool(plan) as pool:
            pairs = list(_pairs(alleles, rows, effects, genome, net.window))
            found = explain_alleles(pool, ExplainJob(model), options, (pair for _, pair in pairs))
            for (row, _), one in zip(pairs, found, strict=True):
                made._put(row, one)
                tasks[row] = labels[int(one.pair.ref.tasks[0])]
        return cls(made.heights, made.bases, made.changed, tasks)

    @classmethod
    def empty(cls, alleles: int) -> Logos:
        shape = (alleles, 2, WIDTH)
        changed = np.zeros((alleles, WIDTH), bool)
        return cls(np.zeros(shape, np.float32), np.full(shape, GAP, np.uint8), changed, [""] * alleles)

    def _put(self, row: int, one: ExplainedPair) -> None:
        columns = one.pair.columns.around(FLANK)
        first = FLANK - columns.inside.lo  # less than FLANK bases lie before an allele near the window's edge
        count = min(len(columns.ref), WIDTH - first)
        here = slice(first, first + count)
        for turn, (explained, index) in enumerate(((one.ref, columns.ref), (one.alt, columns.alt))):
            index = index[:count]
            there = index >= 0
            codes, scores = explained.subject.codes[index], explained.attributions[0].scores[0][index]
            self.bases[row, turn, here] = np.where(there, codes, GAP)
            self.heights[row, turn, here] = np.where(there & np.isfinite(scores), scores, 0)
        self.changed[row, first + columns.inside.lo : min(first + columns.inside.hi, WIDTH)] = True

    def arrays(self) -> dict[str, np.ndarray]:
        """For the page: heights as float16."""
        changed = self.changed.astype(np.uint8)
        return {"logo": self.heights.astype(np.float16), "logo_base": self.bases, "logo_changed": changed}

    def facts(self) -> dict[str, object]:
        """The rest, as JSON."""
        return {"tasks": list(self.tasks), "width": WIDTH, "flank": FLANK, "glyphs": GLYPHS, "colours": COLOURS}


def _pairs(
    alleles: Sequence[Allele], rows: Sequence[int], effects: TaskEffects, genome: Genome, window: int
) -> Iterator[tuple[int, AllelePair]]:
    """Row and both windows of each allele, in its minimal form."""
    names = ContigNames(genome, {})
    batch = Rescored(rows, alleles)
    contigs = names.of(batch.alleles.contigs)
    _, minimal, windows = cut_windows(batch.alleles, genome, contigs, window, Rules(check_ref=False))
    for at in windows.rows.tolist():
        row, contig = rows[at], contigs[int(minimal.contig[at])]
        if contig is None or max(len(minimal.ref[at]), len(minimal.alt[at])) > LONGEST:
            continue
        variant = Variant(contig, int(minimal.start[at]), minimal.ref[at].decode(), minimal.alt[at].decode())
        column = int(np.abs(effects.diff[row]).argmax())
        task, diff = np.array([_index(effects.labels[column])]), effects.diff[row, [column]]
        yield row, pair(variant, contig, genome, window, task, diff, diff, centred=False, span=FLANK)


def _index(label: str) -> int:
    return int(label.partition(":")[0])
