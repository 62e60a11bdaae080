"""``varscore annotate --haplotypes`` from its command line."""

from __future__ import annotations

import gzip
import io
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pysam
import pytest

from varscore.annotate import outputs
from varscore.cli.boundary import run
from varscore.formats import shards
from varscore.zoo.models import ModelFolder

DICE = random.Random(1)
SEQUENCE = "".join(DICE.choices("ACGT", k=2000))
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=2000>\n" + (
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
)
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
HAPLOTYPES = ("HAP_DIFF", "HAP_TASK", "HAP_LOGODDS", "HAP_N", "JOINT_DIFF", "JOINT_TASK", "HAP_STATUS")


def snv(pos: int, *calls: str) -> str:
    base = SEQUENCE[pos - 1]
    return record(pos, base, OTHER[base], *calls)


def record(pos: int, ref: str, alt: str, *calls: str) -> str:
    return "\t".join(["chr1", str(pos), ".", ref, alt, ".", ".", ".", "GT", *calls]) + "\n"


def write(name: str, *lines: str, samples: str = "anna") -> str:
    Path(name).write_text(HEADER + COLUMNS + "\tFORMAT\t" + "\t".join(samples.split()) + "\n" + "".join(lines))
    return name


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    Path("g.fa").write_text(f">chr1\n{SEQUENCE}\n")
    pysam.faidx("g.fa")


def annotate(words: str) -> int:
    return run(["annotate", *words.split(), "-r", "g.fa", "--threads", "1"])


def tags(path: str) -> list[dict[str, str]]:
    """The tags of every record, without their prefix."""
    content = Path(path).read_bytes()
    text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
    infos = [line.split("\t")[7] for line in text.splitlines() if not line.startswith("#")]
    return [
        {name[3:]: value for name, _, value in (entry.partition("=") for entry in info.split(";")) if name[:3] == "VS_"}
        for info in infos
    ]


def table(path: str) -> list[dict[str, str]]:
    content = Path(path).read_bytes()
    head, *rows = (gzip.decompress(content) if path.endswith(".gz") else content).decode().splitlines()
    return [dict(zip(head.split("\t"), row.split("\t"), strict=True)) for row in rows]


def made(count: int, samples: int, seed: int = 2) -> list[str]:
    """Records of all kinds in some samples, sorted, mostly phased."""
    dice, lines = random.Random(seed), []
    for pos in sorted(dice.choices(range(100, 1900), k=count)):
        ref = SEQUENCE[pos - 1 :][: dice.choice([1, 1, 1, 4])]
        alts = [ref[0] + "".join(dice.choices("ACGT", k=3)), OTHER[ref[0]] + ref[1:], ref[0] if ref[1:] else "*"]
        chosen = dice.sample(alts, dice.choice([1, 1, 2]))
        calls = [
            dice.choice("||||/").join(str(dice.choice([0, 0, *range(len(chosen) + 1)])) for _ in "ab")
            for _ in range(samples)
        ]
        lines.append(record(pos, ref, ",".join(chosen), *calls))
    return lines


def test_an_allele_alone_has_on_its_haplotype_what_it_has_anyway(capsys: pytest.CaptureFixture[str]) -> None:
    write("in.vcf", snv(300, "0|1"), snv(700, "0|0"), snv(1100, "0/1"), snv(1500, "1/1"))
    assert annotate("in.vcf -o out.vcf --haplotypes") == 0
    assert "2 pairs of an allele and a background scored, 0 left out" in capsys.readouterr().err
    found = tags("out.vcf")
    assert [one["HAP_STATUS"] for one in found] == ["PASS", "NO_CARRIER", "UNPHASED", "PASS"]
    assert [one["HAP_N"] for one in found] == ["1", "0", ".", "1"]
    for one in (found[0], found[3]):
        assert [one[f"HAP_{name}"] for name in ("DIFF", "TASK", "LOGODDS")] == [
            one["DIFF"],
            one["TASK"],
            one["LOGODDS"],
        ]
        assert [one[f"JOINT_{name}"] for name in ("DIFF", "TASK")] == [one["DIFF"], one["TASK"]]
    assert {found[1][name] for name in ("HAP_DIFF", "HAP_TASK", "JOINT_DIFF", "JOINT_TASK")} == {"."}
    assert annotate("in.vcf -o plain.vcf") == 0
    assert not any(name in one for one in tags("plain.vcf") for name in HAPLOTYPES)
    assert [one | tags("plain.vcf")[i] for i, one in enumerate(found)] == found, "nothing else changes"
    with pysam.VariantFile("out.vcf") as file:
        assert (file.header.info["VS_HAP_N"].type, file.header.info["VS_HAP_N"].number) == ("Integer", "A")
        assert file.header.info["VS_HAP_STATUS"].type == file.header.info["VS_JOINT_TASK"].type == "String"


