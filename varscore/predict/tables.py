"""Tables of predicted probabilities, one row a sequence: TSV, bgzipped TSV and Parquet."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from varscore.errors import UsageError
from varscore.formats.vcf_header import encode
from varscore.genome.coords import Interval
from varscore.storage.atomic import AtomicFile, is_stream, output_errors
from varscore.storage.bgzf import BgzfWriter
from varscore.storage.resumable import FileOutput
from varscore.storage.stages import Placement

SUFFIXES = (".tsv", ".tsv.gz", ".parquet")
MOST_COLUMNS = 2000
_ROW_GROUP_BYTES = 64 << 20
_MOST_ROWS = 1 << 16


class PredictionWriter(FileOutput):
    """Takes rows in order; the file appears when all of them are there.

    The columns are ``name``, for intervals ``chrom start end`` (BED coordinates), then one per task, float32. A Parquet
    file with more than 2,000 tasks has one column ``probability`` instead, FixedSizeList<float>[T].
    Raises OutputError.
    """

    _file: AtomicFile

    def __init__(
        self, output: AtomicFile, facts: Sequence[tuple[str, str]], tasks: Sequence[str], places: bool
    ) -> None:
        self._file, self._tasks, self._places = output, list(tasks), places
        self._begin(facts)

    @abstractmethod
    def _begin(self, facts: Sequence[tuple[str, str]]) -> None: ...

    @abstractmethod
    def write(self, names: Sequence[str], places: Sequence[Interval], values: NDArray[np.float32]) -> None:
        """Append n rows. places: n intervals, or none when the writer has no use for them; values: float32 (n, T)."""

    @abstractmethod
    def _end(self) -> None:
        """Write what the format wants last."""

    def _drop(self) -> None:
        """Let go of what would otherwise still write to the output."""

    def settle(self) -> list[Placement]:
        with output_errors(self._file.path):
            self._end()
        return self._file.settle()

    def abort(self) -> None:
        self._drop()
        super().abort()


class TsvPredictions(PredictionWriter):
    """``##varscore`` lines, a line of column names, then rows, numbers as ``%.6g``. A name ending in .gz means BGZF."""

    def _begin(self, facts: Sequence[tuple[str, str]]) -> None:
        self._bgzf = BgzfWriter(self._file.write) if self._file.path.endswith(".gz") else None
        self._put = self._bgzf.write if self._bgzf else self._file.write
        self._numbers = "\t".join(["%.6g"] * len(self._tasks))
        comments = [f"##{key}={value}" for key, value in facts]
        columns = "\t".join(["name", *(["chrom", "start", "end"] if self._places else []), *self._tasks])
        self._put(encode("\n".join([*comments, columns, ""])))

    def write(self, names: Sequence[str], places: Sequence[Interval], values: NDArray[np.float32]) -> None:
        heads = list(names)
        if self._places:
            heads = [f"{n}\t{p.contig}\t{p.start}\t{p.end}" for n, p in zip(names, places, strict=True)]
        rows = zip(heads, values.tolist(), strict=True)
        self._put(encode("".join(f"{head}\t{self._numbers % tuple(row)}\n" for head, row in rows)))

    def _end(self) -> None:
        if self._bgzf:
            self._bgzf.close()


class ParquetPredictions(PredictionWriter):
    """Row groups of at most 64 MB. Provenance and task names (``varscoreTasks``, JSON) are key-value metadata."""

    def _begin(self, facts: Sequence[tuple[str, str]]) -> None:
        width = len(self._tasks)
        self._wide = width <= MOST_COLUMNS
        place = {"chrom": pa.string(), "start": pa.int64(), "end": pa.int64()}
        heads = {"name": pa.string()} | (place if self._places else {})
        lists = {"probability": pa.list_(pa.float32(), width)}
        numbers = dict.fromkeys(self._tasks, pa.float32()) if self._wide else lists
        metadata = {**dict(facts), "varscoreTasks": json.dumps(self._tasks)}
        self._schema = pa.schema([*heads.items(), *numbers.items()], metadata=metadata)
        self._rows = min(max(1, _ROW_GROUP_BYTES // (4 * width)), _MOST_ROWS)
        self._waiting = self._schema.empty_table()
        with output_errors(self._file.path):
            self._sink = pa.OSFile(self._file.temporary, "wb")
            repeated = ["chrom"] if self._places else False
            self._parquet = pq.ParquetWriter(self._sink, self._schema, use_dictionary=repeated)

    def write(self, names: Sequence[str], places: Sequence[Interval], values: NDArray[np.float32]) -> None:
        columns = [pa.array(names, pa.string())]
        if self._places:
            columns += [pa.array([getattr(place, field) for place in places]) for field in ("contig", "start", "end")]
        if self._wide:
            columns += [pa.array(column) for column in np.ascontiguousarray(values.T)]
        else:
            columns.append(pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), len(self._tasks)))
        self._waiting = pa.concat_tables([self._waiting, pa.table(columns, self._schema)])
        with output_errors(self._file.path):
            while len(self._waiting) >= self._rows:
                self._parquet.write_table(self._waiting.slice(0, self._rows), self._rows)
                self._waiting = self._waiting.slice(self._rows)

    def _end(self) -> None:
        if len(self._waiting):
            self._parquet.write_table(self._waiting, self._rows)
            self._waiting = self._schema.empty_table()
        self._parquet.close()
        self._sink.close()

    def _drop(self) -> None:
        with suppress(OSError, pa.ArrowException):  # what failed may fail again
            self._parquet.close()
            self._sink.close()


def suffix_of(path: str) -> str | None:
    """The suffix that says what predictions are written as, None for a bare stream. Raises UsageError for another."""
    suffix = next((suffix for suffix in SUFFIXES if path.lower().endswith(suffix)), None)
    if suffix is None and not is_stream(path):
        raise UsageError("unknown kind of output", where=path, remedy=f"end its name in {', '.join(SUFFIXES)}")
    return suffix


def open_predictions(
    path: str, facts: Sequence[tuple[str, str]], tasks: Sequence[str], *, places: bool, force: bool = False
) -> PredictionWriter:
    """A writer for ``path`` in the format of its suffix; ``-``, a pipe or a device without one is TSV.

    facts: provenance; tasks: a label for each column; places: whether rows are intervals.
    Raises UsageError, OutputExists and OutputError; nothing is left behind then.
    """
    suffix = suffix_of(path)
    writer = ParquetPredictions if suffix == ".parquet" else TsvPredictions
    output = AtomicFile(path, force=force)
    try:
        return writer(output, facts, tasks, places)
    except BaseException:
        output.abort()
        raise
