"""Sequences that a factor binds, and sequences that it does not, into a data set of transcription-factor binding.

They come as DeepBind's ``.seq`` tables, as FASTA files, or as peaks on a genome. Where nothing unbound is given, every
bound sequence gets a dinucleotide shuffle of itself, as DeepBind's test sequences have; the two are of the same split.

Bound sequences keep their order: the first are the strongest in DeepBind's tables, and in peaks with a signal.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.examples import SPLITS, write_examples
from varscore.datasets.shuffle import shuffle_dinucleotides
from varscore.datasets.spans import chains, read_lines
from varscore.errors import DataError, UsageError
from varscore.formats.fasta import read_fasta
from varscore.formats.lines import demand_columns
from varscore.formats.regions import demand_one_interval
from varscore.genome.contigs import match_contigs
from varscore.genome.coords import Interval, whole_number
from varscore.genome.sequence import UNKNOWN, Genome, encode, reverse_complement
from varscore.storage.digest import file_sha256
from varscore.tasks import Task

SYSTEM = "tfbs"
TRAINED = "bound, not for the test"
"""The count of positive examples to train and validate with"""
TRAINING_END, TEST_END = "_AC", "_B"
"""How the names of DeepBind's files end: training folds A and C, test fold B"""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TfbsOptions:
    """How sequences become examples."""

    window: int = 101
    validation: float = 0.1
    """Share of what is not for the test"""
    test_share: float = 0.2
    """Share drawn for the test where no test sequences are given; not of peaks"""
    test: tuple[str, ...] = ("chr8", "chr9")
    """Contigs whose peaks are for the test"""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1 or not 0 < self.test_share < 1:
            raise UsageError("the shares of validation and test are between 0 and 1")


class Read(NamedTuple):
    """codes: uint8 (length,), of any length; bound: whether the factor binds it."""

    name: str
    codes: NDArray[np.uint8]
    bound: bool


@dataclass(frozen=True)
class Examples:
    """n windows. codes: uint8 (n, window); bound: bool (n,); split: uint8 (n,); contig: int16 and start: int64 (n,),
    where they lie if they are of a genome."""

    names: Sequence[str]
    codes: NDArray[np.uint8]
    bound: NDArray[np.bool_]
    split: NDArray[np.uint8]
    contigs: Sequence[str] = ("none",)
    contig: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    start: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


# reading


def read_seq(path: Path) -> list[Read]:
    """The sequences of a DeepBind table, plain or gzipped: columns ``EventID``, ``seq`` and ``Bound`` (1 or 0).

    Raises DataError with the line number.
    """
    found = []
    for number, line in enumerate(read_lines(path), 1):
        cells = line.decode("utf-8", "replace").split("\t")
        if number == 1:
            columns, width = _columns(cells, path), len(cells)
        elif cells != [""]:
            demand_columns(len(cells), width, f"{path} line {number}")
            found.append(_sequence(cells, columns, f"{path} line {number}"))
    if not found:
        raise DataError("no sequence", where=path)
    return found


def _columns(header: list[str], path: Path) -> tuple[int, ...]:
    missing = [name for name in ("EventID", "seq", "Bound") if name not in header]
    if missing:
        raise DataError(f"no column {missing[0]!r}", where=path, remedy="DeepBind's have FoldID, EventID, seq, Bound")
    return tuple(header.index(name) for name in ("EventID", "seq", "Bound"))


def _sequence(cells: list[str], columns: tuple[int, ...], where: str) -> Read:
    name, letters, bound = (cells[column] for column in columns)
    if bound not in ("0", "1"):
        raise DataError(f"Bound is {bound!r}", where=where, remedy="1 for bound, 0 for not bound")
    if not letters or not letters.isascii() or not letters.isalpha():
        raise DataError("not a sequence", where=where)
    return Read(name, encode(letters.encode()), bound == "1")


def read_fastas(bound: Path, unbound: Path | None) -> list[Read]:
    """The sequences of one FASTA, and of a second those that are not bound. Raises DataError."""
    files = [(bound, True), *([(unbound, False)] if unbound else [])]
    return [
        Read(record.name, encode(record.sequence), is_bound)
        for path, is_bound in files
        for record in read_fasta(str(path))
    ]


def test_file(path: Path) -> tuple[str, Path | None]:
    """The name of a training file's data set, and its test file if that lies beside it."""
    stem, dot, end = path.name.partition(".seq")
    stem = stem.removesuffix(TRAINING_END)
    beside = path.with_name(f"{stem}{TEST_END}{dot}{end}")
    return stem, beside if beside != path and beside.exists() else None


