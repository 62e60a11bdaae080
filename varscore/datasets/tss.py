"""CAGE peaks and a genome into a data set of transcription start sites: sharp, broad, and background.

An example is a window in the direction of transcription: what a minus-strand peak gives is reverse-complemented. The
peak's representative base (its summit where the file has one, else its middle) is at index ``window // 2``, 100 of 200:
half of the window is upstream of it. Background windows lie at random on either strand and touch no peak of either.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.examples import SPLITS, write_examples
from varscore.datasets.spans import chains, merge_spans, read_lines
from varscore.errors import DataError, UsageError
from varscore.formats.lines import demand_columns, table_rows
from varscore.formats.regions import demand_one_interval
from varscore.genome.contigs import match_contigs
from varscore.genome.coords import Interval, whole_number
from varscore.genome.sequence import UNKNOWN, Genome, reverse_complement
from varscore.storage.digest import file_sha256
from varscore.tasks import Task

TASKS = (Task(0, "sharp", "TSS"), Task(1, "broad", "TSS"), Task(2, "background", "none"))
SHARP, BROAD, BACKGROUND = range(3)
BEFORE, AFTER = 2000, 200
"""Bases around start sites whose frequencies are what contributions are compared with"""
SYSTEM = "tss"
log = logging.getLogger(__name__)
_RANGE = re.compile(r"\((\d+), ?(\d+)\)")
_CHUNK = 1 << 22


@dataclass(frozen=True)
class TssOptions:
    """How peaks become examples."""

    window: int = 200
    sharp: int = 11
    """Widest peak, in bp, that is sharp"""
    peak_share: float = 0.1
    """Of all examples"""
    validation: float = 0.2
    """Share of what is not held out for test"""
    test: tuple[str, ...] = ("chr1", "chr8", "chr21")
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.peak_share < 1 or not 0 < self.validation < 1:
            raise UsageError("the shares of peaks and of validation are between 0 and 1")

    @property
    def index(self) -> int:
        """Of the representative base in a window."""
        return self.window // 2


class Peak(NamedTuple):
    """A CAGE peak ``[start, end)``, 0-based; ``site`` is its representative base."""

    contig: str
    start: int
    end: int
    strand: str
    site: int


@dataclass(frozen=True)
class Sites:
    """n windows of a genome. contig: int64 (n,), into its contigs; start: int64 (n,); minus: bool (n,), the strand;
    kind: int64 (n,), the task."""

    contig: NDArray[np.int64]
    start: NDArray[np.int64]
    minus: NDArray[np.bool_]
    kind: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: NDArray[np.int64]) -> Sites:
        return Sites(self.contig[rows], self.start[rows], self.minus[rows], self.kind[rows])


def middle(start: int, end: int, strand: str) -> int:
    """Base number ``width // 2`` of an interval, counted in the direction of transcription."""
    return start + (end - start) // 2 if strand == "+" else end - 1 - (end - start) // 2


def read_peaks(path: Path) -> list[Peak]:
    """The peaks of a BED file with strands, or of a table of genes, as they come, plain or gzipped.

    BED: columns 7 and 8 (thickStart, thickEnd) are the summit where they are one base inside the peak. A table has a
    header line with ``chromosome`` and ``strand``, and cells with ranges such as ``(100, 120)`` (0-based, half-open) in
    any other columns. Raises DataError.
    """
    lines = [line.decode("utf-8", "replace") for line in read_lines(path)]
    header = next((line for line in lines if line and not line.startswith(("#", "track", "browser"))), "")
    if {"chromosome", "strand"} <= set(header.split("\t")):
        peaks = list(_table_peaks(lines, path))
    else:
        peaks = list(_bed_peaks(lines, path))
    if not peaks:
        raise DataError("no CAGE peak", where=path, remedy="BED with strands, or a table with ranges like (100, 120)")
    return peaks


