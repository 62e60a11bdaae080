"""A tiny data set and a tiny space, of which a trial takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_kinds import made_set

from varscore.search import reading
from varscore.search.space import WHOLE, Space, subspace
from varscore.search.study import Settings, Study, begin_study, open_data
from varscore.search.worker import Work

TINY: Space = subspace(
    WHOLE,
    {
        "conv_width": [3, 5],
        "filters": [8],
        "convs_before": [1, 2],
        "convs_after": [1],
        "rnn_layers": [0],
        "fc_layers": [0, 1],
        "fc_units": [64],
        "fc_dropout": [0.0, 0.2],
        "batch_size": [25],
        "stride": [2],
        "lr_scale": [1.0, 2.0],
    },
)


@pytest.fixture(autouse=True, scope="package")
def small_forests() -> Iterator[None]:
    """What is planted is found by a few trees, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "TREES", 25)
        patch.setattr(reading, "REPEATS", 2)
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_set(tmp_path_factory.mktemp("search") / "d", "labels").folder


@pytest.fixture
def begin(tmp_path: Path, data: Path) -> Callable[..., Study]:
    """A new study of the tiny data set with a branch ``main`` of the tiny space."""

    def make(name: str = "s", space: Space = TINY, folder: Path = data, **more: Any) -> Study:
        examples = open_data(folder)
        usual = {"metric": "auroc", "epochs": 2, **more}
        study = begin_study(tmp_path / name, Settings(str(folder), examples.sha256, examples.kind, **usual))
        study.make_branch("main", space)
        return study

    return make


@pytest.fixture
def work() -> Work:
    return Work(trials=6, patience=0.05)
