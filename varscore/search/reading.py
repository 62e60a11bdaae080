"""What a branch's trials say: which values the best fifth have in common, which keys matter, and which matter together.

All is scikit-learn's: a decision tree, a random forest, permutation importance, partial dependence.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from varscore.errors import UsageError
from varscore.search.space import ABSENT, TABLE, Space, Value, plain, shown
from varscore.search.trials import FAILED, Metric, Trial

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.tree import DecisionTreeClassifier

TOP, FEWEST_TOP = 0.2, 10
CHANCE = 0.55
"""Balanced accuracy up to which a tree is called no better than chance"""
FOLDS, TREES, REPEATS = 5, 60, 5
PAIRED = 6
"""Of the most important keys, whose pairs are looked at"""
WEAKEST = 0.01
"""Strength from which on two keys are said to interact"""


@dataclass(frozen=True)
class Column:
    """Of a table for trees. value: of a key without order, whose column says whether it has it; None of an ordinal."""

    key: str
    value: Value | None = None

    def rule(self, threshold: float, below: bool) -> str:
        """What ``<= threshold`` (or above it) means, in words."""
        if self.value is not None:
            return f"{self.key} {'is not' if below else 'is'} {self.value}"
        if (parent := self.parts_by_effect(threshold)) is not None:
            return f"{parent[0]} {'is' if below else 'is not'} {plain(parent[1])}"
        values = TABLE[self.key].values
        if isinstance(values[0], bool):
            return f"{self.key} is {'false' if below else 'true'}"
        side = [value for value in values if (float(value) <= threshold) == below]
        edge = max(side, key=float) if below else min(side, key=float)
        return f"{self.key} {'<=' if below else '>='} {plain(edge)}"

    def parts_by_effect(self, threshold: float) -> tuple[str, Value] | None:
        """A cut that only tells trials in which the key has no effect from others is one of another key: that key, and
        its value below the cut."""
        key = TABLE[self.key]
        cuts = self.value is None and key.needs is not None and threshold < min(map(float, key.values))
        return key.needs if cuts else None

    def key_cut(self, threshold: float) -> str:
        """The key that a cut is about."""
        parent = self.parts_by_effect(threshold)
        return self.key if parent is None else parent[0]


COLUMNS = tuple(
    column
    for key in TABLE.values()
    for column in ([Column(key.name)] if key.ordinal else [Column(key.name, value) for value in key.values])
)


@dataclass(frozen=True)
class Trials:
    """The trials of a branch that count, those that failed too.

    trials: in order; goodness: float64 (n,), higher is better; space: what they were drawn from
    """

    trials: tuple[Trial, ...]
    goodness: NDArray[np.float64]
    metric: Metric
    space: Space

    def __len__(self) -> int:
        return len(self.trials)

    @cached_property
    def points(self) -> list[dict[str, Value]]:
        """All 24 keys of each, ``-`` for those without effect."""
        return [shown(trial.drawn) for trial in self.trials]

    @property
    def top_count(self) -> int:
        """The best fifth, and ten at least."""
        return max(FEWEST_TOP, round(TOP * len(self)))

    @cached_property
    def top(self) -> NDArray[np.bool_]:
        """bool (n,): which are of the best; the earlier first among equals."""
        chosen = np.zeros(len(self), bool)
        chosen[np.argsort(-self.goodness, kind="stable")[: self.top_count]] = True
        return chosen

    @cached_property
    def for_trees(self) -> NDArray[np.float64]:
        """float64 (n, columns): numbers of ordinal keys, -1 without effect; 0 or 1 for the values of others."""
        rows = [[_cell(point, column) for column in COLUMNS] for point in self.points]
        return np.array(rows, np.float64).reshape(len(rows), len(COLUMNS))

    @cached_property
    def coded(self) -> NDArray[np.float64]:
        """float64 (n, 24): the place of each key's value in its list, -1 without effect."""
        rows = [
            [-1 if point[name] == ABSENT else key.values.index(point[name]) for name, key in TABLE.items()]
            for point in self.points
        ]
        return np.array(rows, np.float64).reshape(len(rows), len(TABLE))


