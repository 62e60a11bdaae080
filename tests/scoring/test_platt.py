"""Platt's calibration against scikit-learn, and what it makes of honest and of boastful scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from varscore.functional.assess import calibrate
from varscore.scoring.platt import Platt, calibrate_folds


def made(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True log-odds and labels."""
    random = np.random.default_rng(seed)
    odds = random.normal(0, 1.5, n)
    return odds, random.random(n) < 1 / (1 + np.exp(-odds))


def test_coefficients_are_scikit_learn_s() -> None:
    odds, labels = made(3000)
    found = Platt.fit(3 * odds + 1, labels)
    theirs = LogisticRegression(C=1e9, class_weight="balanced", tol=1e-9).fit((3 * odds + 1)[:, None], labels)
    # Platt's targets are a little inside of 0 and 1; with 3,000 examples that is a thousandth
    assert found.slope == pytest.approx(theirs.coef_[0, 0], rel=0.01)
    assert found.intercept == pytest.approx(theirs.intercept_[0], rel=0.01)


@pytest.mark.parametrize("scale", [0.2, 1.0, 8.0])
def test_boasting_and_shy_scores_become_what_they_claim(scale: float) -> None:
    odds, labels = made(6000)
    fold = np.arange(6000) % 5
    probability, whole = calibrate_folds((scale * odds).astype(np.float32), labels, fold)
    assert calibrate(labels, probability, np.arange(6000), 0).ece < 0.03
    assert whole.slope == pytest.approx(1 / scale, rel=0.1)


def test_a_fold_s_own_labels_have_no_part_in_its_probabilities() -> None:
    odds, labels = made(60)
    fold = np.arange(60) % 4 - 1  # the first of four is held out
    before, _ = calibrate_folds(odds, labels, fold)
    turned = np.where(fold == 1, ~labels, labels)
    after, _ = calibrate_folds(odds, turned, fold)
    assert (before[fold == 1] == after[fold == 1]).all() and (before[fold == 2] != after[fold == 2]).all()
    assert np.isnan(before[fold == -1]).all() and np.isfinite(before[fold >= 0]).all()


@pytest.mark.parametrize("scores", [np.zeros(100), -np.linspace(-3, 3, 100), np.full(100, 1e6)])
def test_scores_that_say_nothing_give_the_prior(scores: np.ndarray) -> None:
    labels = np.arange(100) >= 50
    assert Platt.fit(scores, labels).apply(scores.astype(np.float32)) == pytest.approx(np.full(100, 0.5), abs=1e-6)


def test_separable_scores_end_somewhere() -> None:
    found = Platt.fit(np.array([-1.0, -1, 1, 1]), np.array([False, False, True, True]))
    assert found.apply(np.array([-1, 1], np.float32)) == pytest.approx([0.25, 0.75], abs=1e-6)  # Platt's targets


def test_it_comes_back_from_a_card() -> None:
    assert Platt.read(Platt(0.25, -1.5).facts()) == Platt(0.25, -1.5)
    for wrong in ({"slope": -1.0}, {"slope": float("nan")}, {"intercept": "0"}, {"method": "isotonic"}):
        with pytest.raises(ValueError, match="not a calibration"):
            Platt.read(Platt(0.25, -1.5).facts() | wrong)
