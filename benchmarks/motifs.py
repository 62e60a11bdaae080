"""Does a network know motifs? Prints Markdown tables, and writes the figures as JSON.

    python benchmarks/motifs.py [MODEL] [--data DIR] [--split SPLIT] [--motifs FILE] [--metrics FILE] [--json FILE]

Three questions about a model of chromatin, all asked of one split of a data set with every bin of its chromosomes:

factors   The consensus of a factor's matrix is put into 100 windows under no DNase peak and 100 under many, beside the
          same bases shuffled. Does the factor's own task prefer the site? p is of the sign test over all windows.
breaking  Each base of the strongest sites under a factor's peaks is changed into the other three. How far does its task
          go down with the change that is worst by the matrix, and (CTCF) with the one worst by the network itself?
matrices  How well does the network rank the bins of each transcription factor, beside the one matrix of all that
          ranks them best, be it by its best placement in the window or near the bin? Choosing the matrix on the very
          bins that are ranked favours the matrix.

--metrics takes the network's measures from the metrics.csv of `varscore evaluate` on the same bins, the longest part of
the work. Without --data the bins of chr8 and chr9 are cut out of shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from varscore.datasets.examples import ExampleSet
from varscore.datasets.peaks import BinOptions, build_peaks
from varscore.engine import SharedEngine
from varscore.engine.device import evaluating, pick_device
from varscore.errors import DataError
from varscore.evaluate import MIN_POSITIVES, average_precisions, predict_rows, score_tasks
from varscore.evaluate.flow import check_fits
from varscore.formats.motifs import Motif, read_motifs
from varscore.genome.coords import anchor
from varscore.genome.sequence import UNKNOWN, Genome
from varscore.genome.windows import Windows
from varscore.motifs.scan import Words, consensus, highest, log_odds, other_strand
from varscore.scoring.effects import effects
from varscore.zoo.models import ModelFolder, find_model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FACTORS = {
    "CTCF": "CTCF", "NRSF": "REST", "Nrf1": "NRF1", "YY1": "YY1", "USF1": "USF1", "Max": "MAX", "NF-YA": "NFYA",
    "SP1": "SP1", "Egr-1": "EGR1", "GABP": "GABPA", "PU.1": "SPI1", "EBF1": "EBF1", "PAX5-C20": "PAX5", "IRF4": "IRF4",
    "POU2F2": "POU2F2", "MEF2A": "MEF2A", "RUNX3": "RUNX3", "BATF": "BATF", "JunD": "JUND", "ATF3": "ATF3",
    "CEBPB": "CEBPB", "NFKB": "RELA", "STAT1": "STAT1", "SRF": "SRF", "RFX5": "RFX5", "Znf143": "ZNF143",
    "ZBTB33": "ZBTB33", "ZEB1": "ZEB1", "TCF12": "TCF12", "E2F4": "E2F4",
}  # fmt: skip
"""Mark of a track -> name of its matrix in JASPAR; one or two factors of every family of matrices"""
WINDOWS = 100
OPEN = 0.25
"""Share of the DNase tracks that an open window has peaks of"""
SITES = 100
BREAKS = "GM12878|CTCF"
NEAR = 50
"""Bases on either side of a bin in which a site is near it"""
RARE = 0.01
"""Significance"""


@dataclass(frozen=True)
class Bench:
    """A model, the examples it is asked about (``rows`` int64, ascending) and the matrices."""

    model: ModelFolder
    engine: SharedEngine
    data: ExampleSet
    rows: np.ndarray
    motifs: Sequence[Motif]
    metrics: Path | None = None

    def tasks(self, mark: str) -> list[int]:
        """The tasks of a factor, whatever the cell and treatment."""
        return [task.index for task in self.data.tasks if task.name.split("|")[1:2] == [mark]]

    def effects(self, windows: Windows) -> np.ndarray:
        """float32 (n, tasks): log2 odds of the second windows less those of the first."""
        net = self.engine.net
        return effects(*self.engine.score(windows), net.goal, net.strands).logodds


def paired(ref: np.ndarray, alt: np.ndarray, bases: int, start: np.ndarray | None = None) -> Windows:
    """Windows, uint8 (n, L), that differ in so many bases from the anchor on.

    start: where they lie, if they overlap; by default they have nothing in common
    """
    n, window = ref.shape
    start = np.arange(n) * 2 * window if start is None else start
    size = np.full(n, bases)
    return Windows.anchored(np.arange(n), ref, alt, np.zeros(n, np.int32), start, size, size)


# -- factors ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raised:
    """What a site does to its factor's task, beside its shuffled bases; log2 odds, medians over windows."""

    factor: str
    matrix: str
    site: str
    neutral: float
    open: float
    raised: float
    """Share of the windows in which the site is above the shuffled bases"""
    p: float
    sites: int
    """The strongest under the peaks of the factor's first task"""
    broken: float | None
    """What they lose by the change that the matrix thinks worst; None where there is none"""


