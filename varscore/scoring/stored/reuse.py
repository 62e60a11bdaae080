"""What a run takes from a cache and an archive, and adds to the cache."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, UsageError
from varscore.genome.alleles import AlleleBatch
from varscore.genome.contigs import match_contigs
from varscore.genome.sequence import UNKNOWN, Genome, encode
from varscore.genome.windows import Windows
from varscore.scoring.effects import Effects
from varscore.scoring.score import Judged, Stored
from varscore.scoring.stored.archive import Archive, from_stored, identities, is_scored
from varscore.scoring.stored.cache import ScoreCache
from varscore.scoring.stored.columns import from_records, to_records
from varscore.scoring.stored.profile import LAST_DIGITS, Profile

EFFECTS = ("ref", "alt", "diff", "logodds")
FEWEST_COMPARED = 20
"""Blocks of an archive that are compared with the FASTA before it is said to be another assembly's"""
log = logging.getLogger(__name__)
Element = TypeVar("Element", bound=np.generic)


def effects_record(tasks: int) -> np.dtype[np.void]:
    """Of effects on all tasks."""
    return np.dtype([(name, "<f4", (tasks,)) for name in EFFECTS])


def keys_of(windows: Windows, names: Sequence[str | None] | None = None) -> NDArray[np.uint64]:
    """uint64 (n, 2), of n alleles: the first half of the SHA-256 of their windows, of where these differ and, with
    ``names`` of the contigs, of the place. Whatever is computed of a pair of windows is a function of these."""
    spans = np.stack([windows.lo, windows.hi], 1).astype("<u4")
    pairs = np.concatenate([spans.view(np.uint8), windows.ref, windows.alt], 1)
    hashes: dict[int, hashlib._Hash] = {}
    for row, pair in zip(windows.rows.tolist(), pairs, strict=True):
        hashes.setdefault(row, hashlib.sha256()).update(pair)
    if names is not None:
        places = zip(windows.rows.tolist(), windows.contig.tolist(), windows.start.tolist(), strict=True)
        for row, contig, start in places:
            hashes[row].update(f"{names[contig]}:{start}".encode())
    digests = b"".join(each.digest()[:16] for each in hashes.values())
    return np.frombuffer(digests, "<u8").reshape(len(hashes), 2)


