"""A card says with names and types what varscore asks of it, and keeps what anybody else has written."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest

import varscore
from varscore.errors import ModelError
from varscore.zoo.card import CARD, Card, read_card, write_card

PACKAGE = Path(varscore.__file__).parent
LEAST = {"format": 1, "architecture": "danq", "files": {"model.safetensors": "0" * 64, "tasks.tsv": "1" * 64}}
WHOLE = {
    **LEAST,
    "id": "danq.mine",
    "default": True,
    "objective": "classes",
    "strands": "one",
    "visible": [3, 9],
    "interim": True,
    "arguments": {"filters": 8},
    "training": {"ended": "stopped", "epochs": 4, "storage": "fp16", "validation_loss": 0.25, "weather": "fair"},
    "data": {"source_sha256": "2" * 64, "counts": {"train": 7}},
    "priors": {"shifted": True, "untrained": ["7:b", "3:a"]},
    "metrics": {"test": {"data_sha256": "3" * 64, "tasks": 2, "all": {"auroc": 0.75, "note": "few"}}},
    "grant": {"number": 12},
}


def test_what_a_card_says(tmp_path: Path) -> None:
    write_card(tmp_path, WHOLE)
    card = read_card(tmp_path)
    assert dict(card) == WHOLE, "whatever stands in it is kept"
    assert (card.id, card.architecture, card.arguments) == ("danq.mine", "danq", {"filters": 8})
    assert (card.objective, card.strands, card.visible) == ("classes", "one", (3, 9))
    assert card.is_default and card.interim and card.untrained == (3, 7)
    assert (card.ended, card.epochs, card.storage, card.validation_loss) == ("stopped", 4, "fp16", 0.25)
    assert (card.data_sha256, card.counts) == ("2" * 64, {"train": 7})
    assert card.measured_on("test") == "3" * 64 and card.figures("test") == {"auroc": 0.75}


def test_what_the_least_card_does_not_say(tmp_path: Path) -> None:
    write_card(tmp_path, LEAST)
    card = read_card(tmp_path)
    assert (card.id, card.arguments, card.objective, card.strands, card.visible) == ("", {}, None, None, None)
    assert not card.is_default and not card.interim and card.untrained == ()
    assert (card.ended, card.epochs, card.storage) == ("", 0, "") and math.isnan(card.validation_loss)
    assert (card.data_sha256, card.counts, card.measured_on("test"), card.figures("test")) == (None, {}, None, {})


def test_figures_of_labelled_examples_stand_beside_those_of_all() -> None:
    card = Card(LEAST).with_figures("test", True, {"data_sha256": "a"}, "l.csv", "5")
    card = card.with_figures("test", False, {"data_sha256": "b", "all": {"auroc": 0.5}}, "t.csv", "6")
    assert card["metrics"]["test"]["labelled"] == {"data_sha256": "a"} and card.measured_on("test") == "b"
    assert dict(card.files) == {**LEAST["files"], "l.csv": "5", "t.csv": "6"}
    again = card.with_figures("test", True, {"data_sha256": "c"}, "l.csv", "7")
    assert again.figures("test") == {"auroc": 0.5} and again["metrics"]["test"]["labelled"] == {"data_sha256": "c"}
    assert "metrics" not in Card(LEAST), "a card does not change"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "a newer varscore may read it"),
        ({"architecture": 3}, "not a card this varscore can read"),
        ({"files": {"tasks.tsv": "0"}}, "does not name the model's files"),
        ({"arguments": 3}, "does not name the model's files"),
        ({"arguments": {"filters": 1 << 40}}, "absurd network: filters"),
        ({"arguments": {"blocks": 1 << 11}}, "absurd network: blocks"),
    ],
)
def test_what_is_no_card_of_a_model(tmp_path: Path, change: dict[str, object], message: str) -> None:
    write_card(tmp_path, {**LEAST, **change})
    with pytest.raises(ModelError, match=message) as refused:
        read_card(tmp_path)
    assert str(tmp_path / CARD) in str(refused.value)


def test_the_card_is_asked_by_name() -> None:
    """Nobody but card.py knows how a model's card spells what it says."""

    def is_card(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "card" and ast.unparse(node.value).endswith("model")

    asked = [
        f"{path.relative_to(PACKAGE)} line {node.lineno}: {ast.unparse(node)}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Subscript) and is_card(node.value))
        or (isinstance(node, ast.Attribute) and node.attr == "get" and is_card(node.value))
    ]
    assert not asked, asked
