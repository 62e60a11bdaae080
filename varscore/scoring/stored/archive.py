"""An archive: the scores of every substitution at every base of some regions, in one file.

    head     ``VSA1``, the length of what follows, JSON: see :class:`Head`
    blocks   of ``block`` bases each: their codes, then three records a base, as :func:`block_of` has them
    index    a record a block, in the order of contigs and bases: see ``ENTRY``
    foot     how many blocks there are, SHA-256 of head, index and this number

So the file is an array of blocks, of which no more is read than is asked for. They are not compressed: the last bytes
of a float32 are as good as random, and of so few bases LZ4 saves an eighth, and takes longer than all the rest.

A block knows the bases that its scores were computed from, those that windows reach beyond its ends included, by their
SHA-256: where a FASTA has others, nothing is taken from it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, reason
from varscore.genome.coords import Interval, anchor
from varscore.genome.sequence import Genome
from varscore.scoring.stored.columns import NO_TASK, from_records, record_of
from varscore.scoring.tags import OF_TASKS
from varscore.storage.bounded import TABLE_BYTES

MAGIC = b"VSA1"
FORMAT = 3
BLOCK = 16
"""Bases of a block: few, as what is read of an archive are mostly alleles far apart"""
ENTRY = np.dtype([("contig", "<u4"), ("bases", "<u4"), ("start", "<u8"), ("crc", "<u4"), ("identity", "V16")])
"""contig: its number in the head; bases: of the block, fewer at the end of a region; start: the first of them, 0-based;
crc: of its bytes in the file; identity: first half of the SHA-256 of the codes of all bases that its windows show"""
FOOT = struct.Struct("<Q32s")
_LENGTH = struct.Struct("<4sI")
_UPSCALED = 2.0**14
_UNBOUNDED, _UNBOUNDED_VALUES = ("logodds",), ("diff", "ref_prob", "e_diff")


@dataclass(frozen=True)
class Head:
    """profile: see Profile; columns: of a record; precision: ``float32`` or ``float16``, which rounds; contigs: names
    and lengths, as the FASTA has them; window: bases

    tasks, provenance, notes, meanings, of_values: what the header of an output says
    """

    profile: Mapping[str, str]
    columns: Sequence[str]
    precision: str
    block: int
    window: int
    contigs: Mapping[str, int]
    tasks: Sequence[str]
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[Sequence[str]] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    of_values: bool = False

    def text(self) -> bytes:
        text = json.dumps({"format": FORMAT, **asdict(self)}).encode()
        return _LENGTH.pack(MAGIC, len(text)) + text

    @classmethod
    def parse(cls, text: bytes) -> Head:
        """Raises ValueError, KeyError and TypeError for what :meth:`text` has not written."""
        fields = json.loads(text)
        if fields.pop("format") != FORMAT:
            raise ValueError("another version of varscore wrote it")
        head = cls(**fields)
        if head.precision not in ("float32", "float16") or not 0 < head.block <= 1 << 20:
            raise ValueError("it is none that this varscore reads")
        return head

    @property
    def record(self) -> np.dtype[np.void]:
        """Of an allele, as it is read."""
        return record_of(self.columns, len(self.tasks))

    @cached_property
    def stored(self) -> np.dtype[np.void]:
        """Of a block in the file."""
        return block_of(self.block, self.record, self.precision)

    def scale(self, column: str) -> float:
        """What the numbers of a column are multiplied with on their way into the file.

        float16 has three digits from 6e-5 to 65,504: numbers that are never above 1 are moved up there.
        """
        unbounded = (*_UNBOUNDED, *(_UNBOUNDED_VALUES if self.of_values else ()))
        is_moved = self.precision == "float16" and column not in OF_TASKS and column not in unbounded
        return _UPSCALED if is_moved else 1.0

    @cached_property
    def names(self) -> list[str]:
        return list(self.contigs)


def block_of(bases: int, record: np.dtype[np.void], precision: str) -> np.dtype[np.void]:
    """A block: ``codes`` of its bases, ``records`` of their three substitutions, in the order of ACGT without REF.

    Past the end of a shorter block the codes are UNKNOWN and the records zeros, as they are of an unknown base.
    """
    if precision == "float16":
        kinds = ((name, record[name]) for name in record.names or ())
        record = np.dtype([(name, "<f2" if kind == "<f4" else kind) for name, kind in kinds])
    return np.dtype([("codes", "u1", (bases,)), ("records", record, (bases, 3))])


def to_stored(head: Head, records: NDArray[np.void]) -> NDArray[np.void]:
    """Records as ``head.record`` has them in the form in which a block has them. Raises DataError for a number that is
    too large for float16."""
    stored = np.empty(records.shape, head.stored["records"].base)
    for name in stored.dtype.names or ():
        scale = head.scale(name)
        with np.errstate(over="ignore"):
            stored[name] = records[name] if scale == 1.0 else records[name] * np.float32(scale)
        if (np.isfinite(records[name]) & ~np.isfinite(stored[name])).any():
            raise DataError(f"a number of the column {name} is too large for 16 bits", remedy="build it with 32")
    return stored


def from_stored(
    head: Head, records: NDArray[np.void], names: Sequence[str] | None = None
) -> dict[str, NDArray[np.number]]:
    """All columns, or those with ``names``, of records as a block has them: see :func:`from_records`."""
    columns = from_records(records, names)
    scales = {name: np.float32(head.scale(name)) for name in columns}
    return {name: column if scales[name] == 1 else column / scales[name] for name, column in columns.items()}


class Archive:
    """An archive, read. Raises DataError when it is damaged: at once for head and index, later for a block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes: NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError) as error:
            cause = reason(error) if isinstance(error, OSError) else "it is empty"
            raise DataError("cannot read the archive", where=path, cause=cause) from None
        self._view = self._bytes.data
        try:
            self.head, self._blocks, self.index, self.sha256 = self._open()
        except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
            raise self._damaged(str(error)) from None
        self._kept: tuple[int, NDArray[np.int64]] | None = None

    def _open(self) -> tuple[Head, NDArray[np.uint8], NDArray[np.void], str]:
        """Head, the bytes of blocks, index and the digest that stands for all of it.

        Raises ValueError, KeyError, TypeError and struct.error for what is no archive, or not all of one.
        """
        magic, length = _LENGTH.unpack(self._bytes[: _LENGTH.size].tobytes())
        if magic != MAGIC:
            raise ValueError("it does not begin as one")
        first = _LENGTH.size + length
        if length > TABLE_BYTES or len(self._bytes) < first + FOOT.size:
            raise ValueError("it is cut short")
        count, stated = FOOT.unpack(self._bytes[-FOOT.size :].tobytes())
        start = len(self._bytes) - FOOT.size - count * ENTRY.itemsize
        if start < first:
            raise ValueError("it is cut short")
        digest = hashlib.sha256(self._view[:first])
        digest.update(self._view[start : len(self._view) - 32])
        if digest.digest() != stated:
            raise ValueError("its head or index is not what was written")
        head = Head.parse(self._bytes[_LENGTH.size : first].tobytes())
        if start != first + count * head.stored.itemsize:
            raise ValueError("it is cut short")
        blocks = np.ndarray((count, head.stored.itemsize), np.uint8, buffer=self._bytes, offset=first)
        return head, blocks, np.ndarray(count, ENTRY, buffer=self._bytes, offset=start), stated.hex()

    def __len__(self) -> int:
        return len(self.index)

    @property
    def bases(self) -> int:
        return int(self.index["bases"].sum(dtype=np.int64))

    @cached_property
    def _bounds(self) -> NDArray[np.int64]:
        """The first block of each contig, int64 (contigs + 1,)."""
        return np.searchsorted(self.index["contig"], np.arange(len(self.head.names) + 1))

    def find(self, contig: int, start: NDArray[np.int64]) -> NDArray[np.int64]:
        """The block that each base lies in, -1 for none: int64 (n,). contig: its number; start: int64 (n,)"""
        first, last = self._bounds[contig : contig + 2].tolist()
        if first == last:
            return np.full(len(start), -1)
        starts = self._starts(contig)
        place = np.searchsorted(starts, start, "right") - 1
        block = first + place.clip(min=0)
        inside = (place >= 0) & (start < starts[place] + self.index["bases"][block])
        return np.where(inside, block, -1)

    def _starts(self, contig: int) -> NDArray[np.int64]:
        """The first bases of a contig's blocks, int64. They are kept for the contig that is asked for."""
        if self._kept is None or self._kept[0] != contig:
            here = slice(*self._bounds[contig : contig + 2].tolist())
            self._kept = contig, self.index["start"][here].astype(np.int64)
        return self._kept[1]

    def interval(self, block: int) -> Interval:
        entry = self.index[block]
        start = int(entry["start"])
        return Interval(self.head.names[int(entry["contig"])], start, start + int(entry["bases"]))

    def intervals(self) -> list[Interval]:
        """The regions: blocks that touch are one."""
        if not len(self):
            return []
        contig, start = self.index["contig"], self.index["start"].astype(np.int64)
        end = start + self.index["bases"]
        breaks = np.flatnonzero((np.diff(contig) != 0) | (start[1:] != end[:-1]))
        firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(self) - 1)
        names = (self.head.names[number] for number in contig[firsts].tolist())
        return list(map(Interval, names, start[firsts].tolist(), end[lasts].tolist()))

    def read(self, blocks: NDArray[np.int64]) -> NDArray[np.void]:
        """Blocks by number, int64 (n,), as ``head.stored`` has them, (n,). Raises DataError for one that is damaged."""
        found = self._blocks[blocks]  # as bytes: of records NumPy copies every field on its own
        checksums = np.fromiter(map(crc32, found), np.uint32, len(found))
        wrong = blocks[checksums != self.index["crc"][blocks]]
        if len(wrong):
            raise self._damaged("its checksum is wrong", int(wrong[0]))
        return np.asarray(found.view(self.head.stored).reshape(-1))

    def pieces(self, most: int = 1) -> Iterator[tuple[Interval, NDArray[np.uint8], NDArray[np.void]]]:
        """Place, base codes, uint8 (n,), and stored records, (n, 3), of every block; zeros for unknown bases.

        most: up to so many blocks that follow on one another are one piece
        """
        contig, start, bases = (self.index[name].astype(np.int64) for name in ("contig", "start", "bases"))
        apart = np.flatnonzero((np.diff(contig) != 0) | (start[1:] != (start + bases)[:-1])) + 1
        for run in np.split(np.arange(len(self)), apart):
            for first in range(0, len(run), most):
                blocks = run[first : first + most]
                content, there = self.read(blocks), np.arange(self.head.block) < bases[blocks, None]
                here = replace(self.interval(blocks[0]), end=self.interval(blocks[-1]).end)
                yield here, content["codes"][there], content["records"][there]

    def _damaged(self, cause: str, block: int | None = None) -> DataError:
        where = self.path if block is None else f"{self.path}, {self.interval(block)}"
        return DataError("the archive is damaged", where=where, cause=cause, remedy="copy it again, or build it anew")


