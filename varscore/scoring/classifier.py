"""Functional-SNP classifiers: gradient-boosted trees on a model's features, in a folder that nothing is executed from.

``<id>/`` holds

- ``card.toml``        the model it belongs to, its features, how it was made and how good it is, sha256 of the rest
- ``classifier.json``  the trees, as XGBoost writes them (published ensembles: ``classifier.0.json`` ...)
- ``scaler.json``      what the features are prepared with
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varscore.errors import ModelError, UsageError
from varscore.formats.xgbjson import MOST_BYTES, booster_json, parse_booster
from varscore.odds import both_ways
from varscore.scoring.features import Preparation
from varscore.scoring.platt import PRIOR, Platt
from varscore.scoring.tags import classifier_column, tag
from varscore.storage.bounded import demand_plain_name, read_bounded
from varscore.storage.digest import sha256
from varscore.storage.folders import own_name
from varscore.storage.whole import put_file
from varscore.zoo.card import CARD, read_document, write_card
from varscore.zoo.models import ModelFolder
from varscore.zoo.shelf import classifier_folder, classifiers_of

if TYPE_CHECKING:
    from xgboost import Booster

LEAST_AUROC = 0.55
"""What the interval of a classifier's AUROC has to lie above for it to be on by default"""
FORMAT, KIND = 1, "functional-snp"
"""Where, in a model's folder, the classifiers lie that belong to it"""
TREES, SCALER = "classifier.json", "scaler.json"
CONSTANT_BRIER = 0.25
"""Brier score of whoever always says .5, classes weighing the same: no constant has a better one"""


