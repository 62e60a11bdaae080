"""The order of the heat map's tiles: one a task, in blocks that are the same for every allele of a page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEVERAL = 4
"""Cells with a mark that make a block of their own; other marks stand with their cell"""


def blocks_of(cells: Sequence[tuple[str, str]], diff: NDArray[np.float32] | None) -> list[dict[str, object]]:
    """Blocks of tasks: ``{"title", "by": "cell" or "mark", "tasks": [columns]}``.

    A mark that was measured in several cells is a block of cells; what is left makes a block of marks for each cell
    that has several, and one for all others. Within a block, tasks that alleles change alike stand together.

    cells: (cell, mark) of each task; diff: float32 (n, T) of the page's alleles
    """
    marks = Counter(mark for _, mark in cells)
    wide = {mark for mark, count in marks.items() if count >= SEVERAL}
    by_mark: dict[str, list[int]] = defaultdict(list)
    by_cell: dict[str, list[int]] = defaultdict(list)
    for column, (cell, mark) in enumerate(cells):
        (by_mark[mark] if mark in wide else by_cell[cell]).append(column)
    few = [column for columns in by_cell.values() if len(columns) < SEVERAL for column in columns]
    blocks: list[dict[str, object]] = [
        {"title": f"{mark} by cell", "by": "cell", "tasks": _alike(columns, diff)}
        for mark, columns in sorted(by_mark.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    blocks += [
        {"title": f"Other marks and factors in {cell}", "by": "mark", "tasks": _alike(columns, diff)}
        for cell, columns in sorted(by_cell.items(), key=lambda item: (-len(item[1]), item[0]))
        if len(columns) >= SEVERAL
    ]
    if few:
        blocks.append({"title": "Other tasks", "by": "both", "tasks": _alike(few, diff)})
    return blocks


def _alike(columns: list[int], diff: NDArray[np.float32] | None) -> list[int]:
    """The columns in the order of their second principal component over the alleles (the first only says how much an
    allele does everywhere); as they are with too few alleles."""
    if diff is None or len(columns) < 3:
        return columns
    rows = diff[np.isfinite(diff).all(1)][:, columns].astype(np.float64)
    if len(rows) < 10:
        return columns
    spread = rows.std(0)
    standard = (rows - rows.mean(0)) / np.where(spread > 0, spread, 1)
    # of the small T x T product, so that memory does not grow with the alleles
    _, vectors = np.linalg.eigh(standard.T @ standard)
    second = vectors[:, -2] * (1 if vectors[np.abs(vectors[:, -2]).argmax(), -2] > 0 else -1)
    return [columns[i] for i in np.argsort(np.round(second, 6), kind="stable")]