class ArchivedScores:
    """An archive as a run asks it. Raises UsageError when its scores are not those that the run would compute."""

    def __init__(self, archive: Archive, profile: Profile, columns: Sequence[str], any_device: bool) -> None:
        self.archive = archive
        self.touched = self.stale = 0
        """Blocks that were asked for, and those of them whose bases are not the FASTA's"""
        self._verdict = np.zeros(len(archive), np.int8)
        self._numbers: dict[str, int] = {}
        self._is_same = False
        self._columns = columns
        self.differ = profile.differences(archive.head.profile, ("stored",))
        """Facts about how it was computed that are others here"""
        self._demand(columns, any_device)

    def _demand(self, columns: Sequence[str], any_device: bool) -> None:
        head = self.archive.head
        missing = [name for name in columns if name not in head.columns]
        differ = [name for name in self.differ if not any_device or name not in LAST_DIGITS]
        if differ:
            small = set(differ) <= set(LAST_DIGITS)
            raise UsageError(
                "the scores of the archive are not those that would be computed here",
                where=self.archive.path,
                cause=f"not the same: {', '.join(differ)}",
                remedy="they differ in their last digits: `archive_any_device` takes them all the same"
                if small
                else "leave out `archive`, or build one with these options",
            )
        if missing:
            raise UsageError(
                f"the archive has no column {missing[0]}",
                where=self.archive.path,
                cause=f"it was built with {' '.join(head.columns)}",
                remedy="leave it out, or build one with all",
            )

    def fit(self, genome: Genome) -> None:
        """Learn which contigs of the archive are which of the genome's, and whether it was built from this very file:
        then all of its blocks are of the same bases."""
        matches = match_contigs(self.archive.head.contigs, genome, dict(self.archive.head.contigs))
        names = self.archive.head.names
        self._numbers = {theirs: names.index(ours) for ours, theirs in matches.items() if theirs is not None}
        self._is_same = self.archive.head.provenance.get("reference_sha256") == genome.sha256

    def find(self, judged: Judged, genome: Genome) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.number]]]:
        """Which alleles are there, bool (m,), and their columns.

        Raises DataError for a damaged archive, and when most of its blocks do not fit the FASTA.
        """
        head, there = self.archive.head, np.zeros(len(judged.rows), bool)
        alleles, rows = judged.alleles, judged.rows
        single = (alleles.ref.lengths[rows] == 1) & (alleles.alt.lengths[rows] == 1)
        some = np.flatnonzero(single & (alleles.affected_bases[rows] == 0))
        block = self._blocks(alleles, rows[some], judged.names, genome)
        some, block = some[block >= 0], block[block >= 0]
        if not len(some):
            return there, from_stored(head, np.zeros(0, head.record), self._columns)
        used, which = np.unique(block, return_inverse=True)
        content, rows = self.archive.read(used), rows[some]
        ref, alt = (encode(letters.data[letters.offsets[rows]]) for letters in (alleles.ref, alleles.alt))
        place = alleles.start[rows] - self.archive.index["start"][block].astype(np.int64)
        stored = content["records"]
        plain = stored.view(f"V{stored.itemsize}")  # as bytes: of records NumPy copies every field on its own
        records = plain[which, place, (alt - (alt > ref)).clip(0, 2)].view(stored.dtype)
        known = (content["codes"][which, place] == ref) & (ref != UNKNOWN) & (alt != UNKNOWN) & (ref != alt)
        scored = known & is_scored(records)
        there[some[scored]] = True
        return there, from_stored(head, records[scored], self._columns)

    def _blocks(
        self, alleles: AlleleBatch, rows: NDArray[np.int64], names: Sequence[str | None], genome: Genome
    ) -> NDArray[np.int64]:
        """The block that each of ``rows``, int64 (n,), lies in: int64 (n,), -1 for none and one that does not fit."""
        block, contigs, start = np.full(len(rows), -1), alleles.contig[rows], alleles.start[rows]
        for contig in np.unique(contigs).tolist():
            number = self._numbers.get(names[contig] or "")
            if number is not None:
                here = np.flatnonzero(contigs == contig)
                block[here] = self.archive.find(number, start[here])
                self._compare(block[here], str(names[contig]), genome)
        inside = np.flatnonzero(block >= 0)
        block[inside[self._verdict[block[inside]] <= 0]] = -1
        return block

    def _compare(self, block: NDArray[np.int64], contig: str, genome: Genome) -> None:
        """Enter for blocks of a contig, -1 among them, whether they were computed from the FASTA's bases."""
        new = np.unique(block[block >= 0])
        new = new[self._verdict[new] == 0]
        if self._is_same:
            self._verdict[new], self.touched = 1, self.touched + len(new)
            return
        entries = self.archive.index[new]
        for bases in np.unique(entries["bases"]).tolist():
            rows = np.flatnonzero(entries["bases"] == bases)
            starts = entries["start"][rows].astype(np.int64)
            fits = identities(genome, contig, starts, bases, self.archive.head.window) == entries["identity"][rows]
            self._verdict[new[rows]] = np.where(fits, 1, -1)
            self.touched += len(rows)
            self.stale += int(np.count_nonzero(~fits))
        if self.touched >= FEWEST_COMPARED and 2 * self.stale > self.touched:
            raise DataError(
                f"{self.stale:,} of {self.touched:,} blocks of the archive were computed from other bases",
                where=self.archive.path,
                cause=f"{genome.path.name} is probably another assembly",
                remedy="pass the FASTA that the archive was built from with -r",
            )


@dataclass(frozen=True)
class Cached:
    """A cache as a run asks it.

    cache: of records of the run's columns or, ``of_effects``, of effects on all tasks; positional: whether these depend
    on where an allele lies, as conservation does; reads: whether what is there is of use to the run
    """

    cache: ScoreCache
    of_effects: bool = False
    positional: bool = False
    reads: bool = True


