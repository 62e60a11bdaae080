"""A planted objective: what decides it is found, and what the best do without is given up."""

from __future__ import annotations

import itertools
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from varscore.errors import UsageError
from varscore.search.proposals import Dropped, narrow, propose_fork
from varscore.search.reading import (
    COLUMNS,
    Trials,
    grow_tree,
    importances,
    interaction,
    interactions,
    read_trials,
)
from varscore.search.space import TABLE_4, WHOLE, draws, effective, subspace
from varscore.search.stages import next_name, next_stage, run_stages
from varscore.search.study import Settings, Study, begin_study
from varscore.search.trials import METRICS, Trial

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
AUROC = METRICS["auroc"]


def planted(count: int = 200, space: Any = WHOLE, branch: str = "main") -> list[Trial]:
    """metric = .7 + .1 [elu without batch norm] + .05 [attention] + noise."""
    random, found = np.random.default_rng(3), []
    for number, point in enumerate(itertools.islice(draws(space, 0, branch), count)):
        good = 0.1 * (point["nonlinearity"] == "elu" and not point["conv_norm"])
        metric = 0.7 + good + 0.05 * (point["global_reduction"] == "attention") + random.normal(0, 0.01)
        history = ({"epoch": 0, "validation_loss": 0.6, "auroc": metric},)
        found.append(Trial(number, point, "done", 1000, float(metric), 0, history, int(point["batch_size"])))
    return found


@pytest.fixture(scope="module")
def trials() -> Trials:
    return read_trials(planted(), AUROC, WHOLE)


def test_the_tree_finds_what_was_planted(trials: Trials) -> None:
    tree = grow_tree(trials)
    assert tree is not None and tree.tells and tree.accuracy > 0.8, tree
    assert trials.top.sum() == 40
    assert {"nonlinearity", "conv_norm"} <= set(tree.splits) | {"conv_norm"}
    assert set(tree.splits[:2]) <= {"nonlinearity", "conv_norm", "global_reduction"}
    assert "nonlinearity is elu" in tree.text and "conv_norm is false" in tree.text and "column" not in tree.text


def test_a_tree_of_nothing_is_no_better_than_chance() -> None:
    random = np.random.default_rng(0)
    mixed = read_trials(planted(), AUROC, WHOLE)
    noise = Trials(mixed.trials, random.permutation(len(mixed)).astype(float), AUROC, WHOLE)
    tree = grow_tree(noise)
    assert tree is not None and not tree.tells and "no better than chance" in tree.verdict
    assert propose_fork(tree, WHOLE) is None


def test_importance_and_interaction_are_those_that_were_planted(trials: Trials) -> None:
    ranking = importances(trials)
    assert {row.key for row in ranking[:3]} == {"nonlinearity", "conv_norm", "global_reduction"}
    assert ranking[0].mean > 5 * ranking[3].mean and len(ranking) == 24
    pairs = interactions(trials, ranking)
    assert {pairs[0].one, pairs[0].other} == {"nonlinearity", "conv_norm"}
    assert pairs[0].strength > 0.1 and len(pairs) <= 5


def test_a_map_shows_the_product_with_its_counts(trials: Trials) -> None:
    found = interaction(trials, "nonlinearity", "conv_norm")
    cells = {
        (one, other): (mean, n)
        for (one, other), mean, n in zip(
            itertools.product(found.one_values, found.other_values),
            found.mean.ravel(),
            found.counts.ravel(),
            strict=True,
        )
    }
    product, others = cells.pop(("elu", False)), [mean for mean, _ in cells.values()]
    assert product[0] > 0.8 and max(others) < 0.74
    assert found.counts.sum() == 200
    elu = [t for t in trials.trials if t.drawn["nonlinearity"] == "elu" and not t.drawn["conv_norm"]]
    assert product == (pytest.approx(np.mean([t.metric for t in elu])), len(elu))


def test_narrowing_gives_up_batch_norm_and_says_why(trials: Trials) -> None:
    found = narrow(trials)
    assert found.space["conv_norm"] == (False,) and "elu" in found.space["nonlinearity"]
    assert all(values for values in found.space.values())
    norm = next(one for one in found.dropped if one.key == "conv_norm")
    best = [t for t, top in zip(trials.trials, trials.top, strict=True) if top]
    assert (norm.value, norm.best, norm.all) == (True, 40, 200)
    assert norm.among_best == sum(bool(t.drawn["conv_norm"]) for t in best)
    assert norm.p == pytest.approx(by_hand(norm)) and str(norm.among_best) in str(norm)


def by_hand(one: Dropped) -> float:
    """So few of the value among the best: the hypergeometric tail, term by term."""
    ways = [comb(one.among_all, k) * comb(one.all - one.among_all, one.best - k) for k in range(one.among_best + 1)]
    return sum(ways) / comb(one.all, one.best)


def test_narrowing_wants_forty_trials_and_counts_only_where_a_key_acts() -> None:
    with pytest.raises(UsageError, match="39 trials that count are too few"):
        narrow(read_trials(planted(39), AUROC, WHOLE))
    found = read_trials(planted(), AUROC, WHOLE)
    dropped = [one for one in narrow(found).dropped if one.key == "rnn_type"]
    recurrent = sum("rnn_type" in effective(trial.drawn) for trial in found.trials)
    assert all(one.all == recurrent < 200 for one in dropped)


