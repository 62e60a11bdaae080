"""The index of a FASTA: found or made, checked against the file, and used to read bases.

Readers that trust a ``.fai`` give wrong bases without a word once the FASTA has changed. Here every record's header
and ends are compared with the file when it is opened, and every line end when bases are read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.errors import FastaError
from varscore.genome.cache import file_key, put_file, read_file
from varscore.genome.fasta.text import BgzfText, StaleIndex, Text, open_text, unreadable

_log = logging.getLogger(__name__)

_HEADER = re.compile(rb"(?P<before>\s*)>[ \t]*(?P<name>\S*)[^\n]*(?P<end>\n?)")
_LONGEST_GAP = 1 << 20  # header line and blank lines between two records
_NEWLINE, _RETURN, _SPACE, _GREATER = b"\n\r >"
_BLANKS = bytes(range(_SPACE + 1))


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a ``.fai``: where a contig's bases lie in the decompressed text.

    Every line but the last has ``line_bases`` bases in ``line_width`` bytes, line end included.
    """

    name: str
    length: int
    offset: int
    line_bases: int
    line_width: int

    def byte(self, position: int) -> int:
        """Offset, in the text, of the base at ``position``."""
        line, column = divmod(position, self.line_bases)
        return self.offset + line * self.line_width + column

    @property
    def end(self) -> int:
        """Offset of the byte after the last base."""
        return self.byte(self.length - 1) + 1 if self.length else self.offset


class Fasta:
    """A FASTA with a checked index. ``records``: contig name -> Record, in file order."""

    def __init__(self, path: Path, cache: Path) -> None:
        self._text = open_text(path)
        try:
            self.records = _find_index(self._text, cache)
        except OSError as error:
            self._text.close()
            raise unreadable(path, error) from None
        except BaseException:
            self._text.close()
            raise

    def bases(self, contig: str, start: int, end: int, codes: bytes) -> NDArray[np.uint8]:
        """Bases [start, end), inside the contig: uint8 (end - start,). codes: what each of the 256 bytes stands for"""
        return _bases(self._text, self.records[contig], start, end, codes)

    def save_index(self, place: Path) -> bool:
        """Write the checked index to ``place``.fai, for other readers; True: the FASTA is bgzipped, and ``place``.gzi
        is there too. Raises OSError."""
        _save(place, list(self.records.values()), self._text)
        return isinstance(self._text, BgzfText)

    def close(self) -> None:
        self._text.close()


