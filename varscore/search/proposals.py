"""What to do after a stage: which values to give up, and where to go on in two separate branches.

Proposals, to be decided on by whoever reads them; :mod:`varscore.search.stages` follows them without asking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from varscore.errors import UsageError
from varscore.search.reading import COLUMNS, Tree, Trials, demand_sklearn
from varscore.search.space import TABLE, Space, Value, plain

FEWEST = 40
"""Trials of a branch before its space is narrowed"""
LEVEL = 0.1
FORKS = ("rnn_layers", "global_reduction", "reduction", "residual_before", "residual_after")
"""Keys whose two sides are so different that each deserves a search of its own"""


@dataclass(frozen=True)
class Dropped:
    """A value that the best trials do without: of ``best`` of them ``among_best`` have it, of ``all`` ``among_all``;
    p: how probable so few are by chance. Only trials in which the key has an effect count."""

    key: str
    value: Value
    among_best: int
    best: int
    among_all: int
    all: int
    p: float

    def __str__(self) -> str:
        share = f"{self.among_best} of the best {self.best}, {self.among_all} of all {self.all}"
        return f"{self.key} without {plain(self.value)} ({share}, p = {self.p:.2g})"


@dataclass(frozen=True)
class Narrowing:
    space: Space
    dropped: tuple[Dropped, ...]

    @property
    def why(self) -> str:
        return "; ".join(map(str, self.dropped)) or "nothing to give up"


def narrow(trials: Trials) -> Narrowing:
    """The branch's space without the values that are less than half as frequent among the best fifth as among all, if
    that is no chance (one-sided exact test, .1). A key keeps one value at least.

    Raises UsageError where there are fewer than 40 trials, and without scikit-learn.
    """
    if len(trials) < FEWEST:
        raise UsageError(
            f"{len(trials)} trials that count are too few to narrow a space by", remedy=f"{FEWEST} or more (`trials`)"
        )
    dropped = tuple(one for key, values in trials.space.items() for one in _depleted(trials, key, values))
    gone = {(one.key, one.value) for one in dropped}
    space = {
        key: tuple(value for value in values if (key, value) not in gone) or values
        for key, values in trials.space.items()
    }
    return Narrowing(space, tuple(one for one in dropped if one.value not in space[one.key]))


def _depleted(trials: Trials, key: str, values: Sequence[Value]) -> Iterator[Dropped]:
    demand_sklearn()  # which brings scipy
    from scipy.stats import hypergeom

    acts = np.array([TABLE[key].acts(trial.drawn) for trial in trials.trials])
    n, best = int(acts.sum()), int((acts & trials.top).sum())
    for value in values:
        has = acts & np.array([trial.drawn[key] == value for trial in trials.trials])
        there, among_best = int(has.sum()), int((has & trials.top).sum())
        p = float(hypergeom.cdf(among_best, n, there, best)) if there and best else 1.0
        if among_best * n < 0.5 * there * best and p < LEVEL:
            yield Dropped(key, value, among_best, best, there, n, p)


def on_side(trials: Trials, space: Space) -> Trials:
    """Those that lie in a part of the space."""
    inside = [
        all(trial.drawn[key] in values for key, values in space.items() if TABLE[key].acts(trial.drawn))
        for trial in trials.trials
    ]
    chosen = tuple(trial for trial, there in zip(trials.trials, inside, strict=True) if there)
    return replace(trials, trials=chosen, goodness=trials.goodness[inside], space=space)


@dataclass(frozen=True)
class Side:
    """Of a fork: a name, and the values that its branch keeps of ``key``."""

    name: str
    key: str
    values: tuple[Value, ...]

    @property
    def fix(self) -> str:
        """As ``search fork --fix`` takes it."""
        return f"{self.key}={','.join(map(plain, self.values))}"


def propose_fork(tree: Tree | None, space: Space) -> tuple[Side, Side] | None:
    """The two sides of the root's split, or of one of the two below it, where that is on one of :data:`FORKS` and the
    tree is better than chance."""
    if tree is None or not tree.tells:
        return None
    key = next((key for key in tree.splits if key in FORKS), None)
    if key is None:
        return None
    left = _left_values(tree, key, space)
    right = tuple(value for value in space[key] if value not in left)
    if not left or not right:
        return None
    return Side(_name(key, left), key, left), Side(_name(key, right), key, right)


def _left_values(tree: Tree, key: str, space: Space) -> tuple[Value, ...]:
    """What goes to the left of the first split on a key."""
    inner = tree.fitted.tree_
    splits = (
        (COLUMNS[inner.feature[node]], float(inner.threshold[node]))
        for node in range(inner.node_count)
        if inner.feature[node] >= 0
    )
    column, threshold = next((column, at) for column, at in splits if column.key_cut(at) == key)
    if (parent := column.parts_by_effect(threshold)) is not None:
        return tuple(value for value in space[key] if value == parent[1])
    if column.value is not None:
        return tuple(value for value in space[key] if value != column.value)
    return tuple(value for value in space[key] if float(value) <= threshold)


def _name(key: str, values: Sequence[Value]) -> str:
    """``recurrent``, ``global_reduction-attention``, ``residual_after-true``."""
    if key == "rnn_layers" and 0 not in values:
        return "recurrent"
    if key == "rnn_layers" and tuple(values) == (0,):
        return "no-recurrence"
    return f"{key}-{'-'.join(map(plain, values))}"