def test_two_substitutions_in_cis_are_the_one_that_spans_both() -> None:
    both = SEQUENCE[499:503]
    together = OTHER[both[0]] + both[1:3] + OTHER[both[3]]
    write("cis.vcf", snv(500, "0|1"), record(500, both, together, "0|0"), snv(503, "0|1"))
    write("trans.vcf", snv(500, "0|1"), snv(503, "1|0"))
    assert annotate("cis.vcf -o cis.tsv --haplotypes --haplotype-table cis.table.tsv") == 0
    assert annotate("trans.vcf -o trans.vcf.gz --haplotypes") == 0
    first, mnv, second = (dict(zip(*pair, strict=True)) for pair in _rows("cis.tsv"))
    assert float(first["joint_diff"]) == pytest.approx(float(mnv["diff"]), rel=1e-3, abs=3e-6)
    assert first["joint_task"] == mnv["task"] and first["hap_diff"] != first["diff"]
    assert first["hap_n"] == second["hap_n"] == "1"
    rows = table("cis.table.tsv")
    assert [row["background"] for row in rows] == [f"503:{both[3]}>{OTHER[both[3]]}", f"500:{both[0]}>{OTHER[both[0]]}"]
    assert [(row["pos"], row["carriers"], row["samples"], row["flags"]) for row in rows] == [
        ("500", "1", "anna|2", "."),
        ("503", "1", "anna|2", "."),
    ]
    apart = tags("trans.vcf.gz")
    assert [(one["HAP_DIFF"], one["HAP_N"]) for one in apart] == [(one["DIFF"], "1") for one in apart]


def test_a_child_has_on_a_haplotype_what_the_parent_has_on_it() -> None:
    """A trio, the child's haplotypes one of each parent's: on the same background an allele does the same."""
    dice, lines = random.Random(8), []
    for pos in range(300, 1700, 23):
        a, b, c, d = dice.choices((0, 1), k=4)
        lines.append(snv(pos, f"{a}|{b}", f"{c}|{d}", f"{b}|{c}"))
    write("trio.vcf", *lines, samples="mother father child")
    found: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {}
    for name in ("mother", "father", "child"):
        assert annotate(f"trio.vcf -o {name}.vcf --haplotypes --samples {name} --haplotype-table {name}.tsv") == 0
        found[name] = {
            (row["pos"], row["alt"], row["background"]): tuple(
                row[column] for column in ("diff_alone", "diff_hap", "diff_joint", "interaction", "task", "logodds_hap")
            )
            for row in table(f"{name}.tsv")
        }
    parents = found["mother"] | found["father"]
    assert len(found["child"]) > 40 and found["child"].keys() <= parents.keys()
    assert all(parents[key] == said for key, said in found["child"].items())
    assert len({said for key, said in found["child"].items() if key[2] != "."}) > 40


def _rows(path: str) -> list[tuple[list[str], list[str]]]:
    head, *rows = (line for line in Path(path).read_text().splitlines() if not line.startswith("##"))
    return [(head.split("\t"), row.split("\t")) for row in rows]


