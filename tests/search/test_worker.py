"""Trials are the same whoever works on them, however often somebody is killed."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_kinds import made_set
from search.conftest import TINY

from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError, DivergedError, OutputError, UsageError, VarscoreError
from varscore.search import claims, sampler, trials, worker
from varscore.search.claims import ALIVE, claim, is_abandoned
from varscore.search.sampler import Draws
from varscore.search.space import arguments, effective, recipe, subspace
from varscore.search.study import Branch, Settings, Study, begin_study, data_of, open_data, open_study
from varscore.search.trials import MODEL, ranked, read_trial
from varscore.search.worker import Work, run_branch
from varscore.train.loop import CHECKPOINT, Trainer
from varscore.train.run import RunOptions, train_model
from varscore.zoo.models import open_model

FORK = multiprocessing.get_context("fork")  # a new interpreter would take seconds to load torch
Begin = Callable[..., Study]


def run(study: Study, work: Work) -> list[dict[str, Any]]:
    """The trials, in this process, on one thread: they are the same to the bit on as many."""
    return facts(study.branch("main"), run_branch(study, study.branch("main"), data_of(study), work))


def facts(branch: Branch, trials: Any) -> list[dict[str, Any]]:
    """All of every trial.json but times and places."""
    found = [json.loads((branch.trial_folder(trial.number) / "trial.json").read_text()) for trial in trials]
    return [{key: value for key, value in each.items() if key not in ("seconds", "began", "host")} for each in found]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, data: Path) -> list[dict[str, Any]]:
    """The trials of one worker whom nobody disturbs."""
    examples = open_data(data)
    settings = Settings(str(data), examples.sha256, examples.kind, "auroc", epochs=2)
    study = begin_study(tmp_path_factory.mktemp("alone") / "s", settings)
    study.make_branch("main", TINY)
    return run(study, Work(6, patience=0.05))


def test_one_and_three_workers_and_a_kill_give_the_same_trials(
    begin: Begin, work: Work, alone: list[dict[str, Any]], tmp_path: Path
) -> None:
    study = begin("three")

    def work_and_die() -> None:
        save = Trainer._save

        def save_and_die(trainer: Trainer) -> None:
            save(trainer)
            os.kill(os.getpid(), signal.SIGKILL)

        Trainer._save = save_and_die  # type: ignore[method-assign]  # in a process of its own
        run(study, work)

    doomed = FORK.Process(target=work_and_die)
    doomed.start()
    doomed.join()
    assert doomed.exitcode == -signal.SIGKILL
    begun = study.branch("main").claimed()
    left = study.branch("main").trial_folder(begun[-1])
    assert (left / MODEL / CHECKPOINT).exists() and read_trial(left) is None, "it died in the midst of a trial"

    workers = [FORK.Process(target=run, args=(study, work)) for _ in range(3)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert [each.exitcode for each in workers] == [0, 0, 0]
    trials = study.branch("main").trials()
    assert facts(study.branch("main"), trials) == alone
    assert len({json.dumps(each["effective"]) for each in alone}) == work.trials
    assert not list(study.branch("main").trials_folder.glob("*.lost*"))
    assert all(each["state"] == "done" and 0 < each["metric"] <= 1 for each in alone), alone


def test_a_trial_that_was_begun_goes_on_from_its_checkpoint(
    begin: Begin, work: Work, alone: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only is it finished: what had been trained is not trained again."""
    study = begin("again")
    branch, data = study.branch("main"), data_of(study)
    steps: list[int] = []
    step = Trainer._step

    class Stop(Exception):
        pass

    def counted(trainer: Trainer, *args: Any) -> float:
        steps.append(trainer.progress.epoch)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return step(trainer, *args)

    monkeypatch.setattr(Trainer, "_step", counted)
    with pytest.raises(KeyboardInterrupt):
        run_branch(study, branch, data, work)
    assert (branch.trial_folder(0) / ALIVE).read_text() == "" and is_abandoned(branch.trial_folder(0))
    assert steps == [0, 0, 0, 1], "three steps are an epoch"
    assert run(study, work) == alone
    assert steps[4:7] == [1, 1, 1], "the first epoch is not trained again"


