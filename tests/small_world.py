"""A made-up genome with three contigs, and a small network with large random weights to score its variants."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_model import make_model

from varscore.genome.sequence import Genome
from varscore.zoo.models import ModelFolder

LENGTHS = {"chr1": 400_000, "chr2": 200_000, "chr3": 50_000}


@pytest.fixture(scope="session")
def sequences() -> dict[str, str]:
    draw = random.Random(1)
    return {name: "".join(draw.choices("ACGT", k=length)) for name, length in LENGTHS.items()}


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, sequences: dict[str, str]) -> Path:
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items()))
    return path


@pytest.fixture(scope="session")
def genome(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Genome]:
    with Genome(reference, cache_dir=tmp_path_factory.mktemp("cache")) as genome:
        yield genome


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_model(tmp_path_factory.mktemp("zoo") / "small")


@pytest.fixture(scope="session")
def planted() -> tuple[np.ndarray, np.ndarray]:
    """Raw features, float32 (600, 80), and labels, bool (600,), that depend on the size of three of them."""
    draw = np.random.default_rng(0)
    features = draw.normal(size=(600, 80)).astype(np.float32)
    strength = np.abs(features[:, [3, 17, 62]]).sum(1)
    return features, strength + draw.normal(0, 0.1, 600) > np.median(strength)
