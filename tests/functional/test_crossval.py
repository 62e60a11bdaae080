"""Folds: every variant in one, every locus in one, weights that balance, and what cross-validation finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from varscore.errors import DataError
from varscore.functional.crossval import assign_folds, loci
from varscore.functional.flow import cross_validate
from varscore.functional.trees import Settings
from varscore.scoring.platt import balanced_weights

PLACES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 200_000), st.booleans()), min_size=4, max_size=80, unique=True
)


@given(PLACES, st.integers(2, 10), st.integers(0, 5))
def test_no_locus_is_in_two_folds_and_every_variant_in_one(
    places: list[tuple[int, int, bool]], folds: int, seed: int
) -> None:
    contig, start = (np.array([place[i] for place in places]) for i in (0, 1))
    labels = np.array([place[2] for place in places])
    groups = loci(contig, start)
    try:
        fold = assign_folds(groups, labels, folds, seed)
    except DataError:
        assume(False)
    assert fold.shape == labels.shape
    assert set(np.unique(fold)) == set(range(fold.max() + 1)) and fold.max() < folds
    near = (contig[:, None] == contig) & (np.abs(start[:, None] - start) <= 10_000)
    assert (fold[:, None] == fold)[near].all()
    for test in range(fold.max() + 1):
        assert 0 < labels[fold != test].sum() < np.sum(fold != test)


def test_a_locus_ends_where_nothing_is_near() -> None:
    contig = np.array([0, 0, 0, 0, 1, 0])
    start = np.array([0, 10_000, 20_000, 30_001, 20_000, 100_000])
    assert loci(contig, start).tolist() == [0, 0, 0, 1, 3, 2]
    assert loci(contig, start, span=9_999).tolist() == [0, 1, 2, 3, 5, 4]


def test_folds_share_both_classes_about_evenly() -> None:
    random = np.random.default_rng(0)
    groups, labels = random.integers(0, 300, 5000), random.random(5000) < 0.1
    fold = assign_folds(groups, labels, 10, seed=0)
    for one in (labels, ~labels):
        counts = np.bincount(fold[one], minlength=10)
        assert counts.min() > 0.7 * counts.mean()


@pytest.mark.parametrize(
    ("groups", "labels", "message"),
    [
        ([0, 0, 0], [1, 0, 1], "all 3 variants lie in one locus"),
        ([0, 0, 1, 2], [1, 1, 0, 0], "only one class is left to train on"),
    ],
)
def test_what_cannot_be_cross_validated_is_said(groups: list[int], labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        assign_folds(np.array(groups), np.array(labels, bool), 5, 0)


@given(st.lists(st.booleans(), min_size=2, max_size=50))
def test_weights_balance(labels: list[bool]) -> None:
    label = np.array(labels)
    assume(0 < label.sum() < len(label))
    weights = balanced_weights(label)
    assert weights[label].sum() == pytest.approx(weights[~label].sum(), rel=1e-5)
    assert weights.mean() == pytest.approx(1, rel=1e-5)


def auroc(features: np.ndarray, label: np.ndarray) -> float:
    fold = assign_folds(np.arange(len(label)), label, 5, seed=0)
    predicted = cross_validate(features, label, fold, (), Settings(trees=60, max_bin=32))
    assert np.isfinite(predicted).all()
    return float(roc_auc_score(label, predicted))


def test_a_planted_signal_is_found(planted: tuple[np.ndarray, np.ndarray]) -> None:
    assert auroc(*planted) >= 0.9


def test_shuffled_labels_are_not_learnt(planted: tuple[np.ndarray, np.ndarray]) -> None:
    features, label = planted
    assert 0.4 <= auroc(features, np.random.default_rng(1).permutation(label)) <= 0.6


def test_a_variant_is_never_predicted_by_trees_that_saw_it() -> None:
    """Labels that only a memory could give: each variant's are its own, and its neighbours' the opposite."""
    random = np.random.default_rng(2)
    features = random.normal(size=(200, 3)).astype(np.float32)
    twins = np.repeat(np.arange(100), 2)  # two copies of a row, both with the label of their group
    features[1::2], label = features[::2], np.repeat(random.random(100) < 0.5, 2)
    apart = cross_validate(features, label, np.arange(200) % 2, (), Settings(trees=40))
    together = cross_validate(features, label, assign_folds(twins, label, 5, 0), (), Settings(trees=40))
    assert roc_auc_score(label, apart) > 0.95  # the twin is in the training set
    assert roc_auc_score(label, together) < 0.7


def test_what_is_held_out_takes_no_part(planted: tuple[np.ndarray, np.ndarray]) -> None:
    features, label = planted
    fold = np.where(np.arange(600) < 100, -1, np.arange(600) % 3)
    predicted = cross_validate(features, label, fold, (), Settings(trees=5))
    assert np.isnan(predicted[:100]).all()
    alone = cross_validate(features[100:], label[100:], fold[100:], (), Settings(trees=5))
    np.testing.assert_array_equal(predicted[100:], alone)
