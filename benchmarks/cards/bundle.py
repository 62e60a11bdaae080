"""Make a trained model one that comes with varscore: what its card says of it, and the predictions tests hold it to.

bundle.py about MODEL ABOUT.toml      its folder's name, and what a person says of it, onto its card
bundle.py motifs MODEL MOTIFS.json    what benchmarks/motifs.py found, onto its card
bundle.py golden                      tests/golden/bundled.json anew, of every model in models/
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch

from varscore.engine.plain import PlainEngine
from varscore.odds import probabilities
from varscore.zoo.card import write_card
from varscore.zoo.models import open_model
from varscore.zoo.shelf import bundled_folder

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden" / "bundled.json"
SAID = ("default", "licence", "intended_use", "limits", "trained_on")


def about(folder: Path, said: Path) -> None:
    """Write what a person says of a model onto its card, in the card's order."""
    card, words = open_model(folder).card, tomllib.loads(said.read_text())
    if unknown := set(words) - set(SAID):
        sys.exit(f"{said}: unknown: {', '.join(sorted(unknown))}")
    first = ("format", "id", "architecture", *SAID)
    merged = {**card, **words, "id": folder.name}
    write_card(folder, {name: merged[name] for name in (*first, *merged) if name in merged})


def motifs(folder: Path, found: Path) -> None:
    """Write whether a model knows motifs onto its card, which says in which data set that was asked."""
    model, told = open_model(folder), json.loads(found.read_text())
    if told["sha256"] != model.sha256:
        sys.exit(f"{found} is of another model")
    write_card(folder, model.card.changed(motifs={"data_sha256": told["data_sha256"], **told["marks"]}))


def golden() -> None:
    """Strand-mean probabilities of four fixed sequences, every 23rd task, of each bundled model."""
    windows = np.random.default_rng(20).integers(0, 4, (4, 1000)).astype(np.uint8)
    found = {}
    for card in sorted(bundled_folder().glob("*/card.toml")):
        engine = PlainEngine(open_model(card.parent).load(), torch.device("cpu"))
        predicted = probabilities(engine.logits(windows)).mean(0)[:, ::23]
        found[card.parent.name] = [[float(f"{p:.8g}") for p in row] for row in predicted]
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["about", folder, said]:
            about(Path(folder), Path(said))
        case ["motifs", folder, found]:
            motifs(Path(folder), Path(found))
        case ["golden"]:
            golden()
        case _:
            sys.exit(__doc__)
