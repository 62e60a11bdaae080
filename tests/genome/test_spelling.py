"""Variants in one word: what they mean, in VCF's terms, and what is refused."""

from __future__ import annotations

import pytest

from varscore.genome.sequence import Genome
from varscore.genome.spelling import is_variant, parse_variant, spell

SEQUENCE = "GATTACAGGCCATG"  # positions 1 to 14


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    folder = tmp_path_factory.mktemp("genome")
    (folder / "g.fa").write_text(f">chr1\n{SEQUENCE}\n")
    return Genome(folder / "g.fa", cache_dir=folder)


SAME = {
    "chr1:5A>G": (5, "A", "G"),
    "chr1:5 A>G": (5, "A", "G"),
    " chr1:5 a > g ": (5, "A", "G"),
    "chr1-5-A-G": (5, "A", "G"),
    "chr1:5:A:G": (5, "A", "G"),
    "chr1_5_A_G_b37": (5, "A", "G"),
    "chr1:5_A/G": (5, "A", "G"),
    "chr1 5 A G": (5, "A", "G"),
    "chr1\t5\tA\tG": (5, "A", "G"),
    "chr1:1,005A>G": (1005, "A", "G"),
    "chr1:4TAC>T": (4, "TAC", "T"),
    "chr1:g.5A>G": (5, "A", "G"),
    # worked out by hand on GATTACAGGCCATG
    "chr1:g.5del": (4, "TA", "T"),
    "chr1:g.5delA": (4, "TA", "T"),
    "chr1:g.5_6del": (4, "TAC", "T"),
    "chr1:g.1_2del": (1, "GAT", "T"),
    "chr1:g.5_6insGG": (5, "A", "AGG"),
    "chr1:g.8dup": (8, "G", "GG"),
    "chr1:g.6_8dup": (8, "G", "GCAG"),
    "chr1:g.5_6delinsT": (5, "AC", "T"),
    "chr1:g.5_6delACinsT": (5, "AC", "T"),
    "chr1:g.5delinsTT": (5, "A", "TT"),
    "chr1:g.1_4inv": (1, "GATT", "AATC"),
    "NC_000001.10:4:A:G": (5, "A", "G"),  # SPDI counts from 0
}


@pytest.mark.parametrize("text", SAME)
def test_what_a_spelling_means(text: str, genome: Genome) -> None:
    edit = parse_variant(text)
    start, ref, alt = spell(edit, genome, "chr1")
    assert (start + 1, ref, alt) == SAME[text]
    assert is_variant(text)


def test_contigs_with_odd_names() -> None:
    for contig in ("HLA-A*01:01".replace(":", "_"), "chr1_KI270706v1_random", "GL000192.1", "X"):
        assert parse_variant(f"{contig}:7:A:G").contig == contig
    assert parse_variant("chr1_KI270706v1_random_7_A_G").contig == "chr1_KI270706v1_random"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("chr1:1005", "it is 'chr1:1005'"),
        ("rs123", "it is 'rs123'"),
        ("chr1:0A>G", "count from 1"),
        ("NM_000546.6:c.215C>G", "Variant Recoder"),
        ("NP_000537.3:p.Pro72Arg", "Variant Recoder"),
        ("chr1:g.5=", "nothing changes"),
        ("chr1:g.(5_7)del", "at known positions"),
        ("chr1:g.5_7insA", "between two bases"),
        ("chr1:g.7_5del", "the first comes first"),
        ("chr1:g.5_6delA", "names 1 bases for 2 positions"),
    ],
)
def test_what_is_no_variant(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("(", r"\(")):
        parse_variant(text)


def test_beyond_the_end(genome: Genome) -> None:
    for text in ("chr1:g.14_15del", "chr1:g.14_15insA", "chr1:g.20dup"):
        with pytest.raises(ValueError, match="14 bases"):
            spell(parse_variant(text), genome, "chr1")
    with pytest.raises(ValueError, match="whole contig"):
        spell(parse_variant("chr1:g.1_14del"), genome, "chr1")


def test_a_wrong_ref_stays_as_it_is_written(genome: Genome) -> None:
    assert spell(parse_variant("chr1:g.5delC"), genome, "chr1") == (3, "TC", "T")