def read_trials(trials: Sequence[Trial], metric: Metric, space: Space) -> Trials:
    """The trials that count. One without a metric, or that failed where there is no chance level, is as bad as the
    worst."""
    counted = tuple(trial for trial in trials if trial.counts)
    values = [
        np.nan
        if trial.metric is None or (trial.state in FAILED and metric.chance is None)
        else metric.goodness(trial.metric)
        for trial in counted
    ]
    goodness = np.array(values, np.float64)
    there = np.isfinite(goodness)
    worst = goodness[there].min() if there.any() else 0.0
    return Trials(counted, np.where(there, goodness, worst), metric, space)


def _cell(point: dict[str, Value], column: Column) -> float:
    value = point[column.key]
    if column.value is not None:
        return float(value == column.value)
    return -1.0 if value == ABSENT else float(value)


# the tree


@dataclass(frozen=True)
class Tree:
    """The decision tree of a branch's best trials.

    accuracy: balanced, cross-validated, mean and standard deviation over the folds; splits: the keys of the root and
    of the two nodes below it; text: the rules; fitted: scikit-learn's tree; tops: how many of the best are in each node
    """

    accuracy: float
    spread: float
    splits: tuple[str, ...]
    text: str
    fitted: DecisionTreeClassifier
    tops: tuple[int, ...]

    @property
    def tells(self) -> bool:
        """Whether it is better than chance."""
        return self.accuracy > CHANCE

    @property
    def verdict(self) -> str:
        figure = f"cross-validated balanced accuracy {self.accuracy:.2f} +- {self.spread:.2f}"
        return figure if self.tells else f"{figure}: no better than chance"


def grow_tree(trials: Trials) -> Tree | None:
    """Top trials against the rest; None where they are too few for a tree. Raises UsageError without scikit-learn."""
    demand_sklearn()
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.tree import DecisionTreeClassifier, export_text

    if len(trials) < 2 * FEWEST_TOP:
        return None
    leaf = max(5, round(0.02 * len(trials)))
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=leaf, class_weight="balanced", random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_score(tree, trials.for_trees, trials.top, cv=folds, scoring="balanced_accuracy")
    tree.fit(trials.for_trees, trials.top)
    names = [f"column{number}" for number in range(len(COLUMNS))]
    text = export_text(tree, feature_names=names, class_names=["rest", "top"], show_weights=True, decimals=6)
    tops = tree.decision_path(trials.for_trees[trials.top]).sum(0).A1.tolist()
    return Tree(float(scores.mean()), float(scores.std()), _splits(tree), _in_words(text), tree, tuple(tops))


def _splits(tree: DecisionTreeClassifier) -> tuple[str, ...]:
    """Keys of the root and its children, each once, the root's first."""
    inner = tree.tree_
    nodes = [0, inner.children_left[0], inner.children_right[0]]
    split = [node for node in nodes if node >= 0 and inner.feature[node] >= 0]
    return tuple(dict.fromkeys(COLUMNS[inner.feature[node]].key_cut(inner.threshold[node]) for node in split))


def _in_words(text: str) -> str:
    """export_text's rules with keys and values in the place of columns and thresholds."""

    def rule(found: re.Match[str]) -> str:
        return COLUMNS[int(found[1])].rule(float(found[3]), found[2] == "<=")

    said = re.sub(r"column(\d+) (<=|>)\s+(-?[\d.]+)", rule, text)
    return re.sub(r"weights: \[([\d.]+), ([\d.]+)\] ", "", said)


def node_label(tree: Tree, node: int) -> str:
    """The rule of the left branch of a node, none of a leaf, how many trials are there, and how many of the best."""
    inner = tree.fitted.tree_
    lines = [f"n = {int(inner.n_node_samples[node])}", f"best: {tree.tops[node]}"]
    if inner.children_left[node] >= 0:
        lines.insert(0, f"{COLUMNS[inner.feature[node]].rule(float(inner.threshold[node]), True)}?")
    return "\n".join(lines)


# what matters


@dataclass(frozen=True)
class Importance:
    """By how much shuffling a key lowers the share of the metric's variance that a forest explains of trials it has
    not seen: mean and standard deviation, in the order of the mean."""

    key: str
    mean: float
    spread: float


