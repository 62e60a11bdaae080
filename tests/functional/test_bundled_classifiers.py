"""The classifiers and backgrounds that come with models: whole, honest on their cards, and without the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from varscore.scoring.classifier import off_because, open_classifier
from varscore.scoring.evalue import BACKGROUND, load_background
from varscore.zoo.models import open_model
from varscore.zoo.shelf import CLASSIFIERS as OF_MODELS
from varscore.zoo.shelf import bundled_folder

MODELS = sorted(path.parent for path in bundled_folder().glob("*/card.toml"))
CLASSIFIERS = sorted(path.parent for path in bundled_folder().glob(f"*/{OF_MODELS}/*/card.toml"))


@pytest.mark.parametrize("folder", CLASSIFIERS, ids=lambda path: f"{path.parents[1].name}-{path.name}")
def test_a_classifier_is_its_model_s_and_says_how_good_it_is(folder: Path) -> None:
    classifier = open_classifier(folder)
    classifier.check(open_model(folder.parents[1]))
    card, ensemble = classifier.card, classifier.load()
    assert classifier.id == folder.name
    assert {"intended_use", "positives", "negatives", "limits", "licence"} <= card.keys()
    figures = card["metrics"]["cross-validation"]["all"]
    assert classifier.is_on == card["on_by_default"] == ("off_because" not in card)
    assert not card["on_by_default"] or off_because(card["metrics"]) == ""
    assert figures["auroc_low"] <= figures["auroc"] <= figures["auroc_high"]
    assert (figures["positives"], figures["negatives"]) == (card["data"]["positives"], card["data"]["negatives"])
    assert not (folder / "predictions.tsv").exists()  # it would be a copy of the variants
    features = np.random.default_rng(0).normal(0, 0.1, (20, classifier.width)).astype(np.float32)
    probability = ensemble.probabilities(features)
    assert ((probability > 0) & (probability < 1)).all() and len(np.unique(probability)) > 1


@pytest.mark.parametrize("folder", MODELS, ids=lambda path: path.name)
def test_a_background_and_the_card_say_the_same(folder: Path) -> None:
    model = open_model(folder)
    path = folder / BACKGROUND
    assert path.is_file() == ("background" in model.card)
    if path.is_file():
        background = load_background(path, model.sha256, model.config().n_tasks)
        said = model.card["background"]
        assert (said["alleles"], said["sha256"]) == (background.n, background.sha256)
        assert background.n > 1000
