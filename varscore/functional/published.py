"""DanQ's published classifiers, read from the files their authors distribute; nothing of theirs comes with varscore.

A folder (GRASP or GWAS) holds ``model.0`` ... ``model.9``, text dumps of ten folds, and ``scaler.pkl``. Their 1,842
features are the log-odds and the differences of 919 tasks and DeepSEA's four conservation scores.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from varscore import __version__
from varscore.errors import ModelError
from varscore.formats.scalerpickle import read_scaler
from varscore.formats.xgbdump import read_dump
from varscore.formats.xgbjson import booster_json
from varscore.scoring.classifier import Classifier, Ensemble, save_classifier
from varscore.scoring.features import DEEPSEA_CONSERVATION, Preparation
from varscore.storage.atomic import refuse_existing
from varscore.storage.digest import file_sha256
from varscore.zoo.card import CARD
from varscore.zoo.models import ModelFolder

TASKS = 919
PICKLE = "scaler.pkl"


def import_danq(folder: Path, output: Path, model: ModelFolder | None = None, *, force: bool = False) -> Classifier:
    """Write the classifier of a folder as one of varscore's, the probability being the mean over its folds.

    model: the one whose effects it is for, which must have 919 tasks; without, any that has may be used with it.
    Raises ModelError for what is missing or damaged in the folder, OutputExists.
    """
    refuse_existing(str(output / CARD), force=force)
    if model is not None and model.config().n_tasks != TASKS:
        cause = f"{model.id} has {model.config().n_tasks}"
        raise ModelError(f"DanQ's classifiers want a model of {TASKS} tasks", where=model.path, cause=cause)
    dumps = find_dumps(folder)
    names = tuple(DEEPSEA_CONSERVATION)
    width = 2 * TASKS + len(names)
    mean, scale = read_scaler(folder / PICKLE, width)
    models = tuple(booster_json(read_dump(path, width), width) for path in dumps)
    preparation = Preparation(np.array(list(DEEPSEA_CONSERVATION.values())), mean, scale)
    facts = {
        "on_by_default": False,
        "model": {} if model is None else {"id": model.id, "sha256": model.sha256},
        "features": {"tasks": TASKS, "conservation": list(names)},
        "training": {"imported_with": __version__, "source": "DanQ (Quang & Xie 2016), text dumps and scaler"},
        "imported": {path.name: file_sha256(path) for path in (*dumps, folder / PICKLE)},
        "licence": "the authors': non-commercial use",
    }
    return save_classifier(output, Ensemble(preparation, models), facts)


def find_dumps(folder: Path) -> list[Path]:
    """``model.0``, ``model.1`` ... in order. Raises ModelError when there is none, or one is missing."""
    numbered = {
        int(found[1]): path for path in folder.glob("model.*") if (found := re.fullmatch(r"model\.(\d+)", path.name))
    }
    if not numbered or sorted(numbered) != list(range(len(numbered))):
        cause = "it has no model.0, model.1, ..." if not numbered else "some of its numbered models are missing"
        raise ModelError("not a folder of DanQ's classifiers", where=folder, cause=cause, remedy="name GRASP or GWAS")
    return [numbered[number] for number in sorted(numbered)]
