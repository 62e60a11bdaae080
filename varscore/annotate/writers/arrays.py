"""The full score matrix: every score of every task for every allele, as Parquet, Zarr 3 or HDF5.

One row per ALT allele in file order. Each of these is a column (Parquet), an array (Zarr) or a data set (HDF5):

    chrom pos ref alt status    the allele; ``pos`` is 1-based, ``status`` is PASS or why there is no score
    ref_prob alt_prob           probabilities with the reference and the alternative allele
    diff logodds                their difference, and the log2-odds difference
    evalue                      share of the background with a larger effect, where there is a background

The scores are float32, T tasks wide: FixedSizeList<float>[T] in Parquet, shape (alleles, T) elsewhere. An allele
without score is a null list in Parquet and a row of NaN elsewhere. Task names, ``index:name``, and provenance are
key-value metadata in Parquet (``varscoreTasks`` is a JSON list), attributes of the root group in Zarr and HDF5; HDF5,
whose attributes hold 64 KB at most, has the names in a data set ``task``.

The scores are stored uncompressed (Zarr: its default, fast zstd): they are all mantissa, and shrink by a fifth at best.
"""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from varscore.annotate.writers.disk import Disk
from varscore.errors import OutputError, UsageError
from varscore.genome.alleles import ByteColumn, Status
from varscore.storage.atomic import AtomicFile, is_stream, output_errors, refuse_existing
from varscore.storage.folders import AtomicFolder, refuse_existing_folder
from varscore.storage.stages import Output, Placement

EFFECTS = ("ref", "alt", "diff", "logodds")
COLUMN = {"ref": "ref_prob", "alt": "alt_prob"}  # `ref` and `alt` are the alleles
_TEXT = ("chrom", "ref", "alt", "status")
TASKS = "varscoreTasks"

_CHUNK_BYTES = 1 << 20
_MOST_CHUNK_ROWS = 4096
_CHUNKS_PER_BLOCK = 16


def open_matrix(
    path: str, tasks: Sequence[str], facts: Mapping[str, str], *, blocks: Sequence[str] = EFFECTS, force: bool = False
) -> MatrixWriter:
    """Begin a score matrix; the suffix (.parquet, .zarr, .h5) decides the format.

    tasks: a name for each column, ``index:name``; facts: provenance; blocks: what each ``write`` brings.
    Raises OutputExists at once for an existing output without ``force``, UsageError for another suffix or when the
    package that writes the format is missing, OutputError.
    """
    writer = check_matrix(path, force=force)
    return writer(path.rstrip("/") or path, tasks, facts, blocks, force)


def check_matrix(path: str, *, force: bool = False) -> type[MatrixWriter]:
    """Everything that can be known to be wrong with a matrix's name before any work is done; the class that writes it.

    Raises UsageError and OutputExists.
    """
    path = path.rstrip("/") or path
    writer = _WRITERS.get(os.path.splitext(path)[1].lower())
    if writer is None or path == "-":
        raise UsageError("not a name for a score matrix", where=path, remedy="end it in .parquet, .zarr or .h5")
    if is_stream(path) and not os.path.isdir(path):
        raise UsageError("a score matrix cannot be written to a stream", where=path, remedy="give a file name")
    writer.check(path, force)
    return writer


@dataclass
class RowBlock:
    """Rows on their way to the file: always the same number of them, but for the last.

    text: chrom, ref, alt, status; pos: int64 (rows,); values: float32 (rows, T) by block name.
    """

    pos: NDArray[np.int64]
    values: dict[str, NDArray[np.float32]]
    text: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in _TEXT})

    @classmethod
    def empty(cls, rows: int, blocks: Sequence[str], tasks: int) -> RowBlock:
        return cls(np.empty(rows, np.int64), {name: np.empty((rows, tasks), np.float32) for name in blocks})

    def __len__(self) -> int:
        return len(self.text["chrom"])

    def add(
        self, text: Mapping[str, list[str]], pos: NDArray[np.int64], values: Mapping[str, NDArray[np.float32]]
    ) -> None:
        here = slice(len(self), len(self) + len(pos))
        self.pos[here] = pos
        for name, block in self.values.items():
            block[here] = values[name]
        for name, column in self.text.items():
            column.extend(text[name])

    def clear(self) -> None:
        for column in self.text.values():
            column.clear()


