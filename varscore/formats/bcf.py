"""BCF to VCF text and back, the only place where htslib spells records.

Both directions are ``bcftools view`` in a child process, fed through a pipe by our own reader, which notices damage
that htslib lets pass: a BGZF file without its last block. pysam's own reader and writer would decode text strictly and
rewrite INFO/END; and htslib calls exit() at times, which a child survives for us.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain
from pathlib import Path

from varscore.cpus import is_stopped
from varscore.errors import OutputError, VariantFileError
from varscore.storage.bgzf import inflate

MAGIC = b"BCF\x02"
_PIECE = 256 << 10
LOOK_SECONDS = 5.0
"""Between two looks at a child that gives no answer"""
_CHILD = Path(__file__).with_name("bcf_child.py")


class _Feeder(threading.Thread):
    """Writes ``blocks`` into a pipe. Whatever goes wrong in ``blocks`` is kept for :meth:`finish`."""

    def __init__(self, blocks: Iterable[bytes], descriptor: int) -> None:
        super().__init__(daemon=True)
        self._blocks, self._descriptor = blocks, descriptor
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            with os.fdopen(self._descriptor, "wb") as pipe:
                for block in self._blocks:
                    pipe.write(block)
        except BrokenPipeError:
            pass  # the reader has gone and says why itself
        except BaseException as error:  # handed to the thread that waits for us
            self._error = error

    def finish(self) -> None:
        """Wait for the end and raise what went wrong in ``blocks``."""
        self.join()
        if self._error is not None:
            raise self._error


class _HtslibError(Exception):
    """The child has failed; the message is htslib's reason."""


def _htslib(blocks: Iterable[bytes], *task: str) -> Generator[bytes, None, None]:
    """``blocks``, a VCF or BCF in any form, through bcf_child.py.

    Raises what ``blocks`` raises, else _HtslibError; in both cases after handing out what could be converted.
    """
    with tempfile.TemporaryFile() as messages, tempfile.TemporaryDirectory() as scratch:  # for what pysam leaves behind
        child = subprocess.Popen(
            [sys.executable, "-P", _CHILD, *task],
            env={**os.environ, "TMPDIR": scratch},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
        )
        assert child.stdin is not None and child.stdout is not None
        try:
            feeder = _Feeder(blocks, os.dup(child.stdin.fileno()))
            child.stdin.close()
            while piece := _read(child):
                yield piece
            status = child.wait()
            feeder.finish()
        finally:
            child.kill()
            child.stdout.close()
            child.wait()
        if status:
            messages.seek(0)
            raise _HtslibError(_reason(messages.read().decode("utf-8", "replace")))


def _read(child: subprocess.Popen[bytes]) -> bytes:
    """What the child has written, as soon as there is something; empty at its end. Raises _HtslibError for a child
    that is stopped."""
    assert child.stdout is not None
    looks = 0
    while not select.select([child.stdout], [], [], LOOK_SECONDS)[0]:
        looks = looks + 1 if is_stopped(child.pid) else 0
        if looks == 2:
            raise _HtslibError(f"the process {child.pid} that converts it is stopped")
    return os.read(child.stdout.fileno(), _PIECE)


def _reason(messages: str) -> str:
    """The first error of htslib, else what pysam says of bcftools."""
    lines = messages.strip().splitlines() or ["htslib gave no reason"]
    last = lines[-1].rpartition("stderr=")[2].removesuffix("\\n'")
    return next((line.partition("] ")[2] for line in lines if line.startswith("[E::")), last)


def read_bcf(blocks: Iterable[bytes], where: str) -> Generator[bytes, None, None]:
    """Decompressed BCF as VCF text. Raises VariantFileError (or what ``blocks`` raises) where it is damaged."""
    try:
        yield from _htslib(blocks, "view", "v")
    except _HtslibError as error:
        raise VariantFileError("damaged BCF", where=where, cause=str(error), remedy="make the file again") from None


def write_bcf(header: bytes, body: Callable[[], Iterator[bytes]], kind: str, sink: Callable[[bytes], None]) -> int:
    """Encode VCF text as BCF; returns the number of records that arrived in ``sink``.

    body: the record lines, from the start each time it is called
    kind: ``b`` compressed, ``u`` uncompressed, which htslib writes as BGZF blocks of stored bytes
    Contigs, FILTERs and tags that the header lacks are declared first, with the types that htslib assumes.
    Raises VariantFileError when htslib cannot represent a record, OutputError when what arrived is incomplete.
    """

    def encoded(declared: bytes) -> Iterator[bytes]:
        for piece in _htslib(chain([declared], body()), "view", kind):
            sink(piece)
            yield piece

    try:
        missing = b"".join(_htslib(chain([header], body()), "declare"))
        columns = header.rindex(b"\n#") + 1
        declared = header[:columns] + missing + header[columns:]
        return count_records(inflate(encoded(declared), "BCF", bgzf=True, error=OutputError))
    except _HtslibError as error:
        raise VariantFileError("this VCF cannot be written as BCF", cause=str(error), remedy="write .vcf.gz") from None


def count_records(blocks: Iterable[bytes]) -> int:
    """Records in a decompressed BCF, by the lengths in front of each. Raises OutputError when the last one is cut."""
    waiting, count = b"", -1  # the header comes first and has a length in front of it too
    for block in blocks:
        waiting += block
        start = 0
        while (size := _frame_size(waiting, start, is_header=count < 0)) <= len(waiting) - start:
            start += size
            count += 1
        waiting = waiting[start:]
    if waiting or count < 0:
        raise OutputError("the BCF that was written is incomplete", remedy="check free space in the temporary folder")
    return count


def _frame_size(data: bytes, start: int, *, is_header: bool) -> int:
    """Bytes of the header or record at ``start``, or more than there are when its lengths have not arrived yet."""
    if len(data) - start < 9:
        return 9
    if is_header:
        return 9 + int.from_bytes(data[start + 5 : start + 9], "little")
    shared, individual = struct.unpack_from("<II", data, start)
    return 8 + int(shared) + int(individual)
