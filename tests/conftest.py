"""Fixtures that every test module may use."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real genome, variants, peaks and labels that lies beside a development checkout."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data set (../shared/data) is not here")
    return folder


@pytest.fixture(autouse=True)
def loggers_as_at_first() -> Iterator[None]:
    """A command that a test or a fixture runs in this process sets up logging for good; no other test shall notice."""
    _reset_logging()
    yield
    _reset_logging()


def _reset_logging() -> None:
    logger = logging.getLogger("varscore")
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    logger.handlers.clear()
