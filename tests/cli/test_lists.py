"""``annotate`` and ``normalise`` take lists: the scores are those of the VCF, and nothing that was given is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.made_runs import SEQUENCE, set_up

from varscore.cli.boundary import run
from varscore.zoo.models import ModelFolder

OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
ROWS = [f"chr1\t{pos}\t.\t{SEQUENCE[pos - 1]}\t{OTHER[SEQUENCE[pos - 1]]}\t.\t.\t.\n" for pos in (300, 400, 500)]
VCF = HEADER + "".join(ROWS)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(tmp_path, monkeypatch)
    Path("in.vcf").write_text(VCF)


def name(pos: int) -> str:
    return f"chr1:{pos}{SEQUENCE[pos - 1]}>{OTHER[SEQUENCE[pos - 1]]}"


def scores(path: str) -> dict[str, str]:
    """Position -> INFO."""
    lines = [line.split("\t") for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    return {fields[1]: fields[7] for fields in lines}


def test_a_list_gets_the_scores_of_the_vcf(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list").write_text(f"{name(500)}\n{name(300)}\n")
    assert run(["annotate", "in.vcf", "-r", "g.fa", "-o", "vcf.vcf"]) == 0
    assert run(["annotate", "list", "-r", "g.fa", "-o", "list.vcf"]) == 0
    assert run(["annotate", name(300), "-r", "g.fa", "-o", "one.vcf"]) == 0
    true = scores("vcf.vcf")
    assert scores("list.vcf") == {pos: true[pos] for pos in ("300", "500")}
    assert scores("one.vcf") == {"300": true["300"]}
    assert Path("list.vcf.input.vcf").read_text().startswith("##fileformat=VCF")
    capsys.readouterr()
    assert run(["annotate", "list", "-r", "g.fa", "-o", "-"]) == 0
    assert scores("list.vcf")["300"] in capsys.readouterr().out


def test_what_cannot_be_a_record_is_told_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("db.vcf").write_text(VCF.replace("\t300\t.\t", "\t300\trs5\t"))
    Path("ids").write_text("rs5\nrs6\n")
    words = ["annotate", "ids", "--dbsnp", "db.vcf", "-r", "g.fa", "-o", "o.vcf"]
    assert run(words) == 0
    assert "1 of the variants given could not be written into a VCF: rs6 (UNKNOWN_ID)" in capsys.readouterr().err
    assert Path("o.vcf.input.skipped.tsv").read_text() == "where\ttext\treason\nids line 2\trs6\tUNKNOWN_ID\n"
    assert list(scores("o.vcf")) == ["300"]
    assert run([*words, "--force", "--strict"]) == 3
    assert run(["annotate", "ids", "-r", "g.fa", "-o", "p.vcf"]) == 2
    assert "give --dbsnp" in capsys.readouterr().err and not Path("p.vcf").exists()


def test_intervals_are_scored_when_that_is_asked_for() -> None:
    Path("peaks.bed").write_text("chr1\t300\t302\n")
    assert run(["annotate", "peaks.bed", "-r", "g.fa", "-o", "o.vcf"]) == 2
    assert run(["annotate", "peaks.bed", "--from", "region", "-r", "g.fa", "-o", "o.vcf"]) == 0
    assert run(["annotate", "--saturate", "peaks.bed", "-r", "g.fa", "-o", "p.vcf"]) == 0
    assert scores("o.vcf") == scores("p.vcf") and len(scores("o.vcf")) == 2


def test_normalise_makes_the_vcf_and_says_what_it_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list").write_text(f"{name(500)}\n{name(300)}\nchr1:g.9999del\n")
    assert run(["normalise", "list", "-r", "g.fa", "-o", "n.vcf.gz", "--skipped", "s.tsv"]) == 0
    assert "2 alleles written, 1 left out, 1 OFF_CONTIG" in capsys.readouterr().err
    assert Path("n.vcf.gz.tbi").exists() and "OFF_CONTIG" in Path("s.tsv").read_text()
    assert run(["normalise", "list", "-r", "g.fa", "-o", "n.vcf.gz"]) == 2
    assert run(["normalise", "list", "-r", "g.fa", "-o", "n.tsv"]) == 2
    assert run(["annotate", "n.vcf.gz", "-r", "g.fa", "-o", "o.vcf"]) == 0
    assert list(scores("o.vcf")) == ["300", "500"]


def test_bgz_is_a_suffix_of_its_own() -> None:
    assert run(["annotate", "in.vcf", "-r", "g.fa", "-o", "o.vcf.bgz"]) == 0
    assert run(["annotate", "in.vcf", "-r", "g.fa", "-o", "o.vcf.gz"]) == 0
    assert Path("o.vcf.bgz").read_bytes() == Path("o.vcf.gz").read_bytes() and Path("o.vcf.bgz.tbi").exists()
