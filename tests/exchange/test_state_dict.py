"""State dicts of others: names, orders of bases, shapes; and what a hostile file does not get to do."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_nets import random_codes, small, small_arguments
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.cli.boundary import run
from varscore.zoo.models import open_model

NAME, WINDOW = "deepsea", 180
ARGUMENTS = [f"--arg={name}={value}" for name, value in small_arguments(NAME).items()]


class Theirs(nn.Module):
    """DeepSEA as others wrote it: images of height 1, bases A, G, C, T, names of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 6, (1, 8))
        self.second = nn.Conv2d(6, 5, (1, 8))
        self.third = nn.Conv2d(5, 6, (1, 8))
        steps = ((WINDOW - 7) // 4 - 7) // 4 - 7
        self.fc = nn.Parameter(torch.randn(6 * steps, 7) / 2)  # (inputs, units): the other way round
        self.fc_bias = nn.Parameter(torch.randn(7))
        self.last = nn.Linear(7, 5)
        self.spare = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.first(x[:, :, None]).relu(), (1, 4))
        x = F.max_pool2d(self.second(x).relu(), (1, 4))
        x = self.third(x).relu().flatten(1)
        return torch.sigmoid(self.last((x @ self.fc + self.fc_bias).relu()))


MAP = """\
# varscore's\ttheirs
layers.0.weight\tfirst.weight
layers.0.bias\tfirst.bias
layers.2.weight\tsecond.weight
layers.2.bias\tsecond.bias
layers.4.weight\tthird.weight
layers.4.bias\tthird.bias

layers.7.weight\tfc\ttranspose
layers.7.bias\tfc_bias
layers.9.weight\tlast.weight
layers.9.bias\tlast.bias
"""


@pytest.fixture
def theirs() -> Theirs:
    torch.manual_seed(3)
    return Theirs().eval()


@pytest.fixture
def name_map(tmp_path: Path) -> Path:
    path = tmp_path / "names.map"
    path.write_text(MAP)
    return path


@pytest.fixture
def reference(theirs: Theirs, tmp_path: Path) -> Path:
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (9, WINDOW)))
    bases = F.one_hot(codes, 4).transpose(1, 2).float()  # A, G, C, T
    with h5py.File(tmp_path / "ref.h5", "w") as file, torch.no_grad():
        file["testxdata"], file["pred"] = bases.numpy(), theirs(bases).numpy()
    return tmp_path / "ref.h5"


def imported(path: Path, *arguments: object, architecture: str = NAME, status: int = 0) -> None:
    command = ["models", "import", "torch", str(path), "--architecture", architecture, *map(str, arguments)]
    assert run(command) == status


def test_a_mapped_network_predicts_what_it_did(
    theirs: Theirs, name_map: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"epoch": 3, "state_dict": theirs.state_dict()}, tmp_path / "w.pth")
    more = ["-o", tmp_path / "m", "--map", name_map, *ARGUMENTS, "--check", reference]
    imported(tmp_path / "w.pth", *more, "--channels", "AGCT")
    captured = capsys.readouterr()
    assert "largest difference from the reference: " in captured.out and "1 tensors" in captured.err
    model = open_model(tmp_path / "m")
    assert model.load() and model.card["imported"]["channels"] == "AGCT"
    name_map.write_text(MAP.replace("third.weight", "third.weight\tflip"))
    imported(tmp_path / "w.pth", *more, "--force", "--channels", "AGCT", status=2)
    assert "the weights predict other than the reference says" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_varscores_own_names_need_no_map(tmp_path: Path, suffix: str) -> None:
    net = small("crnn-320-projection", seed=4).eval()
    path = tmp_path / f"w.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(net.state_dict(), path)
    arguments = [f"--arg={name}={value}" for name, value in small_arguments("crnn-320-projection").items()]
    imported(path, "-o", tmp_path / "m", *arguments, architecture="crnn-320-projection")
    codes = random_codes(3, WINDOW)
    with torch.no_grad():
        assert torch.equal(open_model(tmp_path / "m").load()(codes), net(codes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("layers.7.weight\tfc\ttranspose\n", ""), "nothing for 1 of the network's 10 tensors"),
        (("\ttranspose", ""), "the network wants (7, 12)"),
        (("\ttranspose", "\tinvert"), "line 9 is none of a name map"),
        (("layers.9.bias\t", "layers.8.bias\t"), "the network has no 'layers.8.bias'"),
        (("last.bias", "lost.bias"), "layers.9.bias (5,) may be second.bias or last.bias"),
        (("layers.9.bias", "layers.9.weight"), "line 12 is none of a name map"),
    ],
)
def test_a_map_that_does_not_fit_is_one_line(
    theirs: Theirs,
    name_map: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, str],
    message: str,
) -> None:
    name_map.write_text(MAP.replace(*change))
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    imported(tmp_path / "w.pth", "-o", tmp_path / "m", "--map", name_map, *ARGUMENTS, status=2)
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not (tmp_path / "m").exists()


class Hostile:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder / "executed"),)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "packed", "text", "list", "empty"])
def test_nothing_in_a_file_is_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    path = tmp_path / "w.pth"
    if kind in ("zip", "legacy"):
        torch.save({"a": Hostile(tmp_path)}, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Hostile(tmp_path)))
    elif kind == "packed":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("w/data.pkl", bytes(1 << 20))
    elif kind == "list":
        torch.save([torch.zeros(3)], path)
    else:
        path.write_text("no weights" * (kind == "text"))
    imported(path, "-o", tmp_path / "m", *ARGUMENTS, status=2)
    err = capsys.readouterr().err
    assert err.startswith("varscore: error: ") and err.count("\n") == 1
    assert "trusted" not in err and ("posix.mkdir, which is not let in" in err) == (kind in ("zip", "legacy"))
    assert not (tmp_path / "executed").exists() and not (tmp_path / "m").exists()
