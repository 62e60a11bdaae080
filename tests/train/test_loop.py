"""The training loop: schedules, averages, bounds and resuming, on a network of a few hundred parameters."""

from __future__ import annotations

import dataclasses
import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_data import planted_set
from small_nets import small
from torch import nn

from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError, OutputError, UsageError
from varscore.genome.sequence import reverse_complement
from varscore.nets.layers import SequenceNet
from varscore.nets.registry import Recipe
from varscore.train.batches import Examples
from varscore.train.loop import CHECKPOINT, Trainer
from varscore.train.optim import learning_rate, make_optimizer
from varscore.train.progress import HISTORY
from varscore.train.ranks import Ranks

CPU = torch.device("cpu")
RECIPE = Recipe(lr=1e-3, batch_size=16, epochs=3, warmup_steps=5, clip_norm=1.0, prior_bias=True, ema=0.9)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("data") / "d", train=100, validation=20)


def network(name: str = "crnn-320-projection", **arguments: Any) -> SequenceNet:
    return small(name, n_tasks=2, window=100, **{"width": 10, **arguments})


def trainer(data: ExampleSet, folder: Path, recipe: Recipe = RECIPE, **options: Any) -> Trainer:
    net = options.pop("net", None) or network()
    made = Trainer(net, data, recipe, folder, device=CPU, **{"seed": 7, **options})
    if not made.resume():
        made.start()
    return made


def state(made: Trainer) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in made.best().state_dict().items()}


