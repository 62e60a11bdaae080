"""A folder of scores of earlier runs: for each profile a folder of segments, which any number of processes share.

Nothing is locked: a process adds whole files, and reads those that are there when it begins. When there are many, one
process puts the smaller ones together. What cannot be read or written costs a warning, never a run.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, OutputError, UsageError
from varscore.scoring.stored.profile import Profile
from varscore.scoring.stored.segment import SUFFIX, DamagedSegment, Segment, write_segment
from varscore.storage.bounded import CARD_BYTES, read_bounded
from varscore.storage.digest import json_sha256
from varscore.storage.whole import PARTIAL, put_file

PROFILE = "profile.json"
FLUSH_SECONDS = 600.0
"""Between two segments that a long run adds"""
FLUSH_BYTES = 256 << 20
"""What waits in memory at most"""
MANY = 8
"""Segments of a profile from which on the smaller ones are put together"""
LARGEST_MERGED = 4 << 30
"""Bytes of a segment that is not put together with others any more"""
STALE_SECONDS = 86_400.0
"""After which what a killed process has left is removed"""
log = logging.getLogger(__name__)


class ScoreCache:
    """The part of a cache with one profile. dtype: of a record; limit: bytes of the whole cache, the oldest go first.

    Raises UsageError when ``folder`` is a file. Everything else that is wrong is warned of.
    """

    def __init__(self, folder: Path, profile: Profile, dtype: np.dtype[np.void], limit: int | None = None) -> None:
        demand_folder(folder)
        self.folder, self.profile, self.dtype, self._limit = folder, profile, dtype, limit
        self.own = folder / profile.digest[:16]
        self._digest = bytes.fromhex(profile.digest)
        self._keys: list[NDArray[np.uint64]] = []
        self._records: list[NDArray[np.void]] = []
        self._waiting = 0
        self._next = time.monotonic() + FLUSH_SECONDS
        self._writes = True
        self._prepare()
        self._segments = list(self._open())
        self._told: set[Path] = set()

    def find(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.void]]:
        """Which keys, uint64 (n, 2), have a record, bool (n,), and these records."""
        there = np.zeros(len(keys), bool)
        records = np.zeros(len(keys), self.dtype)
        for segment in self._segments:
            missing = np.flatnonzero(~there)
            if not len(missing):
                break
            found, values = segment.find(keys[missing])
            there[missing[found]], records[missing[found]] = True, values
            if segment.is_damaged and segment.path not in self._told:
                self._told.add(segment.path)
                _warn_of_damage(segment.path, "a part of it is not what was written")
        return there, records[there]

    def add(self, keys: NDArray[np.uint64], records: NDArray[np.void]) -> None:
        """Keep records; they are written now and then, and when the cache is closed."""
        if not self._writes or not len(keys):
            return
        self._keys.append(keys)
        self._records.append(records)
        self._waiting += keys.nbytes + records.nbytes
        if self._waiting >= FLUSH_BYTES or time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Write what was added as a segment of its own."""
        keys, records = self._keys, self._records
        self._keys, self._records, self._waiting = [], [], 0
        self._next = time.monotonic() + FLUSH_SECONDS
        if not keys or not self._writes:
            return
        path = self.own / f"{uuid.uuid4().hex}{SUFFIX}"
        try:
            write_segment(path, np.concatenate(keys), np.concatenate(records), self._digest)
        except OutputError as error:
            self._give_up(error)
            return
        with suppress(OSError, DamagedSegment):
            self._segments.append(Segment(path, self.dtype, self._digest))

    def close(self) -> None:
        """Write what waits, put small segments together, keep to the limit."""
        self.flush()
        if self._writes:
            with suppress(OSError, OutputError):
                if len(list(self.own.glob(f"*{SUFFIX}"))) > MANY:
                    merge_segments(self.own)
                if self._limit is not None:
                    prune(self.folder, self._limit)

    def _prepare(self) -> None:
        try:
            self.own.mkdir(parents=True, exist_ok=True)
            sweep(self.own)
            if not (self.own / PROFILE).is_file():
                put_file(self.own / PROFILE, json.dumps(dict(self.profile.facts), indent=1) + "\n")
            if not os.access(self.own, os.W_OK):
                raise PermissionError(13, os.strerror(13))
        except (OSError, OutputError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._writes = False
        cause = (
            error.strerror if isinstance(error, OSError) else error.what if isinstance(error, OutputError) else error
        )
        log.warning("nothing more is kept in the cache %s: %s", self.folder, cause)

    def _open(self) -> Iterator[Segment]:
        for path in sorted(self.own.glob(f"*{SUFFIX}")):
            with suppress(FileNotFoundError):  # another process has just put it together with others
                try:
                    yield Segment(path, self.dtype, self._digest)
                except (DamagedSegment, ValueError) as error:
                    _warn_of_damage(path, str(error))
                except PermissionError as error:
                    _warn_of_damage(path, error.strerror or str(error))


def _warn_of_damage(path: Path, cause: str) -> None:
    log.warning("%s is not used: %s; `varscore cache verify` removes what is damaged", path, cause)


def demand_folder(folder: Path) -> None:
    """Raises UsageError when there is something else of this name."""
    if folder.exists() and not folder.is_dir():
        raise UsageError("the cache is a folder, and this is a file", where=folder, remedy="give another name")


def sweep(own: Path) -> None:
    """Remove what killed processes have left, and what was put together with others a day ago."""
    for path in own.glob(f".*{PARTIAL}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


@dataclass(frozen=True)
class Part:
    """The segments of one profile. entries: records in those that can be read; damaged: paths of the others"""

    folder: Path
    facts: Mapping[str, str]
    segments: Sequence[Path]
    entries: int
    size: int
    damaged: Sequence[Path]


def parts(folder: Path) -> list[Part]:
    """What is in a cache. Raises DataError when it is none."""
    if not folder.is_dir():
        raise DataError("no such folder", where=folder, remedy="check the path")
    found = [_part(path.parent) for path in sorted(folder.glob(f"*/{PROFILE}"))]
    if not found and any(folder.iterdir()):
        raise DataError("not a cache of scores", where=folder, cause=f"no folder in it has a {PROFILE}")
    return found


def _part(own: Path) -> Part:
    facts = read_facts(own)
    segments = sorted(own.glob(f"*{SUFFIX}"))
    damaged, entries = [], 0
    for path in segments:
        try:
            entries += len(_unknown(path, facts))
        except (DamagedSegment, ValueError):
            damaged.append(path)
    return Part(own, facts, segments, entries, sum(path.stat().st_size for path in segments), damaged)


def read_facts(own: Path) -> dict[str, str]:
    """The profile of a folder. Raises DataError when it does not belong there."""
    try:
        facts = json.loads(read_bounded(own / PROFILE, CARD_BYTES, DataError))
        if json_sha256(facts)[:16] != own.name:
            raise ValueError("it is not that of its folder")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            "the profile is damaged", where=own / PROFILE, cause=str(error), remedy="remove the folder"
        ) from None
    return dict(facts)


def _unknown(path: Path, facts: Mapping[str, str]) -> Segment:
    """A segment whose records are bytes. Raises DamagedSegment, ValueError, OSError."""
    size = record_size(path)
    return Segment(path, np.dtype([("record", f"V{size}")]), bytes.fromhex(json_sha256(dict(facts))))


def record_size(path: Path) -> int:
    """Bytes of a record, as the header says. Raises DamagedSegment when there is no header, OSError."""
    with path.open("rb") as file:
        head = file.read(20)
    size = int.from_bytes(head[16:20], "little")
    if len(head) < 20 or not 0 < size < 1 << 24:
        raise DamagedSegment("it is cut short")
    return size


def verify(folder: Path) -> tuple[int, list[Path]]:
    """Read everything; remove segments that are damaged. Returns how many are sound, and the paths of the others."""
    sound, removed = 0, []
    for part in parts(folder):
        for path in part.segments:
            try:
                segment = _unknown(path, part.facts)
                for _ in segment.content():
                    pass
                is_damaged = segment.is_damaged
            except (DamagedSegment, ValueError):
                is_damaged = True
            if is_damaged:
                path.unlink(missing_ok=True)
                removed.append(path)
            sound += not is_damaged
    return sound, removed


def merge_segments(own: Path, everything: bool = False) -> int:
    """Put the smaller segments of a profile together, if no other process does; returns how many went into one."""
    with _alone(own) as alone:
        if not alone:
            return 0
        facts, chosen = read_facts(own), []
        for path in sorted(own.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_size):
            if everything or path.stat().st_size < LARGEST_MERGED:
                with suppress(DamagedSegment, ValueError, FileNotFoundError):
                    chosen.append(_unknown(path, facts))
        if len(chosen) < 2:
            return 0
        content = [pair for segment in chosen for pair in segment.content()]
        if content:
            keys, records = (np.concatenate(part) for part in zip(*content, strict=True))
            write_segment(own / f"{uuid.uuid4().hex}{SUFFIX}", keys, records, bytes.fromhex(json_sha256(facts)))
        for segment in chosen:
            _retire(segment.path)
        return len(chosen)


def _retire(path: Path) -> None:
    """Hide a segment until it is swept away: on a network disk one that is removed would end a process elsewhere that
    is reading it."""
    with suppress(OSError):
        os.utime(path)
        path.rename(path.with_name(f".{path.name}{PARTIAL}"))


def prune(folder: Path, limit: int) -> int:
    """Remove the oldest segments until the rest has at most ``limit`` bytes; returns how many went."""
    found = []
    for path in folder.glob(f"*/*{SUFFIX}"):
        with suppress(FileNotFoundError):
            about = path.stat()
            found.append((about.st_mtime, about.st_size, path))
    total, removed = sum(size for _, size, _ in found), 0
    for _, size, path in sorted(found):
        if total <= limit:
            break
        path.unlink(missing_ok=True)
        total, removed = total - size, removed + 1
    return removed


@contextmanager
def _alone(own: Path) -> Iterator[bool]:
    """Whether no other process is in here."""
    descriptor = os.open(own, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a file system without locks: equal keys have equal records, so nothing is lost
            pass
        yield True
    finally:
        os.close(descriptor)