class StoredScores:
    """Cache and archive of a run, or either; see :class:`varscore.scoring.score.Store`.

    tasks: of the model; only: nothing is to be computed
    A context manager: what waits for the cache is written when it is left, on an error too.
    """

    def __init__(self, tasks: int, cached: Cached | None, archived: ArchivedScores | None, only: bool = False) -> None:
        self.tasks, self._cached, self._archived, self.only = tasks, cached, archived, only
        self.hits = self.misses = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cached is not None:
            self._cached.cache.close()

    def find(
        self, judged: Judged, genome: Genome, cut: Callable[[Judged], Windows]
    ) -> tuple[NDArray[np.int64], Stored, Windows]:
        archived, columns = np.zeros(len(judged.rows), bool), dict[str, NDArray[np.number]]()
        if self._archived is not None:
            archived, columns = self._archived.find(judged, genome)
        windows = cut(judged.others(archived))
        is_archived = _among(judged.rows[archived], len(judged.alleles))
        has_windows = _among(windows.rows, len(judged.alleles))
        rows = np.flatnonzero(is_archived | has_windows)
        stored = Stored(is_archived[rows], columns, np.full(np.count_nonzero(has_windows), not self.only))
        if self._cached is not None and not self.only:
            stored = self._in_cache(
                self._cached, stored, keys_of(windows, judged.names if self._cached.positional else None)
            )
        known = int(np.count_nonzero(stored.there)) + (0 if stored.effects is None else len(stored.effects))
        self.hits, self.misses = self.hits + known, self.misses + len(rows) - known
        is_computed = _among(rows[~stored.there][stored.computed], len(judged.alleles))
        return rows, stored, windows.take(is_computed[windows.rows])

    def _in_cache(self, cached: Cached, stored: Stored, keys: NDArray[np.uint64]) -> Stored:
        """keys: of the alleles that are not there"""
        if not cached.reads:
            return replace(stored, keys=keys)
        found, records = cached.cache.find(keys)
        if cached.of_effects:
            effects = Effects(*(records[name] for name in EFFECTS))
            return replace(stored, computed=~found, keys=keys[~found], effects=effects)
        there = stored.there.copy()
        there[np.flatnonzero(~there)[found]] = True
        columns = _merged(stored.there[there], stored.columns, from_records(records))
        return Stored(there, columns, np.ones(np.count_nonzero(~found), bool), keys[~found])

    def settle(self, stored: Stored, computed: Effects) -> Effects:
        """The effects on all alleles of which no columns are stored; what was computed is kept, if effects are."""
        if self._cached is None or not self._cached.of_effects or stored.keys is None:
            return computed
        cache, parts = self._cached.cache, _of_tasks(computed)
        cache.add(stored.keys, to_records(parts, cache.dtype))
        if stored.effects is None:
            return computed
        return Effects(**_merged(stored.computed, parts, _of_tasks(stored.effects)))

    def complete(self, stored: Stored, columns: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """The columns of all alleles from those of the others, which are kept, if columns are."""
        if self._cached is not None and not self._cached.of_effects and stored.keys is not None:
            self._cached.cache.add(stored.keys, to_records(columns, self._cached.cache.dtype))
        return _merged(~stored.there, columns, stored.columns) if stored.there.any() else dict(columns)

    @property
    def notes(self) -> tuple[tuple[str, str], ...]:
        """Provenance for the output's header, where its scores are not quite those that would be computed."""
        archived = self._archived
        if archived is None or (archived.archive.head.precision == "float32" and not archived.differ and not self.only):
            return ()
        precision, made = archived.archive.head.precision, "+".join(archived.differ) or "none"
        return (("Archive", f"<SHA256={archived.archive.sha256},PRECISION={precision},OTHER={made}>"),)

    def facts(self) -> dict[str, int | str]:
        """What run.json says."""
        said: dict[str, int | str] = {"hits": self.hits, "misses": self.misses}
        if self._cached is not None:
            said["profile"] = self._cached.cache.profile.digest[:16]
        if self._archived is not None:
            said["archive"] = str(self._archived.archive.path)
            said["blocks"], said["stale_blocks"] = self._archived.touched, self._archived.stale
        return said

    def warn_of_stale(self) -> None:
        """Say so when the archive does not fit the FASTA somewhere."""
        if self._archived is not None and self._archived.stale:
            log.warning(
                "the archive does not match the FASTA here: %s of %s blocks of %s; their alleles %s",
                f"{self._archived.stale:,}",
                f"{self._archived.touched:,}",
                self._archived.archive.path,
                "have no score" if self.only else "were computed",
            )


def _among(rows: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    """bool (n,): whether a row is one of ``rows``."""
    found = np.zeros(n, bool)
    found[rows] = True
    return found


def _of_tasks(effects: Effects) -> dict[str, NDArray[np.float32]]:
    """float32 (m, tasks) each"""
    return {name: getattr(effects, name) for name in EFFECTS}


def _merged(
    which: NDArray[np.bool_], ones: Mapping[str, NDArray[Element]], others: Mapping[str, NDArray[Element]]
) -> dict[str, NDArray[Element]]:
    """Columns with the rows of ``ones`` where ``which``, bool (m,), holds, and those of ``others`` elsewhere."""
    if not ones:
        return dict(others)
    merged = {}
    for name, values in ones.items():
        merged[name] = np.empty((len(which), *values.shape[1:]), values.dtype)
        merged[name][which], merged[name][~which] = values, others[name]
    return merged
