"""What :meth:`varscore.Model.score` gives back: one row an ALT allele, every task."""

from __future__ import annotations

import html
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from varscore.annotate.writers.scores import task_labels
from varscore.errors import UsageError
from varscore.genome.alleles import Status
from varscore.scoring.tags import OF_NUMBERS, OF_TASKS
from varscore.tasks import Task

if TYPE_CHECKING:
    import pandas
    import polars

SHOWN = 20
"""Rows that a notebook shows"""
TEXTS = ("chrom", "id", "ref", "alt", "status")
MATRICES = ("ref_prob", "alt_prob", "diff", "logodds")
"""Arrays with a column a task"""


@dataclass(frozen=True)
class ScoreTable:
    """What was found, one row an ALT allele in the order in which they were given.

    chrom, id, ref, alt, status: list of str; pos: int64 (n,), 1-based; status is ``PASS`` or why there is no score
    tasks: what the columns of the arrays are; ref_prob, alt_prob, diff, logodds: float32 (n, tasks), NaN where there is
    no score; columns: what ``annotate`` writes of each allele, (n,) each: ``task``, ``diff``, ``e``, ``sig`` ...
    left_out: what was given and is no allele (an unknown rsID): where it stood, its text, the reason
    """

    chrom: list[str]
    pos: NDArray[np.int64]
    id: list[str]
    ref: list[str]
    alt: list[str]
    status: list[str]
    tasks: tuple[Task, ...]
    ref_prob: NDArray[np.float32]
    alt_prob: NDArray[np.float32]
    diff: NDArray[np.float32]
    logodds: NDArray[np.float32]
    columns: Mapping[str, NDArray[np.number]]
    left_out: Sequence[tuple[str, str, str]] = ()

    def __len__(self) -> int:
        return len(self.pos)

    def take(self, rows: Sequence[int] | NDArray[np.int64 | np.bool_]) -> ScoreTable:
        """The rows of a list of numbers or of a mask. Raises UsageError for rows that are not there."""
        try:
            which = np.arange(len(self))[np.asarray(rows, dtype=None if len(rows) else np.int64)]
        except (IndexError, TypeError, ValueError) as error:
            raise UsageError("no such rows", cause=str(error), remedy=f"there are {len(self)}") from None

        changes: dict[str, Any] = {name: [getattr(self, name)[row] for row in which.tolist()] for name in TEXTS}
        changes |= {name: getattr(self, name)[which] for name in ("pos", *MATRICES)}
        return replace(self, **changes, columns={name: column[which] for name, column in self.columns.items()})

    def top(self, n: int = 10) -> ScoreTable:
        """The first ``n`` alleles by ``sig``, the rarest first (without a background: by the largest ``|diff|``)."""
        if n < 0:
            raise UsageError(f"the first {n} alleles", remedy="0 or more")
        value = self.columns["sig"] if "sig" in self.columns else -np.abs(self.columns["diff"])
        return self.take(np.argsort(value, kind="stable")[: int(n)])  # NaN comes last

    def to_arrow(self) -> pa.Table:
        """The columns of ``annotate``'s Parquet: chrom, pos, id, ref, alt, status, diff, task, logodds, ref_prob ..."""
        labels = pa.array(
            [label.decode() for label in task_labels([task.name for task in self.tasks])[:-1]], pa.string()
        )
        fields: dict[str, pa.Array] = {
            "chrom": pa.array(self.chrom, pa.string()),
            "pos": pa.array(self.pos, pa.int64()),
            "id": pa.array(self.id, pa.string()),
            "ref": pa.array(self.ref, pa.string()),
            "alt": pa.array(self.alt, pa.string()),
            "status": pa.array(self.status, pa.string()),
        }
        for name, column in self.columns.items():
            if name in OF_NUMBERS:
                fields[name] = pa.array(column, pa.int64(), mask=column < 0)
            elif name in OF_TASKS:
                fields[name] = labels.take(pa.array(column, mask=column < 0))
            else:
                fields[name] = pa.array(column, pa.float32(), mask=np.isnan(column))
        return pa.table(fields)

    def to_pandas(self) -> pandas.DataFrame:
        """The same for pandas, which has to be installed. Raises UsageError when it is not."""
        _demand("pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """The same for polars, which has to be installed. Raises UsageError when it is not."""
        frame: polars.DataFrame = _demand("polars").from_arrow(self.to_arrow())
        return frame

    def __repr__(self) -> str:
        scored = sum(status == Status.PASS.name for status in self.status)
        return f"<ScoreTable: {len(self):,} alleles, {scored:,} scored, {len(self.tasks):,} tasks>"

    def _repr_html_(self) -> str:
        table = self.take(np.arange(min(len(self), SHOWN))).to_arrow()
        cells = [[_shown(value) for value in column] for column in table.to_pydict().values()]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in table.column_names)
        body = "".join(f"<tr>{''.join(row)}</tr>" for row in zip(*cells, strict=True))
        rest = f"<p>{len(self) - SHOWN:,} more</p>" if len(self) > SHOWN else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _demand(name: str) -> ModuleType:
    """A library that nothing else here needs. Raises UsageError when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(
            f"{name} is not installed", remedy=f"pip install {name}, or use to_arrow(), which needs nothing more"
        ) from None


def _shown(value: object) -> str:
    """A cell of HTML."""
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"<td>{html.escape(text)}</td>"
