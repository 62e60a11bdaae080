"""Fixtures that every test module may use."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, settings

from varscore import pictures

# Test processes run side by side and would wait for one another's threads; so would the programs that tests start.
os.environ |= {"OMP_NUM_THREADS": "1", "SLURM_CPUS_PER_TASK": "1"}

# how long an example takes says nothing of what is right
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real genome, variants, peaks and labels that lies beside a development checkout."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data set (../shared/data) is not here")
    return folder


_paint = pictures.paint


@pytest.fixture(scope="session", autouse=True)
def unpainted() -> Iterator[None]:
    """Painting takes longer than most tests. Charts are put together, and their files written; what is in these is
    looked at by the tests that ask for ``painted``."""

    def leave(figure: object, file: BinaryIO, *_: object, **__: object) -> None:
        file.write(b"not painted in this test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "paint", leave)
        yield


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are painted in this test."""
    monkeypatch.setattr(pictures, "paint", _paint)


@pytest.fixture(autouse=True)
def loggers_as_at_first() -> Iterator[None]:
    """A command that a test or a fixture runs in this process sets up logging for good; no other test shall notice."""
    _reset_logging()
    yield
    _reset_logging()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A command that is asked for more threads sets them for good."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _reset_logging() -> None:
    logger = logging.getLogger("varscore")
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    logger.handlers.clear()
