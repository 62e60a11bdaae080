"""A score matrix that can be carried on with, and matrices read back, to be put together from those of shards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from varscore.annotate.writers.arrays import COLUMN, EFFECTS, TASKS, MatrixWriter, optional
from varscore.errors import DataError
from varscore.genome.alleles import ByteColumn
from varscore.storage.resumable import Resumable
from varscore.storage.stages import Placement
from varscore.storage.tablespool import TableSpool

_ROWS_AT_ONCE = 1024


class SpooledMatrix(Resumable):
    """Keeps the rows of a score matrix in a spool until all are known, and writes it then.

    begin: makes the writer of the matrix; blocks, tasks: names of the blocks, and how many columns each has.
    """

    def __init__(
        self,
        path: str,
        begin: Callable[[], MatrixWriter],
        blocks: Sequence[str],
        tasks: int,
        carry: Mapping[str, object] | None = None,
    ) -> None:
        self._begin, self._blocks, self._tasks = begin, tuple(blocks), tasks
        text = {"chrom": pa.string(), "pos": pa.int64(), "ref": pa.binary(), "alt": pa.binary(), "status": pa.string()}
        values = {f"values_{name}": pa.list_(pa.float32(), tasks) for name in blocks}
        self._schema = pa.schema(text | values)
        self._spool = TableSpool(path, self._schema, carry)
        self._writer: MatrixWriter | None = None
        self._is_settled = False

    def write(
        self,
        chrom: Sequence[str],
        pos: NDArray[np.int64],
        ref: Sequence[bytes] | ByteColumn,
        alt: Sequence[bytes] | ByteColumn,
        status: Sequence[str],
        values: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """Append n alleles, as MatrixWriter does. Raises OutputError."""
        columns = [
            pa.array(chrom, pa.string()),
            pa.array(pos),
            pa.array([ref[row] for row in range(len(pos))], pa.binary()),
            pa.array([alt[row] for row in range(len(pos))], pa.binary()),
            pa.array(status, pa.string()),
            *(
                pa.FixedSizeListArray.from_arrays(pa.array(values[name].reshape(-1)), self._tasks)
                for name in self._blocks
            ),
        ]
        self._spool.put(pa.table(columns, self._schema))

    def mark(self) -> dict[str, object]:
        return self._spool.mark()

    def settle(self) -> list[Placement]:
        self._writer = self._begin()
        for table in self._spool.tables():
            text = {name: table[name].to_pylist() for name in ("chrom", "ref", "alt", "status")}
            values = {name: self._numbers(table[f"values_{name}"]) for name in self._blocks}
            self._writer.write(pos=table["pos"].to_numpy(), values=values, **text)
        placements = [*self._writer.settle(), *self._spool.removal()]
        self._is_settled = True
        return placements

    def place(self) -> None:
        if self._writer:
            self._writer.place()
        self._spool.remove()

    def suspend(self) -> None:
        if self._writer and self._is_settled:
            self._writer.suspend()
        elif self._writer:  # what it has written can be written again
            self._writer.abort()
        self._spool.suspend()

    def abort(self) -> None:
        if self._writer:
            self._writer.abort()
        self._spool.remove()

    def _numbers(self, column: pa.ChunkedArray) -> NDArray[np.float32]:
        return np.asarray(column.combine_chunks().values).reshape(len(column), self._tasks)


class TableCursor:
    """Reads a Parquet file from its beginning, any number of rows at a time. Raises DataError."""

    def __init__(self, path: str) -> None:
        self._path = path
        with _reading(path):
            self._file = pq.ParquetFile(path)
        self.schema = self._file.schema_arrow
        self._batches = self._file.iter_batches(_ROWS_AT_ONCE)
        self._waiting = self.schema.empty_table()

    def take(self, rows: int) -> pa.Table:
        """The next ``rows`` rows, or fewer at the end."""
        with _reading(self._path):
            while len(self._waiting) < rows and (batch := next(self._batches, None)) is not None:
                self._waiting = pa.concat_tables([self._waiting, pa.Table.from_batches([batch], self.schema)])
        taken, self._waiting = self._waiting.slice(0, rows), self._waiting.slice(rows)
        return taken

    def demand_end(self) -> None:
        """Raises DataError when there are rows that nobody has taken."""
        if len(self.take(1)):
            raise DataError("the table has more rows than its run.json says", where=self._path)


@dataclass(frozen=True)
class MatrixRows:
    """n alleles of a score matrix. pos: int64 (n,), 1-based; values: float32 (n, T) for each block"""

    chrom: Sequence[str]
    pos: NDArray[np.int64]
    ref: Sequence[str]
    alt: Sequence[str]
    status: Sequence[str]
    values: Mapping[str, NDArray[np.float32]]


class MatrixCursor:
    """Reads a finished score matrix from its beginning, any number of alleles at a time.

    blocks: those that it has. Raises DataError when it cannot be read, UsageError when the package for it is missing.
    """

    def __init__(self, path: str, blocks: Sequence[str]) -> None:
        self._path, self._at = path, 0
        self._columns = {name: COLUMN.get(name, name) for name in blocks}
        self._kind = os.path.splitext(path.rstrip("/"))[1].lower()
        with _reading(path):
            if self._kind == ".parquet":
                self._table = TableCursor(path)
            elif self._kind == ".zarr":
                self._arrays = optional("zarr").open_group(path, mode="r")
            else:
                self._arrays = optional("h5py").File(path, "r")

    def take(self, rows: int) -> MatrixRows:
        """The next ``rows`` alleles. Raises DataError when there are fewer."""
        with _reading(self._path):
            found = self._take_table(rows) if self._kind == ".parquet" else self._take_arrays(rows)
        if len(found.pos) != rows:
            raise DataError("the score matrix has fewer rows than its run.json says", where=self._path)
        return found

    def demand_end(self) -> None:
        """Raises DataError when there are rows that nobody has taken."""
        if self._kind == ".parquet":
            self._table.demand_end()
        elif self._arrays["pos"].shape[0] > self._at:
            raise DataError("the score matrix has more rows than its run.json says", where=self._path)

    def _take_table(self, rows: int) -> MatrixRows:
        table = self._table.take(rows)
        text = {name: table[name].to_pylist() for name in ("chrom", "ref", "alt", "status")}
        values = {}
        for name, column in self._columns.items():
            lists = table[column].combine_chunks()
            values[name] = np.full((len(table), lists.type.list_size), np.nan, np.float32)
            there = np.asarray(lists.is_valid())
            values[name][there] = np.asarray(lists.flatten()).reshape(-1, lists.type.list_size)
        return MatrixRows(pos=table["pos"].to_numpy(), values=values, **text)

    def _take_arrays(self, rows: int) -> MatrixRows:
        here = slice(self._at, self._at + rows)
        self._at += rows
        text = {}
        for name in ("chrom", "ref", "alt", "status"):
            column = self._arrays[name].asstr() if self._kind == ".h5" else self._arrays[name]
            text[name] = [str(value) for value in column[here]]
        values = {name: self._arrays[column][here] for name, column in self._columns.items()}
        return MatrixRows(pos=self._arrays["pos"][here], values=values, **text)


@dataclass(frozen=True)
class MatrixHead:
    """What a finished score matrix says of itself. facts: provenance; tasks: ``index:name`` of each column"""

    rows: int
    facts: Mapping[str, str]
    tasks: tuple[str, ...]
    blocks: tuple[str, ...]


def read_head(path: str) -> MatrixHead:
    """Raises DataError for what is no score matrix, UsageError when the package that reads it is missing."""
    kind = os.path.splitext(path.rstrip("/"))[1].lower()
    known = (*EFFECTS, "evalue")
    with _reading(path):
        if kind == ".parquet":
            metadata = pq.read_metadata(path)
            said = {key.decode(): value.decode() for key, value in (metadata.metadata or {}).items()}
            rows, columns, labels = metadata.num_rows, set(pq.read_schema(path).names), json.loads(said[TASKS])
        elif kind in (".zarr", ".h5"):
            root = optional("zarr").open_group(path, mode="r") if kind == ".zarr" else optional("h5py").File(path, "r")
            said = {key: value for key, value in root.attrs.items() if isinstance(value, str)}
            rows, columns = int(root["pos"].shape[0]), set(root)
            labels = root["task"].asstr()[:] if kind == ".h5" else root.attrs[TASKS]
        else:
            raise ValueError("its name ends in none of .parquet, .zarr, .h5")
        blocks = tuple(name for name in known if COLUMN.get(name, name) in columns)
    return MatrixHead(rows, said, tuple(map(str, labels)), blocks)


@contextmanager
def _reading(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, ValueError, RuntimeError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError("cannot read the table", where=path, cause=reason) from None
