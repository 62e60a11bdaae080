"""VCF, bgzipped VCF and BCF out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from varscore.annotate.writers.annotation import Annotator
from varscore.annotate.writers.scores import AlleleScores, Writer
from varscore.errors import OutputError
from varscore.formats.bcf import write_bcf
from varscore.formats.htsindex import IndexedFile, SortOrder
from varscore.formats.vcf import RecordChunk
from varscore.storage.atomic import AtomicFile, Spool
from varscore.storage.bgzf import LEVEL, inflate
from varscore.storage.blocktext import BlockText, joined
from varscore.storage.fields import count, mapping
from varscore.storage.resumable import FileOutput, removal
from varscore.storage.stages import Placement
from varscore.storage.textfacts import TextFacts


class VcfWriter(FileOutput, Writer):
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
        in_pieces: bool = False,
        carry: Mapping[str, object] | None = None,
    ) -> None:
        """header: all lines of the output's header; contig_lengths: of the contigs it declares, for the index.

        in_pieces, carry: see BlockText
        """
        self._annotator, self._newline = annotator, newline
        self._order = SortOrder(None if carry is None else mapping(carry["order"]))
        self._text = BlockText(
            output,
            joined(header, newline),
            level=LEVEL if compress else None,
            in_pieces=in_pieces,
            carry=None if carry is None else mapping(carry["text"]),
        )
        self._file: IndexedFile = IndexedFile(output, self._order, contig_lengths, "vcf" if compress else None)

    def write(self, chunk: RecordChunk, scores: AlleleScores) -> None:
        for block, text in self._annotator.texts(chunk, scores, self._newline):
            self._text.write(block, text)
        self._order.see(chunk.alleles)

    def mark(self) -> dict[str, object]:
        return {"text": self._text.mark(), "order": self._order.mark()}

    def facts(self) -> TextFacts:
        return TextFacts(self._text.pieces, self._order.is_sorted, self._order.reach)

    def settle(self) -> list[Placement]:
        self._text.finish()
        return self._file.settle()


class BcfWriter(Writer):
    """BCF, encoded by htslib when all records are known, because whatever they use has to be declared before them.

    Until then the records wait, compressed, in a spool. htslib spells values its own way (QUAL to six digits, for one);
    no record is lost: their number is checked.
    """

    def __init__(
        self,
        output: AtomicFile,
        header: list[bytes],
        annotator: Annotator,
        *,
        kind: str,
        contig_lengths: Iterable[int | None],
        carry: Mapping[str, object] | None = None,
    ) -> None:
        """kind: ``b`` compressed or ``u`` uncompressed; the rest as for VcfWriter."""
        self._output, self._annotator, self._header = output, annotator, joined(header)
        self._kind = kind
        self._order = SortOrder(None if carry is None else mapping(carry["order"]))
        self._records = 0 if carry is None else count(carry["records"])
        self._spool = Spool(output.path, keep=carry is not None)
        try:
            self._text = BlockText(self._spool, b"", level=1, carry=None if carry is None else mapping(carry["text"]))
        except BaseException:
            self._spool.suspend()
            raise
        self._file = IndexedFile(output, self._order, contig_lengths, "bcf")

    def write(self, chunk: RecordChunk, scores: AlleleScores) -> None:
        for block, text in self._annotator.texts(chunk, scores):
            self._text.write(block, text)
        self._order.see(chunk.alleles)
        self._records += len(chunk)

    def mark(self) -> dict[str, object]:
        return {"text": self._text.mark(), "order": self._order.mark(), "records": self._records}

    def settle(self) -> list[Placement]:
        self._text.finish()
        written = write_bcf(self._header, self._read_spool, self._kind, self._output.write)
        if written != self._records:
            raise OutputError(f"the BCF has {written} of {self._records} records", where=self._output.path)
        return [*self._file.settle(), *removal(self._spool)]

    def place(self) -> None:
        self._file.place()
        self._spool.abort()

    def suspend(self) -> None:
        self._file.suspend()
        self._spool.suspend()

    def abort(self) -> None:
        self._file.abort()
        self._spool.abort()

    def _read_spool(self) -> Iterator[bytes]:
        return inflate(self._spool.read_back(), self._output.path, bgzf=True, error=OutputError)
