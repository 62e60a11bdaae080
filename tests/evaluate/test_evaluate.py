"""Measures against scikit-learn and by hand, and the command that reports them."""

from __future__ import annotations

import csv
import json
import math
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, log_loss, precision_recall_curve, roc_auc_score, roc_curve
from small_data import TASKS, planted_set
from small_nets import small

from varscore.cli.boundary import run
from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError, ModelError, UsageError
from varscore.evaluate import (
    Examined,
    TaskScores,
    average_precisions,
    choose_tasks,
    compare,
    draw_curve,
    evaluate_model,
    groups,
    published,
    score_task,
    score_tasks,
    summarise,
    table_text,
)
from varscore.tasks import Task
from varscore.zoo.models import ModelFolder, open_model, save_model

CPU = torch.device("cpu")
NAME = "crnn-320-projection"

LABELS_AND_SCORES = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        hnp.arrays(bool, n),
        hnp.arrays(
            np.float32, n, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1, width=32)
        ),
    )
)


@given(LABELS_AND_SCORES, st.integers(0, 2**32 - 1))
def test_precision_of_many_tasks_by_one_score_is_that_of_each(drawn: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    labels, scores = drawn
    others = np.random.default_rng(seed).random((3, len(labels))) < 0.3
    every = [labels, np.zeros_like(labels), *others]
    found = average_precisions([np.flatnonzero(task) for task in every], scores)
    for task, precision in zip(every, found, strict=True):
        expected = average_precision_score(task, scores) if task.any() else math.nan
        assert precision == pytest.approx(expected, nan_ok=True)


@settings(max_examples=300)
@given(LABELS_AND_SCORES)
def test_measures_are_scikit_learns(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = drawn
    found = score_task(labels, scores)
    if labels.all() or not labels.any():
        assert np.isnan(found).all() and len(found) == 4
        return
    auroc, auprc, *recalls = found
    assert auroc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert auprc == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    precision, recall, _ = precision_recall_curve(labels, scores)
    for rate, value in zip((0.1, 0.5), recalls, strict=True):
        assert value == pytest.approx(recall[precision >= 1 - rate].max(), abs=1e-12)


def test_measures_by_hand() -> None:
    # ranked: + + - + - -, thresholds with precision 1, 1, 2/3, 3/4, 3/5, 1/2
    labels = np.array([1, 1, 0, 1, 0, 0], bool)
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], np.float32)
    auroc, auprc, at_10, at_25, at_50 = score_task(labels, scores, rates=(0.1, 0.25, 0.5))
    assert auroc == pytest.approx(8 / 9)
    assert auprc == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert (at_10, at_25, at_50) == pytest.approx((2 / 3, 1, 1))


def test_recall_is_zero_where_no_threshold_is_good_enough() -> None:
    labels, scores = np.array([1, 0, 0, 0], bool), np.array([0.1, 0.2, 0.3, 0.4])
    assert score_task(labels, scores)[2:] == (0.0, 0.0)


def test_equal_scores_are_one_threshold() -> None:
    labels, scores = np.array([1, 0, 1, 0], bool), np.full(4, 0.5)
    assert score_task(labels, scores) == (0.5, 0.5, 0.0, 1.0)


def random_scores(n: int = 200, tasks: int = 37) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = (random.random((n, tasks)) < 0.2).astype(np.uint8)
    labels[:, 3], labels[:, 20] = 0, 1
    return labels, random.random((n, tasks), np.float32)


def test_many_tasks_are_each_task_alone() -> None:
    labels, predicted = random_scores()
    scores = score_tasks(labels, predicted)
    assert scores.positives.tolist() == labels.sum(0).tolist()
    for task in range(37):
        expected = score_task(labels[:, task].astype(bool), predicted[:, task])
        measured = (scores.auroc, scores.auprc, scores.recall_at_fdr[0.1], scores.recall_at_fdr[0.5])
        assert [values[task] for values in measured] == pytest.approx(expected, nan_ok=True)
        loss = log_loss(labels[:, task], predicted[:, task].astype(np.float64), labels=[0, 1])
        assert scores.loss[task] == pytest.approx(loss, rel=1e-6)
    assert np.isnan(scores.auroc[[3, 20]]).all() and np.isfinite(scores.auroc).sum() == 35


def test_a_sure_and_wrong_prediction_has_a_finite_loss() -> None:
    scores = score_tasks(np.array([[1], [0]]), np.array([[0.0], [1.0]], np.float32))
    assert scores.loss[0] == pytest.approx(-math.log(1e-7), rel=1e-6)


