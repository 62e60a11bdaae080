"""How fast a data set is built and read: prints a Markdown row.

    python benchmarks/dataset.py [DATA]

Without a data set, one is built from a random genome of 10 Mb with 50 random tracks, and that is timed, too.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from varscore.datasets.examples import ExampleSet
from varscore.datasets.peaks import BinOptions, build_peaks
from varscore.genome.sequence import Genome, decode

BATCH = 256


def build_random(folder: Path, bases: int = 5_000_000, tracks: int = 50) -> tuple[ExampleSet, float]:
    """Two random contigs, peaks of 300 bases on a hundredth of them; returns the data set and the seconds it took."""
    random = np.random.default_rng(0)
    lines = [decode(row).decode() for row in random.integers(0, 4, (bases // 50, 100), dtype=np.uint8)]
    half = len(lines) // 2
    (folder / "g.fa").write_text("\n".join([">a", *lines[:half], ">b", *lines[half:], ""]))
    (folder / "peaks").mkdir()
    for track in range(tracks):
        starts = np.sort(random.integers(0, bases - 300, bases // 30_000))
        rows = "".join(f"{contig}\t{start}\t{start + 300}\n" for contig in "ab" for start in starts)
        (folder / "peaks" / f"t{track}.bed").write_text(rows)
    options = BinOptions(bins="all", validation=("b",), test=())
    with Genome(folder / "g.fa", cache_dir=folder / "cache") as genome:
        begin = time.perf_counter()
        build_peaks(genome, folder / "peaks", folder / "data", options)
        seconds = time.perf_counter() - begin
    return ExampleSet(folder / "data"), seconds


def reading_rate(data: ExampleSet) -> float:
    """Windows and labels a second, in random order and batches of ``BATCH``, best of three passes over 50,000."""
    seconds, count = [], min(len(data), 50_000) // BATCH * BATCH
    for seed in range(3):
        rows = np.random.default_rng(seed).permutation(len(data))[:count].reshape(-1, BATCH)
        begin = time.perf_counter()
        for batch in rows:
            data.windows(batch)
            data.labels(batch)
        seconds.append(time.perf_counter() - begin)
    return count / min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", nargs="?", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, seconds = (ExampleSet(options.data), None) if options.data else build_random(Path(folder))
        rate = reading_rate(data)
    built = "-" if seconds is None else f"{len(data) / seconds:,.0f}"
    machine = platform.processor() or platform.machine()
    print("| windows | tasks | built (1/s) | read (1/s) | machine |\n|-|-|-|-|-|")
    print(f"| {len(data):,} | {len(data.tasks)} | {built} | {rate:,.0f} | {machine}, one core |")


if __name__ == "__main__":
    main()
