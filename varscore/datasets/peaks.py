"""Peak files and a genome into a chromatin data set: 200-bp bins, labels by overlap, 1000-bp windows around them.

A bin is positive for a track when more than half of it lies under the union of the track's peaks (DeepSEA 2015).
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.cells import read_table
from varscore.datasets.examples import SPLITS, pack_windows, write_examples
from varscore.datasets.spans import covered, find_contig, read_union
from varscore.datasets.unknown import Patch, read_unknown
from varscore.errors import DataError, UsageError
from varscore.genome.sequence import UNKNOWN, Genome
from varscore.storage.digest import file_sha256
from varscore.tasks import Task

HISTONE = re.compile(r"H[1234][AB]?(\.Z|[KRST]\d+\w*)|H2A\.?Z", re.IGNORECASE)
OPEN = ("DNase", "ATAC", "FAIRE")
PEAKS = re.compile(r"\.(bed|narrowPeak|broadPeak)(\.b?gz)?$", re.IGNORECASE)
_LIKE_PEAKS = re.compile(r"(bed|peaks?)(\W|$)", re.IGNORECASE)
SKIPPED = len(SPLITS)
"""What split_contigs says of a contig that is in no split"""
_AIMS = ("", "in the validation split", "in the test split", "to be skipped")
log = logging.getLogger(__name__)
_CHUNK = 5_000  # bins looked at together: their codes stay in the processor's cache


@dataclass(frozen=True)
class Track:
    """One peak file and what is known of it."""

    path: Path
    task: Task


@dataclass(frozen=True)
class BinOptions:
    """How the genome is cut and which bins are kept."""

    bin: int = 200
    window: int = 1000
    bins: str = "any"
    """``any``: a label in some track; ``tf``: a label in some transcription factor's (DeepSEA); ``all``: every bin"""
    unlabelled: float | None = None
    """At most so many unlabelled bins per labelled one in training and validation; test keeps every bin"""
    max_unknown: float = 0.0
    """Largest share of unknown bases in a window"""
    validation: tuple[str, ...] = ("chr7",)
    test: tuple[str, ...] = ("chr8", "chr9")
    skip: tuple[str, ...] = ()
    """Contigs of which no bin is kept"""
    shifts: tuple[int, ...] = (0,)
    """Where on its contig the first bin begins, 0-based; several are as many grids, whose bins overlap: the same peaks
    are new examples"""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.window < self.bin or self.flank * 2 + self.bin != self.window:
            raise UsageError(f"a bin of {self.bin} bp cannot stand in the middle of a window of {self.window}")
        for shift in self.shifts:
            if not 0 <= shift < self.bin:
                raise UsageError(f"bins of {self.bin} bp cannot be shifted by {shift}", remedy=f"0 to {self.bin - 1}")
        if not self.shifts or len(set(self.shifts)) < len(self.shifts):
            raise UsageError("a shift is given twice, or none", remedy="another for each grid")

    @property
    def flank(self) -> int:
        """Bases of the window on either side of its bin."""
        return (self.window - self.bin) // 2


@dataclass(frozen=True)
class Bins:
    """Some bins of a genome, in genome order."""

    contig: NDArray[np.signedinteger]
    """int16 or int32 (n,): index into the genome's contigs"""
    start: NDArray[np.int64]
    """int64 (n,): 0-based"""

    def __len__(self) -> int:
        return len(self.start)

    def where(self, keep: NDArray[np.bool_]) -> Bins:
        """keep: bool (n,)"""
        return Bins(self.contig[keep], self.start[keep])


def _group(mark: str) -> str:
    if mark.startswith(OPEN):
        return "DNase" if mark.startswith("DNase") else "open"
    return "histone" if HISTONE.fullmatch(mark) else "TF"


