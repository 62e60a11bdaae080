"""What training writes of priors, and what a model predicts with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_data import planted_set
from small_nets import random_codes, small, small_arguments

from varscore.cli.boundary import run
from varscore.datasets.examples import ExampleSet
from varscore.engine.plain import PlainEngine
from varscore.errors import DataError, ModelError
from varscore.nets.registry import Recipe
from varscore.tasks import Task
from varscore.train.run import train_model
from varscore.zoo.card import PRIORS, WEIGHTS
from varscore.zoo.models import SHIFT, ModelFolder, open_model, save_model
from varscore.zoo.priors import Priors, count_priors

CPU = torch.device("cpu")
NAME = "crnn-320-projection"
SMALL = {name: value for name, value in small_arguments(NAME).items() if name not in ("n_tasks", "window")} | {
    "width": 10
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    """64 training examples, said to be all positives of 1,000 examples."""
    folder = tmp_path_factory.mktemp("data") / "d"
    counted = count_priors(planted_set(folder, train=64))
    info = json.loads((folder / "dataset.json").read_text())
    info["population"] = {"examples": 1000, "positives": counted.positives.tolist()}
    (folder / "dataset.json").write_text(json.dumps(info))
    return ExampleSet(folder)


@pytest.fixture(scope="module")
def model(data: ExampleSet, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    folder = tmp_path_factory.mktemp("models") / "m"
    return train_model(NAME, data, folder, recipe=Recipe(lr=1e-3, batch_size=16, epochs=1), arguments=SMALL)


def unshifted(model: ModelFolder, folder: Path) -> ModelFolder:
    """The model as it was before models had priors."""
    net = model.load()
    net.goal.prior_shift = np.zeros(net.n_tasks, np.float32)
    facts = {name: model.card[name] for name in ("training", "data", "interim")}
    return save_model(folder / model.id, net, model.architecture, model.tasks(), facts)


def test_training_states_priors_and_shifts_predictions(data: ExampleSet, model: ModelFolder, tmp_path: Path) -> None:
    positives = data.labels(data.rows("train")).sum(0)
    said = model.card["priors"]
    assert said["training"] == pytest.approx(positives.mean() / 64, rel=1e-5)
    assert said["true"] == pytest.approx(positives.mean() / 1000, rel=1e-5)
    assert said["shifted"] is True and said["untrained"] == [] and PRIORS in model.verify()
    shift = np.log((positives / (1000 - positives)) / (positives / (64 - positives)))
    codes = random_codes(9, 100).numpy()
    plain, shifted = (
        PlainEngine(each.load(), CPU).predict(codes).astype(float) for each in (unshifted(model, tmp_path), model)
    )
    assert shift.max() < -2
    # of both strands' mean this is only about so: they are near each other in a network that has learnt nothing yet
    assert np.log(shifted / (1 - shifted)) == pytest.approx(np.log(plain / (1 - plain)) + shift, abs=0.01)


def test_an_older_model_gets_them_from_its_data(
    data: ExampleSet, model: ModelFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = unshifted(model, tmp_path)
    assert "priors" not in older.card and older.sha256 != model.sha256
    for _ in range(2):  # doing it again changes nothing
        assert run(["models", "priors", str(older.path), "--data", str(data.folder)]) == 0
        now = open_model(older.path)
        assert (now.sha256, now.card["priors"]) == (model.sha256, model.card["priors"])
        assert now.read(PRIORS) == model.read(PRIORS)
    assert "in training, " in capsys.readouterr().out
    other = planted_set(tmp_path / "other", train=65)
    assert run(["models", "priors", str(older.path), "--data", str(other.folder)]) == 2
    assert "trained on another data set: counts differ" in capsys.readouterr().err


def test_a_child_is_trained_without_its_parent_s_shift(data: ExampleSet, model: ModelFolder, tmp_path: Path) -> None:
    recipe = Recipe(lr=1e-3, batch_size=16, epochs=1)
    child = train_model(NAME, data, tmp_path / "c", recipe=recipe, arguments=SMALL, parent=model)
    assert load_file(child.path / WEIGHTS)[SHIFT].tolist() == load_file(model.path / WEIGHTS)[SHIFT].tolist()


def test_half_precision_keeps_the_shift_whole(tmp_path: Path) -> None:
    counts = [np.array([n] * 5) for n in (3, 50, 3, 7000)]
    tasks = tuple(Task(i, "t") for i in range(5))
    model = save_model(tmp_path / "m", small(NAME), NAME, tasks, {}, torch.float16, Priors(*counts))
    assert model.load().goal.prior_shift == pytest.approx(np.full(5, np.log(47 / 6997)), rel=1e-6)


def test_tasks_without_a_positive_stand_on_the_card(tmp_path: Path) -> None:
    positives = np.array([1, 0, 5, 0, 2])
    nothing = np.zeros(5, np.int64)
    tasks = tuple(Task(i, f"cell|t{i}") for i in range(5))
    priors = Priors(positives, nothing + 9, nothing, nothing)
    model = save_model(tmp_path / "m", small(NAME), NAME, tasks, {}, priors=priors)
    assert model.card["priors"]["untrained"] == ["1:cell|t1", "3:cell|t3"] and model.untrained.tolist() == [1, 3]
    assert not model.card["priors"]["shifted"] and "true" not in model.card["priors"]
    assert SHIFT not in load_file(model.path / WEIGHTS)
    for label in ("x", "5", "-1:a"):
        wrong = ModelFolder(model.path, model.card.changed(priors={"untrained": [label]}))
        with pytest.raises(ModelError, match="untrained tasks are none of the model's"):
            _ = wrong.untrained


@pytest.mark.parametrize("shift", [torch.zeros(4), torch.full((5,), float("nan")), torch.zeros(5, dtype=torch.int32)])
def test_a_damaged_shift_is_refused(tmp_path: Path, shift: torch.Tensor) -> None:
    from varscore.storage.digest import sha256

    tasks = tuple(Task(i, "t") for i in range(5))
    model = save_model(tmp_path / "m", small(NAME), NAME, tasks, {})
    save_file({**load_file(model.path / WEIGHTS), SHIFT: shift}, model.path / WEIGHTS)
    files = {**model.card["files"], WEIGHTS: sha256((model.path / WEIGHTS).read_bytes())}
    with pytest.raises(ModelError, match="prior_shift is not a number for each of 5 tasks"):
        ModelFolder(model.path, model.card.changed(files=files)).load()


def test_values_have_no_priors(tmp_path: Path, model: ModelFolder, data: ExampleSet) -> None:
    from varscore.train.run import add_priors

    shutil.copytree(data.folder, tmp_path / "d")
    info = json.loads((tmp_path / "d/dataset.json").read_text()) | {"kind": "values"}
    (tmp_path / "d/dataset.json").write_text(json.dumps(info))
    np.save(tmp_path / "d/values.npy", np.zeros((len(data), 2), np.float32))
    with pytest.raises(DataError, match="values have no priors"):
        add_priors(model, ExampleSet(tmp_path / "d"))
