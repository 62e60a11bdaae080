"""How fast full score matrices are written: prints a Markdown row a format, alleles a second of 919 tasks.

    python benchmarks/matrix.py [--alleles N] [--tasks N]

Four blocks of float32 (ref, alt, diff, logodds) for each allele, flushed to the disk the temporary folder is on.
"""

from __future__ import annotations

import argparse
import platform
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from varscore.annotate.writers.arrays import EFFECTS, open_matrix

PIECE = 512  # alleles in one call, as `varscore annotate` makes them
FORMATS = ("parquet", "zarr", "h5")


def random_blocks(tasks: int) -> dict[str, np.ndarray]:
    """Scores as a model gives them: probabilities mostly small, effects smaller still."""
    random = np.random.default_rng(0)
    logits = random.normal(-3, 1.5, (PIECE, tasks)).astype(np.float32)
    shift = random.normal(0, 0.05, (PIECE, tasks)).astype(np.float32)
    ref, alt = (1 / (1 + np.exp(-z)) for z in (logits, logits + shift))
    return dict(zip(EFFECTS, (ref, alt, alt - ref, shift / np.float32(np.log(2))), strict=True))


def measure(path: Path, alleles: int, blocks: dict[str, np.ndarray]) -> float:
    """Seconds from the first row to the committed file."""
    names = [f"{task}:task" for task in range(blocks["diff"].shape[1])]
    text = ["chr1"] * PIECE, [b"A"] * PIECE, [b"G"] * PIECE, ["PASS"] * PIECE
    begin = time.perf_counter()
    with open_matrix(str(path), names, {}) as writer:
        for first in range(0, alleles, PIECE):
            n = min(PIECE, alleles - first)
            chrom, ref, alt, status = (column[:n] for column in text)
            values = {name: block[:n] for name, block in blocks.items()}
            writer.write(chrom, np.arange(first, first + n), ref, alt, status, values)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--alleles", type=int, default=20_000)
    parser.add_argument("--tasks", type=int, default=919)
    options = parser.parse_args()
    blocks = random_blocks(options.tasks)
    machine = platform.processor() or platform.machine()
    print("| format | alleles (1/s) | MB | peak memory so far (MB) | machine |\n|-|-|-|-|-|")
    with tempfile.TemporaryDirectory() as folder:
        for suffix in FORMATS:
            path = Path(folder) / f"scores.{suffix}"
            seconds = measure(path, options.alleles, blocks)
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            size = sum(file.stat().st_size for file in files) / 1e6
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            print(f"| .{suffix} | {options.alleles / seconds:,.0f} | {size:,.0f} | {memory:,.0f} | {machine} |")


if __name__ == "__main__":
    main()
