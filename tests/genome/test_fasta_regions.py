"""Regions of a FASTA as text: what stands in the file, whatever it is packed with and whatever its index says."""

from __future__ import annotations

import random
from pathlib import Path

import pysam
import pytest

from varscore.cli.boundary import run
from varscore.errors import FastaError
from varscore.genome.coords import Interval
from varscore.genome.fasta.regions import Regions

LENGTHS = {"a": 1003, "b": 7}
CONTIGS = {name: "".join(random.Random(name).choices("ACGTacgtNn", k=length)) for name, length in LENGTHS.items()}


@pytest.fixture(params=["plain", "bgzipped"])
def fasta(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    lines = [
        line
        for name, text in CONTIGS.items()
        for line in (f">{name} words", *(text[i : i + 50] for i in range(0, len(text), 50)))
    ]
    path = tmp_path / "g.fa"
    path.write_text("\n".join(lines) + "\n")
    if request.param == "bgzipped":
        pysam.tabix_compress(str(path), str(tmp_path / "g.fa.gz"))
        path = tmp_path / "g.fa.gz"
    return path


def test_letters_stand_as_in_the_file(fasta: Path) -> None:
    with Regions(fasta) as regions:
        assert regions.lengths == LENGTHS
        for contig, start, end in (("a", 0, 1), ("a", 49, 51), ("a", 0, 1003), ("a", 1002, 1003), ("b", 2, 7)):
            assert regions.text(Interval(contig, start, end)) == CONTIGS[contig][start:end]


@pytest.mark.parametrize(
    ("region", "why"),
    [(("a", 1000, 1004), "a has 1,003 bases"), (("c", 0, 1), "no such contig"), (("b", 3, 3), "b has 7 bases")],
)
def test_what_is_not_there_is_refused(fasta: Path, region: tuple[str, int, int], why: str) -> None:
    with Regions(fasta) as regions, pytest.raises(FastaError, match=why):
        regions.text(Interval(*region))


def test_an_index_of_another_file_is_not_believed(tmp_path: Path) -> None:
    """pyfaidx alone would read its own offsets and say CCCC."""
    path = tmp_path / "g.fa"
    path.write_text(">x\nAAAACCCCGGGG\n")
    pysam.faidx(str(path))
    path.write_text(">x y\nAAAACCCCGGGG\n")
    with Regions(path) as regions:
        assert regions.text(Interval("x", 4, 8)) == "CCCC"


def test_regions_on_the_command_line(fasta: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["genome", str(fasta), "--show", "a:41-120", "--show", "b"]) == 0
    shown = CONTIGS["a"][40:120]
    assert capsys.readouterr().out.split() == [">a:41-120", shown[:60], shown[60:], ">b:1-7", CONTIGS["b"]]
    assert run(["genome", str(fasta), "--show", "c:1-2"]) == 2
    assert "no such contig" in capsys.readouterr().err
    assert run(["genome", "--show", "a:1-2"]) == 2
