"""What the pages show is done, commands and Python, on the demo's genome; packages agree with the project."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pysam
import pytest
import yaml
from walks import blocks, commands, walk

from varscore.cli.boundary import run
from varscore.demo import DemoFiles
from varscore.zoo.card import Card

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch", "xgboost": "py-xgboost-cpu"}
MOST_BUNDLED = 60_000_000
"""Bytes of a wheel's models: an index refuses files of 100 MB"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("VARSCORE_REFERENCE", raising=False)
    return tmp_path


def test_the_start_page_is_walked_from_top_to_bottom(here: Path) -> None:
    walk("start.md")
    scored = [line.split("\t") for line in Path("scored.tsv").read_text().splitlines() if not line.startswith("##")]
    assert scored[0][13] == "sig", "the page sorts by column 14"
    (line,) = (line for block in blocks("start.md", "sh") for line in commands(block) if "sort" in line)
    ranked = subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True).stdout.splitlines()
    numbers = sorted(float(row[13]) for row in scored[1:] if row[13] != ".")
    assert len(numbers) < len(scored) - 1, "some have no score"
    assert [float(row.split("\t")[13]) for row in ranked] == numbers[:5]
    assert Path("scored.vcf.gz.tbi").exists() and Path("scored.vcf.gz.input.vcf").exists()


def test_the_training_page_is_walked_from_top_to_bottom(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    walk("train.md")
    assert Card(tomllib.loads(Path("mine/card.toml").read_text())).held_out == {
        "test": ("demo3",),
        "validation": ("demo2",),
    }
    assert re.search(r"^demo3 +test +never seen", capsys.readouterr().out, re.MULTILINE)
    with pysam.VariantFile("mine.vcf.gz") as scored:
        assert {task for record in scored for task in record.info.get("VS_TASK", ()) if task} <= {"0:atac", "1:junD"}


def test_the_python_page_runs_from_top_to_bottom(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DemoFiles(Path("demo")).fasta.parent.mkdir()
    DemoFiles(Path("demo")).write()
    names: dict[str, object] = {}
    for block in blocks("python.md", "python"):
        exec(compile(block, "docs/python.md", "exec"), names)
    assert "not a variant" in capsys.readouterr().out
    assert len(names["table"]) == 18 and names["probability"].shape == (2, 207)  # type: ignore[arg-type, attr-defined]


def notebook() -> list[dict[str, Any]]:
    """The cells of code."""
    cells = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_the_notebook_was_executed() -> None:
    code = notebook()
    assert all(cell["execution_count"] for cell in code) and any(cell["outputs"] for cell in code)


@pytest.mark.slow
def test_the_notebook_still_runs(here: Path) -> None:
    names: dict[str, object] = {}
    for cell in notebook():
        exec(compile("".join(cell["source"]), "quickstart.ipynb", "exec"), names)
    assert len(names["table"]) == 18  # type: ignore[arg-type]


def test_the_conda_recipe_asks_for_what_the_project_asks_for() -> None:
    text = (ROOT / "packaging" / "conda" / "meta.yaml").read_text()
    version = re.search(r'set version = "([^"]+)"', text)
    plain = re.sub(r"\{\{ *(\w+) *\}\}", r"\1", re.sub(r"\{%.*?%\}", "", text))
    recipe = yaml.safe_load(plain)
    from varscore import __version__

    assert version is not None and version[1] == __version__ and recipe["package"]["name"] == PROJECT["name"]
    asked = {re.split("[<>=]", one)[0]: one for one in PROJECT["dependencies"]}
    here = {one.split()[0]: one.replace(" ", "") for one in recipe["requirements"]["run"]}
    wanted = {
        CONDA_NAMES.get(name, name): one.replace(name, CONDA_NAMES.get(name, name)) for name, one in asked.items()
    }
    assert here == {**wanted, "python": f"python{PROJECT['requires-python']}"}


def test_what_is_said_of_the_project_agrees() -> None:
    from varscore import __version__

    said = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert said["version"] == __version__ and said["license"] == PROJECT["license"]
    page = (DOCS / "install.md").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert not [extra for extra in extras if f"| `{extra}` |" not in page], "docs/install.md names every extra"
    assert PROJECT["name"] in page


def test_the_bundled_models_fit_into_a_wheel() -> None:
    files = [path for path in (ROOT / "models").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BUNDLED


def test_an_assistant_is_told_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["skill"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("---\nname: varscore") and "What not to claim" in told


def test_quick_runs_the_tests_of_what_changed() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from quick import ALWAYS, tests_of

    found = tests_of(["varscore/genome/spelling.py", "varscore/formats/vcf.py", "docs/start.md", "tests/test_cpus.py"])
    assert set(found) == {*ALWAYS, "tests/genome/test_spelling.py", "tests/formats/test_vcf.py", "tests/test_cpus.py"}
    assert "tests/engine" in tests_of(["varscore/engine/nosuch.py", "varscore/engine/__init__.py"])
