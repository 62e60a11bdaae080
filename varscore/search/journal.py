"""The trials as Optuna studies, one a branch, in ``optuna.journal``: for its visualisations, importances and dashboard.

Only who reads a study writes it, one process at a time, and anew each time: the folders stay the truth.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from varscore.search.sampler import demand_optuna
from varscore.search.space import ABSENT, TABLE, shown
from varscore.search.study import Study
from varscore.search.trials import FAILED, STOPPED, TOO_LARGE, Trial
from varscore.storage.atomic import output_errors
from varscore.storage.folders import one_at_a_time

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.trial import FrozenTrial

JOURNAL = "optuna.journal"


class _NoLock:
    """Nobody else sees the file before it is complete."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def write_journal(study: Study) -> Path:
    """Write the journal in the place of the one that is there. Raises UsageError without Optuna, OutputError."""
    optuna = demand_optuna()
    path, partial = study.folder / JOURNAL, study.folder / f".{JOURNAL}.partial"
    with output_errors(str(path)), one_at_a_time(study.folder):
        partial.unlink(missing_ok=True)
        backend = optuna.storages.journal.JournalFileBackend(str(partial), lock_obj=_NoLock())
        storage = optuna.storages.JournalStorage(backend)
        for branch in study.branches():
            made = optuna.create_study(storage=storage, study_name=branch.name, direction=_direction(study))
            made.set_user_attr("parent", branch.parent)
            made.set_user_attr("why", branch.why)
            made.set_user_attr("metric", study.metric.name)
            made.add_trials([frozen(trial, study, optuna) for trial in branch.trials()])
        os.replace(partial, path)
    return path


def _direction(study: Study) -> str:
    return "maximize" if study.metric.higher else "minimize"


def in_memory(study: Study, name: str, trials: Iterable[Trial]) -> OptunaStudy:
    """Trials of one branch as an Optuna study. Raises UsageError without Optuna."""
    optuna = demand_optuna()
    made: OptunaStudy = optuna.create_study(study_name=name, direction=_direction(study))
    made.add_trials([frozen(trial, study, optuna) for trial in trials])
    return made


def frozen(trial: Trial, study: Study, optuna: ModuleType) -> FrozenTrial:
    """A trial as Optuna has it: all 24 keys, ``-`` for those without effect; what failed is FAIL, what was stopped or
    was too large PRUNED."""
    choices = {name: optuna.distributions.CategoricalDistribution((*key.values, ABSENT)) for name, key in TABLE.items()}
    state = optuna.trial.TrialState
    ended = state.COMPLETE
    if trial.state in FAILED or trial.metric is None and trial.state != TOO_LARGE:
        ended = state.FAIL
    elif trial.state in (STOPPED, TOO_LARGE):
        ended = state.PRUNED
    column = study.metric.column
    facts = {"number": trial.number, "state": trial.state, "parameters": trial.parameters, "seconds": trial.seconds}
    made: FrozenTrial = optuna.create_trial(
        state=ended,
        value=trial.metric if ended == state.COMPLETE else None,
        params=shown(trial.drawn),
        distributions=choices,
        user_attrs={**facts, "host": trial.host, "note": trial.note},
        intermediate_values={int(row["epoch"]): row[column] for row in trial.history if column in row},
    )
    if trial.began:
        made.datetime_start = datetime.datetime.fromtimestamp(trial.began)
        made.datetime_complete = datetime.datetime.fromtimestamp(trial.began + trial.seconds)
    return made
