"""A data set that takes seconds to learn: a planted motif is the label of its first task, chance that of its second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from varscore.datasets.examples import ExampleSet, write_examples
from varscore.genome.sequence import encode, reverse_complement
from varscore.tasks import Task

MOTIF = encode(b"TGACTCAGCA")
TASKS = (Task(0, "planted", "TF"), Task(1, "chance", "DNase"))


def planted_set(folder: Path, train: int, validation: int = 64, test: int = 64, window: int = 100) -> ExampleSet:
    """Random windows; half of them carry the motif, on either strand, and the label 1 for it."""
    random = np.random.default_rng(0)
    count = train + validation + test
    windows = random.integers(0, 4, (count, window), dtype=np.uint8)
    labels = random.integers(0, 2, (count, len(TASKS)), dtype=np.uint8)
    for row in np.flatnonzero(labels[:, 0]):
        at = int(random.integers(0, window - len(MOTIF) + 1))
        windows[row, at : at + len(MOTIF)] = MOTIF if random.random() < 0.5 else reverse_complement(MOTIF)
    write_examples(
        folder,
        info={"kind": "planted", "window": window, "contigs": ["made"], "counts": {"train": train}},
        tasks=TASKS,
        codes=windows,
        bases=windows.size,
        arrays={
            "offset": np.arange(count) * window,
            "contig": np.zeros(count, np.int16),
            "start": np.arange(count) * window,
            "labels": np.packbits(labels, axis=1),
            "split": np.repeat([0, 1, 2], [train, validation, test]).astype(np.uint8),
        },
    )
    return ExampleSet(folder)
