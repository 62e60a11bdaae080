"""VCF and BCF in: chunks of records whose bytes stay as they were.

VCF text is split at its tabs and nothing more, so that what goes out again is what came in; htslib reads BCF only.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from varscore.errors import VariantFileError
from varscore.formats import bcf
from varscore.formats.fields import DIGITS, Field, Fields
from varscore.formats.lines import Lines, read_blocks, source_name, why_columns
from varscore.formats.lookalikes import describe
from varscore.formats.structural import affected_bases
from varscore.formats.vcf_header import FIRST_LINE, VcfHeader, decode
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.coords import zero_based

CHUNK_BYTES = 64 << 20  # a chunk ends here even when it has few records: lines can have 100,000 samples
_CHROM, _POS, _ID, _REF, _ALT, _QUAL, _FILTER, _INFO = range(8)
_COMMA_IN_KEY = re.compile(rb";[^=;,]*,")  # in INFO; htslib cannot declare such a name, nor a FILTER with a comma
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordChunk:
    """Consecutive records of a file.

    numbers: int64 (n,) each record's number in the file, from 0
    lines: the records without line ends, as they stand in the file
    ids, infos: their ID and INFO columns
    info_ends: int64 (n,) where the INFO column ends in each line
    rows: int64 (n + 1,) record i has the rows rows[i]:rows[i + 1] of ``alleles``, at least one
    alleles: one row per ALT allele
    """

    numbers: NDArray[np.int64]
    lines: list[bytes]
    ids: Field
    infos: Field
    info_ends: NDArray[np.int64]
    rows: NDArray[np.int64]
    alleles: AlleleBatch

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def first(self) -> int:
        """Number of the first record."""
        return int(self.numbers[0])

    def select(self, keep: NDArray[np.bool_]) -> RecordChunk:
        """The records for which ``keep`` (bool, n records) holds."""
        if keep.all():
            return self
        records = np.flatnonzero(keep)
        chosen = np.flatnonzero(keep[self.alleles.record])
        counts = np.diff(self.rows)[records]
        return RecordChunk(
            numbers=self.numbers[records],
            lines=[self.lines[i] for i in records.tolist()],
            ids=self.ids.take(records),
            infos=self.infos.take(records),
            info_ends=self.info_ends[records],
            rows=_offsets(counts),
            alleles=self.alleles.take(chosen, np.repeat(np.arange(len(records)), counts)),
        )


class VariantReader:
    """A VCF (plain, bgzipped, gzipped) or BCF, told apart by content; ``-`` is stdin. Read once, from front to back.

    header: VcfHeader; quiet: nothing is warned of, since somebody else reads the same file; name: what messages call it
    Raises VariantFileError, with file and line, for anything that is wrong in the file, when it is come upon.
    Empty lines are not records: at the end they are ignored, between records they are skipped with one warning.
    """

    def __init__(self, path: str, *, quiet: bool = False, name: str | None = None) -> None:
        self.where = name or source_name(path)
        self._quiet = quiet
        self._blocks = read_blocks(path)
        head, blocks = _peek(self._blocks)
        self._is_bcf = head.startswith(bcf.MAGIC)
        if not self._is_bcf and not head.startswith(FIRST_LINE):
            raise _not_a_vcf(head, self.where)
        self._text = Lines(bcf.read_bcf(blocks, self.where) if self._is_bcf else blocks, self.where)
        self._groups = iter(self._text)
        self._header_lines = 0
        self._first_records: list[bytes] = []
        self.header = self._read_header()
        self.records = 0
        """Records read so far, those left out included"""
        self._blanks: list[tuple[int, int]] = []  # (number of the record that follows, how many empty lines)
        self._contigs: dict[bytes, int] = {}
        self._contig_names: tuple[str, ...] = ()

    def __enter__(self) -> VariantReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; only needed when it was not read to its end."""
        self._groups.close()
        if not self._is_bcf:  # there another thread reads the blocks, until it notices that nobody listens
            self._blocks.close()

    def first_contigs(self, records: int) -> tuple[str, ...]:
        """Contigs of the first ``records`` records, in their order. To be called before :meth:`chunks`."""
        while sum(map(bool, self._first_records)) < records:
            group = next(self._groups, None)
            if group is None:
                break
            self._first_records += group
        lines = [line for line in self._first_records if line][:records]
        return tuple(dict.fromkeys(decode(line.partition(b"\t")[0]) for line in lines))

    def chunks(self, size: int = 4096, wanted: Callable[[int], bool] | None = None) -> Iterator[RecordChunk]:
        """All records, ``size`` at a time (fewer where their lines are very long).

        wanted: says of a record's number whether it is to be read; the others are passed over without a look at more
        than their contig.
        """
        lines: list[bytes] = []
        numbers: list[int] = []
        room = CHUNK_BYTES
        for first, group in self._record_groups():
            some, chosen = self._choose(first, group, wanted) if wanted else (range(first, first + len(group)), group)
            numbers += some
            lines += chosen
            room -= sum(map(len, chosen))
            while len(lines) >= size or room <= 0:
                end = size if room > 0 else min(size, int(np.searchsorted(_ends(lines), CHUNK_BYTES)) + 1)
                yield self._chunk(numbers[:end], lines[:end])
                del numbers[:end], lines[:end]
                room = CHUNK_BYTES - sum(map(len, lines))
        if lines:
            yield self._chunk(numbers, lines)

    def _choose(self, first: int, group: list[bytes], wanted: Callable[[int], bool]) -> tuple[list[int], list[bytes]]:
        """Number and line of the wanted records of a group whose first is number ``first``."""
        numbers = [number for number in range(first, first + len(group)) if wanted(number)]
        if len(numbers) < len(group):
            for number, line in enumerate(group, first):
                if not wanted(number):
                    self._note_contig(line)
        return numbers, [group[number - first] for number in numbers]

    @property
    def contigs(self) -> tuple[str, ...]:
        """Names of the contigs of all records read so far, those left out included."""
        return self._contig_names

    def _read_header(self) -> VcfHeader:
        found: list[bytes] = []
        for group in self._groups:
            for index, line in enumerate(group):
                self._header_lines += 1
                if line.startswith(b"##"):
                    found.append(line)
                elif line.startswith(b"#"):
                    self._first_records = group[index + 1 :]
                    return self._parse_header(found, line)
                elif line:  # an empty line is skipped, as htslib does
                    raise VariantFileError(
                        "no #CHROM line before the first record", where=self._line(self._header_lines)
                    )
        raise VariantFileError(
            "no #CHROM line", where=self.where, cause="the file ends inside its header", remedy="get it again"
        )

    def _parse_header(self, lines: list[bytes], columns: bytes) -> VcfHeader:
        try:
            return VcfHeader.parse(lines, columns, self._text.newline)
        except ValueError as error:
            raise VariantFileError(str(error), where=self._line(self._header_lines)) from None

    def _record_groups(self) -> Iterator[tuple[int, list[bytes]]]:
        """The lines of records, as they arrive, and the number of the first of them."""
        blank = 0
        for group in chain([self._first_records], self._groups):
            first, lines = self.records, group
            if blank or not all(group):
                lines = []
                for line in group:
                    if not line:
                        blank += 1
                        continue
                    if blank:
                        self._skip_blank(first + len(lines), blank)
                        blank = 0
                    lines.append(line)
            self.records += len(lines)
            yield first, lines

    def _skip_blank(self, number: int, blank: int) -> None:
        if not self._blanks and not self._quiet:
            fields = {"file": self.where, "before_record": number + 1}
            log.warning("empty lines between records are skipped", extra={"fields": fields})
        self._blanks.append((number, blank))

    def _chunk(self, numbers: list[int], lines: list[bytes]) -> RecordChunk:
        fields = Fields.of(lines, self.header.n_columns, _INFO + 1)
        positions = None if fields is None else fields[_POS].numbers()
        if fields is None or positions is None or not _is_regular(fields):
            raise self._bad_record(numbers, lines)
        ref, _ = fields[_REF].split(b"\t")
        alt, counts = fields[_ALT].split(b",")
        if alt.lengths.min() == 0:
            raise self._bad_record(numbers, lines)
        record = np.repeat(np.arange(len(lines)), counts)
        return RecordChunk(
            numbers=np.array(numbers, np.int64),
            lines=lines,
            ids=fields[_ID],
            infos=fields[_INFO],
            info_ends=fields.ends,
            rows=_offsets(counts),
            alleles=AlleleBatch(
                record=record,
                contig=self._contig_indices(fields[_CHROM])[record],
                contigs=self._contig_names,
                start=zero_based(positions)[record],
                ref=ref if len(record) == len(lines) else ref.take(record),
                alt=alt,
                affected=_affected(alt, positions, fields),
            ),
        )

    def _note_contig(self, line: bytes) -> None:
        self._contig_index(line[: line.find(b"\t")])

    def _contig_index(self, name: bytes) -> int:
        if name not in self._contigs:
            self._contigs[name] = len(self._contigs)
            self._contig_names += (decode(name),)
        return self._contigs[name]

    def _contig_indices(self, names: Field) -> NDArray[np.int32]:
        """int32 (n,)"""
        is_other = names.is_other
        indices = np.array([self._contig_index(name) for name in names.take(is_other)], np.int32)
        return np.asarray(indices[np.cumsum(is_other) - 1])

    def _bad_record(self, numbers: list[int], lines: list[bytes]) -> VariantFileError:
        """The error for the first bad one of ``lines``; looked for only once it is known that there is one."""
        required = self.header.n_columns
        for number, line in zip(numbers, lines, strict=True):
            if problem := _problem(line, required):
                skipped = sum(blank for before, blank in self._blanks if before <= number)
                where = self._line(self._header_lines + number + 1 + skipped)
                where = f"{self.where} record {number + 1}" if self._is_bcf else where
                return VariantFileError(problem, where=where, cause=why_columns(line.count(b"\t") + 1, required))
        raise AssertionError("no record is bad")

    def _line(self, number: int) -> str:
        return f"{self.where} line {number}"


