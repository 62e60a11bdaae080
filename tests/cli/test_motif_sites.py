"""``annotate --motifs``: the same sites in every format, whatever the way a run is cut, stopped or merged."""

from __future__ import annotations

import csv
import gzip
import json
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pysam
import pysam.bcftools
import pytest
from cli.disturbance import Disturbance
from cli.made_runs import HEADER, SEQUENCE, VCF, annotate, set_up, undisturbed, written

from varscore.cli.boundary import run
from varscore.cluster.slurm import ArrayPlan
from varscore.formats import shards
from varscore.zoo.models import ModelFolder

MEME = """MEME version 4

ALPHABET= ACGT

"""
CONSENSUS = {"GATA": "AGATAA", "odd,name;": "GGAA", "CEBP": "TTGCAAN", "CREB": "TGACGTCA"}
RECORDS = 400
WORDS = "--motifs ../m.meme --motif-p 0.005"


def made_meme() -> str:
    text = MEME
    for number, (name, bases) in enumerate(CONSENSUS.items()):
        text += f"MOTIF M{number} {name}\nletter-probability matrix: alength= 4 w= {len(bases)} nsites= 50 E= 0\n"
        for base in bases:
            row = [0.25] * 4 if base == "N" else [0.91 if base == b else 0.03 for b in "ACGT"]
            text += " ".join(map(str, row)) + "\n"
    return text


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch, heeded_signals: None) -> None:
    set_up(tmp_path, monkeypatch)
    monkeypatch.delenv("VARSCORE_MOTIFS", raising=False)
    monkeypatch.setattr(shards, "BLOCK", 128)
    Path("in.vcf").write_text(HEADER + "".join(VCF.removeprefix(HEADER).splitlines(keepends=True)[:RECORDS]))
    Path("../m.meme").write_text(made_meme())


def rows_of(path: str) -> list[dict[str, str]]:
    text = gzip.decompress(Path(path).read_bytes()) if path.endswith(".gz") else Path(path).read_bytes()
    lines = [line for line in text.decode().splitlines() if not line.startswith("##")]
    return list(csv.DictReader(lines, delimiter="\t"))


def key(row: dict[str, str]) -> tuple[str, ...]:
    return row["chrom"], row["pos"], row["ref"], row["alt"]


def test_every_format_says_the_same_and_the_table_has_all() -> None:
    names = ["out.vcf", "out.bcf", "out.tsv", "out.parquet"]
    for name in names:
        assert annotate(f"in.vcf -o {name} {WORDS} --motif-table {name}.sites.tsv.gz") == 0
    assert len({gzip.decompress(Path(f"{name}.sites.tsv.gz").read_bytes()) for name in names}) == 1
    table = rows_of("out.tsv")
    said = [row["motif"] for row in table]
    assert {word[0] for text in said if text != "." for word in text.split("&")} >= {"-", "+"}
    assert {word[1:] for text in said if text != "." for word in text.split("&")} >= {"GATA", "odd_name_"}
    assert all(row["motif"] == "." for row in table if row["status"] != "PASS")
    parquet = pq.read_table("out.parquet").column("motif").to_pylist()
    assert [text or "." for text in parquet] == said
    for name in ("out.vcf", "out.bcf"):
        with pysam.VariantFile(name) as file:
            assert (file.header.info["VS_MOTIF"].number, file.header.info["VS_MOTIF"].type) == ("A", "String")
            found = [
                text or "." for record in file for text in record.info.get("VS_MOTIF") or [None] * len(record.alts)
            ]
        assert found == said
    # the table: every site of an allele, the better p first (an allele that stands twice has them twice)
    sites: dict[tuple[str, ...], list[str]] = {}
    for row in rows_of("out.tsv.sites.tsv.gz"):
        sign = {"lost": "-", "gained": "+", "changed": "~"}[row["change"]]
        assert (float(row["ref_p"]) <= 0.005, float(row["alt_p"]) <= 0.005) == (sign != "+", sign != "-")
        sites.setdefault(key(row), []).append(sign + row["motif"].replace(",", "_").replace(";", "_"))
    by_allele = {key(row): row["motif"] for row in table}
    assert sites and all(by_allele[allele] == "&".join(dict.fromkeys(words)) for allele, words in sites.items())
    assert set(sites) == {allele for allele, text in by_allele.items() if text != "."}


