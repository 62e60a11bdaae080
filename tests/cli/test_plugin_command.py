"""Architectures of users: ``--plugin FILE.py`` and entry points, through every process that needs them."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from cli.conftest import TASKS
from cli.made_runs import annotate, set_up
from small_data import planted_set

from varscore.cli.boundary import run
from varscore.engine import ENGINES
from varscore.engine.exact.reach import sections
from varscore.engine.pool import Plan
from varscore.nets import build, plugins, registry
from varscore.zoo.models import find_model, save_model

NET = '''
"""One convolution and its best place."""
from dataclasses import dataclass

from torch import Tensor, nn

from varscore.nets import Recipe, SequenceNet, register
from varscore.nets.layers import SequenceConv


@dataclass(frozen=True)
class Config:
    n_tasks: int = 3
    window: int = 120
    filters: int = 4


class Best(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.amax(2)


@register("NAME", Config, Recipe(epochs=1, batch_size=16), "mine")
class Mine(SequenceNet):
    def __init__(self, config: Config) -> None:
        convolution = SequenceConv(config.filters, 9, 2, slope=0.0)
        super().__init__(config, convolution, Best(), nn.Linear(config.filters, config.n_tasks))
'''


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working directory with ``mine.py``, and no plugin left from test to test."""
    set_up(tmp_path, monkeypatch)
    monkeypatch.setenv("VARSCORE_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(registry, "_architectures", dict(registry._architectures))
    monkeypatch.setattr(plugins, "_plugins", {})
    Path("mine.py").write_text(NET.replace("NAME", "mine"))
    yield
    for name in [name for name in sys.modules if name.startswith("varscore_plugin_")]:
        del sys.modules[name]


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as a process that has run no plugin."""
    monkeypatch.setattr(plugins, "_plugins", {})
    registry._architectures.pop("mine")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model ``own``, of the architecture of mine.py."""
    plugins.load_plugin(Path("mine.py"))
    torch.manual_seed(3)
    save_model(tmp_path / "models" / "own", build("mine").eval(), "mine", TASKS, {})
    forget(monkeypatch)


def error(capsys: pytest.CaptureFixture[str]) -> str:
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("varscore: error: ")
    return line


@pytest.mark.usefixtures("model")
def test_a_model_of_ones_own_says_how_to_make_it_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate("in.vcf -m own -o out.vcf") == 2
    line = error(capsys)
    assert "the architecture 'mine' is not known here" in line and "did you mean" not in line
    assert "--plugin FILE.py" in line and "entry point varscore.architectures" in line
    assert not Path("out.vcf").exists()


@pytest.mark.usefixtures("model")
def test_workers_know_what_the_command_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert annotate("in.vcf -m own -o one.vcf --plugin mine.py") == 0
    assert annotate("in.vcf -m own -o two.vcf --plugin=mine.py", "--threads", "2") == 0  # in processes of their own
    assert Path("one.vcf").read_bytes() == Path("two.vcf").read_bytes()
    assert "VS_STATUS=PASS" in Path("one.vcf").read_text()
    (plugin,) = plugins.loaded()
    assert f"##varscorePlugin=<ID=mine,SHA256={plugin.sha256}>" in Path("one.vcf").read_text()
    assert json.loads(Path("one.vcf.run.json").read_text())["identity"]["plugins"] == plugin.sha256


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("by", ["pickle", "cloudpickle"])
def test_a_plan_brings_its_plugins_to_other_machines(by: str) -> None:
    dumps = pickle.dumps if by == "pickle" else pytest.importorskip("ray.cloudpickle").dumps
    plugins.load_plugin(Path("mine.py"))
    plan = Plan(find_model("own").load(), [torch.device("cpu")], ENGINES["plain"])
    Path("plan").write_bytes(dumps(plan))
    Path("mine.py").unlink()  # it is not there
    code = "import pickle, sys; plan = pickle.load(open('plan', 'rb')); print(type(plan.net).__name__, plan.precision)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["Mine", "fp32"], done.stderr


def test_a_network_of_ones_own_is_trained_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted_set(tmp_path / "data", 64, 32, 32)
    words = ["train-chromatin", "mine", "--data", str(tmp_path / "data"), "-o", str(tmp_path / "models" / "own")]
    assert run([*words, "--epochs", "1", "--device", "cpu", "--threads", "1", "--plugin", "mine.py"]) == 0
    assert run(["models", "show", "own"]) == 0
    assert "mine" in capsys.readouterr().out


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("before", [True, False])
def test_scripts_of_an_array_name_the_plugin(before: bool, capsys: pytest.CaptureFixture[str]) -> None:
    words, plugin = ["in.vcf", "-r", "g.fa", "-m", "own", "-o", "all.vcf.gz"], ["--plugin", "mine.py"]
    front, back = (plugin, []) if before else ([], plugin)
    assert run(["slurm", "-n", "2", "--dry-run", *front, "--", *words, *back]) == 0
    assert f"--plugin={Path('mine.py').resolve()}" in capsys.readouterr().out


def test_an_installed_package_registers_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    (site / "theirs-1.0.dist-info").mkdir(parents=True)
    (site / "theirs-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = "[varscore.architectures]\ntheirs = their_nets\nbroken = no_such_module\n"
    (site / "theirs-1.0.dist-info" / "entry_points.txt").write_text(points)
    (site / "their_nets.py").write_text(NET.replace("NAME", "theirs"))
    monkeypatch.syspath_prepend(str(site))
    assert registry.find("theirs").summary == "mine"  # the broken one is not touched
    assert run(["models", "show", "broken"]) == 2
    assert "the architecture 'broken' cannot be imported" in error(capsys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read the plugin, bad.py; there is no such file"),
        ("x = 1\ndef (\n", "bad.py line 2; SyntaxError: "),
        ("x = 1\nimport no_such_module\n", "bad.py line 2; ModuleNotFoundError: No module named 'no_such_module'"),
        (NET.replace("NAME", "danq"), "ValueError: architecture 'danq' is registered twice"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said(
    text: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        Path("bad.py").write_text(text)
    assert run(["models", "list", "--plugin", "bad.py"]) == 2
    assert message in error(capsys)


@pytest.mark.usefixtures("model")
def test_no_file_of_a_model_folder_is_run(tmp_path: Path) -> None:
    (tmp_path / "models" / "own" / "mine.py").write_text("raise SystemExit('ran')")
    assert annotate("in.vcf -m own -o out.vcf") == 2


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "architectures.md").read_text()


def shown(language: str) -> str:
    """The block of code on the page about architectures of one's own."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture
def as_on_the_page(tmp_path: Path) -> None:
    """The files that the commands of the page name."""
    planted_set(tmp_path / "work" / "peaks", 96, 32, 32)
    Path("in.vcf").write_text("".join(Path("in.vcf").read_text().splitlines(keepends=True)[:60]))
    Path("hg19.fa").write_bytes(Path("g.fa").read_bytes())


def walk_the_page(plugin: str) -> None:
    """Run its commands; what they leave is whole."""
    for line in shown("sh").splitlines():
        words = line.replace(" --plugin mynet.py", plugin).split()
        assert words[0] == "varscore"
        shorter = ["--epochs", "2"] if "train-chromatin" in words else []
        assert run([*words[1:], *shorter, *([] if "export" in words else ["--threads", "1"])]) == 0, line
    assert "VS_DIFF=" in Path("out.vcf").read_text() and "VS_STATUS=PASS" in Path("out.vcf").read_text()
    assert list(Path("how-good").glob("*.csv"))
    pytest.importorskip("onnx").checker.check_model("mine.onnx")
    assert sections(find_model("mine").load()) is not None, "REF and ALT share what they have in common"


@pytest.mark.usefixtures("as_on_the_page")
def test_the_network_of_the_page_is_trained_evaluated_annotates_and_is_exported() -> None:
    lines = [line for line in shown("python").splitlines() if line.strip()]
    assert len(lines) <= 20
    Path("mynet.py").write_text(shown("python"))
    walk_the_page(" --plugin mynet.py")


@pytest.mark.usefixtures("as_on_the_page")
def test_an_installed_package_does_the_same_without_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((group, points),) = tomllib.loads(shown("toml"))["project"]["entry-points"].items()
    info, package = tmp_path / "site" / "mypackage-1.0.dist-info", tmp_path / "site" / "mypackage"
    info.mkdir(parents=True)
    package.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
    (package / "__init__.py").touch()
    (package / "mynet.py").write_text(shown("python"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    try:
        walk_the_page("")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "mypackage"]:
            del sys.modules[name]
