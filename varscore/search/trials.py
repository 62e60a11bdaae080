"""A trial of a search: what was drawn, how it ended, how good it is. ``trial.json`` in the trial's folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from varscore.errors import DataError
from varscore.search.space import Point, effective, is_point
from varscore.storage.bounded import read_text
from varscore.storage.whole import put_file

TRIAL, MODEL = "trial.json", "model"

DONE, TIMED_OUT, STOPPED = "done", "timed out", "stopped"
DIVERGED, OUT_OF_MEMORY, ERROR, TOO_LARGE = "diverged", "out of memory", "error", "too large"
STATES = (DONE, TIMED_OUT, STOPPED, DIVERGED, OUT_OF_MEMORY, ERROR, TOO_LARGE)
FAILED = (DIVERGED, OUT_OF_MEMORY, ERROR)
"""Trials that count as bad; one that was too large was not tried, and does not count"""


@dataclass(frozen=True)
class Metric:
    """What trials are compared by, of the validation split, at the epoch whose weights are kept.

    column: of a history; chance: what a trial that failed is worth, None: the worst there is
    """

    name: str
    column: str
    higher: bool = True
    chance: float | None = None

    def goodness(self, value: float) -> float:
        """Higher is better."""
        return value if self.higher else -value


METRICS = {
    metric.name: metric
    for metric in (
        Metric("auroc", "auroc", chance=0.5),
        Metric("auprc", "auprc", chance=0.0),
        Metric("r", "pearson", chance=0.0),
        Metric("loss", "validation_loss", higher=False),
    )
}
USUAL = {"labels": "auroc", "classes": "auroc", "values": "r"}
"""By the kind of data set"""


@dataclass(frozen=True)
class Trial:
    """metric: by the study's, None where the trial came to none; history: a row an epoch, ``epoch`` (from 0),
    ``validation_loss`` and what else the validation split was measured by."""

    number: int
    drawn: Point
    state: str
    parameters: int
    metric: float | None = None
    best_epoch: int = -1
    history: Sequence[Mapping[str, float]] = field(default_factory=tuple)
    batch_size: int = 0
    """Examples a step, half of those drawn where these did not fit into memory"""
    seconds: float = 0.0
    began: float = 0.0
    """Seconds since 1970"""
    host: str = ""
    note: str = ""

    @property
    def counts(self) -> bool:
        """Whether what makes networks good is read from it, too."""
        return self.state != TOO_LARGE

    def write(self, folder: Path) -> None:
        """Raises OutputError."""
        facts = {**asdict(self), "drawn": dict(self.drawn), "effective": effective(self.drawn)}
        put_file(folder / TRIAL, json.dumps(facts, indent=1, allow_nan=False) + "\n")


def read_trial(folder: Path) -> Trial | None:
    """The trial in a folder; None while it has not ended. Raises DataError when the file is damaged."""
    path = folder / TRIAL
    try:
        facts = json.loads(read_text(path, DataError))
        facts.pop("effective")
        trial = Trial(**facts)
        sound = folder.name == f"{trial.number:05}" and _is_sound(trial)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from None
    if not sound:
        raise _damaged(path, "it says what no trial of this number can")
    return trial


def _is_sound(trial: Trial) -> bool:
    """Whether it says what a trial can. Raises TypeError and AttributeError for what has not even the right shape."""
    numbers = [number for row in trial.history for number in row.values()]
    if trial.metric is not None:
        numbers.append(trial.metric)
    return (
        trial.state in STATES
        and is_point(trial.drawn)
        and all("epoch" in row for row in trial.history)
        and all(math.isfinite(number) for number in (*numbers, trial.parameters, trial.seconds, trial.began))
    )


def _damaged(path: Path, cause: str) -> DataError:
    return DataError("damaged trial", where=path, cause=cause, remedy="remove its folder, and it is tried again")


def finite_rows(history: Iterable[Mapping[str, str | float]]) -> tuple[dict[str, float], ...]:
    """A run's history as a trial keeps it: numbers only, and neither times nor rates."""
    kept: list[dict[str, float]] = []
    for row in history:
        numbers = {name: _number(value) for name, value in row.items() if name not in ("seconds", "lr", "step")}
        kept.append({name: value for name, value in numbers.items() if math.isfinite(value)})
    return tuple(kept)


def _number(value: str | float) -> float:
    try:
        number = float(value)
    except ValueError:
        return math.nan
    return int(number) if math.isfinite(number) and number == int(number) and abs(number) < 1 << 31 else number


def ranked(trials: Iterable[Trial], metric: Metric) -> list[Trial]:
    """Those that came to a metric, the best first, the earlier first among equals; failures are none of them."""
    there = [trial for trial in trials if trial.metric is not None and trial.state not in FAILED]
    return sorted(there, key=lambda trial: (-metric.goodness(trial.metric or 0.0), trial.number))
