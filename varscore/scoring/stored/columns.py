"""What is stored of a scored allele: a record of the columns that ``annotate`` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from varscore.errors import UsageError
from varscore.scoring.tags import OF_TASKS

NO_TASK = 0xFFFF
"""In a record: the allele has no score"""


def record_of(columns: Sequence[str], tasks: int) -> np.dtype[np.void]:
    """A record with these columns: float32, uint16 for the number of a task. Raises UsageError for too many tasks."""
    if tasks >= NO_TASK:
        raise UsageError(
            f"scores of {tasks:,} tasks cannot be stored", cause=f"at most {NO_TASK:,} tasks have a number"
        )
    return np.dtype([(name, "<u2" if name in OF_TASKS else "<f4") for name in columns])


def to_records(columns: Mapping[str, NDArray[np.generic]], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Columns, (m,) each, as records (m,)."""
    records = np.empty(len(next(iter(columns.values()))), dtype)
    for name in dtype.names or ():
        records[name] = columns[name]
    return records


def from_records(records: NDArray[np.void], names: Sequence[str] | None = None) -> dict[str, NDArray[np.number]]:
    """All columns or those with ``names``: float32 (m,), or int64 (m,) numbers of tasks."""
    names = (records.dtype.names or ()) if names is None else names
    return {name: records[name].astype(np.int64 if name in OF_TASKS else np.float32) for name in names}