def test_places_are_those_of_the_genome() -> None:
    assert annotate(f"in.vcf -o out.tsv {WORDS} --motif-table sites.tsv --motif-models GATA") == 0
    rows = [row for row in rows_of("sites.tsv") if row["change"] == "lost"]
    assert rows
    for row in rows:
        first = int(row["ref_pos"]) - 1
        site = SEQUENCE[first : first + 6]
        if row["strand"] == "-":
            site = site[::-1].translate(str.maketrans("ACGT", "TGCA"))
        assert sum(a == b for a, b in zip(site, "AGATAA", strict=True)) >= 5


@pytest.mark.parametrize("output", ["out.vcf.gz", "out.parquet"])
def test_a_stopped_run_carries_on(monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    words = f"in.vcf -o {output} {WORDS} --motif-table sites.tsv.gz"
    expected = undisturbed(words)
    assert "sites.tsv.gz" in expected
    disturb = Disturbance(monkeypatch)
    disturb.signal(1, signal.SIGTERM)
    assert annotate(words) == 143
    disturb.plan(None)
    assert annotate(words.replace("0.005", "0.001")) == 2  # another threshold is another run
    assert annotate(words) == 0
    assert written() == expected


@pytest.mark.parametrize("suffix", [".vcf.gz", ".tsv", ".parquet"])
def test_merged_shards_are_the_bytes_of_one_run(suffix: str) -> None:
    assert annotate(f"in.vcf -o one{suffix} {WORDS} --motif-table one.sites.tsv.gz") == 0
    names = [f"part{i}{suffix}" for i in (1, 2, 3)]
    for i, name in enumerate(names, 1):
        assert annotate(f"in.vcf -o {name} {WORDS} --motif-table part{i}.sites.tsv.gz --shard {i}/3") == 0
    assert run(["merge", *names, "-o", f"all{suffix}", "--motif-table", "all.sites.tsv.gz"]) == 0
    assert Path(f"all{suffix}").read_bytes() == Path(f"one{suffix}").read_bytes()
    assert Path("all.sites.tsv.gz").read_bytes() == Path("one.sites.tsv.gz").read_bytes()
    outputs = json.loads(Path(f"all{suffix}.run.json").read_text())["outputs"]
    assert outputs["motifs"] == "all.sites.tsv.gz"


def test_shards_without_the_table_have_none_to_merge(capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate(f"in.vcf -o part.vcf {WORDS} --shard 1/1") == 0
    assert run(["merge", "part.vcf", "-o", "all.vcf", "--motif-table", "all.tsv"]) == 2
    assert "a shard has no --motif-table; leave --motif-table out" in capsys.readouterr().err


def test_slurm_passes_the_table_on(tmp_path: Path) -> None:
    plan = ArrayPlan(["in.vcf"], "in.vcf", "all.vcf.gz", 2, tmp_path, motif_table="all.sites.tsv.gz")
    scripts = plan.scripts()
    assert '/shards/"$number".motif-table.tsv.gz' in scripts["array.sh"]
    assert "--motif-table all.sites.tsv.gz" in scripts["merge.sh"]


def test_a_stream_has_the_same_sites(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert annotate(f"in.vcf -o out.vcf {WORDS}") == 0
    capsysbinary.readouterr()
    assert annotate(f"in.vcf -o - {WORDS}") == 0
    assert capsysbinary.readouterr().out == Path("out.vcf").read_bytes()


def test_scores_from_a_cache_have_their_sites_too() -> None:
    for name in ("one", "two"):
        assert annotate(f"in.vcf -o {name}.tsv {WORDS} --motif-table {name}.sites.tsv --cache ../kept") == 0
    assert json.loads(Path("two.tsv.run.json").read_text())["cache"]["hits"] > 0
    assert Path("two.tsv").read_bytes() == Path("one.tsv").read_bytes()
    assert Path("two.sites.tsv").read_bytes() == Path("one.sites.tsv").read_bytes()


def test_the_header_says_where_sites_come_from_and_how_many_are_chance() -> None:
    assert annotate(f"in.vcf -o out.vcf {WORDS}") == 0
    lines = Path("out.vcf").read_text().splitlines()
    (note,) = [line for line in lines if line.startswith("##varscoreMotifs=")]
    assert note.startswith("##varscoreMotifs=<File=m.meme,SHA256=")
    assert ",P=0.005,Ratio=10,Models=4,ExpectedPerSNV=0." in note
    (command,) = [line for line in lines if line.startswith("##varscoreCommand=")]
    assert command.endswith("--motifs m.meme --motif-p 0.005 --motif-ratio 10")
    assert annotate("out.vcf -o again.vcf") == 0
    assert "VS_MOTIF" not in Path("again.vcf").read_text()  # replaced, though this run has none of its own


def test_norm_splits_the_tag() -> None:
    assert annotate(f"in.vcf -o out.vcf.gz {WORDS}") == 0
    for line in pysam.bcftools.norm("-m-", "out.vcf.gz").splitlines():
        if not line.startswith("#") and "VS_MOTIF=" in line:
            assert "," not in line.split("VS_MOTIF=")[1].split(";")[0].split("\t")[0]


def test_options_of_motifs_that_there_are_none_of_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate("in.vcf -o out.vcf --motif-models GATA --motif-p 0.01 --motifs none") == 0
    said = capsys.readouterr().err
    assert all(f"--{name} changes nothing without --motifs" in said for name in ("motif-models", "motif-p"))
    assert said.count("changes nothing") == 2


def test_the_file_may_be_named_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert annotate(f"in.vcf -o one.vcf {WORDS}") == 0
    expected = Path("one.vcf").read_bytes()
    monkeypatch.setenv("VARSCORE_MOTIFS", "../m.meme")
    assert annotate("in.vcf -o two.vcf --motif-p 0.005") == 0
    assert annotate("in.vcf -o none.vcf --motifs none") == 0
    monkeypatch.delenv("VARSCORE_MOTIFS")
    Path("../none.toml").write_text('motifs = "m.meme"\n')
    assert annotate("in.vcf -o three.vcf --motif-p 0.005") == 0
    assert Path("two.vcf").read_bytes() == Path("three.vcf").read_bytes() == expected
    assert "VS_MOTIF" not in Path("none.vcf").read_text()


def test_the_threshold_follows_what_the_model_knows(
    tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tiny_model.path / "motifs.json"
    try:
        assert annotate("in.vcf -o any.vcf --motifs ../m.meme") == 0
        assert (
            "4 of 4 motifs are never reported: at p 1e-05 not even their best site is rare" in capsys.readouterr().err
        )
        assert annotate("in.vcf -o x.vcf --motifs ../m.meme --motif-active") == 2
        assert "it has no motifs.json; `varscore motifs MODEL" in capsys.readouterr().err
        note.write_text(json.dumps({"active": ["M3", "elsewhere"]}))
        assert annotate("in.vcf -o known.vcf --motifs ../m.meme") == 0
        assert ",P=0.0001,Ratio=10,Models=1," in Path("known.vcf").read_text()
        assert annotate("in.vcf -o any2.vcf --motifs ../m.meme --no-motif-active") == 0
        assert Path("any2.vcf").read_bytes() == Path("any.vcf").read_bytes()
        note.write_text(json.dumps({"active": ["elsewhere"]}))
        capsys.readouterr()
        assert annotate("in.vcf -o y.vcf --motifs ../m.meme") == 0
        assert "none of these 4 motifs is among the 1 that match a filter" in capsys.readouterr().err
        note.write_text("{")
        assert annotate("in.vcf -o z.vcf --motifs ../m.meme") == 2
        assert "not a motifs.json" in capsys.readouterr().err
    finally:
        note.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--motif-table x.tsv", "--motif-table wants --motifs FILE"),
        ("--motifs none.meme", "no such file, none.meme"),
        ("--motifs in.vcf", "no motif in the file"),
        ("--motifs ../m.meme --motif-models NOPE*", "--motif-models 'NOPE*' fits none of the 4 motifs"),
        ("--motifs ../m.meme --motif-background 1,2,3", "four positive frequencies"),
        ("--motifs ../m.meme --motif-table ../m.meme", "../m.meme"),
    ],
)
def test_what_is_wrong_is_said(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate(f"in.vcf -o out.vcf {words}") == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not written()
