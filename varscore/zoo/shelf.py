"""Where models lie: the folders in which a name is looked up. Nothing here loads a network, so that a shell can ask."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from varscore.errors import ModelError
from varscore.zoo.card import CARD, read_card

DEFAULT = "default"
"""What the default model may be called, in Python and behind ``-m``"""
CLASSIFIERS = "classifiers"
"""The folder of a model in which its classifiers lie"""


def bundled_folder() -> Path:
    """Where the models that come with varscore lie: package data of a wheel, or ``models/`` of a checkout."""
    packaged = Path(str(resources.files("varscore"))) / "_models"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "models"


def named_folders() -> list[Path]:
    """Those of ``VARSCORE_MODELS``."""
    return [Path(part) for part in os.environ.get("VARSCORE_MODELS", "").split(os.pathsep) if part]


def on_shelves(folders: Sequence[Path]) -> dict[str, Path]:
    """Model name -> folder; the first folder that has a name wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for card in sorted(folder.glob(f"*/{CARD}")):
            found.setdefault(card.parent.name, card.parent)
    return found


def search_path() -> list[Path]:
    """Folders in which a model's name is looked up: each of ``VARSCORE_MODELS``, then the bundled ones."""
    return [*named_folders(), bundled_folder()]


def available() -> dict[str, Path]:
    """Model name -> folder, of every model on the search path; the first folder that has a name wins."""
    return on_shelves(search_path())


def model_folder(name: str | None) -> Path:
    """The folder of a model by name, by folder, by the beginning of its name where no other begins so, or of the
    default one (None or ``default``).

    Raises ModelError, with the nearest names, when there is no such model.
    """
    models = available()
    if name is not None and (name in models or (Path(name) / CARD).is_file()):
        return models.get(name, Path(name))
    if name is None or name == DEFAULT:
        default = next((path for path in models.values() if read_card(path).is_default), None)
        if default is None:
            raise ModelError("no default model is bundled", remedy="name one with `model`")
        return default
    begins = [path for known, path in models.items() if name and known.startswith(name)]
    if len(begins) == 1:
        return begins[0]
    if Path(name).is_dir():
        return Path(name)
    near = difflib.get_close_matches(name, models, 3, 0.3) or sorted(models)
    raise ModelError(f"no model {name!r}", remedy=f"`varscore models list` has {', '.join(near) or 'none'}")


def classifiers_of(model: Path) -> dict[str, Path]:
    """The classifiers in a model's folder: name -> folder."""
    return on_shelves([model / CLASSIFIERS])


def classifier_folder(model: Path, name: str) -> Path:
    """The folder of a classifier of the model in a folder, by name or by folder of its own. Raises ModelError."""
    known = classifiers_of(model)
    if name in known or Path(name).is_dir():
        return known.get(name, Path(name))
    remedy = f"{model.name} has {', '.join(known) or 'none'}; train one with `varscore train-snp`"
    raise ModelError(f"no classifier {name!r}", remedy=remedy)
