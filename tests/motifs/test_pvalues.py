"""p of scores against counting all words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from motifs.made_motifs import motif, random_motif

from varscore.formats.motifs import Motif
from varscore.motifs.pvalues import Model, both_strands, scaled

BACKGROUNDS = [(0.25, 0.25, 0.25, 0.25), (0.3, 0.2, 0.2, 0.3)]


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("width", [1, 2, 4, 6])
def test_p_is_the_share_of_all_words_that_score_as_high(width: int, background: tuple[float, ...]) -> None:
    made = random_motif("m", width, np.random.default_rng(width))
    matrix, model = scaled(made, background), Model.of(made, background)
    scores, chances = [], []
    for word in itertools.product(range(4), repeat=width):
        scores.append(sum(int(matrix[column, base]) for column, base in enumerate(word)))
        chances.append(np.prod([background[base] for base in word]))
    expected = [sum(c for s, c in zip(scores, chances, strict=True) if s >= score) for score in scores]
    assert model.p(np.array(scores)) == pytest.approx(expected, rel=1e-9)
    assert model.p(np.array([min(scores) - 5]))[0] == pytest.approx(1)
    for p in (0.5, 0.01, 1e-3):
        passing = [score for score, chance in zip(scores, expected, strict=True) if chance <= p * (1 + 1e-12)]
        assert model.cut(p) > max([s for s in scores if s not in passing], default=-(10**6))
        assert all(score >= model.cut(p) for score in passing)
        assert bool(passing) == (model.best_p <= p)


def test_small_p_keep_their_digits() -> None:
    """The best of 4^30 words: 1 - a cumulative sum would say 0."""
    model = Model.of(motif("m", "ACGTTGCATG" * 3, 0.97))
    assert model.best_p == pytest.approx(0.25**30, rel=1e-9)


def test_scores_are_hundredths_of_log_odds() -> None:
    made = Motif("m", "m", np.array([[1.0, 0, 0, 0]]), 16.0)
    assert scaled(made).tolist() == [[round(100 * np.log2(17 / 20 / 0.25)), *[round(100 * np.log2(1 / 20 / 0.25))] * 3]]


def test_a_background_is_that_of_both_strands() -> None:
    assert both_strands((0.4, 0.1, 0.2, 0.3)) == pytest.approx((0.35, 0.15, 0.15, 0.35))
