"""Training on segments: the same examples as windows alone, each once, and the same bits after a kill."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from varscore.datasets.examples import ExampleSet, pack_windows, write_examples
from varscore.datasets.segments import NONE, Runs
from varscore.errors import UsageError
from varscore.evaluate.metrics import score_tasks
from varscore.nets import build
from varscore.nets.init import lay_motifs
from varscore.nets.layers import SequenceNet, reverse_complement
from varscore.nets.registry import FAST, Recipe
from varscore.tasks import Task
from varscore.train.batches import Examples, Outputs
from varscore.train.loop import Trainer
from varscore.train.teachers import Teachers
from varscore.zoo.models import save_model

CPU = torch.device("cpu")
WINDOW, BIN = 120, 20
RECIPE = dataclasses.replace(FAST, batch_size=32, segment=4, epochs=2, warmup_steps=3, lr=1e-2, ema=0.9)
GROUPS = ("DNase", "DNase", "TF")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    """Runs of 23, 1, 40 and 9 neighbouring bins to train on and of 30 to validate on; some labels are unknown."""
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("dense") / "data"
    runs = [(0, 0, 23), (0, 900, 1), (0, 1500, 40), (1, 0, 9), (2, 0, 30)]
    contig = np.repeat([c for c, _, _ in runs], [n for *_, n in runs]).astype(np.int16)
    start = np.concatenate([first + BIN * np.arange(n) for _, first, n in runs]).astype(np.int64)
    stretches, offset = pack_windows(contig, start, WINDOW)
    bases = int((stretches[:, 2] - stretches[:, 1]).sum())
    labels = random.random((len(start), 3)) < 0.4
    known = random.random((len(start), 3)) < 0.9
    write_examples(
        folder,
        info={"kind": "chromatin", "window": WINDOW, "contigs": ["a", "b", "c"], "options": {"bin": BIN}},
        tasks=[Task(i, f"t{i}", group) for i, group in enumerate(GROUPS)],
        codes=[random.integers(0, 4, bases, dtype=np.uint8)],
        bases=bases,
        arrays={
            "offset": offset,
            "contig": contig,
            "start": start,
            "labels": np.packbits(labels, axis=1),
            "known": np.packbits(known, axis=1),
            "split": (contig == 2).astype(np.uint8),
        },
    )
    return ExampleSet(folder)


def network(name: str = "dilated") -> SequenceNet:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"filters": 8, "width": 8, "n_tasks": 3, "window": WINDOW}
    if name == "dilated":
        sizes |= {"channels": 6, "dilations": (1,), "hidden": 8, "channel_dropout": 0.0, "dropout": 0.0, "pool": 2}
    else:
        sizes |= {"second_filters": 4, "hidden": 4, "second_width": 3, "dropout": 0.0, "recurrent_dropout": 0.0}
    return build(name, **sizes)


def trainer(data: ExampleSet, folder: Path, recipe: Recipe = RECIPE, name: str = "dilated") -> Trainer:
    made = Trainer(network(name), data, recipe, folder, device=CPU, seed=3)
    if not made.resume():
        made.start()
    return made


@pytest.mark.parametrize("name", ["dilated", "crnn-320-projection"])
def test_segments_are_windows_seen_together(data: ExampleSet, name: str) -> None:
    """Outputs, labels and what is known, on both strands, of short segments too."""
    net = network(name).eval()
    examples, outputs = Examples(data, net, CPU, BIN), Outputs(net, BIN)
    rows = Runs(data, data.rows("train"), BIN, 4).segments()
    flip = np.arange(len(rows)) % 2 == 1
    batch = examples.batch(rows, flip)
    with torch.no_grad():
        found = outputs(batch.codes, batch.count, batch.extra).view(len(rows), 4, -1)
    targets, known = (x.view(len(rows), 4, 3).numpy() for x in (batch.targets, batch.known))
    for number, segment in enumerate(rows):
        seen = segment[::-1] if flip[number] else segment
        for place, row in enumerate(seen):
            if row == NONE:
                assert not known[number, place].any(), "what is no example is not known"
                continue
            window = torch.from_numpy(data.windows(np.array([row])))
            with torch.no_grad():
                alone = net(reverse_complement(window) if flip[number] else window)
            assert torch.allclose(found[number, place], alone[0], atol=1e-6)
            assert (known[number, place] == data.known(np.array([row]))[0]).all()
            assert (targets[number, place] == data.labels(np.array([row]))[0]).all()


def test_an_epoch_has_every_bin_once_and_another_cut_each_time(data: ExampleSet, tmp_path: Path) -> None:
    made = trainer(data, tmp_path)
    epochs = [made._plan(epoch) for epoch in range(3)]
    for rows, flips in epochs:
        taken = np.concatenate([rows[made.order.batch(step, len(rows))] for step in range(made.steps)])
        assert sorted(taken[taken != NONE].tolist()) == data.rows("train").tolist()
        assert len(flips) == len(rows) and 0 < flips.sum() < len(flips)
    assert len({len(rows) for rows, _ in epochs} | {rows.tobytes() for rows, _ in epochs}) > 3
    assert made._plan(2)[0].tobytes() == epochs[2][0].tobytes(), "seed and epoch alone decide"


def test_a_killed_run_ends_with_the_same_bits(data: ExampleSet, tmp_path: Path) -> None:
    whole = trainer(data, tmp_path / "whole")
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole.run()
    for _ in range(20):
        made = trainer(data, tmp_path / "cut")
        if made.run(stop_after=0.0).finished:
            break
    assert made.progress.finished and made.progress.history[-1]["validation_loss"] > 0
    for name, value in whole.best().state_dict().items():
        assert torch.equal(value, made.best().state_dict()[name]), name
    drop = {"seconds"}
    mine, theirs = (
        [{k: v for k, v in row.items() if k not in drop} for row in t.progress.history] for t in (made, whole)
    )
    assert mine == theirs


def test_validation_measures_are_those_of_evaluate(data: ExampleSet, tmp_path: Path) -> None:
    found = trainer(data, tmp_path).validate()
    rows = data.rows("validation")
    with torch.no_grad():
        logits = network().eval()(torch.from_numpy(data.windows(rows)))
    alone = trainer(data, tmp_path, dataclasses.replace(RECIPE, segment=1)).validate()
    assert found == pytest.approx(alone, rel=1e-6)
    net = trainer(data, tmp_path).candidate.eval()
    with torch.no_grad():
        predicted = net(torch.from_numpy(data.windows(rows))).sigmoid().numpy()
    scores = score_tasks(data.labels(rows), predicted, known=data.known(rows))
    assert logits.shape == predicted.shape
    assert found["auroc"] == pytest.approx(np.nanmean(scores.auroc))
    assert found["auroc DNase"] == pytest.approx(np.nanmean(scores.auroc[:2]))
    assert found["auprc TF"] == pytest.approx(scores.auprc[2])


def test_so_many_steps_end_in_mid_epoch(data: ExampleSet, tmp_path: Path) -> None:
    """The rate has fallen by then, the rest is validated and kept, and more steps are another recipe."""
    recipe = dataclasses.replace(RECIPE, steps=5, segment=1, batch_size=20)  # an epoch has four
    progress = trainer(data, tmp_path, recipe).run()
    assert progress.finished == "all 5 steps done" and [row["step"] for row in progress.history] == [4, 5]
    assert progress.history[1]["lr"] < progress.history[0]["lr"] < recipe.lr
    assert progress.history[1]["train_loss"] == pytest.approx(progress.history[0]["train_loss"], rel=0.3)
    assert trainer(data, tmp_path, recipe).progress.finished
    with pytest.raises(UsageError, match="another recipe"):
        trainer(data, tmp_path, dataclasses.replace(recipe, steps=6))


def test_a_teacher_sees_segments_bin_by_bin(data: ExampleSet, tmp_path: Path) -> None:
    model = save_model(tmp_path / "m", network(), "dilated", data.tasks, {})
    taught, examples = Teachers([model], data, 1.0, CPU), Examples(data, model.load(), CPU, BIN)
    rows = Runs(data, data.rows("train"), BIN, 4).segments()
    rows = rows[(rows != NONE).all(1)]
    together, alone = (examples.batch(which, np.zeros(len(which), bool)) for which in (rows, rows.reshape(-1)))
    found, expected = (taught.targets(batch, BIN, "fp32") for batch in (together, alone))
    assert len(rows) > 5 and torch.allclose(found, expected, atol=1e-6)


def test_a_batch_is_whole_segments(data: ExampleSet, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a batch of 30 bins is no whole number of segments of 4"):
        trainer(data, tmp_path, dataclasses.replace(RECIPE, batch_size=30))


def test_every_step_has_a_segment_where_a_batch_is_one(data: ExampleSet, tmp_path: Path) -> None:
    """Of the run of 9, and of that of 1, an epoch may have fewer segments than it may have at most."""
    one = dataclasses.replace(RECIPE, batch_size=16, segment=16)
    trained = trainer(data, tmp_path, one)
    for epoch in range(30):
        rows, _ = trained.order.epoch(epoch, True)
        batches = [trained.order.batch(step, len(rows)) for step in range(trained.steps)]
        assert all(len(batch) for batch in batches) and np.concatenate(batches).tolist() == list(range(len(rows)))
    assert trained.run().finished


def test_motifs_are_laid_in_equally_loud() -> None:
    torch.manual_seed(0)
    net = build("dilated", n_tasks=2, filters=40, window=400, channels=8, hidden=8, dilations=(1,))
    motifs = [np.eye(4)[[0, 1, 2, 3, 0, 0, 1]] * 0.96 + 0.01, np.eye(4)[np.arange(40) % 4]]
    assert lay_motifs(net, motifs, 0.85, seed=1) == 2
    first = net.layers[0]
    weight = first.weight.detach().double().numpy()
    assert (first.bias == -1).all()
    bases = np.random.default_rng(0).integers(0, 4, (400, 28))
    outputs = np.take_along_axis(weight[None], bases[:, None, None, :], 2)[:, :, 0].sum(2)
    assert outputs.var(0) == pytest.approx(np.ones(40), abs=0.4) and abs(outputs.var(0).mean() - 1) < 0.05
    laid = [i for i in range(40) if np.abs(weight[i, :, [0, 1, -2, -1]]).max() < 0.1]
    assert len(laid) == 1, "the short motif stands in the middle of its filter, with little around it"
    middle = weight[laid[0], :, 10:17]
    motif = motifs[0].T - 0.25
    fits = [np.corrcoef(middle.ravel(), way.ravel())[0, 1] for way in (motif, motif[::-1, ::-1])]
    assert max(fits) > 0.99


def test_filters_are_spared_decay(data: ExampleSet, tmp_path: Path) -> None:
    made = trainer(data, tmp_path)
    decayed, spared = made.optimizer.param_groups
    first = made.net.layers[0].weight
    assert any(p is first for p in spared["params"]) and not any(p is first for p in decayed["params"])
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert decayed["betas"] == (0.9, 0.99)
