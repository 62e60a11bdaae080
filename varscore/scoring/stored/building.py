"""Archives written: block after block, so that a build can be carried on with, and shards put together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, UsageError
from varscore.genome.sequence import UNKNOWN
from varscore.scoring.stored.archive import ENTRY, FOOT, Archive, Head, octets, to_stored
from varscore.storage.atomic import Mark, PartialFile


class ArchiveWriter:
    """Writes into ``file``; the index waits in ``spool``. carry: an earlier :meth:`mark`, then what was written up to
    there is in both.

    Raises OutputError, and DamagedPartial, KeyError, TypeError and ValueError when ``carry`` does not fit.
    """

    def __init__(
        self, file: PartialFile, spool: PartialFile, head: Head, carry: Mapping[str, object] | None = None
    ) -> None:
        self._file, self._spool, self._head, self._text = file, spool, head, head.text()
        if carry is None:
            file.write(self._text)
        else:
            file.carry_on(Mark.parse(carry["file"]))
            spool.carry_on(Mark.parse(carry["index"]))

    def add(
        self,
        contig: int,
        start: NDArray[np.int64],
        codes: Sequence[NDArray[np.uint8]],
        records: Sequence[NDArray[np.void]],
        identities: NDArray[np.void],
    ) -> None:
        """Blocks of a contig. start: int64 (n,); codes: uint8 (bases,) of each; records: (bases, 3) of each, those of
        unknown bases zeros"""
        blocks = np.zeros(len(start), self._head.stored)
        blocks["codes"] = UNKNOWN
        for block, bases, substitutions in zip(blocks, codes, records, strict=True):
            block["codes"][: len(bases)] = bases
            block["records"][: len(bases)] = to_stored(self._head, substitutions)
        entries = np.zeros(len(blocks), ENTRY)
        entries["contig"], entries["start"], entries["identity"] = contig, start, identities
        entries["bases"] = [len(bases) for bases in codes]
        self.add_blocks(entries, blocks)

    def add_blocks(self, entries: NDArray[np.void], blocks: NDArray[np.void]) -> None:
        """Blocks as the file has them, (n,), and what the index says of them; their checksums are entered here."""
        entries = entries.copy()
        entries["crc"] = [crc32(content) for content in octets(blocks)]
        self._file.write(blocks.tobytes())
        self._spool.write(entries.tobytes())

    def mark(self) -> dict[str, object]:
        """Flush to disk; what the next one carries on from."""
        return {"file": self._file.mark().fields(), "index": self._spool.mark().fields()}

    def finish(self) -> str:
        """Write index and foot; the archive's digest."""
        digest, size = hashlib.sha256(self._text), 0
        for part in self._spool.read_back():
            self._file.write(part)
            digest.update(part)
            size += len(part)
        foot = FOOT.pack(size // ENTRY.itemsize, bytes(32))[:-32]
        digest.update(foot)
        self._file.write(foot + digest.digest())
        return digest.hexdigest()


def join(archives: Sequence[Archive], file: PartialFile, spool: PartialFile) -> int:
    """All blocks of archives that differ in nothing but these, in order; returns how many.

    Raises UsageError when they differ otherwise or share a base, DataError when one is damaged.
    """
    head = archives[0].head
    for other in archives[1:]:
        if other.head.text() != head.text():
            raise UsageError(
                "the archives do not go together",
                where=f"{archives[0].path}, {other.path}",
                cause=f"not the same: {', '.join(_differences(head, other.head))}",
                remedy="build them with the same options, on the same kind of machine",
            )
    source = np.repeat(np.arange(len(archives)), [len(archive) for archive in archives])
    index = np.concatenate([archive.index for archive in archives])
    number = np.concatenate([np.arange(len(archive)) for archive in archives])
    order = np.lexsort((index["start"], index["contig"]))
    source, index, number = source[order], index[order], number[order]
    _demand_apart(archives, source, index, number)
    writer = ArchiveWriter(file, spool, head)
    for first in range(0, len(order), 1024):
        here = slice(first, first + 1024)
        blocks = np.empty(len(order[here]), head.stored)
        for which in np.unique(source[here]).tolist():
            own = source[here] == which
            blocks[own] = archives[which].read(number[here][own])
        writer.add_blocks(index[here], blocks)
    writer.finish()
    return len(order)


def _differences(one: Head, other: Head) -> list[str]:
    names = [name for name in vars(one) if name != "profile" and getattr(one, name) != getattr(other, name)]
    facts = {**one.profile, **other.profile}
    return [*names, *(name for name in facts if one.profile.get(name) != other.profile.get(name))]


def _demand_apart(
    archives: Sequence[Archive], source: NDArray[np.int64], index: NDArray[np.void], number: NDArray[np.int64]
) -> None:
    """Raises DataError when two blocks have a base in common."""
    end = index["start"] + index["bases"]
    both = np.flatnonzero((index["contig"][1:] == index["contig"][:-1]) & (index["start"][1:] < end[:-1]))
    if len(both):
        first, second = both[0], both[0] + 1
        one, other = archives[source[first]], archives[source[second]]
        raise DataError(
            "two archives have the same bases",
            where=f"{one.path}, {other.path}",
            cause=str(other.interval(int(number[second]))),
            remedy="leave one out",
        )
