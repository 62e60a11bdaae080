"""A small model with random weights, for commands that need one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from varscore.nets import build
from varscore.tasks import Task
from varscore.zoo.models import ModelFolder, save_model

TASKS = (Task(0, "K562|CTCF|None", "TF"), Task(1, "K562|DNase|None", "DNase"), Task(2, "HepG2|CTCF|None", "TF"))


@pytest.fixture
def tiny_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFolder:
    """The model ``tiny``, the only one there is and the default: 120 bp, three tasks, large random weights."""
    folder = tmp_path / "models"
    monkeypatch.setenv("VARSCORE_MODELS", str(folder))
    monkeypatch.setattr("varscore.zoo.shelf.bundled_folder", lambda: folder)
    torch.manual_seed(7)
    net = build(
        "crnn-320-projection", n_tasks=len(TASKS), window=120, filters=8, projection=4, second_filters=6, hidden=5
    )
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    facts = {
        "default": True,
        "licence": "MIT",
        "training": {"epochs": 3, "recipe": {"lr": 0.001}},
        "metrics": {"test": {"examples": 90, "all": {"tasks": 3, "auroc": 0.91234, "auprc": 0.345}}},
    }
    return save_model(folder / "tiny", net.eval(), "crnn-320-projection", TASKS, facts)


@pytest.fixture
def heeded_signals() -> Iterator[None]:
    """A test run that was started with nohup or in a script's background ignores these, and so would the program."""
    before = {signum: signal.signal(signum, signal.default_int_handler) for signum in (signal.SIGINT, signal.SIGHUP)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)