def importances(trials: Trials) -> list[Importance]:
    """Of all keys. Raises UsageError without scikit-learn."""
    demand_sklearn()
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    if len(trials) < 2 * FEWEST_TOP or not np.ptp(trials.goodness):
        return []
    x, y, found = trials.coded, trials.goodness, []
    for train, held_out in KFold(FOLDS, shuffle=True, random_state=0).split(x):
        forest = _forest().fit(x[train], y[train])
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(
                permutation_importance(forest, x[held_out], y[held_out], n_repeats=REPEATS, random_state=0).importances
            )
    every = np.concatenate(found, axis=1)
    rows = [Importance(name, float(row.mean()), float(row.std())) for name, row in zip(TABLE, every, strict=True)]
    return sorted(rows, key=lambda row: -row.mean)


@dataclass(frozen=True)
class Interaction:
    """Two keys, and their mean metric by value: float64 (values of one, values of other), NaN without a trial.

    strength: Friedman's H squared, the share of what the two do together that neither does alone; counts: int64, trials
    in each cell; one_values, other_values: ``-`` among them where the key had no effect
    """

    one: str
    other: str
    strength: float
    one_values: tuple[Value, ...]
    other_values: tuple[Value, ...]
    mean: NDArray[np.float64]
    counts: NDArray[np.int64]


def interactions(trials: Trials, ranked: Sequence[Importance], most: int = 5) -> list[Interaction]:
    """The pairs of the most important keys that interact most. Raises UsageError without scikit-learn."""
    keys = [row.key for row in ranked[:PAIRED] if row.mean > 0]
    if len(keys) < 2:
        return []
    forest = _forest().fit(trials.coded, trials.goodness)
    alone = {key: _dependence(forest, trials.coded, (key,)) for key in keys}
    pairs = [(_strength(forest, trials.coded, pair, alone), pair) for pair in itertools.combinations(keys, 2)]
    pairs.sort(key=lambda each: -each[0])
    return [interaction(trials, *pair, strength) for strength, pair in pairs[:most] if strength >= WEAKEST]


def interaction(trials: Trials, one: str, other: str, strength: float = 0.0) -> Interaction:
    """The map of two keys."""
    values = [_values(trials, key) for key in (one, other)]
    shape = (len(values[0]), len(values[1]))
    total, counts = np.zeros(shape), np.zeros(shape, np.int64)
    for point, goodness in zip(trials.points, trials.goodness, strict=True):
        cell = values[0].index(point[one]), values[1].index(point[other])
        total[cell] += trials.metric.goodness(goodness)
        counts[cell] += 1
    with np.errstate(invalid="ignore"):
        mean = total / counts
    return Interaction(one, other, strength, values[0], values[1], mean, counts)


def _values(trials: Trials, key: str) -> tuple[Value, ...]:
    there = trials.space[key]
    return (*there, ABSENT) if any(point[key] == ABSENT for point in trials.points) else there


def _forest() -> RandomForestRegressor:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0, n_jobs=1)


def _dependence(
    forest: RandomForestRegressor, x: NDArray[np.float64], keys: tuple[str, ...]
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    from sklearn.inspection import partial_dependence

    columns = [list(TABLE).index(key) for key in keys]
    found = partial_dependence(forest, x, columns, kind="average", grid_resolution=20, method="recursion")
    return found["average"][0], list(found["grid_values"])


def _strength(
    forest: RandomForestRegressor,
    x: NDArray[np.float64],
    pair: tuple[str, str],
    alone: dict[str, tuple[NDArray[np.float64], list[NDArray[np.float64]]]],
) -> float:
    """H squared of two keys over the trials' own values."""
    together, grid = _dependence(forest, x, pair)
    places = [np.searchsorted(values, x[:, list(TABLE).index(key)]) for key, values in zip(pair, grid, strict=True)]
    both = together[places[0], places[1]]
    one, other = (alone[key][0][place] for key, place in zip(pair, places, strict=True))
    both, one, other = both - both.mean(), one - one.mean(), other - other.mean()
    total = float((both**2).sum())
    return float(((both - one - other) ** 2).sum() / total) if total else 0.0


def demand_sklearn() -> None:
    """Raises UsageError where scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "scikit-learn cannot be imported", cause=str(error), remedy="pip install scikit-learn"
        ) from None