def surroundings(bench: Bench, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Some windows under no DNase peak and some under many: uint8 (n, L) each."""
    openness = bench.data.labels(bench.rows)[:, [t.index for t in bench.data.tasks if t.group == "DNase"]].mean(1)
    sets = {"neutral": bench.rows[openness == 0], "open": bench.rows[openness >= OPEN]}
    if few := [name for name, rows in sets.items() if len(rows) < WINDOWS]:
        raise DataError(f"fewer than {WINDOWS} {few[0]} windows", where=bench.data.folder)
    return {name: bench.data.windows(np.sort(random.choice(rows, WINDOWS, False))) for name, rows in sets.items()}


def shuffled(site: np.ndarray, matrix: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """The bases of a site in other orders, uint8 (count, w).

    They are drawn among those that the matrix scores less than half as high on either strand; where a site has few such
    orders, among the lowest of a thousand.
    """
    orders = random.permuted(np.tile(site, (1000, 1)), axis=1)
    each = np.arange(len(site))
    scores = np.maximum(*(frame[each, orders].sum(1) for frame in (matrix, other_strand(matrix))))
    low = np.argsort(scores, kind="stable")[: max(count, np.count_nonzero(scores < matrix.max(1).sum() / 2))]
    return orders[random.choice(low, count)]


def raise_factors(bench: Bench, random: np.random.Generator) -> list[Raised]:
    found, names = [], {motif.name.upper(): motif for motif in reversed(bench.motifs)}
    windows = surroundings(bench, random)
    both = np.concatenate(list(windows.values()))
    for factor, name in FACTORS.items():
        tasks, motif = bench.tasks(factor), names.get(name)
        if not tasks or motif is None:
            continue
        site, at = consensus(motif), anchor(both.shape[1])
        ref, alt = both.copy(), both.copy()
        alt[:, at : at + len(site)] = site
        ref[:, at : at + len(site)] = shuffled(site, log_odds(motif), len(both), random)
        change = bench.effects(paired(ref, alt, len(site)))[:, tasks].mean(1)
        medians = {kind: float(np.median(part)) for kind, part in zip(windows, np.split(change, 2), strict=True)}
        letters = "".join("ACGT"[base] for base in site)
        raised, p, real = float((change > 0).mean()), sign_test(change), break_sites(bench, tasks[0], motif)
        lost = {"sites": real.sites, "broken": real.told} if real else {"sites": 0, "broken": None}
        found.append(Raised(factor, motif.id, letters, **medians, raised=raised, p=p, **lost))
    return found


def sign_test(change: np.ndarray) -> float:
    """Probability that a fair coin gives as many rises, or more."""
    rises, n = int((change > 0).sum()), int((change != 0).sum())
    return float(sum(math.comb(n, k) for k in range(rises, n + 1)) / 2**n)


# -- breaking --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Broken:
    """How far a factor's task goes down when single bases of its sites change; log2 odds, medians over sites."""

    sites: int
    matrix: str
    told: float
    """By the change that the matrix thinks worst"""
    worst: float
    """By the change that the network thinks worst"""
    mean: float
    """By all changes, on average"""
    agreement: float
    """Correlation, over the changes of a site, of the prediction's change and the matrix's"""


def break_ctcf(bench: Bench) -> Broken | None:
    """None for a model without the task, or where there is no site."""
    task = next((task.index for task in bench.data.tasks if task.name == BREAKS), None)
    motif = next((motif for motif in bench.motifs if motif.name == "CTCF"), None)
    return None if task is None or motif is None else break_sites(bench, task, motif)


def break_sites(bench: Bench, task: int, motif: Motif) -> Broken | None:
    """None where there is no site."""
    matrix, window = log_odds(motif), bench.data.window
    places, turned = strongest_sites(bench, bench.rows[bench.data.labels(bench.rows)[:, task] == 1], matrix)
    if len(places) == 0:
        return None
    width, at = len(matrix), anchor(window)
    bases = (places[:, None] + np.arange(width)).reshape(-1)
    ref = np.lib.stride_tricks.sliding_window_view(bench.data.codes, window)[bases - at]
    ref, start = np.repeat(ref, 3, 0), np.repeat(bases - at, 3)
    alt = ref.copy()
    alt[:, at] = (ref[:, at] + np.tile([1, 2, 3], len(bases))) % 4
    down = -bench.effects(paired(ref, alt, 1, start))[:, task].reshape(len(places), -1)
    frames = np.where(turned[:, None, None], other_strand(matrix), matrix)  # (sites, w, 4)
    old, new = (x[:, at].reshape(len(places), width, 3) for x in (ref, alt))
    less = (np.take_along_axis(frames, old, 2) - np.take_along_axis(frames, new, 2)).reshape(down.shape)
    told = np.take_along_axis(down, less.argmax(1)[:, None], 1)
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN where the network does not care
        agreement = [np.corrcoef(a, b)[0, 1] for a, b in zip(down, less, strict=True)]
    medians = (float(np.median(x)) for x in (told, down.max(1), down.mean(1), agreement))
    return Broken(len(places), motif.id, *medians)


def strongest_sites(bench: Bench, rows: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the strongest site of each bin begins in the data set's codes, int64 (k,), and whether it reads on the
    other strand, bool (k,). Of sites that overlap there is one; of all, there are the ``SITES`` strongest.
    """
    data, width, aside = bench.data, len(matrix), flank(bench.data)
    found: dict[int, tuple[float, bool]] = {}
    for row in rows.tolist():
        first = int(data.offset[row]) + aside
        scores = Words(data.codes[first : first + data.window - 2 * aside]).strands(matrix)
        strand, at = divmod(int(scores.argmax()), scores.shape[1])
        if has_bases(data, row, first + at, width):
            found[first + at] = float(scores[strand, at]), bool(strand)
    chosen: list[int] = []
    for place in sorted(found, key=lambda place: -found[place][0]):
        if len(chosen) < SITES and all(abs(place - other) >= width for other in chosen):
            chosen.append(place)
    return np.array(chosen, np.int64), np.array([found[place][1] for place in chosen], bool)


def flank(data: ExampleSet) -> int:
    """Bases of a window on either side of its bin."""
    return (data.window - int(data.info["options"]["bin"])) // 2


def has_bases(data: ExampleSet, row: int, place: int, width: int) -> bool:
    """Whether the windows around every base of a site are known, and lie in the stretch of the genome of a row."""
    first, last = place - anchor(data.window), place + width + data.window
    if first < 0 or last > len(data.codes):
        return False
    shift = data.offset - data.start
    ends = np.searchsorted(data.offset, first, "right") - 1, np.searchsorted(data.offset, last - data.window)
    same = all(0 <= i < len(data) and shift[i] == shift[row] and data.contig[i] == data.contig[row] for i in ends)
    return same and not (data.codes[first:last] == UNKNOWN).any()


# -- matrices --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranked:
    """Average precision of a task by the network and by the best matrix; ``scope`` is where its placements count."""

    task: str
    positives: int
    auroc: float
    network: float
    matrix: float
    motif: str
    scope: str


def rank_bins(bench: Bench) -> list[Ranked]:
    """Every transcription factor whose label is known in all rows, and that has a positive."""
    data, rows = bench.data, bench.rows
    labels, known = data.labels(rows), data.known(rows)
    whole = np.ones(len(data.tasks), bool) if known is None else known.all(axis=0)
    tasks = [task for task in data.tasks if task.group == "TF" and whole[task.index] and labels[:, task.index].any()]
    positives = [np.flatnonzero(labels[:, task.index]) for task in tasks]
    measures = measured(bench, labels) if bench.metrics is None else stated(bench.metrics)
    found = []
    for task, there, best in zip(tasks, positives, best_matrices(bench, positives), strict=True):
        count, auroc, auprc = measures[task.name, task.index]
        if count != len(there):
            cause = f"{count} positives of {task.name} there, {len(there)} here"
            raise DataError("the measures are not of these bins", where=bench.metrics, cause=cause)
        found.append(Ranked(task.name, count, auroc, auprc, *best))
    return found


Measures = dict[tuple[str, int], tuple[int, float, float]]
"""Name and index of a task -> positives, AUROC, average precision"""


def measured(bench: Bench, labels: np.ndarray) -> Measures:
    """labels: uint8 (n, tasks) of the rows"""
    scores = score_tasks(labels, predict_rows(bench.engine, bench.data, bench.rows))
    figures = zip(scores.positives.tolist(), scores.auroc.tolist(), scores.auprc.tolist(), strict=True)
    return {(task.name, task.index): row for task, row in zip(bench.data.tasks, figures, strict=True)}


def stated(table: Path) -> Measures:
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["positives"] != "0"]
    return {
        (row["name"], int(row["index"])): (int(row["positives"]), float(row["auroc"]), float(row["auprc"]))
        for row in rows
    }


def best_matrices(bench: Bench, positives: Sequence[np.ndarray]) -> list[tuple[float, str, str]]:
    """The average precision of each task by the matrix that ranks it best, that matrix, and its scope."""
    data, rows = bench.data, bench.rows
    low, high = int(data.offset[rows].min()), int(data.offset[rows].max()) + data.window
    words, first = Words(data.codes[low:high]), data.offset[rows] - low
    scopes = {"window": 0, "bin": max(flank(data) - NEAR, 0)}
    best = [(-1.0, "", "")] * len(positives)
    for motif in bench.motifs:
        matrix = log_odds(motif)
        scores = words.best(matrix)
        for scope, cut in scopes.items():
            found = highest(scores, first + cut, first + data.window - cut - len(matrix) + 1)
            precision = average_precisions(positives, found).tolist()
            for task, value in enumerate(precision):
                if value > best[task][0]:
                    best[task] = value, f"{motif.id} {motif.name}", scope
    return best


# -- the report ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """All that was found. ``seconds`` of one core, or of whatever the model ran on."""

    factors: list[Raised]
    broken: Broken | None
    ranked: list[Ranked]
    seconds: float

    def marks(self) -> dict[str, float]:
        """What a network that knows motifs has much of."""
        enough = [row for row in self.ranked if row.positives >= MIN_POSITIVES]
        ctcf = {} if self.broken is None else {"ctcf_log2_odds": self.broken.told}
        return {
            "factors": len(self.factors),
            "factors_raised": sum(row.p < RARE for row in self.factors),
            **ctcf,
            "tasks": len(enough),
            "tasks_above_matrix": sum(row.network > row.matrix for row in enough),
        }


def markdown(name: str, figures: Figures) -> str:
    marks = figures.marks()
    lines = [f"| {name} | | mark |", "|-|-|-|"]
    lines.append(
        f"| factors whose site is above its shuffled bases | {marks['factors_raised']} of {marks['factors']} | 24 |"
    )
    if broken := figures.broken:
        text = f"by the worst base of {broken.matrix}, log2 odds that the {broken.sites} strongest CTCF sites lose"
        lines.append(f"| {text} | {broken.told:.2f} | 1 |")
        lines.append(f"| by the worst base of the network; by any base | {broken.worst:.2f}; {broken.mean:.2f} | |")
        lines.append(f"| correlation of its changes with the matrix's | {broken.agreement:.2f} | |")
    share = f"{marks['tasks_above_matrix']} of {marks['tasks']}"
    lines.append(f"| tasks of {MIN_POSITIVES} positives ranked better than by the best matrix | {share} | 90 % |")
    lines += [
        "",
        "| factor | matrix | site | neutral | open | raised | p | real sites | broken |",
        "|-|-|-|-|-|-|-|-|-|",
    ]
    for f in figures.factors:
        site = f"{f.factor} | {f.matrix} | {f.site} | {f.neutral:+.2f} | {f.open:+.2f} | {f.raised:.0%} | {f.p:.1g}"
        lines.append(f"| {site} | {f.sites} | {'' if f.broken is None else f'{-f.broken:+.2f}'} |")
    lines += ["", "| task | positives | AUROC | AUPRC | best matrix | |", "|-|-|-|-|-|-|"]
    for r in sorted(figures.ranked, key=lambda r: r.matrix - r.network):
        task = r.task.replace("|", " ")
        lines.append(
            f"| {task} | {r.positives} | {r.auroc:.3f} | {r.network:.3f} | {r.matrix:.3f} | {r.motif}, {r.scope} |"
        )
    return "\n".join(lines)


def facts(bench: Bench, split: str, figures: Figures) -> Mapping[str, Any]:
    """All figures as plain values, for JSON."""
    return {
        "model": bench.model.id,
        "sha256": bench.model.sha256,
        "data_sha256": bench.data.sha256,
        "split": split,
        "examples": len(bench.rows),
        "marks": figures.marks(),
        **asdict(figures),
    }


def cut_bins(folder: Path) -> ExampleSet:
    """Every bin of chr8 and chr9 of the shared data."""
    with Genome(DATA / "genome" / "hg19.masked.fa.gz") as genome:
        test = ("chr8", "chr9")
        others = tuple(contig for contig in genome.contigs if contig not in test)
        options = BinOptions(bins="all", validation=(), test=test, skip=others)
        build_peaks(genome, DATA / "peaks" / "deepsea207", folder, options)
    return ExampleSet(folder)


def measure(bench: Bench, seed: int) -> Figures:
    begin, random = time.perf_counter(), np.random.default_rng(seed)
    factors, broken = raise_factors(bench, random), break_ctcf(bench)
    return Figures(factors, broken, rank_bins(bench), time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", help="a model's id or folder; by default the default model")
    parser.add_argument("--data", type=Path, help="a data set with every bin of the split's chromosomes")
    parser.add_argument("--split", default="test")
    parser.add_argument(
        "--motifs", type=Path, default=DATA / "motifs" / "JASPAR2022_CORE_vertebrates_latest_versions.txt"
    )
    parser.add_argument("--metrics", type=Path, help="metrics.csv of the model on the same bins")
    parser.add_argument("--json", type=Path, help="where all figures go")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    if not options.motifs.is_file() or not (options.data or DATA.is_dir()):
        print(f"no motifs or no data under {DATA}: left out")
        return
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = ExampleSet(options.data) if options.data else cut_bins(scratch / "data")
        model = find_model(options.model)
        check_fits(model, data)
        net, device = model.load(), pick_device(options.device)
        stack.enter_context(evaluating(net, device))
        cropped = data.cropped(net.window)
        motifs = read_motifs(options.motifs)
        bench = Bench(model, SharedEngine(net, device), cropped, cropped.rows(options.split), motifs, options.metrics)
        figures = measure(bench, options.seed)
    print(markdown(model.id, figures))
    if options.json:
        options.json.write_text(json.dumps(facts(bench, options.split, figures), indent=1) + "\n")


if __name__ == "__main__":
    main()
