"""Which cells: where the strongest alleles of a page change more than alleles usually do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.report.matrix import TaskEffects, cell_and_mark
from varscore.tasks import Task

LEAST = 20
"""Scored alleles without which nothing is ranked"""
SHARE = 0.1
"""Of the page's alleles, the strongest"""
SHOWN = 15
DRAWS, BEYOND = 200, 0.95
"""Random sets of alleles that the strongest are compared with; the share of these that a cell has to exceed"""


@dataclass(frozen=True)
class CellRanking:
    """names: of cells, best first; ratios: mean |difference| of the ``strongest`` alleles over that of all ``compared``
    ones, mean over the cell's tasks; notes: how many tasks, and how many of the strongest have E < 0.01 in one
    usual: the median ratio of all cells; chance: what the first cell of as many alleles, drawn at random from the page,
    has against their median cell: 95 % of draws stay below
    """

    names: list[str]
    ratios: list[float]
    notes: list[str]
    usual: float
    chance: float
    strongest: int
    compared: int
    cells: int

    @property
    def relative(self) -> list[float]:
        """The ratios against the median cell's."""
        return [ratio / self.usual if self.usual else 1.0 for ratio in self.ratios]

    @property
    def outstanding(self) -> list[tuple[str, float]]:
        """The cells shown that exceed what chance does, with their relative ratios."""
        pairs = zip(self.names, self.relative, strict=True)
        return [(name, ratio) for name, ratio in pairs if ratio > self.chance]


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
    of_cell: dict[str, list[int]] = defaultdict(list)
    for column, task in enumerate(tasks):
        if effects.usual[column] > 0:
            of_cell[cell_and_mark(task)[0]].append(column)
    if not of_cell:
        return None
    size = np.nan_to_num(np.abs(effects.diff[scored])).astype(np.float64)
    share = _shares(list(of_cell.values()), effects.usual)
    ratios = size[: len(top)].mean(0) @ share
    means = dict(zip(of_cell, ratios.tolist(), strict=True))
    best = sorted(means, key=lambda cell: (-means[cell], cell))[:SHOWN]
    notes = [_note(effects, top, of_cell[cell]) for cell in best]
    return CellRanking(
        best,
        [means[cell] for cell in best],
        notes,
        float(np.median(ratios)),
        _chance(size @ share, len(top)),
        len(top),
        effects.compared,
        len(means),
    )


def _shares(of_cell: Sequence[list[int]], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (T, cells): what a difference in a task adds to the ratio of a cell."""
    share = np.zeros((len(usual), len(of_cell)))
    for cell, columns in enumerate(of_cell):
        share[columns, cell] = 1 / (len(columns) * usual[columns])
    return share


def _chance(ratios: NDArray[np.float64], count: int) -> float:
    """What the first of all cells has against the median cell in random sets of ``count`` alleles: their 95 % point.

    ratios: float64 (n, cells), of each allele
    """
    random = np.random.default_rng(20)
    firsts = []
    for _ in range(DRAWS):
        mean = ratios[random.choice(len(ratios), count, replace=False)].mean(0)
        middle = np.median(mean)
        firsts.append(mean.max() / middle if middle > 0 else 1.0)
    return float(np.quantile(firsts, BEYOND))


def _note(effects: TaskEffects, top: NDArray[np.int64], columns: list[int]) -> str:
    note = f"{len(columns)} task{'s' if len(columns) > 1 else ''}"
    if effects.evalue is None:
        return note
    rare = int((effects.evalue[top][:, columns] < 0.01).any(1).sum())
    return f"{note}; {rare} of {len(top)} alleles with E < 0.01"