def _is_interval(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(("#", "track", "browser"))


def _bed_peaks(lines: Sequence[str], path: Path) -> Iterator[Peak]:
    width = 0
    for number, line in enumerate(lines, 1):
        if _is_interval(line):
            fields, where = line.split("\t") if "\t" in line else line.split(), f"{path} line {number}"
            peak = _bed_peak(fields, where)
            demand_one_interval([field.encode() for field in fields], width := width or len(fields), where)
            yield peak
        elif line.startswith("track"):
            width = 0


def _table_peaks(lines: Sequence[str], path: Path) -> Iterator[Peak]:
    table = ((number, cells) for number, cells in table_rows(lines, "\t", str(path)) if cells)
    header = next(cells for _, cells in table if {"chromosome", "strand"} <= set(cells))
    for number, cells in table:
        where = f"{path} line {number}"
        demand_columns(len(cells), len(header), where)
        row = dict(zip(header, cells, strict=True))
        contig, strand = row.pop("chromosome"), row.pop("strand")
        for first, last in _RANGE.findall(" ".join(row.values())):
            start, end = int(first), int(last)
            if not start < end or strand not in ("+", "-"):
                raise DataError("not a peak", where=where, cause=f"{start} to {end} on strand {strand!r}")
            yield Peak(contig, start, end, strand, middle(start, end, strand))


def _bed_peak(fields: Sequence[str], where: str) -> Peak:
    try:
        contig, start, end = fields[0], whole_number(fields[1]), whole_number(fields[2])
        strand, summit = fields[5], [whole_number(field) for field in fields[6:8]]
    except (IndexError, ValueError):
        raise DataError("not a BED line with a strand", where=where, remedy="the strand is column 6") from None
    if not start < end or strand not in ("+", "-"):
        raise DataError("not a peak", where=where, cause=f"{start} to {end} on strand {strand!r}")
    stated = len(summit) == 2 and summit[1] - summit[0] == 1 and start <= summit[0] < end
    return Peak(contig, start, end, strand, summit[0] if stated else middle(start, end, strand))


def known_runs(genome: Genome, contig: str) -> NDArray[np.int64]:
    """Stretches of a contig without an unknown base: int64 (m, 2), sorted, disjoint, not touching."""
    found = [np.zeros((0, 2), np.int64)]
    for first in range(0, genome.contigs[contig], _CHUNK):
        known = genome.codes(contig, first, min(first + _CHUNK, genome.contigs[contig])) != UNKNOWN
        edges = np.flatnonzero(np.diff(known, prepend=False, append=False))
        found.append(edges.reshape(-1, 2) + first)
    return merge_spans(np.concatenate(found))


def without(spans: NDArray[np.int64], holes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted disjoint intervals, less what sorted disjoint ``holes`` cover. int64 (n, 2) each"""
    left: list[tuple[int, int]] = []
    behind = np.searchsorted(holes[:, 1], spans[:, 0], "right")
    for (start, end), at in zip(spans.tolist(), behind.tolist(), strict=True):
        while at < len(holes) and holes[at, 0] < end:
            if start < holes[at, 0]:
                left.append((start, int(holes[at, 0])))
            start, at = int(holes[at, 1]), at + 1
        if start < end:
            left.append((start, end))
    return np.array(left, np.int64).reshape(-1, 2)


def draw(spans: NDArray[np.int64], n: int, random: np.random.Generator) -> NDArray[np.int64]:
    """n different numbers out of the intervals, all alike likely; all there are, if there are fewer. int64, sorted"""
    sizes = spans[:, 1] - spans[:, 0]
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    drawn = np.sort(random.choice(total, min(n, total), replace=False)) if total else np.zeros(0, np.int64)
    span = np.searchsorted(ends, drawn, "right")
    numbers: NDArray[np.int64] = spans[span, 0] + drawn - (ends - sizes)[span]
    return numbers


def place_peaks(peaks: Sequence[Peak], names: Mapping[str, str | None], genome: Genome, options: TssOptions) -> Sites:
    """The windows around peaks whose contig the genome has."""
    index = {contig: number for number, contig in enumerate(genome.contigs)}
    here = [(index[name], peak) for peak in peaks if (name := names[peak.contig]) is not None]
    minus = np.array([peak.strand == "-" for _, peak in here], bool)
    site = np.array([peak.site for _, peak in here], np.int64)
    wide = np.array([peak.end - peak.start > options.sharp for _, peak in here], bool)
    # the window's base number ``index`` from its 5' end is the site, on either strand
    start = np.where(minus, site - (options.window - 1 - options.index), site - options.index)
    return Sites(np.array([n for n, _ in here], np.int64), start, minus, np.where(wide, BROAD, SHARP))


def cut(sites: Sites, genome: Genome, window: int) -> NDArray[np.uint8]:
    """The windows in the direction of transcription: uint8 (n, window)."""
    codes, contigs = np.empty((len(sites), window), np.uint8), list(genome.contigs)
    for number in np.unique(sites.contig).tolist():
        rows = np.flatnonzero(sites.contig == number)
        codes[rows] = genome.windows(contigs[number], sites.start[rows], window)
    codes[sites.minus] = reverse_complement(codes[sites.minus])
    return codes


def base_frequencies(sites: Sites, genome: Genome, options: TssOptions) -> list[float]:
    """Of A, C, G and T from 2000 bases before start sites to 200 behind them, in the direction of transcription.

    Four equal ones where no base is known.
    """
    counts, contigs = np.zeros(4), list(genome.contigs)
    end = options.window - 1 - options.index
    site = np.where(sites.minus, sites.start + end, sites.start + options.index)
    first = np.where(sites.minus, site - AFTER, site - BEFORE)
    for number in np.unique(sites.contig).tolist():
        for minus in (False, True):
            rows = np.flatnonzero((sites.contig == number) & (sites.minus == minus))
            codes = genome.windows(contigs[number], first[rows], BEFORE + AFTER + 1)
            found = np.bincount(codes.ravel(), minlength=5)[:4]
            counts += found[::-1] if minus else found
    total = counts.sum()
    return [round(float(count / total), 6) for count in counts] if total else [0.25] * 4


def draw_background(
    genome: Genome,
    spans: Mapping[str, NDArray[np.int64]],
    held_out: NDArray[np.bool_],
    wanted: Mapping[bool, int],
    options: TssOptions,
) -> Sites:
    """Random windows of known sequence that touch no peak, so many on held-out contigs and so many on others.

    spans: contig of the FASTA -> merged peaks; held_out: bool (contigs,).
    """
    random = np.random.default_rng((options.seed, 1))
    free: dict[bool, list[NDArray[np.int64]]] = {False: [], True: []}
    for number, contig in enumerate(genome.contigs):
        starts = known_runs(genome, contig) - np.array([0, options.window - 1])
        starts = starts[starts[:, 0] < starts[:, 1]]
        holes = spans.get(contig, np.zeros((0, 2), np.int64)) - np.array([options.window - 1, 0])
        # contigs end to end, apart from each other
        free[bool(held_out[number])].append(without(starts, merge_spans(holes)) + (number << 40))
    drawn = np.concatenate([draw(np.concatenate(free[part]), wanted[part], random) for part in (False, True)])
    if len(drawn) < sum(wanted.values()):
        log.warning("only %s windows are free of peaks, not %s", f"{len(drawn):,}", f"{sum(wanted.values()):,}")
    minus = random.random(len(drawn)) < 0.5
    return Sites(drawn >> 40, drawn & ((1 << 40) - 1), minus, np.full(len(drawn), BACKGROUND))


def split_sites(sites: Sites, held_out: NDArray[np.bool_], options: TssOptions) -> NDArray[np.uint8]:
    """uint8 (n,): test on held-out contigs, the rest at random, but overlapping windows together."""
    group = chains(sites.contig, sites.start, options.window)
    chosen = np.random.default_rng((options.seed, 2)).random(int(group.max(initial=-1)) + 1) < options.validation
    return np.where(held_out[sites.contig], 2, chosen[group]).astype(np.uint8)


def build_tss(genome: Genome, sources: Sequence[Path], folder: Path, options: TssOptions) -> dict[str, int]:
    """Build the data set; returns counts, of the peaks that could not be used too. Raises DataError."""
    found = [peak for path in sources for peak in read_peaks(path)]
    peaks = sorted(set(found))
    names = match_contigs(dict.fromkeys(peak.contig for peak in peaks), genome)
    held_out = _held_out(list(genome.contigs), options.test)
    placed = place_peaks(peaks, names, genome, options)
    known = ~(cut(placed, genome, options.window) == UNKNOWN).any(1)
    used = placed.take(np.flatnonzero(known))
    if not len(used):
        raise DataError("no peak lies in known sequence", where=genome.path.name, remedy="the FASTA of their assembly")
    each = np.count_nonzero(held_out[used.contig])
    ratio = (1 - options.peak_share) / options.peak_share
    wanted = {True: round(each * ratio), False: round((len(used) - each) * ratio)}
    background = draw_background(genome, _spans(peaks, names), held_out, wanted, options)
    columns = zip(*(vars(part).values() for part in (used, background)), strict=True)
    sites = Sites(*(np.concatenate(column) for column in columns))
    sites = sites.take(np.lexsort([sites.kind, sites.minus, sites.start, sites.contig]))
    split = split_sites(sites, held_out, options)
    counts = {name: int(np.count_nonzero(split == number)) for number, name in enumerate(SPLITS)}
    counts |= {task.name: int(np.count_nonzero(sites.kind == task.index)) for task in TASKS}
    counts |= {
        "peaks read": len(found),
        "peaks": len(peaks),
        "peaks off the FASTA": len(peaks) - len(placed),
        "peaks in unknown sequence": len(placed) - len(used),
    }
    learnt = used.take(np.flatnonzero(~held_out[used.contig]))
    _write(folder, genome, sources, sites, split, options, counts, base_frequencies(learnt, genome, options))
    return counts


def _held_out(contigs: Sequence[str], test: Sequence[str]) -> NDArray[np.bool_]:
    """bool (contigs,). Raises DataError when one of ``test`` is not there; ``1`` and ``chr1`` are the same."""
    bare = [name.removeprefix("chr") for name in contigs]
    missing = [name for name in test if name.removeprefix("chr") not in bare]
    if missing:
        raise DataError(f"no contig {missing[0]!r} to hold out", remedy="name contigs of the FASTA with `test`")
    return np.isin(bare, [name.removeprefix("chr") for name in test])


def _spans(peaks: Sequence[Peak], names: Mapping[str, str | None]) -> dict[str, NDArray[np.int64]]:
    """Contig of the FASTA -> what peaks of either strand cover, sorted and disjoint."""
    found: dict[str, list[tuple[int, int]]] = {}
    for peak in peaks:
        name = names[peak.contig]
        if name is not None:
            found.setdefault(name, []).append((peak.start, peak.end))
    return {name: merge_spans(np.array(spans, np.int64)) for name, spans in found.items()}


def _write(
    folder: Path,
    genome: Genome,
    sources: Sequence[Path],
    sites: Sites,
    split: NDArray[np.uint8],
    options: TssOptions,
    counts: Mapping[str, int],
    frequencies: Sequence[float],
) -> None:
    contigs, window, n = list(genome.contigs), options.window, len(sites)
    info: dict[str, object] = {
        "kind": "classes",
        "system": SYSTEM,
        "strands": "one",
        "window": window,
        "contigs": contigs,
        "options": asdict(options),
        "reference": genome.told(),
        "sources": {path.name: file_sha256(path) for path in sources},
        "counts": dict(counts),
        "frequencies": list(frequencies),
    }
    places = zip(sites.contig.tolist(), sites.start.tolist(), sites.minus.tolist(), strict=True)
    write_examples(
        folder,
        info=info,
        tasks=TASKS,
        codes=cut(sites, genome, window),
        bases=n * window,
        arrays={
            "offset": np.arange(n) * window,
            "contig": sites.contig.astype(np.int16),
            "start": sites.start,
            "labels": np.packbits(np.eye(len(TASKS), dtype=np.uint8)[sites.kind], axis=1),
            "split": split,
        },
        names=[f"{Interval(contigs[c], start, start + window)}:{'-' if minus else '+'}" for c, start, minus in places],
    )
