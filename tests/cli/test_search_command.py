"""``varscore search`` from the command line: a study from its first trial to a model, and what is wrong with others."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_data import planted_set

from varscore.cli.boundary import run
from varscore.cli.newstudy import parse_time
from varscore.errors import UsageError
from varscore.search import worker
from varscore.search.space import WHOLE
from varscore.search.study import begin_study, open_study
from varscore.search.trials import Trial
from varscore.zoo.models import open_model

SPACE = """\
conv_width = [9]
filters = [16]
convs_before = [1, 2]
convs_after = [1]
rnn_layers = [0]
global_reduction = ["attention"]
fc_layers = [0]
batch_size = [25]
lr_scale = [1, 2]
optimizer = ["adam"]
"""
QUICK = ["--device", "cpu", "--threads", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set ``data``, a space, and a study ``study`` of three trials."""
    folder = tmp_path_factory.mktemp("search")
    planted_set(folder / "data", train=200, window=60)
    (folder / "space.toml").write_text(SPACE)
    assert search(folder, "study", "--trials", "3", "--epochs", "2", "--space", str(folder / "space.toml")) == 0
    return folder


def search(folder: Path, study: str, *more: str) -> int:
    return run(["search", "--data", str(folder / "data"), "-o", str(folder / study), *QUICK, *more])


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    capsys.readouterr()
    assert run(list(words)) == status
    out, err = capsys.readouterr()
    return err if status else out


