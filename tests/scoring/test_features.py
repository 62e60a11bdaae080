"""Features by hand: their order, what is filled in, and what they are standardised with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_model import TASKS, variants_at

from varscore.errors import ModelError
from varscore.formats.bigwig import BigWig
from varscore.scoring.effects import Effects
from varscore.scoring.features import DEEPSEA_CONSERVATION, Preparation, Tracks, class_of_features, raw_features


def effects(rows: int, tasks: int, seed: int = 0) -> Effects:
    return Effects(*np.random.default_rng(seed).normal(size=(4, rows, tasks)).astype(np.float32))


def test_log_odds_come_first_then_differences_then_conservation() -> None:
    found, scores = effects(5, 3), np.arange(10, dtype=np.float32).reshape(5, 2)
    raw = raw_features(found, scores)
    assert raw.shape == (5, 8) and raw.dtype == np.float32
    np.testing.assert_array_equal(raw[:, :3], found.logodds)
    np.testing.assert_array_equal(raw[:, 3:6], found.diff)
    np.testing.assert_array_equal(raw[:, 6:], scores)
    named = class_of_features(TASKS, ("a", "b"))
    assert [block for block, _, _ in named] == ["logodds"] * 3 + ["diff"] * 3 + ["conservation"] * 2
    assert named[4] == ("diff", "DNase", "1:K562|DNase|None")


def test_deepsea_s_features_are_1842() -> None:
    raw = raw_features(effects(1, 919), np.full((1, len(DEEPSEA_CONSERVATION)), np.nan))
    assert raw.shape[1] == 1842
    assert list(DEEPSEA_CONSERVATION.values()) == [0.115, -0.033, 1.909, -0.200]


def test_missing_scores_are_filled_in_before_the_sign_goes() -> None:
    names = ("GERP_rejected", "mine")
    raw = np.array([[1, -2, np.nan, -1], [-3, 4, 2, np.nan], [5, -6, np.nan, 3], [1, 1, -4, 9]], np.float32)
    made = Preparation.fit(raw, names)
    assert made.fill.tolist() == [-0.2, 3]
    absolute = np.array([[1, 2, 0.2, 1], [3, 4, 2, 3], [5, 6, 0.2, 3], [1, 1, 4, 9]])
    np.testing.assert_allclose(made.mean, absolute.mean(0), rtol=1e-6)
    np.testing.assert_allclose(made.scale, absolute.std(0), rtol=1e-6)
    np.testing.assert_allclose(made.apply(raw), (absolute - absolute.mean(0)) / absolute.std(0), rtol=1e-5)
    assert np.isnan(raw[0, 2]), "the caller's features are left alone"


def test_other_variants_are_prepared_with_the_training_set_s_numbers() -> None:
    made = Preparation.fit(np.array([[1], [-3]], np.float32), ())
    assert made.apply(np.array([[-5]], np.float32)).tolist() == [[3]]  # mean 2, deviation 1


def test_a_constant_feature_does_not_divide_by_zero() -> None:
    made = Preparation.fit(np.ones((3, 1), np.float32), ())
    assert made.apply(np.array([[1], [-2]], np.float32)).tolist() == [[0], [1]]


def test_a_preparation_comes_back_bit_for_bit() -> None:
    raw = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    made = Preparation.fit(raw, ("x",))
    again = Preparation.parse(made.text().encode(), 5, 1, "here")
    np.testing.assert_array_equal(made.apply(raw), again.apply(raw))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"fill": [], "mean": [0, 0]}',
        b'{"fill": [], "mean": [0], "scale": [1]}',
        b'{"fill": [1], "mean": [0, 0], "scale": [1, 1]}',
        b'{"fill": [], "mean": [0, NaN], "scale": [1, 1]}',
        b'{"fill": [], "mean": [0, 0], "scale": [1, 0]}',
        b'{"fill": [], "mean": [0, "x"], "scale": [1, 1]}',
    ],
)
def test_a_damaged_preparation_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="here"):
        Preparation.parse(content, 2, 0, "here")


def test_tracks_are_read_at_the_first_reference_base(tmp_path: Path) -> None:
    pybigtools = pytest.importorskip("pybigtools")
    for name, value in (("a", 2.0), ("b", -1.0)):
        writer = pybigtools.open(str(tmp_path / f"{name}.bw"), "w")
        writer.write({"1": 1000}, iter([("1", 100, 200, value)]))
    tracks = Tracks.open({"b": tmp_path / "b.bw", "a": tmp_path / "a.bw"})
    alleles = variants_at([0, 0, 1, 0], [99, 100, 150, 199]).alleles
    found = tracks.values(alleles, np.array([3, 0, 1, 2]))
    np.testing.assert_array_equal(found, [[-1, 2], [np.nan, np.nan], [-1, 2], [np.nan, np.nan]])
    assert tracks.names == ("b", "a") and isinstance(tracks.files[0][1], BigWig)
    assert Tracks().values(alleles, np.arange(4)).shape == (4, 0)