def pairs_of(folder: Path) -> tuple[dict[str, tuple[Path, Path | None]], list[str]]:
    """DeepBind's files in a folder: name -> training file and, if it is there, its test file; and the names of test
    files without a training file. Raises DataError when there is nothing to train on.
    """
    files = sorted(folder.glob("*.seq*"))
    pairs = {}
    for path in files:
        if not path.name.partition(".seq")[0].endswith(TEST_END):
            name, beside = test_file(path)
            pairs[name] = (path, beside)
    if not pairs:
        raise DataError("no training sequences", where=folder, remedy=f"files such as NAME{TRAINING_END}.seq.gz")
    used = {path for pair in pairs.values() for path in pair}
    return pairs, [path.name.partition(".seq")[0].removesuffix(TEST_END) for path in files if path not in used]


# examples


def fit(codes: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    """The middle ``window`` bases of a sequence, or all of them in the middle of unknown ones. uint8 (window,)"""
    cut = max(len(codes) - window, 0)
    inner = codes[cut // 2 : cut // 2 + window]
    before = (window - len(inner)) // 2
    return np.pad(inner, (before, window - len(inner) - before), constant_values=UNKNOWN)


def with_negatives(sequences: Sequence[Read], window: int, random: np.random.Generator) -> list[Read]:
    """The sequences, no longer than the window, and shuffles of the bound ones if no other is there."""
    cut = [Read(s.name, s.codes if len(s.codes) <= window else fit(s.codes, window), s.bound) for s in sequences]
    if not all(sequence.bound for sequence in cut):
        return cut
    lengths = np.array([len(sequence.codes) for sequence in cut])
    shuffled: list[NDArray[np.uint8]] = [np.zeros(0, np.uint8)] * len(cut)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length).tolist()
        orders = shuffle_dinucleotides(np.stack([cut[row].codes for row in rows]), random)
        for row, order in zip(rows, orders, strict=True):
            shuffled[row] = order
    return cut + [Read(f"{s.name}:shuffled", order, False) for s, order in zip(cut, shuffled, strict=True)]


def without_repeats(sequences: Sequence[Read], window: int, before: set[bytes]) -> list[Read]:
    """Those of whose bases a network sees what has not come yet, on either strand; ``before`` remembers what has."""
    kept = []
    for sequence in sequences:
        codes = fit(sequence.codes, window)
        key = min(codes.tobytes(), reverse_complement(codes).tobytes())
        if key not in before:
            kept.append(sequence)
            before.add(key)
    return kept


def draw(bound: NDArray[np.bool_], share: float, paired: bool, random: np.random.Generator) -> NDArray[np.bool_]:
    """bool (n,): about a share of the examples. ``paired``: the first half are bound, the second their shuffles."""
    n = len(bound) // 2 if paired else len(bound)
    chosen = random.random(n) < share
    return np.tile(chosen, 2) if paired else chosen


def build_sequences(
    name: str,
    train: Sequence[Read],
    test: Sequence[Read],
    sources: Sequence[Path],
    folder: Path,
    options: TfbsOptions,
) -> dict[str, int]:
    """Build a data set; without ``test`` some of ``train`` are drawn for the test. Returns counts.

    What comes twice counts once, and for the test if it is there; so does what differs outside the window, or is the
    other strand. Raises DataError.
    """
    random = np.random.default_rng((options.seed, 0))
    seen: set[bytes] = set()
    last = without_repeats(test, options.window, seen)
    first = without_repeats(train, options.window, seen)
    repeats = len(train) + len(test) - len(first) - len(last)
    parts, splits = [], []
    for part, is_test in ((first, False), (last, True)):
        if not any(sequence.bound for sequence in part):
            if is_test:
                continue
            raise DataError("no bound sequence to train on", where=sources[0])
        paired = all(sequence.bound for sequence in part)
        if paired and not all(sequence.bound for sequence in (test if is_test else train)):
            raise DataError("no unbound sequence is left", where=sources[0], cause="all of them are bound ones, too")
        part = with_negatives(part, options.window, random)
        bound = np.array([sequence.bound for sequence in part])
        split = draw(bound, options.validation, paired, random).astype(np.uint8)
        if not test:
            split[draw(bound, options.test_share, paired, random)] = 2
        parts += part
        splits.append(np.full(len(part), 2, np.uint8) if is_test else split)
    examples = Examples(
        [sequence.name for sequence in parts],
        np.stack([fit(sequence.codes, options.window) for sequence in parts]),
        np.array([sequence.bound for sequence in parts]),
        np.concatenate(splits),
    )
    return _write(folder, name, sources, examples, options, {"repeats left out": repeats}, {})


# peaks


class Peak(NamedTuple):
    contig: str
    site: int
    """The summit where the file has one, else the middle"""
    signal: float


def read_peaks(path: Path) -> list[Peak]:
    """BED or narrowPeak, plain or gzipped; the strongest first where there is a signal. Raises DataError."""
    lines = [line.decode("utf-8", "replace").split() for line in read_lines(path)]
    peaks, width = [], 0
    for number, cells in enumerate(lines, 1):
        if not cells or cells[0].startswith(("#", "track", "browser")):
            width = 0 if cells and cells[0] == "track" else width
            continue
        try:
            start, end, narrow = whole_number(cells[1]), whole_number(cells[2]), len(cells) >= 10
            signal, summit = (float(cells[6]), int(cells[9])) if narrow else (0.0, -1)
        except (IndexError, ValueError):
            start, end, signal = 0, -1, 0.0
        if not (0 <= start < end and math.isfinite(signal)):
            raise DataError("not a peak", where=f"{path} line {number}", remedy="BED or narrowPeak: contig, start, end")
        demand_one_interval([cell.encode() for cell in cells], width := width or len(cells), f"{path} line {number}")
        peaks.append(Peak(cells[0], start + summit if 0 <= summit < end - start else (start + end) // 2, signal))
    return sorted(peaks, key=lambda peak: -peak.signal)


def build_peaks(name: str, genome: Genome, path: Path, folder: Path, options: TfbsOptions) -> dict[str, int]:
    """Build a data set of windows around peaks, and their shuffles; returns counts, of unusable peaks too.

    Peaks without signals are put in random order. Raises DataError.
    """
    random = np.random.default_rng((options.seed, 0))
    peaks = read_peaks(path)
    if len({peak.signal for peak in peaks}) < 2:
        peaks = [peaks[row] for row in random.permutation(len(peaks)).tolist()]
    match = match_contigs(dict.fromkeys(peak.contig for peak in peaks), genome)
    contigs = list(genome.contigs)
    names = [match[peak.contig] for peak in peaks]
    start = [peak.site - options.window // 2 for peak in peaks]
    places = list(dict.fromkeys((contigs.index(c), at) for c, at in zip(names, start, strict=True) if c is not None))
    contig, begin = np.array(places, np.int64).reshape(-1, 2).T
    codes = np.full((len(places), options.window), UNKNOWN, np.uint8)
    for number in np.unique(contig).tolist():
        rows = np.flatnonzero(contig == number)
        codes[rows] = genome.windows(contigs[number], begin[rows], options.window)
    known = ~(codes == UNKNOWN).any(1)
    counts = {
        "peaks": len(peaks),
        "peaks off the FASTA": names.count(None),
        "peaks in one place": len(peaks) - names.count(None) - len(places),
        "peaks in unknown sequence": int(np.count_nonzero(~known)),
    }
    if not known.any():
        raise DataError("no peak lies in known sequence", where=path, remedy="the FASTA of their assembly")
    contig, begin, codes = contig[known], begin[known], codes[known]
    held_out = {name.removeprefix("chr") for name in options.test}
    test = np.array([contigs[number].removeprefix("chr") in held_out for number in contig.tolist()])
    _, first, group = np.unique(chains(contig, begin, options.window), return_index=True, return_inverse=True)
    drawn = random.random(len(test))[first[group]]  # what overlaps is in one split
    split = np.where(test, 2, drawn < options.validation).astype(np.uint8)
    spans = [
        str(Interval(contigs[number], at, at + options.window))
        for number, at in zip(contig.tolist(), begin.tolist(), strict=True)
    ]
    examples = Examples(
        [*spans, *(f"{span}:shuffled" for span in spans)],
        np.concatenate([codes, shuffle_dinucleotides(codes, random)]),
        np.repeat([True, False], len(codes)),
        np.tile(split, 2),
        contigs,
        np.tile(contig, 2).astype(np.int16),
        np.tile(begin, 2),
    )
    reference = {"reference": genome.told()}
    return _write(folder, name, [path], examples, options, counts, reference)


def _write(
    folder: Path,
    name: str,
    sources: Sequence[Path],
    examples: Examples,
    options: TfbsOptions,
    counts: Mapping[str, int],
    more: Mapping[str, object],
) -> dict[str, int]:
    n, window = examples.codes.shape
    found = {part: int(np.count_nonzero(examples.split == number)) for number, part in enumerate(SPLITS)}
    empty = [part for part, number in found.items() if not number]
    if empty:
        raise DataError(f"no example is left for the {empty[0]} split", where=sources[0], cause=f"there are {n}")
    found |= {TRAINED: int(np.count_nonzero(examples.bound & (examples.split < 2))), **counts}
    info: dict[str, object] = {
        "kind": "labels",
        "system": SYSTEM,
        "window": window,
        "contigs": list(examples.contigs),
        "options": asdict(options),
        "sources": {path.name: file_sha256(path) for path in sources},
        "counts": found,
        **more,
    }
    write_examples(
        folder,
        info=info,
        tasks=[Task(0, name, "TF")],
        codes=examples.codes,
        bases=n * window,
        arrays={
            "offset": np.arange(n) * window,
            "contig": examples.contig if len(examples.contig) else np.zeros(n, np.int16),
            "start": examples.start if len(examples.start) else np.arange(n) * window,
            "labels": np.packbits(examples.bound[:, None].astype(np.uint8), axis=1),
            "split": examples.split,
        },
        names=list(examples.names),
    )
    return found