def test_a_study_goes_on_and_more_trials_are_added(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = open_study(folder / "study")
    before = {path: path.read_bytes() for path in study.folder.glob("branches/main/trials/*/trial.json")}
    out = said(capsys, "search", "-o", str(folder / "study"), "--trials", "4", *QUICK)
    assert "main: 4 trials, the best auroc" in out and "conv_width=9" in out
    assert all(path.read_bytes() == text for path, text in before.items())
    assert [trial.state for trial in study.branch("main").trials()] == ["done"] * 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trials", "2"], "branch main has [34] trials, .*trials; --trials [34] or more"),
        (["--epochs", "3"], "another epochs, .*study.toml; there 2, here 3"),
        (["--seed", "1"], "another seed"),
        (["--metric", "r"], "metric 'r' of labels; --metric auroc, or loss"),
        (["--branch", "other"], "no branch 'other', .*study; it has main"),
        (["--time-per-trial", "soon"], "--time-per-trial soon is no time; such as 90s, 30m or 2h"),
        (["--space", "{}/bad.toml"], "no key 'filter', .*bad.toml; did you mean filters"),
        (["--space", "{}/half.toml"], "a branch of this name has another space, .*main"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    import re

    (folder / "bad.toml").write_text("filter = [8]")
    (folder / "half.toml").write_text("filters = [8]")
    words = ["search", "-o", str(folder / "study"), "--data", str(folder / "data"), *QUICK]
    err = said(capsys, *words, *(word.format(folder) for word in more), status=2)
    assert re.search(message, err) and err.count("\n") == 1, err


def test_studies_and_data_that_are_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no study, " in said(capsys, "search", "status", str(folder / "nowhere"), status=2)
    assert "wants a folder" in said(capsys, "search", "--data", str(folder / "data"), status=2)
    assert "wants a data set" in said(capsys, "search", "-o", str(folder / "new"), status=2)
    assert not (folder / "new").exists()
    (folder / "bad.toml").write_text("filter = [8]")
    for wrong in (["--space", str(folder / "bad.toml")], ["--branch", "a b"], ["--metric", "r"]):
        assert search(folder, "new", *wrong) == 2
    assert not (folder / "new").exists(), "what is wrong is found before anything is written"


def test_a_study_in_which_nothing_was_tried_yet(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = dataclasses.replace(open_study(folder / "study").settings, epochs=1)
    study = str(begin_study(tmp_path / "empty", settings).folder)
    assert "branch" in said(capsys, "search", "status", study)
    for words, message in (
        (["run-stages"], "no branch"),
        (["narrow"], "which branch?"),
        (["best", "-o", "m"], "no trial of rank 1"),
        (["report", "-o", "r.html"], "no trial has ended yet"),
    ):
        err = said(capsys, "search", words[0], study, *words[1:], status=2)
        assert message in err and err.count("\n") == 1, err
    out = said(capsys, "search", "-o", study, "--trials", "1", "--space", str(folder / "space.toml"), *QUICK)
    assert "main: 1 trials" in out


def test_status_says_how_far_it_is_and_writes_the_journal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    out = said(capsys, "search", "status", str(folder / "study"))
    study = open_study(folder / "study")
    trials = study.branch("main").trials()
    best = max(trials, key=lambda trial: trial.metric)
    line = next(line for line in out.splitlines() if line.startswith("main"))
    assert line.split()[1] == str(len(trials)) and f"{best.metric:.4f}" in line
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "study/optuna.journal"))
    journal = optuna.load_study(study_name="main", storage=optuna.storages.JournalStorage(backend))
    assert len(journal.trials) == len(trials) and journal.best_value == best.metric
    assert journal.best_trial.user_attrs["number"] == best.number
    assert journal.best_params["conv_width"] == 9 and journal.best_params["rnn_units"] == "-"
    assert list(journal.best_trial.intermediate_values) == [0, 1]
    assert optuna.importance.get_param_importances(journal) is not None


def test_a_page_of_few_trials_says_what_there_is(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for module in ("optuna", "plotly", "matplotlib", "sklearn", "jinja2"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    page = tmp_path / "study.html"
    words = ["search", "report", str(folder / "study"), "-o", str(page)]
    said(capsys, *words, "--title", "Mine")
    text = page.read_text()
    assert "<title>Mine</title>" in text and "40 are wanted" in text and len(text) < 6_000_000
    assert "exists" in said(capsys, *words, status=2)
    said(capsys, *words, "--force")
    assert page.read_text() != text and "Search: study" in page.read_text()


def test_the_best_is_an_ordinary_model(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    study = open_study(folder / "study")
    out = said(capsys, "search", "best", str(folder / "study"), "-o", str(tmp_path / "copied"))
    best = max(study.branch("main").trials(), key=lambda trial: trial.metric)
    model = open_model(tmp_path / "copied")
    assert f"trial {best.number} of main" in out and model.id == "copied"
    assert model.sha256 == open_model(study.branch("main").trial_folder(best.number) / "model").sha256
    assert model.card["search"]["trial"] == best.number and "metrics" not in model.card
    assert "exists" in said(capsys, "search", "best", str(folder / "study"), "-o", str(tmp_path / "copied"), status=2)
    assert "no trial of rank 99" in said(
        capsys, "search", "best", str(folder / "study"), "-o", str(tmp_path / "x"), "--rank", "99", status=2
    )


def test_retraining_measures_it_on_the_test_split(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["search", "best", str(folder / "study"), "-o", str(tmp_path / "m"), "--retrain", "--epochs", "4", *QUICK]
    out = said(capsys, *words)
    model = open_model(tmp_path / "m")
    assert model.card.epochs == 4 and not model.card.interim
    assert f"on the test split: auroc {model.card.figures('test')['auroc']:.4f}" in out
    (tmp_path / "s.fa").write_text(">one\n" + "ACGTTGACTCAGCAACGTAC" * 3 + "\n")
    words = ["predict", str(tmp_path / "m"), str(tmp_path / "s.fa"), "-o", str(tmp_path / "p.tsv"), *QUICK]
    assert run(words) == 0
    assert len((tmp_path / "p.tsv").read_text().splitlines()) >= 2


# the reading of many trials, which are made here


@pytest.fixture
def made(folder: Path, tmp_path: Path) -> Path:
    """A study whose 60 trials nobody has trained: what decides is elu."""
    assert (
        search(folder, str(tmp_path / "made"), "--trials", "1", "--epochs", "1", "--space", str(folder / "space.toml"))
        == 0
    )
    study = open_study(tmp_path / "made")
    wide = study.make_branch("wide", WHOLE)
    points = wide.points(0)
    for number in range(60):
        point = next(points)
        metric = 0.6 + 0.2 * (point["nonlinearity"] == "elu") + 0.001 * (number % 7)
        history = tuple({"epoch": n, "validation_loss": 0.7 - n / 10, "auroc": metric - 0.1 + n / 20} for n in range(3))
        wide.trial_folder(number).mkdir()
        Trial(number, point, "done", 1000 + number, metric, 2, history, 25, 1.5).write(wide.trial_folder(number))
    return study.folder


def test_narrowing_and_forking(made: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    assert "which branch?" in said(capsys, "search", "narrow", str(made), status=2)
    assert "too few" in said(capsys, "search", "narrow", str(made), "--branch", "main", status=2)
    space = tmp_path / "narrow.toml"
    out = said(capsys, "search", "narrow", str(made), "--branch", "wide", "-o", str(space))
    assert "nonlinearity is elu" in out and "nonlinearity without relu (0 of the best" in out
    assert 'nonlinearity = ["elu"]' in space.read_text()
    fork = ["search", "fork", str(made), "--from", "wide", "--branch", "deep", "--space", str(space)]
    assert "varscore search -o" in said(capsys, *fork, "--fix", "convs_after=4,5")
    branch = open_study(made).branch("deep")
    assert branch.space["convs_after"] == (4, 5) and branch.space["nonlinearity"] == ("elu",)
    assert (branch.parent, branch.why) == ("wide", "forked: convs_after=4,5")
    assert "no value '9'" in said(capsys, *fork, "--fix", "convs_after=9", status=2)


def test_the_narrowed_space_becomes_the_next_stage_and_is_searched(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")

    def judged(trial: Trial, *more: object) -> Trial:
        return dataclasses.replace(trial, state="done", metric=0.5 + trial.number / 1000, batch_size=25)

    monkeypatch.setattr(worker, "_attempt", judged)
    out = said(capsys, "search", "narrow", str(made), "--branch", "wide", "--accept", *QUICK)
    assert "stage2: 60 trials, the best auroc" in out
    stage = open_study(made).branch("stage2")
    assert (stage.parent, stage.space["nonlinearity"]) == ("wide", ("elu",)) and "without relu (0 of" in stage.why
    assert [trial.number for trial in stage.trials()] == list(range(60))
    assert all(trial.drawn["nonlinearity"] == "elu" for trial in stage.trials())


def test_stages_run_to_their_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "search", "run-stages", str(folder / "study"), "--stages", "2", "--trials", "4", *QUICK)
    assert "4 trials that count are too few to go on from" in out


def test_the_array_for_slurm(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--trials", "9", "--workers", "slurm", "--tasks", "7", "--time", "2:00:00", "--cpus", "3"]
    assert search(folder, "study", *more, "--setup", "module load x") == 0
    script = (folder / "study/slurm/array.sh").read_text()
    assert "#SBATCH --array=1-7\n" in script and "#SBATCH --time=2:00:00" in script and "module load x" in script
    assert f"search --data {folder / 'data'} -o {folder / 'study'} --branch main --trials 9" in script
    assert "--threads 3" in script and "scontrol requeue" in script and "--shard" not in script
    assert subprocess.run(["bash", "-n", str(folder / "study/slurm/array.sh")]).returncode == 0
    assert "array.sh" in (folder / "study/slurm/submit.sh").read_text()


SBATCH = """\
#!/bin/bash
# A stand-in for sbatch: the tasks of an array, at the same time, each as SLURM would start it.
script=${@: -1}
last=$(sed -n 's/^#SBATCH --array=1-//p' "$script")
for ((task = 1; task <= last; task++)); do
    SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=1 \\
        bash "$script" > "$(dirname "$script")/logs/$task.log" 2>&1 || exit 1 &
    tasks+=($!)
done
wait "${tasks[@]}" && echo 7
"""


@pytest.mark.slow
def test_the_tasks_of_the_array_share_the_trials_of_one_worker(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "sbatch").write_text(SBATCH)
    (bin_folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    more = ["--trials", "4", "--epochs", "2", "--space", str(folder / "space.toml")]
    array = ["--workers", "slurm", "--tasks", "2", "--setup", "export OMP_NUM_THREADS=1", "--submit"]
    study = str(tmp_path / "an array")
    assert run(["search", "--data", str(folder / "data"), "-o", study, *more, "--device", "cpu", *array]) == 0
    logs = {path.name: path.read_text() for path in Path(study, "slurm/logs").iterdir()}
    assert sorted(logs) == ["1.log", "2.log"]
    ended = [text.count("trial ended") for text in logs.values()]
    assert sum(ended) == 4, logs
    assert search(tmp_path, "alone", *more, "--data", str(folder / "data")) == 0
    assert metrics(Path(study)) == metrics(tmp_path / "alone")


@pytest.mark.slow
def test_processes_run_stage_after_stage_together(folder: Path, tmp_path: Path) -> None:
    more = ["--trials", "1", "--epochs", "1", "--space", str(folder / "space.toml")]
    assert search(tmp_path, "s", *more, "--data", str(folder / "data")) == 0
    words = ["search", "run-stages", str(tmp_path / "s"), "--stages", "2", "--trials", "4", "--workers", "2"]
    command = [sys.executable, "-m", "varscore", *words, "--device", "cpu", "--threads", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "main: 4 trials" in done.stdout and "too few to go on from" in done.stdout
    assert "trials=0" not in done.stderr.splitlines()[-1]
    assert len(metrics(tmp_path / "s")) == 4


def metrics(study: Path) -> list[float]:
    return [json.loads(path.read_text())["metric"] for path in open_study(study).ended()]


def test_times() -> None:
    assert [parse_time(text) for text in ("90s", "1.5m", "2h")] == [90, 90, 7200]
    for text in ("90", "0s", "-3m", "m"):
        with pytest.raises(UsageError):
            parse_time(text)


@pytest.mark.slow
def test_two_processes_make_the_trials_of_one(folder: Path, tmp_path: Path) -> None:
    more = ["--trials", "4", "--epochs", "2", "--space", str(folder / "space.toml")]
    for name, workers in (("one", "1"), ("two", "2")):
        words = ["search", "--data", str(folder / "data"), "-o", str(tmp_path / name), "--workers", workers, *more]
        subprocess.run([sys.executable, "-m", "varscore", *words, "--device", "cpu", "--threads", workers], check=True)
    found = [metrics(tmp_path / name) for name in ("one", "two")]
    assert found[0] == found[1] and len(found[0]) == 4 and np.isfinite(found[0]).all()
