"""gzip and BGZF as streams of bytes: decompression that notices damage, and BGZF written block by block."""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from varscore.errors import VariantFileError, VarscoreError

GZIP_MAGIC = b"\x1f\x8b"
# The empty block that ends every complete BGZF file (SAM specification, section 4.1.2).
EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
LEVEL = 5  # of compression: most of what 9 gains, at a third of its time
_BLOCK_TEXT = 0xFF00  # bytes of text in a block: even incompressible text then fits the 64 KiB a block may have
_BLOCK_HEADER = struct.Struct("<4s6xH2sHH")
_MOST_AT_ONCE = 4 << 20  # a gzip bomb is handed out in pieces of this size
_UNDER_WAY = 16  # blocks that wait for the thread that compresses them, at most
_AGAIN = "download or copy the file again"


def is_bgzf(head: bytes) -> bool:
    """Whether a file that begins with ``head`` (18 bytes or more) is gzip in blocks, as bgzip and BCF have it."""
    return len(head) >= 18 and head.startswith(GZIP_MAGIC) and bool(head[3] & 4) and head[12:14] == b"BC"


def missing_end(where: str, error: type[VarscoreError] = VariantFileError) -> VarscoreError:
    return error("the file is truncated", where=where, cause="its BGZF end-of-file block is missing", remedy=_AGAIN)


def inflate(
    compressed: Iterable[bytes], where: str, *, bgzf: bool, error: type[VarscoreError] = VariantFileError
) -> Iterator[bytes]:
    """The text of a gzip or BGZF stream, in non-empty pieces; every member's CRC and length are checked.

    Raises ``error`` when a member is damaged or cut short, or when a BGZF stream lacks its end-of-file block: then
    everything before the damage has been handed out already.
    """
    member = zlib.decompressobj(wbits=31)
    tail = b""
    for piece in compressed:
        tail = (tail + piece[-len(EOF_BLOCK) :])[-len(EOF_BLOCK) :]
        while piece:
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            try:
                text = member.decompress(piece, _MOST_AT_ONCE)
            except zlib.error as damage:
                detail = str(damage).partition(": ")[2] or str(damage)
                raise error("the compressed data are damaged", where=where, cause=detail, remedy=_AGAIN) from None
            if text:
                yield text
            piece = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise error("the file is truncated", where=where, cause="it ends inside a gzip member", remedy=_AGAIN)
    if bgzf and tail != EOF_BLOCK:
        raise missing_end(where, error)


class BgzfWriter:
    """Text in, BGZF blocks out through ``sink``; a thread compresses them while the caller makes more text.

    Blocks depend on the text and on where it is :meth:`cut`, not on how ``write`` was called.
    pending: text that an earlier writer had not put into a block yet
    """

    def __init__(self, sink: Callable[[bytes], None], *, level: int = LEVEL, pending: bytes = b"") -> None:
        self._sink, self._level = sink, level
        self._pending = bytearray(pending)
        self._thread = ThreadPoolExecutor(1, "bgzf")
        self._under_way: deque[Future[bytes]] = deque()

    @property
    def pending(self) -> bytes:
        """Text that waits for its block to be full."""
        return bytes(self._pending)

    def write(self, text: bytes) -> None:
        self._pending += text
        whole = len(self._pending) - len(self._pending) % _BLOCK_TEXT
        if whole:
            for start in range(0, whole, _BLOCK_TEXT):
                self._compress(self._pending[start : start + _BLOCK_TEXT])
            del self._pending[:whole]

    def cut(self) -> None:
        """End the block here."""
        if self._pending:
            self._compress(self._pending)
            self._pending = bytearray()

    def flush(self) -> None:
        """Hand every block that is full or cut to the sink."""
        while self._under_way:
            self._sink(self._under_way.popleft().result())

    def close(self) -> None:
        """Write what is left and the end-of-file block; the sink stays open."""
        self.cut()
        self.flush()
        self._sink(EOF_BLOCK)
        self._thread.shutdown()

    def _compress(self, text: bytearray) -> None:
        self._under_way.append(self._thread.submit(_block, text, self._level))
        if len(self._under_way) > _UNDER_WAY:
            self._sink(self._under_way.popleft().result())


def _block(text: bytearray, level: int) -> bytes:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(text) + deflate.flush()
    size = _BLOCK_HEADER.size + len(body) + 8
    head = _BLOCK_HEADER.pack(b"\x1f\x8b\x08\x04", 6, b"BC", 2, size - 1)
    return head + body + struct.pack("<II", zlib.crc32(text), len(text))