def without_time(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


# resuming


@pytest.fixture(scope="module")
def uninterrupted(data: ExampleSet, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    made = trainer(data, tmp_path_factory.mktemp("run"))
    made.run()
    return made


def test_a_run_stopped_again_and_again_takes_the_same_steps(
    data: ExampleSet, tmp_path: Path, uninterrupted: Trainer
) -> None:
    stops = 0
    while True:
        made = trainer(data, tmp_path)
        torch.manual_seed(stops)  # whatever happened in between
        torch.rand(stops)
        if made.run(stop_after=-1 if stops < 10 else math.inf).finished:
            break
        stops += 1
        assert (made.progress.epoch, made.progress.step) == divmod(stops, 7) if stops % 7 else made.progress.step == 7
    assert stops == 10
    assert without_time(made.progress.history) == without_time(uninterrupted.progress.history)
    assert same(state(made), state(uninterrupted))


KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from test_loop import ExampleSet, torch, trainer
torch.set_num_threads(1)  # sums are rounded in another order on more
steps = iter(range(100))
def advance(n):
    if next(steps) == 10:
        os.kill(os.getpid(), signal.SIGKILL)
trainer(ExampleSet({data!r}), Path({folder!r}), checkpoint_seconds=0.0).run(advance)
"""


def test_a_run_killed_in_mid_epoch_ends_the_same(data: ExampleSet, tmp_path: Path, uninterrupted: Trainer) -> None:
    here = Path(__file__).parent
    code = KILLED.format(paths=[str(here), str(here.parent)], data=str(data.folder), folder=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    made = trainer(data, tmp_path)
    assert (made.progress.epoch, made.progress.step) == (1, 3)
    made.run()
    assert without_time(made.progress.history) == without_time(uninterrupted.progress.history)
    assert same(state(made), state(uninterrupted))


def test_a_run_that_is_asked_to_stop_in_steps_or_in_validation_ends_the_same(
    data: ExampleSet, tmp_path: Path, uninterrupted: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7 steps an epoch, and one question in each validation: the 8th of an epoch comes within it."""
    stood = []
    for patience in (3, 5, 0, 9):
        made, asked = trainer(data, tmp_path), iter([False] * patience)
        made.run(stop=lambda asked=asked: next(asked, True))  # type: ignore[misc]
        stood.append((made.progress.epoch, made.progress.step))
        assert made.saved_step == 7 * made.progress.epoch + made.progress.step
    assert stood == [(0, 4), (1, 2), (1, 3), (2, 5)]
    made, asked = trainer(data, tmp_path), iter([False] * 2)
    made.run(stop=lambda: next(asked, True))
    assert (made.progress.epoch, made.progress.step, len(made.progress.history)) == (2, 7, 2), "not validated yet"
    made = trainer(data, tmp_path)
    assert made.run().finished
    assert without_time(made.progress.history) == without_time(uninterrupted.progress.history)
    assert same(state(made), state(uninterrupted))


def test_another_seed_takes_other_steps(data: ExampleSet, tmp_path: Path, uninterrupted: Trainer) -> None:
    made = trainer(data, tmp_path, seed=8)
    made.run()
    assert not same(state(made), state(uninterrupted))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda data: {"seed": 8}, "seed"),
        (lambda data: {"recipe": dataclasses.replace(RECIPE, lr=0.5)}, "recipe"),
        (lambda data: {"net": network(filters=7)}, "config"),
        (lambda data: {"data": planted_set(data.folder.with_name("other"), train=101)}, "rows, data"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(data: ExampleSet, tmp_path: Path, change: Any, named: str) -> None:
    trainer(data, tmp_path).run(stop_after=-1)
    with pytest.raises(UsageError, match=f"made with another {named}, .*`resume=False`"):
        trainer(**{"data": data, "folder": tmp_path, **change(data)})


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_refused(data: ExampleSet, tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(DataError, match="damaged checkpoint.*`resume=False`") as caught:
        trainer(data, tmp_path)
    assert "\n" not in str(caught.value)


class Trap:
    def __reduce__(self) -> Any:
        return os.mkdir, ("sprung",)


def test_a_checkpoint_runs_no_code(data: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"signature": Trap()}, tmp_path / CHECKPOINT)
    with pytest.raises(DataError, match="damaged checkpoint"):
        trainer(data, tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_more_epochs_carry_a_finished_run_on(data: ExampleSet, tmp_path: Path, uninterrupted: Trainer) -> None:
    short = dataclasses.replace(RECIPE, epochs=1)
    made = trainer(data, tmp_path, short)
    assert made.run().finished == "all 1 epochs done"
    assert trainer(data, tmp_path, short).run().epoch == 1, "nothing is left to do"
    made = trainer(data, tmp_path)
    assert made.run().finished == "all 3 epochs done"
    assert without_time(made.progress.history) == without_time(uninterrupted.progress.history)


def test_a_checkpoint_from_before_a_recipe_had_some_field_carries_on(
    data: ExampleSet, tmp_path: Path, uninterrupted: Trainer
) -> None:
    trainer(data, tmp_path).run(stop_after=-1)
    older = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    recipe = dataclasses.asdict(RECIPE)
    older["signature"]["recipe"] = {k: v for k, v in recipe.items() if k not in ("max_norm", "epochs", "patience")}
    torch.save(older, tmp_path / CHECKPOINT)
    with pytest.raises(UsageError, match="another recipe"):
        trainer(data, tmp_path, dataclasses.replace(RECIPE, max_norm=1.0))
    made = trainer(data, tmp_path)
    made.run()
    assert same(state(made), state(uninterrupted))


def test_a_checkpoint_of_more_than_is_asked_for_trains_nothing_and_carries_on_later(
    data: ExampleSet, tmp_path: Path, uninterrupted: Trainer, caplog: pytest.LogCaptureFixture
) -> None:
    """It had ended the epoch that it was in at once, as if the rest of it had been seen."""
    made = trainer(data, tmp_path)
    steps = iter(range(made.steps + 3))
    made.run(stop=lambda: next(steps, None) is None)
    assert (made.progress.epoch, made.progress.finished) == (1, "") and made.progress.step > 0
    short = trainer(data, tmp_path, dataclasses.replace(RECIPE, epochs=1))
    assert "more than the" in caplog.text and "nothing is trained" in caplog.text
    assert short.run().finished == "more steps done than were asked for" and len(short.progress.history) == 1
    whole = trainer(data, tmp_path)
    assert whole.run().finished == "all 3 epochs done"
    assert same(state(whole), state(uninterrupted))


def test_a_cosine_fixes_its_epochs(data: ExampleSet, tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, schedule="cosine", epochs=1)
    trainer(data, tmp_path, recipe).run()
    with pytest.raises(UsageError, match="another recipe"):
        trainer(data, tmp_path, dataclasses.replace(recipe, epochs=2))


# when it ends


def scripted(made: Trainer, monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> Trainer:
    """Let validation return these losses, one an epoch."""
    script = iter(losses)
    monkeypatch.setattr(made, "validate", lambda stop: {"validation_loss": next(script)})
    return made


def test_it_stops_after_patience_epochs_without_a_better_loss(
    data: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=20, patience=2, ema=0.0)
    made = scripted(trainer(data, tmp_path, recipe), monkeypatch, [0.9, 0.7, 0.7, 0.8, 0.1])
    kept = {}
    original = made._end_epoch

    def end_epoch(validation: dict[str, float]) -> None:
        kept[made.progress.epoch] = {k: v.clone() for k, v in made.net.state_dict().items()}
        original(validation)

    monkeypatch.setattr(made, "_end_epoch", end_epoch)
    progress = made.run()
    assert progress.finished == "early stopping: no better validation loss in 2 epochs"
    assert (progress.epoch, progress.best_epoch, progress.best_loss) == (4, 1, 0.7)
    assert same(state(made), kept[1]), "the best weights are kept, not the last"
    patient = trainer(data, tmp_path, dataclasses.replace(recipe, patience=3))
    assert not patient.progress.finished, "more patience carries it on"
    assert trainer(data, tmp_path, recipe).progress.finished


def test_a_cosine_runs_to_its_end(data: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = dataclasses.replace(RECIPE, schedule="cosine", epochs=4, patience=1)
    made = scripted(trainer(data, tmp_path, recipe), monkeypatch, [0.1, 0.2, 0.3, 0.4])
    assert made.run().finished == "all 4 epochs done"


def test_a_loss_that_is_no_number_ends_it(data: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scripted(trainer(data, tmp_path), monkeypatch, [0.5, math.nan])
    assert made.run().finished == "diverged"
    assert made.progress.best_epoch == 0
    assert trainer(data, tmp_path, dataclasses.replace(RECIPE, epochs=9)).progress.finished == "diverged"


def test_a_time_limit_stops_in_mid_epoch(data: ExampleSet, tmp_path: Path) -> None:
    made = trainer(data, tmp_path, dataclasses.replace(RECIPE, epochs=10**6, patience=10**6))
    began = time.monotonic()
    assert made.run(stop_after=0.3).finished == ""
    assert 0.3 < time.monotonic() - began < 5
    assert (tmp_path / CHECKPOINT).exists() and (tmp_path / HISTORY).exists()


def test_a_data_set_without_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no training or no validation examples"):
        trainer(planted_set(tmp_path / "d", train=20, validation=0), tmp_path)


# the rate


def rates(recipe: Recipe, steps: int, history: list[float] | None = None) -> list[float]:
    rows = [{"validation_loss": loss} for loss in history or []]
    return [learning_rate(recipe, rows, step, steps) for step in range(steps)]


def test_warmup_rises_in_equal_steps() -> None:
    recipe = Recipe(lr=1.0, schedule="constant", warmup_steps=4)
    assert rates(recipe, 6) == [0.25, 0.5, 0.75, 1, 1, 1]
    assert rates(Recipe(lr=1.0, schedule="constant"), 2) == [1, 1]


def test_cosine_falls_from_the_full_rate_to_nothing() -> None:
    expected = [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]
    assert rates(Recipe(lr=1.0, schedule="cosine"), 4) == pytest.approx(expected)
    assert learning_rate(Recipe(lr=1.0, schedule="cosine"), [], 4, 4) == 0
    assert rates(Recipe(lr=1.0, schedule="cosine", warmup_steps=2), 4)[0] == 0.5


@pytest.mark.parametrize(
    ("losses", "rate"),
    [
        ([], 1.0),
        ([0.5], 1.0),
        ([0.5, 0.6], 1.0),
        ([0.5, 0.6, 0.5], 0.2),  # two epochs without a better one
        ([0.5, 0.6, 0.4, 0.5], 1.0),
        ([0.5, 0.6, 0.7, 0.8, 0.9], 0.04),
        ([0.5, 0.6, 0.7, 0.4, 0.5, 0.3], 0.2),
    ],
)
def test_plateau_divides_by_five_after_two_epochs(losses: list[float], rate: float) -> None:
    assert learning_rate(Recipe(lr=1.0), [{"validation_loss": loss} for loss in losses], 9, 99) == pytest.approx(rate)


def test_the_rate_reaches_the_optimizer_and_the_history(data: ExampleSet, tmp_path: Path) -> None:
    made = trainer(data, tmp_path, dataclasses.replace(RECIPE, epochs=2, warmup_steps=14, lr=0.014))
    progress = made.run()
    assert [row["lr"] for row in progress.history] == pytest.approx([0.007, 0.014])
    assert [row["step"] for row in progress.history] == [7, 14]
    lines = (tmp_path / HISTORY).read_text().splitlines()
    assert lines[0].startswith("epoch,step,lr,train_loss,validation_loss,seconds,auroc,auprc") and len(lines) == 3


def test_unknown_names_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="no schedule 'linear'"):
        learning_rate(Recipe(schedule="linear"), [], 0, 1)
    with pytest.raises(UsageError, match="no optimizer 'lion'"):
        make_optimizer(network(), Recipe(optimizer="lion"))


# the step


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_weight_decay_is_for_matrices_only(optimizer: str) -> None:
    made = make_optimizer(network(), Recipe(optimizer=optimizer, weight_decay=0.1))
    decayed, free = made.param_groups
    assert decayed["weight_decay"] == 0.1 and free["weight_decay"] == 0
    assert {p.ndim for p in decayed["params"]} == {2, 3} and {p.ndim for p in free["params"]} == {1}


def test_prior_bias_is_the_log_odds_of_the_training_labels(data: ExampleSet, tmp_path: Path) -> None:
    made = trainer(data, tmp_path)
    positives = data.labels(data.rows("train")).sum(0)
    expected = [(k + 1) / (100 + 2) for k in positives]
    assert made.net.output.bias.detach().sigmoid().numpy() == pytest.approx(expected, abs=1e-6)
    flat = trainer(data, tmp_path / "zero", dataclasses.replace(RECIPE, prior_bias=False))
    assert not flat.net.output.bias.any()


def steps(made: Trainer, count: int) -> None:
    order, flips = made._plan(0)
    for _ in range(count):
        made._step(made.outputs, order, flips)
        made.progress.step += 1


def test_moving_average_by_hand(data: ExampleSet, tmp_path: Path) -> None:
    made = trainer(data, tmp_path)
    expected = made.net.output.weight.detach().clone()
    for kept in (2 / 11, 3 / 12, 4 / 13):  # little at first; .9 after 80 steps
        steps(made, 1)
        expected = kept * expected + (1 - kept) * made.net.output.weight.detach()
    assert torch.allclose(made.candidate.output.weight, expected, atol=1e-7)
    assert made.candidate is not made.net
    plain = trainer(data, tmp_path / "plain", dataclasses.replace(RECIPE, ema=0.0))
    assert plain.candidate is plain.net


def test_clipping_bounds_a_step(data: ExampleSet, tmp_path: Path) -> None:
    recipe = Recipe(optimizer="sgd", lr=1.0, batch_size=16, clip_norm=1e-3, schedule="constant")

    def moved(recipe: Recipe) -> float:
        made = trainer(data, tmp_path, recipe)
        before = nn.utils.parameters_to_vector(made.net.parameters()).detach().clone()
        steps(made, 1)
        return float((nn.utils.parameters_to_vector(made.net.parameters()).detach() - before).norm())

    assert moved(recipe) == pytest.approx(1e-3, rel=1e-3)
    assert moved(dataclasses.replace(recipe, clip_norm=0.0)) > 1e-2


def test_an_epoch_shows_every_example_once_on_either_strand(data: ExampleSet, tmp_path: Path) -> None:
    made = trainer(data, tmp_path)
    orders = [made._plan(epoch) for epoch in range(2)]
    for order, flips in orders:
        assert sorted(order) == data.rows("train").tolist()
        assert 25 < flips.sum() < 75
    assert (orders[0][0] != orders[1][0]).any()
    assert (made._plan(1)[0] == orders[1][0]).all()


def test_steps_follow_the_plan(data: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, shown = trainer(data, tmp_path), list[tuple[int, bool]]()
    batch = made.examples.batch

    def spy(rows: np.ndarray, flip: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        shown.extend(zip(rows.tolist(), flip.tolist(), strict=True))
        return batch(rows, flip)

    monkeypatch.setattr(made.examples, "batch", spy)
    steps(made, made.steps)
    order, flips = made._plan(0)
    assert shown == list(zip(order.tolist(), flips.tolist(), strict=True))


def test_a_batch_is_windows_and_labels_with_some_strands_turned(data: ExampleSet) -> None:
    rows, flip = np.array([3, 0, 99]), np.array([False, True, True])
    batch = Examples(data, network(), CPU).batch(rows, flip)
    codes, labels = batch.codes, batch.targets
    windows = data.windows(rows)
    assert (codes.numpy() == np.where(flip[:, None], reverse_complement(windows), windows)).all()
    assert (labels.numpy() == data.labels(rows)).all() and labels.dtype == torch.float32


def test_validation_is_the_loss_of_the_forward_strand(data: ExampleSet, tmp_path: Path) -> None:
    made = trainer(data, tmp_path)
    rows = data.rows("validation")
    with torch.no_grad():
        p = made.candidate.eval()(torch.from_numpy(data.windows(rows))).sigmoid().double().numpy()
    truth = data.labels(rows)
    expected = -np.where(truth, np.log(p), np.log1p(-p)).mean()
    assert made.validate()["validation_loss"] == pytest.approx(expected, rel=1e-5)


def test_bf16_steps_follow_fp32_steps(data: ExampleSet, tmp_path: Path) -> None:
    """Reduced precision on the CPU; the GPU's fp16 differs only in its loss scaling."""
    losses = {}
    for precision in ("fp32", "bf16"):
        made = trainer(data, tmp_path / precision, precision=precision)
        (tmp_path / precision).mkdir()
        losses[precision] = [row["train_loss"] for row in made.run().history]
        assert all(p.dtype == torch.float32 for p in made.net.parameters())
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


@pytest.mark.parametrize("name", ["danq", "kmer"])
def test_other_architectures_train_too(data: ExampleSet, tmp_path: Path, name: str) -> None:
    net = small(name, n_tasks=2, window=100)
    made = trainer(data, tmp_path, dataclasses.replace(RECIPE, lr=3e-3, epochs=6, ema=0.0), net=net)
    history = made.run().history
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    if name == "kmer":
        assert net.layers[0].mean.any(), "its statistics were taken"  # type: ignore[union-attr,operator]


# several processes, one after the other


def gradients(data: ExampleSet, folder: Path, ranks: Ranks, step: int, **sizes: Any) -> torch.Tensor:
    made = trainer(data, folder, dataclasses.replace(RECIPE, clip_norm=None), net=network(**sizes), ranks=ranks)
    made.progress.step = step
    steps(made, 1)
    return torch.cat([p.grad.flatten() for p in made.net.parameters() if p.grad is not None])


@pytest.mark.parametrize("step", [0, 6])  # the last batch has 4 of 16 examples
@pytest.mark.parametrize("world", [2, 3, 8])
def test_gradients_averaged_over_processes_are_those_of_one(
    data: ExampleSet, tmp_path: Path, step: int, world: int
) -> None:
    calm = {"dropout": 0, "recurrent_dropout": 0}
    alone = gradients(data, tmp_path, Ranks(), step, **calm)
    parts = [gradients(data, tmp_path, Ranks(rank, world), step, **calm) for rank in range(world)]
    assert torch.allclose(torch.stack(parts).mean(0), alone, atol=1e-6)


def test_every_process_and_step_drops_out_by_its_own_seed(
    data: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, seeds = network(), list[int]()
    monkeypatch.setattr("torch.manual_seed", seeds.append)

    def drawn(rank: int) -> list[int]:
        made = trainer(data, tmp_path, ranks=Ranks(rank, 2), net=net)
        seeds.clear()
        steps(made, 3)
        return list(seeds)

    assert len({*drawn(0), *drawn(1)}) == 6
    assert drawn(1) == drawn(1)


def test_a_full_disk_is_told_as_one(data: ExampleSet, tmp_path: Path) -> None:
    """torch says "unexpected pos" of it."""
    made = trainer(data, tmp_path / "run")
    (tmp_path / "run").mkdir(exist_ok=True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OutputError, match="cannot write: File too large"):
            made._save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not any((tmp_path / "run").glob(f"*{CHECKPOINT}*"))
