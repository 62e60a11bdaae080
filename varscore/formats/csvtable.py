"""Small tables of figures as text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence

MISSING = "NA"


def cell(value: float, digits: int) -> str:
    """A figure with so many digits after the point, ``NA`` where it does not exist."""
    return f"{value:.{digits}f}" if math.isfinite(value) else MISSING


def csv_text(rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None, delimiter: str = ",") -> str:
    """CSV of column -> value, one line a row under a header; ``NA`` where a row lacks a column.

    columns: by default those of all rows, in the order in which they turn up
    """
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row)) if columns is None else columns
    table = csv.DictWriter(text, names, restval=MISSING, delimiter=delimiter, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
