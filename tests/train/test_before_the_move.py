"""Models and checkpoints of earlier code are loaded and carried on with.

``before_the_move`` is a run of ``train_model``, stopped at its third step of twelve, as the code before the commit
"Rooms by the target tree" left it. What that code made of it in the end stands below.
"""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import planted_set

from varscore.nets import find
from varscore.train.run import RunOptions, train_model
from varscore.zoo.models import open_model

OLD = Path(__file__).parent / "before_the_move"
STOPPED = [[-0.23329267, -0.34468850], [-0.23362109, -0.33901271], [-0.24818194, -0.36637020]]
ENDED = [[-0.09041990, -0.18448729], [-0.10562884, -0.15964656], [-0.10430638, -0.18239053]]
VALIDATION_LOSS = [0.70046955, 0.69667923]


def logits(folder: Path) -> np.ndarray:
    windows = np.random.default_rng(0).integers(0, 5, (3, 100), dtype=np.uint8)
    with torch.inference_mode():
        found: np.ndarray = open_model(folder).load()(torch.from_numpy(windows)).numpy()
    return found


def test_a_model_is_loaded() -> None:
    model = open_model(OLD)
    model.verify()
    assert (model.architecture, model.card.interim, [task.name for task in model.tasks()]) == (
        "danq",
        True,
        ["planted", "chance"],
    )
    np.testing.assert_allclose(logits(OLD), STOPPED, rtol=1e-5)


def test_a_checkpoint_is_carried_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "before_the_move"
    shutil.copytree(OLD, folder)
    steps: list[int] = []
    model = train_model(
        "danq",
        planted_set(tmp_path / "data", 96, 32, 16),
        folder,
        recipe=replace(find("danq").recipe, batch_size=16, epochs=2, lr=0.01),
        arguments={"filters": 4, "hidden": 2, "dense": 3},
        options=RunOptions(seed=1, pictures=False),
        progress=steps.append,
    )
    assert steps == [3, *[1] * 9]
    assert not model.card.interim
    with (folder / "history.csv").open() as file:
        losses = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    assert losses == pytest.approx(VALIDATION_LOSS, rel=1e-4)
    np.testing.assert_allclose(logits(folder), ENDED, rtol=1e-3)
