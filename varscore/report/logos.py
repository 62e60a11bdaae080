"""Logos of REF and ALT of the alleles that rank first: what each base is worth to the prediction.

In-silico mutagenesis: the window stays where it is while its bases are mutated, and the number explained is the
model's own: log2 odds, or a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.engine.compute import Compute
from varscore.engine.pool import LOCAL
from varscore.genome.coords import Variant, one_based
from varscore.genome.reasons import Rules
from varscore.genome.sequence import Genome
from varscore.genome.windows import cut_windows
from varscore.interpret.explain import ExplainedPair, ExplainJob, explain_alleles
from varscore.interpret.logos import COLOURS, GLYPHS
from varscore.interpret.methods import Options
from varscore.interpret.outputs import UNITS
from varscore.interpret.subjects import AllelePair, Columns, pair
from varscore.interpret.targets import default_target
from varscore.report.matrix import Rescored, TaskEffects, names_in
from varscore.report.scored import Allele
from varscore.zoo.models import ModelFolder

FLANK, LONGEST = 30, 20
"""Bases on both sides of an allele; bases of an allele that are drawn"""
WIDTH = 2 * FLANK + LONGEST
GAP, UNKNOWN = 5, 4
"""Among base codes: no base in this row; a base that is not known"""
TALL, NARROW = 0.25, 4
"""Of the tallest letter, what belongs to a site that a prediction rests on; fewer bases are none"""
TOUCHED = 0.1
"""Of its sum of letters, what a site elsewhere has to lose or gain to be spoken of"""


@dataclass(frozen=True)
class Logos:
    """The first n alleles of the page's table; W columns, the first base of REF in column :data:`FLANK`.

    heights: float32 (n, 2, W), what each base of REF and ALT is worth, 0 in a gap
    bases: uint8 (n, 2, W) codes; changed: bool (n, W), columns that the variant changes
    starts: int64 (n,), 1-based position of REF's first base; sizes: int64 (n, 2), bases of REF and ALT
    tasks: what is explained, ``index:name``; empty where there is no logo
    """

    heights: NDArray[np.float32]
    bases: NDArray[np.uint8]
    changed: NDArray[np.bool_]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    tasks: Sequence[str]
    method: str = "ism"
    unit: str = ""

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def drawn(self) -> int:
        """How many alleles have logos."""
        return sum(1 for task in self.tasks if task)

    @classmethod
    def make(
        cls,
        alleles: Sequence[Allele],
        effects: TaskEffects,
        model: ModelFolder,
        reference: Path,
        compute: Compute,
    ) -> Logos:
        """Explain the task of the largest difference of every allele that has been scored.

        effects: the rows of ``alleles`` first. Raises the errors of explain.
        """
        net = model.load()
        target = default_target(net.goal)
        made = cls.empty(len(alleles), "ism", UNITS[target])
        rows = [row for row in range(len(alleles)) if np.isfinite(effects.diff[row]).all()]
        if not rows:
            return made
        tasks, labels = [""] * len(alleles), {_index(label): label for label in effects.labels}
        plan = compute.plan(net, compute.where()[:1])
        with Genome(reference) as genome, LOCAL.pool(plan) as pool:
            pairs = list(_pairs(alleles, rows, effects, genome, net.window))
            found = explain_alleles(pool, ExplainJob(model), Options(target=target), (pair for _, pair in pairs))
            for (row, _), one in zip(pairs, found, strict=True):
                made._draw(row, one)
                tasks[row] = labels[int(one.pair.ref.tasks[0])]
        return made.about(tasks)

    @classmethod
    def empty(cls, alleles: int, method: str, unit: str) -> Logos:
        shape = (alleles, 2, WIDTH)
        return cls(
            np.zeros(shape, np.float32),
            np.full(shape, GAP, np.uint8),
            np.zeros((alleles, WIDTH), bool),
            np.zeros(alleles, np.int64),
            np.zeros((alleles, 2), np.int64),
            [""] * alleles,
            method,
            unit,
        )

    def about(self, tasks: Sequence[str]) -> Logos:
        return replace(self, tasks=tasks)

    def _draw(self, row: int, one: ExplainedPair) -> None:
        both = [(found.subject.codes, found.attributions[0].scores[0]) for found in (one.ref, one.alt)]
        self.put(row, one.pair.columns, both)
        variant = one.pair.variant
        self.place(row, variant.start, (len(variant.ref), len(variant.alt)))

    def put(self, row: int, whole: Columns, both: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]]) -> None:
        """Enter the windows of an allele. both: codes, uint8, and scores, float32, of REF and of ALT, (window,) each"""
        columns = whole.around(FLANK)
        first = FLANK - columns.inside.lo  # less than FLANK bases lie before an allele near the window's edge
        count = min(len(columns.ref), WIDTH - first)
        here = slice(first, first + count)
        for turn, ((codes, scores), index) in enumerate(zip(both, (columns.ref, columns.alt), strict=True)):
            index = index[:count]
            there = index >= 0
            heights = scores[index]
            self.bases[row, turn, here] = np.where(there, codes[index], GAP)
            self.heights[row, turn, here] = np.where(there & np.isfinite(heights), heights, 0)
        self.changed[row, first + columns.inside.lo : min(first + columns.inside.hi, WIDTH)] = True

    def place(self, row: int, start: int, sizes: tuple[int, int]) -> None:
        """start: 0-based, of the first base of REF; sizes: bases of REF and ALT"""
        self.starts[row], self.sizes[row] = one_based(start), sizes

    def site(self, row: int) -> tuple[str, int, bool] | None:
        """The bases on which the prediction rests most, of the allele with the taller letters; how many bases lie
        between them and what the variant changes, 0 where it changes them; whether they are worth less with ALT.

        None where nothing stands out, or the variant leaves it what it is.
        """
        if not self.tasks[row]:
            return None
        turn = int(self.heights[row].max(1).argmax())
        heights, bases = self.heights[row, turn], self.bases[row, turn]
        there = np.flatnonzero(bases != GAP)
        heights = heights[there]
        if not len(heights) or heights.max() <= 0:
            return None
        tall = heights >= TALL * heights.max()
        first = last = int(heights.argmax())
        while first > 0 and tall[max(first - 2, 0) : first].any():  # one low letter may stand between
            first -= 1
        while last < len(tall) - 1 and tall[last + 1 : last + 3].any():
            last += 1
        if last - first + 1 < NARROW:
            return None
        inside = there[first : last + 1]
        changed = np.flatnonzero(self.changed[row])
        far = int(np.abs(inside[:, None] - changed).min()) if len(changed) else 0
        before, after = self.heights[row][:, inside].sum(1).tolist()
        if far and abs(after - before) < TOUCHED * max(abs(before), abs(after)):
            return None
        return "".join("ACGTN"[bases[column]] for column in inside), far, after < before

    def arrays(self) -> dict[str, NDArray[np.number]]:
        """For the page: heights as float16."""
        changed = self.changed.astype(np.uint8)
        return {"logo": self.heights.astype(np.float16), "logo_base": self.bases, "logo_changed": changed}

    def facts(self) -> dict[str, object]:
        """The rest, as JSON."""
        return {
            "tasks": list(self.tasks),
            "width": WIDTH,
            "flank": FLANK,
            "glyphs": GLYPHS,
            "colours": COLOURS,
            "method": self.method,
            "unit": self.unit,
            "starts": self.starts.tolist(),
            "sizes": self.sizes.tolist(),
            "sites": [self.site(row) for row in range(len(self))],
        }


def _pairs(
    alleles: Sequence[Allele], rows: Sequence[int], effects: TaskEffects, genome: Genome, window: int
) -> Iterator[tuple[int, AllelePair]]:
    """Row and both windows of each allele, in its minimal form."""
    for row, contig, variant in minimal_variants(alleles, rows, genome, window):
        column = int(np.abs(effects.diff[row]).argmax())
        task, diff = np.array([_index(effects.labels[column])]), effects.diff[row, [column]]
        yield row, pair(variant, contig, genome, window, task, diff, diff, centred=False, span=FLANK)


def minimal_variants(
    alleles: Sequence[Allele], rows: Sequence[int], genome: Genome, window: int
) -> Iterator[tuple[int, str, Variant]]:
    """Row, contig as the genome spells it, and minimal form of those of the alleles that can be drawn."""
    names = names_in(genome)
    batch = Rescored(rows, alleles)
    contigs = names.of(batch.alleles.contigs)
    _, minimal, windows = cut_windows(batch.alleles, genome, contigs, window, Rules(check_ref=False))
    for at in windows.rows.tolist():
        contig = contigs[int(minimal.contig[at])]
        if contig is None or minimal.affected_bases[at] or max(len(minimal.ref[at]), len(minimal.alt[at])) > LONGEST:
            continue
        variant = Variant(contig, int(minimal.start[at]), minimal.ref[at].decode(), minimal.alt[at].decode())
        yield rows[at], contig, variant


def _index(label: str) -> int:
    return int(label.partition(":")[0])
