"""What Tab offers, and how little is loaded for it."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from varscore.cli import completing
from varscore.cluster.slurm import suggestion
from varscore.zoo.models import ModelFolder


def test_names_of_models_and_tasks(tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "tiny" in completing.models("t") and "tiny" not in completing.models("x")
    for given in ({"model": "tiny"}, {"name": str(tiny_model.path)}):
        assert completing.tasks(SimpleNamespace(params=given), "dnase") == ["K562|DNase|None"]
    assert completing.tasks(SimpleNamespace(params={"model": "tiny"}), "'*ctcf") == [
        "K562|CTCF|None",
        "HepG2|CTCF|None",
    ]
    assert completing.tasks(SimpleNamespace(params={"model": "nosuch"}), "") == []


def test_the_shell_gets_them_without_torch(tiny_model: ModelFolder) -> None:
    code = "import sys; from varscore.cli import completing as c; print(c.models('t'), 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert told.stdout == "['tiny'] False\n"


def test_what_a_task_of_a_job_array_needs() -> None:
    """By hand: a million records in 10 tasks of 4 CPUs at 40 a second are 625 s, and 300 s to start."""
    assert suggestion(1_000_000, 10, 4) == ("0:20:00", "4G")
    assert suggestion(10, 1, 1) == ("0:10:00", "2G")
    assert suggestion(80_000_000, 100, 1) == ("5:40:00", "2G")
