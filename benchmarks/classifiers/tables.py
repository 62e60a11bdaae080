"""Prints how good classifiers are, as a Markdown table, from the folders that ``varscore train-snp`` wrote.

python benchmarks/classifiers/tables.py RUNS
"""

from __future__ import annotations

import csv
import sys
import tomllib
from pathlib import Path

ORDER = ("promoter-constraint", "promoter-constraint.any-context", "raqtl-k562", "raqtl-k562.same-context", "gwas")


def main(runs: Path) -> None:
    found = {card.parent.name: card for card in runs.glob("*/card.toml")}
    print("| classifier | negatives | model | n positive | n negative | AUROC (95 %) | AUPRC (95 %) | on |")
    print("|-|-|-|-|-|-|-|-|")
    for name in sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)):
        on = tomllib.loads(found[name].read_text())["on_by_default"]
        with (found[name].parent / "metrics.csv").open() as file:
            for row in csv.DictReader(file):
                figures = [
                    f"{float(row[m]):.3f} ({float(row[f'{m}_low']):.3f}-{float(row[f'{m}_high']):.3f})"
                    for m in ("auroc", "auprc")
                ]
                cells = [name, row["negatives_group"], row["model"], row["positives"], row["negatives"], *figures]
                print("| " + " | ".join([*cells, "yes" if on else "no"]) + " |")
    print()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
