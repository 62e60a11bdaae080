"""Whole training runs: a data set in, a model folder out."""

from __future__ import annotations

import csv
import dataclasses
import logging
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_data import MOTIF, planted_set
from small_nets import small, small_arguments

from varscore.cli import stopping
from varscore.cli.boundary import run
from varscore.cli.train import command_line, parse_arguments
from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError, OutputExists, UsageError, VarscoreError
from varscore.evaluate import Examined, evaluate_model, record
from varscore.formats.motifs import Motif
from varscore.nets import find
from varscore.nets.kernels import bf16
from varscore.nets.layers import FEW_CHANNELS
from varscore.nets.registry import Recipe
from varscore.train import loop
from varscore.train.loop import Trainer
from varscore.train.run import RunOptions, train_model, warn_of_idle
from varscore.zoo.models import ModelFolder, open_model

CPU = torch.device("cpu")
NAME = "crnn-320-projection"
SMALL = {name: value for name, value in small_arguments(NAME).items() if name not in ("n_tasks", "window")} | {
    "width": 10
}
QUICK = Recipe(lr=1e-3, batch_size=16, epochs=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    return planted_set(tmp_path_factory.mktemp("data") / "d", train=65, validation=20)


def train(data: ExampleSet, folder: Path, recipe: Recipe = QUICK, **more: Any) -> ModelFolder:
    options, arguments = RunOptions(**more.pop("options", {})), {**SMALL, **more.pop("arguments", {})}
    return train_model(NAME, data, folder, recipe=recipe, arguments=arguments, options=options, **more)


def test_a_run_leaves_a_model(data: ExampleSet, tmp_path: Path) -> None:
    told: list[int] = []
    model = train(data, tmp_path / "m", progress=told.append, options={"seed": 3, "command": "varscore x"})
    model.verify()
    assert sum(told) == 10
    assert model.tasks() == data.tasks
    assert model.config().filters == 6 and model.config().n_tasks == 2 and model.config().window == 100
    card = tomllib.loads((tmp_path / "m/card.toml").read_text())
    with (tmp_path / "m/history.csv").open() as file:
        losses = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    assert card["interim"] is False
    training = card["training"]
    assert training["validation_loss"] == min(losses) == losses[training["best_epoch"]]
    assert (training["epochs"], training["seed"], training["ended"]) == (2, 3, "all 2 epochs done")
    assert training["command"] == "varscore x"
    assert training["recipe"]["lr"] == 1e-3 and "clip_norm" not in training["recipe"]
    assert card["data"]["source_sha256"] == data.source_sha256 and card["data"]["tasks"] == 2
    assert (tmp_path / "m/learning_curve.png").is_file()
    assert list((tmp_path / "m/tensorboard").iterdir())
    assert not re.search(r"\bnan\b", (tmp_path / "m/card.toml").read_text())


def test_an_interrupted_run_is_a_model_marked_interim_and_carries_on(data: ExampleSet, tmp_path: Path) -> None:
    model = train(data, tmp_path / "m", options={"max_seconds": -1.0})
    assert model.card["interim"] is True and "validation_loss" not in model.card["training"]
    model.verify()
    told: list[int] = []
    done = train(data, tmp_path / "m", progress=told.append)
    assert told[0] == 1 and sum(told) == 10
    assert done.card["interim"] is False
    assert done.sha256 == train(data, tmp_path / "straight").sha256


def test_a_finished_run_is_left_alone_with_what_was_recorded_of_it(data: ExampleSet, tmp_path: Path) -> None:
    model = train(data, tmp_path / "m")
    examined = Examined(data)
    record(model, examined, evaluate_model(model, examined, CPU))
    card = (tmp_path / "m/card.toml").read_text()
    told: list[int] = []
    assert "metrics" in train(data, tmp_path / "m", progress=told.append).card
    assert (tmp_path / "m/card.toml").read_text() == card and told == [10]
    (tmp_path / "m/card.toml").unlink()  # as if killed before the model was written
    assert train(data, tmp_path / "m").sha256 == model.sha256
    halved = train(data, tmp_path / "m", options={"storage": "fp16"})
    assert halved.card["training"]["storage"] == "fp16" and halved.sha256 != model.sha256


def test_a_kill_between_the_last_checkpoint_and_the_history_loses_nothing(
    data: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = loop.write_history

    def killed(path: Path, history: list[dict[str, float]]) -> None:
        if len(history) == QUICK.epochs:
            raise KeyboardInterrupt
        written(path, history)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "write_history", killed)
        train(data, tmp_path / "m", options={"pictures": False})
    train(data, tmp_path / "m", options={"pictures": False})
    with (tmp_path / "m/history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]


def test_a_network_of_500_bp_learns_from_wider_windows(tmp_path: Path) -> None:
    wide = planted_set(tmp_path / "d", train=40, validation=20, window=600)
    model = train_model("danq-500", wide, tmp_path / "m", recipe=QUICK, arguments={"filters": 3, "dense": 4})
    assert model.config().window == 500
    assert evaluate_model(model, Examined(wide), CPU).auroc.shape == (2,)


def test_a_network_of_a_shorter_window_sees_the_middle(data: ExampleSet, tmp_path: Path) -> None:
    """By an argument: the same weights as from a data set that is as short."""
    sizes = {**SMALL, "window": 95}
    model = train_model(NAME, data, tmp_path / "m", recipe=QUICK, arguments=sizes)
    assert model.config().window == 95 and model.card["data"]["window"] == 95
    same = train_model(NAME, data.cropped(95), tmp_path / "n", recipe=QUICK, arguments=SMALL)
    assert same.sha256 == model.sha256
    whole, short = Examined(data), Examined(data.cropped(95))
    mine, theirs = (evaluate_model(model, examined, CPU) for examined in (whole, short))
    assert np.array_equal(mine.auroc, theirs.auroc)
    with pytest.raises(DataError, match="reads 101 bp"):
        train_model(NAME, data, tmp_path / "o", recipe=QUICK, arguments={**SMALL, "window": 101})


def test_without_resume_it_starts_anew(data: ExampleSet, tmp_path: Path) -> None:
    train(data, tmp_path / "m")
    other = dataclasses.replace(QUICK, lr=0.01)
    with pytest.raises(UsageError, match="another recipe"):
        train(data, tmp_path / "m", other)
    assert train(data, tmp_path / "m", other, options={"resume": False}).card["training"]["recipe"]["lr"] == 0.01


def test_a_model_from_elsewhere_is_not_replaced(data: ExampleSet, tmp_path: Path) -> None:
    train(data, tmp_path / "m")
    (tmp_path / "m/checkpoint.pt").unlink()
    with pytest.raises(OutputExists, match="a model without a checkpoint"):
        train(data, tmp_path / "m")


def test_half_precision_storage(data: ExampleSet, tmp_path: Path) -> None:
    model = train(data, tmp_path / "m", options={"storage": "fp16"})
    weights = load_file(model.path / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert model.card["training"]["storage"] == "fp16"


def test_divergence_in_the_first_epoch_is_an_error(
    data: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "validate", lambda self, stop: {"validation_loss": math.nan})
    with pytest.raises(VarscoreError, match="diverged in its first epoch"):
        train(data, tmp_path / "m")
    assert not (tmp_path / "m/card.toml").exists()


def test_motifs_are_the_first_filters(data: ExampleSet, tmp_path: Path) -> None:
    frequencies = np.eye(4)[MOTIF]
    motifs = (Motif("m", "m", frequencies),)
    model = train(data, tmp_path / "m", dataclasses.replace(QUICK, lr=1e-12), motifs=motifs)
    first = next(iter(model.load().parameters()))
    assert torch.allclose(first[0], torch.from_numpy(frequencies.T - 0.25).float(), atol=1e-6)
    assert model.card["training"]["motifs"] == 1


# the command


@pytest.mark.parametrize(("name", "said"), [("dilated", True), ("danq", False)])
def test_a_bound_on_recurrent_gradients_that_nothing_has_is_said(
    name: str, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_idle(small(name), Recipe(recurrent_clip=1.0), find(name).recipe)
    assert ("`recurrent_clip` changes nothing" in caplog.text) == said


def test_arguments_are_typed() -> None:
    config = find(NAME).config
    given = ["filters=3", "dropout=.5", "recurrent_dropout_per_step=TRUE"]
    assert parse_arguments(config, given) == {"filters": 3, "dropout": 0.5, "recurrent_dropout_per_step": True}
    for wrong in ("filter=3", "filters=3.5", "filters=", "recurrent_dropout_per_step=1"):
        with pytest.raises(UsageError, match=re.escape(f"--arg {wrong}")):
            parse_arguments(config, [wrong])
    with pytest.raises(UsageError, match="--arg 'filters' is not NAME=VALUE"):
        parse_arguments(config, ["filters"])


def test_an_argument_may_be_a_row_of_numbers() -> None:
    config = find("dilated").config
    for text, numbers in (("1,2,4", (1, 2, 4)), ("8", (8,))):
        assert parse_arguments(config, [f"dilations={text}"]) == {"dilations": numbers}
    for wrong in ("", "1,", "1,b", "1 2", "(1,2)"):
        with pytest.raises(UsageError, match=r"the value is no row of ints with commas between them"):
            parse_arguments(config, [f"dilations={wrong}"])


def test_the_card_holds_no_path_of_this_machine() -> None:
    arguments = ["train-chromatin", "danq", "--data", "/home/me/data/d1", "-o", "runs/my model", "--lr", "0.1"]
    assert command_line(arguments) == "varscore train-chromatin danq --data d1 -o 'my model' --lr 0.1"


def arguments(data: ExampleSet, folder: Path, *more: str) -> list[str]:
    sizes = [f"--arg={name}={value}" for name, value in SMALL.items()]
    command = ["train-chromatin", NAME, "--data", str(data.folder), "-o", str(folder), "--epochs", "1"]
    return [*command, "--batch-size", "16", *sizes, *more]


def test_the_command_trains(data: ExampleSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(arguments(data, tmp_path / "m", "--seed", "5", "--clip-norm", "1", "--device", "cpu", "--threads", "1"))
        == 0
    )
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'm'}: validation loss 0.")
    model = open_model(tmp_path / "m")
    assert model.card["training"]["seed"] == 5 and model.card["training"]["recipe"]["clip_norm"] == 1.0
    assert run(arguments(data, tmp_path / "m", "--seed", "6")) == 2
    assert "made with another recipe, seed" in capsys.readouterr().err


def test_names_that_are_no_utf_8(
    data: ExampleSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = tmp_path / os.fsdecode(b"d\xe9")
    shutil.copytree(data.folder, read)
    odd = ExampleSet(read)
    assert run(arguments(odd, tmp_path / os.fsdecode(b"m\xe9"), "--threads", "1")) == 2
    assert "a model cannot lie there" in capsys.readouterr().err and len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(sys, "argv", ["varscore", *arguments(odd, tmp_path / "m", "--threads", "1")])
    assert run(sys.argv[1:]) == 0
    assert "--data 'd\ufffd' -o m" in open_model(tmp_path / "m").card["training"]["command"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_a_checkpoint_and_says_how_to_go_on(
    data: ExampleSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, signum: int
) -> None:
    whole, stopped = (arguments(data, tmp_path / name, "--threads=1") for name in ("whole", "stopped"))
    assert run(whole) == 0
    step = Trainer._step

    def disturbed(trainer: Trainer, *given: Any) -> float:
        if trainer.progress.step == 2:
            signal.raise_signal(signum)
        return step(trainer, *given)

    monkeypatch.setattr(Trainer, "_step", disturbed)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    capsys.readouterr()
    assert run(stopped) == 128 + signum
    signal.signal(signal.SIGINT, before)
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    saved = f"{tmp_path / 'stopped' / 'checkpoint.pt'} holds the first 3 steps"
    assert line == f"varscore: warning: stopped; {saved}: the same command carries on from there"
    monkeypatch.setattr(Trainer, "_step", step)
    assert run(stopped) == 0
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_signal_before_the_first_step_says_so(
    data: ExampleSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "TRAINING_PATIENCE", 0.1)
    monkeypatch.setattr(Trainer, "_step", lambda *given: (signal.raise_signal(signal.SIGTERM), time.sleep(20)))
    assert run(arguments(data, tmp_path / "m")) == 128 + signal.SIGTERM
    assert "stopped before the first checkpoint; the same command starts anew" in capsys.readouterr().err


def test_an_interim_model_is_said_to_be_one_when_it_is_used(
    data: ExampleSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(tmp_path / "m"), tmp_path / "out"
    uses = [
        ["evaluate", model, "--data", str(data.folder), "-o", str(out / "e{}")],
        ["models", "select", model, "--tasks", "planted", "-o", str(out / "s{}")],
        ["motifs", model, "--data", str(data.folder), "-o", str(out / "f{}"), "--min-sites", "1"],
        [*arguments(data, out / "c{}"), "--max-minutes=0", "--init-from", model],
    ]
    for minutes, named in (("0", True), ("9", False)):
        assert run(arguments(data, tmp_path / "m", f"--max-minutes={minutes}")) == 0
        for words in uses:
            capsys.readouterr()
            assert run([word.format(minutes) for word in words]) == 0
            said = capsys.readouterr().err
            assert ("the model m is interim: its training did not come to its end" in said) is named, words


def test_the_card_says_what_was_excluded_and_what_is_unknown(data: ExampleSet, tmp_path: Path) -> None:
    uses = {"exclude": {"blacklist.bed": "0" * 64}, "unknown": {"unmeasured.tsv": "1" * 64}}
    data.info.update(uses)
    card = train(data, tmp_path / "m").card["data"]
    assert {use: card[use] for use in uses} == uses
    for use in uses:
        del data.info[use]


@pytest.mark.slow
def test_two_processes_train_as_one(data: ExampleSet, tmp_path: Path) -> None:
    """65 examples in batches of 16: the last batch has one, so the second process has none of it."""
    calm = ["--arg=dropout=0", "--arg=recurrent_dropout=0", "--epochs=3", "--device=cpu", "--threads=1", "--ema=0.5"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    shell = {"one": ["-m", "varscore"], "two": [*launcher, "-m", "varscore"]}
    cards, tables = {}, {}
    for name, program in shell.items():
        command = [sys.executable, *program, *arguments(data, tmp_path / name, *calm)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count("validation loss") == 1, "one process speaks"
        assert ended.stderr.count("epoch done") == 3
        assert "destroy_process_group" not in ended.stderr
        cards[name] = open_model(tmp_path / name)
        with (tmp_path / name / "history.csv").open() as file:
            tables[name] = [[float(row[c]) for c in ("train_loss", "validation_loss")] for row in csv.DictReader(file)]
    assert np.allclose(tables["one"], tables["two"], rtol=1e-4)
    one, two = (cards[name].load().state_dict() for name in ("one", "two"))
    assert all(torch.allclose(one[key], two[key], atol=1e-3) for key in one)


@pytest.mark.parametrize("products", [True, False])
def test_bf16_says_what_multiplies(
    data: ExampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, products: bool
) -> None:
    """On the card; and a CPU that is slower in it is told so. The LSTM is wide enough for this package's kernel."""
    monkeypatch.setattr(bf16, "multiplies", lambda: products)
    monkeypatch.setattr(bf16, "amx", lambda: False)
    with caplog.at_level(logging.WARNING, "varscore"):
        model = train(data, tmp_path / "m", options={"precision": "bf16"}, arguments={"hidden": FEW_CHANNELS})
    assert model.card["training"]["products"] == ("AVX512-bf16" if products else "torch's own")
    assert ("more slowly in bf16" in caplog.text) == (not products)
    assert "products" not in train(data, tmp_path / "n").card["training"]