def find_tracks(source: Path) -> list[Track]:
    """The peak files of a folder, or those listed in a table.

    A table (TSV, or ``tracks.tsv`` in the folder) has a column ``file`` and may have ``name``, ``group`` or ``cell``,
    ``mark``, ``treatment``; every other column is kept as a fact of the task. Without a table each BED-like file is a
    track named after the file. Raises DataError when there is nothing, or a listed file is missing.
    """
    table = source / "tracks.tsv" if source.is_dir() else source
    if table.is_file():
        return _listed_tracks(table)
    if not source.is_dir():
        raise DataError("no peaks", where=source, remedy="give a folder of peak files or a table of them")
    every = sorted(path for path in source.iterdir() if not path.name.startswith("."))
    files = [path for path in every if PEAKS.search(path.name)]
    if not files:
        raise DataError("no BED, narrowPeak or broadPeak file", where=source)
    names = [PEAKS.sub("", os.fsencode(path.name).decode("utf-8", "replace")) for path in files]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"two files of peaks are called {twice}", where=source, remedy="take one of them out")
    if others := [path.name for path in every if path not in files and _LIKE_PEAKS.search(path.name)]:
        log.warning("%s: %s is no track (.bed, .narrowPeak or .broadPeak, .gz or not)", source, ", ".join(others))
    return [Track(path, Task(index, name)) for index, (path, name) in enumerate(zip(files, names, strict=True))]


def _listed_tracks(table: Path) -> list[Track]:
    rows = read_table(table, ["file"])
    tracks = [_listed(table.parent, index, row) for index, row in enumerate(rows)]
    missing = [str(track.path) for track in tracks if not track.path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} of {len(tracks)} peak files are missing", where=missing[0])
    return tracks


def _listed(folder: Path, index: int, row: dict[str, str]) -> Track:
    mark, treatment = row.get("mark") or "", row.get("treatment") or ""
    parts = [row.get("cell") or "", mark, "" if treatment == "None" else treatment]
    name = row.get("name") or "|".join(part for part in parts if part) or PEAKS.sub("", row["file"])
    group = row.get("group") or (_group(mark) if mark else "")
    facts = {key: value for key, value in row.items() if key not in ("file", "name", "group", "index") and value}
    return Track(folder / row["file"], Task(index, name, group, facts))


def known_bins(genome: Genome, options: BinOptions) -> Bins:
    """The bins that lie on their contig and whose window is known well enough. Raises DataError: see split_contigs."""
    contigs = list(genome.contigs)
    wanted = split_contigs(contigs, options) < SKIPPED
    nothing = np.zeros(0, np.int64)
    found = [
        np.sort(np.concatenate([_known_starts(genome, contig, options, shift) for shift in options.shifts]))
        if there
        else nothing
        for contig, there in zip(contigs, wanted.tolist(), strict=True)
    ]
    kind: type[np.signedinteger] = np.int16 if len(found) < 2**15 else np.int32
    contig = np.repeat(np.arange(len(found), dtype=kind), [len(starts) for starts in found])
    return Bins(contig, np.concatenate(found))


