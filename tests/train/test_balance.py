"""How much a task counts: weights by hand, and what they do to a step and to a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import planted_set
from small_nets import small
from torch.nn import functional as F

from varscore.datasets.examples import ExampleSet
from varscore.nets.registry import Recipe
from varscore.train.balance import FEWEST, LARGEST, task_weights
from varscore.train.loop import Trainer
from varscore.train.ranks import Ranks

CPU = torch.device("cpu")
SGD = Recipe(optimizer="sgd", lr=0.5, batch_size=16, schedule="constant")


def labelled(positives: list[int], n: int) -> np.ndarray:
    return (np.arange(n)[:, None] < np.array(positives)).astype(np.float32)


def test_weights_by_hand() -> None:
    """Shares of 1/2, 1/8 and 1/32 of 1,598 (and one positive and one negative, as everywhere): roots are 1 : 2 : 4."""
    labels = labelled([799, 199, 49], 1598)
    pieces = [(piece, None) for piece in np.array_split(labels, 7)]
    assert task_weights(pieces, 0.5) == pytest.approx(np.array([1, 2, 4]) * 3 / 7, rel=1e-6)
    assert task_weights(pieces, 0) == pytest.approx(np.ones(3))


def test_a_share_is_one_of_what_is_known() -> None:
    labels, known = labelled([799, 199], 1598), np.ones((1598, 2), bool)
    known[398:, 1] = False  # 199 of 398: as common as the first
    assert task_weights([(labels, known)], 0.5) == pytest.approx(np.ones(2))


def test_no_task_counts_beyond_all_bounds_and_one_without_positives_least() -> None:
    positives = [5000, 5000, 5000, FEWEST, FEWEST - 1, 0]
    found = task_weights([(labelled(positives, 10000), None)], 1.0)
    assert found.mean() == pytest.approx(1)
    assert found / found[0] == pytest.approx([1, 1, 1, LARGEST, 1, 1], rel=1e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("data") / "d", train=64, validation=16, window=180)


def made(data: ExampleSet, folder: Path, balance: float, ranks: Ranks | None = None) -> Trainer:
    net = small("deepsea", n_tasks=2, conv_dropout=0, pool_dropout=0)
    return Trainer(net, data, dataclasses.replace(SGD, task_balance=balance), folder, device=CPU, ranks=ranks)


def test_a_step_goes_down_the_weighted_loss(data: ExampleSet, tmp_path: Path) -> None:
    """One step of plain gradient descent against torch's own weighted loss; validation weighs nothing."""
    trainer = made(data, tmp_path / "a", 1.0)
    weights = task_weights([(data.targets(trainer.rows), None)], 1.0)
    assert abs(weights[0] - weights[1]) > 0.01, "the tasks differ in their positives"
    begun = small("deepsea", n_tasks=2, conv_dropout=0, pool_dropout=0)
    order, flips = trainer._plan(0)
    batch = trainer.examples.batch(order[:16], flips[:16])
    given = torch.from_numpy(np.tile(weights, (16, 1)))
    loss = F.binary_cross_entropy_with_logits(begun(batch.codes), batch.targets, given)
    loss.backward()
    told = trainer._step(trainer.outputs, order, flips)
    assert told == pytest.approx(loss.item(), rel=1e-5)
    for ours, theirs in zip(trainer.net.parameters(), begun.parameters(), strict=True):
        assert torch.allclose(ours, theirs - 0.5 * theirs.grad, atol=1e-6)
    plain = made(data, tmp_path / "b", 0.0)
    plain.net.load_state_dict(trainer.net.state_dict())
    assert plain.validate() == trainer.validate()


def test_several_processes_weigh_their_parts_as_one_does(data: ExampleSet, tmp_path: Path) -> None:
    trainer = made(data, tmp_path / "a", 1.0, Ranks(rank=0, world=2))
    assert trainer.balance is not None
    rows = trainer.rows[:10]
    assert trainer._weight(rows) == pytest.approx(10 * float(trainer.balance.double().sum()))
    assert trainer._weight(rows[:0]) == 0
