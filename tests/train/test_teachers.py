"""Networks that learn from others: what their targets are, and that they follow their teachers."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from small_data import planted_set
from small_nets import small, small_arguments

from varscore.cli.boundary import run
from varscore.datasets.examples import ExampleSet
from varscore.errors import UsageError
from varscore.nets.layers import SequenceNet
from varscore.nets.registry import Recipe
from varscore.tasks import Task
from varscore.train.batches import Examples
from varscore.train.loop import Trainer
from varscore.train.run import RunOptions, train_model
from varscore.train.teachers import Teachers
from varscore.zoo.models import ModelFolder, open_model, save_model
from varscore.zoo.priors import Priors

NAME = "crnn-320-projection"
SMALL = {name: value for name, value in small_arguments(NAME).items() if name not in ("n_tasks", "window")} | {
    "width": 10
}
CPU = torch.device("cpu")
TASTES = (Task(0, "other"), Task(1, "chance", "DNase"), Task(2, "planted", "TF"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("data") / "d", train=64, validation=20, window=100)


def teacher(folder: Path, tasks: tuple[Task, ...], seed: int, window: int = 100, **more: Any) -> ModelFolder:
    torch.manual_seed(seed)
    net = small(NAME, **(SMALL | {"n_tasks": len(tasks), "window": window}))
    with torch.no_grad():
        for parameter in net.output.parameters():
            parameter.normal_()
    return save_model(folder, net, NAME, tasks, {}, **more)


def probability(net: SequenceNet, codes: torch.Tensor) -> NDArray[np.float64]:
    with torch.inference_mode():
        odds = net(codes).double().numpy() + net.goal.shift
    return np.asarray(1 / (1 + np.exp(-odds)))


def test_targets_lie_between_labels_and_what_teachers_say_of_the_same_strand(data: ExampleSet, tmp_path: Path) -> None:
    counts = np.array([0, 5, 5]), np.array([20, 20, 20]), np.array([5, 5, 5]), np.array([200, 200, 200])
    one = teacher(tmp_path / "one", TASTES, 1, priors=Priors(*counts))
    two = teacher(tmp_path / "two", data.tasks[:1], 2)
    rows, flips = data.rows("train")[:7], np.arange(7) % 2 == 1
    batch = Examples(data, one.load(), CPU).batch(rows, flips)
    assert not torch.equal(batch.codes, Examples(data, one.load(), CPU).batch(rows, ~flips).codes)
    said = probability(one.load(), batch.codes)
    planted = (said[:, 2] + probability(two.load(), batch.codes)[:, 0]) / 2
    found = Teachers([one, two], data, 0.3, CPU).targets(batch, 200, "fp32")
    labels = data.targets(rows)
    expected = np.stack([0.7 * labels[:, 0] + 0.3 * planted, 0.7 * labels[:, 1] + 0.3 * said[:, 1]], 1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    ignorant = Priors(np.array([5, 0]), np.array([20, 20]), np.array([5, 0]), np.array([20, 20]))
    three = teacher(tmp_path / "three", data.tasks, 3, priors=ignorant)
    with_it = Teachers([one, three], data, 0.3, CPU).targets(batch, 200, "fp32")
    np.testing.assert_allclose(with_it[:, 1].numpy(), expected[:, 1], rtol=1e-5)  # it has seen no positive of that task
    alone = Teachers([two], data, 0.3, CPU).targets(batch, 200, "fp32")
    np.testing.assert_array_equal(alone[:, 1].numpy(), labels[:, 1])


def weights(model: ModelFolder) -> dict[str, torch.Tensor]:
    return load_file(model.path / "model.safetensors")


def train(data: ExampleSet, folder: Path, share: float, *teachers: ModelFolder) -> ModelFolder:
    recipe = Recipe(lr=3e-3, batch_size=16, epochs=1, schedule="constant", teacher_share=share)
    options = RunOptions(seed=5)
    return train_model(NAME, data, folder, recipe=recipe, arguments=SMALL, options=options, teachers=teachers)


def test_a_pupil_of_nothing_but_its_teacher_does_not_see_the_labels(data: ExampleSet, tmp_path: Path) -> None:
    master = teacher(tmp_path / "master", data.tasks, 3)
    contrary = ExampleSet(data.folder)
    contrary.targets = types.MethodType(lambda self, rows: 1 - ExampleSet.targets(self, rows), contrary)  # type: ignore[method-assign]
    found = [
        weights(train(which, tmp_path / f"{share}{name}", share, master))
        for share in (1.0, 0.5)
        for name, which in (("as it is", data), ("contrary", contrary))
    ]
    assert all(torch.equal(one, found[1][key]) for key, one in found[0].items())
    assert not all(torch.equal(one, found[3][key]) for key, one in found[2].items())
    assert not all(torch.equal(one, found[2][key]) for key, one in found[0].items())


def test_a_pupil_comes_near_its_teacher(data: ExampleSet, tmp_path: Path) -> None:
    master = teacher(tmp_path / "master", data.tasks, 4)
    codes = Examples(data, master.load(), CPU).batch(data.rows("test"), np.zeros(64, bool)).codes
    said = probability(master.load(), codes)
    recipe = Recipe(lr=1e-2, batch_size=16, epochs=20, patience=20, schedule="constant")
    away = []
    for teachers in (Teachers([master], data, 1.0, CPU), None):
        torch.manual_seed(0)
        trainer = Trainer(
            small(NAME, **(SMALL | {"n_tasks": 2, "window": 100, "dropout": 0.0, "recurrent_dropout": 0.0})),
            data,
            recipe,
            tmp_path,
            device=CPU,
            checkpoint_seconds=1e9,
            teachers=teachers,
        )
        trainer.start()
        trainer.run()
        away.append(np.abs(probability(trainer.net.eval(), codes) - said).mean())
    assert away[0] < 0.05 and away[0] < 0.3 * away[1]


def test_the_card_says_who_taught_and_a_checkpoint_has_no_other_teacher(data: ExampleSet, tmp_path: Path) -> None:
    one, two = (teacher(tmp_path / f"{seed}", data.tasks, seed) for seed in (6, 7))
    made = train(data, tmp_path / "m", 0.5, one, two)
    said = [{"id": model.id, "sha256": model.sha256} for model in (one, two)]
    assert made.card["training"]["teachers"] == said and made.card["training"]["recipe"]["teacher_share"] == 0.5
    with pytest.raises(UsageError, match="another initialisation"):
        train(data, tmp_path / "m", 0.5, one)


def test_who_cannot_teach(data: ExampleSet, tmp_path: Path) -> None:
    def refuses(cause: str, model: ModelFolder, data: ExampleSet = data) -> None:
        with pytest.raises(UsageError, match=cause):
            Teachers([model], data, 0.5, CPU)

    good = teacher(tmp_path / "good", data.tasks, 1)
    refuses("windows have 120 bases, those to learn from 100", teacher(tmp_path / "long", data.tasks, 1, window=120))
    refuses("knows none of the tasks", teacher(tmp_path / "other", TASTES[:1], 1))
    net = small(NAME, **(SMALL | {"n_tasks": 2, "window": 100}))
    net.adapt("values", "both-mean")
    refuses("its outputs are values", save_model(tmp_path / "values", net, NAME, data.tasks, {}))
    thinned = ExampleSet(data.folder)
    thinned.population = np.full(2, 32), np.full(2, 6400)
    refuses("leaves unlabelled bins out", good, thinned)
    with pytest.raises(UsageError, match="the output is also an input"):
        train(data, good.path, 0.5, good)


def test_the_command_has_teachers(data: ExampleSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    master = teacher(tmp_path / "master", data.tasks, 1)
    sizes = [f"--arg={name}={value}" for name, value in SMALL.items()]
    command = ["train-chromatin", NAME, "--data", str(data.folder), "--epochs", "1", *sizes, "--teacher-share", "0.7"]
    assert run([*command, "-o", str(tmp_path / "no")]) == 2
    assert "--teacher MODEL" in capsys.readouterr().err and not (tmp_path / "no").exists()
    assert run([*command, "-o", str(tmp_path / "m"), "--teacher", str(master.path)]) == 0
    card = open_model(tmp_path / "m").card
    assert card["training"]["recipe"]["teacher_share"] == 0.7 and card["training"]["teachers"][0]["id"] == "master"
