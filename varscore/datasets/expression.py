"""Expression matrices: genes by cell types, on a log2 scale, and which cell types make up a lineage."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.spans import read_lines
from varscore.errors import DataError
from varscore.formats.lines import table_rows
from varscore.tasks import Task

log = logging.getLogger(__name__)
Scale = Literal["auto", "linear", "log2"]
Outputs = Literal["lineages", "columns", "mean"]
Lineages = Sequence[tuple[str, str]]

IMMGEN: Lineages = (
    ("proB.CLP*", "SP"), ("proB.*", "B"), ("preB.*", "B"), ("B.*", "B"), ("B1*", "B"),
    ("DC.*", "DC"), ("GN.*", "GN"), ("MF.*", "MF"), ("Mo.*", "MO"),
    ("NKT.*", "NKT"), ("NK.*", "NK"),
    ("T.4*", "T4"), ("T4.*", "T4"), ("Treg.*", "T4"), ("T.8*", "T8"), ("T8.*", "T8"), ("Tgd.*", "GDT"),
    ("LTHSC*", "SP"), ("STHSC*", "SP"), ("MMP*", "SP"), ("MLP*", "SP"), ("SC.*", "SP"),
    ("preT.*", "SP"), ("T.DN*", "SP"), ("T.ISP*", "SP"), ("T.DP*", "SP"),
)  # fmt: skip
"""Column of an ImmGen matrix -> one of eleven lineages: the first pattern that fits counts. B cells, dendritic cells,
granulocytes, macrophages, monocytes, natural killer and NKT cells, CD4 (and regulatory), CD8 and gamma-delta T cells,
and SP, stem cells and progenitors, to which thymocytes belong before they are CD4 or CD8. Innate lymphoid cells,
endothelium, epithelium and stroma (ILC, BEC, LEC, Ep, FRC, IAP) are of none."""

_LARGEST_LOG2 = 50
_UNKNOWN = {"", "na", "nan", "n/a", "null", "."}


@dataclass(frozen=True)
class Expression:
    """values: float64 (genes, columns), NaN where unknown"""

    genes: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]

    def log2(self, scale: Scale, pseudocount: float = 0.0) -> tuple[Expression, str]:
        """Values on a log2 scale, and which scale (``linear``, ``log2``) they were on.

        ``auto`` takes them for linear if one is above 50, as no log2 of an abundance is. ``pseudocount`` is added to
        linear values. Raises DataError when a linear value is not above 0 then.
        """
        if scale == "auto":
            scale = "linear" if np.nanmax(self.values, initial=-np.inf) > _LARGEST_LOG2 else "log2"
        if scale == "log2":
            if pseudocount:
                log.warning(
                    "`pseudocount` changes nothing: the values are taken for log2; `scale=linear` says otherwise"
                )
            return self, scale
        shifted = self.values + pseudocount
        if (bad := np.argwhere(shifted <= 0)).size:
            gene, column = (names[at] for names, at in zip((self.genes, self.columns), bad[0].tolist(), strict=True))
            cause = f"{gene} has {self.values[tuple(bad[0])]:g} in {column}"
            raise DataError("an expression without a logarithm", cause=cause, remedy="`pseudocount=1`, or `scale=log2`")
        return Expression(self.genes, self.columns, np.log2(shifted)), scale

    def outputs(self, kind: Outputs, lineages: Lineages = IMMGEN) -> tuple[list[Task], NDArray[np.float32]]:
        """What is to be predicted of each gene: tasks, and float32 (genes, tasks), NaN where nothing is known.

        A lineage is the mean of its columns, which a task states in ``columns``. Raises DataError when no column is of
        a lineage.
        """
        of_column = [lineage_of(column, lineages) for column in self.columns]
        if kind == "columns":
            tasks = [Task(i, *pair) for i, pair in enumerate(zip(self.columns, of_column, strict=True))]
            return tasks, self.values.astype(np.float32)
        if kind == "mean":
            members = {"mean": np.arange(len(self.columns))}
        else:
            names = sorted({name for name in of_column if name})
            members = {name: np.flatnonzero(np.array(of_column) == name) for name in names}
        if not members:
            cause = f"columns are named like {', '.join(self.columns[:3])}"
            raise DataError("no column of the matrix is of a lineage", cause=cause, remedy="name lineages: `lineages`")
        tasks = [Task(i, name, kind, {"columns": str(len(at))}) for i, (name, at) in enumerate(members.items())]
        return tasks, np.stack([_known_mean(self.values[:, at]) for at in members.values()], 1).astype(np.float32)


def _known_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row's known values; NaN where there is none."""
    known = ~np.isnan(values)
    n = known.sum(1)
    mean: NDArray[np.float64] = np.where(n > 0, np.where(known, values, 0).sum(1) / np.maximum(n, 1), np.nan)
    return mean