class MatrixWriter(Output):
    """Takes rows in pieces of any size and stores them in blocks, so the file does not depend on the pieces.

    Memory stays at one block, about 64 MB.
    """

    def __init__(
        self, path: str, tasks: Sequence[str], facts: Mapping[str, str], blocks: Sequence[str], force: bool
    ) -> None:
        self.path, self._tasks, self._facts, self._blocks = path, tuple(tasks), dict(facts), tuple(blocks)
        self._chunk = min(max(1, _CHUNK_BYTES // (4 * len(tasks))), _MOST_CHUNK_ROWS)
        self._rows = self._chunk * _CHUNKS_PER_BLOCK
        self._block = RowBlock.empty(self._rows, blocks, len(tasks))
        self._stored = 0
        self._target: AtomicFile | AtomicFolder = self._claim(force)
        self._open = True
        try:
            with output_errors(path), _library_errors(path):
                self._begin()
        except BaseException:
            self._target.abort()
            raise

    @classmethod
    def check(cls, path: str, force: bool) -> None:
        """Raises OutputExists, and UsageError when ``path`` is a folder or the package that writes it is missing."""
        refuse_existing(path, force=force)

    def write(
        self,
        chrom: Sequence[str] | NDArray[np.str_],
        pos: NDArray[np.int64],
        ref: Sequence[bytes] | ByteColumn,
        alt: Sequence[bytes] | ByteColumn,
        status: Sequence[str],
        values: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """Append n alleles. pos: int64 (n,), 1-based; values: float32 (n, T) for each block. Raises OutputError."""
        text = {"chrom": [str(name) for name in chrom], "ref": _decode(ref), "alt": _decode(alt), "status": [*status]}
        self._check(text, pos, values)
        first = 0
        while first < len(pos):
            rows = slice(first, min(len(pos), first + self._rows - len(self._block)))
            self._block.add(
                {name: column[rows] for name, column in text.items()},
                pos[rows],
                {name: block[rows] for name, block in values.items()},
            )
            first = rows.stop
            if len(self._block) == self._rows:
                self._flush()

    def settle(self) -> list[Placement]:
        if len(self._block):
            self._flush()
        with output_errors(self.path), _library_errors(self.path):
            self._end()
        return self._target.settle()

    def place(self) -> None:
        self._target.place()
        self._open = False

    def commit(self) -> None:
        if self._open:
            super().commit()

    def suspend(self) -> None:
        self._open = False
        self._target.suspend()

    def abort(self) -> None:
        if self._open:
            self._open = False
            with suppress(OSError, RuntimeError, pa.ArrowException):  # what failed may fail again
                self._end()
            self._target.abort()

    def _check(
        self, text: Mapping[str, list[str]], pos: NDArray[np.int64], values: Mapping[str, NDArray[np.float32]]
    ) -> None:
        if set(values) != set(self._blocks):
            raise ValueError(f"blocks {sorted(values)} instead of {sorted(self._blocks)}")
        shapes = {block.shape for block in values.values()}
        if shapes != {(len(pos), len(self._tasks))} or {len(column) for column in text.values()} != {len(pos)}:
            raise ValueError(f"{len(pos)} alleles and blocks of shape {sorted(shapes)}")

    def _flush(self) -> None:
        with output_errors(self.path), _library_errors(self.path):
            self._store(self._block)
        self._stored += len(self._block)
        self._block.clear()

    def _claim(self, force: bool) -> AtomicFile | AtomicFolder:
        return AtomicFile(self.path, force=force)

    @abstractmethod
    def _begin(self) -> None:
        """Lay out the columns in ``self._target.temporary``."""

    @abstractmethod
    def _store(self, rows: RowBlock) -> None:
        """Append ``rows`` after the ``self._stored`` rows that are there."""

    @abstractmethod
    def _end(self) -> None:
        """Write what the format wants last; nothing is stored afterwards."""


class ParquetMatrix(MatrixWriter):
    """One row group a block."""

    def _begin(self) -> None:
        lists = pa.list_(pa.float32(), len(self._tasks))
        kinds = {"chrom": pa.string(), "pos": pa.int64()} | dict.fromkeys(("ref", "alt", "status"), pa.string())
        scores = {COLUMN.get(name, name): lists for name in self._blocks}
        metadata = {**self._facts, TASKS: json.dumps(self._tasks)}
        self._schema = pa.schema(kinds | scores, metadata=metadata)
        self._sink = pa.OSFile(self._target.temporary, "wb")
        self._writer = pq.ParquetWriter(
            self._sink,
            self._schema,
            use_dictionary=["chrom", "status"],
            compression=dict.fromkeys(kinds, "zstd"),
            write_statistics=list(kinds),
        )

    def _store(self, rows: RowBlock) -> None:
        n = len(rows)
        unscored = pa.array([status != Status.PASS.name for status in rows.text["status"]])
        columns = {name: pa.array(column) for name, column in rows.text.items()} | {"pos": pa.array(rows.pos[:n])}
        for name, block in rows.values.items():
            floats = pa.array(block[:n].reshape(-1))
            columns[COLUMN.get(name, name)] = pa.FixedSizeListArray.from_arrays(floats, len(self._tasks), mask=unscored)
        self._writer.write_table(pa.table(columns, self._schema), row_group_size=n)

    def _end(self) -> None:
        self._writer.close()
        self._sink.close()


class ZarrMatrix(MatrixWriter):
    """One shard a block, 16 chunks a shard."""

    MARKER = "zarr.json"

    @classmethod
    def check(cls, path: str, force: bool) -> None:
        optional("zarr")
        refuse_existing_folder(path, cls.MARKER, force=force)

    def _claim(self, force: bool) -> AtomicFolder:
        self._zarr = optional("zarr")
        return AtomicFolder(self.path, marker=self.MARKER, force=force)

    def _begin(self) -> None:
        attributes = {**self._facts, TASKS: list(self._tasks)}
        root = self._zarr.create_group(self._target.temporary, zarr_format=3, attributes=attributes)
        column = {"shape": (0,), "chunks": (self._rows,), "dimension_names": ["allele"]}
        self._arrays = {name: root.create_array(name, dtype=str, **column) for name in _TEXT}
        self._arrays["pos"] = root.create_array("pos", dtype="int64", **column)
        for name in map(_column, self._blocks):
            self._arrays[name] = root.create_array(
                name,
                dtype="float32",
                fill_value=np.nan,
                shape=(0, len(self._tasks)),
                chunks=(self._chunk, len(self._tasks)),
                shards=(self._rows, len(self._tasks)),
                dimension_names=["allele", "task"],
            )

    def _store(self, rows: RowBlock) -> None:
        total = self._stored + len(rows)
        for name, column in _columns(rows, np.dtypes.StringDType()):
            array = self._arrays[name]
            array.resize((total, *array.shape[1:]))
            array[self._stored : total] = column

    def _end(self) -> None:
        pass  # every shard is a file of its own


class Hdf5Matrix(MatrixWriter):
    """Chunks of about a megabyte."""

    @classmethod
    def check(cls, path: str, force: bool) -> None:
        optional("h5py")
        super().check(path, force)

    def _claim(self, force: bool) -> AtomicFile:
        self._h5py = optional("h5py")
        return AtomicFile(self.path, force=force)

    def _begin(self) -> None:
        self._disk = Disk(self._target.temporary)
        self._root = self._h5py.File(self._disk, "w")
        self._root.attrs.update(self._facts)
        text = self._h5py.string_dtype()
        self._root.create_dataset("task", data=list(self._tasks), dtype=text)
        column = {"shape": (0,), "maxshape": (None,), "chunks": (self._rows,)}
        self._sets = {name: self._root.create_dataset(name, dtype=text, **column) for name in _TEXT}
        self._sets["pos"] = self._root.create_dataset("pos", dtype=np.int64, **column)
        for name in map(_column, self._blocks):
            self._sets[name] = self._root.create_dataset(
                name,
                dtype=np.float32,
                fillvalue=np.nan,
                shape=(0, len(self._tasks)),
                maxshape=(None, len(self._tasks)),
                chunks=(self._chunk, len(self._tasks)),
            )

    def _store(self, rows: RowBlock) -> None:
        total = self._stored + len(rows)
        for name, column in _columns(rows, np.dtype(object)):
            self._sets[name].resize(total, axis=0)
            self._sets[name][self._stored :] = column
        self._disk.check()

    def _end(self) -> None:
        if self._root:  # false once it is closed
            self._root.close()
            self._disk.close()


_WRITERS: dict[str, type[MatrixWriter]] = {".parquet": ParquetMatrix, ".zarr": ZarrMatrix, ".h5": Hdf5Matrix}


def _column(block: str) -> str:
    return COLUMN.get(block, block)


def _columns(rows: RowBlock, text: DTypeLike) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Every column of a block by its name in the file, text with NumPy type ``text``."""
    n = len(rows)
    yield from ((name, np.array(column, text)) for name, column in rows.text.items())
    yield "pos", rows.pos[:n]
    yield from ((_column(name), block[:n]) for name, block in rows.values.items())


def _decode(alleles: Sequence[bytes] | ByteColumn) -> list[str]:
    return [alleles[row].decode("utf-8", "replace") for row in range(len(alleles))]


def optional(package: str) -> ModuleType:
    """A package that only the extra ``zarr`` brings. Raises UsageError when it is missing."""
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError as error:
        raise UsageError(
            f"this format needs the package {package}", cause=str(error), remedy=f"pip install {package}"
        ) from None


@contextmanager
def _library_errors(path: str) -> Iterator[None]:
    """HDF5 says RuntimeError, and Arrow sometimes its own exception, when the disk refuses."""
    try:
        yield
    except (RuntimeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(f"cannot write: {reason}", where=path, remedy="check free space and permissions") from error
