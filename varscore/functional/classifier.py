"""Functional-SNP classifiers: gradient-boosted trees on a model's features, in a folder that nothing is executed from.

``<id>/`` holds

- ``card.toml``        the model it belongs to, its features, how it was made and how good it is, sha256 of the rest
- ``classifier.json``  the trees, as XGBoost writes them (published ensembles: ``classifier.0.json`` ...)
- ``scaler.json``      what the features are prepared with
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from varscore.errors import ModelError, UsageError
from varscore.files.bounded import CARD_BYTES, demand_plain_name, read_bounded
from varscore.files.tags import classifier_column, tag
from varscore.files.whole import put_file
from varscore.files.xgbjson import MOST_BYTES, booster_json, parse_booster
from varscore.functional.crossval import balanced_weights
from varscore.functional.features import Preparation
from varscore.zoo import CARD, ModelFolder, sha256, write_card

if TYPE_CHECKING:
    from xgboost import Booster

FORMAT, KIND = 1, "functional-snp"
FOLDER = "classifiers"
"""Where, in a model's folder, the classifiers lie that belong to it"""
TREES, SCALER = "classifier.json", "scaler.json"


@dataclass(frozen=True)
class Settings:
    """How trees are grown; the defaults of the first four are DanQ's. max_bin: values a feature is split at, at most"""

    trees: int = 300
    depth: int = 6
    eta: float = 0.05
    max_delta_step: float = 1.0
    max_bin: int = 256
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True)
class Ensemble:
    """Features to a probability: the mean over ``models``, each a whole XGBoost model as JSON. Can be pickled."""

    preparation: Preparation
    models: tuple[bytes, ...]

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """float32 (n, width) raw features to float32 (n,)"""
        if not len(raw):
            return np.zeros(0, np.float32)
        prepared = self.preparation.apply(raw)
        each = np.stack([booster.inplace_predict(prepared) for booster in self._boosters])
        return np.asarray(each.mean(0, dtype=np.float32))

    def gains(self) -> np.ndarray:
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

    def __getstate__(self) -> dict[str, Any]:
        return {"preparation": self.preparation, "models": self.models}


def fit(raw: np.ndarray, labels: np.ndarray, conservation: Sequence[str], settings: Settings) -> Ensemble:
    """Grow the trees on raw features, float32 (n, width), and labels, bool (n,); both classes weigh the same."""
    from xgboost import DMatrix, train

    preparation = Preparation.fit(raw, conservation)
    data = DMatrix(
        preparation.apply(raw), labels.astype(np.float32), weight=balanced_weights(labels), nthread=settings.threads
    )
    parameters = {
        "objective": "binary:logistic",
        "base_score": 0.5,
        "tree_method": "hist",
        "device": "cpu",
        "max_depth": settings.depth,
        "eta": settings.eta,
        "max_delta_step": settings.max_delta_step,
        "max_bin": settings.max_bin,
        "seed": settings.seed,
        "nthread": settings.threads,
        "verbosity": 0,
    }
    booster = train(parameters, data, settings.trees)
    return Ensemble(preparation, (bytes(booster.save_raw("json")),))


