"""Tables with one row per ALT allele: TSV and Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from varscore.annotate.writers.scores import (
    MISSING,
    STATUS_NAMES,
    AlleleScores,
    Provenance,
    TextColumn,
    Writer,
    in_lines,
    task_labels,
    text_columns,
)
from varscore.formats.shards import split_blocks
from varscore.formats.vcf import RecordChunk
from varscore.formats.vcf_header import encode
from varscore.genome.alleles import ByteColumn
from varscore.genome.coords import one_based
from varscore.scoring.tags import ALWAYS, OF_NUMBERS, OF_TASKS, OF_TEXT
from varscore.storage.atomic import AtomicFile
from varscore.storage.bgzf import LEVEL
from varscore.storage.blocktext import BlockText, BlockTextOutput, joined
from varscore.storage.resumable import Resumable
from varscore.storage.stages import Placement
from varscore.storage.tablespool import TableSpool

COLUMNS = ("chrom", "pos", "id", "ref", "alt", *ALWAYS)
ROW_GROUP = 1 << 17


class TsvWriter(BlockTextOutput, Writer):
    """``##varscore`` lines, one line of column names, then rows; a missing value is ``.``. ``.gz`` means BGZF."""

    def __init__(
        self,
        output: AtomicFile,
        provenance: Provenance,
        tasks: Sequence[str],
        extra_columns: Sequence[str],
        *,
        compress: bool,
        in_pieces: bool = False,
        carry: Mapping[str, object] | None = None,
    ) -> None:
        """in_pieces, carry: see BlockText"""
        self._file = output
        self._labels, self._extra_columns = task_labels(tasks), tuple(extra_columns)
        names = "\t".join((*COLUMNS, *extra_columns)).encode()
        header = joined([*provenance.lines(), names])
        self._text = BlockText(output, header, level=LEVEL if compress else None, in_pieces=in_pieces, carry=carry)

    def write(self, chunk: RecordChunk, scores: AlleleScores) -> None:
        alleles = chunk.alleles
        contigs = [encode(name) for name in alleles.contigs]
        columns = [
            TextColumn(b"%b", [contigs[index] for index in alleles.contig.tolist()]),
            TextColumn(b"%d", one_based(alleles.start).tolist()),
            TextColumn(b"%b", list(chunk.ids.take(alleles.record))),
            TextColumn(b"%b", _strings(alleles.ref)),
            TextColumn(b"%b", _strings(alleles.alt)),
            *text_columns(scores, self._labels, self._extra_columns),
        ]
        lines = in_lines(b"\t".join([b"%b"] * len(columns)) + b"\n", columns)
        for block, first, end in split_blocks(chunk):
            self._text.write(block, b"".join(lines[chunk.rows[first] : chunk.rows[end]]))


class SpooledParquet(Resumable):
    """A Parquet file, ``_output``, whose rows wait in a spool until all are known: no one can append to it."""

    _output: AtomicFile
    _schema: pa.Schema
    _spool: TableSpool

    def mark(self) -> dict[str, object]:
        return self._spool.mark()

    def settle(self) -> list[Placement]:
        write_parquet(self._output, self._schema, self._spool.tables())
        return [*self._output.settle(), *self._spool.removal()]

    def place(self) -> None:
        self._output.place()
        self._spool.remove()

    def suspend(self) -> None:
        self._output.suspend()
        self._spool.suspend()

    def abort(self) -> None:
        self._output.abort()
        self._spool.remove()


class ParquetWriter(SpooledParquet, Writer):
    """Strings as the VCF spells them (``.`` included), pos int64, numbers float32; null where there is no score.

    Rows wait in a spool until all are known.
    """

    def __init__(
        self,
        output: AtomicFile,
        provenance: Provenance,
        tasks: Sequence[str],
        extra_columns: Sequence[str],
        *,
        carry: Mapping[str, object] | None = None,
    ) -> None:
        self._output, self._extra_columns = output, tuple(extra_columns)
        self._labels = pa.array([label.decode() for label in task_labels(tasks)[:-1]], pa.string())
        floats = {"diff", "logodds", *extra_columns} - {*OF_TASKS, *OF_NUMBERS, *OF_TEXT}
        kinds = {"pos": pa.int64(), **dict.fromkeys(floats, pa.float32()), **dict.fromkeys(OF_NUMBERS, pa.int64())}
        fields = [(name, kinds.get(name, pa.string())) for name in (*COLUMNS, *extra_columns)]
        self._schema = pa.schema(fields, metadata=provenance.facts())
        self._spool = TableSpool(output.path, self._schema, carry)

    def write(self, chunk: RecordChunk, scores: AlleleScores) -> None:
        self._spool.put(pa.table(self._columns(chunk, scores), self._schema))

    def _columns(self, chunk: RecordChunk, scores: AlleleScores) -> list[pa.Array]:
        alleles = chunk.alleles
        return [
            _text([encode(name) for name in alleles.contigs]).take(pa.array(alleles.contig)),
            pa.array(one_based(alleles.start), pa.int64()),
            _text(chunk.ids).take(pa.array(alleles.record)),
            _text(_strings(alleles.ref)),
            _text(_strings(alleles.alt)),
            _text(STATUS_NAMES).take(pa.array(scores.status)),
            _floats(scores.diff),
            self._names(scores.task),
            _floats(scores.logodds),
            *(self._extra(name, scores.extra[name]) for name in self._extra_columns),
        ]

    def _extra(self, name: str, column: NDArray[Any]) -> pa.Array:
        if name in OF_TEXT:
            return _text([b"" if value == MISSING else value for value in column], column == MISSING)
        if name in OF_TASKS:
            return self._names(column)
        return pa.array(column, mask=column < 0) if name in OF_NUMBERS else _floats(column)

    def _names(self, tasks: NDArray[np.integer]) -> pa.Array:
        return self._labels.take(pa.array(tasks, mask=tasks < 0))


def write_parquet(output: AtomicFile, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """A whole Parquet file with row groups of the same size, however the rows are divided into ``tables``."""
    sink = _Sink(output)
    parquet = pq.ParquetWriter(sink, schema)
    waiting = schema.empty_table()
    try:
        for rows in tables:
            waiting = pa.concat_tables([waiting, rows])
            while len(waiting) >= ROW_GROUP:
                parquet.write_table(waiting.slice(0, ROW_GROUP), ROW_GROUP)
                waiting = waiting.slice(ROW_GROUP)
        if len(waiting):
            parquet.write_table(waiting, ROW_GROUP)
        parquet.close()
    except BaseException:
        sink.discard()
        with suppress(pa.ArrowException, OSError):  # ends a writer that may have failed; its footer goes nowhere
            parquet.close()
        raise


class _Sink:
    """What pyarrow needs of a file."""

    closed = False

    def __init__(self, output: AtomicFile) -> None:
        self._put: Callable[[bytes], None] | None = output.write

    def write(self, data: pa.Buffer) -> None:
        if self._put:
            self._put(memoryview(data).tobytes())

    def discard(self) -> None:
        """Swallow whatever comes from now on."""
        self._put = None

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _strings(column: ByteColumn) -> list[bytes]:
    data = column.data.tobytes()
    return [data[start:end] for start, end in pairwise(column.offsets.tolist())]


def _text(values: Sequence[bytes], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    return pa.array([value.decode("utf-8", "replace") for value in values], pa.string(), mask=missing)


def _floats(values: NDArray[np.float32]) -> pa.Array:
    return pa.array(values, pa.float32(), mask=~np.isfinite(values))
