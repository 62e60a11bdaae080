"""What every task says of the alleles on a page: read from the score matrix of ``annotate``, or computed again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.annotate.writers.matrix import MatrixCursor, MatrixHead, read_head
from varscore.engine.compute import Compute
from varscore.engine.pool import LOCAL
from varscore.errors import DataError
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.contigs import MITOCHONDRIAL, ContigNames
from varscore.genome.coords import zero_based
from varscore.genome.reasons import Rules
from varscore.genome.sequence import Genome
from varscore.report.scored import PASS, Allele, Scored
from varscore.scoring.annotations import Annotations
from varscore.scoring.score import score_chunks
from varscore.tasks import Task
from varscore.zoo.models import ModelFolder

BATCH = 512
"""Alleles that are scored at a time"""
AGREEMENT = 2e-3
"""How far a difference that is computed again may lie from the file's: other devices and precisions differ by less"""


@dataclass(frozen=True)
class TaskEffects:
    """n alleles, T tasks.

    labels: ``index:name`` of each task; ref, diff: float32 (n, T), NaN for an allele without score
    evalue: float32 (n, T), None without a background
    usual: float64 (T,), the mean |diff| of the ``compared`` alleles that the page's are compared with
    """

    labels: tuple[str, ...]
    ref: NDArray[np.float32]
    diff: NDArray[np.float32]
    evalue: NDArray[np.float32] | None
    usual: NDArray[np.float64]
    compared: int

    def of_tasks(self, tasks: Sequence[Task]) -> list[Task]:
        """The task of each column, from a model's; one that these do not have stands for its label."""
        known = {f"{task.index}:{task.name}": task for task in tasks}
        return [known.get(label) or _unknown(label) for label in self.labels]


def _unknown(label: str) -> Task:
    index, _, name = label.partition(":")
    return Task(int(index) if index.isdigit() else 0, name or label)


def cell_and_mark(task: Task) -> tuple[str, str]:
    """``GM12878`` and ``CTCF``, from what the task table says, else from the name, ``CELL|MARK``."""
    cell, _, mark = task.name.partition("|")
    treatment = task.facts.get("treatment", "None")
    mark = task.facts.get("mark") or mark.partition("|")[0] or task.group or "task"
    return task.facts.get("cell") or cell, mark if treatment in ("None", "") else f"{mark} ({treatment})"


# -- from a score matrix ---------------------------------------------------------------------------------------------


def read_effects(path: Path, scored: Scored, alleles: Sequence[Allele]) -> TaskEffects:
    """The rows of a matrix that are the page's alleles, and what is usual among all. Memory: the page's alleles.

    Raises DataError when the matrix is of another run, or lacks an allele.
    """
    head = read_head(str(path))
    _demand_run(head, path, scored)
    blocks = [name for name in ("ref", "diff", "evalue") if name in head.blocks]
    wanted = _Wanted(head.tasks, alleles)
    width = len(head.tasks)
    found = {name: np.full((len(alleles), width), np.nan, np.float32) for name in blocks}
    total, compared = np.zeros(width), 0
    cursor = MatrixCursor(str(path), blocks)
    for first in range(0, head.rows, BATCH):
        part = cursor.take(min(BATCH, head.rows - first))
        known = np.isfinite(part.values["diff"]).all(1)
        total += np.abs(part.values["diff"][known]).sum(0, dtype=np.float64)
        compared += int(known.sum())
        for here, key in enumerate(zip(part.chrom, part.pos.tolist(), part.ref, part.alt, strict=True)):
            for row in wanted.nearer(key, part.values["diff"][here]):
                for name, block in found.items():
                    block[row] = part.values[name][here]
    if missing := wanted.missing:
        raise DataError(
            f"the matrix has {wanted.total - len(missing)} of {wanted.total} alleles of the page",
            where=path,
            cause=f"{':'.join(map(str, alleles[missing[0]].key))} is not in it",
            remedy="is it of the same run?",
        )
    return TaskEffects(head.tasks, found["ref"], found["diff"], found.get("evalue"), total / max(compared, 1), compared)


class _Wanted:
    """The page's scored alleles, while a matrix is read. tasks: labels of its columns

    A file may have an allele twice, and several structural ones, ``<DEL>`` and ``<DEL>``, at one place: of rows with
    the same alleles an allele gets the one whose difference is nearest to its own.
    """

    def __init__(self, tasks: Sequence[str], alleles: Sequence[Allele]) -> None:
        columns = {label.partition(":")[0]: column for column, label in enumerate(tasks)}
        self._said: dict[int, tuple[int, float]] = {}
        self._rows: dict[tuple[str, int, str, str], list[int]] = {}
        for row, allele in enumerate(alleles):
            if allele.status == PASS:
                self._said[row] = columns.get(allele.text("task").partition(":")[0], 0), allele.number("diff")
                self._rows.setdefault(allele.key, []).append(row)
        self._off: dict[int, float] = {}
        self.total = len(self._said)

    def nearer(self, key: tuple[str, int, str, str], diff: NDArray[np.float32]) -> list[int]:
        """The alleles for which a row of the matrix is nearer than all before. diff: float32 (T,), the row's"""
        found = []
        for row in self._rows.get(key, ()):
            column, said = self._said[row]
            off = abs(float(diff[column]) - said)
            if row not in self._off or off < self._off[row]:
                self._off[row] = off
                found.append(row)
        return found

    @property
    def missing(self) -> list[int]:
        """The alleles that no row belongs to."""
        return [row for row in self._said if row not in self._off]