def _bases(text: Text, record: Record, start: int, end: int, codes: bytes) -> NDArray[np.uint8]:
    first, last = record.byte(start), record.byte(end - 1) + 1
    try:
        raw = text.read(first, last)
    except OSError as error:
        raise unreadable(text.path, error) from None
    if len(raw) != last - first:
        raise StaleIndex(text.path, f"{record.name} ends too soon")
    letters = np.frombuffer(raw, np.uint8)
    lines = np.arange(start // record.line_bases + 1, (end - 1) // record.line_bases + 1) * record.line_width
    of_line_ends = np.arange(record.line_bases - record.line_width, 0) + record.offset - first
    line_ends = lines[:, None] + of_line_ends
    # Line ends where the index says, and nowhere else: no other bases can have been read than the ones asked for.
    blanks = np.count_nonzero(letters <= _SPACE)
    if blanks != line_ends.size or np.any(letters[line_ends] > _SPACE) or b">" in raw:
        raise StaleIndex(text.path, f"lines of {record.name} end elsewhere")
    return np.frombuffer(raw.translate(codes, _BLANKS), np.uint8)


def _find_index(text: Text, cache: Path) -> dict[str, Record]:
    """The index beside the FASTA, else the one in the cache, else a new one, kept in the first place that takes it."""
    places = [text.path, cache / "fasta" / file_key(text.path)]
    for place in places.copy():
        try:
            return _load(place, text)
        except StaleIndex as error:
            if place == text.path:
                places.remove(place)  # the user's file is not overwritten
                cause = "the file was changed or cut after it was indexed; an index in the cache is used instead"
                _log.warning("the index beside %s does not describe it (%s); %s", text.path, error.why, cause)
        except OSError:
            pass  # no index there
    _log.info("indexing %s", text.path)
    records = _build(text)
    try:
        _check(records, text)
    except StaleIndex as error:
        raise FastaError(
            f"not a regular FASTA ({error.why})",
            where=text.path,
            cause="it was cut or damaged",
            remedy="fetch it again",
        ) from None
    for place in places:
        try:
            _save(place, records, text)
            break
        except OSError as error:
            _log.info("cannot keep an index at %s.fai (%s)", place, error.strerror)
    return {record.name: record for record in records}


def _load(place: Path, text: Text) -> dict[str, Record]:
    """Read and check ``place``.fai (and .gzi); raises OSError when there is none, StaleIndex when it is wrong."""
    text_of_index = read_file(Path(f"{place}.fai")).decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    lines = text_of_index.removesuffix("\n").split("\n")
    if isinstance(text, BgzfText):
        text.use_blocks(read_file(Path(f"{place}.gzi")))
    try:
        records = [_parse(line) for line in lines]
    except ValueError:
        raise StaleIndex(text.path, "the .fai is damaged") from None
    records.sort(key=lambda record: record.offset)
    _check(records, text)
    return {record.name: record for record in records}


def _parse(line: str) -> Record:
    name, *numbers = line.split("\t")
    length, offset, line_bases, line_width = map(int, numbers)
    if min(length, offset) < 0 or (length and not 0 < line_bases <= line_width):
        raise ValueError(line)
    return Record(name, length, offset, line_bases, line_width)


def _save(place: Path, records: Sequence[Record], text: Text) -> None:
    """Write ``place``.fai (and .gzi, first: a .fai without it is no index). Raises OSError."""
    if isinstance(text, BgzfText):
        put_file(Path(f"{place}.gzi"), text.blocks())
    lines = (f"{r.name}\t{r.length}\t{r.offset}\t{r.line_bases}\t{r.line_width}\n" for r in records)
    put_file(Path(f"{place}.fai"), "".join(lines).encode("utf-8", "surrogateescape"))


def _check(records: Sequence[Record], text: Text) -> None:
    """Compare what the index says of the first and last line of every record with the text; raises StaleIndex."""
    position, line_start = 0, True
    for record in records:
        _check_header(record, position, line_start, text)
        position, line_start = record.end, not record.length
        if record.length and not text.read(position - 1, position) > b" ":
            raise StaleIndex(text.path, f"{record.name} has another length")
        for line in {1, (record.length - 1) // record.line_bases} - {0} if record.length > record.line_bases else ():
            _check_line_end(record, line * record.line_bases, text)
    if text.size < position or text.read(position, position + _LONGEST_GAP).strip():
        raise StaleIndex(text.path, "the last record ends elsewhere")


def _check_header(record: Record, position: int, line_start: bool, text: Text) -> None:
    """The record's header line, and nothing else, must stand between ``position`` and its first base."""
    gap = text.read(position, record.offset) if record.offset - position <= _LONGEST_GAP else b""
    header = _HEADER.fullmatch(gap)
    found = (
        header is not None
        and header["name"] == record.name.encode("utf-8", "surrogateescape")
        and (line_start or b"\n" in header["before"])
        and (header["end"] or record.offset == text.size)
    )
    if not found:
        raise StaleIndex(text.path, f"no header of {record.name} before byte {record.offset}")


def _check_line_end(record: Record, position: int, text: Text) -> None:
    """A line end, and nothing else, must stand between the bases before and at ``position``."""
    around = text.read(record.byte(position - 1), record.byte(position) + 1)
    if not (around[:1] > b" " and around[1:-1].endswith(b"\n") and not around[1:-1].strip() and around[-1:] > b" "):
        raise StaleIndex(text.path, f"lines of {record.name} end elsewhere")


class _Growing:
    """A record while its lines are being read."""

    def __init__(self, name: str, offset: int) -> None:
        self.name, self.offset = name, offset
        self.length = self.line_bases = self.line_width = 0
        self.ended = False  # a line shorter than the first has been seen

    def add(self, bases: NDArray[np.int64], widths: NDArray[np.int64]) -> bool:
        """Add lines (bases and bytes of each, int64); False when a line that is not the last is not like the first."""
        if not len(bases):
            return True
        if not self.line_width:
            self.line_bases, self.line_width = int(bases[0]), int(widths[0])
        full = (bases == self.line_bases) & (widths == self.line_width)
        regular = 0 if self.ended else len(full) if full.all() else int(full.argmin())
        last, after = (0, regular) if self.ended else (bases[regular : regular + 1].sum(), regular + 1)
        self.ended |= regular < len(full)
        self.length += int(bases.sum())
        return bool(last <= self.line_bases) and not bases[after:].any()

    def record(self) -> Record:
        return Record(self.name, self.length, self.offset, self.line_bases, self.line_width)


def _build(text: Text) -> list[Record]:
    """Index the whole text; raises FastaError when it is no FASTA, or its lines do not allow random access."""
    growing: dict[str, _Growing] = {}
    current = None
    for offset, piece in _whole_lines(text):
        data = np.frombuffer(piece, np.uint8)
        ends = np.flatnonzero(data == _NEWLINE)
        if data[-1] != _NEWLINE:
            ends = np.append(ends, len(data))
        starts = np.append(0, ends[:-1] + 1)
        widths = ends - starts + 1
        bases = widths - 1 - ((widths > 1) & (data[ends - 1] == _RETURN))
        headers = np.flatnonzero(data[starts] == _GREATER).tolist()
        for first, last in pairwise([-1, *headers, len(starts)]):
            if first >= 0:
                name = _name(piece[starts[first] : ends[first]])
                if name in growing:
                    raise FastaError(f"contig {name} stands twice in the FASTA", where=text.path, remedy="rename one")
                current = growing[name] = _Growing(name, offset + int(ends[first]) + 1)
            lines = slice(first + 1, last)
            if current is None:
                if bases[lines].any():
                    raise FastaError("not a FASTA", where=text.path, cause="it does not begin with '>'")
            elif not current.add(bases[lines], widths[lines]):
                cause = f"lines of {current.name} differ in length"
                raise FastaError("the FASTA cannot be indexed", where=text.path, cause=cause, remedy="wrap it evenly")
    if not growing:
        raise FastaError("the FASTA is empty", where=text.path)
    return [record.record() for record in growing.values()]


def _name(header: bytes) -> str:
    match = _HEADER.match(header)
    return match["name"].decode("utf-8", "surrogateescape") if match else ""


def _whole_lines(text: Text) -> Iterator[tuple[int, bytes]]:
    """The text in pieces that end where a line ends, each with its offset."""
    offset, held = 0, []
    for chunk in text.chunks():
        cut = chunk.rfind(b"\n") + 1
        held.append(chunk[:cut] if cut else chunk)
        if cut:
            piece = b"".join(held)
            yield offset, piece
            offset, held = offset + len(piece), [chunk[cut:]]
    rest = b"".join(held)
    if rest:
        yield offset, rest
