"""Networks that begin with another model's weights: longer windows, other tasks, honest cards."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_data import planted_set
from small_nets import small_arguments

from varscore.datasets.examples import ExampleSet
from varscore.errors import UsageError
from varscore.formats.motifs import Motif
from varscore.nets.init import inherit
from varscore.nets.registry import Recipe, build
from varscore.train.run import RunOptions, train_model
from varscore.zoo.models import ModelFolder

NAME = "crnn-320-projection"
SMALL = {name: value for name, value in small_arguments(NAME).items() if name not in ("n_tasks", "window")} | {
    "width": 10
}
QUICK = Recipe(lr=1e-3, batch_size=16, epochs=1)
STILL = dataclasses.replace(QUICK, lr=1e-30)
"""Steps too small to change a weight: what the run ends with is what it began with"""


def train(data: ExampleSet, folder: Path, recipe: Recipe, name: str = NAME, **more: Any) -> ModelFolder:
    return train_model(name, data, folder, recipe=recipe, arguments=SMALL, options=RunOptions(seed=5), **more)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=1e-20)


def weights(model: ModelFolder) -> dict[str, torch.Tensor]:
    return load_file(model.path / "model.safetensors")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("short") / "d", train=48, validation=20, window=100)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("long") / "d", train=32, validation=20, window=120)


@pytest.fixture(scope="module")
def parent(short: ExampleSet, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return train(short, tmp_path_factory.mktemp("parent") / "m", QUICK)


def test_a_network_goes_on_with_longer_windows(parent: ModelFolder, long: ExampleSet, tmp_path: Path) -> None:
    child = train(long, tmp_path / "m", STILL, parent=parent)
    theirs, own = weights(parent), weights(child)
    assert child.config().window == 120 and parent.config().window == 100
    assert theirs.keys() == own.keys() and all(same(theirs[name], own[name]) for name in own)
    facts = child.card["training"]["parent"]
    assert (facts["id"], facts["sha256"]) == (parent.id, parent.sha256)
    assert set(facts["inherited"]) >= {name for name, _ in child.load().named_parameters()}


def test_motifs_that_the_parents_filters_would_replace_are_refused(
    parent: ModelFolder, long: ExampleSet, tmp_path: Path
) -> None:
    motifs = (Motif("M", "m", np.full((6, 4), 0.25)),)
    with pytest.raises(
        UsageError, match="no filter would begin as one of `init_motifs`.*`init_from`.*`renew_filters=N`"
    ):
        train(long, tmp_path / "m", STILL, parent=parent, motifs=motifs)
    assert not (tmp_path / "m").exists()
    wider = train_model(
        NAME,
        long,
        tmp_path / "w",
        recipe=STILL,
        arguments={**SMALL, "width": 12},
        options=RunOptions(seed=5),
        parent=parent,
        motifs=motifs,
    )
    assert wider.card["training"]["motifs"] == 1, "filters of another shape are not the parent's"


def test_other_tasks_get_an_output_layer_of_their_own(
    parent: ModelFolder, long: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = [dataclasses.replace(task, name=f"other-{task.name}") for task in long.tasks]
    monkeypatch.setattr(long, "tasks", tuple(renamed))
    child = train(long, tmp_path / "m", STILL, parent=parent)
    theirs, own = weights(parent), weights(child)
    last = {f"layers.{len(child.load().layers) - 1}.{kind}" for kind in ("weight", "bias")}
    assert {name for name in own if not same(own[name], theirs[name])} >= last
    assert last.isdisjoint(child.card["training"]["parent"]["inherited"])
    assert all(same(own[name], theirs[name]) for name in child.card["training"]["parent"]["inherited"])


def test_tasks_that_both_have_keep_their_outputs(
    parent: ModelFolder, long: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first task is new, the second is the parent's: each finds its own row of the last layer, and its bias."""
    first, second, *rest = long.tasks
    assert not rest
    swapped = (dataclasses.replace(first, name="new"), dataclasses.replace(second, name=first.name))
    monkeypatch.setattr(long, "tasks", swapped)
    child = train(long, tmp_path / "m", dataclasses.replace(STILL, prior_bias=True), parent=parent)
    theirs, own = weights(parent), weights(child)
    last = f"layers.{len(child.load().layers) - 1}"
    for kind in ("weight", "bias"):
        assert same(own[f"{last}.{kind}"][1], theirs[f"{last}.{kind}"][0])
        assert not same(own[f"{last}.{kind}"][0], theirs[f"{last}.{kind}"][0])
    positive = long.labels(long.rows("train"))[:, 0].sum()
    odds = (positive + 1) / (len(long.rows("train")) - positive + 1)
    assert own[f"{last}.bias"][0].item() == pytest.approx(float(np.log(odds)), rel=1e-6)
    assert child.card["training"]["parent"]["outputs"] == 1


def test_only_what_has_the_same_shape_is_inherited() -> None:
    sizes = {"n_tasks": 2, "window": 100}
    net = build(NAME, **{**SMALL, **sizes})
    wider = build(NAME, **{**SMALL, **sizes, "hidden": SMALL["hidden"] + 1})
    before = {name: value.clone() for name, value in net.state_dict().items()}
    taken = inherit(net, wider, (np.arange(2), np.arange(2))).names
    assert "layers.0.weight" in taken and not any("_hh_l0" in name for name in taken)
    for name, value in net.state_dict().items():
        assert torch.equal(value, wider.state_dict()[name] if name in taken else before[name])


def test_a_parent_of_which_nothing_fits_is_refused(short: ExampleSet, parent: ModelFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weight of the parent model fits"):
        train_model("kmer", short, tmp_path / "m", recipe=QUICK, arguments={}, parent=parent)


def test_a_checkpoint_is_not_carried_on_from_another_parent(
    parent: ModelFolder, long: ExampleSet, tmp_path: Path
) -> None:
    train(long, tmp_path / "m", QUICK, parent=parent)
    assert train(long, tmp_path / "m", QUICK, parent=parent).card["training"]["parent"]["id"] == parent.id
    with pytest.raises(UsageError, match="another initialisation"):
        train(long, tmp_path / "m", QUICK)
