"""How frequent the positives of each task are: where a network was trained, and where its examples were drawn from.

Data sets leave negatives out (bins that no track labels), so a network sees more positives than there are. Examples are
then drawn by class, as in a case-control study: log-odds are too large by the log-odds of the share of positives in
training, less those of their true share, whatever the example looks like. Their difference is the shift that a model's
log-odds get.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError
from varscore.tasks import Task

COLUMNS = ("index", "name", "positives", "examples", "true_positives", "true_examples")
_ROWS = 1 << 14


@dataclass(frozen=True)
class Priors:
    """Positives and known examples of each task, int64 (tasks,) each.

    positives, examples: of the training set; true_positives, true_examples: of what it was drawn from; 0 of 0 where
    nobody has counted those
    """

    positives: NDArray[np.int64]
    examples: NDArray[np.int64]
    true_positives: NDArray[np.int64]
    true_examples: NDArray[np.int64]

    @property
    def training(self) -> NDArray[np.float64]:
        """Share of positives in the training set: float64 (tasks,), NaN without an example."""
        return _share(self.positives, self.examples)

    @property
    def true(self) -> NDArray[np.float64]:
        """Share of positives in what the training set was drawn from: float64 (tasks,), NaN where it is not known."""
        return _share(self.true_positives, self.true_examples)

    @property
    def untrained(self) -> NDArray[np.int64]:
        """int64 (k,): tasks without a positive example in training, of which a network knows nothing."""
        return np.flatnonzero(self.positives == 0)

    @property
    def shift(self) -> NDArray[np.float32]:
        """log(true odds) - log(odds in training), float32 (tasks,); 0 where one of them is not known.

        A task without positives has the shift of its negatives.
        """
        negatives = self.examples - self.positives
        true_negatives = self.true_examples - self.true_positives
        more_positives = _log_ratio(self.true_positives, self.positives)
        return np.asarray(more_positives - _log_ratio(true_negatives, negatives), np.float32)

    def text(self, tasks: Sequence[Task]) -> str:
        """A table, one line a task; :meth:`parse` reads it."""
        table = io.StringIO()
        rows = csv.writer(table, delimiter="\t", lineterminator="\n")
        rows.writerow(COLUMNS)
        counts = np.stack([self.positives, self.examples, self.true_positives, self.true_examples], 1)
        rows.writerows([task.index, task.name, *row] for task, row in zip(tasks, counts.tolist(), strict=True))
        return table.getvalue()

    @classmethod
    def parse(cls, text: str, tasks: int) -> Priors:
        """Raises DataError for what :meth:`text` does not write, or for another number of tasks."""
        try:
            rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
            counts = np.array([[int(row[name]) for name in COLUMNS[2:]] for row in rows], np.int64).reshape(-1, 4).T
        except (KeyError, TypeError, ValueError, OverflowError, csv.Error) as error:
            raise DataError("not a table of priors", cause=f"{type(error).__name__}: {error}") from None
        positives, examples, true_positives, true_examples = counts
        if len(positives) != tasks:
            raise DataError(f"priors of {len(positives)} tasks, not of {tasks}")
        if (counts < 0).any() or (positives > examples).any() or (true_positives > true_examples).any():
            raise DataError("not a table of priors", cause="more positives than examples")
        return cls(positives, examples, true_positives, true_examples)


def count_priors(data: ExampleSet) -> Priors:
    """The priors of a data set of labels or classes, from its training split and what it says it was drawn from."""
    rows = data.rows("train")
    positives, examples = np.zeros((2, len(data.tasks)), np.int64)
    for first in range(0, len(rows), _ROWS):
        some = rows[first : first + _ROWS]
        labels, known = data.labels(some), data.known(some)
        inside = np.ones(labels.shape, bool) if known is None else known
        positives += (labels.astype(bool) & inside).sum(0)
        examples += inside.sum(0)
    true_positives, true_examples = data.population
    return Priors(positives, examples, true_positives, true_examples)


def stated_priors(tasks: Sequence[Task]) -> Priors | None:
    """Those that a table of tasks states for every task, in columns named as in priors.tsv; None when it does not.

    The true ones may be missing. Raises DataError for what are no counts.
    """
    if not all(name in task.facts for task in tasks for name in COLUMNS[2:4]):
        return None
    table = io.StringIO()
    rows = csv.writer(table, delimiter="\t", lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows([task.index, task.name, *(task.facts.get(name, 0) for name in COLUMNS[2:])] for task in tasks)
    return Priors.parse(table.getvalue(), len(tasks))


def _share(positives: NDArray[np.int64], examples: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(examples > 0, positives / np.maximum(examples, 1), np.nan)


def _log_ratio(true: NDArray[np.int64], here: NDArray[np.int64]) -> NDArray[np.float64]:
    """log(true / here), 0 where one of them is 0"""
    known = (true > 0) & (here > 0)
    return np.asarray(np.where(known, np.log(np.maximum(true, 1)) - np.log(np.maximum(here, 1)), 0.0))