def test_failures_are_bad_and_large_ones_do_not_count() -> None:
    some = planted(60)
    some[0] = Trial(0, some[0].drawn, "diverged", 10, 0.5)
    some[1] = Trial(1, some[1].drawn, "too large", 10**9)
    some[2] = Trial(2, some[2].drawn, "timed out", 10, None)
    read = read_trials(some, AUROC, WHOLE)
    assert len(read) == 59 and read.goodness[0] == 0.5 and read.goodness[1] == 0.5
    loss = read_trials(
        [Trial(0, TABLE_4, "done", 1, 0.3), Trial(1, TABLE_4, "done", 1, 0.6), Trial(2, TABLE_4, "diverged", 1, None)],
        METRICS["loss"],
        WHOLE,
    )
    assert loss.goodness.tolist() == [-0.3, -0.6, -0.6]


def test_trials_that_have_all_failed_are_alike() -> None:
    """Of the loss there is no level of chance: nothing is said of what is good."""
    failed = [Trial(one.number, one.drawn, "diverged", 10, None) for one in planted(24)]
    read = read_trials(failed, METRICS["loss"], WHOLE)
    assert np.ptp(read.goodness) == 0 and importances(read) == [] and interactions(read, []) == []


def test_rules_are_in_words() -> None:
    by_key = {(column.key, column.value): column for column in COLUMNS}
    assert by_key["filters", None].rule(24.0, True) == "filters <= 16"
    assert by_key["filters", None].rule(24.0, False) == "filters >= 32"
    assert by_key["stride", None].rule(0.5, True) == "reduction is none"
    assert by_key["rnn_units", None].rule(0.5, False) == "rnn_layers is not 0"
    assert by_key["stride", None].rule(3.0, True) == "stride <= 2"
    assert by_key["conv_norm", None].rule(0.5, True) == "conv_norm is false"
    assert by_key["reduction", "max"].rule(0.5, True) == "reduction is not max"
    assert by_key["l2", None].rule(5.5e-5, False) == "l2 >= 0.0001"


# stages


def made_study(folder: Path, metric: str = "auroc") -> Study:
    study = begin_study(folder, Settings("nowhere", "0" * 64, "labels", metric))
    study.make_branch("main", WHOLE)
    return study


def recurrent(count: int, space: Any, branch: str) -> list[Trial]:
    """Recurrence decides, and with it LSTM."""
    found = []
    for trial in planted(count, space, branch):
        good = 0.1 * (trial.drawn["rnn_layers"] != 0) + 0.04 * (trial.drawn["conv_norm"] is False)
        found.append(Trial(trial.number, trial.drawn, "done", 1, 0.6 + good + 1e-4 * trial.number, 0))
    return found


def test_stages_narrow_fork_once_and_end_the_same_however_often_they_are_run(tmp_path: Path) -> None:
    study, asked = made_study(tmp_path / "s"), []

    def run(branch: Any) -> list[Trial]:
        asked.append(branch.name)
        return recurrent(120, branch.space, branch.name)

    done = run_stages(study, study.branch("main"), 3, run)
    sides = {branch.name: branch for branch in study.branches() if branch.parent == "main"}
    assert set(sides) == {"stage2-recurrent", "stage2-no-recurrence"}
    assert sides["stage2-recurrent"].space["rnn_layers"] == (1, 2)
    assert sides["stage2-no-recurrence"].space["rnn_layers"] == (0,)
    assert all("forked" in side.why for side in sides.values())
    assert {"stage3-recurrent", "stage3-no-recurrence"} >= {branch.name for branch in study.branches()} - {
        "main",
        *sides,
    }
    again = run_stages(study, study.branch("main"), 3, run)
    assert [stage.branch.name for stage in again] == [stage.branch.name for stage in done]
    assert asked[: len(asked) // 2] == asked[len(asked) // 2 :]


def test_a_stage_without_a_fork_narrows_and_too_few_trials_end_it(tmp_path: Path) -> None:
    study = made_study(tmp_path / "s")
    stage = next_stage(study, study.branch("main"), planted(200))
    names = [child.name for child in stage.children]
    assert names == ["stage2"] or all(name.startswith("stage2-") for name in names)
    assert all(child.space["conv_norm"] == (False,) for child in stage.children)
    assert "conv_norm without true" in stage.why
    assert next_stage(study, study.branch("main"), planted(30)).children == ()


def test_stages_can_begin_with_one_that_came_of_narrowing(tmp_path: Path) -> None:
    study = made_study(tmp_path / "s")
    study.make_branch("stage2", study.branch("main").space, "main")
    done = run_stages(study, study.branch("stage2"), 2, lambda each: planted(200, each.space, each.name))
    assert {stage.branch.name.partition("-")[0] for stage in done} == {"stage2", "stage3"}


def test_names_of_stages() -> None:
    assert [next_name(name) for name in ("main", "stage2", "stage9-recurrent")] == [
        "stage2",
        "stage3",
        "stage10-recurrent",
    ]


def test_branches_come_after_their_parents(tmp_path: Path) -> None:
    study = made_study(tmp_path / "s")
    study.make_branch("a", subspace(WHOLE, {"filters": [8]}), "z", "")
    study.make_branch("z", WHOLE, "main", "why not")
    assert [branch.name for branch in study.branches()] == ["main", "z", "a"]
    with pytest.raises(UsageError, match="has no branch 'y'.*it has main, z, a"):
        study.branch("y")
