"""Effects against numbers worked out by hand and against DeepSEA's own formula."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from varscore.nets.objectives import make_objective
from varscore.scoring.effects import effects, strongest

LOGITS = hnp.arrays(np.float32, (2, 3, 4), elements=st.floats(-8, 8, width=32))
ODDS_3 = math.log(3)  # the logit of 0.75


def one(forward: float, reverse: float) -> np.ndarray:
    """Logits of one window and one task."""
    return np.array([[[forward]], [[reverse]]], np.float32)


def test_effects_by_hand() -> None:
    # forward strand: 0.5 -> 0.75, odds 1 -> 3; reverse strand: 0.75 -> 0.25, odds 3 -> 1/3
    found = effects(one(0, ODDS_3), one(ODDS_3, -ODDS_3))
    assert found.ref[0, 0] == pytest.approx((0.5 + 0.75) / 2)
    assert found.alt[0, 0] == pytest.approx((0.75 + 0.25) / 2)
    assert found.diff[0, 0] == pytest.approx((0.25 - 0.5) / 2)
    assert found.logodds[0, 0] == pytest.approx((math.log2(3) - 2 * math.log2(3)) / 2)
    # the strands are averaged after the subtraction: the log-odds of mean probabilities would be something else
    assert found.logodds[0, 0] != pytest.approx(math.log2(1) - math.log2(0.625 / 0.375), abs=0.01)
    assert len(found) == 1
    assert {column.dtype for column in (found.ref, found.alt, found.diff, found.logodds)} == {np.dtype(np.float32)}


def exact(logit: float) -> Decimal:
    """The probability to 60 digits."""
    with localcontext(prec=60):
        return 1 / (1 + (-Decimal(logit)).exp())


def test_saturated_predictions_keep_their_log_odds_and_differences() -> None:
    found = effects(one(40, 100), one(60, 90))
    assert (found.ref[0, 0], found.alt[0, 0]) == (1, 1)
    assert found.logodds[0, 0] == pytest.approx((20 - 10) / 2 / math.log(2), rel=1e-6)
    assert found.diff[0, 0] == pytest.approx(math.exp(-40) / 2, rel=1e-6)
    low = effects(one(-200, -200), one(-100, -100))
    assert (low.ref[0, 0], low.diff[0, 0]) == (0, pytest.approx(math.exp(-100), rel=1e-3, abs=1e-45))
    assert low.logodds[0, 0] == pytest.approx(100 / math.log(2), rel=1e-6)


@given(st.floats(-69, 69, width=32), st.floats(-12, 12, width=32), st.sampled_from([1.0, 1e-3, 1e-6]))
def test_probabilities_and_differences_are_right_to_six_digits(ref: float, change: float, scale: float) -> None:
    """Down to 1e-30, and for effects that are a millionth of the probability: against decimal arithmetic."""
    alt = float(np.float32(max(-69.0, min(69.0, ref + scale * change))))
    found = effects(one(ref, ref), one(alt, alt))
    assert found.ref[0, 0] == pytest.approx(float(exact(ref)), rel=1e-6)
    assert found.alt[0, 0] == pytest.approx(float(exact(alt)), rel=1e-6)
    with localcontext(prec=60):
        difference = float(exact(alt) - exact(ref))
    assert found.diff[0, 0] == pytest.approx(difference, rel=2e-6, abs=1e-37)


def test_a_shift_moves_probabilities_and_leaves_log_odds_alone() -> None:
    goal = make_objective("labels", 1)
    goal.prior_shift = np.array([-math.log(3)], np.float32)
    found = effects(one(0, 0), one(ODDS_3, ODDS_3), goal)  # odds 1 and 3 become 1/3 and 1
    assert (found.ref[0, 0], found.alt[0, 0], found.diff[0, 0]) == (
        pytest.approx(0.25),
        pytest.approx(0.5),
        pytest.approx(0.25),
    )
    assert found.logodds[0, 0] == pytest.approx(math.log2(3))


@given(LOGITS, LOGITS)
def test_moderate_predictions_agree_with_the_published_form(ref: np.ndarray, alt: np.ndarray) -> None:
    p_ref, p_alt = (1 / (1 + np.exp(-logits.astype(np.float64))) for logits in (ref, alt))
    odds = [np.log2(p / (1 - p + 1e-12)) for p in (p_ref, p_alt)]
    found = effects(ref, alt)
    np.testing.assert_allclose(found.ref, p_ref.mean(0), atol=2e-7)
    np.testing.assert_allclose(found.alt, p_alt.mean(0), atol=2e-7)
    np.testing.assert_allclose(found.diff, (p_alt - p_ref).mean(0), atol=2e-7)
    np.testing.assert_allclose(found.logodds, (odds[1] - odds[0]).mean(0), atol=5e-6)


@given(LOGITS, LOGITS)
def test_it_does_not_matter_which_strand_comes_first(ref: np.ndarray, alt: np.ndarray) -> None:
    here, there = effects(ref, alt), effects(ref[::-1], alt[::-1])
    for name in ("ref", "alt", "diff", "logodds"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))


@given(LOGITS, LOGITS)
def test_exchanging_the_alleles_turns_the_effects_round(ref: np.ndarray, alt: np.ndarray) -> None:
    here, there = effects(ref, alt), effects(alt, ref)
    np.testing.assert_array_equal(here.diff, -there.diff)
    np.testing.assert_array_equal(here.logodds, -there.logodds)
    np.testing.assert_array_equal(here.ref, there.alt)


def test_the_strongest_task_has_the_largest_absolute_difference() -> None:
    diff = np.array([[0.1, -0.4, 0.3], [0.2, 0.2, -0.2], [0, 0, 0.1]], np.float32)
    assert strongest(diff, np.arange(3)).tolist() == [1, 0, 2]
    assert strongest(diff, np.array([0, 2])).tolist() == [2, 0, 2]
    assert strongest(diff, np.array([2])).tolist() == [2, 2, 2]
    assert strongest(diff[:0], np.arange(3)).tolist() == []
