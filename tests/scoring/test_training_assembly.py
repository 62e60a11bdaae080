"""A model that scores another assembly than it was trained on says so, once and in plain words."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from varscore.genome.sequence import Genome
from varscore.scoring.survey import tell_of_strand, tell_of_training
from varscore.zoo.card import Card

HELD = {"options": {"test": ["chr8", "chr9"], "validation": ["chr7"]}}
CHR20 = {"GRCh37": 63_025_520, "GRCh38": 64_444_167}


def told(caplog: pytest.LogCaptureFixture, contigs: dict[str, int], **card: Any) -> list[tuple[str, str]]:
    caplog.set_level(logging.INFO)
    tell_of_training("net", Card(card), cast(Genome, SimpleNamespace(contigs=contigs)))
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_another_assembly_of_the_species_is_fine(caplog: pytest.LogCaptureFixture) -> None:
    ((level, text),) = told(caplog, {"chr20": CHR20["GRCh38"]}, trained_on="GRCh37", data=HELD)
    assert level == "INFO"
    assert text == (
        "net was trained on GRCh37 sequence; scoring GRCh38: fine, but its bases were not held out, except those of "
        "chr8 chr9 chr7"
    )


@pytest.mark.parametrize(("strands", "count"), [("one", 1), ("both-mean", 0), ("both-max", 0)])
def test_a_model_of_one_strand_says_which_it_reads(strands: str, count: int, caplog: pytest.LogCaptureFixture) -> None:
    tell_of_strand("net", Card({"strands": strands}))
    assert [r.getMessage().startswith("net reads one strand, here the forward strand") for r in caplog.records] == [
        True
    ] * count


def test_another_species_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    ((level, text),) = told(caplog, {"chr1": 195_154_279}, trained_on="GRCh37")
    assert level == "WARNING" and "trained on human sequence, and GRCm39 is of a mouse" in text


@pytest.mark.parametrize(
    ("contigs", "card"),
    [
        ({"20": CHR20["GRCh37"]}, {"trained_on": "GRCh37"}),
        ({"20": 1000}, {"trained_on": "GRCh37"}),
        ({"20": CHR20["GRCh38"]}, {}),
    ],
)
def test_the_same_or_an_unknown_one_is_not_talked_about(
    caplog: pytest.LogCaptureFixture, contigs: dict[str, int], card: dict[str, str]
) -> None:
    assert told(caplog, contigs, **card) == []


def test_bundled_models_say_what_they_were_trained_on() -> None:
    from varscore.zoo.card import read_card
    from varscore.zoo.shelf import available

    cards = [read_card(folder) for folder in available().values()]
    assert cards and {card.trained_on for card in cards} == {"GRCh37"}
    assert {card.held_out["test"] for card in cards} == {("chr8", "chr9")}


def test_a_data_set_keeps_the_assembly_of_its_genome(tmp_path: Any) -> None:
    (tmp_path / "g.fa").write_text(">chr20\nACGT\n")
    with Genome(tmp_path / "g.fa") as genome:
        assert "assembly" not in genome.told()
        genome.contigs["chr20"] = CHR20["GRCh38"]
        assert genome.told() == {"name": "g.fa", "sha256": genome.sha256, "assembly": "GRCh38"}
