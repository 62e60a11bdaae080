"""Every recurrent network learns a planted motif, and nothing where there is nothing to learn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from small_data import planted_set
from small_nets import small

from varscore.datasets.examples import ExampleSet
from varscore.evaluate import Examined, evaluate_model
from varscore.nets import architectures, find
from varscore.nets.layers import BiLSTM
from varscore.nets.registry import Recipe
from varscore.train.run import RunOptions, train_model

CPU = torch.device("cpu")
RECURRENT = [name for name in architectures() if any(isinstance(m, BiLSTM) for m in small(name).modules())]
SIZES = {
    "filters": 16,
    "width": 12,
    "pool": 6,
    "projection": 8,
    "second_filters": 12,
    "second_width": 3,
    "hidden": 8,
    "dense": 16,
}
QUICK = Recipe(lr=5e-3, batch_size=50, epochs=10, schedule="cosine")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("data") / "d", train=1500, validation=200, test=400, window=60)


def sizes(name: str) -> dict[str, Any]:
    """The small sizes an architecture has, except of layers it leaves out."""
    config = find(name).configure()
    return {size: value for size, value in SIZES.items() if getattr(config, size, 0)}


def learn(name: str, data: ExampleSet, folder: Path, recipe: Recipe) -> tuple[float, float]:
    model = train_model(name, data, folder, recipe=recipe, arguments=sizes(name), options=RunOptions(seed=1))
    planted, chance = evaluate_model(model, Examined(data), CPU).auroc
    return float(planted), float(chance)


@pytest.mark.parametrize("name", RECURRENT)
def test_a_planted_motif_is_learnt_and_chance_is_not(name: str, data: ExampleSet, tmp_path: Path) -> None:
    planted, chance = learn(name, data, tmp_path / "m", QUICK)
    assert planted >= 0.9
    assert 0.4 < chance < 0.6


def test_there_are_recurrent_networks_of_each_paper() -> None:
    assert {"danq", "danq-jaspar", "danq-500", "crnn-320", "crnn-700-projection"} <= set(RECURRENT)


def test_danq_learns_it_by_its_own_recipe(data: ExampleSet, tmp_path: Path) -> None:
    recipe = dataclasses.replace(find("danq").recipe, lr=5e-3, batch_size=50, epochs=12)
    planted, chance = learn("danq", data, tmp_path / "m", recipe)
    assert planted >= 0.9
    assert 0.4 < chance < 0.6