def identities(genome: Genome, contig: str, starts: NDArray[np.int64], bases: int, window: int) -> NDArray[np.void]:
    """The identity of blocks of one length, V16 (n,): of all bases that a window around one of theirs shows."""
    seen = genome.windows(contig, starts - anchor(window), bases + window - 1)
    return np.array([hashlib.sha256(row).digest()[:16] for row in seen], "V16")


def octets(blocks: NDArray[np.void]) -> NDArray[np.uint8]:
    """The bytes of blocks, uint8 (n, size of one)."""
    return np.asarray(blocks.view(np.uint8).reshape(len(blocks), -1))


def is_scored(records: NDArray[np.void]) -> NDArray[np.bool_]:
    """bool (m,): which alleles have a score; the others stand in a block only to fill it."""
    return np.asarray(records["task"] != NO_TASK)


def describe(archive: Archive) -> dict[str, object]:
    """What ``archive info`` prints."""
    head, bases = archive.head, archive.bases
    size = archive.path.stat().st_size
    return {
        "model": head.profile.get("model", ""),
        "columns": " ".join(head.columns),
        "precision": head.precision,
        "bases": bases,
        "blocks": len(archive),
        "bytes": size,
        "bytes a substitution": round(size / max(3 * bases, 1), 2),
        "contigs": sorted({interval.contig for interval in archive.intervals()}),
    }
