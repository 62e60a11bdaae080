"""Measures against scikit-learn, intervals against theory, calibration by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from varscore.functional.assess import Ranking, assess, calibrate, resample
from varscore.scoring.classifier import CONSTANT_BRIER

ROWS = st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.5, 0.7]), st.integers(0, 3)), min_size=2)


@given(ROWS)
def test_weighted_measures_are_scikit_learn_s(rows: list[tuple[bool, float, int]]) -> None:
    labels, scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    assume(0 < (weights * labels).sum() < weights.sum())
    found = Ranking(labels, scores).measures(weights)
    expected = [measure(labels, scores, sample_weight=weights) for measure in (roc_auc_score, average_precision_score)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_one_class_alone_has_no_measure() -> None:
    ranking = Ranking(np.array([True, False]), np.array([0.1, 0.2]))
    assert np.isnan(ranking.measures(np.array([1.0, 0.0]))).all()
    assert ranking.measures() == (0.0, 0.5)


def test_curves_end_where_everything_is_called() -> None:
    random = np.random.default_rng(0)
    labels = random.random(300) < 0.3
    scores = np.round(random.random(300) + labels, 1)
    false, true, precision = Ranking(labels, scores).curves()
    assert (false[-1], true[-1]) == (1, 1) and precision[-1] == pytest.approx(labels.mean())
    area = np.trapezoid(np.append(0, true), np.append(0, false))
    assert area == pytest.approx(roc_auc_score(labels, scores))


def test_the_interval_is_as_wide_as_theory_says() -> None:
    random = np.random.default_rng(1)
    labels = np.arange(1000) < 500
    scores = random.normal(size=1000) + labels
    measures, _, _ = assess(labels, scores, np.arange(1000), seed=0)
    a = measures.auroc.value
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = np.sqrt((a * (1 - a) + 499 * (q1 - a * a) + 499 * (q2 - a * a)) / 500**2)  # Hanley & McNeil 1982
    assert measures.auroc.high - measures.auroc.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert measures.auroc.low < a < measures.auroc.high


def test_what_is_alike_makes_the_interval_wider() -> None:
    """Ten copies of everything are no more evidence than one, when copies are drawn together."""
    random = np.random.default_rng(2)
    labels = np.arange(100) % 2 == 0
    scores = random.normal(size=100) + labels
    one, _, _ = assess(labels, scores, np.arange(100), seed=0)
    ten, _, _ = assess(np.repeat(labels, 10), np.repeat(scores, 10), np.repeat(np.arange(100), 10), seed=0)
    naive, _, _ = assess(np.repeat(labels, 10), np.repeat(scores, 10), np.arange(1000), seed=0)
    assert (one.auroc.low, one.auroc.high) == pytest.approx((ten.auroc.low, ten.auroc.high))
    assert naive.auroc.high - naive.auroc.low < 0.5 * (ten.auroc.high - ten.auroc.low)


def test_a_difference_is_paired() -> None:
    random = np.random.default_rng(3)
    labels = np.arange(400) % 2 == 0
    scores = random.normal(size=400) + labels
    worse = scores + random.normal(0, 0.5, 400)
    first, second, difference = assess(labels, scores, np.arange(400), 0, worse)
    assert second is not None and difference is not None
    assert difference.value == pytest.approx(first.auroc.value - second.auroc.value)
    assert second.auroc.value == pytest.approx(roc_auc_score(labels, worse))
    assert difference.high - difference.low < 0.7 * (first.auroc.high - first.auroc.low)


def test_clusters_are_drawn_whole() -> None:
    clusters = np.array([7, 7, 3, 9, 3])
    for weights in resample(clusters, seed=0, times=20):
        assert weights[0] == weights[1] and weights[2] == weights[4]
        assert weights[0] + weights[2] + weights[3] == 3


def test_calibration_by_hand() -> None:
    labels = np.array([True, False, True, True])
    probabilities = np.array([0.25, 0.29, 0.8, 1.0])
    found = calibrate(labels, probabilities, np.arange(4), seed=0)  # the negative weighs 1/2, each positive 1/6
    assert found.predicted[2] == pytest.approx((0.25 + 3 * 0.29) / 4)
    assert found.observed[2] == pytest.approx(0.25)
    assert np.isfinite(found.predicted).sum() == 3 and found.predicted[9] == 1
    brier = 0.29**2 / 2 + (0.75**2 + 0.2**2 + 0) / 6
    ece = 4 / 6 * abs(0.28 - 0.25) + 1 / 6 * 0.2
    assert (found.brier.value, found.ece) == (pytest.approx(brier), pytest.approx(ece))


def test_a_constant_has_the_brier_score_of_a_constant_however_many_are_drawn() -> None:
    labels = np.arange(50) < 9
    brier = calibrate(labels, np.full(50, 0.5), np.arange(50), seed=0).brier
    assert (brier.value, brier.low, brier.high) == (pytest.approx(CONSTANT_BRIER),) * 3


def test_the_interval_of_brier_scores_is_as_wide_as_theory_says() -> None:
    random = np.random.default_rng(5)
    probabilities = random.random(4000)
    labels = random.random(4000) < probabilities
    brier = calibrate(labels, probabilities, np.arange(4000), seed=0).brier
    squares = (probabilities - labels) ** 2
    error = 0.5 * np.sqrt(sum(squares[side].var() / side.sum() for side in (labels, ~labels)))
    assert brier.high - brier.low == pytest.approx(2 * 1.96 * error, rel=0.12) and brier.low < brier.value < brier.high
    wide = calibrate(labels, probabilities, np.arange(4000) // 100, seed=0).brier
    assert wide.value == brier.value and wide.low != brier.low


def test_true_probabilities_are_calibrated() -> None:
    random = np.random.default_rng(4)
    probabilities = random.random(20_000)
    labels = random.random(20_000) < probabilities
    clusters = np.arange(20_000)
    assert calibrate(labels, probabilities, clusters, 0).ece < 0.02
    assert calibrate(labels, probabilities**3, clusters, 0).ece > 0.1
