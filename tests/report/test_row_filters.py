"""``--filter`` against Python's own judgement of the same words, and what it refuses."""

from __future__ import annotations

import pytest

from varscore.errors import UsageError
from varscore.report.filters import parse_filter
from varscore.report.scored import Allele

COLUMNS = ("status", "diff", "ref_prob", "sig", "p_made_up", "e")
ALLELE = Allele("chr1", 7, "rs1", "A", "G", {"status": "PASS", "diff": -0.5, "ref_prob": 0.5, "sig": 0.01})


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("VS_SIG<0.01", False),
        ("VS_SIG<=0.01", True),
        ("vs_sig<=1e-2 && diff<0", True),
        ('diff > -.25 || status=="PASS"', True),
        ("!(diff > -.25 || status=='PASS')", False),
        ('VS_REF>=0.5 && pos==7 && chrom=="chr1"', True),
        ('sig<1 || sig>1 && status=="no"', True),  # && binds more tightly
        ('(sig<1 || sig>1) && status=="no"', False),
        ("VS_P_MADE_UP>0", False),
        ("VS_P_MADE_UP<=0", False),
        ("p_made_up!=3", False),  # it has none
        ("!(p_made_up>0)", True),
        ('status!="PASS"', False),
        ("status==1", False),
    ],
)
def test_what_holds(text: str, holds: bool) -> None:
    assert parse_filter(text, COLUMNS)(ALLELE) is holds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("VS_SIGG<1", "the file has no VS_SIGG; near it are vs_sig"),
        ("sig<", 'a number or "text" is expected'),
        ("sig", "is expected"),
        ("sig<1 sig<2", "'sig' comes too much"),
        ("(sig<1", "a ) is missing"),
        ("sig<1 && ", "a tag or column is expected"),
        ("__import__('os')", "the file has no __import__"),
        ("sig<1; diff", "';' means nothing here"),
        ("(" * 60 + "sig<1" + ")" * 60, "nested too deeply"),
        ("", "a tag or column is expected"),
        ('VS_SIG<"0.01"', "VS_SIG is a number, and wants no quotes behind <"),
        ("pos=='7'", "pos is a number"),
        ('p_made_up>"1"', "p_made_up is a number"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match="`filter` cannot be read at character") as error:
        parse_filter(text, COLUMNS)
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("text", "holds"), [("chrom==20", True), ("chrom!=20", False), ("chrom!=2", True), ("id==7", True)]
)
def test_names_may_be_numbers(text: str, holds: bool) -> None:
    """``chrom==20`` had held for no allele, and ``chrom!=2`` neither."""
    assert parse_filter(text, COLUMNS)(Allele("20", 7, "7", "A", "G", {})) is holds
