"""Commands refuse variants of another genome: on files, streams, shards, with regions, renames and bigWigs."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pysam
import pytest

from varscore.cli.boundary import run
from varscore.formats import shards
from varscore.zoo.models import ModelFolder

SEQUENCE = "".join(random.Random(8).choices("ACGT", k=2000))
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``g.fa`` of two contigs, and blocks of 16 records."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("VARSCORE_REFERENCE", raising=False)
    monkeypatch.setattr(shards, "BLOCK", 16)
    (folder / "g.fa").write_text(f">chr1\n{SEQUENCE}\n>chrX\n{SEQUENCE}\n")
    pysam.faidx("g.fa")
    return folder


def record(pos: int, contig: str = "chr1", wrong: bool = False) -> str:
    there = SEQUENCE[pos - 1]
    ref, alt = (OTHER[there], OTHER[OTHER[there]]) if wrong else (there, OTHER[there])
    return f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n"


def write(name: str, *records: str, header: str = "") -> None:
    Path(name).write_text("##fileformat=VCFv4.2\n" + header + COLUMNS + "".join(records))


def annotate(words: str) -> int:
    return run(["annotate", *words.split(), "-r", "g.fa", "--threads", "1"])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def info(path: str) -> list[str]:
    lines = [line for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    return [line.split("\t")[0] + " " + line.split("\t")[7] for line in lines]


def test_every_shard_refuses_what_one_of_them_would_not_see(capsys: pytest.CaptureFixture[str]) -> None:
    """All wrong alleles lie in the first block, which only the first shard scores."""
    write("in.vcf", *(record(pos, wrong=pos <= 16) for pos in range(1, 49)))
    lines = set()
    for words in ("", "--shard 1/3", "--shard 2/3", "--shard 3/3", "--region chrX", "--batch-size 256"):
        assert annotate(f"in.vcf -o out.vcf {words}") == 2
        lines.add(said(capsys))
    (line,) = lines
    assert "varscore: error: 16 of 48 REF alleles disagree with g.fa, in.vcf; " in line
    assert sorted(path.name for path in Path().iterdir()) == ["g.fa", "g.fa.fai", "in.vcf"]
    assert annotate("in.vcf -o out.vcf --max-mismatch 0.34") == 0
    assert annotate("in.vcf -o out.vcf --check-ref skip --force") == 0


def test_every_shard_refuses_a_contig_of_another_length(capsys: pytest.CaptureFixture[str]) -> None:
    header = "##contig=<ID=chr1,length=2000>\n##contig=<ID=chrX,length=1999>\n"
    write("in.vcf", *(record(pos) for pos in range(1, 33)), record(5, "chrX"), header=header)
    for words in ("", "--shard 1/2", "--shard 2/2"):
        assert annotate(f"in.vcf -o out.vcf {words}") == 2
        assert "chrX is declared with 1,999 bases and has 2,000 in the FASTA" in said(capsys)
    assert annotate("in.vcf -o out.vcf --check-assembly warn") == 0
    assert said(capsys).count("chrX is declared with 1,999 bases") == 1
    assert annotate("in.vcf -o out.vcf --check-assembly off --force") == 0
    assert "declared" not in said(capsys)


def test_other_names_are_named_and_renamed(capsys: pytest.CaptureFixture[str]) -> None:
    write("in.vcf", record(100), record(200, "23"), record(300, "XY"))
    assert annotate("in.vcf -o out.vcf") == 0
    assert "2 of the variants' contigs are not in g.fa, which has chr1, chrX: 23, XY" in said(capsys)
    assert [line.partition(";")[0] for line in info("out.vcf")] == [
        "chr1 VS_STATUS=PASS",
        "23 VS_STATUS=MISSING_CONTIG",
        "XY VS_STATUS=MISSING_CONTIG",
    ]
    Path("names.txt").write_text("23\tchrX\nXY X\n24 Y\n")
    assert annotate("in.vcf -o renamed.vcf --rename-chrs names.txt --region X:150-250 --region chr1") == 0
    assert "not in g.fa" not in said(capsys)
    write("plain.vcf", record(100), record(200, "chrX"))
    assert annotate("plain.vcf -o plain.out.vcf") == 0
    assert [line.partition(" ")[2] for line in info("renamed.vcf")] == [
        line.partition(" ")[2] for line in info("plain.out.vcf")
    ]
    assert [line.split()[0] for line in info("renamed.vcf")] == ["chr1", "23"]
    identity = json.loads(Path("renamed.vcf.run.json").read_text())["identity"]
    other = json.loads(Path("out.vcf.run.json").read_text())["identity"]
    assert "--rename-chrs" in identity["options"] and "--rename-chrs" not in other["options"]
    for bad in ("23 chrX Y\n", "23\n", "23 X\n23 Y\n", "\n"):
        Path("names.txt").write_text(bad)
        assert annotate("in.vcf -o no.vcf --rename-chrs names.txt") == 2
        assert "names.txt" in said(capsys)


def test_a_bcf_of_renamed_contigs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("names.txt").write_text("23 chrX\n")
    write("in.vcf", *(record(pos) for pos in range(1, 80)), record(200, "23"))  # far behind what is looked at for names
    assert annotate("in.vcf -o out.bcf --rename-chrs names.txt") == 0
    with pysam.VariantFile("out.bcf") as file:
        assert [(row.chrom, row.info["VS_STATUS"]) for row in file][-1] == ("23", ("PASS",))


@pytest.mark.parametrize(
    "words", ["--region chr7", "--region chr1:5-9 --region chr7:1-2", "--regions r.bed", "--region chr7 --shard 1/2"]
)
def test_a_region_on_a_contig_that_nobody_has(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("r.bed").write_text("chr1\t0\t9\nchr7\t0\t9\n")
    write("in.vcf", record(100))
    assert annotate(f"in.vcf -o out.vcf {words}") == 2
    line = said(capsys)
    assert "regions on contigs that neither the variants nor g.fa has, chr7; the FASTA has chr1, chrX" in line
    assert not Path("out.vcf").exists()
    write("in.vcf", record(100), record(100, "chr7"))
    assert annotate(f"in.vcf -o out.vcf {words}") == 0


def test_saturation_takes_renames_and_refuses_regions(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.bed").write_text("23\t99\t101\n")
    assert annotate("--saturate s.bed -o out.vcf") == 2
    Path("names.txt").write_text("23 chrX\n")
    assert annotate("--saturate s.bed -o out.vcf --rename-chrs names.txt --region 23:100-100") == 0
    assert [line.split()[0] for line in info("out.vcf")] == ["chrX"]
    capsys.readouterr()
    assert annotate("--saturate s.bed -o no.vcf --rename-chrs names.txt --region chr7") == 2
    assert "chr7; the FASTA has" in said(capsys)


def test_bigwigs_of_another_genome(capsys: pytest.CaptureFixture[str]) -> None:
    pybigtools = pytest.importorskip("pybigtools")
    for name, contigs, intervals in (
        ("other.bw", {"chr9": 4000}, [("chr9", 0, 4000, 1.0)]),
        ("short.bw", {"chr1": 150}, [("chr1", 0, 150, 1.0)]),
        ("good.bw", {"1": 2000, "X": 2000}, [("1", 0, 2000, 1.0)]),
    ):
        pybigtools.open(name, "w").write(contigs, iter(intervals))
    write("in.vcf", record(100), record(200), record(300))
    assert annotate("in.vcf -o out.vcf --conservation c=other.bw") == 2
    assert "none of the bigWig's contigs is in the FASTA, other.bw; it has chr9" in said(capsys)
    assert not Path("out.vcf").exists()
    assert annotate("in.vcf -o out.vcf --conservation c=short.bw") == 0
    line = said(capsys)
    assert "its chr1 has 150 bases, the FASTA's 2,000" in line
    assert "short.bw has no value for 2 of 3 positions" in line
    assert annotate("in.vcf -o out.vcf --force --conservation c=good.bw") == 0
    assert "good.bw" not in said(capsys)


def test_background_and_train_snp_refuse_too(capsys: pytest.CaptureFixture[str]) -> None:
    write("wrong.vcf", *(record(pos, wrong=pos % 2 == 0) for pos in range(1, 60)))
    write("right.vcf", *(record(pos) for pos in range(1, 60)))
    Path("b.bed").write_text("chr7\t0\t9\n")
    common = ["-r", "g.fa", "--threads", "1"]
    message = "29 of 59 REF alleles disagree with g.fa, wrong.vcf"
    assert run(["background", "tiny", "--vcf", "wrong.vcf", "-o", "b.safetensors", *common]) == 2
    assert message in said(capsys)
    assert run(["background", "tiny", "--vcf", "right.vcf", "-o", "b.safetensors", "--exclude", "b.bed", *common]) == 2
    assert "neither the variants nor g.fa has, chr7" in said(capsys)
    assert run(["train-snp", "--positives", "right.vcf", "--negatives", "wrong.vcf", "-o", "c", *common]) == 2
    assert message in said(capsys)
    words = ["train-snp", "--positives", "right.vcf", "--negatives", "right.vcf", "-o", "c", "--restrict", "b.bed"]
    assert run([*words, *common]) == 2
    assert "neither the variants nor g.fa has, chr7" in said(capsys)
    write("renamed.vcf", *(record(pos, "23") for pos in range(1, 60)))
    Path("names.txt").write_text("23 chrX\n")
    words = ["background", "tiny", "--vcf", "renamed.vcf", "-o", "b.safetensors", *common]
    assert run(words) == 2
    assert run([*words, "--rename-chrs", "names.txt"]) == 0


def test_a_stream_is_judged_by_its_first_chunk(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from io import BytesIO
    from types import SimpleNamespace

    write("in.vcf", *(record(pos, wrong=True) for pos in range(1, 60)))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BytesIO(Path("in.vcf").read_bytes())))
    assert annotate("- -o out.vcf") == 2
    assert "59 of 59 REF alleles disagree with g.fa, standard input" in said(capsys)
    assert not Path("out.vcf").exists()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["annotate", "in.vcf", "-r", "g.fa", "-o", ""], "-o"),
        (["annotate", "in.vcf", "-r", "g.fa", "--output="], "--output"),
        (["annotate", "", "-r", "g.fa"], "an argument"),
        (["predict", "tiny", "g.fa", "-o", ""], "-o"),
        (["slurm", "-n", "2", "--", "in.vcf", "-r", "g.fa", "-o", ""], "-o"),
        (["models", "show", ""], "an argument"),
    ],
)
def test_an_empty_word_is_refused(words: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("in.vcf", record(100))
    assert run(words) == 2
    err = said(capsys)
    assert f"Invalid value for '{option}': it is empty" in err and err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["g.fa", "g.fa.fai", "in.vcf"]


def test_a_blank_after_the_arrow(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.fa").write_text(f"> chr1 one\n{SEQUENCE}\n>\tchrX\n{SEQUENCE}\n")
    write("in.vcf", record(100), record(200, "chrX"))
    assert run(["annotate", "in.vcf", "-r", "s.fa", "-o", "out.vcf"]) == 0
    assert "2 scored" in said(capsys)
