"""A classifier's folder: what it holds, what reads it, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import xgboost
from made_model import GOOD, TASKS, make_model

from varscore.errors import ModelError, UsageError
from varscore.functional.trees import Settings, fit
from varscore.scoring.classifier import (
    Classifier,
    Ensemble,
    find_classifiers,
    off_because,
    open_classifier,
    save_classifier,
)
from varscore.scoring.features import Preparation
from varscore.scoring.platt import Platt
from varscore.zoo.card import write_card
from varscore.zoo.models import ModelFolder
from varscore.zoo.shelf import CLASSIFIERS

NAMES = ("a", "b")
FEATURES = {"tasks": 39, "conservation": list(NAMES)}  # 2 x 39 + 2 = 80


@pytest.fixture(scope="module")
def ensemble(planted: tuple[np.ndarray, np.ndarray]) -> Ensemble:
    return fit(*planted, NAMES, Settings(trees=20))


@pytest.fixture
def saved(tmp_path: Path, ensemble: Ensemble) -> Classifier:
    return save_classifier(tmp_path / "mine", ensemble, {"features": FEATURES, "on_by_default": True})


def test_plain_xgboost_gives_identical_probabilities(
    saved: Classifier, ensemble: Ensemble, planted: tuple[np.ndarray, np.ndarray]
) -> None:
    raw, _ = planted
    booster = xgboost.Booster(model_file=str(saved.path / "classifier.json"))
    scaler = json.loads((saved.path / "scaler.json").read_text())
    prepared = ((np.abs(raw) - np.array(scaler["mean"])) / np.array(scaler["scale"])).astype(np.float32)
    plain = booster.predict(xgboost.DMatrix(prepared))
    np.testing.assert_allclose(saved.load().probabilities(raw), plain, rtol=1e-6)
    np.testing.assert_array_equal(ensemble.probabilities(raw), saved.load().probabilities(raw))
    assert np.std(plain) > 0.1


def test_settings_reach_the_trees(planted: tuple[np.ndarray, np.ndarray]) -> None:
    settings = Settings(trees=3, depth=2, eta=0.5, max_delta_step=0.01)
    learner = json.loads(fit(*planted, (), settings).models[0])["learner"]
    trees = learner["gradient_booster"]["model"]["trees"]
    assert len(trees) == 3 and max(len(tree["left_children"]) for tree in trees) == 7
    leaves = [v for tree in trees for v, left in zip(tree["split_conditions"], tree["left_children"]) if left < 0]  # noqa: B905
    assert max(np.abs(leaves)) <= 0.5 * 0.01 + 1e-9
    assert Settings() == Settings(trees=300, depth=6, eta=0.05, max_delta_step=1)  # DanQ's


def test_rows_do_not_depend_on_their_batch(ensemble: Ensemble, planted: tuple[np.ndarray, np.ndarray]) -> None:
    raw, _ = planted
    whole = ensemble.probabilities(raw)
    pieces = [ensemble.probabilities(raw[first : first + 7]) for first in range(0, 600, 7)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))
    assert ensemble.probabilities(raw[:0]).shape == (0,)


def test_an_ensemble_travels_to_another_process(ensemble: Ensemble, planted: tuple[np.ndarray, np.ndarray]) -> None:
    raw, _ = planted
    before = ensemble.probabilities(raw)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ensemble)).probabilities(raw), before)


def test_probabilities_of_several_models_are_averaged(planted: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    raw, label = planted
    first, second = (fit(raw[rows], label[rows], NAMES, Settings(trees=5)) for rows in (slice(300), slice(300, 600)))
    both = Ensemble(first.preparation, (*first.models, *second.models))
    saved = save_classifier(tmp_path / "two", both, {"features": FEATURES})
    assert {"classifier.0.json", "classifier.1.json", "scaler.json"} == set(saved.card["files"])
    each = [Ensemble(first.preparation, one.models).probabilities(raw) for one in (first, second)]
    np.testing.assert_allclose(saved.load().probabilities(raw), np.mean(each, 0), rtol=1e-6)


def test_gain_goes_to_the_planted_features(planted: tuple[np.ndarray, np.ndarray], ensemble: Ensemble) -> None:
    gains = ensemble.gains()
    assert gains.sum() == pytest.approx(1)
    assert set(np.argsort(-gains)[:3]) == {3, 17, 62}


@pytest.mark.parametrize("name", ["classifier.json", "scaler.json"])
def test_a_damaged_file_is_refused(saved: Classifier, name: str) -> None:
    content = bytearray((saved.path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (saved.path / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} does not have the checksum"):
        saved.load()
    (saved.path / name).unlink()
    with pytest.raises(ModelError, match=f"cannot read '{name}'"):
        saved.load()


def test_trees_of_another_width_are_refused_though_the_checksum_fits(tmp_path: Path, ensemble: Ensemble) -> None:
    narrow = Preparation(np.zeros(0), np.zeros(6), np.ones(6))
    saved = save_classifier(
        tmp_path / "x", Ensemble(narrow, ensemble.models), {"features": {"tasks": 3, "conservation": []}}
    )
    with pytest.raises(ModelError, match="80 features instead of 6"):
        saved.load()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"kind": "chromatin"},
        {"id": 3},
        {"files": {}},
        {"files": {"a": "b", "c": "d"}},
        {"features": {"tasks": "3", "conservation": []}},
        {"features": []},
    ],
)
def test_another_card_is_refused(saved: Classifier, change: dict[str, Any]) -> None:
    (saved.path / "card.toml").write_text(tomli_w.dumps({**saved.card, **change}))
    with pytest.raises(ModelError, match="not a classifier's card"):
        open_classifier(saved.path)


def test_no_card_and_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it has no card.toml"):
        open_classifier(tmp_path)
    (tmp_path / "card.toml").write_text("id = ")
    with pytest.raises(ModelError, match="damaged card"):
        open_classifier(tmp_path)


def test_a_card_cannot_name_a_file_elsewhere(saved: Classifier, tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text("{}")
    card = {**saved.card, "files": {"../outside.json": "0" * 64, "scaler.json": saved.card["files"]["scaler.json"]}}
    (saved.path / "card.toml").write_text(tomli_w.dumps(card))
    with pytest.raises(ModelError, match="a file outside its folder"):
        open_classifier(saved.path).load()


# -- whose they are --------------------------------------------------------------------------------------------------


@pytest.fixture
def owner(tmp_path: Path) -> ModelFolder:
    """A model of three tasks with the classifiers ``on`` and ``off``."""
    model = make_model(tmp_path / "models" / "owner")
    features = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    trees = fit(features, features[:, 0] > 0, (), Settings(trees=2))
    for name in ("on", "off"):
        facts = {
            "features": {"tasks": 3, "conservation": []},
            "model": {"id": model.id, "sha256": model.sha256},
            "on_by_default": name == "on",
            "metrics": GOOD,
        }
        save_classifier(model.path / CLASSIFIERS / name, trees, facts)
    return model


def test_those_that_are_on_come_by_themselves_and_others_by_name(owner: ModelFolder, tmp_path: Path) -> None:
    assert [one.id for one in find_classifiers(owner, None)] == ["on"]
    assert [one.id for one in find_classifiers(owner, ["off", "on", "off"])] == ["off", "on"]
    assert [one.id for one in find_classifiers(owner, [str(owner.path / CLASSIFIERS / "off")])] == ["off"]
    assert find_classifiers(owner, []) == ()
    with pytest.raises(ModelError, match="no classifier 'of'; owner has off, on"):
        find_classifiers(owner, ["of"])


def test_another_model_s_classifier_is_refused(owner: ModelFolder, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", seed=8)
    with pytest.raises(ModelError, match="belongs to another model.*made with owner"):
        find_classifiers(other, [str(owner.path / CLASSIFIERS / "on")])
    wide = make_model(tmp_path / "wide", TASKS * 2)
    found = open_classifier(owner.path / CLASSIFIERS / "on")
    with pytest.raises(ModelError, match="wants a model of 3 tasks.*wide has 6"):
        Classifier(found.path, {**found.card, "model": {}}).check(wide)


@pytest.mark.parametrize(
    ("name", "column"), [("gwas", "p_gwas"), ("raqtl-k562", "p_raqtl_k562"), ("My.Own 2", "p_my_own_2")]
)
def test_tags_are_spelt_so_that_a_vcf_takes_them(owner: ModelFolder, tmp_path: Path, name: str, column: str) -> None:
    ensemble = open_classifier(owner.path / CLASSIFIERS / "on").load()
    saved = save_classifier(tmp_path / name, ensemble, {"features": {"tasks": 3, "conservation": []}})
    assert saved.column == column


def test_two_classifiers_of_one_tag_are_refused(owner: ModelFolder, tmp_path: Path) -> None:
    shutil.copytree(owner.path / CLASSIFIERS / "on", tmp_path / "again")
    with pytest.raises(UsageError, match="two classifiers share the tag VS_P_ON"):
        find_classifiers(owner, ["on", str(tmp_path / "again")])


@pytest.mark.parametrize(
    ("table", "change", "reason"),
    [
        (("cross-validation", "all"), {"auroc_low": 0.55}, "AUROC is not all above 0.55: 0.700 (0.550-0.800)"),
        (("calibration",), {"brier_high": 0.25}, "Brier score is not all below 0.25, a constant's: 0.2000 (0.1900-"),
        (("calibration",), {"brier_high": None}, "are not on its card"),
        (("cross-validation", "all"), {"auroc_low": float("nan")}, "AUROC is not all above 0.55"),
    ],
)
def test_only_a_good_and_calibrated_classifier_is_on(
    owner: ModelFolder, table: tuple[str, ...], change: dict[str, float | None], reason: str
) -> None:
    """Whatever its card says of being on: what was measured decides."""
    path = owner.path / CLASSIFIERS / "on"
    assert off_because(open_classifier(path).card["metrics"]) == "" and open_classifier(path).is_on
    card = tomllib.loads((path / "card.toml").read_text())
    within = card["metrics"]
    for key in table:
        within = within[key]
    within |= change
    card["metrics"]["calibration"] = {k: v for k, v in card["metrics"]["calibration"].items() if v is not None}
    write_card(path, card)
    assert reason in off_because(card["metrics"])
    assert find_classifiers(owner, None) == () and [one.id for one in find_classifiers(owner, ["on"])] == ["on"]


def test_a_calibration_goes_with_a_classifier(
    tmp_path: Path, ensemble: Ensemble, planted: tuple[np.ndarray, np.ndarray]
) -> None:
    raw, _ = planted
    plain = save_classifier(tmp_path / "a" / "x", ensemble, {"features": FEATURES})
    calibrated = dataclasses.replace(ensemble, calibration=Platt(0.5, -1.0))
    saved = save_classifier(tmp_path / "b" / "x", calibrated, {"features": FEATURES})
    assert saved.sha256 != plain.sha256, "whoever carries on with a run must have the same"
    odds = np.log(1 / (1 / ensemble.probabilities(raw).astype(float) - 1))
    assert saved.load().probabilities(raw) == pytest.approx(1 / (1 + np.exp(1 - 0.5 * odds)), rel=1e-5)
    assert pickle.loads(pickle.dumps(calibrated)).calibration == Platt(0.5, -1.0)
    write_card(saved.path, {**saved.card, "calibration": {"method": "platt", "slope": "1"}})
    with pytest.raises(ModelError, match="not a calibration"):
        open_classifier(saved.path).load()


def test_the_mean_of_several_is_taken_of_probabilities(
    ensemble: Ensemble, planted: tuple[np.ndarray, np.ndarray]
) -> None:
    raw, labels = planted
    other = fit(raw, labels, NAMES, Settings(trees=4, depth=2))
    both = Ensemble(ensemble.preparation, (*ensemble.models, *other.models))
    parts = (Ensemble(ensemble.preparation, models) for models in (ensemble.models, other.models))
    mean = np.mean([part.probabilities(raw).astype(float) for part in parts], 0)
    assert both.probabilities(raw) == pytest.approx(mean, rel=1e-6)
