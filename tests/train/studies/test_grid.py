"""The projection study: which networks, what is left behind, and how it goes on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from small_data import planted_set

from varscore.cli.boundary import run
from varscore.cli.train import Training, parse_sizes
from varscore.datasets.examples import ExampleSet
from varscore.errors import UsageError
from varscore.formats.csvtable import csv_text
from varscore.train import run as runs
from varscore.train.studies import grid as study
from varscore.train.studies import study as running
from varscore.train.studies.grid import Arrangement, Result, collect, curves, markdown, parse_name, projection_grid
from varscore.zoo.models import open_model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("data") / "d", train=40, validation=20, test=20, window=200)


@pytest.fixture(autouse=True)
def no_pictures_of_single_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than training does here, and have their test with a run."""
    for name in ("learning_curve", "log_to_tensorboard"):
        monkeypatch.setattr(runs, name, lambda *_: None)


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "study_curves", lambda *_: None)


def command(data: ExampleSet, folder: Path, *more: str, sizes: str = "4") -> int:
    small = ["--arg=dense=6", "--arg=window=180", "--batch-size=20", "--device=cpu", "--threads=1"]
    places = ["--data", str(data.folder), "-o", str(folder)]
    return run(["train-chromatin", *more, "--grid=projection", "--grid-filters", sizes, *places, *small])


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "grid.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_study_has_32_networks() -> None:
    every = projection_grid()
    assert len(set(every)) == 32 == 2 * 2 * 2 * 4
    assert len({arrangement.name for arrangement in every}) == 32
    assert [parse_name(arrangement.name) for arrangement in every] == every
    assert sorted({arrangement.filters for arrangement in every}) == [320, 500, 700, 1000]
    assert len(projection_grid(["cnn-500"], [320, 500])) == 8
    with pytest.raises(UsageError, match="danq is not of the projection study"):
        projection_grid(["danq"])


@pytest.mark.parametrize("name", ["danq.320", "cnn-500", "cnn-500.x", "cnn-500.320.dropout.projection", "grid.csv"])
def test_other_folders_are_not_of_the_study(name: str) -> None:
    assert parse_name(name) is None


def test_sizes_are_numbers_with_commas() -> None:
    assert parse_sizes("500,320,500") == [320, 500]
    for wrong in ("", "320,", "0", "a", "-3", "320 500"):
        with pytest.raises(UsageError, match="--grid-filters"):
            parse_sizes(wrong)