# groups and tables

GROUPED = (
    Task(0, "a", "TF", {"published_auroc_x": "0.8", "published_auprc_x": "0.4", "cell": "K"}),
    Task(1, "b", "DNase", {"published_auroc_x": "0.6"}),
    Task(2, "c", "TF"),
    Task(3, "d", ""),
)


def scores_of(auroc: list[float], auprc: list[float], positives: list[int]) -> TaskScores:
    loss = np.full(len(auroc), 0.5)
    return TaskScores(np.array(positives), np.array(auroc), np.array(auprc), loss, {0.1: np.array(auprc)})


SCORES = scores_of([0.9, 0.7, math.nan, 0.5], [0.5, 0.3, math.nan, 0.2], [60, 50, 0, 49])


def test_groups_come_in_order_of_appearance() -> None:
    assert {name: members.tolist() for name, members in groups(GROUPED).items()} == {
        "all": [0, 1, 2, 3],
        "TF": [0, 2],
        "DNase": [1],
    }


def test_means_leave_tasks_without_a_value_out() -> None:
    found = summarise(GROUPED, SCORES)
    assert found["all"].auroc == pytest.approx(0.7) and found["all"].auroc_median == 0.7
    assert found["all"].auprc == pytest.approx(1 / 3)
    assert (found["all"].tasks, found["all"].na) == (4, 1)
    assert (found["TF"].auroc, found["TF"].na, found["TF"].loss) == (0.9, 1, 0.5)
    assert found["all"].row()["recall_at_fdr_0.1"] == pytest.approx(1 / 3)
    nothing = summarise(GROUPED, scores_of([math.nan] * 4, [math.nan] * 4, [0] * 4))
    assert nothing["all"].row() == {"tasks": 4, "na": 4, "loss": 0.5}


def test_published_figures_are_read_from_the_tasks() -> None:
    found = published(GROUPED)
    assert list(found) == ["x"]
    assert found["x"]["all"].auroc == pytest.approx(0.7) and found["x"]["all"].auprc == 0.4
    assert found["x"]["TF"].auroc == 0.8 and math.isnan(found["x"]["DNase"].auprc)
    assert published(GROUPED[2:]) == {}


def test_the_table_says_NA_where_there_is_nothing() -> None:
    other = scores_of([0.1, 0.2, 0.3, 0.4], [0.1] * 4, [60, 50, 0, 49])
    rows = list(csv.DictReader(table_text(GROUPED, SCORES, {"m2": other}).splitlines()))
    assert rows[0] == {
        "index": "0",
        "name": "a",
        "group": "TF",
        "positives": "60",
        "auroc": "0.9",
        "auprc": "0.5",
        "loss": "0.5",
        "recall_at_fdr_0.1": "0.5",
        "auroc:m2": "0.1",
        "auprc:m2": "0.1",
        "loss:m2": "0.5",
        "recall_at_fdr_0.1:m2": "0.1",
        "published_auroc_x": "0.8",
        "published_auprc_x": "0.4",
    }
    assert rows[2]["auroc"] == rows[2]["auprc"] == rows[2]["published_auroc_x"] == "NA"


def test_a_comparison_counts_tasks_with_enough_positives() -> None:
    other = scores_of([0.8, 0.7, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1], [60, 50, 0, 49])
    wins = compare(SCORES, other)
    assert (wins.tasks, wins.auroc, wins.auprc, wins.both) == (2, 0.5, 0.5, 0.0)
    assert compare(SCORES, other, min_positives=1).tasks == 3
    none = compare(SCORES, other, min_positives=1000)
    assert none.tasks == 0 and math.isnan(none.auroc)


# models and data sets


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("data") / "d", train=10, validation=10, test=150)


def make_model(folder: Path, seed: int = 0, tasks: tuple[Task, ...] = TASKS, window: int = 100) -> ModelFolder:
    return save_model(folder, small(NAME, seed, n_tasks=len(tasks), window=window, width=10), NAME, tasks, {})


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    return make_model(tmp_path / "mine")


def test_predictions_are_means_over_the_strands(data: ExampleSet, model: ModelFolder) -> None:
    told: list[int] = []
    scores = evaluate_model(model, Examined(data), CPU, advance=told.append)
    rows, net = data.rows("test"), model.load()
    codes = torch.from_numpy(data.windows(rows))
    flipped = torch.where(codes == 4, 4, 3 - codes).flip(1)
    with torch.no_grad():
        p = (net(codes).double().sigmoid() + net(flipped).double().sigmoid()) / 2
    labels = data.labels(rows)
    assert scores.auroc == pytest.approx([roc_auc_score(labels[:, t], p[:, t]) for t in range(2)], abs=1e-4)
    assert sum(told) == 150


