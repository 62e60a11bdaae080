"""ChIP-seq peaks and DNase into a data set of transcription-factor binding across cell types, as ENCODE-DREAM has it.

An example is a 200-bp bin of one cell type, every 50 bp, with 400 bp on either side; a task is a factor. A bin is bound
when 100 of its bases or more lie under conservative peaks. It is ambiguous when it is not, but touches a peak of the
relaxed set, if there is one. A factor that was not measured in a cell type, or whose peaks name no place on a
chromosome, is unknown there.

Training sees the bins that touch a DNase peak of their cell type and a sample of the others; a test sees every bin of
its cell types and chromosomes, which training sees none of.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.cells import Chip, find_chip, match_cells
from varscore.datasets.examples import SPLITS, pack_windows, write_examples
from varscore.datasets.peaks import BinOptions, split_contigs
from varscore.datasets.signal import (
    Along,
    Expression,
    bigwig_signal,
    filled,
    log_signal,
    moments,
    read_expression,
    read_peak_signal,
)
from varscore.datasets.spans import Spans, covered, merge_spans, read_union
from varscore.datasets.tss import known_runs
from varscore.errors import DataError, UsageError
from varscore.genome.sequence import Genome
from varscore.storage.digest import file_sha256
from varscore.tasks import Task

SYSTEM = "binding"
DNASE = "DNase"
UNBOUND, AMBIGUOUS, BOUND, UNKNOWN = range(4)
STATES = ("unbound", "ambiguous", "bound", "unknown")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BindingOptions:
    """How the genome is cut, what is bound, and which bins are kept."""

    bin: int = 200
    stride: int = 50
    window: int = 1000
    bound: int = 100
    """Bases of a bin under conservative peaks that make it bound"""
    ambiguous: str = "unbound"
    """What an ambiguous bin counts as: ``unbound``, or ``unknown``"""
    others: int = 100_000
    """Bins without a DNase peak that a cell type has in training and validation, at most"""
    factors: tuple[str, ...] = ()
    """Empty: all there are"""
    cells: tuple[str, ...] = ()
    """Empty: all there are"""
    test_cells: tuple[str, ...] = ()
    """Cell types of the test split alone. Empty: the test is of all cell types"""
    validation: tuple[str, ...] = ("chr7",)
    test: tuple[str, ...] = ("chr8", "chr9")
    seed: int = 0

    def __post_init__(self) -> None:
        if self.window < self.bin or (self.window - self.bin) % 2:
            raise UsageError(f"a bin of {self.bin} bp cannot stand in the middle of a window of {self.window}")
        if not 0 < self.bound <= self.bin:
            raise UsageError(f"{self.bound} bases of a bin of {self.bin} cannot be bound")

    @property
    def flank(self) -> int:
        """Bases of the window on either side of its bin."""
        return (self.window - self.bin) // 2


@dataclass(frozen=True)
class Sources:
    """Where everything comes from."""

    chip: Path
    """Folder or table, see :func:`find_chip`"""
    dnase: Path
    """Folder or table of peak files, see :func:`match_cells`"""
    relaxed: Path | None = None
    dnase_signal: Path | None = None
    """Folder or table of bigWigs; without it the signal is that of the peaks"""
    signal_column: int | None = None
    shape: Mapping[str, Path] = field(default_factory=dict)
    """Name -> bigWig"""
    expression: Path | None = None
    exclude: Path | None = None
    """Windows that touch these intervals are left out"""


@dataclass(frozen=True)
class Cell:
    """A cell type: its ChIP-seq peaks, by factor, its open chromatin, and what it is for."""

    name: str
    chips: Mapping[str, Chip]
    open: Spans
    signal: Along
    files: tuple[Path, ...]
    trains: bool
    tests: bool


@dataclass(frozen=True)
class Grid:
    """n bins of a genome, in its order. contig: int16 or int32, into its contigs; start: int64; split: uint8"""

    contig: NDArray[np.signedinteger]
    start: NDArray[np.int64]
    split: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, chosen: NDArray[np.bool_]) -> Grid:
        return Grid(self.contig[chosen], self.start[chosen], self.split[chosen])

    def under(self, union: Spans, contigs: Sequence[str], left: int, right: int) -> NDArray[np.int64]:
        """int64 (n,): bases of ``[start + left, start + right)`` of each bin under disjoint sorted intervals."""
        bases = np.zeros(len(self), np.int64)
        for number, contig in enumerate(contigs):
            if contig in union:
                rows = slice(*np.searchsorted(self.contig, [number, number + 1]))
                bases[rows] = covered(union[contig], self.start[rows] + left, self.start[rows] + right)
        return bases


def lay_bins(genome: Genome, split_of: NDArray[np.uint8], options: BindingOptions) -> Grid:
    """The bins at multiples of the stride whose window has no unknown base. split_of: uint8 (contigs,)"""
    starts: list[NDArray[np.int64]] = []
    for name in genome.contigs:
        runs = known_runs(genome, name) + [options.flank, -(options.flank + options.bin)]
        first, last = -(-runs[:, 0] // options.stride), runs[:, 1] // options.stride
        found = [np.arange(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
        starts.append(np.concatenate([np.zeros(0, np.int64), *found]) * options.stride)
    kind: type[np.signedinteger] = np.int16 if len(starts) < 2**15 else np.int32
    contig = np.repeat(np.arange(len(starts), dtype=kind), [len(some) for some in starts])
    return Grid(contig, np.concatenate(starts), split_of[contig])


def measured(chip: Chip, genome: Genome) -> tuple[Spans, Spans | None]:
    """The conservative peaks, and all that is not certainly unbound if there is a relaxed set: what each covers.

    A contig that neither names was not measured, and is in neither; one that any of them names is in both.
    """
    conservative = read_union(chip.conservative, genome)
    if chip.relaxed is None:
        return conservative, None
    relaxed, nothing = read_union(chip.relaxed, genome), np.zeros((0, 2), np.int64)
    contigs = [*conservative, *(contig for contig in relaxed if contig not in conservative)]
    certain = {contig: conservative.get(contig, nothing) for contig in contigs}
    wide = {c: merge_spans(np.concatenate([certain[c], relaxed.get(c, nothing)])) for c in contigs}
    return certain, wide


def label_bins(
    grid: Grid, conservative: Spans, relaxed: Spans | None, contigs: Sequence[str], options: BindingOptions
) -> NDArray[np.uint8]:
    """The state of each bin for one factor in one cell type, uint8 (n,): see ``STATES``."""
    states = np.full(len(grid), UNBOUND, np.uint8)
    if relaxed is not None:
        states[grid.under(relaxed, contigs, 0, options.bin) > 0] = AMBIGUOUS
    states[grid.under(conservative, contigs, 0, options.bin) >= options.bound] = BOUND
    states[~np.array([contig in conservative for contig in contigs])[grid.contig]] = UNKNOWN
    return states


def choose_bins(
    grid: Grid, opened: NDArray[np.bool_], there: NDArray[np.bool_], cell: Cell, options: BindingOptions
) -> NDArray[np.bool_]:
    """The bins of a cell type that the data set is to have: bool (n,).

    opened: bool (n,), touches a DNase peak; there: bool (n,), on a contig where some factor was measured
    """
    keep: NDArray[np.bool_] = (grid.split == 2) & cell.tests & there
    if cell.trains:
        learnt = (grid.split < 2) & there
        keep |= learnt & opened
        others = np.flatnonzero(learnt & ~opened)
        if len(others) > options.others:
            random = np.random.default_rng((options.seed, zlib.crc32(cell.name.encode())))
            others = random.choice(others, options.others, replace=False)
        keep[others] = True
    return keep


def find_cells(genome: Genome, sources: Sources, options: BindingOptions) -> tuple[tuple[str, ...], list[Cell]]:
    """The factors and the cell types that have both ChIP-seq and DNase. Raises DataError for a name that is nowhere."""
    chips = find_chip(sources.chip, sources.relaxed)
    _demand("factor", options.factors, {chip.factor for chip in chips})
    chips = [chip for chip in chips if not options.factors or chip.factor in options.factors]
    wanted = {*options.cells, *options.test_cells}
    _demand("cell type", sorted(wanted), {chip.cell for chip in chips})
    if options.cells:
        chips = [chip for chip in chips if chip.cell in wanted]
    names = sorted({chip.cell for chip in chips})
    peaks = match_cells(sources.dnase, names)
    signals = match_cells(sources.dnase_signal, names) if sources.dnase_signal else peaks
    without = [name for name in names if name not in peaks or name not in signals]
    if without:
        log.warning("no DNase for %s: left out", ", ".join(without))
    _demand("DNase file for", options.test_cells, {name for name in names if name not in without})
    cells = []
    for name in names:
        if name not in without:
            own = {chip.factor: chip for chip in chips if chip.cell == name}
            signal = signals[name] if sources.dnase_signal else None
            cells.append(_open_cell(name, own, genome, peaks[name], signal, sources.signal_column, options))
    if not any(cell.trains for cell in cells):
        raise DataError("no cell type is left to train on", where=sources.chip, remedy="fewer `test_cells`")
    return tuple(sorted({factor for cell in cells for factor in cell.chips})), cells


def _demand(what: str, names: Sequence[str], there: set[str]) -> None:
    for name in names:
        if name not in there:
            raise DataError(f"no {what} {name!r}", remedy=f"one of {', '.join(sorted(there))}")


def _open_cell(
    name: str,
    chips: Mapping[str, Chip],
    genome: Genome,
    peaks: Path,
    bigwig: Path | None,
    column: int | None,
    options: BindingOptions,
) -> Cell:
    if bigwig is None:
        heights = read_peak_signal(peaks, genome, column)
        union, signal = heights.union, log_signal(heights.along)
    else:
        union, signal = read_union(peaks, genome), filled(log_signal(bigwig_signal(bigwig, genome)))
    own = [path for chip in chips.values() for path in (chip.conservative, chip.relaxed) if path is not None]
    files = (*own, peaks, *([bigwig] if bigwig else []))
    trains, tests = name not in options.test_cells, name in options.test_cells or not options.test_cells
    return Cell(name, chips, union, signal, files, trains, tests)


def build_binding(genome: Genome, sources: Sources, folder: Path, options: BindingOptions) -> dict[str, int]:
    """Build the data set; returns counts. Raises DataError when nothing is bound in training, or in the test."""
    contigs = list(genome.contigs)
    split_of = split_contigs(contigs, BinOptions(validation=options.validation, test=options.test))
    grid = lay_bins(genome, split_of, options)
    if sources.exclude is not None:
        union = read_union(sources.exclude, genome, demanded=True)
        grid = grid.take(grid.under(union, contigs, -options.flank, options.bin + options.flank) == 0)
    factors, cells = find_cells(genome, sources, options)
    parts, counts = [], dict.fromkeys((*SPLITS, "touching DNase", "not measured"), 0)
    for cell in cells:
        peaks = {factor: measured(chip, genome) for factor, chip in cell.chips.items()}
        there = np.array([any(contig in certain for certain, _ in peaks.values()) for contig in contigs])[grid.contig]
        opened = grid.under(cell.open, contigs, 0, options.bin) > 0
        kept = grid.take(choose_bins(grid, opened, there, cell, options))
        states = np.full((len(kept), len(factors)), UNKNOWN, np.uint8)
        for factor, (certain, wide) in peaks.items():
            states[:, factors.index(factor)] = label_bins(kept, certain, wide, contigs, options)
        known = np.any(_known(states, options), axis=1)
        parts.append((kept.take(known), states[known]))
        wanted = np.where(grid.split == 2, cell.tests, cell.trains & opened)
        counts["not measured"] += int(np.count_nonzero(wanted & ~there))
        counts["touching DNase"] += int(np.count_nonzero(parts[-1][0].under(cell.open, contigs, 0, options.bin)))
    for number, name in enumerate(SPLITS):
        counts[name] = sum(int(np.count_nonzero(part.split == number)) for part, _ in parts)
    _demand_bound(parts, sources)
    shape, facts = _shape(genome, sources.shape, split_of)
    expression = None
    if sources.expression:
        expression = read_expression(sources.expression, [c.name for c in cells], [c.trains for c in cells])
    facts |= _provenance(genome, sources, cells, options, counts)
    _write(folder, genome, parts, cells, factors, shape, expression, facts, options)
    return counts


def _known(states: NDArray[np.uint8], options: BindingOptions) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = states != UNKNOWN
    return known & (states != AMBIGUOUS) if options.ambiguous == "unknown" else known


def _demand_bound(parts: Sequence[tuple[Grid, NDArray[np.uint8]]], sources: Sources) -> None:
    for number, name in enumerate(SPLITS):
        if not any((states[grid.split == number] == BOUND).any() for grid, states in parts):
            cause = "no peak lies in its known sequence, or its chromosomes were not measured"
            raise DataError(f"no bin of the {name} split is bound", where=sources.chip, cause=cause)


def _shape(
    genome: Genome, tracks: Mapping[str, Path], split_of: NDArray[np.uint8]
) -> tuple[dict[str, Along], dict[str, object]]:
    """Tracks standardised over the known bases of training contigs, and the mean and deviation of each."""
    if not tracks:
        return {}, {}
    train = [contig for contig, split in zip(genome.contigs, split_of.tolist(), strict=True) if split == 0]
    stretches = [(contig, a, b) for contig in train for a, b in known_runs(genome, contig).tolist()]
    raw = {name: bigwig_signal(path, genome) for name, path in tracks.items()}
    found = {name: moments(along, stretches) for name, along in raw.items()}
    return {name: filled(along, *found[name]) for name, along in raw.items()}, {"standardised": found}


def _provenance(
    genome: Genome, sources: Sources, cells: Sequence[Cell], options: BindingOptions, counts: Mapping[str, int]
) -> dict[str, object]:
    files = [path for cell in cells for path in cell.files] + list(sources.shape.values())
    files += [path for path in (sources.expression, sources.exclude) if path is not None]
    return {
        "kind": "labels",
        "system": SYSTEM,
        "window": options.window,
        "contigs": list(genome.contigs),
        "cells": [cell.name for cell in cells],
        "options": asdict(options),
        "reference": genome.told(),
        "sources": {f"{path.parent.name}/{path.name}": file_sha256(path) for path in files},
        "exclude": {path.name: file_sha256(path) for path in (sources.exclude,) if path is not None},
        "counts": dict(counts),
    }


def _write(
    folder: Path,
    genome: Genome,
    parts: Sequence[tuple[Grid, NDArray[np.uint8]]],
    cells: Sequence[Cell],
    factors: Sequence[str],
    shape: Mapping[str, Along],
    expression: Expression | None,
    facts: Mapping[str, object],
    options: BindingOptions,
) -> None:
    contigs = list(genome.contigs)
    states = np.concatenate([states for _, states in parts])
    cell = np.repeat(np.arange(len(cells), dtype=np.int16), [len(grid) for grid, _ in parts])
    contig, start, split = (np.concatenate([getattr(g, n) for g, _ in parts]) for n in ("contig", "start", "split"))
    first = start - options.flank
    # a cell type's copy of a contig is a contig of its own: windows of two cell types never share a stretch
    stretches, offset = pack_windows(cell.astype(np.int64) * len(contigs) + contig, first, options.window)
    places = [(*divmod(key, len(contigs)), a, b) for key, a, b in stretches.tolist()]
    arrays = {
        "offset": offset,
        "contig": contig,
        "start": first,
        "split": split,
        "cell": cell,
        "labels": np.packbits(states == BOUND, axis=1),
        "known": np.packbits(_known(states, options), axis=1),
    }
    if expression is not None:
        arrays["scalars"] = expression.values[cell]

    def tracks() -> Iterator[NDArray[np.float32]]:
        for owner, number, a, b in places:
            yield np.stack([along(contigs[number], a, b) for along in (cells[owner].signal, *shape.values())])

    scalars = list(expression.genes) if expression else []
    write_examples(
        folder,
        info={**facts, "tracks": [DNASE, *shape], "scalars": scalars},
        tasks=[Task(i, factor, "TF", _state_counts(states[:, i])) for i, factor in enumerate(factors)],
        codes=(genome.codes(contigs[number], a, b) for _, number, a, b in places),
        bases=int((stretches[:, 2] - stretches[:, 1]).sum()),
        arrays=arrays,
        tracks=tracks(),
    )


def _state_counts(states: NDArray[np.uint8]) -> dict[str, str]:
    counts = np.bincount(states, minlength=len(STATES)).tolist()
    return {name: str(n) for name, n in zip(STATES, counts, strict=True)}
