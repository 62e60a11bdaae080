"""Data sets of every kind, small enough to check by hand, and a network that reads tracks and scalars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from varscore.datasets.examples import ExampleSet, write_examples
from varscore.nets.layers import SequenceNet, one_hot
from varscore.tasks import Task

WINDOW, TASKS = 40, 3


def made_set(folder: Path, kind: str, rows: int = 90, **more: Any) -> ExampleSet:
    """Random windows, of which each begins 10 bases after the one before: two thirds train, a sixth each the others.

    A task's target follows from the share of one base. more: ``known`` (share), ``tracks``, ``scalars`` (numbers),
    ``strands``, ``folds``, ``cells``.
    """
    random = np.random.default_rng(5)
    bases = 10 * rows + WINDOW
    codes = random.integers(0, 4, bases, dtype=np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(codes, WINDOW)[: 10 * rows : 10]
    share = np.stack([(windows == base).mean(1) for base in range(TASKS)], 1)
    known = random.random(share.shape) < more.get("known", 1.0)
    if kind == "values":
        target = {"values": np.where(known, 50 + 20 * share, np.nan).astype(np.float32)}
    else:
        bits = np.eye(TASKS)[share.argmax(1)] if kind == "classes" else share > 0.25
        target = {"labels": np.packbits(bits.astype(np.uint8), axis=1)}
        if "known" in more:
            target |= {"known": np.packbits(known, axis=1)}
    tracks, scalars = more.get("tracks", 0), more.get("scalars", 0)
    arrays = {
        "offset": np.arange(rows) * 10,
        "contig": np.zeros(rows, np.int16),
        "start": np.arange(rows) * 10,
        "split": np.repeat([0, 1, 2], [rows - 2 * (rows // 6), rows // 6, rows // 6]).astype(np.uint8),
        **target,
    }
    if scalars:
        arrays["scalars"] = random.normal(size=(rows, scalars)).astype(np.float32)
    if "folds" in more:
        arrays["fold"] = (np.arange(rows) % more["folds"]).astype(np.int16)
    signal = random.normal(size=(tracks, bases)).astype(np.float32)
    write_examples(
        folder,
        info={
            "kind": kind,
            "window": WINDOW,
            "contigs": ["made"],
            "strands": more.get("strands", "both"),
            "tracks": [f"track {i}" for i in range(tracks)],
            "scalars": [f"scalar {i}" for i in range(scalars)],
        },
        tasks=[Task(i, f"task {i}") for i in range(TASKS)],
        codes=np.array_split(codes, 3),
        bases=bases,
        arrays=arrays,
        tracks=np.array_split(signal, 4, axis=1),
        names=more.get("names", ()),
    )
    return ExampleSet(folder)


@dataclass(frozen=True)
class WideConfig:
    n_tasks: int = TASKS
    window: int = WINDOW
    tracks: int = 1
    scalars: int = 0
    states: int = 1


class WideNet(SequenceNet):
    """A dense layer on all of its inputs, with a batch norm before it."""

    def __init__(self, config: WideConfig) -> None:
        super().__init__(config)
        width = (4 + config.tracks) * config.window + config.scalars
        self.norm = nn.BatchNorm1d(width)
        self.dense = nn.Linear(width, config.n_tasks * config.states)

    @property
    def output(self) -> nn.Linear:
        return self.dense

    def forward(self, x: Tensor, tracks: Tensor | None = None, scalars: Tensor | None = None) -> Tensor:
        bases = one_hot(x) if x.dtype == torch.uint8 else x
        parts = [part.flatten(1) for part in (bases, tracks, scalars) if part is not None]
        return self.dense(self.norm(torch.cat(parts, 1)))


class StatesNet(WideNet):
    objective = "states"
