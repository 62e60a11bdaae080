"""The alleles without a score, one line each, as TSV: chrom, pos, id, ref, alt, status. ``.gz`` means BGZF."""

from __future__ import annotations

from types import TracebackType

import numpy as np

from varscore.files.atomic import AtomicFile
from varscore.files.bgzf import BgzfWriter
from varscore.files.scores import STATUS_NAMES
from varscore.files.vcf import RecordChunk
from varscore.genome.alleles import Status

COLUMNS = b"chrom\tpos\tid\tref\talt\tstatus\n"


class SkippedTable:
    """A context manager that commits on success and aborts on an exception. Raises OutputExists and OutputError."""

    def __init__(self, path: str, *, force: bool) -> None:
        self._output = AtomicFile(path, force=force)
        self._bgzf = BgzfWriter(self._output.write) if path.endswith(".gz") else None
        self._put = self._bgzf.write if self._bgzf else self._output.write
        self._put(COLUMNS)

    def write(self, chunk: RecordChunk, status: np.ndarray) -> None:
        """Append the alleles of ``chunk`` that are not PASS. status: uint8 (n,), one for each of its alleles."""
        alleles = chunk.alleles
        for row in np.flatnonzero(status != Status.PASS).tolist():
            record = int(alleles.record[row])
            chrom, pos, _ = chunk.lines[record].split(b"\t", 2)
            fields = chrom, pos, chunk.ids[record], alleles.ref[row], alleles.alt[row], STATUS_NAMES[status[row]]
            self._put(b"\t".join(fields) + b"\n")

    def __enter__(self) -> SkippedTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._output.abort()
            return
        try:
            if self._bgzf:
                self._bgzf.close()
            self._output.commit()
        except BaseException:
            self._output.abort()
            raise
