"""The tasks on which a model is not ahead of another, with intervals. Prints a Markdown table.

    python benchmarks/cards/losers.py MODEL OTHER --data DIR [--split SPLIT] [--labelled-only] [--json FILE]

Both models predict the same bins. A task is listed when its AUROC or AUPRC is not above the other model's and it has at
least 50 positives. An interval holds the difference in 95 % of 1,000 resamples of whole stretches of 1 Mb, because
neighbouring bins are no independent examples: where it holds 0, the bins cannot say which of the two is better.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from varscore.datasets.examples import ExampleSet
from varscore.engine.device import pick_device
from varscore.evaluate import MIN_POSITIVES, Examined
from varscore.evaluate.flow import predict_model
from varscore.functional.assess import Interval, Ranking, resample
from varscore.zoo.models import find_model

STRETCH = 1_000_000


@dataclass(frozen=True)
class Loser:
    """A task, and how far the model is ahead of the other: negative where it is behind."""

    task: str
    positives: int
    auroc: Interval
    auprc: Interval


def losers(examined: Examined, ours: np.ndarray, theirs: np.ndarray) -> tuple[list[Loser], int]:
    """The tasks on which ``ours``, float32 (n, tasks), are not ahead, and how many tasks were asked."""
    data, rows = examined.data, examined.rows
    labels = data.labels(rows) > 0
    known = data.known(rows)
    stretch = data.contig[rows].astype(np.int64) * (1 << 32) + data.start[rows] // STRETCH
    found, asked = [], 0
    for task in data.tasks:
        there = np.flatnonzero(known[:, task.index]) if known is not None else np.arange(len(rows))
        positive = labels[there, task.index]
        if positive.sum() < MIN_POSITIVES:
            continue
        asked += 1
        pair = [Ranking(positive, predicted[there, task.index]) for predicted in (ours, theirs)]
        auroc, auprc = np.subtract(*(ranking.measures() for ranking in pair))
        if auroc > 0 and auprc > 0:
            continue
        drawn = np.array(
            [np.subtract(*(ranking.measures(weights) for ranking in pair)) for weights in resample(stretch[there], 0)]
        )
        low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
        intervals = [Interval(*map(float, each)) for each in zip((auroc, auprc), low, high, strict=True)]
        found.append(Loser(task.name, int(positive.sum()), *intervals))
    return found, asked


def markdown(found: list[Loser], asked: int) -> str:
    """A row a task, those that are behind beyond doubt first."""
    lines = ["| task | positives | AUROC ahead by | AUPRC ahead by | |", "|-|-|-|-|-|"]
    for each in sorted(found, key=lambda loser: min(loser.auroc.high, loser.auprc.high)):
        behind = min(each.auroc.high, each.auprc.high) < 0
        auroc, auprc = each.auroc.text(3), each.auprc.text(3)
        verdict = "behind" if behind else "undecided"
        lines.append(f"| {each.task} | {each.positives} | {auroc} | {auprc} | {verdict} |")
    return "\n".join(
        [f"Not ahead on {len(found)} of {asked} tasks with {MIN_POSITIVES} positives or more.", "", *lines]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("other")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--labelled-only", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    examined = Examined(ExampleSet(given.data), given.split, given.labelled_only)
    device = pick_device("auto")
    predicted = [predict_model(find_model(name), examined, device) for name in (given.model, given.other)]
    found, asked = losers(examined, *predicted)
    print(markdown(found, asked))
    if given.json:
        given.json.write_text(json.dumps({"asked": asked, "losers": [asdict(each) for each in found]}, indent=1))


if __name__ == "__main__":
    main()
