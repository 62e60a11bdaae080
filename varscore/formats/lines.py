"""Text files as groups of lines, whatever they are compressed with and wherever the stream breaks off."""

from __future__ import annotations

import codecs
import csv
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from itertools import chain

from varscore.errors import DataError, VariantFileError, VarscoreError, reason
from varscore.formats.lookalikes import describe_name
from varscore.storage.bgzf import EOF_BLOCK, GZIP_MAGIC, inflate, is_bgzf, missing_end

MAX_LINE = 256 << 20  # bytes
_READ = 256 << 10


def source_name(path: str) -> str:
    """``path`` as messages show it."""
    return "standard input" if path == "-" else path


def read_blocks(path: str, error: type[VarscoreError] = VariantFileError) -> Generator[bytes, None, None]:
    """The decompressed contents of ``path`` (``-``: stdin) in non-empty pieces; plain, gzip or BGZF by content.

    Raises ``error`` when the file cannot be read or is damaged. A BGZF file without its end-of-file block is refused
    before the first piece where the file can be looked at from its end, else after the last.
    """
    where = source_name(path)
    raw = _read_raw(path, error)
    head = next(raw, b"")
    whole = chain([head], raw) if head else raw
    if not head.startswith(GZIP_MAGIC):
        yield from whole
        return
    bgzf = is_bgzf(head)
    if bgzf and path != "-" and os.path.isfile(path) and not _ends_with_eof_block(path):
        raise missing_end(where, error)
    yield from inflate(whole, where, bgzf=bgzf, error=error)


def _read_raw(path: str, error: type[VarscoreError]) -> Iterator[bytes]:
    if path == "-" and sys.stdin is None:
        raise error("standard input is closed", remedy="give a file, or a pipe to read from")
    try:
        file = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115
        try:
            while piece := file.read(_READ):
                yield piece
        finally:
            if path != "-":
                file.close()
    except FileNotFoundError:
        cause, remedy = describe_name(path) or (None, "check the path")
        raise error("no such file", where=path, cause=cause, remedy=remedy) from None
    except OSError as problem:
        raise error("cannot read", where=source_name(path), cause=reason(problem)) from None


def _ends_with_eof_block(path: str) -> bool:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(EOF_BLOCK)))
        return file.read() == EOF_BLOCK


def without_mark(text: bytes, where: str, error: type[VarscoreError] = VariantFileError) -> bytes:
    """The beginning of a file without the byte order mark of UTF-8. Raises ``error`` for UTF-16."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise error("the file is UTF-16", where=where, remedy="save it as UTF-8")
    return text.removeprefix(codecs.BOM_UTF8)


def demand_columns(found: int, wanted: int, where: str) -> None:
    """Raises DataError for a line of a table that has other columns than the first: where a line end was lost, a line
    would vanish in the one before."""
    if found != wanted:
        what = f"{found} columns where the first line has {wanted}"
        raise DataError(what, where=where, cause=why_columns(found, wanted))


def why_columns(found: int, wanted: int) -> str | None:
    """The likely cause of another number of columns than a line should have; None when it has them."""
    if found == wanted:
        return None
    if found == 2 * wanted - 1 > 1:  # the last column of one line and the first of the next are one
        return "a line end was lost: two lines in one"
    return "a delimiter too many, or a name missing in the header" if found > wanted else "the line was cut or split"


def text_lines(text: str) -> list[str]:
    """Lines without their ends (LF, CRLF or CR). ``str.splitlines`` also ends one at what is a letter or a dot of other
    encodings."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def table_rows(lines: Iterable[str], delimiter: str, where: str, number: int = 1) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, each with the number of its last line; in quotes a cell may go on behind a line's end.

    number: of the first line in its file
    Raises DataError where that would swallow lines: for a quotation mark that is not closed.
    """
    held: list[str] = []

    def read() -> Iterator[str]:
        for line in lines:
            held.append(line if line.endswith("\n") else line + "\n")
            yield held[-1]

    rows, width = csv.reader(read(), delimiter=delimiter), 0
    try:
        for row in rows:
            width = width or len(row)
            last = number + rows.line_num - 1
            if len(held) > 1 and _swallows(held, delimiter, width):
                first = last - len(held) + 1
                cause = f"it goes on to line {last}"
                raise DataError("a quotation mark that is not closed", where=f"{where} line {first}", cause=cause)
            held.clear()
            yield last, row
    except csv.Error as error:
        raise DataError("not a table", where=where, cause=str(error)) from None


def _swallows(lines: list[str], delimiter: str, width: int) -> bool:
    """Whether lines that quotes make one row are more: one has as many cells as a row, or no quote closes the last."""
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return True
    return any(len(next(csv.reader([line], delimiter=delimiter), [])) == width for line in lines[1:-1])


class Lines:
    """Lines without their ends (LF or CRLF), in groups as they arrive.

    newline: how the first line ended, LF or CRLF; known from the first group on. Files that mix both are read as well.
    A byte order mark is no part of the first line.
    Raises ``error`` at a NUL byte and at a line longer than MAX_LINE bytes.
    """

    def __init__(self, blocks: Iterator[bytes], where: str, error: type[VarscoreError] = VariantFileError) -> None:
        self._blocks, self._where, self._error = blocks, where, error
        self._count = 0
        self.newline = b"\n"

    def __iter__(self) -> Generator[list[bytes], None, None]:
        held: list[bytes] = []  # pieces of a line whose end has not come yet
        size = 0
        for block in self._blocks:
            end = block.rfind(b"\n")
            if end >= 0:
                yield self._split(b"".join([*held, block[:end]]))
                held, size, block = [], 0, block[end + 1 :]
            held.append(block)
            size += len(block)
            if size > MAX_LINE:
                raise self._error(
                    f"a line longer than {MAX_LINE >> 20} MiB",
                    where=f"{self._where} line {self._count + 1}",
                    cause="the file is damaged or not text",
                )
        if size:
            yield self._split(b"".join(held))

    def _split(self, text: bytes) -> list[bytes]:
        if self._count == 0:
            text = without_mark(text, self._where, self._error)
        if b"\r" in text:
            if self._count == 0 and text.partition(b"\n")[0].endswith(b"\r"):
                self.newline = b"\r\n"
            text = text.replace(b"\r\n", b"\n").removesuffix(b"\r")
        lines = text.split(b"\n")
        if b"\0" in text:
            number = self._count + 1 + next(i for i, line in enumerate(lines) if b"\0" in line)
            raise self._error(
                "a NUL byte in the text", where=f"{self._where} line {number}", cause="the file is damaged or not text"
            )
        self._count += len(lines)
        return lines