def _peek(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first 64 bytes or more, and all the blocks."""
    seen: list[bytes] = []
    for block in blocks:
        seen.append(block)
        if sum(map(len, seen)) >= 64:
            break
    return b"".join(seen), chain(seen, blocks)


def _not_a_vcf(head: bytes, where: str) -> VariantFileError:
    if not head:
        return VariantFileError("the file is empty", where=where, remedy="check the command that made it")
    cause, remedy = describe(head[:1024])
    return VariantFileError("not a VCF or BCF", where=where, cause=cause, remedy=remedy)


def _problem(line: bytes, required: int) -> str | None:
    fields = line.split(b"\t")
    if line.startswith(b"#"):
        return "a header line among the records (files joined with cat? use bcftools concat)"
    if len(fields) != required:
        return f"{len(fields)} columns instead of {required}, separated by tabs"
    chrom, pos, _, ref, alt = fields[:5]
    if not pos.isdigit() or len(pos) > DIGITS:
        return f"POS is not a position: {decode(pos[:40])!r}"
    if not chrom or not ref or not all(alt.split(b",")):
        return "CHROM, REF or an ALT allele is empty"
    if b"," in chrom:
        return f"CHROM is not a name: {decode(chrom[:40])!r}"
    if b"," in fields[6]:
        return f"a comma in FILTER, whose names are separated by semicolons: {decode(fields[6][:40])!r}"
    if found := _COMMA_IN_KEY.search(b";" + fields[7]):
        return f"a comma in the name of an INFO entry: {decode(found[0][1:41])!r}"
    return None


def _is_regular(fields: Fields) -> bool:
    """Whether no record is bad, as far as its columns tell without ALT being split; see :func:`_problem`."""
    first = fields[_CHROM].first
    if ((first == ord("\t")) | (first == ord("#"))).any() or (fields[_REF].lengths == 0).any():
        return False
    records, columns = fields.places(b",")
    if ((columns == _CHROM) | (columns == _FILTER)).any():
        return False
    infos = fields[_INFO].take(np.unique(records[columns == _INFO]))
    return _COMMA_IN_KEY.search(b";" + b";".join(infos)) is None


def _affected(alt: ByteColumn, positions: NDArray[np.int64], fields: Fields) -> NDArray[np.int64] | None:
    """int64 (alleles,): what structural alleles affect; None when there is none."""
    if not (alt.data == ord("<")).any():
        return None
    found: list[int] = []
    for alts, pos, info in zip(fields[_ALT], positions.tolist(), fields[_INFO], strict=True):
        every = alts.split(b",")
        found += affected_bases(every, pos, info) if b"<" in alts else [0] * len(every)
    return np.array(found, np.int64)


def _ends(lines: list[bytes]) -> NDArray[np.int64]:
    """int64 (n,): bytes of each line and those before it."""
    return np.cumsum(list(map(len, lines)))


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)])
