"""Filters that begin anew: which ones matter least, which motifs no filter resembles, and what a run makes of both."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import planted_set
from small_nets import small_arguments
from torch.nn import functional as F

from varscore.datasets.examples import ExampleSet
from varscore.errors import UsageError
from varscore.formats.motifs import Motif
from varscore.nets.init import first_layer
from varscore.nets.registry import Recipe, build
from varscore.train.loop import Trainer
from varscore.train.renewal import importance, least_alike, likeness, renew_filters
from varscore.train.run import RunOptions, train_model
from varscore.zoo.models import ModelFolder

NAME = "crnn-320-projection"
SMALL = {**{k: v for k, v in small_arguments(NAME).items() if k not in ("n_tasks", "window")}, "width": 10}
QUICK = Recipe(lr=1e-3, batch_size=16, epochs=1)
STILL = dataclasses.replace(QUICK, lr=1e-30)
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def frequencies(width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([0.2] * 4, width)


def correlation(motif: np.ndarray, weights: np.ndarray) -> float:
    """The best of all placements, one by one. motif: (w, 4); weights: (width, 4)"""
    width, w = len(weights), len(motif)
    motif, weights = motif - motif.mean(1, keepdims=True), weights - weights.mean(1, keepdims=True)
    best = -1.0
    for shown in (motif, motif[::-1, ::-1]):
        for at in range(1 - w, width):
            product = sum((shown[i] * weights[at + i]).sum() for i in range(w) if 0 <= at + i < width)
            best = max(best, product / np.sqrt((motif**2).sum() * (weights**2).sum()))
    return best


@pytest.mark.parametrize("w", [3, 8, 12])
def test_likeness_is_the_best_correlation_of_all_placements(w: int) -> None:
    filters = np.random.default_rng(1).normal(size=(5, 8, 4))
    motif = frequencies(w, 2)
    assert likeness(motif, filters) == pytest.approx([correlation(motif, one) for one in filters], abs=1e-12)


def test_a_filter_that_is_the_motif_moved_turned_or_louder_is_like_it() -> None:
    motif, filters = frequencies(5, 3), np.zeros((3, 9, 4))
    filters[0, 2:7] = motif - 0.25
    filters[1, 4:9] = motif[::-1, ::-1]
    filters[2, :5] = 7 * motif + 1
    assert likeness(motif, filters) == pytest.approx([1, 1, 1])


def test_motifs_that_no_filter_has_come_first_and_none_twice() -> None:
    motifs = [frequencies(6, seed) for seed in range(6)]
    filters = np.stack([motifs[0], motifs[3]])
    twice = [*motifs, motifs[1][::-1, ::-1]]  # number 6 is number 1 seen from the other strand
    taken = least_alike(twice, filters, 7)
    assert sorted(taken) == list(range(7))
    assert set(taken[:4]) in ({1, 2, 4, 5}, {6, 2, 4, 5}) and set(taken[4:]) in ({0, 3, 6}, {0, 3, 1})


def test_importance_is_how_far_the_loss_moves_with_a_filters_loudness() -> None:
    torch.manual_seed(0)
    net = build(NAME, **{**SMALL, "n_tasks": 2, "window": 100}).double().eval()
    weight = first_layer(net).weight
    codes, targets = torch.randint(0, 4, (2, 8, 100), dtype=torch.uint8), torch.rand(2, 8, 2).double()

    def loss(batch: int) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(net(codes[batch]), targets[batch])

    found = importance(weight, (loss(batch) for batch in (0, 1)))
    for index in (0, 3):
        moved = []
        for batch in (0, 1):
            ends = []
            for factor in (1 + 1e-6, 1 - 1e-6):
                before = weight[index].detach().clone()
                with torch.no_grad():
                    weight[index] *= factor
                    ends.append(loss(batch).item())
                    weight[index] = before
            moved.append((ends[0] - ends[1]) / 2e-6)
        assert found[index] == pytest.approx(np.mean(np.square(moved)), rel=1e-4)


def test_the_idle_filters_become_the_missing_motifs_and_the_others_stay() -> None:
    torch.manual_seed(0)
    net = build(NAME, **{**SMALL, "n_tasks": 2, "window": 100})
    layer = first_layer(net)
    motifs = [frequencies(7, seed) for seed in range(4)]
    with torch.no_grad():
        layer.weight[1, :, 2:9] = torch.from_numpy(motifs[2].T).float() - 0.25
    before = layer.weight.detach().clone()
    count = len(before)
    matters = torch.arange(count, dtype=torch.float32)[:, None, None].flip(0)  # the last ones least
    losses = [(layer.weight * matters / layer.weight.detach()).sum()]
    taken = renew_filters(net, losses, motifs, 3)
    assert sorted(taken) == [0, 1, 3], "filter 1 has motif 2"
    assert torch.equal(layer.weight[: count - 3], before[: count - 3])
    new = layer.weight[count - 3 :].detach().numpy().astype(float).transpose(0, 2, 1)
    for number, weights in zip(taken, new[::-1], strict=True):
        assert likeness(motifs[number], weights[None])[0] > 0.97
        assert weights.var(1).sum() == pytest.approx(1, rel=1e-5)


# a run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("data") / "d", train=48, validation=20)


@pytest.fixture(scope="module")
def parent(data: ExampleSet, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return train(data, tmp_path_factory.mktemp("parent") / "m", QUICK)


def train(
    data: ExampleSet, folder: Path, recipe: Recipe, parent: ModelFolder | None = None, motifs: int = 0
) -> ModelFolder:
    given = tuple(Motif(f"M{seed}", f"m{seed}", frequencies(7, seed)) for seed in range(motifs))
    return train_model(
        NAME, data, folder, recipe=recipe, arguments=SMALL, options=RunOptions(seed=5), parent=parent, motifs=given
    )


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_run_begins_with_its_parents_filters_but_for_those_renewed(
    data: ExampleSet, tmp_path: Path, parent: ModelFolder, ema: float
) -> None:
    recipe = dataclasses.replace(STILL, renewed_filters=2, ema=ema)
    child = train(data, tmp_path / "m", recipe, parent, motifs=5)
    ours, theirs = (first_layer(model.load()).weight.detach() for model in (child, parent))
    kept = [torch.allclose(a, b, rtol=0, atol=1e-6) for a, b in zip(ours, theirs, strict=True)]
    assert kept.count(False) == 2
    training = tomllib.loads((child.path / "card.toml").read_text())["training"]
    assert training["recipe"]["renewed_filters"] == training["motifs"] == 2


def test_a_run_that_is_carried_on_renews_nothing_again(data: ExampleSet, tmp_path: Path, parent: ModelFolder) -> None:
    recipe = dataclasses.replace(QUICK, renewed_filters=2, epochs=2)
    whole = train(data, tmp_path / "whole", recipe, parent, motifs=5)
    train(data, tmp_path / "parts", dataclasses.replace(recipe, epochs=1), parent, motifs=5)
    parts = train(data, tmp_path / "parts", recipe, parent, motifs=5)
    assert (whole.path / "model.safetensors").read_bytes() == (parts.path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
def test_importance_is_asked_of_a_calm_network_without_cudnn(data: ExampleSet, tmp_path: Path, device: str) -> None:
    net = build(NAME, **{**SMALL, "n_tasks": 2, "window": 100})
    states = []
    made = Trainer(net, data, QUICK, tmp_path, device=torch.device(device))
    net.register_forward_pre_hook(lambda *_: states.append((net.training, torch.backends.cudnn.enabled)))
    assert importance(first_layer(net).weight, made._losses()).all(), "every filter has a gradient"
    assert set(states) == {(False, False)}, "whose LSTM has a gradient in training alone"


@pytest.mark.parametrize(("with_parent", "motifs"), [(False, 5), (True, 0)])
def test_without_a_parent_or_motifs_it_is_refused(
    data: ExampleSet, tmp_path: Path, parent: ModelFolder, with_parent: bool, motifs: int
) -> None:
    recipe = dataclasses.replace(STILL, renewed_filters=2)
    with pytest.raises(UsageError, match="filters are renewed in a parent, from motifs"):
        train(data, tmp_path / "m", recipe, parent if with_parent else None, motifs)
    assert not (tmp_path / "m").exists()
