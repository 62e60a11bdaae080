"""The one training core on every kind of data: what it reads, what it learns, and that it resumes to the same bits."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_kinds import TASKS, WINDOW, StatesNet, WideConfig, WideNet, made_set
from torch import nn

from varscore.datasets.examples import ExampleSet
from varscore.engine.plain import PlainEngine
from varscore.errors import DataError, UsageError
from varscore.evaluate import Examined, evaluate_model, predict_rows
from varscore.nets import build
from varscore.nets.layers import SequenceNet
from varscore.nets.registry import Recipe
from varscore.train.batches import Examples
from varscore.train.loop import Trainer
from varscore.train.run import RunOptions, network_for, train_model
from varscore.zoo.models import open_model, save_model

CPU = torch.device("cpu")
RECIPE = Recipe(lr=3e-3, batch_size=8, epochs=2, prior_bias=True)
KINDS: dict[str, dict[str, Any]] = {
    "labels": {"known": 0.7},
    "classes": {"strands": "one"},
    "values": {"known": 0.8},
}


def trainer(data: ExampleSet, folder: Path, net: SequenceNet, recipe: Recipe = RECIPE) -> Trainer:
    folder.mkdir(exist_ok=True)
    made = Trainer(net, data, recipe, folder, device=CPU, seed=4)
    if not made.resume():
        made.start()
    return made


def weights(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_run_ends_the_same(tmp_path: Path, kind: str) -> None:
    data = made_set(tmp_path / "d", kind, **KINDS[kind])

    def fresh() -> SequenceNet:
        torch.manual_seed(1)
        return network_for("tss", data, {"dense": 6})

    whole = trainer(data, tmp_path / "whole", fresh())
    whole.run()
    for _ in range(5):
        made = trainer(data, tmp_path / "parts", fresh())
        torch.manual_seed(99)
        made.run(stop_after=-1)
    made.run()
    one, two = weights(whole.best()), weights(made.best())
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert [row["validation_loss"] for row in made.progress.history] == [
        row["validation_loss"] for row in whole.progress.history
    ]


def test_the_validation_loss_is_over_known_targets(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "labels", known=0.5)
    torch.manual_seed(0)
    made = trainer(data, tmp_path / "m", network_for("tss", data, {"dense": 6}))
    rows = data.rows("validation")
    with torch.no_grad():
        p = made.net.eval()(torch.from_numpy(data.windows(rows))).double().sigmoid().numpy()
    right = np.where(data.labels(rows) == 1, p, 1 - p)[data.known(rows)]
    assert made.validate()["validation_loss"] == pytest.approx(-np.log(right).mean(), rel=1e-5)


def test_a_task_that_is_never_known_is_never_trained(tmp_path: Path) -> None:
    source = made_set(tmp_path / "d", "labels", known=0.6)
    bits = np.unpackbits(np.load(source.folder / "known.npy"), axis=1)
    bits[:, 1] = 0
    np.save(source.folder / "known.npy", np.packbits(bits, axis=1))
    data = ExampleSet(source.folder)
    torch.manual_seed(0)
    net = network_for("tss", data, {"dense": 6})
    before = net.output.weight.detach().clone()
    made = trainer(data, tmp_path / "m", net, dataclasses.replace(RECIPE, prior_bias=False))
    made.run()
    after = made.net.output.weight.detach()
    assert torch.equal(after[1], before[1])
    assert not torch.equal(after[0], before[0]) and not torch.equal(after[2], before[2])


def test_what_is_not_known_does_not_matter(tmp_path: Path) -> None:
    """Labels of the other sign where nothing is known give the same network, bit for bit."""
    ends = []
    for name, turned in (("one", False), ("two", True)):
        data = made_set(tmp_path / f"{name}.d", "labels", known=0.6)
        if turned:
            known = np.load(data.folder / "known.npy")
            labels = np.load(data.folder / "labels.npy")
            np.save(data.folder / "labels.npy", np.where(known | 0, labels & known | ~labels & ~known, ~labels))
            data = ExampleSet(data.folder)
            rows = data.rows("all")
            assert (data.labels(rows) != np.unpackbits(labels, axis=1, count=TASKS))[~data.known(rows)].all()
        torch.manual_seed(0)
        made = trainer(data, tmp_path / name, network_for("tss", data, {"dense": 6}))
        made.run()
        ends.append(weights(made.best()))
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_an_average_of_weights_has_the_datas_units(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "values")
    recipe = dataclasses.replace(RECIPE, ema=0.9, epochs=1)
    model = train_model("tss", data, tmp_path / "m", recipe=recipe, arguments={"dense": 4}, options=RunOptions())
    goal, values = model.load().goal, data.targets(data.rows("train"))
    assert goal.mean.numpy() == pytest.approx(values.mean(0), rel=1e-5)
    assert goal.scale.numpy() == pytest.approx(values.std(0), rel=1e-4)


def test_fine_tuning_keeps_units_with_the_same_tasks_and_learns_them_anew_with_others(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "values")
    options: dict[str, Any] = {"recipe": dataclasses.replace(RECIPE, epochs=1), "arguments": {"dense": 4}}
    parent = train_model("tss", data, tmp_path / "m", **options)
    other = made_set(tmp_path / "e", "values")
    np.save(other.folder / "values.npy", 10 * np.load(other.folder / "values.npy"))
    same = train_model("tss", ExampleSet(other.folder), tmp_path / "n", parent=parent, **options)
    assert torch.equal(same.load().goal.mean, parent.load().goal.mean)
    tasks = (other.folder / "tasks.tsv").read_text().replace("task", "gene")
    (other.folder / "tasks.tsv").write_text(tasks)
    fresh = train_model("tss", ExampleSet(other.folder), tmp_path / "o", parent=parent, **options)
    assert fresh.load().goal.mean.numpy() == pytest.approx(10 * parent.load().goal.mean.numpy(), rel=1e-4)


# what a network reads


def test_batches_hold_windows_tracks_and_scalars_of_either_strand(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "labels", tracks=2, scalars=3)
    examples = Examples(data, WideNet(WideConfig(tracks=2, scalars=3)), CPU)
    codes, signal = np.load(data.folder / "codes.npy"), np.load(data.folder / "tracks.npy")
    rows, flip = np.array([0, 4, 7, 80]), np.array([False, True, True, False])
    batch = examples.batch(rows, flip)
    for i, (row, turned) in enumerate(zip(rows, flip, strict=True)):
        window, tracks = codes[10 * row : 10 * row + WINDOW], signal[:, 10 * row : 10 * row + WINDOW]
        assert batch.codes[i].tolist() == (3 - window[::-1] if turned else window).tolist()
        assert np.array_equal(batch.extra["tracks"][i].numpy(), tracks[:, ::-1] if turned else tracks)
        assert np.array_equal(batch.extra["scalars"][i].numpy(), np.load(data.folder / "scalars.npy")[row])
        assert np.array_equal(data.tracks(rows)[i], tracks)
    assert batch.known is None and batch.targets.tolist() == data.labels(rows).tolist()


def test_a_network_reads_as_many_tracks_as_it_says(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "labels", tracks=2)
    assert Examples(data, WideNet(WideConfig(tracks=1)), CPU).batch(data.rows("test"), np.zeros(15, bool)).extra[
        "tracks"
    ].shape == (15, 1, WINDOW)
    assert not Examples(data, WideNet(WideConfig(tracks=0)), CPU).batch(data.rows("test"), np.zeros(15, bool)).extra
    with pytest.raises(DataError, match="reads 3 tracks and 1 scalars.*has 2 and 0"):
        Examples(data, WideNet(WideConfig(tracks=3, scalars=1)), CPU)


@pytest.mark.parametrize("net_class", [WideNet, StatesNet])
def test_a_network_with_more_inputs_trains_and_predicts(tmp_path: Path, net_class: type[WideNet]) -> None:
    data = made_set(tmp_path / "d", "labels", tracks=1, scalars=2, known=0.9)
    torch.manual_seed(0)
    config = WideConfig(tracks=1, scalars=2, states=3 if net_class is StatesNet else 1)
    recipe = dataclasses.replace(RECIPE, epochs=15, prior_bias=False)
    made = trainer(data, tmp_path / "m", net_class(config), recipe)
    made.run()
    history = made.progress.history
    assert history[-1]["train_loss"] < 0.9 * history[0]["train_loss"]
    rows = data.rows("test")
    found = predict_rows(PlainEngine(made.best().eval(), CPU), data, rows)
    codes, tracks, scalars = (torch.from_numpy(part(rows)) for part in (data.windows, data.tracks, data.scalars))
    with torch.no_grad():
        strands = [made.net(codes, tracks, scalars), made.net((3 - codes).flip(1), tracks.flip(2), scalars)]
    weight = made.net.goal.weight.log() if config.states > 1 else 0  # by which the loss lets the odds of bound grow
    odds = [s if config.states == 1 else s[:, 2::3] - s[:, 1::3] - weight for s in strands]
    assert found == pytest.approx(np.mean([o.sigmoid().numpy() for o in odds], 0), abs=1e-6)


def test_a_lone_last_example_is_left_out_of_a_batch_norm(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "labels", rows=97, tracks=1)
    train = len(data.rows("train"))
    recipe = dataclasses.replace(RECIPE, batch_size=train - 1)
    assert trainer(data, tmp_path / "a", WideNet(WideConfig()), recipe).steps == 1
    made = trainer(data, tmp_path / "b", WideNet(WideConfig()), recipe)
    made.run()
    assert all(math.isfinite(row["train_loss"]) for row in made.progress.history)
    plain = network_for("tss", data, {"dense": 6})
    assert trainer(data, tmp_path / "c", plain, recipe).steps == 2


def test_sequence_of_one_strand_is_never_turned(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "classes", strands="one")
    made = trainer(data, tmp_path / "m", network_for("crnn-320", data, {"filters": 4, "width": 6, "pool": 2}))
    assert made.net.strands == "one" and not any(made._plan(epoch)[1].any() for epoch in range(3))
    both = made_set(tmp_path / "e", "classes")
    other = trainer(both, tmp_path / "n", network_for("crnn-320", both, {"filters": 4, "width": 6, "pool": 2}))
    assert other.net.strands == "both-mean" and other._plan(0)[1].any()


# whole runs


@pytest.mark.parametrize("kind", KINDS)
def test_any_network_learns_any_kind_and_is_an_ordinary_model(tmp_path: Path, kind: str) -> None:
    data = made_set(tmp_path / "d", kind, rows=300, **{**KINDS[kind], "strands": "one"})
    recipe = Recipe(optimizer="adam", lr=0.02, batch_size=20, epochs=25, schedule="constant", prior_bias=True)
    model = train_model("kmer", data, tmp_path / "m", recipe=recipe, arguments={"longest": 1})
    assert (model.card["objective"], model.card["strands"]) == (kind, "one")
    net = open_model(tmp_path / "m").load()
    assert net.goal.name == kind
    scores = evaluate_model(model, Examined(data), CPU)
    if kind == "values":
        assert (scores.pearson > 0.95).all()
        assert scores.examples.tolist() == data.known(data.rows("test")).sum(0).tolist()
        found = predict_rows(PlainEngine(net, CPU), data, data.rows("test"))
        assert abs(found.mean() - 55) < 1, "in the data's units"
    else:
        assert (scores.auroc > 0.9).all()
    assert kind != "classes" or scores.confusion.sum() == len(data.rows("test"))


def test_a_model_and_a_data_set_of_different_kinds(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "labels")
    model = save_model(
        tmp_path / "m", network_for("kmer", made_set(tmp_path / "v", "values"), {}), "kmer", data.tasks, {}
    )
    with pytest.raises(DataError, match="the model predicts values, the data set holds labels"):
        evaluate_model(model, Examined(data), CPU)


def test_the_card_restores_objective_strands_and_region(tmp_path: Path) -> None:
    torch.manual_seed(2)
    net = build("tss", n_tasks=TASKS, window=WINDOW, dense=5)
    net.adapt("values", "one", (3, 30))
    net.goal.fit([(np.array([[1, 10, 100], [3, 30, 300]], np.float32), None)])
    model = save_model(tmp_path / "m", net, "tss", made_set(tmp_path / "d", "values").tasks, {})
    again = open_model(model.path).load()
    assert (again.objective, again.strands, again.visible) == ("values", "one", (3, 30))
    windows = np.random.default_rng(0).integers(0, 4, (5, WINDOW), dtype=np.uint8)
    found = PlainEngine(again, CPU).predict(windows)
    with torch.no_grad():
        plain = net.eval()(torch.from_numpy(windows)).numpy()
    assert found == pytest.approx(plain * [1, 10, 100] + [2, 20, 200], rel=1e-5)


def test_a_checkpoint_of_another_region_or_split_is_refused(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "classes", strands="one", folds=3)
    options = {"recipe": dataclasses.replace(RECIPE, epochs=1), "arguments": {"dense": 4}, "options": RunOptions()}
    train_model("tss", data, tmp_path / "m", visible=(2, 20), **options)
    with pytest.raises(UsageError, match="made with another visible"):
        train_model("tss", data, tmp_path / "m", **options)
    with pytest.raises(UsageError, match="made with another .*data"):
        train_model("tss", data.held_out(1), tmp_path / "m", visible=(2, 20), **options)


def test_outputs_of_three_states_cannot_become_classes(tmp_path: Path) -> None:
    net = StatesNet(WideConfig(states=3))
    assert net.n_outputs == 9
    with pytest.raises(UsageError, match="outputs of this network are states, not classes"):
        net.adapt("classes", "one")


def test_histories_of_values_have_pearsons_r_of_the_validation_split(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "values", known=0.8)
    torch.manual_seed(0)
    made = trainer(data, tmp_path / "m", network_for("tss", data, {"dense": 6}), dataclasses.replace(RECIPE, epochs=1))
    made.run()
    rows = data.rows("validation")
    with torch.no_grad():
        found = made.net.eval()(torch.from_numpy(data.windows(rows))).numpy()
    values, known = data.targets(rows), data.known(rows)
    r = [np.corrcoef(values[known[:, t], t], found[known[:, t], t])[0, 1] for t in range(TASKS)]
    assert made.progress.history[0]["pearson"] == pytest.approx(np.mean(r), abs=1e-5)
