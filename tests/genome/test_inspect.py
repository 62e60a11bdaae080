"""What a FASTA is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from varscore.cli.boundary import run
from varscore.genome.inspect import inspect, known_assemblies


def test_a_small_genome_is_looked_at_whole(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">chrA\nACGTacgtNN\n>B\nAAAAANNNNN\n")
    facts = inspect(tmp_path / "g.fa")
    assert (facts.contigs, facts.bases, facts.assembly, facts.spelling) == (2, 20, None, "chr1")
    assert (facts.masked, facts.unknown) == (0.2, 0.35)


def test_an_assembly_is_known_by_its_lengths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Most of its chromosomes have the lengths of one: here of one that is made small."""
    (tmp_path / "g.fa").write_text(">1\nACGT\n>2\nACGT\n>9\nACGT\n")
    small = {"1": 4, "2": 4, "9": 5}
    for assembly in known_assemblies():
        if assembly.name == "GRCh38":
            for name in list(assembly.lengths):
                monkeypatch.setitem(assembly.lengths, name, small.get(name, 7))  # type: ignore[arg-type]
    facts = inspect(tmp_path / "g.fa")
    assert str(facts.assembly) == "GRCh38" and facts.spelling == "1"
    assert "9" in facts.wrong and "1" not in facts.wrong and "X" in facts.wrong
    assert run(["genome", str(tmp_path / "g.fa")]) == 0
    assert "GRCh38, 2 of 24 chromosomes; missing or of another length: 3, 4" in capsys.readouterr().out


def test_known_assemblies_are_listed_with_where_to_get_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["genome"]) == 0
    said = capsys.readouterr().out
    assert all(assembly.name in said for assembly in known_assemblies())
    assert "hg19.fa.gz" in said and "248,956,422" in said
    assert run(["genome", "nosuch.fa"]) == 2
