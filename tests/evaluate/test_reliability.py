"""Predicted against observed shares of positives: every example looked at, one after the other."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from varscore.evaluate.metrics import score_tasks
from varscore.evaluate.reliability import EDGES, by_group, reliability_text


def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    predicted = (10 ** random.uniform(-7, 0, (400, 3))).astype(np.float32)
    predicted[:3] = [[0, 1, 0.5], [1, 0, EDGES[10]], [0.5, 0.5, np.nextafter(EDGES[10], np.float32(0))]]
    labels = (random.random((400, 3)) < predicted * [1, 3, 0]).astype(np.uint8)
    return labels, predicted, random.random((400, 3)) < 0.9


@pytest.mark.parametrize("patchy", [False, True])
def test_counts_and_errors_are_those_of_a_loop(patchy: bool) -> None:
    labels, predicted, known = made()
    if not patchy:
        known = np.ones_like(known)
    found = score_tasks(labels, predicted, known=known if patchy else None).reliability
    assert found is not None
    for task in range(3):
        bins: dict[int, list[int]] = {}
        for row in np.flatnonzero(known[:, task]).tolist():
            above = sum(float(predicted[row, task]) >= float(edge) for edge in EDGES)
            bins.setdefault(above, []).append(row)
        n = sum(map(len, bins.values()))
        error = 0.0
        for at, rows in bins.items():
            mean, share = predicted[rows, task].astype(float).mean(), labels[rows, task].mean()
            assert (found.examples[task, at], found.positives[task, at]) == (len(rows), labels[rows, task].sum())
            error += len(rows) / n * abs(mean - share)
        assert found.examples[task].sum() == n and found.ece[task] == pytest.approx(error, rel=1e-6)
        assert found.mean_predicted[task] == pytest.approx(predicted[known[:, task], task].mean(), rel=1e-5)
        assert found.observed[task] == pytest.approx(labels[known[:, task], task].mean())


def test_true_probabilities_are_reliable_and_inflated_ones_are_not() -> None:
    random = np.random.default_rng(1)
    true = 10 ** random.uniform(-3, -0.5, 50_000)
    labels = (random.random(50_000) < true).astype(np.uint8)
    odds = 2.5 * true / (1 - true)
    both = np.stack([true, odds / (1 + odds)], 1).astype(np.float32)
    found = score_tasks(np.stack([labels, labels], 1), both).reliability
    assert found is not None and found.ece[0] < 0.005 < 0.05 < found.ece[1]
    assert found.mean_predicted / found.observed == pytest.approx([1, 1.9], abs=0.15)


def test_a_task_without_examples_has_no_figures() -> None:
    labels, predicted, known = made()
    known[:, 1] = False
    found = score_tasks(labels, predicted, known=known).reliability
    assert found is not None
    for figures in (found.ece, found.observed, found.mean_predicted):
        assert np.isnan(figures).tolist() == [False, True, False]


def test_the_table_has_a_line_for_every_bin_with_examples() -> None:
    labels, predicted, _ = made()
    found = score_tasks(labels, predicted).reliability
    assert found is not None
    text = reliability_text(by_group({"all": np.arange(3), "TF": np.array([0])}, [("m", found)]))
    rows = list(csv.DictReader(io.StringIO(text)))
    for group, tasks in (("all", [0, 1, 2]), ("TF", [0])):
        own = [row for row in rows if row["group"] == group]
        assert sum(int(row["examples"]) for row in own) == 400 * len(tasks)
        assert sum(int(row["positives"]) for row in own) == labels[:, tasks].sum()
        for row in own:
            low, high = float(row["from"]), float(row["to"])
            assert low - 1e-6 <= float(row["predicted"]) <= high + 1e-6
            inside = (predicted[:, tasks] >= np.float32(low)) & (predicted[:, tasks] < np.float32(high))
            if low > 1e-5 and high < 0.99:  # six digits tell these edges apart
                share = labels[:, tasks][inside].mean()
                assert float(row["observed"]) == pytest.approx(share, abs=0.03)