def _demand_run(head: MatrixHead, path: Path, scored: Scored) -> None:
    for name in ("Model", "Reference"):
        own, said = head.facts.get(f"varscore{name}"), scored.facts.get(name)
        if own is not None and said is not None and own != said:
            raise DataError(
                "the matrix is of another run", where=path, cause=f"its {name.lower()} is {own}, the file's {said}"
            )


# -- computed again --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Computing:
    """How the alleles of a page are scored again."""

    model: ModelFolder
    reference: Path
    compute: Compute = field(default_factory=Compute)

    def effects(self, scored: Scored, alleles: Sequence[Allele]) -> TaskEffects:
        """Raises DataError when the scores are not those of the file, the errors of annotate."""
        rows = [row for row, allele in enumerate(alleles) if allele.status == PASS]
        tasks = self.model.tasks()
        ref = np.full((len(alleles), len(tasks)), np.nan, np.float32)
        diff, evalue = ref.copy(), ref.copy()
        said = scored.facts.get("Command", "").split()
        annotations = Annotations.open(self.model, [], deepsea_floor="--deepsea-floor" in said)
        rules = Rules(check_ref=False, as_written="--as-written" in said)
        background = annotations.background  # the file's E-values may be measured against another one
        has_evalues = background is not None and f"SHA256={background.sha256}" in scored.facts.get("Background", "")
        with Genome(self.reference) as genome:
            net = self.model.load()
            plan = self.compute.plan(net, self.compute.where()[:1])
            names = names_in(genome)
            batches = [Rescored(rows[first : first + BATCH], alleles) for first in range(0, len(rows), BATCH)]
            with LOCAL.pool(plan) as pool:
                for batch, found in score_chunks(batches, genome, names, pool, net.window, rules):
                    here = np.array(batch.rows)[found.rows]
                    ref[here], diff[here] = found.effects.ref, found.effects.diff
                    if has_evalues:
                        extra = annotations.compute(found.effects, found.alleles, found.rows)
                        evalue[here] = extra.evalues
        _demand_same(scored, alleles, diff, self)
        known = np.isfinite(diff).all(1)
        usual = np.abs(diff[known]).mean(0, dtype=np.float64) if known.any() else np.zeros(len(tasks))
        labels = tuple(f"{task.index}:{task.name}" for task in tasks)
        return TaskEffects(labels, ref, diff, evalue if has_evalues else None, usual, int(known.sum()))


def names_in(genome: Genome) -> ContigNames:
    """The genome's contigs by the names that a scored file has for them. What is scored on a mitochondrion, however it
    is called, is on one of the genome's length."""
    own = next((genome.contigs[name] for name in MITOCHONDRIAL if name in genome.contigs), None)
    return ContigNames(genome, dict.fromkeys(MITOCHONDRIAL, own))


class Rescored:
    """Some of the page's alleles as the engine takes them: the rows ``rows`` of ``alleles``."""

    def __init__(self, rows: Sequence[int], alleles: Sequence[Allele]) -> None:
        self.rows = rows
        chosen = [alleles[row] for row in rows]
        contigs = tuple(dict.fromkeys(allele.chrom for allele in chosen))
        index = {contig: number for number, contig in enumerate(contigs)}
        self.alleles = AlleleBatch(
            record=np.arange(len(chosen)),
            contig=np.array([index[allele.chrom] for allele in chosen], np.int32),
            contigs=contigs,
            start=zero_based(np.array([allele.pos for allele in chosen], np.int64)),
            ref=ByteColumn.of([allele.ref.encode() for allele in chosen]),
            alt=ByteColumn.of([allele.alt.encode() for allele in chosen]),
            affected=np.array([affected(allele) for allele in chosen], np.int64),
        )


def affected(allele: Allele) -> int:
    """How many bases a structural allele affects, which VS_SPAN says; else 0."""
    span = allele.number("span") if allele.alt.startswith("<") else math.nan
    return 0 if math.isnan(span) else int(span)


def _demand_same(scored: Scored, alleles: Sequence[Allele], diff: NDArray[np.float32], how: Computing) -> None:
    """Raises DataError where the file says another largest difference than what is computed for its task."""
    for row, allele in enumerate(alleles):
        task = allele.text("task").partition(":")[0]
        if allele.status != PASS or not task.isdigit() or int(task) >= diff.shape[1]:
            continue
        if allele.alt.startswith("<") and not affected(allele):
            continue  # the file does not say how far it reaches
        again = float(diff[row, int(task)])
        if not abs(again - allele.number("diff")) <= AGREEMENT:
            raise DataError(
                "the file's scores are not those of this model and FASTA",
                where=scored.path,
                cause=f"{':'.join(map(str, allele.key))} has {allele.number('diff'):.3g} in the file and {again:.3g} "
                f"with {how.model.id} on {how.reference.name}",
                remedy=f"pass the FASTA it was scored on ({scored.reference[0] or 'not said'})",
            )