@dataclass(frozen=True)
class Classifier:
    """A classifier's folder whose card has been read."""

    path: Path
    card: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.card["id"])

    @property
    def column(self) -> str:
        """``p_gwas``: its column in a TSV; files.tags makes a VCF's tag of it."""
        return classifier_column(self.id)

    @property
    def conservation(self) -> tuple[str, ...]:
        return tuple(map(str, self.card["features"]["conservation"]))

    @property
    def width(self) -> int:
        return 2 * int(self.card["features"]["tasks"]) + len(self.conservation)

    @property
    def sha256(self) -> str:
        """Of the trees: the identity of the classifier."""
        names = sorted(name for name in self.card["files"] if name != SCALER)
        return str(self.card["files"][names[0]]) if len(names) == 1 else sha256("".join(map(self._sum, names)).encode())

    def _sum(self, name: str) -> str:
        return str(self.card["files"][name])

    def load(self) -> Ensemble:
        """Raises ModelError when a file is not what the card says, or is not what it should be."""
        scaler = self._read(SCALER)
        preparation = Preparation.parse(scaler, self.width, len(self.conservation), self.path / SCALER)
        names = sorted(name for name in self.card["files"] if name != SCALER)
        models = []
        for name in names:
            trees = parse_booster(self._read(name), self.width, self.path / name)
            models.append(booster_json(trees, self.width))
        return Ensemble(preparation, tuple(models))

    def check(self, model: ModelFolder) -> None:
        """Raises ModelError when the classifier was made with the features of another model."""
        made_with, tasks = self.card.get("model", {}), int(self.card["features"]["tasks"])
        if made_with.get("sha256") not in (None, model.sha256):
            raise ModelError(
                f"the classifier {self.id} belongs to another model", where=self.path,
                cause=f"it was made with {made_with.get('id')}", remedy=f"use that model, or train one for {model.id}",
            )  # fmt: skip
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
                f"{name} does not have the checksum on the card", where=self.path,
                cause="a damaged copy, or an edited file", remedy="copy the classifier again",
            )  # fmt: skip
        return content


def save_classifier(folder: Path, ensemble: Ensemble, facts: Mapping[str, Any]) -> Classifier:
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
    write_card(folder, {"format": FORMAT, "kind": KIND, "id": folder.name, "files": sums, **facts})
    return open_classifier(folder)


def open_classifier(folder: Path) -> Classifier:
    """Read a classifier's card. Raises ModelError when there is none, or it is something else's."""
    path = folder / CARD
    try:
        card = tomllib.loads(read_bounded(path, CARD_BYTES).decode())
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError("not a classifier", where=folder, cause=f"it has no {CARD}") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError("damaged card", where=path, cause=str(error)) from None
    features = card.get("features")
    whole = (
        (card.get("format"), card.get("kind")) == (FORMAT, KIND)
        and isinstance(card.get("id"), str)
        and isinstance(card.get("files"), dict)
        and len(card["files"]) > 1
        and SCALER in card["files"]
        and isinstance(features, dict)
        and isinstance(features.get("tasks"), int)
        and isinstance(features.get("conservation"), list)
    )
    if not whole:
        raise ModelError("not a classifier's card, or not one this varscore can read", where=path)
    return Classifier(folder, card)


def belonging(model: ModelFolder) -> dict[str, Path]:
    """The classifiers in a model's folder: name -> folder."""
    return {card.parent.name: card.parent for card in sorted((model.path / FOLDER).glob(f"*/{CARD}"))}


def find_classifiers(model: ModelFolder, names: Sequence[str] | None) -> tuple[Classifier, ...]:
    """Classifiers by name or folder; None: those of the model that its cards say are on by default.

    Raises ModelError when there is none of that name, or it belongs to another model; UsageError when two would share a
    tag.
    """
    known = belonging(model)
    if names is None:
        found = [open_classifier(path) for path in known.values()]
        found = [classifier for classifier in found if classifier.card.get("on_by_default")]
    else:
        found = [_find(model, known, name) for name in dict.fromkeys(names)]
    columns: dict[str, Classifier] = {}
    for classifier in found:
        classifier.check(model)
        other = columns.setdefault(classifier.column, classifier)
        if other is not classifier:
            raise UsageError(
                f"two classifiers share the tag {tag(classifier.column)}",
                where=f"{other.path}, {classifier.path}",
                remedy="leave one out, or rename its folder and the id on its card",
            )  # fmt: skip
    return tuple(found)


def _find(model: ModelFolder, known: Mapping[str, Path], name: str) -> Classifier:
    if name in known:
        return open_classifier(known[name])
    if Path(name).is_dir():
        return open_classifier(Path(name))
    remedy = f"{model.id} has {', '.join(known) or 'none'}; train one with `varscore train-snp`"
    raise ModelError(f"no classifier {name!r}", remedy=remedy)
