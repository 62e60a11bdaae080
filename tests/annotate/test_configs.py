"""Files for other annotators: they name the tags that are there, and programs that are installed carry the scores."""

from __future__ import annotations

import ast
import csv
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pysam
import pysam.bcftools
import pytest

from varscore.annotate.configs import configs, tags_of, write_configs
from varscore.errors import VariantFileError

HEAD = (
    "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=900>\n"
    '##INFO=<ID=AC,Number=A,Type=Integer,Description="count">\n##varscoreTags=VS_STATUS,VS_DIFF\n'
    '##INFO=<ID=VS_STATUS,Number=A,Type=String,Description="why, or PASS">\n'
    '##INFO=<ID=VS_DIFF,Number=A,Type=Float,Description="difference">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)
ROWS = "chr1\t10\t.\tA\tC,G\t.\t.\tVS_STATUS=PASS,PASS;VS_DIFF=-0.5,0.25\n"
ROWS += "chr1\t20\t.\tA\tT\t.\t.\tVS_STATUS=PASS;VS_DIFF=0.125\n"


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("scored.vcf").write_text(HEAD + ROWS)
    return str(pysam.tabix_index("scored.vcf", preset="vcf", force=True))


def test_only_tags_that_are_ours_are_named(scored: str) -> None:
    assert [(tag.name, tag.kind) for tag in tags_of(scored)] == [("VS_STATUS", "String"), ("VS_DIFF", "Float")]
    texts = configs(scored)
    assert "fields=VS_STATUS%VS_DIFF\n" in texts["vep.txt"]
    (entry,) = tomllib.loads(texts["vcfanno.toml"])["annotation"]
    assert entry["fields"] == entry["names"] == ["VS_STATUS", "VS_DIFF"] and entry["ops"] == ["self"] * 2
    assert [one["field"] for one in json.loads(texts["echtvar.json"])] == ["VS_STATUS", "VS_DIFF"]
    Path("bare.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    with pytest.raises(VariantFileError, match="no tags of varscore"):
        configs("bare.vcf")


def test_bcftools_takes_the_scores_over(scored: str, tmp_path: Path) -> None:
    """The commands of bcftools.sh, run by the bcftools that pysam has."""
    Path("other.vcf").write_text(
        "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=900>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "chr1\t10\tmine\tA\tG\t.\t.\t.\nchr1\t30\tnot\tA\tG\t.\t.\t.\n"
    )
    (script, *_) = write_configs(tmp_path / "cfg", scored)
    lines = [line for line in script.read_text().splitlines() if line.startswith("bcftools")]
    words = [re.sub('"[$]1"', "other.vcf", line).replace('"$2"', "out.vcf.gz").split() for line in lines]
    for line in words:
        for command in " ".join(line).split(" && "):
            _, name, *arguments = command.split()
            getattr(pysam.bcftools, name)(*arguments, catch_stdout=False)
    with pysam.VariantFile("out.vcf.gz") as found:
        assert [(r.id, dict(r.info)) for r in found] == [
            ("mine", {"VS_STATUS": ("PASS",), "VS_DIFF": (0.25,)}),
            ("not", {}),
        ]


OTHER = (
    "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=900>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    "chr1\t10\tturned\tA\tG,C\t.\t.\t.\nchr1\t20\talike\tA\tT\t.\t.\t.\nchr1\t20\tother\tA\tG\t.\t.\t.\n"
    "chr1\t30\tnot\tA\tG\t.\t.\t.\n"
)


def program(*words: str) -> str:
    """What a program says that is no part of Python; the test is skipped where it is not installed."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def infos(vcf: str) -> set[tuple[str, str, str]]:
    """ID, ALT and INFO of the records"""
    rows = (line.split("\t") for line in vcf.splitlines() if not line.startswith("#"))
    return {(row[2], row[4], row[7]) for row in rows}


def test_vcfanno_gives_each_allele_its_own(scored: str, tmp_path: Path) -> None:
    """Alleles in another order than here, one of two that are scored, and none."""
    write_configs(tmp_path, scored)
    Path("other.vcf").write_text(OTHER)
    assert infos(program("vcfanno", "vcfanno.toml", "other.vcf")) == {
        ("turned", "G,C", "VS_STATUS=PASS,PASS;VS_DIFF=0.25,-0.5"),
        ("alike", "T", "VS_STATUS=PASS;VS_DIFF=0.125"),
        ("other", "G", "."),
        ("not", "G", "."),
    }


def test_the_bcftools_that_is_installed_runs_its_script(scored: str, tmp_path: Path) -> None:
    write_configs(tmp_path, scored)
    Path("other.vcf").write_text(OTHER)
    program("bcftools", "--version")
    program("sh", "bcftools.sh", "other.vcf", "out.vcf.gz")
    assert infos(program("bcftools", "view", "out.vcf.gz")) == {
        ("turned", "G", "VS_STATUS=PASS;VS_DIFF=0.25"),
        ("turned", "C", "VS_STATUS=PASS;VS_DIFF=-0.5"),
        ("alike", "T", "VS_STATUS=PASS;VS_DIFF=0.125"),
        ("other", "G", "."),
        ("not", "G", "."),
    }


def test_tabix_reads_a_table_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own line, on a table as annotate writes it: ``##`` lines, then names."""
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).resolve().parents[2] / "docs" / "with-other-tools.md"
    (line,) = (line for line in page.read_text().splitlines() if line.startswith("tabix "))
    with pysam.BGZFile("scored.tsv.gz", "w") as table:
        table.write(b"##varscore=1\nchrom\tpos\tref\talt\tdiff\nchr1\t10\tA\tC\t-0.5\nchr1\t20\tA\tT\t0.125\n")
    program("tabix", "--version")
    program("sh", "-c", line)
    assert program("tabix", "scored.tsv.gz", "chr1:11-30") == "chr1\t20\tA\tT\t0.125\n"


@pytest.mark.parametrize("library", ["csv", "pandas", "polars"])
def test_a_table_is_read_as_the_page_says(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own block: a # in an ID cuts nothing, a " swallows none, a chromosome is no number, a dot nothing."""
    monkeypatch.chdir(tmp_path)
    frames = pytest.importorskip(library)
    page = (Path(__file__).resolve().parents[2] / "docs" / "with-other-tools.md").read_text()
    said = ast.parse(page.partition("```python\n")[2].partition("```")[0]).body
    first = [f"1\t{pos}\ta#{pos}\tA\tC\tPASS\t.\n" for pos in range(1, 200)]
    first[100] = first[100].replace("a#", '"a#')
    names = "chrom\tpos\tid\tref\talt\tstatus\tdiff\n"
    Path("scored.tsv").write_text(f"##varscore=1\n##a=#b\n{names}{''.join(first)}X\t7\tb\tA\tC\tPASS\t-1e-05\n")
    known: dict[str, Any] = {library: frames}
    exec("\n".join(ast.unparse(each) for each in said if isinstance(each, ast.With)), known)
    if library == "csv":
        rows = list(csv.reader(Path("scored.tsv").read_text().splitlines()[known["at"] :], delimiter="\t", quoting=3))
        assert rows[0] == names.split() and len(rows) == 201
        return
    (call,) = (text for text in map(ast.unparse, said) if text.startswith(f"{library}.read_csv"))
    table = eval(call, known)
    assert list(table.columns) == names.split() and len(table) == 200
    assert list(table["chrom"])[::199] == ["1", "X"] and list(table["id"])[:2] == ["a#1", "a#2"]
    assert list(table["diff"])[-1] == -1e-05 and list(table["pos"])[-1] == 7
