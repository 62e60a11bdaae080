"""Exported models run by ONNX Runtime, against varscore's own predictions."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_nets import random_codes, small

from varscore.cli.boundary import run
from varscore.engine import PlainEngine
from varscore.genome.sequence import one_hot
from varscore.nets.layers import SequenceNet
from varscore.tasks import Task
from varscore.zoo.models import open_model, save_model
from varscore.zoo.priors import Priors

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
TASKS = tuple(Task(i, f"task{i}") for i in range(5))


def exported(net: SequenceNet, name: str, folder: Path, priors: Priors | None = None) -> Path:
    save_model(folder / "m", net, name, TASKS[: net.n_tasks], {}, priors=priors)
    assert run(["models", "export", str(folder / "m"), "--onnx", str(folder / "m.onnx")]) == 0
    return folder / "m.onnx"


def run_onnx(path: Path, codes: np.ndarray) -> np.ndarray:
    """By ONNX Runtime; without it by the package onnx itself, whose LSTM has no other gates than sigmoids."""
    given = {"sequence": one_hot(codes)}
    if importlib.util.find_spec("onnxruntime") is None:
        if b"HardSigmoid" in path.read_bytes():
            pytest.skip("the package onnxruntime is not installed")
        reference = importlib.import_module("onnx.reference").ReferenceEvaluator(str(path))
        predicted: np.ndarray = reference.run(["prediction"], given)[0]
        return predicted
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    predicted = session.run(["prediction"], given)[0]
    return predicted


CASES = [
    ("danq", {}, "labels", "both-mean"),
    ("danq", {"hard_gates": True}, "labels", "both-mean"),
    ("danq", {"hard_gates": True, "both_forward": True}, "labels", "both-max"),
    ("deepsea", {}, "values", "both-mean"),
    ("crnn-320-projection", {}, "classes", "one"),
    ("crnn-320", {}, "labels", "both-mean"),
    ("dilated", {}, "labels", "both-mean"),
    ("dilated", {"dilations": (1, 3), "sets": 3, "second_pool": 1}, "values", "one"),
    ("tss", {}, "classes", "one"),
]


@pytest.mark.parametrize(("name", "arguments", "objective", "strands"), CASES)
def test_an_exported_model_predicts_the_same(
    tmp_path: Path, name: str, arguments: dict[str, object], objective: str, strands: str
) -> None:
    net = small(name, seed=1, **arguments).eval()
    net.adapt(objective, strands, (40, 150) if name == "tss" else None)
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(0, 0.4)
        if objective == "values":
            net.goal.scale.copy_(torch.arange(1, 6))
            net.goal.mean.fill_(7)
    path = exported(net, name, tmp_path)
    codes = random_codes(11, net.window).numpy()
    expected = PlainEngine(net, torch.device("cpu")).predict(codes)
    assert np.ptp(expected) > 0.01
    assert run_onnx(path, codes) == pytest.approx(expected, abs=1e-5, rel=1e-5)
    assert run_onnx(path, codes[:1]) == pytest.approx(expected[:1], abs=1e-5, rel=1e-5)


@pytest.mark.parametrize(("name", "objective"), [("danq", "labels"), ("deepsea", "labels"), ("tss", "classes")])
def test_the_shift_of_its_priors_goes_with_it(tmp_path: Path, name: str, objective: str) -> None:
    net = small(name, seed=1).eval()
    net.adapt(objective, net.strands, None)
    priors = Priors(*(np.array([n] * net.n_tasks) for n in (5, 20, 5, 900)))
    path = exported(net, name, tmp_path, priors)
    codes = random_codes(3, net.window).numpy()
    expected = PlainEngine(open_model(tmp_path / "m").load(), torch.device("cpu")).predict(codes)
    assert (expected < 0.3 * PlainEngine(net, torch.device("cpu")).predict(codes)).all()
    assert run_onnx(path, codes) == pytest.approx(expected, rel=1e-4)


def test_the_file_says_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = exported(small("danq"), "danq", tmp_path)
    made = onnx.load(path)
    onnx.checker.check_model(made, full_check=True)
    told = {entry.key: entry.value for entry in made.metadata_props}
    assert told["architecture"] == "danq" and told["tasks"].split("\n")[4] == "task4"
    assert [node.op_type for node in made.graph.node].count("LSTM") == 1
    assert "sequence (n, 4, 180), channels ACGT -> prediction (n, 5)" in capsys.readouterr().out
    command = ["models", "export", str(tmp_path / "m"), "--onnx", str(path)]
    assert run(command) == 2 and "--force" in capsys.readouterr().err
    assert run([*command, "--force"]) == 0


def test_an_architecture_that_is_no_list_of_layers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "m", small("kmer"), "kmer", TASKS, {})
    assert run(["models", "export", str(tmp_path / "m"), "--onnx", str(tmp_path / "m.onnx")]) == 2
    assert "cannot be exported" in capsys.readouterr().err and not (tmp_path / "m.onnx").exists()


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "m", small("danq"), "danq", TASKS, {})
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError):
        importlib.import_module("onnx")
    assert run(["models", "export", str(tmp_path / "m"), "--onnx", str(tmp_path / "m.onnx")]) == 2
    assert "pip install onnx" in capsys.readouterr().err
