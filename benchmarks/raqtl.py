"""Does a variant that opens chromatin raise expression? Prints a Markdown table of how often the two signs agree.

    python benchmarks/raqtl.py [TABLE -r FASTA] [-m MODEL ...] [--task GLOB]

TABLE has the columns chrom, pos, ref, alt, ref_expression and alt_expression: SuRE's raQTLs, SNPs whose alleles differ
in the expression they drive in K562. The sign of its measured change is compared with that of the model's predicted
change in K562 accessibility, for all SNPs and for those of the largest predictions; intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from varscore.annotate.job import choose_tasks
from varscore.engine.compute import Compute
from varscore.formats.sites import VariantTable, read_variants
from varscore.genome.contigs import ContigNames
from varscore.genome.sequence import Genome
from varscore.scoring.score import score_chunks
from varscore.zoo.models import ModelFolder, find_model
from varscore.zoo.shelf import available

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SHARES = {"all": 1.0, "largest half": 0.5, "largest fifth": 0.2, "largest tenth": 0.1}


def measured_change(path: Path) -> np.ndarray:
    """log2 of alternative over reference expression, float64 (n,)"""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    alt, ref = (np.array([float(row[f"{allele}_expression"]) for row in rows]) for allele in ("alt", "ref"))
    return np.asarray(np.log2((alt + 0.01) / (ref + 0.01)))


def predicted_change(model: ModelFolder, table: VariantTable, genome: Genome, glob: str) -> np.ndarray:
    """Mean log-odds difference over the tasks that fit, float64 (n,), NaN where there is no score."""
    tasks = choose_tasks(model.tasks(), [glob])
    found = np.full(len(table.alleles), np.nan)
    with Compute().pool(model.load()) as pool:
        window = model.config().window
        for _, scored in score_chunks([table], genome, ContigNames(genome, {}), pool, window):
            found[scored.rows] = scored.effects.logodds[:, tasks].mean(1)
    return found


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    share = successes / n
    middle, spread = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def agreement(predicted: np.ndarray, measured: np.ndarray) -> Iterator[tuple[str, int, float, float, float]]:
    """Name, number of SNPs, share whose signs agree and its interval, for each of SHARES."""
    known = np.isfinite(predicted) & (predicted != 0) & (measured != 0)
    order = np.flatnonzero(known)[np.argsort(-np.abs(predicted[known]), kind="stable")]
    for name, share in SHARES.items():
        rows = order[: round(share * len(order))]
        agree = int(np.count_nonzero(np.sign(predicted[rows]) == np.sign(measured[rows])))
        yield name, len(rows), agree / len(rows), *wilson(agree, len(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", nargs="?", type=Path, default=DATA / "labels" / "sure_raqtl_k562.tsv")
    parser.add_argument("-r", "--reference", type=Path, default=DATA / "genome" / "hg19.masked.fa.gz")
    parser.add_argument("-m", "--model", action="append", help="by default every model there is; repeatable")
    parser.add_argument("--task", default="K562|DNase*", help="tasks whose predictions are averaged")
    options = parser.parse_args()
    if not options.table.is_file():
        print(f"no raQTLs at {options.table}: left out")
        return
    table, measured = read_variants(str(options.table)), measured_change(options.table)
    print(f"| model | {options.task.replace('|', ' ')} predictions | n | signs agree | 95 % |\n|-|-|-|-|-|")
    with Genome(options.reference) as genome:
        for name in options.model or available():
            model = find_model(name)
            predicted = predicted_change(model, table, genome, options.task)
            for group, n, share, low, high in agreement(predicted, measured):
                print(f"| {model.id} | {group} | {n} | {share:.1%} | {low:.1%}-{high:.1%} |")


if __name__ == "__main__":
    main()
