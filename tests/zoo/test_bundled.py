"""The models that come with varscore: whole, loadable, and predicting what they predicted when they were committed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from varscore.engine.plain import PlainEngine
from varscore.genome.sequence import encode
from varscore.odds import probabilities
from varscore.zoo.models import find_model, open_model
from varscore.zoo.shelf import available, bundled_folder

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "bundled.json").read_text())
BUNDLED = sorted(path.parent.name for path in bundled_folder().glob("*/card.toml"))


def predictions(name: str) -> np.ndarray:
    """Strand-mean probabilities of four fixed sequences, float32 (4, tasks)."""
    windows = np.random.default_rng(20).integers(0, 4, (4, 1000)).astype(np.uint8)
    engine = PlainEngine(open_model(bundled_folder() / name).load(), torch.device("cpu"))
    return probabilities(engine.logits(windows)).mean(0)


def test_every_bundled_model_has_golden_values() -> None:
    assert sorted(GOLDEN) == BUNDLED


def test_there_is_one_default_model() -> None:
    assert [name for name in BUNDLED if open_model(bundled_folder() / name).card.get("default")] == [
        find_model(None).id
    ]


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_is_whole_and_says_what_it_is(name: str) -> None:
    model = open_model(bundled_folder() / name)
    assert model.id == name and available()[name] == model.path
    assert set(model.verify()) >= {"model.safetensors", "tasks.tsv"}
    assert {"licence", "intended_use", "limits", "training", "data", "metrics"} <= set(model.card)
    assert len(model.tasks()) == model.load().n_tasks
    size = sum(path.stat().st_size for path in model.path.iterdir())
    assert size < 40e6


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_predicts_what_it_did(name: str) -> None:
    assert np.abs(predictions(name)[:, ::23] - np.array(GOLDEN[name])).max() < 1e-5


SITES = {  # a mark with a task of its own, and the consensus of its matrix
    "GM12878|CTCF": "TGGCCACCAGGGGGCGCTA",
    "GM12878|SP1": "GGGGCGGGG",
    "GM12878|GABP": "CCCACTTCCTGTTT",
    "GM12878|JunD": "TGATGACTCATCC",
    "GM12878|PU.1": "AAAAAGAGGAAGTGGAA",
    "GM12878|Nrf1": "GCCTGCGCCTGCGCG",
}


@pytest.mark.parametrize("mark", SITES)
def test_the_default_model_knows_the_motif(mark: str) -> None:
    """A site in the middle of random DNA raises its factor's task above the same bases shuffled, on average."""
    model = find_model(None)
    task = next(task.index for task in model.tasks() if task.name == mark)
    random, site = np.random.default_rng(1), encode(SITES[mark].encode())
    windows = random.integers(0, 4, (64, 1000)).astype(np.uint8)
    sites, shuffled = windows.copy(), windows.copy()
    place = slice(500 - len(site) // 2, 500 - len(site) // 2 + len(site))
    sites[:, place] = site
    shuffled[:, place] = random.permuted(np.tile(site, (64, 1)), axis=1)
    logits = PlainEngine(model.load(), torch.device("cpu")).logits(np.concatenate([sites, shuffled])).mean(0)[:, task]
    raised = (logits[:64] - logits[64:]) / np.log(2)
    assert raised.mean() > 0.5 and (raised > 0).mean() > 0.7
