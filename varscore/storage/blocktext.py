"""Text whose compressed blocks end where a block of records does, so that files can be put together from shards."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from zlib import crc32

from varscore.storage.atomic import AtomicFile, Mark, PartialFile
from varscore.storage.bgzf import BgzfWriter
from varscore.storage.fields import entries, text
from varscore.storage.resumable import FileOutput, Resumable
from varscore.storage.stages import Placement
from varscore.storage.textfacts import HEAD, Stretch, TextFacts, stretch


class BlockText:
    """Writes a header and then records, plain or as BGZF, which is cut between blocks of records.

    level: of compression, None for plain text; in_pieces: whether to note where each block of records stands
    carry: an earlier :meth:`mark` to carry on from; then the header is there already
    Raises OutputError, and DamagedPartial when ``carry`` does not fit what is in the file.
    """

    def __init__(
        self,
        file: PartialFile,
        header: bytes,
        *,
        level: int | None,
        in_pieces: bool = False,
        carry: Mapping[str, object] | None = None,
    ) -> None:
        self.file, self._in_pieces = file, in_pieces
        self._block, self._length, self._crc = HEAD, 0, 0
        self.pieces: list[Stretch] = []
        """Of the header and of every block of records that is complete"""
        pending = b""
        if carry is not None:
            file.carry_on(Mark.parse(carry["file"]))
            self._block, self._length, self._crc = stretch(carry["piece"])
            self.pieces = [stretch(piece) for piece in entries(carry["pieces"])]
            pending = b64decode(text(carry["pending"]))
        self._bgzf = None if level is None else BgzfWriter(self._put, level=level, pending=pending)
        if carry is None:
            self.write(HEAD, header)

    def write(self, block: int, text: bytes) -> None:
        """Append text of a block of records; blocks come in ascending order."""
        if block != self._block:
            self._cut()
            self._block = block
        if self._bgzf:
            self._bgzf.write(text)
        else:
            self._put(text)

    def finish(self) -> None:
        """End the last block and the file; the file stays open."""
        self._cut()
        if self._bgzf:
            self._bgzf.close()

    def mark(self) -> dict[str, object]:
        """Flush to disk; what the next one carries on from."""
        if self._bgzf:
            self._bgzf.flush()
        mark = self.file.mark()
        pending = b64encode(self._bgzf.pending).decode() if self._bgzf else ""
        piece = [self._block, self._length, self._crc]
        return {"file": mark.fields(), "piece": piece, "pieces": self.pieces, "pending": pending}

    def _cut(self) -> None:
        if self._bgzf:
            self._bgzf.cut()
        if not self._in_pieces:
            return
        if self._bgzf:
            self._bgzf.flush()
        if self._length:
            self.pieces.append((self._block, self._length, self._crc))
        self._length = self._crc = 0

    def _put(self, data: bytes) -> None:
        self.file.write(data)
        self._length, self._crc = self._length + len(data), crc32(data, self._crc)


class BlockTextOutput(FileOutput, Resumable):
    """An output that is one BlockText and nothing else: ``_text``, in ``_file``."""

    _text: BlockText
    _file: AtomicFile

    def mark(self) -> dict[str, object]:
        return self._text.mark()

    def facts(self) -> TextFacts:
        return TextFacts(self._text.pieces)

    def settle(self) -> list[Placement]:
        self._text.finish()
        return self._file.settle()


def joined(lines: Iterable[bytes], newline: bytes = b"\n") -> bytes:
    return b"".join([line + newline for line in lines])