def test_a_silent_claim_is_taken_over_and_its_owner_notices(tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "00003"
    folder.parent.mkdir()
    mine = claim(folder)
    assert mine is not None and mine.is_ours and claim(folder) is None
    (folder / MODEL).mkdir()
    token = (folder / ALIVE).read_text()
    elsewhere = token.replace(token.split()[0], "another.machine:1:2")
    (folder / ALIVE).write_text(elsewhere)
    assert claim(folder) is None, "of other machines only silence tells"
    before = time.time() - claims.SILENCE - 1
    os.utime(folder / ALIVE, (before, before))
    second = claim(folder)
    assert second is not None and second.is_ours and not mine.is_ours
    assert (folder / MODEL).is_dir() and (tmp_path / "trials/00003.lost1").is_dir()
    claims.tidy(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["00003"]


def test_the_end_of_a_process_here_is_known_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "00000"
    folder.parent.mkdir()
    owner = FORK.Process(target=claim, args=(folder,))
    owner.start()
    owner.join()
    assert is_abandoned(folder) and claim(folder) is not None


def test_of_many_that_take_a_trial_over_one_gets_it(tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "00000"
    folder.parent.mkdir()
    for _ in range(5):
        owner = FORK.Process(target=claim, args=(folder,))
        owner.start()
        owner.join()
        won, together = FORK.SimpleQueue(), FORK.Barrier(4)

        def take(won: Any = won, together: Any = together) -> None:
            together.wait()
            found = claim(folder)
            together.wait()  # alive while the others look
            won.put(found is not None)

        takers = [FORK.Process(target=take) for _ in range(4)]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()
        assert sorted(won.get() for _ in takers) == [False, False, False, True]


# what a trial is


def test_a_trial_is_what_training_makes_of_its_point(begin: Begin, work: Work, tmp_path: Path) -> None:
    study = begin(epochs=3)
    trial = run_branch(study, study.branch("main"), data_of(study), dataclasses.replace(work, trials=1))[0]
    assert trial.drawn == Draws(study.branch("main"), 0)[0]
    there = open_model(study.branch("main").trial_folder(0) / MODEL)
    again = train_model(
        "architect",
        data_of(study),
        tmp_path / "m",
        recipe=recipe(trial.drawn, 3),
        arguments=arguments(trial.drawn),
        options=RunOptions(seed=there.card["training"]["seed"], pictures=False),
    )
    assert again.sha256 == there.sha256
    best = min(trial.history, key=lambda row: row["validation_loss"])
    assert (trial.metric, trial.best_epoch) == (best["auroc"], best["epoch"]) and len(trial.history) == 3
    assert trial.parameters == there.load().counts()[1]
    assert not (there.path / CHECKPOINT).exists() and not there.card.interim


def test_only_the_best_keep_their_models(begin: Begin, work: Work) -> None:
    study = begin()
    trials = run_branch(study, study.branch("main"), data_of(study), dataclasses.replace(work, keep=2))
    kept = {trial.number for trial in trials if (study.branch("main").trial_folder(trial.number) / MODEL).exists()}
    assert kept == {trial.number for trial in ranked(trials, study.metric)[:2]}


@pytest.mark.parametrize(("kind", "metric"), [("values", "r"), ("classes", "auprc"), ("values", "loss")])
def test_data_of_every_kind(begin: Begin, work: Work, tmp_path: Path, kind: str, metric: str) -> None:
    folder = made_set(tmp_path / "k", kind, strands="one", **({"known": 0.9} if kind == "values" else {})).folder
    study = begin("kind", folder=folder, metric=metric)
    trials = run_branch(study, study.branch("main"), data_of(study), dataclasses.replace(work, trials=2))
    assert all(trial.state == "done" and np.isfinite(trial.metric) for trial in trials)
    if metric == "loss":
        assert all(trial.metric == min(row["validation_loss"] for row in trial.history) for trial in trials)
        assert ranked(trials, study.metric)[0].metric == min(trial.metric for trial in trials)


def test_the_test_split_is_not_read(begin: Begin, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    rows = ExampleSet.rows
    monkeypatch.setattr(ExampleSet, "rows", lambda self, split, *more: asked.append(split) or rows(self, split, *more))
    study = begin()
    run_branch(study, study.branch("main"), data_of(study), dataclasses.replace(work, trials=2))
    assert set(asked) == {"train", "validation"}


# what goes wrong


def failing(monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], times: int = 99) -> list[int]:
    """Training fails so many times; returns the batch sizes that were tried."""
    sizes: list[int] = []
    train = worker.train_model

    def fail(*args: Any, **more: Any) -> Any:
        sizes.append(more["recipe"].batch_size)
        if len(sizes) <= times:
            raise error()
        return train(*args, **more)

    monkeypatch.setattr(worker, "train_model", fail)
    return sizes


def only(study: Study, work: Work) -> Any:
    return run_branch(study, study.branch("main"), data_of(study), dataclasses.replace(work, trials=1))[0]


def test_a_network_that_diverges_is_worth_chance(begin: Begin, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda: DivergedError("training diverged"))
    trial = only(begin(), work)
    assert (trial.state, trial.metric) == ("diverged", 0.5)


def test_a_real_divergence_is_one(begin: Begin, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "recipe", lambda point, epochs: dataclasses.replace(recipe(point, epochs), lr=1e30))
    trial = only(begin(epochs=1, space=subspace(begin("x").branch("main").space, {"conv_norm": [False]})), work)
    assert (trial.state, trial.metric) == ("diverged", 0.5)


def test_out_of_memory_is_tried_once_more_with_half_the_batch(
    begin: Begin, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failing(monkeypatch, lambda: torch.OutOfMemoryError("CUDA out of memory"), 1) == []
    trial = only(begin(), work)
    assert (trial.state, trial.batch_size) == ("done", 12)
    sizes = failing(monkeypatch, lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    trial = only(begin("t"), work)
    assert (trial.state, trial.metric, sizes) == ("out of memory", 0.5, [25, 12])


def test_five_errors_in_a_row_stop_the_search(begin: Begin, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda: RuntimeError("no such kernel"))
    study = begin()
    with pytest.raises(
        VarscoreError, match="5 trials in a row ended with an error, .*00004/error.txt; .*no such kernel"
    ):
        run(study, work)
    assert "Traceback" in (study.branch("main").trial_folder(0) / "error.txt").read_text()
    assert [trial.state for trial in study.branch("main").trials()] == ["error"] * 5


def test_a_full_disk_stops_the_search_and_the_same_command_goes_on(
    begin: Begin, work: Work, alone: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, put = begin(), trials.put_file

    def full(path: Path, content: bytes | str) -> None:
        if path.parent.name == "00002":
            raise OutputError("cannot write: No space left on device", where=path)
        put(path, content)

    monkeypatch.setattr(trials, "put_file", full)
    with pytest.raises(OutputError, match="No space left on device, .*00002/trial.json"):
        run(study, work)
    main = study.branch("main")
    assert [trial.number for trial in main.trials()] == [0, 1] and is_abandoned(main.trial_folder(2))
    monkeypatch.setattr(trials, "put_file", put)
    assert run(study, work) == alone


def test_a_large_network_is_not_built(begin: Begin, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = failing(monkeypatch, lambda: RuntimeError("it was built"))
    trial = only(begin(max_parameters=100), work)
    assert (trial.state, trial.metric, sizes) == ("too large", None, []) and trial.parameters > 100


def test_a_trial_ends_in_time(begin: Begin, work: Work) -> None:
    trial = only(begin(time_per_trial=1e-9, epochs=50), work)
    assert trial.state == "timed out" and len(trial.history) <= 1


def test_halving_stops_trials_below_the_median(begin: Begin, work: Work) -> None:
    study = begin(epochs=3, halving=True)
    trials = run_branch(study, study.branch("main"), data_of(study), work)
    stopped = [trial for trial in trials if trial.state == "stopped"]
    assert stopped and all(len(trial.history) == 2 for trial in stopped)
    assert all(len(trial.history) == 3 for trial in trials if trial.state == "done")
    for trial in stopped:
        before = [other.history[1]["auroc"] for other in trials[: trial.number + 1]]
        assert trial.history[1]["auroc"] < np.median(before)


def test_fewer_trials_than_there_are_and_an_exhausted_space(begin: Begin, work: Work) -> None:
    study = begin(epochs=1)
    run(study, dataclasses.replace(work, trials=2))
    with pytest.raises(UsageError, match="branch main has 2 trials, .*; `trials=2` or more"):
        run(study, dataclasses.replace(work, trials=1))
    small = subspace(
        study.branch("main").space, {name: [values[0]] for name, values in study.branch("main").space.items()}
    )
    study.make_branch("small", subspace(small, {}))
    assert len(run_branch(study, study.branch("small"), data_of(study), work)) == 1


def test_other_data_or_settings_are_refused(begin: Begin, tmp_path: Path, data: Path) -> None:
    study = begin()
    with pytest.raises(UsageError, match="another epochs, .*study.toml; there 2, here 3"):
        begin_study(study.folder, dataclasses.replace(study.settings, epochs=3))
    other = made_set(tmp_path / "other", "labels", strands="one")
    with pytest.raises(DataError, match="not the data set of the study, .*other"):
        data_of(open_study(study.folder), other.folder)
    split = np.load(other.folder / "split.npy")
    np.save(other.folder / "split.npy", np.where(split == 1, 0, split))
    with pytest.raises(DataError, match="without a validation split, .*other"):
        open_data(other.folder)


def test_tpe_suggests_what_was_good_and_never_twice(begin: Begin, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed")

    def judged(trial: Any, study: Any, *more: Any) -> Any:
        good = 0.9 if trial.drawn["nonlinearity"] == "elu" else 0.6
        return dataclasses.replace(trial, state="done", metric=good, batch_size=25)

    monkeypatch.setattr(worker, "_attempt", judged)
    monkeypatch.setattr(sampler, "STARTUP", 12)
    study = begin(sampler="tpe")
    trials = run_branch(study, study.branch("main"), data_of(study), dataclasses.replace(work, trials=28))
    share = [np.mean([trial.drawn["nonlinearity"] == "elu" for trial in part]) for part in (trials[:12], trials[12:])]
    assert share[0] < 0.5 < share[1], share
    assert len({json.dumps(effective(trial.drawn)) for trial in trials}) == 28
