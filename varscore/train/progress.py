"""Where a training run stands, and its history as a file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from varscore.formats.csvtable import csv_text
from varscore.storage.whole import put_file

HISTORY = "history.csv"
_COLUMNS = ("epoch", "step", "lr", "train_loss", "validation_loss", "seconds")


@dataclass
class Progress:
    """Where a run stands. ``best`` are the weights with the lowest validation loss so far."""

    epoch: int = 0
    step: int = 0
    """Steps taken in the current epoch"""
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_loss: float = math.inf
    best_epoch: int = -1
    finished: str = ""
    """Why training ended; empty while it has not"""


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """The history as CSV: the columns that every run has, then those that only some have."""
    columns = dict.fromkeys((*_COLUMNS, *(name for row in history for name in row)))
    put_file(path, csv_text(history, tuple(columns)))
