"""Which point a trial is: a draw that follows from seed, branch and number, or what Optuna's TPE makes of others."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from types import ModuleType

import numpy as np

from varscore.errors import UsageError
from varscore.search.space import Point, Value, draw, effective, seed_of
from varscore.search.study import Branch, Study
from varscore.search.trials import FAILED, Trial, ranked

log = logging.getLogger(__name__)
STARTUP = 20
"""Trials that are drawn before TPE has a say"""


class Draws:
    """The points of a branch that are drawn, as far as they have been asked for."""

    def __init__(self, branch: Branch, seed: int) -> None:
        self._points: Iterator[Point] = branch.points(seed)
        self._there: list[Point] = []

    def __getitem__(self, number: int) -> Point:
        """Raises IndexError where the space has no so many different points."""
        missing = number + 1 - len(self._there)
        self._there += itertools.islice(self._points, max(missing, 0))
        return self._there[number]

    def within(self, count: int) -> int:
        """How many of ``count`` points there are."""
        try:
            _ = self[count - 1]
        except IndexError:
            return len(self._there)
        return count


def demand_optuna() -> ModuleType:
    """The package. Raises UsageError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError("Optuna cannot be imported", cause=str(error), remedy="pip install optuna") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def suggest(study: Study, branch: Branch, number: int, running: Iterable[Point]) -> Point:
    """TPE's suggestion for a trial, from those of the branch that have ended and those that are ``running``.

    A point that was tried before gives way to one that is drawn. The suggestions of one worker can be had again, those
    of several depend on who was first.
    """
    trials, underway = branch.trials(), list(running)
    random = np.random.default_rng(seed_of(study.settings.seed, branch.name, number))
    tried = [effective(point) for point in (*(trial.drawn for trial in trials), *underway)]
    point: Point = draw(branch.space, random)
    if len(ranked(trials, study.metric)) >= STARTUP:
        point = _ask(study, branch, trials, underway, int(random.integers(1 << 31)))
    while effective(point) in tried:
        point = draw(branch.space, random)
    return point


def _ask(study: Study, branch: Branch, trials: Iterable[Trial], running: Iterable[Point], seed: int) -> Point:
    optuna = demand_optuna()
    metric = study.metric
    choices = {name: optuna.distributions.CategoricalDistribution(values) for name, values in branch.space.items()}
    sampler = optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=seed, n_startup_trials=STARTUP)
    asked = optuna.create_study(direction="maximize" if metric.higher else "minimize", sampler=sampler)
    worst = min((metric.goodness(trial.metric) for trial in trials if trial.metric is not None), default=0.0)
    state = optuna.trial.TrialState
    for trial in trials:
        if trial.counts and all(trial.drawn[name] in values for name, values in branch.space.items()):
            value = trial.metric if trial.metric is not None and trial.state not in FAILED else metric.goodness(worst)
            asked.add_trial(
                optuna.create_trial(state=state.COMPLETE, params=dict(trial.drawn), distributions=choices, value=value)
            )
    for point in running:
        asked.add_trial(optuna.create_trial(state=state.RUNNING, params=dict(point), distributions=choices))
    found: dict[str, Value] = asked.ask(fixed_distributions=choices).params
    return {name: found[name] for name in branch.space}
