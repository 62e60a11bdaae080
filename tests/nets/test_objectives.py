"""What outputs mean: each loss and prediction against its definition, written out example by example."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from varscore.errors import UsageError
from varscore.nets.objectives import OBJECTIVES, Objective, make_objective

RANDOM = np.random.default_rng(3)
N, T = 17, 4
LABELS = (RANDOM.random((N, T)) < 0.4).astype(np.float32)
KNOWN = RANDOM.random((N, T)) < 0.6
CLASSES = np.eye(T, dtype=np.float32)[RANDOM.integers(0, T, N)]
VALUES = (30 + 5 * RANDOM.normal(size=(N, T)) * [1, 2, 3, 4]).astype(np.float32)


def outputs_of(goal: Objective) -> np.ndarray:
    return RANDOM.normal(size=(N, T * goal.per_task)).astype(np.float32)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def loss_of(goal: Objective, outputs: np.ndarray, targets: np.ndarray, known: np.ndarray | None) -> tuple[float, float]:
    mean, weight = goal.loss(
        torch.from_numpy(outputs), torch.from_numpy(targets), None if known is None else torch.from_numpy(known)
    )
    return mean.item(), weight


@pytest.mark.parametrize("known", [None, KNOWN])
def test_labels(known: np.ndarray | None) -> None:
    goal = make_objective("labels", T)
    outputs = outputs_of(goal)
    terms = [
        -math.log(sigmoid(outputs[i, t]) if LABELS[i, t] else 1 - sigmoid(outputs[i, t]))
        for i in range(N)
        for t in range(T)
        if known is None or known[i, t]
    ]
    mean, weight = loss_of(goal, outputs, LABELS, known)
    assert mean == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    assert weight == (N if known is None else len(terms))
    predicted = goal.predict(outputs)
    assert predicted.dtype == np.float32
    assert predicted == pytest.approx(np.vectorize(sigmoid)(outputs), abs=1e-6)
    prior = goal.prior(
        [(LABELS[:5], None if known is None else known[:5]), (LABELS[5:], None if known is None else known[5:])]
    )
    for t in range(T):
        counted = LABELS[:, t] if known is None else LABELS[known[:, t], t]
        assert sigmoid(prior[t]) == pytest.approx((counted.sum() + 1) / (len(counted) + 2))


def test_what_is_no_example_of_a_class_has_no_part() -> None:
    """The ends of segments, which have no row of the data set."""
    goal, there = make_objective("classes", T), KNOWN[:, 0]
    outputs = outputs_of(goal)
    mean, weight = loss_of(goal, outputs, CLASSES, np.repeat(there[:, None], T, 1))
    assert (mean, weight) == (pytest.approx(loss_of(goal, outputs[there], CLASSES[there], None)[0]), there.sum())
    assert 0 < there.sum() < N


def test_classes() -> None:
    goal = make_objective("classes", T)
    outputs = outputs_of(goal)
    shares = [[math.exp(x) / sum(map(math.exp, row)) for x in row] for row in outputs.tolist()]
    predicted = goal.predict(outputs)
    assert predicted == pytest.approx(np.array(shares), abs=1e-6) and predicted.dtype == np.float32
    assert predicted.sum(1) == pytest.approx(np.ones(N), abs=1e-6)
    mean, weight = loss_of(goal, outputs, CLASSES, None)
    right = [shares[i][int(CLASSES[i].argmax())] for i in range(N)]
    assert mean == pytest.approx(-sum(map(math.log, right)) / N, rel=1e-5) and weight == N
    odds = [[math.log(p / (1 - p)) for p in row] for row in shares]
    assert goal.odds(outputs) == pytest.approx(np.array(odds), abs=1e-5)
    assert goal.predict(outputs[None] * 1000).max() == 1, "no overflow"


@pytest.mark.parametrize("known", [None, KNOWN])
def test_values(known: np.ndarray | None) -> None:
    goal = make_objective("values", T)
    goal.fit([(VALUES[:9], None if known is None else known[:9]), (VALUES[9:], None if known is None else known[9:])])
    columns = [VALUES[:, t] if known is None else VALUES[known[:, t], t] for t in range(T)]
    assert goal.mean.numpy() == pytest.approx([c.mean() for c in columns], rel=1e-5)
    assert goal.scale.numpy() == pytest.approx([c.std() for c in columns], rel=1e-4)
    outputs = outputs_of(goal)
    in_units = goal.predict(outputs)
    terms = [
        ((in_units[i, t] - VALUES[i, t]) / columns[t].std()) ** 2
        for i in range(N)
        for t in range(T)
        if known is None or known[i, t]
    ]
    mean, weight = loss_of(goal, outputs, VALUES, known)
    assert mean == pytest.approx(sum(terms) / len(terms), rel=1e-3) and weight == len(terms)
    assert np.isnan(goal.odds(outputs)).all()
    assert goal.prior([(VALUES, known)]) is None


def test_a_constant_value_has_scale_1() -> None:
    goal = make_objective("values", 1)
    goal.fit([(np.full((5, 1), 7.3, np.float32), None)])
    assert (goal.mean.item(), goal.scale.item()) == (pytest.approx(7.3), 1.0)


def test_states() -> None:
    goal = make_objective("states", T)
    goal.fit([(LABELS, KNOWN)])
    outputs = outputs_of(goal)
    terms, weights = [], []
    for i in range(N):
        for t in range(T):
            if KNOWN[i, t]:
                bound = LABELS[KNOWN[:, t], t].sum()
                three = outputs[i, 3 * t : 3 * t + 3].tolist()
                state = 2 if LABELS[i, t] else 1
                weights.append((KNOWN[:, t].sum() - bound) / bound if LABELS[i, t] else 1.0)
                terms.append(-weights[-1] * math.log(math.exp(three[state]) / sum(map(math.exp, three))))
    mean, weight = loss_of(goal, outputs, LABELS, KNOWN)
    assert weight == pytest.approx(sum(weights), rel=1e-5)
    assert mean == pytest.approx(sum(terms) / sum(weights), rel=1e-5)
    unbound, bound = outputs[:, 1::3], outputs[:, 2::3]
    # the loss counts a bound example `weight` times: of as many more bound examples the network sees odds
    weight = np.array([(KNOWN[:, t].sum() - n) / n for t, n in enumerate((LABELS * KNOWN).sum(0).tolist())])
    assert goal.predict(outputs) == pytest.approx(np.exp(bound) / (np.exp(bound) + weight * np.exp(unbound)), rel=1e-5)
    assert goal.odds(outputs) == pytest.approx(bound - unbound)


@pytest.mark.parametrize("name", ["labels", "values", "states"])
def test_what_is_unknown_gives_no_gradient(name: str) -> None:
    goal = make_objective(name, T)
    known = KNOWN.copy()
    known[:, 2] = False  # a task that was not measured
    goal.fit([(LABELS, known)])
    outputs = torch.from_numpy(outputs_of(goal)).requires_grad_()
    goal.loss(outputs, torch.from_numpy(LABELS), torch.from_numpy(known))[0].backward()
    by_task = outputs.grad.reshape(N, T, goal.per_task).abs().sum(2).numpy()
    assert (by_task[~known] == 0).all() and (by_task[known] > 0).all()
    nothing, weight = goal.loss(outputs, torch.from_numpy(LABELS), torch.zeros(N, T, dtype=torch.bool))
    assert (nothing.item(), weight) == (0, 0)
    outputs.grad = None
    nothing.backward()
    assert not outputs.grad.any()


def test_names_are_the_registrys() -> None:
    assert {goal(2).name for goal in OBJECTIVES.values()} == set(OBJECTIVES)
    with pytest.raises(UsageError, match="no objective 'label'"):
        make_objective("label", 2)