def test_shards_a_stream_small_chunks_and_regions_see_the_same_neighbours(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(shards, "BLOCK", 16)
    monkeypatch.setattr("varscore.scoring.cohort.PIECE", 7)
    write("in.vcf", *made(110, 3), samples="anna ben cleo")
    words = "--haplotypes --samples anna,cleo"
    assert annotate(f"in.vcf -o one.vcf.gz {words} --haplotype-table one.tsv.gz") == 0
    parts = []
    for i in (1, 2, 3):
        parts.append(f"part{i}.vcf.gz")
        assert annotate(f"in.vcf -o {parts[-1]} --shard {i}/3 {words} --haplotype-table part{i}.tsv.gz") == 0
    assert run(["merge", *parts, "-o", "all.vcf.gz", "--haplotype-table", "all.tsv.gz"]) == 0
    assert Path("all.vcf.gz").read_bytes() == Path("one.vcf.gz").read_bytes()
    assert Path("all.tsv.gz").read_bytes() == Path("one.tsv.gz").read_bytes()
    rows, found = table("one.tsv.gz"), tags("one.vcf.gz")
    assert len({row["background"] for row in rows}) > 60 and {row["flags"] for row in rows} == {".", "sv"}
    both = [[one.get(name, "").split(",") for name in ("STATUS", "HAP_STATUS")] for one in found]
    said = [pair for columns in both for pair in zip(*columns, strict=False)]
    assert {"PASS", "UNPHASED", "NO_CARRIER", "SPANNING_DELETION"} <= {status for _, status in said}
    assert all(status == on_haplotype for status, on_haplotype in said if status != "PASS" and on_haplotype)

    capsysbinary.readouterr()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(gzip.compress(Path("in.vcf").read_bytes()))))
    assert annotate(f"- -O z {words} --haplotype-table stream.parquet") == 0
    assert gzip.decompress(capsysbinary.readouterr().out) == gzip.decompress(Path("one.vcf.gz").read_bytes())
    parquet = pq.read_table("stream.parquet").to_pylist()
    assert [
        {name: "." if v is None else v if isinstance(v, str) else f"{v:g}" for name, v in row.items()}
        for row in parquet
    ] == [
        {
            name: v
            if name in ("chrom", "task", "ref", "alt", "samples", "background", "flags", "phase_sets") or v == "."
            else f"{float(v):g}"
            for name, v in row.items()
        }
        for row in rows
    ]
    assert annotate(f"in.vcf -o part.vcf.gz {words} --region chr1:900-1000 --batch-size 1") == 0
    assert annotate(f"in.vcf -o none.vcf.gz {words} --region chr1:1-50") == 0 and not tags("none.vcf.gz")
    inside = [one for one, line in zip(found, made(110, 3), strict=True) if 900 <= int(line.split("\t")[1]) <= 1000]
    assert tags("part.vcf.gz")[-len(inside) :] == inside


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--haplotypes --samples anni", "no sample 'anni', in.vcf; near: anna"),
        ("--haplotypes --samples-file none.txt", "there is no such file, none.txt"),
        ("--samples anna", "--samples belongs to --haplotypes"),
        ("--haplotype-table t.tsv", "--haplotype-table belongs to --haplotypes"),
        ("--haplotypes --haplotype-table t.xlsx", "unknown kind of table"),
        ("--haplotypes --haplotype-table t.parquet --shard 1/2", "shards have their haplotype table as text"),
        ("--haplotypes --cache store", "takes nothing from a cache"),
    ],
)
def test_what_does_not_go_together(capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    write("in.vcf", snv(300, "0|1", "0|1"), samples="anna ben")
    assert annotate(f"in.vcf -o out.vcf {words}") == 2
    assert said in capsys.readouterr().err
    assert not Path("out.vcf").exists()


def test_files_that_have_no_haplotypes(capsys: pytest.CaptureFixture[str]) -> None:
    Path("sites.vcf").write_text(HEADER + COLUMNS + "\n" + snv(300).replace("\tGT", ""))
    assert annotate("sites.vcf -o out.vcf --haplotypes") == 2
    assert "no genotypes, sites.vcf; the file has no samples" in capsys.readouterr().err
    write("no.vcf", snv(300, "7").replace("\tGT\t", "\tDP\t"))
    assert annotate("no.vcf -o out.vcf --haplotypes") == 2
    assert "none of the first 1 records has a GT" in capsys.readouterr().err
    write("back.vcf", snv(300, "0|1"), snv(200, "0|1"))
    assert annotate("back.vcf -o out.vcf --haplotypes") == 2
    assert "the records are not sorted, back.vcf record 2" in capsys.readouterr().err
    assert not Path("out.vcf").exists()


@pytest.mark.parametrize("name", ["table.tsv.gz", pytest.param("table.parquet", marks=pytest.mark.slow)])
def test_a_run_that_broke_off_carries_on_to_the_same_bytes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(outputs, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(outputs, "COMMIT_SHARE", float("inf"))
    write("in.vcf", *made(600, 2), samples="anna ben")
    words = f"in.vcf -o out.vcf.gz --haplotypes --haplotype-table {name} --batch-size 1"
    assert annotate(words) == 0
    whole = {path: Path(path).read_bytes() for path in ("out.vcf.gz", name)}
    for path in whole:
        Path(path).unlink()
    writes, write_one = [], outputs.Outputs.write

    def breaks(self: outputs.Outputs, *given: Any) -> None:
        writes.append(given)
        if len(writes) == 3:
            raise RuntimeError("broken")
        write_one(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(outputs.Outputs, "write", breaks)
        assert annotate(words) == 1
    assert not Path(name).exists()
    counted: list[int] = []
    monkeypatch.setattr(outputs.Outputs, "write", lambda self, *given: (counted.append(1), write_one(self, *given)))
    assert annotate(words) == 0 and len(counted) == 1
    assert {path: Path(path).read_bytes() for path in whole} == whole
