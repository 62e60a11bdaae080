"""FASTA as a stream of named sequences. Genomes are opened with :class:`varscore.genome.sequence.Genome` instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from varscore.errors import DataError
from varscore.formats.lines import Lines, read_blocks, source_name, without_mark

_DNA = b"ACGTNRYSWKMBDHVacgtnryswkmbdhv-.*"
_KNOWN = b"ACGTacgt"


@dataclass(frozen=True, slots=True)
class FastaRecord:
    """name: the header up to the first blank; sequence: letters as spelled, without line ends."""

    name: str
    sequence: bytes


@dataclass
class Fitted:
    """Counts sequences that are not as long as the window, and those that are mostly no known base."""

    window: int
    padded: int = 0
    cut: int = 0
    unknown: int = 0

    def count(self, records: Iterable[FastaRecord]) -> Iterator[FastaRecord]:
        for record in records:
            self.padded += len(record.sequence) < self.window
            self.cut += len(record.sequence) > self.window
            self.unknown += 2 * len(record.sequence.translate(None, _KNOWN)) > len(record.sequence)
            yield record


def looks_like_fasta(path: str) -> bool:
    """Whether the file's first letter is ``>``. Raises DataError for a file that is missing, damaged or empty."""
    for number, block in enumerate(read_blocks(path, DataError)):
        text = (block if number else without_mark(block, path, DataError)).lstrip()
        if text:
            return text.startswith(b">")
    raise DataError("the file is empty", where=path)


def read_fasta(path: str) -> Iterator[FastaRecord]:
    """The records of a FASTA (plain, gzip or bgzip; ``-`` is stdin), one in memory at a time.

    Raises DataError for what is not a FASTA, for a record without a sequence, and for letters that are not DNA.
    """
    where = source_name(path)
    header: bytes | None = None
    pieces: list[bytes] = []
    for group in Lines(read_blocks(path, DataError), where, DataError):
        for line in group:
            if line.startswith(b">"):
                if header is not None:
                    yield _record(header, pieces, where)
                header, pieces = line[1:], []
            elif line.strip():
                if header is None:
                    raise DataError("not a FASTA", where=where, cause="it does not begin with '>'")
                pieces += line.split()
    if header is None:
        raise DataError("the file is empty", where=where)
    yield _record(header, pieces, where)


def _record(header: bytes, pieces: list[bytes], where: str) -> FastaRecord:
    name = header.decode("utf-8", "replace").strip().partition(" ")[0].partition("\t")[0] or "."
    sequence = b"".join(pieces)
    demand_dna(sequence, f"{where} record {name}")
    return FastaRecord(name, sequence)


def demand_dna(sequence: bytes, where: str) -> None:
    """Raises DataError for letters that are not DNA, and for none at all."""
    if not sequence:
        raise DataError("a record without a sequence", where=where)
    if strange := sequence.translate(None, _DNA):
        letter = strange[:1].decode("latin-1")
        raise DataError(f"{letter!r} is no letter of DNA", where=where, cause="RNA, protein or a damaged file?")
