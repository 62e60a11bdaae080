"""What a record says of its structural alleles, by hand."""

from __future__ import annotations

import pytest

from varscore.formats.structural import affected_bases


@pytest.mark.parametrize(
    ("alts", "info", "expected"),
    [
        ("<DEL>", "SVTYPE=DEL;END=150", [50]),
        ("<DEL>", "SVLEN=-50", [50]),
        ("<DEL>", "SVLEN=50", [50]),
        ("<DUP>", "END=101", [1]),
        ("<DUP:TANDEM>", "SVLEN=7", [7]),
        ("<INV>", "SVLEN=0;END=140", [40]),
        ("<INV>", "SVLEN=41;END=140", [40]),  # counted otherwise by some programs: END says where
        ("<DEL:ME:ALU>", "END=400", [300]),
        ("<DEL>", "END=150;CIPOS=0,0;CIEND=0,0", [50]),
        ("<DEL>", "END=150;CIPOS=.", [50]),
        ("<DEL>", "END=150;CIPOS=-5,5", [0]),
        ("<DEL>", "END=150;CIEND=0,1", [0]),
        ("<DEL>", "END=150;IMPRECISE", [0]),
        ("<DEL>", "END=150;CIPOS=a,b", [0]),
        ("<DEL>", "END=150;CILEN=-5,5", [0]),
        ("<DEL>", "END=150;CILEN=0,0", [50]),
        ("<DUP>", "END=150;SVCLAIM=D", [0]),  # found by its depth: no breakpoint is claimed
        ("<DUP>", "END=150;SVCLAIM=DJ", [50]),
        ("<DEL>,<DEL>", "SVLEN=20,30;SVCLAIM=J,D", [20, 0]),
        ("<DEL>", "END=150;SVINSLEN=3;SVINSSEQ=ACG", [0]),  # Manta: the junction has bases of its own
        ("<DEL>", "END=150;SVINSSEQ=ACG", [0]),
        ("<DUP:TANDEM>", "END=150;INSLEN=2", [0]),  # Delly
        ("<DEL>", "END=150;INSLEN=0;SVINSLEN=.", [50]),
        ("<INV>", "END=150;NTLEN=4", [0]),  # Pindel
        ("<DEL>", "END=150;ALGORITHMS=depth;EVIDENCE=RD", [0]),  # gnomAD-SV
        ("<DUP>", "END=150;EVIDENCE=BAF,PE,RD", [0]),
        ("<DEL>", "END=150;EVIDENCE=PE,SR", [50]),
        ("<DEL>", "END=150;EVIDENCE=.", [50]),
        ("<DEL>", "END=100", [0]),  # no base after POS
        ("<DEL>", "END=99;SVLEN=-20", [20]),
        ("<DEL>", "END=x", [0]),
        ("<DEL>", "END=150,160", [0]),
        ("<DEL>", ".", [0]),
        ("<DEL>", "XEND=150", [0]),
        ("<DEL>", "END=99999999999999999999", [0]),
        ("<INS>", "END=150;SVLEN=50", [0]),
        ("<DUP:DISPERSED>", "END=150", [0]),
        ("<CN0>", "END=150", [0]),
        ("<NON_REF>", "END=150", [0]),
        ("<*>", "END=150", [0]),
        ("A,<DEL>", "END=150", [0, 50]),
        ("<DEL>,<DEL>", "SVLEN=-20,-30;END=130", [20, 30]),
        ("<DEL>,<DUP>", "SVLEN=-20;END=130", [30, 30]),
        ("<DEL>,<DUP>", "SVLEN=.,.;END=130", [30, 30]),
        ("<DEL>,C", "SVLEN=-20,.;END=130", [20, 0]),
        ("<DEL>,<DEL>", "SVLEN=-20,-30;CIPOS=0,0,-3,3", [20, 0]),
        ("<DEL>,<DEL>", "SVLEN=-20,-30;CIPOS=-3,3", [0, 0]),
    ],
)
def test_what_an_allele_affects(alts: str, info: str, expected: list[int]) -> None:
    assert affected_bases([alt.encode() for alt in alts.split(",")], 100, info.encode()) == expected