def lineage_of(column: str, lineages: Lineages) -> str:
    """Empty when no pattern fits."""
    return next((name for pattern, name in lineages if fnmatchcase(column, pattern)), "")


def read_lineages(path: Path) -> Lineages:
    """A table of two columns, tab-separated: pattern of column names (``*``, ``?``, ``[..]``), lineage.

    Empty lines and those that begin with # are left out. Raises DataError.
    """
    pairs = []
    for number, line in enumerate(_text_lines(path), 1):
        if line.strip() and not line.startswith("#"):
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) != 2 or not all(cells):
                raise DataError("not a map of lineages", where=f"{path} line {number}", remedy="PATTERN <tab> LINEAGE")
            pairs.append((cells[0], cells[1]))
    if not pairs:
        raise DataError("no lineage in the file", where=path)
    return tuple(pairs)


def read_expression(path: Path, genes: Path | None = None) -> Expression:
    """A table with a header of column names, tab- or comma-separated, plain or gzipped; a gene is a line.

    Genes are named in the first column, whether the header has a name for it or (R's way) not, or by the lines of the
    file ``genes``. NA and empty cells are unknown. A gene that has several lines is left out: which of them is meant
    cannot be known. Raises DataError.
    """
    lines = _text_lines(path)
    header = next(lines, "")
    delimiter = "\t" if "\t" in header else ","
    rows = [row for _, row in table_rows(lines, delimiter, str(path), 2) if row]
    columns = next(csv.reader([header], delimiter=delimiter), [])
    if not rows:
        raise DataError("no line of expression", where=path)
    named = genes is None
    if named and len(rows[0]) == len(columns):
        columns = columns[1:]
    width = len(columns) + named
    if (ragged := next((n for n, row in enumerate(rows) if len(row) != width), None)) is not None:
        cause = f"{len(rows[ragged])} cells under {len(columns)} column names"
        raise DataError("not a table of expression", where=f"{path} line {ragged + 2}", cause=cause)
    names = [row[0] for row in rows] if genes is None else [line.strip() for line in _text_lines(genes) if line.strip()]
    if len(names) != len(rows):
        raise DataError(f"{len(names)} names for {len(rows)} lines of expression", where=genes)
    values = np.array([[_number(cell, path) for cell in row[named:]] for row in rows])
    times = Counter(names)
    once = [at for at, name in enumerate(names) if times[name] == 1]
    return Expression(tuple(names[at] for at in once), tuple(columns), values[once])


def _number(cell: str, path: Path) -> float:
    if cell.strip().lower() in _UNKNOWN:
        return float("nan")
    try:
        value = float(cell)
    except ValueError:
        value = float("inf")
    if not np.isfinite(value):
        remedy = "names of genes in a file of their own: `genes`; what is unknown: NA"
        raise DataError(f"{cell!r} is no expression", where=path, remedy=remedy)
    return value


def _text_lines(path: Path) -> Iterator[str]:
    """Without line ends. Raises DataError."""
    return (line.decode("utf-8", "replace") for line in read_lines(path))
