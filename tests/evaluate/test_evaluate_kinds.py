"""Measures of values and classes against SciPy and scikit-learn, with and without unknown targets."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_kinds import made_set
from scipy.stats import pearsonr, rankdata, spearmanr
from sklearn.metrics import average_precision_score, confusion_matrix, log_loss, roc_auc_score

from varscore.cli.boundary import run
from varscore.evaluate import score_tasks, summarise, table_text
from varscore.evaluate.kinds import confusion, confusion_rows, correlation, ranks, score, score_values
from varscore.tasks import Task
from varscore.train.run import network_for
from varscore.zoo.models import open_model, save_model

NUMBERS = hnp.arrays(np.float64, st.integers(3, 40), elements=st.sampled_from([-2.0, 0.0, 1.0, 1.5, 7.0, 100.0]))


@settings(max_examples=150)
@given(NUMBERS, st.randoms(use_true_random=False))
def test_correlations_are_scipys(one: np.ndarray, random) -> None:  # type: ignore[no-untyped-def]
    other = np.array([random.choice([0.5, 1.0, 3.0, 9.0]) for _ in one])
    assert ranks(one).tolist() == rankdata(one).tolist()
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        assert math.isnan(correlation(one, other))
        return
    assert correlation(one, other) == pytest.approx(pearsonr(one, other)[0], abs=1e-12)
    assert correlation(ranks(one), ranks(other)) == pytest.approx(spearmanr(one, other)[0], abs=1e-12)


def test_values_that_are_unknown_do_not_count() -> None:
    random = np.random.default_rng(0)
    values, predicted = random.normal(size=(2, 50, 3)).astype(np.float32)
    known = random.random((50, 3)) < 0.5
    known[:, 2] = False
    found = score_values(np.where(known, values, 0), predicted, known)
    for task in range(2):
        truth, guess = values[known[:, task], task], predicted[known[:, task], task]
        assert found.pearson[task] == pytest.approx(pearsonr(truth, guess)[0], abs=1e-6)
        assert found.spearman[task] == pytest.approx(spearmanr(truth, guess)[0], abs=1e-6)
        assert found.mse[task] == pytest.approx(np.mean((truth - guess) ** 2), rel=1e-5)
    assert found.examples.tolist() == known.sum(0).tolist()
    assert np.isnan([found.pearson[2], found.spearman[2], found.mse[2]]).all()
    assert score_values(values, predicted).examples.tolist() == [50] * 3


def test_labels_that_are_unknown_do_not_count() -> None:
    random = np.random.default_rng(0)
    labels = (random.random((80, 20)) < 0.3).astype(np.uint8)
    known, predicted = random.random((80, 20)) < 0.6, random.random((80, 20), np.float32)
    known[:, 5] = False
    found = score_tasks(labels, predicted, known=known)
    for task in set(range(20)) - {5}:
        truth, guess = labels[known[:, task], task], predicted[known[:, task], task].astype(np.float64)
        assert found.positives[task] == truth.sum()
        assert found.auroc[task] == pytest.approx(roc_auc_score(truth, guess))
        assert found.auprc[task] == pytest.approx(average_precision_score(truth, guess))
        assert found.loss[task] == pytest.approx(log_loss(truth, guess, labels=[0, 1]), rel=1e-6)
    assert found.positives[5] == 0 and np.isnan([found.auroc[5], found.auprc[5], found.loss[5]]).all()


def test_a_confusion_matrix_is_scikit_learns() -> None:
    random = np.random.default_rng(1)
    truth, predicted = random.integers(0, 3, 200), random.random((200, 4), np.float32)
    found = confusion(np.eye(4, dtype=np.uint8)[truth], predicted)
    assert found.tolist() == confusion_matrix(truth, predicted.argmax(1), labels=range(4)).tolist()
    lines = confusion_rows([Task(0, "a"), Task(1, "b")], np.array([[3, 1], [0, 0]]))
    assert lines == [["a", "4", "3 (75.0%)", "1 (25.0%)"], ["b", "0", "0 (0.0%)", "0 (0.0%)"]]


def test_figures_and_table_of_values() -> None:
    tasks = [Task(0, "a", "x"), Task(1, "b", "x"), Task(2, "c")]
    values = np.array([[1, 5, 0], [2, 4, 0], [4, 6, 0]], np.float32)
    scores = score_values(values, values[:, [0, 0, 0]] + 1)
    found = summarise(tasks, scores)
    assert (found["all"].tasks, found["all"].na, found["x"].na) == (3, 1, 0)
    r = pearsonr([5, 4, 6], [1, 2, 4])[0]
    assert found["x"].pearson == pytest.approx((1 + r) / 2) and found["x"].mse == pytest.approx((1 + 11 / 3) / 2)
    rows = list(csv.DictReader(table_text(tasks, scores, {"m": scores}).splitlines()))
    assert (rows[0]["examples"], rows[0]["pearson"], rows[2]["pearson"], rows[0]["mse:m"]) == ("3", "1", "NA", "1")


@pytest.mark.parametrize("kind", ["values", "classes"])
def test_the_command_measures_what_the_data_are(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = made_set(tmp_path / "d", kind, strands="one")
    net = network_for("tss", data, {"dense": 6})
    model = save_model(tmp_path / "m", net, "tss", data.tasks, {})
    arguments = ["evaluate", str(model.path), "--data", str(data.folder), "-o", str(tmp_path / "o"), "--record"]
    assert run([*arguments, "--device", "cpu", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    figures = json.loads((tmp_path / "o/metrics.json").read_text())["models"]["m"]
    with (tmp_path / "o/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    card = open_model(model.path).card["metrics"]["test"]
    if kind == "values":
        assert "Pearson r" in printed and "pearson" in rows[0] and "confusion" not in figures
        assert card["all"]["pearson"] == pytest.approx(figures["groups"]["all"]["pearson"], rel=1e-4)
    else:
        assert "called task 1" in printed and "AUROC" in printed
        matrix = np.array(figures["confusion"])
        assert matrix.sum() == 15 and matrix.sum(1).tolist() == [int(row["positives"]) for row in rows]
        assert card["confusion"] == matrix.tolist()


def test_scores_are_of_the_kind_of_data(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "classes")
    rows = data.rows("test")
    exact = data.labels(rows).astype(np.float32)
    found = score(data, rows, exact)
    assert np.diag(found.confusion).sum() == len(rows) and (found.auroc == 1).all()
