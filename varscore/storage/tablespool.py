"""Arrow tables that wait until all are known: another process cannot carry on with the file they are for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from varscore.storage.atomic import Mark, Spool
from varscore.storage.resumable import removal
from varscore.storage.stages import Placement

_SIZE_BYTES = 8


class TableSpool:
    """Tables in the order in which they were put in, each as an Arrow IPC stream after its length in bytes.

    path: of the output they are for; carry: an earlier :meth:`mark`. Raises OutputError, and DamagedPartial when
    ``carry`` does not fit what is there.
    """

    def __init__(self, path: str, schema: pa.Schema, carry: Mapping[str, object] | None = None) -> None:
        self._schema = schema
        self._file = Spool(path, keep=carry is not None)
        if carry is not None:
            try:
                self._file.carry_on(Mark.parse(carry["file"]))
            except BaseException:
                self._file.suspend()
                raise

    def put(self, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self._schema) as stream:
            stream.write_table(table)
        data = sink.getvalue()
        self._file.write(data.size.to_bytes(_SIZE_BYTES, "little"))
        self._file.write(memoryview(data))

    def tables(self) -> Iterator[pa.Table]:
        start = 0
        while head := self._file.read_at(start, _SIZE_BYTES):
            size = int.from_bytes(head, "little")
            yield pa.ipc.open_stream(self._file.read_at(start + _SIZE_BYTES, size)).read_all()
            start += _SIZE_BYTES + size

    def mark(self) -> dict[str, object]:
        """Flush to disk; what the next one carries on from."""
        return {"file": self._file.mark().fields()}

    def removal(self) -> list[Placement]:
        return removal(self._file)

    def suspend(self) -> None:
        self._file.suspend()

    def remove(self) -> None:
        self._file.abort()
