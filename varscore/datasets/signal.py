"""Signals along the genome that a network reads beside the bases: DNase, the shape of DNA; and gene expression."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.cells import bare, read_table
from varscore.datasets.spans import Spans, merge_spans, placed_contigs
from varscore.errors import DataError
from varscore.formats.bigwig import BigWig
from varscore.formats.regions import bed_lines
from varscore.genome.sequence import Genome

Along = Callable[[str, int, int], NDArray[np.float32]]
"""Contig, start, end -> the signal of each base, float32 (end - start,)"""


class PeakSignal:
    """Peaks with a height: the signal of a base is the height of the highest peak over it, and 0 beside them."""

    def __init__(self, spans: Spans, heights: dict[str, NDArray[np.float64]]) -> None:
        """spans: contig -> int64 (n, 2); heights: contig -> float (n,)"""
        self.union = {contig: merge_spans(rows) for contig, rows in spans.items()}
        self._spans, self._heights, self._reach = {}, {}, {}
        for contig, rows in spans.items():
            order = np.argsort(rows[:, 0], kind="stable")
            self._spans[contig], self._heights[contig] = rows[order], heights[contig][order]
            self._reach[contig] = np.maximum.accumulate(rows[order, 1])

    def along(self, contig: str, start: int, end: int) -> NDArray[np.float32]:
        """The heights at each base of ``[start, end)``, float32."""
        signal = np.zeros(end - start, np.float32)
        if contig in self.union:
            spans = self._spans[contig]
            first, last = np.searchsorted(self._reach[contig], start, "right"), np.searchsorted(spans[:, 0], end)
            inside = np.clip(spans[first:last] - start, 0, end - start).tolist()
            for (left, right), height in zip(inside, self._heights[contig][first:last].tolist(), strict=True):
                signal[left:right] = np.maximum(signal[left:right], height)
        return signal


def read_peak_signal(path: Path, genome: Genome, column: int | None = None) -> PeakSignal:
    """A BED file with a column of heights, numbers of 0 or more. Contigs that the FASTA does not have are left out.

    column: counted from 1; by default 7 of a narrowPeak file (10 columns), else 4. Raises DataError.
    """
    spans: dict[str, list[tuple[int, int]]] = {}
    heights: dict[str, list[float]] = {}
    for interval, fields, where in bed_lines(str(path)):
        spans.setdefault(interval.contig, []).append((interval.start, interval.end))
        heights.setdefault(interval.contig, []).append(_height(fields, where, column))
    matches = placed_contigs(path, spans, genome)
    names = {contig: name for contig, name in matches.items() if name is not None}
    return PeakSignal(
        {name: np.array(spans[contig], np.int64) for contig, name in names.items()},
        {name: np.array(heights[contig]) for contig, name in names.items()},
    )


def _height(fields: Sequence[bytes], where: str, column: int | None) -> float:
    try:
        height = float(fields[(column or (7 if len(fields) >= 10 else 4)) - 1])
    except (IndexError, ValueError):
        remedy = "`signal_column` says which column it is, or `dnase_signal` gives bigWigs"
        raise DataError("not an interval with a signal", where=where, remedy=remedy) from None
    if not 0 <= height < math.inf:
        raise DataError("not a peak", where=where, cause=f"signal {height:g}")
    return height


def log_signal(along: Along) -> Along:
    """log(x + 1) of a signal."""

    def logs(contig: str, start: int, end: int) -> NDArray[np.float32]:
        return np.log1p(np.maximum(along(contig, start, end), 0))

    return logs


def bigwig_signal(path: Path, genome: Genome) -> Along:
    """A bigWig's values; NaN where it has none. Raises UsageError and DataError."""
    track = BigWig(path)
    track.fit(genome)

    def values(contig: str, start: int, end: int) -> NDArray[np.float32]:
        places = np.arange(start, end)
        return track.values([contig], np.zeros(len(places), np.int64), places)

    return values


def filled(along: Along, mean: float = 0.0, scale: float = 1.0) -> Along:
    """A signal standardised, and the mean where it has no value."""

    def standard(contig: str, start: int, end: int) -> NDArray[np.float32]:
        return np.asarray(np.nan_to_num((along(contig, start, end) - mean) / scale), np.float32)

    return standard


def moments(along: Along, stretches: Iterable[tuple[str, int, int]]) -> tuple[float, float]:
    """Mean and standard deviation of a signal over stretches (contig, start, end); 1 for a deviation of 0.

    Raises DataError when the signal has no value there.
    """
    n, total, squares = 0, 0.0, 0.0
    for contig, start, end in stretches:
        values = along(contig, start, end)
        there = values[~np.isnan(values)].astype(np.float64)
        n, total, squares = n + len(there), total + there.sum(), squares + (there**2).sum()
    if n == 0:
        raise DataError("a track has no value in the training sequence", cause="a bigWig of another assembly")
    mean = total / n
    return mean, math.sqrt(max(squares / n - mean**2, 0.0)) or 1.0


@dataclass(frozen=True)
class Expression:
    """What genes do in each cell type. values: float32 (cells, genes), standardised."""

    genes: tuple[str, ...]
    values: NDArray[np.float32]


def read_expression(path: Path, cells: Sequence[str], train: Sequence[bool]) -> Expression:
    """A table with a column ``gene`` and one for each cell type; every gene is standardised over training cell types.

    A gene that does the same in all of them is only centred. Raises DataError when a cell type has no column, or a
    value is no number.
    """
    rows = read_table(path, ("gene",))
    columns = {bare(name): name for name in rows[0] if name}
    missing = [cell for cell in cells if bare(cell) not in columns]
    if missing:
        raise DataError(f"no column for {missing[0]}", where=path)
    try:
        values = np.array([[float(row[columns[bare(cell)]]) for row in rows] for cell in cells])
    except (TypeError, ValueError) as error:
        raise DataError("expression is no number", where=path, cause=str(error)) from None
    if not np.isfinite(values).all():
        raise DataError("expression is no number", where=path)
    chosen = values[np.array(train)]
    mean, scale = chosen.mean(0), chosen.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    return Expression(tuple(row["gene"] for row in rows), ((values - mean) / scale).astype(np.float32))