@dataclass(frozen=True)
class Ensemble:
    """Features to a probability: the mean over ``models``, each a whole XGBoost model as JSON, calibrated. Can be
    pickled."""

    preparation: Preparation
    models: tuple[bytes, ...]
    calibration: Platt = Platt()

    def scores(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (n, width) raw features to the log-odds of the trees' mean probability, float32 (n,)"""
        if not len(raw):
            return np.zeros(0, np.float32)
        prepared = self.preparation.apply(raw)
        each = np.stack([booster.inplace_predict(prepared, predict_type="margin") for booster in self._boosters])
        if len(each) == 1:
            return np.asarray(each[0], np.float32)
        positive, negative = (side.mean(0, dtype=np.float64) for side in both_ways(each))
        return np.asarray(np.log(positive) - np.log(negative), np.float32)

    def probabilities(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (n, width) raw features to float32 (n,)"""
        return self.calibration.apply(self.scores(raw))

    def gains(self) -> NDArray[np.float64]:
        """Total gain of each feature over all splits, as shares of 1: float64 (width,)"""
        gain = np.zeros(len(self.preparation.mean))
        for booster in self._boosters:
            for name, value in booster.get_score(importance_type="total_gain").items():
                gain[int(name[1:])] += float(np.sum(value))
        return gain / gain.sum() if gain.any() else gain

    @cached_property
    def _boosters(self) -> list[Booster]:
        from xgboost import Booster  # takes seconds to import

        boosters = [Booster(model_file=bytearray(model)) for model in self.models]
        for booster in boosters:
            booster.set_param({"nthread": 1, "device": "cpu"})
        return boosters

    def __getstate__(self) -> dict[str, object]:
        return {"preparation": self.preparation, "models": self.models, "calibration": self.calibration}


@dataclass(frozen=True)
class Classifier:
    """A classifier's folder whose card has been read."""

    path: Path
    card: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.card["id"])

    @property
    def files(self) -> list[str]:
        """The card and every file that it names."""
        return [str(self.path / name) for name in (CARD, *self.card["files"])]

    @property
    def column(self) -> str:
        """``p_gwas``: its column in a TSV; files.tags makes a VCF's tag of it."""
        return classifier_column(self.id)

    @property
    def conservation(self) -> tuple[str, ...]:
        return tuple(map(str, self.card["features"]["conservation"]))

    @property
    def without(self) -> tuple[int, ...]:
        """Tasks that are no features, ascending."""
        return tuple(sorted({int(task) for task in self.card["features"].get("without", ())}))

    @property
    def width(self) -> int:
        return 2 * (int(self.card["features"]["tasks"]) - len(self.without)) + len(self.conservation)

    @property
    def sha256(self) -> str:
        """Of everything that makes a probability: the identity of the classifier."""
        parts = {name: self.card.get(name) for name in ("files", "features", "calibration")}
        return sha256(json.dumps(parts, sort_keys=True, default=str).encode())

    @property
    def is_on(self) -> bool:
        """Whether it is used without being asked for: its card says so, and what was measured allows it."""
        return bool(self.card.get("on_by_default")) and not off_because(self.card.get("metrics", {}))

    @property
    def meaning(self) -> str:
        """What its probability is, in one line."""
        figures = _table(self.card.get("metrics", {}), "cross-validation", "all")
        known = all(isinstance(figures.get(name), int | float) for name in ("auroc", "auroc_low", "auroc_high"))
        auroc = "AUROC not known"
        if known:
            ends = f"{figures['auroc_low']:.3f} to {figures['auroc_high']:.3f}"
            auroc = f"cross-validated AUROC {figures['auroc']:.3f}, 95% interval {ends}"
        return f"Probability from the classifier {self.id}, for a prior of {PRIOR} (classes weighing the same); {auroc}"

    def load(self) -> Ensemble:
        """Raises ModelError when a file is not what the card says, or is not what it should be."""
        scaler = self._read(SCALER)
        preparation = Preparation.parse(scaler, self.width, len(self.conservation), self.path / SCALER)
        names = sorted(name for name in self.card["files"] if name != SCALER)
        models = []
        for name in names:
            trees = parse_booster(self._read(name), self.width, self.path / name)
            models.append(booster_json(trees, self.width))
        try:
            calibration = Platt.read(self.card["calibration"]) if "calibration" in self.card else Platt()
        except (ValueError, AttributeError) as error:
            raise ModelError("damaged card", where=self.path / CARD, cause=str(error)) from None
        return Ensemble(preparation, tuple(models), calibration)

    def check(self, model: ModelFolder) -> None:
        """Raises ModelError when the classifier was made with the features of another model."""
        made_with, tasks = self.card.get("model", {}), int(self.card["features"]["tasks"])
        if made_with.get("sha256") not in (None, model.sha256):
            raise ModelError(
                f"the classifier {self.id} belongs to another model",
                where=self.path,
                cause=f"it was made with {made_with.get('id')}",
                remedy=f"use that model, or train one for {model.id}",
            )
        if model.config().n_tasks != tasks:
            cause = f"{model.id} has {model.config().n_tasks}"
            raise ModelError(f"the classifier {self.id} wants a model of {tasks} tasks", where=self.path, cause=cause)

    def _read(self, name: str) -> bytes:
        demand_plain_name(name, self.path / CARD)
        try:
            content = read_bounded(self.path / name, MOST_BYTES)
        except (OSError, ValueError) as error:
            raise ModelError(f"cannot read {name!r}", where=self.path, cause=str(error)) from None
        if sha256(content) != self.card["files"].get(name):
            raise ModelError(
                f"{name} does not have the checksum on the card",
                where=self.path,
                cause="a damaged copy, or an edited file",
                remedy="copy the classifier again",
            )
        return content


def save_classifier(folder: Path, ensemble: Ensemble, facts: Mapping[str, object]) -> Classifier:
    """Write a classifier's folder, named as it is to be called; what is there of another one is replaced.

    ``facts``: the rest of the card, with ``features`` (tasks, conservation) among it. Raises OutputError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    one = len(ensemble.models) == 1
    names = [TREES if one else f"classifier.{number}.json" for number in range(len(ensemble.models))]
    contents = dict(zip(names, ensemble.models, strict=True)) | {SCALER: ensemble.preparation.text().encode()}
    for name, content in contents.items():
        put_file(folder / name, content)
    sums = {name: sha256(content) for name, content in contents.items()}
    calibration = {"calibration": ensemble.calibration.facts()} if ensemble.calibration != Platt() else {}
    write_card(folder, {"format": FORMAT, "kind": KIND, "id": own_name(folder), "files": sums, **calibration, **facts})
    return open_classifier(folder)


def open_classifier(folder: Path) -> Classifier:
    """Read a classifier's card. Raises ModelError when there is none, or it is something else's."""
    path = folder / CARD
    card = read_document(path, "classifier")
    features = card.get("features")
    whole = (
        (card.get("format"), card.get("kind")) == (FORMAT, KIND)
        and isinstance(card.get("id"), str)
        and isinstance(card.get("files"), dict)
        and len(card["files"]) > 1
        and SCALER in card["files"]
        and isinstance(features, dict)
        and isinstance(features.get("tasks"), int)
        and _are_tasks(features.get("without", []), features["tasks"])
        and isinstance(features.get("conservation"), list)
    )
    if not whole:
        raise ModelError("not a classifier's card, or not one this varscore can read", where=path)
    return Classifier(folder, card)


def off_because(metrics: Mapping[str, object]) -> str:
    """The one place that judges classifiers: why one with these metrics on its card is not on by default; empty for one
    that is. It has to be better than chance by a margin, and its probabilities better than a constant, intervals
    included.
    """
    auroc, found = _table(metrics, "cross-validation", "all"), _table(metrics, "calibration")
    low, high = auroc.get("auroc_low"), found.get("brier_high")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return "its AUROC and Brier score, with intervals, are not on its card"
    if not low > LEAST_AUROC:
        interval = f"{auroc.get('auroc', low):.3f} ({low:.3f}-{auroc.get('auroc_high', low):.3f})"
        return f"the 95 % interval of its AUROC is not all above {LEAST_AUROC}: {interval}"
    if not high < CONSTANT_BRIER:
        interval = f"{found.get('brier', high):.4f} ({found.get('brier_low', high):.4f}-{high:.4f})"
        return f"the 95 % interval of its Brier score is not all below {CONSTANT_BRIER}, a constant's: {interval}"
    return ""


def _table(card: object, *keys: str) -> Mapping[str, Any]:
    """A table within tables; empty when it is not there."""
    for key in keys:
        card = card.get(key, {}) if isinstance(card, Mapping) else {}
    return card if isinstance(card, Mapping) else {}


def _are_tasks(found: object, tasks: int) -> bool:
    return isinstance(found, list) and all(type(task) is int and 0 <= task < tasks for task in found)


def find_classifiers(model: ModelFolder, names: Sequence[str] | None) -> tuple[Classifier, ...]:
    """Classifiers by name or folder; None: those of the model that its cards say are on by default.

    Raises ModelError when there is none of that name, or it belongs to another model; UsageError when two would share a
    tag.
    """
    if names is None:
        found = [open_classifier(path) for path in classifiers_of(model.path).values()]
        found = [classifier for classifier in found if classifier.is_on]
    else:
        found = [open_classifier(classifier_folder(model.path, name)) for name in dict.fromkeys(names)]
    columns: dict[str, Classifier] = {}
    for classifier in found:
        classifier.check(model)
        other = columns.setdefault(classifier.column, classifier)
        if other is not classifier:
            raise UsageError(
                f"two classifiers share the tag {tag(classifier.column)}",
                where=f"{other.path}, {classifier.path}",
                remedy="leave one out, or rename its folder and the id on its card",
            )
    return tuple(found)
