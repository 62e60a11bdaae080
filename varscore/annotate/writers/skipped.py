"""The alleles without a score, one line each, as TSV: chrom, pos, id, ref, alt, status. ``.gz`` means BGZF."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from varscore.annotate.writers.scores import STATUS_NAMES
from varscore.formats.shards import block_of
from varscore.formats.vcf import RecordChunk
from varscore.genome.alleles import Status
from varscore.storage.atomic import AtomicFile
from varscore.storage.bgzf import LEVEL
from varscore.storage.blocktext import BlockText, BlockTextOutput

COLUMNS = b"chrom\tpos\tid\tref\talt\tstatus\n"


class SkippedTable(BlockTextOutput):
    """in_pieces, carry: see BlockText. Raises OutputExists and OutputError."""

    def __init__(
        self, path: str, *, force: bool, in_pieces: bool = False, carry: Mapping[str, object] | None = None
    ) -> None:
        self._file = AtomicFile(path, force=force, keep=carry is not None)
        level = LEVEL if path.endswith(".gz") else None
        try:
            self._text = BlockText(self._file, COLUMNS, level=level, in_pieces=in_pieces, carry=carry)
        except BaseException:
            self._file.suspend()
            raise

    def write(self, chunk: RecordChunk, status: NDArray[np.uint8]) -> None:
        """Append the alleles of ``chunk`` that are not PASS. status: uint8 (n,), one for each of its alleles."""
        alleles = chunk.alleles
        for row in np.flatnonzero(status != Status.PASS).tolist():
            record = int(alleles.record[row])
            chrom, pos, _ = chunk.lines[record].split(b"\t", 2)
            fields = chrom, pos, chunk.ids[record], alleles.ref[row], alleles.alt[row], STATUS_NAMES[status[row]]
            self._text.write(block_of(int(chunk.numbers[record])), b"\t".join(fields) + b"\n")
