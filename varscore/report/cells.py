"""Which cells: where the strongest alleles of a page change more than alleles usually do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from varscore.report.matrix import TaskEffects, cell_and_mark
from varscore.tasks import Task

LEAST = 20
"""Scored alleles without which nothing is ranked"""
SHARE = 0.1
"""Of the page's alleles, the strongest"""
SHOWN = 20


@dataclass(frozen=True)
class CellRanking:
    """names: of cells, best first; ratios: mean |difference| of the ``strongest`` alleles over that of all ``compared``
    ones, mean over the cell's tasks; notes: how many tasks, and how many of the strongest have E < 0.01 in one
    usual: the median ratio of all cells
    """

    names: list[str]
    ratios: list[float]
    notes: list[str]
    usual: float
    strongest: int
    compared: int
    cells: int


def rank_cells(effects: TaskEffects | None, tasks: Sequence[Task]) -> CellRanking | None:
    """None with fewer than :data:`LEAST` scored alleles. The page's alleles stand best first in ``effects``.

    Each task counts by its ratio, so that tasks that are common, and change more, do not decide. A task whose
    differences are 0 everywhere is left out.
    """
    if effects is None:
        return None
    scored = np.flatnonzero(np.isfinite(effects.diff).all(1))
    if len(scored) < LEAST:
        return None
    top = scored[: max(LEAST // 2, int(len(scored) * SHARE))]
    mean = np.abs(effects.diff[top]).mean(0, dtype=np.float64)
    known = effects.usual > 0
    ratio = np.divide(mean, effects.usual, out=np.full(len(mean), np.nan), where=known)
    of_cell: dict[str, list[int]] = defaultdict(list)
    for column, task in enumerate(tasks):
        if known[column]:
            of_cell[cell_and_mark(task)[0]].append(column)
    means = {cell: float(np.mean(ratio[columns])) for cell, columns in of_cell.items()}
    best = sorted(means, key=lambda cell: (-means[cell], cell))[:SHOWN]
    notes = [_note(effects, top, of_cell[cell]) for cell in best]
    usual = float(np.median(list(means.values()))) if means else 1.0
    return CellRanking(best, [means[cell] for cell in best], notes, usual, len(top), effects.compared, len(means))


def _note(effects: TaskEffects, top: np.ndarray, columns: list[int]) -> str:
    note = f"{len(columns)} task{'s' if len(columns) > 1 else ''}"
    if effects.evalue is None:
        return note
    rare = int((effects.evalue[top][:, columns] < 0.01).any(1).sum())
    return f"{note}; {rare} of {len(top)} alleles with E < 0.01"
