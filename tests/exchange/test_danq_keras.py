"""DanQ's weight files against a plain evaluation of the rules by which Keras 0.2 predicted with them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from made_keras import (
    DENSE,
    FILTERS,
    POOL,
    TASKS,
    UNITS,
    WIDTH,
    WINDOW,
    keras_predict,
    made_layers,
    made_sequences,
    save_weights,
)
from made_windows import cut, mixture
from small_nets import small

from varscore.cli.boundary import run
from varscore.engine import PlainEngine, SharedEngine
from varscore.exchange import BACKWARD
from varscore.exchange.danq import architecture_of, read_weights
from varscore.nets.layers import SequenceNet
from varscore.zoo.models import open_model

CPU = torch.device("cpu")
SEQUENCES = made_sequences(6)
LAYERS = made_layers()
TRUTH = {way: np.array([keras_predict(one, LAYERS, way) for one in SEQUENCES]) for way in BACKWARD}
AGCT_CODE = np.array([0, 2, 1, 3])
CODES = np.where(SEQUENCES.any(1), AGCT_CODE[SEQUENCES.argmax(1)], 4).astype(np.uint8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_weights(tmp_path / "DanQ_bestmodel.hdf5", LAYERS)


def imported(*arguments: object, status: int = 0) -> None:
    command = ["models", "import", "danq-keras", *map(str, arguments), "--window", str(WINDOW)]
    assert run(command) == status


def reference(path: Path, predicted: np.ndarray, bases: np.ndarray | None = SEQUENCES, name: str = "pred") -> Path:
    with h5py.File(path, "w") as file:
        file[name] = predicted
        if bases is not None:
            file["testxdata"] = bases
    return path


def test_the_directions_differ() -> None:
    """Otherwise the tests below would show nothing."""
    for one, other in (("aligned", "unaligned"), ("aligned", "forward"), ("unaligned", "forward")):
        assert abs(TRUTH[one] - TRUTH[other]).max() > 0.01


@pytest.mark.parametrize("way", BACKWARD)
def test_predictions_are_those_of_keras(weights: Path, tmp_path: Path, way: str) -> None:
    imported(weights, "-o", tmp_path / "m", "--backward", way)
    model = open_model(tmp_path / "m")
    net = model.load()
    predicted = net.goal.predict(PlainEngine(net, CPU).logits(CODES)[0])
    assert predicted == pytest.approx(TRUTH[way], abs=2e-6)
    assert model.card["imported"]["backward"] == way and model.architecture == "danq"
    expected = {"filters": FILTERS, "width": WIDTH, "pool": POOL, "hidden": UNITS, "dense": DENSE, "n_tasks": TASKS}
    assert expected.items() <= model.card["arguments"].items()


@pytest.mark.parametrize("way", BACKWARD)
def test_the_exact_engine_shares_such_a_network_too(weights: Path, tmp_path: Path, way: str) -> None:
    imported(weights, "-o", tmp_path / "m", "--backward", way)
    check_engines(open_model(tmp_path / "m").load())


def test_the_exact_engine_knows_two_forward_halves_of_any_gates() -> None:
    net = small("danq", both_forward=True).eval()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    check_engines(net)


def check_engines(net: SequenceNet) -> None:
    windows = cut(mixture(60), net.window)
    plain, exact = (engine(net, CPU).score(windows) for engine in (PlainEngine, SharedEngine))
    assert max(abs(a - b).max() for a, b in zip(plain, exact, strict=True)) < 1e-5
    assert abs(plain[0] - plain[1]).max() > 1e-2


@pytest.mark.parametrize("way", BACKWARD)
def test_a_reference_tells_the_direction(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    ref = reference(tmp_path / "ref.h5", TRUTH[way])
    imported(weights, "-o", tmp_path / "m", "--check", ref)
    out = capsys.readouterr().out
    assert f"backward LSTM {way}" in out and "largest difference from the reference: " in out
    card = open_model(tmp_path / "m").card["imported"]
    assert card["backward"] == way and card["checked"].startswith("largest difference ")


def test_a_direction_that_the_reference_contradicts_is_refused(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ref = reference(tmp_path / "ref.h5", TRUTH["unaligned"])
    imported(weights, "-o", tmp_path / "m", "--check", ref, "--backward", "aligned", status=2)
    assert "the weights predict other than the reference says" in capsys.readouterr().err
    reference(tmp_path / "none.h5", TRUTH["aligned"][::-1])
    imported(weights, "-o", tmp_path / "m", "--check", tmp_path / "none.h5", status=2)
    assert "unaligned: " in capsys.readouterr().err and not (tmp_path / "m").exists()


def test_a_reference_may_be_as_the_authors_scripts_leave_it(weights: Path, tmp_path: Path) -> None:
    """test.mat holds the sequences, and an HDF5 file their predictions; or windows stand before channels."""
    scipy.io.savemat(tmp_path / "test.mat", {"testxdata": SEQUENCES.astype(np.uint8)}, do_compression=True)
    preds = reference(tmp_path / "preds.hdf5", TRUTH["forward"], bases=None, name="preds")
    imported(weights, "-o", tmp_path / "a", "--check", tmp_path / "test.mat", "--check", preds)
    turned = reference(tmp_path / "turned.h5", TRUTH["forward"], SEQUENCES.transpose(0, 2, 1))
    imported(weights, "-o", tmp_path / "b", "--check", turned)
    assert {open_model(tmp_path / name).card["imported"]["backward"] for name in "ab"} == {"forward"}


def test_without_a_reference_a_warning_says_so(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(weights, "-o", tmp_path / "m")
    assert "the backward LSTM (aligned) is not checked" in capsys.readouterr().err
    assert open_model(tmp_path / "m").card["imported"]["checked"] == "no reference was given"
    imported(weights, "-o", tmp_path / "m", status=2)
    names = tmp_path / "names"
    names.write_text("a\nb\nb\n")
    imported(weights, "-o", tmp_path / "m", "--names", names, "--force")
    assert [task.name for task in open_model(tmp_path / "m").tasks()] == ["a", "b", "b"]
    assert run(["models", "verify", str(tmp_path / "m")]) == 0


def test_the_published_shapes_are_danq_and_danq_jaspar(tmp_path: Path) -> None:
    """Shapes alone: arrays without memory behind them."""
    for name, filters, width, units, steps in (("danq", 320, 26, 320, 75), ("danq-jaspar", 1024, 30, 512, 64)):
        path = tmp_path / "w.h5"
        gate = [(filters, units), (units, units), (units,)]
        shapes = [[(filters, 4, width, 1), (filters,)], gate * 8, [(steps * 2 * units, 3), (3,)], [(3, 5), (5,)]]
        with h5py.File(path, "w") as file:
            for number, arrays in enumerate(shapes):
                for index, shape in enumerate(arrays):
                    file.create_dataset(f"layer_{number}/param_{index}", shape, "f4", chunks=True, fillvalue=0)
        found, arguments = architecture_of(read_weights(path), 1000, path)
        assert found == name and arguments["pool"] == {"danq": 13, "danq-jaspar": 15}[name]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("text", "cannot read as HDF5"),
        ("layers", "its layers have 2, 24, 2 arrays instead of"),
        ("shape", "the arrays of the LSTM do not fit each other"),
        ("nan", "the weights of the output are not all numbers"),
        ("elsewhere", "points elsewhere"),
        ("external", "is kept in other files"),
        ("objects", "is no array of numbers"),
        ("window", "the pooling cannot be told"),
    ],
)
def test_what_is_no_such_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, message: str
) -> None:
    layers = made_layers()
    if what == "layers":
        layers[8] = []
    elif what == "shape":
        layers[3][4] = layers[3][4][:, :-1]
    elif what == "nan":
        layers[8][1][0] = np.nan
    elif what == "window":
        layers[6][0] = layers[6][0][: 4 * UNITS]
    path = save_weights(tmp_path / "w.h5", layers)
    if what == "text":
        path.write_text("not at all")
    with h5py.File(path, "a") if what in ("elsewhere", "external", "objects") else open("/dev/null") as file:
        if what == "elsewhere":
            del file["layer_0/param_0"]
            file["layer_0/param_0"] = h5py.ExternalLink("/etc/hosts", "/x")
        elif what == "external":
            del file["layer_0/param_1"]
            file["layer_0"].create_dataset("param_1", (FILTERS,), "f8", external=[(str(tmp_path / "x"), 0, 56)])
        elif what == "objects":
            del file["layer_0/param_1"]
            file["layer_0/param_1"] = ["a text"] * FILTERS
    imported(path, "-o", tmp_path / "m", status=2)
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not (tmp_path / "m").exists()
