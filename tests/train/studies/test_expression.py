"""Series of a cross-validation, against SciPy and against what each model predicts by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import pearsonr

from varscore.train.studies.expression import Series


def series(n: int, noise: float) -> Series:
    random = np.random.default_rng(0)
    truth = random.normal(7, 3, (n, 3)).astype(np.float32)
    predicted = (truth + random.normal(0, noise, truth.shape)).astype(np.float32)
    truth[:5, 1] = np.nan
    predicted[:, 2] = 4.0
    return Series("made", truth, predicted, 0)


def test_r_is_scipys_over_the_genes_whose_value_is_known() -> None:
    made = series(60, 4.0)
    assert made.r[0] == pytest.approx(pearsonr(made.truth[:, 0], made.predicted[:, 0])[0], abs=1e-6)
    assert made.r[1] == pytest.approx(pearsonr(made.truth[5:, 1], made.predicted[5:, 1])[0], abs=1e-6)
    assert math.isnan(made.r[2])


def test_chance_is_what_a_random_order_of_genes_leaves() -> None:
    """r of n independent pairs has a standard deviation of 1 / sqrt(n - 1); 5 % exceed 1.645 of it."""
    for n in (50, 400):
        found = series(n, 1.0).chance()
        assert found[0] == pytest.approx(1.645 / math.sqrt(n - 1), rel=0.12)
        assert math.isnan(found[2])
