"""What is said to users who have taken the wrong way: what is wrong, and what to do instead."""

from __future__ import annotations

from pathlib import Path

import pysam.bcftools
import pytest
from cli.made_runs import VCF, annotate, set_up

from varscore.cli.boundary import run
from varscore.formats.lookalikes import describe, describe_name
from varscore.tasks import Task, fitting
from varscore.zoo.models import ModelFolder


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(tmp_path, monkeypatch)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The error of a command that ends with status 2."""
    assert run(list(words)) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("varscore: error: ")
    return line


# -- files that annotate does not take -------------------------------------------------------------------------------

NORMALISE = "`varscore normalise FILE -r FASTA -o OUT.vcf.gz`"
FILES = {
    "20,5,A,C\n20,6,A,C\n": ("CSV", NORMALISE),
    "a\tb\tc\td\n1\t2\t3\t4\n": ("a table", "its first line names the columns chrom, pos, ref and alt"),
    "CHR BP P\n1 3 .4\n": ("a table with blanks between columns", "its first line names the columns chrom, pos"),
    "chr1\t10\t20\tpeak\t0\t+\n": ("BED", "`varscore annotate --saturate FILE`"),
    "chr1\t10\t20\n": ("BED", "`varscore annotate --saturate FILE`"),
    "track name=x\nchr1 10 20 peak1\n": ("BED", "--regions FILE limits a VCF to them"),
    ">chr1\nACGT\n": ("FASTA", "`varscore predict MODEL FILE`"),
    "Whatever this may be, it\nis no table.\n": ("other text", "##fileformat=VCFv4.2"),
}
LISTS = {
    "rs123\nrs456\n": ("a list of rsIDs", "--dbsnp DBSNP.vcf.gz"),
    "20:1028346:G:A\n": ("a list of variants by name", NORMALISE),
    "chr20-1028346-G-A\r\n": ("a list of variants by name", NORMALISE),
    "NC_000020.10:g.1028346G>A\n": ("a list of variants by name", NORMALISE),
    "chrom,pos,ref,alt\n20,5,A,C\n": ("CSV", NORMALISE),
    "CHR\tPOS\tREF\tALT\n20\t5\tA\tC\n": ("a table", NORMALISE),
}
"""What annotate takes, and other commands do not"""


@pytest.mark.parametrize("text", LISTS)
def test_what_a_list_looks_like_to_a_command_that_wants_a_vcf(text: str) -> None:
    kind, remedy = LISTS[text]
    cause, way = describe(text.encode())
    assert cause == f"it looks like {kind}" and remedy in str(way)


@pytest.mark.parametrize("text", FILES)
def test_what_a_file_looks_like_and_what_takes_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("given").write_text(text)
    kind, remedy = FILES[text]
    for name in ("given", "given.gz"):
        if name == "given.gz":
            pysam.tabix_compress("given", "given.gz", force=True)
        line = said(capsys, "annotate", name, "-r", "g.fa", "-o", "out.vcf")
        assert f"not a VCF or BCF, {name}; it looks like {kind}; " in line and remedy in line


def test_records_without_a_header(capsys: pytest.CaptureFixture[str]) -> None:
    for start in ("#CHROM", "chr1"):
        Path("given").write_text(VCF[VCF.index(start, VCF.index("#CHROM")) :])
        line = said(capsys, "annotate", "given", "-r", "g.fa", "-o", "out.vcf")
        assert "its first line is not ##fileformat=VCF" in line and "#CHROM POS ID REF ALT QUAL FILTER INFO" in line


@pytest.mark.parametrize(
    ("name", "kind", "remedy"),
    [
        ("rs6054257", "an rsID", "dbSNP's VCF"),
        ("20:1028346:G:A", "a variant", "`varscore annotate` takes it"),
        ("chr1:1,000-2,000", "a region", "`region`"),
    ],
)
def test_what_is_given_in_the_place_of_a_file(name: str, kind: str, remedy: str) -> None:
    said_of = describe_name(name)
    assert (
        said_of is not None and said_of[0] == f"it looks like {kind}, and a file is expected" and remedy in said_of[1]
    )
    assert describe_name("given.vcf") is None


def test_an_address_in_the_place_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        "annotate https://x.org/in.vcf.gz -r g.fa",
        "annotate in.vcf -r g.fa --regions ftp://x.org/in.bed",
        "annotate in.vcf -r g.fa --background s3://in/b",
    ):
        line = said(capsys, *words.split(), "-o", "out.vcf")
        assert "varscore opens no network connection; download it, and give the file" in line


def test_a_region_in_the_place_of_variants(capsys: pytest.CaptureFixture[str]) -> None:
    line = said(capsys, "annotate", "chr1:1,000-2,000", "-r", "g.fa", "-o", "out.vcf")
    assert "no such file, chr1:1,000-2,000; it looks like a region" in line


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("annotate in.vcf -r gone.fa", ("there is no such FASTA, gone.fa", "hg19.fa.gz", "hg38", "hs1", "gunzip")),
        ("annotate in.vcf -r in.vcf/g.fa", ("there is no such FASTA, in.vcf/g.fa",)),
        ("annotate in.vcf -r folder", ("the FASTA is a folder, where a file is expected, folder", ".fa")),
        ("annotate in.vcf -r cut.fa", ("not a regular FASTA", "cut.fa; it was cut or damaged; fetch it again")),
        ("annotate in.vcf -r cut.fa.gz", ("end-of-file block, cut.fa.gz; it is truncated; fetch it again",)),
        ("annotate folder -r g.fa -o o.vcf", ("cannot read, folder; it is a folder, where a file is expected",)),
        ("annotate in.vcf/x -r g.fa -o o.vcf", ("in.vcf/x; a part of the path is a file, where a folder is expected",)),
        ("annotate in.vcf -r g.fa --regions folder", ("folder; it is a folder, where a file is expected",)),
        ("annotate in.vcf -r g.fa --background folder", ("folder", "it is a folder, where a file is expected")),
        ("annotate in.vcf -r g.fa --background gone", ("gone", "there is no such file")),
    ],
)
def test_a_path_that_leads_nowhere_or_to_something_else(
    words: str, parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    Path("cut.fa").write_text(">chr")
    pysam.tabix_compress("g.fa", "cut.fa.gz", force=True)
    Path("cut.fa.gz").write_bytes(Path("cut.fa.gz").read_bytes()[:500])
    line = said(capsys, *words.split())
    assert [part for part in parts if part not in line] == []
    assert "Errno" not in line and "Is a directory" not in line and "No such file or directory" not in line


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("annotate in.vcf --threads -2", "--threads -2 is not a whole number "),
        ("annotate in.vcf --threads two", "--threads two is not a whole number "),
        ("annotate in.vcf --threads 1.5", "--threads 1.5 is not a whole number "),
        ("train-chromatin kmer --data d -o o --lr -0.1", "--lr -0.1 is not a number "),
        ("train-snp --depth 17", "--depth 17 is not a whole number from 1 to 16; "),
        ("slurm -n 0 -- in.vcf", "--shards 0 is not a whole number from 1 to 9999; "),
        ("dataset peaks -r a --peaks b -o c --max-unknown 3", "--max-unknown 3 is not a number from 0 to 1; "),
        ("models show kmer --tasks none", "--tasks none is not a whole number "),
        ("models show kmer --arg window", "--arg 'window' is not NAME=VALUE; NAME is one of n_tasks"),
        ("models show danq --arg filter=3", "--arg filter=3: no argument 'filter'; did you mean filters"),
        ("models show danq --arg q=3", "--arg q=3: no argument 'q'; there are n_tasks, window, filters"),
        ("models show danq --arg filters=x", "--arg filters=x; the value is no int"),
    ],
)
def test_an_option_its_value_and_what_is_allowed(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = said(capsys, *words.split())
    assert line.startswith(f"varscore: error: {message}")
    assert "Input should" not in line


@pytest.mark.parametrize("words", ["-h", "annotate -h", "models -h", "models list -h", "dataset peaks -h"])
def test_h_is_help(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == 0
    short = capsys.readouterr().out
    assert run(words.replace("-h", "--help").split()) == 0
    assert capsys.readouterr().out == short != ""


def test_what_cannot_be_indexed_can_be_sorted(capsys: pytest.CaptureFixture[str]) -> None:
    header, records = VCF[: VCF.index("chr1\t")], VCF[VCF.index("chr1\t") :].splitlines(keepends=True)
    Path("in.vcf").write_text(header + "".join(records[9:0:-1]))
    assert annotate("in.vcf -o out.vcf.gz") == 0
    assert "not sorted, so there is no index; `bcftools sort`" in capsys.readouterr().err


# -- tasks -------------------------------------------------------------------------------------------------------------

TASKS = [Task(i, name) for i, name in enumerate(("GM12878|SIN3A", "K562|CTCF", "K562|DNase (rep 1)", "na[i]ve T"))]


@pytest.mark.parametrize(
    ("glob", "columns"),
    [
        ("GM12878|SIN3A", [0]),
        ("GM12878_SIN3A", [0]),  # as VS_TASK prints it
        ("0:GM12878_SIN3A", [0]),
        ("0:gm12878|sin3a", [0]),
        ("gm*", [0]),
        ("k562*", [1, 2]),
        ("K562_DNase__rep_1_", [2]),
        ("1:*", [1]),
        ("1", [1]),
        ("na[i]ve t", [3]),  # no range of letters
        ("k562", []),
        ("*", [0, 1, 2, 3]),
    ],
)
def test_a_task_is_found_by_any_of_its_names(glob: str, columns: list[int]) -> None:
    assert fitting(TASKS, glob) == columns


def test_any_spelling_chooses_the_same_tasks() -> None:
    found = []
    for number, glob in enumerate(("K562|CTCF|None", "k562_ctcf_none", "0:K562_CTCF_None", "0", "*k562?ctcf*")):
        assert annotate("in.vcf", "--tasks", glob, "-o", f"{number}.tsv") == 0
        lines = Path(f"{number}.tsv").read_text().splitlines()
        found.append([line for line in lines if not line.startswith("##")])
    assert all(other == found[0] for other in found)


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (
            "annotate in.vcf -r g.fa --tasks k562",
            "--tasks 'k562' matches none of the 3 tasks; near it are K562|CTCF|None,",
        ),
        ("annotate in.vcf -r g.fa --tasks HepG2_CTFC_None", "near it are HepG2|CTCF|None"),
        ("predict tiny g.fa -o p.tsv --tasks HepG2_CTFC_None", "near it are HepG2|CTCF|None"),
        ("models tasks --like HepG2_CTFC_None", "near it are HepG2|CTCF|None"),
    ],
)
def test_near_tasks_are_named(words: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = said(capsys, *words.split())
    assert near in line and "`varscore models tasks MODEL` lists them" in line


def test_tasks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "tasks"]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    expected = [["0", "K562|CTCF|None", "TF"], ["1", "K562|DNase|None", "DNase"], ["2", "HepG2|CTCF|None", "TF"]]
    assert [row.split() for row in rows] == expected
    assert run(["models", "tasks", "tiny", "--like", "k562*"]) == 0
    assert [row.split() for row in capsys.readouterr().out.splitlines()[1:]] == expected[:2]
