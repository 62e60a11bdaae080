"""Tables with one row per ALT allele: TSV and Parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from varscore.files.atomic import AtomicFile
from varscore.files.bgzf import BgzfWriter
from varscore.files.scores import STATUS_NAMES, AlleleScores, Provenance, Writer, task_labels, text_columns
from varscore.files.vcf import RecordChunk
from varscore.files.vcf_header import encode
from varscore.genome.alleles import ByteColumn
from varscore.genome.coords import one_based

COLUMNS = ("chrom", "pos", "id", "ref", "alt", "status", "diff", "task", "logodds")
ROW_GROUP = 1 << 17


class TsvWriter(Writer):
    """``##varscore`` lines, one line of column names, then rows; a missing value is ``.``. ``.gz`` means BGZF."""

    def __init__(
        self,
        output: AtomicFile,
        provenance: Provenance,
        tasks: Sequence[str],
        extra_columns: Sequence[str],
        *,
        compress: bool,
    ) -> None:
        self._output = output
        self._labels, self._extra_columns = task_labels(tasks), tuple(extra_columns)
        self._bgzf = BgzfWriter(output.write) if compress else None
        self._put = self._bgzf.write if self._bgzf else output.write
        names = "\t".join((*COLUMNS, *extra_columns)).encode()
        self._put(b"\n".join([*provenance.lines(), names, b""]))

    def write(self, chunk: RecordChunk, scores: AlleleScores) -> None:
        alleles = chunk.alleles
        contigs = [encode(name) for name in alleles.contigs]
        rows = zip(
            [contigs[index] for index in alleles.contig.tolist()],
            [b"%d" % pos for pos in one_based(alleles.start).tolist()],
            [chunk.ids[record] for record in alleles.record.tolist()],
            _strings(alleles.ref),
            _strings(alleles.alt),
            *text_columns(scores, self._labels, self._extra_columns),
            strict=True,
        )
        self._put(b"".join([b"\t".join(row) + b"\n" for row in rows]))

    def close(self) -> None:
        try:
            if self._bgzf:
                self._bgzf.close()
            self._output.commit()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        self._output.abort()


class ParquetWriter(Writer):
    """Strings as the VCF spells them (``.`` included), pos int64, numbers float32; null where there is no score."""

    def __init__(
        self, output: AtomicFile, provenance: Provenance, tasks: Sequence[str], extra_columns: Sequence[str]
    ) -> None:
        self._output, self._extra_columns = output, tuple(extra_columns)
        self._labels = pa.array([label.decode() for label in task_labels(tasks)[:-1]], pa.string())
        floats = {"diff", "logodds", *extra_columns}
        kinds = {"pos": pa.int64(), **dict.fromkeys(floats, pa.float32())}
        fields = [(name, kinds.get(name, pa.string())) for name in (*COLUMNS, *extra_columns)]
        self._schema = pa.schema(fields, metadata=dict(provenance.items()))
        self._waiting = self._schema.empty_table()
        self._sink = _Sink(output)
        self._parquet = pq.ParquetWriter(self._sink, self._schema)

    def write(self, chunk: RecordChunk, scores: AlleleScores) -> None:
        rows = pa.table(self._columns(chunk, scores), self._schema)
        self._waiting = pa.concat_tables([self._waiting, rows])
        while len(self._waiting) >= ROW_GROUP:
            self._parquet.write_table(self._waiting.slice(0, ROW_GROUP), ROW_GROUP)
            self._waiting = self._waiting.slice(ROW_GROUP)

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
            self._labels.take(pa.array(scores.task, mask=scores.task < 0)),
            _floats(scores.logodds),
            *(_floats(scores.extra[name]) for name in self._extra_columns),
        ]

    def close(self) -> None:
        try:
            if len(self._waiting):
                self._parquet.write_table(self._waiting, ROW_GROUP)
            self._parquet.close()
            self._output.commit()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        self._sink.discard()
        with suppress(pa.ArrowException, OSError):  # ends a writer that may have failed; its footer goes nowhere
            self._parquet.close()
        self._output.abort()


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


def _text(values: Sequence[bytes]) -> pa.Array:
    return pa.array([value.decode("utf-8", "replace") for value in values], pa.string())


def _floats(values: np.ndarray) -> pa.Array:
    return pa.array(values, pa.float32(), mask=~np.isfinite(values))
