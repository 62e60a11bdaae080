"""Every site that an allele breaks, makes or changes, one line each, as TSV. ``.gz`` means BGZF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from varscore.annotate.writers.scores import MISSING, format_floats
from varscore.formats.shards import block_of
from varscore.formats.vcf import RecordChunk
from varscore.genome.coords import one_based
from varscore.motifs.changes import SIGNS, Changes
from varscore.motifs.pvalues import Model
from varscore.storage.atomic import AtomicFile
from varscore.storage.bgzf import LEVEL
from varscore.storage.blocktext import BlockText, BlockTextOutput

COLUMNS = (
    "chrom",
    "pos",
    "ref",
    "alt",
    "motif",
    "id",
    "change",
    "strand",
    "ref_pos",
    "alt_pos",
    "ref_score",
    "alt_score",
    "ref_p",
    "alt_p",
    "diff",
    "width",
)
WORDS = {"-": b"lost", "+": b"gained", "~": b"changed"}


class MotifTable(BlockTextOutput):
    """models: of the motifs by their number; in_pieces, carry: see BlockText. Raises OutputExists and OutputError."""

    def __init__(
        self,
        path: str,
        models: Sequence[Model],
        *,
        force: bool,
        in_pieces: bool = False,
        carry: Mapping[str, object] | None = None,
    ) -> None:
        self._names = [(model.motif.name.encode(), model.motif.id.encode()) for model in models]
        self._widths = [b"%d" % model.width for model in models]
        self._file = AtomicFile(path, force=force, keep=carry is not None)
        level = LEVEL if path.endswith(".gz") else None
        try:
            header = "\t".join(COLUMNS).encode() + b"\n"
            self._text = BlockText(self._file, header, level=level, in_pieces=in_pieces, carry=carry)
        except BaseException:
            self._file.suspend()
            raise

    def write(self, chunk: RecordChunk, rows: NDArray[np.int64], sites: Changes, diff: NDArray[np.float32]) -> None:
        """Append what alleles of ``chunk`` do. rows: int64 (m,), those that ``sites`` counts from 0; diff: float32 (n,)
        of all alleles"""
        alleles = chunk.alleles
        of_allele = rows[sites.row]
        columns = zip(
            of_allele.tolist(),
            [self._names[motif] for motif in sites.motif.tolist()],
            [WORDS[SIGNS[change]] for change in sites.change.tolist()],
            [b"-" if backward else b"+" for backward in sites.backward.tolist()],
            _positions(sites.start[:, 0]),
            _positions(sites.start[:, 1]),
            format_floats(sites.score[:, 0]),
            format_floats(sites.score[:, 1]),
            format_floats(sites.p[:, 0]),
            format_floats(sites.p[:, 1]),
            format_floats(diff[of_allele]),
            [self._widths[motif] for motif in sites.motif.tolist()],
            strict=True,
        )
        for row, names, *rest in columns:
            record = int(alleles.record[row])
            chrom, pos, _ = chunk.lines[record].split(b"\t", 2)
            line = b"\t".join((chrom, pos, alleles.ref[row], alleles.alt[row], *names, *rest)) + b"\n"
            self._text.write(block_of(int(chunk.numbers[record])), line)


def _positions(starts: NDArray[np.int64]) -> list[bytes]:
    """1-based, ``.`` where there is none."""
    return [MISSING if start < 0 else b"%d" % one_based(start) for start in starts.tolist()]
