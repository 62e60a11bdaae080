"""Variants and small models for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from varscore.functional.variants import Variants
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.nets import build
from varscore.tasks import Task
from varscore.zoo.models import ModelFolder, save_model

CONTIGS = ("chr1", "chr2", "chr3")
TASKS = (Task(0, "K562|CTCF|None", "TF"), Task(1, "K562|DNase|None", "DNase"), Task(2, "HepG2|CTCF|None", "TF"))


def variants_at(
    contig: Sequence[int] | np.ndarray, start: Sequence[int] | np.ndarray, frequency: Sequence[float] | None = None
) -> Variants:
    """SNVs; contig: indices into CONTIGS; start: 0-based"""
    n = len(start)
    batch = AlleleBatch(
        record=np.arange(n),
        contig=np.asarray(contig, np.int32),
        contigs=CONTIGS,
        start=np.asarray(start, np.int64),
        ref=ByteColumn.of([b"A"] * n),
        alt=ByteColumn.of([b"G"] * n),
    )
    return Variants(batch, np.full(n, np.nan) if frequency is None else np.asarray(frequency, np.float64))


GOOD = {
    "cross-validation": {"all": {"auroc": 0.7, "auroc_low": 0.6, "auroc_high": 0.8}},
    "calibration": {"brier": 0.2, "brier_low": 0.19, "brier_high": 0.21},
}
"""Metrics on a card of a classifier that may be on by default"""


def make_model(folder: Path, tasks: tuple[Task, ...] = TASKS, seed: int = 7) -> ModelFolder:
    """120 bp, large random weights."""
    torch.manual_seed(seed)
    shape = {"filters": 8, "projection": 4, "second_filters": 6, "hidden": 5}
    net = build("crnn-320-projection", n_tasks=len(tasks), window=120, **shape)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return save_model(folder, net.eval(), "crnn-320-projection", tasks, {})