def _known_starts(genome: Genome, contig: str, options: BinOptions, shift: int) -> NDArray[np.int64]:
    size, flank = options.bin, options.flank
    grain = math.gcd(size, flank)  # bins and windows begin and end on whole grains, counted from the shift
    known = [np.zeros(0, np.int64)]
    bins = (genome.contigs[contig] - shift) // size
    for first in range(0, bins, _CHUNK):
        starts = np.arange(first, min(first + _CHUNK, bins)) * size + shift
        codes = genome.codes(contig, int(starts[0]) - flank, int(starts[-1]) + size + flank)
        unknown = np.concatenate([[0], np.cumsum(np.count_nonzero(codes.reshape(-1, grain) == UNKNOWN, axis=1))])
        at = (starts - starts[0]) // grain
        share = unknown[at + options.window // grain] - unknown[at]
        known.append(starts[share <= options.max_unknown * options.window])
    return np.concatenate(known)


def split_contigs(contigs: Sequence[str], options: BinOptions) -> NDArray[np.uint8]:
    """uint8 (len(contigs),): which split each contig belongs to, or SKIPPED; ``1`` and ``chr1`` are the same.

    Raises DataError when a contig to hold out or to skip does not exist, or two things are wanted of one.
    """
    split = np.zeros(len(contigs), np.uint8)
    for number, names in ((1, options.validation), (2, options.test), (SKIPPED, options.skip)):
        for name in names:
            index = find_contig(contigs, name)
            if index is None:
                aim = "skip" if number == SKIPPED else "hold out"
                raise DataError(f"no contig {name!r} to {aim}", remedy="name contigs of the FASTA, or none")
            if split[index] not in (0, number):
                first, second = _AIMS[split[index]], _AIMS[number]
                raise DataError(f"contig {name!r} is {first} and {second}", remedy="give each contig to one of them")
            split[index] = number
    return split


def label_bins(tracks: Sequence[Track], bins: Bins, genome: Genome, size: int) -> NDArray[np.uint8]:
    """uint8 (n, ceil(T / 8)): packed labels, track after track so that memory holds one track's peaks."""
    packed = np.zeros((len(bins), -(-len(tracks) // 8)), np.uint8)
    for column, track in enumerate(tracks):
        positive = _covered_bases(track.path, bins, genome, 0, size) * 2 > size
        packed[:, column // 8] |= positive.astype(np.uint8) << (7 - column % 8)
    return packed


def _covered_bases(
    path: Path, bins: Bins, genome: Genome, left: int, right: int, demanded: bool = False
) -> NDArray[np.int64]:
    """int64 (n,): bases of [start + left, start + right) of each bin that the intervals of a file cover."""
    bases = np.zeros(len(bins), np.int64)
    index = {contig: number for number, contig in enumerate(genome.contigs)}
    for contig, union in read_union(path, genome, demanded).items():
        first, last = np.searchsorted(bins.contig, [index[contig], index[contig] + 1])
        start = bins.start[first:last]
        bases[first:last] = covered(union, start + left, start + right)
    return bases


def keep_bins(
    packed: NDArray[np.uint8], split: NDArray[np.uint8], tracks: Sequence[Track], options: BinOptions
) -> NDArray[np.bool_]:
    """bool (n,): the bins that ``options.bins`` and ``options.unlabelled`` leave."""
    labelled = np.any(packed, axis=1)
    if options.bins == "all":
        keep = np.ones(len(packed), bool)
    elif options.bins == "tf":
        factors = np.packbits(np.array([track.task.group == "TF" for track in tracks]))
        if not factors.any():
            raise DataError("no transcription-factor track", remedy="`bins=any`")
        keep = np.any(packed & factors, axis=1)
    else:
        keep = labelled.copy()
    if options.unlabelled is not None:
        random = np.random.default_rng(options.seed)
        for part in (0, 1):
            spare = np.flatnonzero(keep & ~labelled & (split == part))
            most = int(options.unlabelled * np.count_nonzero(keep & labelled & (split == part)))
            if len(spare) > most:
                keep[random.permutation(spare)[most:]] = False
    return keep


def count_population(
    packed: NDArray[np.uint8], known: NDArray[np.uint8], split: NDArray[np.uint8], tasks: int
) -> dict[str, object]:
    """All bins of the training split, kept or not, in which each label is known, and those of them that carry it."""
    learnt = np.flatnonzero(split == 0)
    counted = {"examples": known, "positives": packed}
    sums = {name: np.zeros(tasks, np.int64) for name in counted}
    for first in range(0, len(learnt), _CHUNK):
        some = learnt[first : first + _CHUNK]
        for name, bits in counted.items():
            sums[name] += np.unpackbits(bits[some], axis=1, count=tasks).sum(0, dtype=np.int64)
    return {name: numbers.tolist() for name, numbers in sums.items()}


def build_peaks(
    genome: Genome,
    source: Path,
    folder: Path,
    options: BinOptions,
    exclude: Path | None = None,
    unknown: Path | None = None,
) -> Mapping[str, int]:
    """Build the data set; returns the number of examples a split, of labelled ones and of unknown labels.

    exclude: BED of what no window may touch; unknown: table of labels that are not known
    (:mod:`varscore.datasets.unknown`).
    Raises DataError when nothing is left to learn from.
    """
    tracks, contigs = find_tracks(source), list(genome.contigs)
    split_of = split_contigs(contigs, options)
    patches = [] if unknown is None else read_unknown(unknown, [(t.path.name, t.task.name) for t in tracks], contigs)
    bins = known_bins(genome, options)
    if exclude is not None:
        ends = -options.flank, options.bin + options.flank
        bins = bins.where(_covered_bases(exclude, bins, genome, *ends, demanded=True) == 0)
    packed, split = label_bins(tracks, bins, genome, options.bin), split_of[bins.contig]
    known = known_labels(patches, bins, len(tracks), options.bin)
    if hidden := int(np.bitwise_count(packed & ~known).sum()):
        log.warning("%s: %d positive labels lie where it says unknown, and do not count", unknown, hidden)
    packed &= known
    population = count_population(packed, known, split, len(tracks))
    keep = keep_bins(packed, split, tracks, options)
    bins, packed, known, split = bins.where(keep), packed[keep], known[keep], split[keep]
    if not packed.any():
        raise DataError("no bin carries a label", where=source, cause="no peak lies in the known sequence of the FASTA")
    start = bins.start - options.flank
    stretches, offset = pack_windows(bins.contig, start, options.window)
    counts = {name: int(np.count_nonzero(split == index)) for index, name in enumerate(SPLITS)}
    counts["labelled"] = int(packed.any(1).sum())
    arrays: dict[str, NDArray[np.generic]] = {
        "offset": offset,
        "contig": bins.contig,
        "start": start,
        "labels": packed,
        "split": split,
    }
    if unknown is not None:
        counts["unknown labels"] = len(bins) * len(tracks) - int(np.bitwise_count(known).sum())
        arrays["known"] = known
    write_examples(
        folder,
        info=_provenance(genome, tracks, source, options, {"exclude": exclude, "unknown": unknown})
        | {"counts": counts, "population": population},
        tasks=[track.task for track in tracks],
        codes=(genome.codes(contigs[c], a, b) for c, a, b in stretches.tolist()),
        bases=int((stretches[:, 2] - stretches[:, 1]).sum()),
        arrays=arrays,
    )
    return counts


def known_labels(patches: Sequence[Patch], bins: Bins, tracks: int, size: int) -> NDArray[np.uint8]:
    """uint8 (n, ceil(tracks / 8)): one bit a track, set where its label is known: where no patch touches the bin."""
    every = np.packbits(np.ones(tracks, np.uint8))
    known = np.tile(every, (len(bins), 1))
    for patch in patches:
        first, last = np.searchsorted(bins.contig, [patch.contig, patch.contig + 1])
        first, last = first + np.searchsorted(bins.start[first:last], [patch.start - size + 1, patch.end])
        known[first:last] &= ~np.packbits(patch.tracks)
    return known


def _provenance(
    genome: Genome, tracks: Sequence[Track], source: Path, options: BinOptions, further: Mapping[str, Path | None]
) -> dict[str, object]:
    """further: files besides the peaks, by what they are for"""
    base = source if source.is_dir() else source.parent
    facts: dict[str, object] = {
        "kind": "chromatin",
        "window": options.window,
        "contigs": list(genome.contigs),
        "options": asdict(options),
        "reference": genome.told(),
        "peaks": {os.path.relpath(track.path, base): file_sha256(track.path) for track in tracks},
    }
    return facts | {use: {path.name: file_sha256(path)} for use, path in further.items() if path is not None}
