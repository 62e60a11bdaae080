"""How fast SNVs become windows: prints a Markdown row, REF and ALT windows of 1,000 bases a second on one core.

    python benchmarks/windows.py [GENOME.fa] [--contig NAME] [--variants N]

Without a FASTA, a random genome of 10 Mb is written to a temporary folder.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.sequence import Genome, decode
from varscore.genome.windows import cut_windows

LENGTH = 1000
BATCH = 8192


def random_fasta(folder: Path, bases: int = 10_000_000) -> Path:
    codes = np.random.default_rng(0).integers(0, 4, bases, dtype=np.uint8)
    lines = [decode(line).decode() for line in codes.reshape(-1, 100)]
    path = folder / "random.fa"
    path.write_text(">random\n" + "\n".join(lines) + "\n")
    return path


def snv_batches(genome: Genome, contig: str, count: int, *, sorted_input: bool) -> list[AlleleBatch]:
    """SNVs at known bases of the contig, in batches, sorted by position or shuffled."""
    sequence = genome.codes(contig, 0, genome.contigs[contig])
    random = np.random.default_rng(1)
    starts = random.choice(np.flatnonzero(sequence < 4), count)
    if sorted_input:
        starts.sort()
    letters = np.frombuffer(b"ACGT", np.uint8)
    ref = sequence[starts]
    alt = (ref + random.integers(1, 4, count, dtype=np.uint8)) % 4
    return [
        AlleleBatch(
            record=np.arange(len(rows)),
            contig=np.zeros(len(rows), np.int32),
            contigs=(contig,),
            start=starts[rows],
            ref=ByteColumn(letters[ref[rows]], np.arange(len(rows) + 1)),
            alt=ByteColumn(letters[alt[rows]], np.arange(len(rows) + 1)),
        )
        for rows in np.array_split(np.arange(count), max(1, count // BATCH))
    ]


def rate(path: Path, contig: str | None, count: int, *, sorted_input: bool, repeats: int = 3) -> float:
    """SNVs a second, best of several runs; every run opens the genome anew, so decoding is included."""
    with Genome(path) as genome:
        contig = contig or next(iter(genome.contigs))
        batches = snv_batches(genome, contig, count, sorted_input=sorted_input)
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        with Genome(path) as genome:
            passed = sum(len(cut_windows(batch, genome, [contig], LENGTH)[2]) for batch in batches)
        seconds.append(time.perf_counter() - begin)
    return passed / min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("fasta", nargs="?", type=Path)
    parser.add_argument("--contig")
    parser.add_argument("--variants", type=int, default=200_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.fasta or random_fasta(Path(folder))
        rates = [rate(path, options.contig, options.variants, sorted_input=in_order) for in_order in (True, False)]
    machine = platform.processor() or platform.machine()
    print("| genome | SNVs, sorted (1/s) | SNVs, shuffled (1/s) | machine |\n|-|-|-|-|")
    print(f"| {path.name} | {rates[0]:,.0f} | {rates[1]:,.0f} | {machine}, one core |")


if __name__ == "__main__":
    main()
