"""How long the measures of all tasks take: prints a Markdown row.

    python benchmarks/metrics.py [--tasks N] [--examples N] [--positives SHARE]

Labels and predictions are random.
"""

from __future__ import annotations

import argparse
import platform
import time

import numpy as np

from varscore.evaluate import score_tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tasks", type=int, default=919)
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--positives", type=float, default=0.02)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    shape = options.examples, options.tasks
    predicted, labels = random.random(shape, np.float32), random.random(shape, np.float32) < options.positives
    begin = time.perf_counter()
    score_tasks(labels, predicted)
    seconds = time.perf_counter() - begin
    machine = platform.processor() or platform.machine()
    print("| examples | tasks | positives | seconds | machine |\n|-|-|-|-|-|")
    print(f"| {shape[0]:,} | {shape[1]} | {options.positives:.0%} | {seconds:.1f} | {machine}, one core |")


if __name__ == "__main__":
    main()
