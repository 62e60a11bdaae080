"""The text of a FASTA file, plain or bgzipped, addressed by its (decompressed) offset.

Reads are positioned (``pread``), so a text may be shared by threads and used after a fork.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from varscore.errors import FastaError, reason

_CHUNK = 1 << 22
_HEADER = 18  # bytes of a BGZF block's header; its last two are the block's size - 1
_EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
SOURCE = (
    "check the path; UCSC has a FASTA of every assembly, https://hgdownload.soe.ucsc.edu/goldenPath/hg19/bigZips/"
    "hg19.fa.gz (GRCh37), and hg38 (GRCh38), hs1 (T2T-CHM13v2), mm10, mm39 in its place; gunzip it"
)
"""Where those who have none get one"""


class StaleIndex(FastaError):
    """An index that does not describe the file it lies beside."""

    def __init__(self, path: Path, why: str) -> None:
        self.why = why
        super().__init__(
            f"the index does not describe the FASTA ({why})",
            where=path,
            cause="the file was changed after it was indexed",
            remedy="delete its .fai and .gzi and run again",
        )


def unreadable(path: Path, error: OSError) -> FastaError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return FastaError("there is no such FASTA", where=path, remedy=SOURCE)
    return FastaError("cannot read the FASTA", where=path, cause=reason(error))


def open_text(path: Path) -> Text:
    """Open a FASTA; raises FastaError, in one line, when it is missing, empty or no plain or bgzipped FASTA."""
    try:
        if not stat.S_ISREG(mode := path.stat().st_mode):
            what = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
            remedy = "give the path of a .fa or bgzipped .fa.gz"
            raise FastaError(f"the FASTA is {what}, where a file is expected", where=path, remedy=remedy)
        file = open(path, "rb")  # noqa: SIM115 (the text owns it)
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        return _text_of(file, path)
    except OSError as error:
        file.close()
        raise unreadable(path, error) from None
    except BaseException:
        file.close()
        raise


def _text_of(file: BinaryIO, path: Path) -> Text:
    head = os.pread(file.fileno(), 1 << 16, 0)
    if head.startswith(b"\x1f\x8b"):
        if _block_size(head[:_HEADER]) == 0:
            remedy = "decompress it with gunzip, or compress it again with bgzip"
            raise FastaError("the FASTA is gzipped", where=path, cause="only bgzip allows random access", remedy=remedy)
        return BgzfText(file, path)
    if not head.strip():
        raise FastaError("the FASTA is empty", where=path)
    if head.startswith(b"\xef\xbb\xbf"):
        remedy = "save it without"
        raise FastaError("the FASTA begins with a byte order mark", where=path, remedy=remedy)
    if not head.lstrip().startswith(b">"):
        raise FastaError("not a FASTA", where=path, cause="it does not begin with '>'", remedy="check the path")
    return PlainText(file, path)


class PlainText:
    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self.path = file, path
        self.size = os.fstat(file.fileno()).st_size

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end), fewer where the text ends sooner."""
        return os.pread(self._file.fileno(), end - start, start)

    def chunks(self) -> Iterator[bytes]:
        """The whole text from its beginning."""
        for start in range(0, self.size, _CHUNK):
            yield self.read(start, start + _CHUNK)

    def close(self) -> None:
        self._file.close()