def test_labelled_examples_alone(data: ExampleSet, model: ModelFolder) -> None:
    labelled = Examined(data, labelled_only=True)
    assert 50 < len(labelled.rows) < 150
    scores = evaluate_model(model, labelled, CPU)
    assert scores.positives.tolist() == data.labels(data.rows("test")).sum(0).tolist()


def test_a_model_that_does_not_fit_is_refused(data: ExampleSet, tmp_path: Path) -> None:
    three = (*TASKS, Task(2, "x"))
    for model, message in (
        (make_model(tmp_path / "a", tasks=three), "the model has 3 tasks, the data 2"),
        (
            make_model(tmp_path / "b", tasks=(TASKS[0], Task(1, "x"))),
            "task 1 is 'x' in the model, 'chance' in the data",
        ),
        (make_model(tmp_path / "c", window=120), "the network reads 120 bp.* windows of 100 bp"),
    ):
        with pytest.raises(DataError, match=message):
            evaluate_model(model, Examined(data), CPU)


def test_an_empty_split_is_refused(tmp_path: Path, model: ModelFolder) -> None:
    data = planted_set(tmp_path / "d", train=5, validation=0, test=5)
    with pytest.raises(DataError, match="no example in the validation split"):
        evaluate_model(model, Examined(data, "validation"), CPU)


def test_a_diverged_model_is_refused(data: ExampleSet, tmp_path: Path) -> None:
    net = small(NAME, n_tasks=2, window=100, width=10)
    torch.nn.init.constant_(net.output.bias, math.nan)
    with pytest.raises(ModelError, match="predicts what is no number"):
        evaluate_model(save_model(tmp_path / "m", net, NAME, TASKS, {}), Examined(data), CPU)


# the command


def evaluate(*arguments: object) -> int:
    threads = torch.get_num_threads()
    status = run(["evaluate", *map(str, arguments), "--device", "cpu", "--threads", "1"])
    torch.set_num_threads(threads)
    return status


