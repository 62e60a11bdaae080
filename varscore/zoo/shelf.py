"""Where models lie: the folders in which a name is looked up. Nothing here loads a network, so that a shell can ask."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from varscore.zoo.card import CARD


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