class BgzfText:
    """A bgzipped text. ``use_blocks`` (a ``.gzi`` file's bytes) or one pass of ``chunks`` must come before ``read``."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self.path = file, path
        self._file_size = os.fstat(file.fileno()).st_size
        if self._pread(self._file_size - len(_EOF_BLOCK), len(_EOF_BLOCK)) != _EOF_BLOCK:
            raise FastaError(
                "the bgzipped FASTA has no end-of-file block",
                where=path,
                cause="it is truncated",
                remedy="fetch it again",
            )
        self._set_blocks(np.zeros((1, 2), np.int64))

    def _set_blocks(self, blocks: NDArray[np.int64]) -> None:
        """blocks: int64 (n + 1, 2), compressed and decompressed offset of every block and of the end."""
        self._blocks = blocks
        self._last_block = (-1, b"")
        self.size = int(blocks[-1, 1])

    def use_blocks(self, gzi: bytes) -> None:
        """Take block offsets from a ``.gzi`` file; raises StaleIndex when they cannot be this file's."""
        if len(gzi) < 8 or len(gzi) != 8 + 16 * struct.unpack_from("<Q", gzi)[0]:
            raise StaleIndex(self.path, "the .gzi is damaged")
        listed = np.frombuffer(gzi, "<i8", offset=8).reshape(-1, 2)
        blocks = np.concatenate([np.zeros((1, 2), np.int64), listed])
        compressed, decompressed = int(blocks[-1, 0]), int(blocks[-1, 1])
        # The list may or may not include the end-of-file block: walk the last few blocks, and meet the file's end.
        tail: list[tuple[int, int]] = []
        while compressed < self._file_size and len(tail) < 4:
            size = _block_size(self._pread(compressed, _HEADER))
            decompressed += int.from_bytes(self._pread(compressed + size - 4, 4), "little")
            compressed += size
            tail.append((compressed, decompressed))
            if size == 0:
                break
        blocks = np.concatenate([blocks, np.array(tail, np.int64).reshape(-1, 2)])
        steps = np.diff(blocks, axis=0)
        if compressed != self._file_size or np.any(steps[:, 0] <= 0) or np.any(steps[:, 1] < 0):
            raise StaleIndex(self.path, "the .gzi lists other blocks")
        self._set_blocks(blocks)

    def blocks(self) -> bytes:
        """The block offsets as a ``.gzi`` file's bytes."""
        listed = self._blocks[1:-1]
        return struct.pack("<Q", len(listed)) + listed.astype("<i8").tobytes()

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end), fewer where the text ends sooner."""
        end = min(end, self.size)
        if start >= end:
            return b""
        offsets = self._blocks[:, 1]
        first = int(np.searchsorted(offsets, start, side="right")) - 1
        last = int(np.searchsorted(offsets, end, side="left"))
        text = b"".join([self._block(index) for index in range(first, last)])
        return text[start - int(offsets[first]) : end - int(offsets[first])]

    def chunks(self) -> Iterator[bytes]:
        """The whole text from its beginning; learns the block offsets on the way."""
        blocks, held = [(0, 0)], []
        while blocks[-1][0] < self._file_size:
            compressed, decompressed = blocks[-1]
            size = _block_size(self._pread(compressed, _HEADER))
            text = self._inflate(compressed, size)
            blocks.append((compressed + size, decompressed + len(text)))
            held.append(text)
            if len(held) == 64:
                yield b"".join(held)
                held.clear()
        self._set_blocks(np.array(blocks, np.int64))
        yield b"".join(held)

    def close(self) -> None:
        self._file.close()

    def _pread(self, start: int, count: int) -> bytes:
        return os.pread(self._file.fileno(), count, max(start, 0))

    def _block(self, index: int) -> bytes:
        """One block's text. Neighbouring reads share a block, so the last one is kept."""
        held, text = self._last_block
        if held == index:
            return text
        compressed, size = int(self._blocks[index, 0]), int(self._blocks[index + 1, 0] - self._blocks[index, 0])
        if _block_size(self._pread(compressed, _HEADER)) != size:
            raise StaleIndex(self.path, f"no block of {size} bytes at byte {compressed}")
        text = self._inflate(compressed, size)
        if len(text) != self._blocks[index + 1, 1] - self._blocks[index, 1]:
            raise StaleIndex(self.path, f"the block at byte {compressed} has another length")
        self._last_block = index, text
        return text

    def _inflate(self, compressed: int, size: int) -> bytes:
        try:
            return zlib.decompress(self._pread(compressed, size), wbits=31)
        except zlib.error:
            raise FastaError(
                f"damaged BGZF block at byte {compressed}", where=self.path, remedy="fetch the file again"
            ) from None


Text = PlainText | BgzfText


def _block_size(header: bytes) -> int:
    """Size in bytes of the BGZF block that begins with ``header``; 0 when no such block begins there."""
    if len(header) < _HEADER or header[:4] != b"\x1f\x8b\x08\x04" or header[10:16] != b"\x06\x00BC\x02\x00":
        return 0
    return int.from_bytes(header[16:18], "little") + 1