def test_the_command_writes_tables_and_prints_means(
    data: ExampleSet, model: ModelFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert evaluate(model.path, "--data", data.folder, "-o", out) == 0
    printed = capsys.readouterr().out
    assert "AUROC" in printed and "mine" in printed and "150 examples" in printed
    with (out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    figures = json.loads((out / "metrics.json").read_text())
    scores = evaluate_model(model, Examined(data), CPU)
    assert [float(row["auroc"]) for row in rows] == pytest.approx(scores.auroc, abs=1e-5)
    assert figures["models"]["mine"]["groups"]["all"]["auroc"] == pytest.approx(scores.auroc.mean())
    assert figures["models"]["mine"]["sha256"] == model.sha256
    assert (figures["data_sha256"], figures["split"], figures["examples"]) == (data.sha256, "test", 150)
    assert evaluate(model.path, "--data", data.folder, "-o", out) == 2
    assert "--force" in capsys.readouterr().err
    assert evaluate(model.path, "--data", data.folder, "-o", out, "--force") == 0


def test_the_command_says_when_bins_without_a_label_are_missing(
    data: ExampleSet, model: ModelFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "Bins without a label are left out"
    assert evaluate(model.path, "--data", data.folder, "-o", tmp_path / "all") == 0
    assert said not in capsys.readouterr().out
    assert evaluate(model.path, "--data", data.folder, "-o", tmp_path / "labelled", "--labelled-only") == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, split, thinned",
    [
        ({}, "test", False),
        ({"bins": "all", "unlabelled": None}, "validation", False),
        ({"bins": "any", "unlabelled": None}, "test", True),
        ({"bins": "tf", "unlabelled": None}, "test", True),
        ({"bins": "all", "unlabelled": 0.33}, "validation", True),
        ({"bins": "all", "unlabelled": 0.33}, "test", False),  # which keeps every bin
    ],
)
def test_what_a_data_set_leaves_out(
    data: ExampleSet, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], split: str, thinned: bool
) -> None:
    monkeypatch.setattr(data, "info", {**data.info, "options": options})
    assert Examined(data, split).is_thinned is thinned


def test_the_command_compares(
    data: ExampleSet, model: ModelFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, same_name = make_model(tmp_path / "other", seed=1), make_model(tmp_path / "sub" / "mine", seed=2)
    more = ["--compare", other.path, "--compare", same_name.path]
    assert evaluate(model.path, "--data", data.folder, "-o", tmp_path / "out", *more) == 0
    figures = json.loads((tmp_path / "out/metrics.json").read_text())
    names = [f"mine@{model.sha256[:8]}", "other", f"mine@{same_name.sha256[:8]}"]
    assert list(figures["models"]) == names and figures["model"] == names[0]
    ours, theirs = (evaluate_model(m, Examined(data), CPU) for m in (model, other))
    assert figures["better_than"]["other"]["auroc"] == (ours.auroc > theirs.auroc).mean()
    assert figures["better_than"]["other"]["tasks"] == 2
    printed = " ".join(capsys.readouterr().out.split())
    assert f"Of 2 tasks with 50 positives or more, {names[0]} beats other on" in printed
    header = (tmp_path / "out/metrics.csv").read_text().splitlines()[0].split(",")
    assert {"auroc", "auroc:other", f"auprc:{names[2]}"} <= set(header)


def test_a_model_is_not_compared_with_itself(
    data: ExampleSet, model: ModelFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(model.path, "--data", data.folder, "-o", tmp_path / "out", "--compare", model.path) == 2
    assert "cannot be compared with itself" in capsys.readouterr().err


def test_recorded_figures_are_part_of_the_model(data: ExampleSet, model: ModelFolder, tmp_path: Path) -> None:
    for number, more in enumerate(([], ["--labelled-only"], ["--split", "validation"], [])):
        assert evaluate(model.path, "--data", data.folder, "-o", tmp_path / f"o{number}", "--record", *more) == 0
    again = open_model(model.path)
    files = {"metrics.csv", "metrics.labelled.csv", "metrics.validation.csv"}
    assert files <= set(again.verify())
    assert (model.path / "metrics.csv").read_bytes() == (tmp_path / "o0/metrics.csv").read_bytes()
    metrics = tomllib.loads((model.path / "card.toml").read_text())["metrics"]
    scores = evaluate_model(model, Examined(data), CPU)
    assert metrics["test"]["all"]["auroc"] == pytest.approx(scores.auroc.mean(), rel=1e-5)
    assert metrics["test"]["TF"]["tasks"] == 1 and metrics["test"]["examples"] == 150
    assert metrics["test"]["labelled"]["examples"] < 150
    assert metrics["validation"]["all"]["tasks"] == 2
    assert "nan" not in (model.path / "card.toml").read_text()
    assert again.load() and again.sha256 == model.sha256


# curves and pictures


@settings(max_examples=40)
@given(LABELS_AND_SCORES)
def test_curves_are_scikit_learns(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = drawn
    curve = draw_curve(labels, scores)
    if labels.all() or not labels.any():
        assert curve is None
        return
    assert curve is not None
    false_positive, recall, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    assert curve.false_positive_rate == pytest.approx(false_positive, abs=1e-12)
    assert curve.recall == pytest.approx(recall, abs=1e-12)
    assert curve.threshold.tolist() == thresholds.tolist()
    precision = precision_recall_curve(labels, scores)[0][::-1]
    assert curve.precision == pytest.approx(precision, abs=1e-12)
    assert len(curve.thinned(5)) <= 15 and curve.thinned(5).recall[-1] == 1


def test_a_thinned_curve_is_the_same_picture() -> None:
    random = np.random.default_rng(0)
    labels = random.random(30_000) < 0.1
    curve = draw_curve(labels, (random.random(30_000) + 0.3 * labels).astype(np.float32))
    assert curve is not None
    thin = curve.thinned()
    at = np.linspace(0, 1, 777)
    drawn = [np.interp(at, c.false_positive_rate, c.recall) for c in (curve, thin)]
    assert len(curve) > 29_000 and len(thin) < 1500 and abs(drawn[0] - drawn[1]).max() < 0.003
    drawn = [np.interp(at, c.recall, c.precision) for c in (curve, thin)]  # which falls steeply beyond a recall of .28
    assert abs(drawn[0] - drawn[1]).max() < 0.04 and abs(drawn[0] - drawn[1]).mean() < 5e-4


def test_tasks_are_chosen_by_index_and_glob() -> None:
    tasks = tuple(Task(i, name) for i, name in enumerate(["K562|CTCF", "K562|MAX", "HeLa|CTCF", "K562|CTCF"]))
    assert choose_tasks(tasks, ["*CTCF"]) == [0, 2, 3]
    assert choose_tasks(tasks, ["3", "1"]) == [1, 3]
    assert choose_tasks(tasks, ["0:K562*"]) == [0] and choose_tasks(tasks, []) == []
    with pytest.raises(UsageError, match="'9' matches none of the 4 tasks; near it are K562"):
        choose_tasks(tasks, ["9"])
    with pytest.raises(UsageError, match="curves of 40 tasks; choose 24 at most"):
        choose_tasks(tuple(Task(i, "x") for i in range(40)), ["x"])


@pytest.mark.usefixtures("painted")
def test_pictures_and_curves(
    data: ExampleSet, model: ModelFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [make_model(tmp_path / f"other$_{seed}", seed) for seed in (1, 2)]
    compared = [argument for other in others for argument in ("--compare", other.path)]
    out = tmp_path / "out"
    command = [model.path, "--data", data.folder, "-o", out, *compared, "--curves", "planted", "--curves", "1"]
    assert evaluate(*command) == 0
    pictures = [out / f"{name}.{kind}" for name in ("roc", "pr", "reliability") for kind in ("png", "svg")]
    assert f"pictures: {', '.join(map(str, pictures))}" in capsys.readouterr().out
    assert pictures[0].read_bytes().startswith(b"\x89PNG")
    texts = ["".join(ElementTree.parse(path).getroot().itertext()) for path in pictures[1::2]]
    figures = json.loads((out / "metrics.json").read_text())
    for measure, text, axis in (("auroc", texts[0], "AUROC, mine"), ("auprc", texts[1], "average precision, mine")):
        assert axis in text and "1:chance" in text and "other$_2" in text
        for other in others:
            assert f"larger on {figures['better_than'][other.id][measure]:.1%} of 2 tasks" in text
    with (out / "metrics.csv").open() as file:
        expected = [f"({float(row['auroc']):.3f})" for row in csv.DictReader(file)]
    assert all(area in texts[0] for area in expected)
    with (out / "curves.csv").open() as file:
        points = list(csv.DictReader(file))
    assert {(point["name"], point["model"]) for point in points} == {
        (task, name) for task in ("planted", "chance") for name in ("mine", "other$_1", "other$_2")
    }


def test_a_report_takes_the_place_of_another_with_more_files(
    data: ExampleSet, model: ModelFolder, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert evaluate(model.path, "--data", data.folder, "-o", out, "--curves", "planted") == 0
    assert {"roc.png", "pr.svg", "curves.csv"} <= {path.name for path in out.iterdir()}
    assert evaluate(model.path, "--data", data.folder, "-o", out, "--force") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "means.csv",
        "metrics.csv",
        "metrics.json",
        "reliability.csv",
        "reliability.png",
        "reliability.svg",
    ]


def test_without_matplotlib_a_report_has_no_pictures(
    data: ExampleSet,
    model: ModelFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    out = tmp_path / "out"
    assert evaluate(model.path, "--data", data.folder, "-o", out, "--curves", "0") == 0
    assert "pip install matplotlib" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == [
        "curves.csv",
        "means.csv",
        "metrics.csv",
        "metrics.json",
        "reliability.csv",
    ]


def test_means_are_in_a_table_of_their_own(data: ExampleSet, model: ModelFolder, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", seed=1)
    assert evaluate(model.path, "--data", data.folder, "-o", tmp_path / "out", "--compare", other.path) == 0
    rows = list(csv.DictReader((tmp_path / "out/means.csv").read_text().splitlines()))
    assert [(row["group"], row["model"]) for row in rows] == [
        (group, name) for group in ("all", "TF", "DNase") for name in ("mine", "other")
    ]
    scores = evaluate_model(other, Examined(data), CPU)
    assert float(rows[1]["recall_at_fdr_0.5"]) == pytest.approx(scores.recall_at_fdr[0.5].mean(), rel=1e-5)
    assert (rows[1]["tasks"], rows[1]["na"]) == ("2", "0")


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_all_of_deepseas_tasks_take_seconds(share: float) -> None:
    """919 tasks and 50,000 rows are to take less than 6 s of one core; a twentieth of the tasks is timed here."""
    random = np.random.default_rng(0)
    predicted = random.random((50_000, 46), np.float32)
    labels = (random.random((50_000, 46), np.float32) < share).astype(np.uint8)
    began = time.process_time()
    scores = score_tasks(labels, predicted)
    seconds = time.process_time() - began
    assert scores.auroc[7] == pytest.approx(roc_auc_score(labels[:, 7], predicted[:, 7]), abs=1e-12)
    assert scores.auprc[7] == pytest.approx(average_precision_score(labels[:, 7], predicted[:, 7]), abs=1e-12)
    assert seconds * 919 / 46 < 6
