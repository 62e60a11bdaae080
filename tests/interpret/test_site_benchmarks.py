"""What the benchmarks on binding sets count: by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from motifs.made_motifs import motif

from varscore.interpret.attention import Footprints
from varscore.motifs.tomtom import Targets

FOLDER = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load("footprints")


def row(script: ModuleType, factor: str, matched: tuple[str, ...], words: tuple[str, ...] = ()) -> Any:
    return script.Row(
        name=f"{factor}_CELL",
        model="m",
        epochs=1,
        auroc=0.9,
        consensus="ACGT",
        best="X",
        q=0.1,
        words=(),
        matched=matched,
        with_words=tuple({*matched, *words}),
        anywhere=(),
        peak=2.0,
        at=0,
        middle=0.5,
        unbound=0.2,
    )


def test_names_of_motifs_name_factors(script: ModuleType) -> None:
    named = [script.factors_of(motif(name, "ACGT")) for name in ("MAX::MYC", "TFAP2A(var.2)", "Yy1")]
    assert named == [{"MAX", "MYC"}, {"TFAP2A"}, {"YY1"}]


def test_counts_beside_the_published_ones(script: ModuleType) -> None:
    """SRF is right, MYC by a word alone, REST wrong; the fourth cannot be. MYC's motif would be right for SRF."""
    rows = [
        row(script, "SRF", ("SRF",)),
        row(script, "MYC", ("SRF",), ("MYC",)),
        row(script, "REST", ()),
        row(script, "SUZ12", ("SRF",)),
    ]
    lines = script.summary(rows, {"SRF", "MYC", "REST"})
    assert "| motif correct | 1 of 3 | 0.5 | 30 of 57 |" in lines
    assert "| motif or one of 3 words correct | 2 of 3 | 0.5 | 42 of 57 |" in lines
    assert "| motif like some factor | 2 of 3 | | 39 of 57 |" in lines
    whole = script.markdown(rows, {"SRF", "MYC", "REST"}, 25)
    assert whole.startswith("4 of 25 sets") and "not in JASPAR" in whole and "by a word" in whole


def test_what_a_motif_is_like(script: ModuleType) -> None:
    dice = np.random.default_rng(0)
    targets = [motif("SRF", "CCATATTAGG"), *(motif(f"M{i}", "".join(dice.choice(list("ACGT"), 10))) for i in range(40))]
    made = Targets.of([one.frequencies for one in targets])
    names, best, q = script.like([motif("q", "CCATATTAGG", 0.8)], targets, made)
    assert "SRF" in names and best == "SRF" and q < 1e-4


def test_bases_anywhere_are_of_the_sequences_predicted_best(script: ModuleType) -> None:
    codes = np.repeat(np.arange(4, dtype=np.uint8), 100)[:, None] * np.ones((1, 30), np.uint8)
    found = Footprints(np.arange(400)[::-1].astype(np.float32), np.ones((400, 30), np.float32), 1, np.arange(30))
    assert script.anywhere(found, codes, 0).shape == (100, 10) and (script.anywhere(found, codes, 0) == 0).all()
