"""How much a model predicts beside how much there is, on chromosomes held out, with intervals. Prints a Markdown table.

    python benchmarks/cards/calibration.py MODEL DATA:SPLIT ... [--json FILE]

The ratio is of all predictions of a group of tasks to all its positives. Its interval holds it in 95 % of 1,000
resamples of whole stretches of 1 Mb: peaks stand in clusters, so that chromosomes differ by far more than counts of
bins say.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from losers import STRETCH

from varscore.datasets.examples import ExampleSet
from varscore.engine.device import pick_device
from varscore.evaluate import Examined
from varscore.evaluate.flow import predict_model
from varscore.functional.assess import Interval, resample
from varscore.zoo.models import ModelFolder, find_model


def ratios(model: ModelFolder, examined: Examined) -> dict[str, Interval]:
    """Group of tasks -> predicted / observed."""
    data, rows = examined.data, examined.rows
    predicted, labels, known = (
        predict_model(model, examined, pick_device("auto")),
        data.labels(rows) > 0,
        data.known(rows),
    )
    inside = np.ones(labels.shape, bool) if known is None else known
    stretch = data.contig[rows].astype(np.int64) * (1 << 32) + data.start[rows] // STRETCH
    found = {}
    for group in dict.fromkeys(task.group for task in data.tasks):
        tasks = [task.index for task in data.tasks if task.group == group]
        expected = (predicted[:, tasks] * inside[:, tasks]).sum(1, dtype=np.float64)
        observed = (labels[:, tasks] & inside[:, tasks]).sum(1)
        drawn = [(weights @ expected) / (weights @ observed) for weights in resample(stretch, 0)]
        low, high = np.percentile(drawn, [2.5, 97.5])
        found[group] = Interval(float(expected.sum() / observed.sum()), float(low), float(high))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("data", nargs="+", metavar="DATA:SPLIT")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model, told = find_model(given.model), {}
    print("| | group | predicted / observed (95 %) |", "|-|-|-|", sep="\n")
    for each in given.data:
        folder, _, split = each.rpartition(":")
        found = ratios(model, Examined(ExampleSet(Path(folder)), split, False))
        told[split] = {group: asdict(interval) for group, interval in found.items()}
        for group, interval in found.items():
            print(f"| {split} | {group} | {interval.text(2)} |")
    if given.json:
        given.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