def test_a_study_leaves_models_a_table_and_a_picture(
    data: ExampleSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(data, tmp_path, "--epochs=1") == 0
    rows = read(tmp_path)
    assert [(row["network"], row["projection"], row["dropout"]) for row in rows] == [
        (network, projection, dropout)
        for network in ("cnn-500", "danq-500")
        for projection in ("no", "yes")
        for dropout in ("no", "yes")
    ]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("| network | filters | projection | dropout | parameters | epochs |")
    assert printed[2:] == [f"| {' | '.join(row.values())} |" for row in rows]
    assert (tmp_path / "grid.png").is_file()
    for row, arrangement in zip(rows, projection_grid(filters=[4]), strict=True):
        model = open_model(tmp_path / arrangement.name)
        config = model.config()
        assert config.window == 180 and config.filters == 4 and config.dense == 6
        assert config.projection == (64 if row["projection"] == "yes" else 0)
        assert config.dropout == (0.2 if row["dropout"] == "yes" else 0)
        assert row["parameters"] == str(model.load().counts()[0])
        assert row["epochs"] == "1" and row["state"] == "done"
        assert row["validation_loss"] == f"{model.card['training']['validation_loss']:.5f}"
        assert row["test_auprc"] == f"{model.card['metrics']['test']['all']['auprc']:.5f}"


@pytest.mark.usefixtures("no_picture")
def test_a_stopped_study_goes_on_where_it_was(
    data: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[str] = []
    original = running.evaluate_model

    def third_time_lost(model, *more):  # type: ignore[no-untyped-def]
        measured.append(model.id)
        if len(measured) == 3:
            raise KeyboardInterrupt
        return original(model, *more)

    monkeypatch.setattr(running, "evaluate_model", third_time_lost)
    assert command(data, tmp_path, "danq-500", "--epochs=1") != 0
    assert [row["state"] for row in read(tmp_path)] == ["done", "done"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/model.safetensors")}
    assert len(before) == 3
    assert command(data, tmp_path, "danq-500", "--epochs=1") == 0
    assert len(read(tmp_path)) == 4
    assert measured[3:] == measured[2:3] + ["danq-500.4.projection.dropout"], "what was measured is not measured again"
    assert all(path.stat().st_mtime_ns == when for path, when in before.items()), "what was trained is left alone"
    capsys.readouterr()
    assert command(data, tmp_path, "danq-500", "--epochs=2") == 0
    assert [row["epochs"] for row in read(tmp_path)] == ["2"] * 4, "more epochs carry every run on"
    assert len(measured) == 9


@pytest.mark.usefixtures("no_picture")
def test_parts_of_a_study_share_a_folder(data: ExampleSet, tmp_path: Path) -> None:
    assert command(data, tmp_path, "danq-500", "--epochs=1", "--max-minutes=0", sizes="5") == 0
    assert command(data, tmp_path, "cnn-500", "--epochs=1", sizes="3,5") == 0
    rows = read(tmp_path)
    assert [row["network"] for row in rows] == ["cnn-500"] * 8 + ["danq-500"] * 4
    assert [row["filters"] for row in rows[:2]] == ["3", "5"]
    assert {row["state"] for row in rows[8:]} == {"interim"} and {row["validation_loss"] for row in rows[8:]} == {"NA"}
    assert {row["test_auprc"] != "NA" for row in rows} == {True}, "interim runs are measured, too"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["danq"], "danq is not of the projection study"),
        (["--arg=filters=3"], "the study itself sets filters"),
        (["--arg=hidden=3"], "--arg hidden=3"),
        (["--init-from=kmer"], "--init-from is for one network"),
        (["--optimizer=adam", "--momentum=0.5"], "adam takes no --momentum"),
        (["--momentum=0.5"], "adam takes no --momentum; --optimizer sgd or nesterov or rmsprop"),
        (["--recipe=fast", "--rho=0.5"], "adamw takes no --rho"),
        (["--beta2=0.9"], "adam takes no --beta2"),
        (["--root-epsilon=1e-6"], "adam takes no --root-epsilon"),
        (["--steps=5", "--epochs=2"], "--steps and --epochs both say when training ends"),
        (["--motif-share=0.5"], "--motif-share is for the filters that --init-motifs begins"),
    ],
)
def test_what_a_study_cannot_do(
    data: ExampleSet, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(data, tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_patience_that_nothing_has_is_said(caplog: pytest.LogCaptureFixture) -> None:
    for schedule, said in (("cosine", True), ("plateau", False)):
        caplog.clear()
        Training(schedule=schedule, patience=3).plan("danq-500")
        assert ("`patience` changes nothing" in caplog.text) == said


def test_one_network_or_a_study(data: ExampleSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends = ["--data", str(data.folder), "-o", str(tmp_path / "m")]
    assert run(["train-chromatin", *ends]) == 2
    assert "name an architecture" in capsys.readouterr().err
    assert run(["train-chromatin", "danq", "--grid-filters=320", *ends]) == 2
    assert "--grid-filters is for --grid projection" in capsys.readouterr().err


def test_a_data_set_without_test_examples_is_refused_before_training(tmp_path: Path) -> None:
    data = planted_set(tmp_path / "d", train=40, validation=20, test=0, window=200)
    assert command(data, tmp_path / "m") != 0
    assert not (tmp_path / "m").exists()


def result(arrangement: Arrangement, auprc: float) -> Result:
    return Result(arrangement, 1, 2, 0.5, 0.75, auprc, False)


def test_curves_are_by_size_and_leave_out_what_is_not_measured() -> None:
    every = projection_grid(filters=[500, 320])
    results = [result(arrangement, arrangement.filters / 1000) for arrangement in every]
    results[0] = result(every[0], float("nan"))
    found = curves(results)
    assert set(found) == {"cnn-500", "danq-500"}
    assert found["cnn-500"]["no projection, no dropout"] == [(320, 0.32)]
    assert found["danq-500"]["projection, dropout"] == [(320, 0.32), (500, 0.5)]


def test_tables_by_hand(tmp_path: Path) -> None:
    results = [result(Arrangement("cnn-500", True, False, 320), float("nan"))]
    columns = "network,filters,projection,dropout,parameters,epochs,validation_loss,test_auroc,test_auprc,state"
    assert (
        csv_text([result.row() for result in results]) == f"{columns}\ncnn-500,320,yes,no,1,2,0.50000,0.75000,NA,done\n"
    )
    assert markdown(results).splitlines()[2] == "| cnn-500 | 320 | yes | no | 1 | 2 | 0.50000 | 0.75000 | NA | done |"
    assert collect(tmp_path) == []
