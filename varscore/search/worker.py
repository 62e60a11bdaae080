"""A worker: it claims trial after trial of a branch and trains it, until all of them have ended.

Any number of workers, on any machines that see the study's folder, share the work by :mod:`varscore.search.claims`.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import platform
import shutil
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from varscore.datasets.examples import ExampleSet
from varscore.engine.device import pick_device, use_threads
from varscore.errors import DivergedError, InputError, OutputError, UsageError, VarscoreError
from varscore.nets import find
from varscore.nets.architect import ArchitectConfig, parameters
from varscore.search.claims import Claim, claim, tidy
from varscore.search.sampler import Draws, suggest
from varscore.search.space import Point, arguments, recipe, seed_of
from varscore.search.study import Branch, Study, data_of, open_study
from varscore.search.trials import (
    DIVERGED,
    DONE,
    ERROR,
    FAILED,
    MODEL,
    OUT_OF_MEMORY,
    STOPPED,
    TIMED_OUT,
    TOO_LARGE,
    TRIAL,
    Trial,
    finite_rows,
    ranked,
)
from varscore.stop import Stop
from varscore.storage.bounded import read_text
from varscore.storage.folders import one_at_a_time
from varscore.storage.whole import put_file
from varscore.train.loop import CHECKPOINT
from varscore.train.progress import HISTORY
from varscore.train.run import RunOptions, train_model
from varscore.zoo.models import ModelFolder

log = logging.getLogger(__name__)
MOST_ERRORS = 5
"""In a row, after which it is not the networks that are wrong"""
HALVINGS = (2, 5)
"""Epochs after which a trial below the median of those that have come so far ends, if that is wished for"""
DRAWN, TRACE = "drawn.json", "error.txt"
_SHORT = ("out of memory", "can't allocate memory", "Cannot allocate memory", "DefaultCPUAllocator")


@dataclass(frozen=True)
class Work:
    """How a worker works; none of it changes what a trial is. keep: models that are kept, of the best of a branch;
    patience: seconds between two looks at what others do; stopping: as of
    :class:`varscore.train.run.RunOptions`."""

    trials: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    keep: int = 10
    patience: float = 5.0
    command: str = ""
    stopping: Callable[[], AbstractContextManager[Stop | None]] = nullcontext


def run_branch(
    study: Study,
    branch: Branch,
    data: ExampleSet,
    work: Work,
    progress: Callable[[int], None] = lambda n: None,
) -> list[Trial]:
    """Work until every trial of the branch has ended, others' too; returns all of them.

    Raises UsageError when there are more trials than ``work`` asks for, VarscoreError when five in a row have failed
    with an error.
    """
    points, began = Draws(branch, study.settings.seed), branch.claimed()
    if began and began[-1] >= work.trials:
        raise UsageError(
            f"the branch {branch.name} has {began[-1] + 1} trials",
            where=branch.trials_folder,
            remedy=f"`trials={began[-1] + 1}` or more",
        )
    count = points.within(work.trials)
    if count < work.trials:
        log.warning("the space of %s has no more than %d different networks and settings", branch.name, count)
    ended, waiting = 0, False
    while True:
        trials = branch.trials()
        progress(len(trials) - ended)
        ended = len(trials)
        if ended == count:
            return trials
        _demand_luck(branch, trials)
        mine = _next(branch, count, {trial.number for trial in trials})
        if mine is not None:
            waiting = False
            _work_on(mine, study, branch, points, data, work)
        else:
            if not waiting:
                log.info("waiting for %d trials of other workers", count - ended)
            waiting = True
            time.sleep(work.patience)


def _next(branch: Branch, count: int, ended: set[int]) -> Claim | None:
    for number in range(count):
        if number not in ended and (found := claim(branch.trial_folder(number))) is not None:
            return found
    return None


def _demand_luck(branch: Branch, trials: Iterable[Trial]) -> None:
    last = [trial for trial in trials if trial.counts][-MOST_ERRORS:]
    if len(last) == MOST_ERRORS and all(trial.state == ERROR for trial in last):
        where = branch.trial_folder(last[-1].number) / TRACE
        raise VarscoreError(
            f"{MOST_ERRORS} trials in a row ended with an error",
            where=where,
            cause=last[-1].note,
            remedy="mend it, remove their folders, and run the command again",
        )


def _work_on(mine: Claim, study: Study, branch: Branch, points: Draws, data: ExampleSet, work: Work) -> None:
    """Bring a claimed trial to its end."""
    folder = mine.folder
    number = int(folder.name)
    with mine.held():
        point = _point(study, branch, points, folder, number)
        config = find("architect").configure(n_tasks=len(data.tasks), window=data.window, **arguments(point))
        size = parameters(cast(ArchitectConfig, config))
        began = time.time()
        trial = Trial(number, point, TOO_LARGE, size, began=round(began, 3), host=platform.node())
        if size <= study.settings.max_parameters:
            trial = _attempt(trial, study, branch, folder, data, work)
        if not mine.is_ours:
            log.warning("trial %d of %s was taken over by another worker", number, branch.name)
            return
        trial = replace(trial, seconds=round(time.time() - began, 1))
        trial.write(folder)
    fields = {"branch": branch.name, "trial": number, "state": trial.state, study.metric.name: trial.metric}
    log.info("trial ended", extra={"fields": fields})
    tidy(folder)
    _keep_best(study, branch, work.keep)


def _point(study: Study, branch: Branch, points: Draws, folder: Path, number: int) -> Point:
    """What the trial is; of a trial that was taken over, what it was."""
    if study.settings.sampler == "random":
        return points[number]
    path = folder / DRAWN
    lost = sorted(folder.parent.glob(f"{folder.name}.lost*/{DRAWN}"))
    if lost:
        shutil.copyfile(lost[0], path)
    if not path.exists():
        with one_at_a_time(branch.trials_folder):
            others = [each for each in branch.trials_folder.glob(f"*/{DRAWN}") if ".lost" not in each.parent.name]
            running = [
                json.loads(read_text(each, OutputError)) for each in others if not (each.parent / TRIAL).exists()
            ]
            put_file(path, json.dumps(suggest(study, branch, number, running)))
    point: Point = json.loads(read_text(path, OutputError))
    return point


def _attempt(trial: Trial, study: Study, branch: Branch, folder: Path, data: ExampleSet, work: Work) -> Trial:
    """Train, and say what came of it: whatever goes wrong with a network is the trial's result."""
    size = int(trial.drawn["batch_size"])
    for batch_size in (size, size // 2):
        trial = replace(trial, batch_size=batch_size)
        try:
            return _train(trial, study, branch, folder, data, work)
        except DivergedError:
            return _judged(replace(trial, state=DIVERGED, history=_history(folder)), study)
        except (OutputError, InputError):  # of the disk or the data, not of the network
            raise
        except Exception as error:
            if not _out_of_memory(error):
                put_file(folder / TRACE, traceback.format_exc())
                note = f"{type(error).__name__}: {error}".splitlines()[0]
                return _judged(replace(trial, state=ERROR, note=note), study)
            shutil.rmtree(folder / MODEL, ignore_errors=True)
    return _judged(replace(trial, state=OUT_OF_MEMORY), study)


def _train(trial: Trial, study: Study, branch: Branch, folder: Path, data: ExampleSet, work: Work) -> Trial:
    """Raises DivergedError, and whatever training raises."""
    settings = study.settings
    seed = int(np.random.default_rng(seed_of(settings.seed, branch.name, trial.number)).integers(1 << 31))
    options = RunOptions(
        seed=seed,
        device=work.device,
        precision=settings.precision,
        max_seconds=settings.time_per_trial,
        checkpoint_seconds=60.0,
        command=work.command,
        stopping=work.stopping,
        pictures=False,
    )
    began = time.monotonic()
    for epochs in (*(HALVINGS if settings.halving else ()), settings.epochs):
        if epochs > settings.epochs:
            continue
        how = replace(recipe(trial.drawn, epochs), batch_size=trial.batch_size)
        left = settings.time_per_trial - (time.monotonic() - began)
        model = train_model(
            "architect",
            data,
            folder / MODEL,
            recipe=how,
            arguments=arguments(trial.drawn),
            options=replace(options, max_seconds=left),
        )
        trial = _judged(replace(trial, state=_ended(model), history=_history(folder)), study)
        if trial.state != DONE or model.card.epochs < epochs:
            break
        if epochs < settings.epochs and _below_the_median(trial, study, branch, epochs):
            trial = replace(trial, state=STOPPED)
            break
    return trial


def _ended(model: ModelFolder) -> str:
    if model.card.interim:
        return TIMED_OUT
    return DIVERGED if model.card.ended == DIVERGED else DONE


def _judged(trial: Trial, study: Study) -> Trial:
    """With the metric of the weights that are kept, those of the lowest validation loss; chance for a failure."""
    metric = study.metric
    if trial.state in FAILED or not trial.history:
        return replace(trial, metric=metric.chance)
    best = min(trial.history, key=lambda row: row.get("validation_loss", math.inf))
    return replace(trial, metric=best.get(metric.column, metric.chance), best_epoch=int(best["epoch"]))


def _history(folder: Path) -> tuple[dict[str, float], ...]:
    with suppress(FileNotFoundError):
        return finite_rows(csv.DictReader(read_text(folder / MODEL / HISTORY, OutputError).splitlines()))
    return ()


def _below_the_median(trial: Trial, study: Study, branch: Branch, epochs: int) -> bool:
    """Of the trials that got as far, this one among them."""
    metric = study.metric

    def after(other: Trial) -> float | None:
        row = next((row for row in other.history if row["epoch"] == epochs - 1), {})
        value = row.get(metric.column)
        return None if value is None else metric.goodness(value)

    mine = after(trial)
    others = [value for other in branch.trials() if (value := after(other)) is not None]
    return mine is not None and len(others) >= 4 and mine < float(np.median([*others, mine]))


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in str(error) for sign in _SHORT)


def _keep_best(study: Study, branch: Branch, keep: int) -> None:
    """Remove the models of all but the best trials, and checkpoints of all that have ended: not before, since who takes
    a trial over goes on from its checkpoint."""
    with one_at_a_time(branch.trials_folder):
        trials = branch.trials()
        kept = {trial.number for trial in ranked(trials, study.metric)[:keep]}
        for trial in trials:
            model = branch.trial_folder(trial.number) / MODEL
            if trial.number not in kept:
                shutil.rmtree(model, ignore_errors=True)
            else:
                (model / CHECKPOINT).unlink(missing_ok=True)


def work_in(study: str, branch: str, data: str, trials: int, device: str, keep: int, threads: int) -> int:
    """:func:`run_branch` in a process of somebody else's, to which folders are names; returns the number of trials.

    Raises what it raises, and DeviceError.
    """
    use_threads(threads)
    opened = open_study(Path(study))
    work = Work(trials, pick_device(device), keep, command="varscore search")
    return len(run_branch(opened, opened.branch(branch), data_of(opened, Path(data)), work))
