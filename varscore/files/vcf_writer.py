"""VCF, bgzipped VCF and BCF out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator

from varscore.errors import OutputError
from varscore.files.annotation import Annotator
from varscore.files.atomic import AtomicFile, output_errors
from varscore.files.bcf import write_bcf
from varscore.files.bgzf import BgzfWriter, inflate
from varscore.files.index import SortOrder, build_index, remove_stale_indexes
from varscore.files.scores import AlleleScores, Writer
from varscore.files.vcf import RecordChunk

_READ = 256 << 10


class VcfWriter(Writer):
    """VCF text, bgzipped and indexed on request, with the line ends that the input has."""

    def __init__(
        self,
        output: AtomicFile,
        header: list[bytes],
        annotator: Annotator,
        *,
        newline: bytes,
        compress: bool,
        contig_lengths: Iterable[int | None],
    ) -> None:
        """header: all lines of the output's header; contig_lengths: of the contigs it declares, for the index."""
        self._output, self._annotator, self._newline = output, annotator, newline
        self._contig_lengths = list(contig_lengths)
        self._bgzf = BgzfWriter(output.write) if compress else None
        self._put = self._bgzf.write if self._bgzf else output.write
        self._order = SortOrder()
        self._put(_text(header, newline))

    def write(self, chunk: RecordChunk, scores: AlleleScores) -> None:
        self._put(_text(self._annotator.lines(chunk, scores), self._newline))
        self._order.see(chunk.alleles)

    def close(self) -> None:
        try:
            if self._bgzf:
                self._bgzf.close()
            _commit(self._output, self._order, self._contig_lengths, preset="vcf" if self._bgzf else None)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        self._output.abort()


class BcfWriter(Writer):
    """BCF, encoded by htslib when all records are known, because whatever they use has to be declared before them.

    Until then the records wait, compressed, in an unnamed temporary file beside the output. htslib spells values its
    own way (QUAL to six digits, for one); no record is lost: their number is checked.
    """

    def __init__(
        self,
        output: AtomicFile,
        header: list[bytes],
        annotator: Annotator,
        *,
        kind: str,
        contig_lengths: Iterable[int | None],
    ) -> None:
        """kind: ``b`` compressed or ``u`` uncompressed; the rest as for VcfWriter."""
        self._output, self._annotator, self._header = output, annotator, _text(header, b"\n")
        self._contig_lengths = list(contig_lengths)
        self._kind = kind
        self._order = SortOrder()
        self._records = 0
        with output_errors(output.path):
            folder = None if output.direct else os.path.dirname(output.temporary)
            self._body = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._bgzf = BgzfWriter(self._put, level=1)

    def _put(self, block: bytes) -> None:
        with output_errors(self._output.path):
            self._body.write(block)

    def write(self, chunk: RecordChunk, scores: AlleleScores) -> None:
        self._bgzf.write(_text(self._annotator.lines(chunk, scores), b"\n"))
        self._order.see(chunk.alleles)
        self._records += len(chunk)

    def close(self) -> None:
        try:
            self._bgzf.close()
            written = write_bcf(self._header, self._read_body, self._kind, self._output.write)
            if written != self._records:
                raise OutputError(f"the BCF has {written} of {self._records} records", where=self._output.path)
            self._body.close()
            _commit(self._output, self._order, self._contig_lengths, preset="bcf")
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        with output_errors(self._output.path):
            self._body.close()
        self._output.abort()

    def _read_body(self) -> Iterator[bytes]:
        with output_errors(self._output.path):
            self._body.seek(0)
        return inflate(iter(lambda: self._body.read(_READ), b""), self._output.path, bgzf=True, error=OutputError)


def _text(lines: Iterable[bytes], newline: bytes) -> bytes:
    return b"".join([line + newline for line in lines])


def _commit(output: AtomicFile, order: SortOrder, lengths: list[int | None], *, preset: str | None) -> None:
    """Put the output in place, then its index. An older index goes first: it would point into the wrong file."""
    if output.direct or preset is None:
        output.commit()
        return
    index = build_index(output, order, lengths, preset=preset)
    try:
        remove_stale_indexes(output.path)
        output.commit()
        if index:
            index.commit()
    finally:
        if index:
            index.abort()
