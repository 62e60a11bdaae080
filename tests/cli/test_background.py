"""``varscore background`` and what ``annotate`` makes of it, against effects computed apart."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pysam
import pytest
from cli.made_snps import Snv, made_snvs, write_genome, write_vcf

from varscore.cli.boundary import run
from varscore.genome.sequence import Genome
from varscore.scoring.evalue import load_background
from varscore.zoo.card import write_card
from varscore.zoo.models import ModelFolder


@pytest.fixture
def snvs(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> list[Snv]:
    """120 SNVs: the first 90 in common.vcf, the last 60 in mine.vcf."""
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_REFERENCE", str(write_genome(tmp_path)))
    with Genome(tmp_path / "g.fa") as genome:
        found = made_snvs(genome, 120)
    write_vcf(tmp_path / "common.vcf", found[:90], "AF=0.1")
    write_vcf(tmp_path / "mine.vcf", found[60:])
    return found


def make(folder: Path, *more: str, name: str = "b.safetensors", status: int = 0) -> Path:
    arguments = ["background", "tiny", "--vcf", str(folder / "common.vcf"), "-o", str(folder / name), "--threads", "1"]
    assert run([*arguments, *more]) == status
    return folder / name


def annotate(folder: Path, *more: str, name: str = "o.vcf.gz", source: str = "mine.vcf", status: int = 0) -> Path:
    arguments = ["annotate", str(folder / source), "-o", str(folder / name), "--threads", "1"]
    assert run([*arguments, *more]) == status
    return folder / name


def matrix(path: Path, block: str) -> np.ndarray:
    return np.array(pq.read_table(path)[block].to_pylist(), np.float64)


def test_significance_is_what_counting_gives(
    tmp_path: Path, snvs: list[Snv], capsys: pytest.CaptureFixture[str]
) -> None:
    made = make(tmp_path)
    assert "90 alleles, 3 tasks" in capsys.readouterr().out
    annotate(tmp_path, "--scores", str(tmp_path / "common.parquet"), name="c.tsv", source="common.vcf")
    more = ["--background", str(made), "--scores", str(tmp_path / "mine.parquet")]
    output = annotate(tmp_path, *more)
    background, mine = (
        np.abs(matrix(path, "diff").astype(np.float32) * matrix(path, "logodds").astype(np.float32))
        for path in (tmp_path / "common.parquet", tmp_path / "mine.parquet")
    )
    expected = np.maximum((background[None] > mine[:, None]).mean(1), 1 / 91)
    np.testing.assert_allclose(matrix(tmp_path / "mine.parquet", "evalue"), expected, rtol=1e-6)
    assert "evalue" not in pq.read_schema(tmp_path / "common.parquet").names
    with pysam.VariantFile(str(output)) as file:
        header = str(file.header)
        found = [record.info["VS_SIG"][0] for record in file]
    np.testing.assert_allclose(found, np.exp(np.log(expected).mean(1)), rtol=1e-5)
    assert "##varscoreBackground=<N=90,SHA256=" in header and "SOURCES=common.vcf,FLOOR=0.010989" in header
    assert np.mean(np.array(found) < 0.5) > 0.1


@pytest.mark.parametrize("untrained", [[], ["1:K562|DNase|None"]])
def test_the_answer_to_which_cell_type_is_in_every_format(
    tmp_path: Path, snvs: list[Snv], tiny_model: ModelFolder, untrained: list[str]
) -> None:
    """Smallest E-value, its task and difference against the matrix; --tasks limits them, VS_SIG it does not."""
    write_card(tiny_model.path, {**tiny_model.card, "priors": {"untrained": untrained}})
    made, scores = str(make(tmp_path)), tmp_path / "mine.parquet"
    annotate(tmp_path, "--background", made, "--scores", str(scores), name="all.tsv")
    blocks = {name: matrix(scores, name) for name in ("evalue", "diff", "ref_prob")}
    known = [0, 1, 2] if not untrained else [0, 2]
    for name, globs, tasks in (("o.vcf", [], known), ("o.bcf", [], known), ("k.vcf", ["K562*"], known[:-1])):
        limits = [word for glob in globs for word in ("--tasks", glob)]
        with pysam.VariantFile(str(annotate(tmp_path, "--background", made, *limits, name=name))) as file:
            rows = [record.info for record in file]
        for row, info in enumerate(rows):
            e_task, task = (int(info[tag][0].partition(":")[0]) for tag in ("VS_E_TASK", "VS_TASK"))
            assert e_task in tasks and task in tasks
            assert info["VS_E"][0] == pytest.approx(blocks["evalue"][row, tasks].min(), rel=1e-5)
            assert blocks["evalue"][row, e_task] == blocks["evalue"][row, tasks].min()
            assert info["VS_E_DIFF"][0] == pytest.approx(blocks["diff"][row, e_task], rel=1e-5)
            assert info["VS_REF"][0] == pytest.approx(blocks["ref_prob"][row, task], rel=1e-5)
            assert abs(blocks["diff"][row, task]) == np.abs(blocks["diff"][row, tasks]).max()
            significance = np.exp(np.log(blocks["evalue"][row, known]).mean())
            assert info["VS_SIG"][0] == pytest.approx(significance, rel=1e-5)
    table = pq.read_table(annotate(tmp_path, "--background", made, name="o.parquet"))
    columns = ["status", "diff", "task", "logodds", "ref_prob", "e", "e_task", "e_diff", "sig", "span"]
    head = next(line for line in (tmp_path / "all.tsv").read_text().split("\n") if line.startswith("chrom\t"))
    assert table.column_names[5:] == columns == head.split("\t")[5:]
    annotate(tmp_path, "--tasks", "K562|DNase*", name="x.vcf", status=2 if untrained else 0)


def test_a_model_s_own_background_is_found(tmp_path: Path, snvs: list[Snv], tiny_model: ModelFolder) -> None:
    without = annotate(tmp_path, name="a.tsv").read_text()
    make(tmp_path, name=str(tiny_model.path / "background.safetensors"))
    with_it = annotate(tmp_path, name="b.tsv").read_text()
    assert "\tsig" not in without and "\tsig" in with_it
    card = tomllib.loads((tiny_model.path / "card.toml").read_text())
    made = load_background(tiny_model.path / "background.safetensors", tiny_model.sha256, 3)
    assert (card["background"]["alleles"], card["background"]["sha256"]) == (90, made.sha256)
    assert card["files"] == tiny_model.card["files"]
    assert run(["models", "verify", "tiny"]) == 0


def test_the_file_says_where_it_comes_from(tmp_path: Path, snvs: list[Snv], tiny_model: ModelFolder) -> None:
    read = load_background(make(tmp_path), tiny_model.sha256, 3)
    assert read.facts["model"] == "tiny" and read.facts["left_out"] == {}
    assert [source["name"] for source in read.facts["sources"]] == ["common.vcf"]
    assert len(read.facts["sources"][0]["sha256"]) == len(read.facts["reference"]["sha256"]) == 64
    assert make(tmp_path, name="again").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_what_is_left_out_is_counted(
    tmp_path: Path, snvs: list[Snv], tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    contig, pos, ref, alt = snvs[0]
    (tmp_path / "x.bed").write_text(f"{contig}\t{pos - 1}\t{pos}\n")
    others = "".join(base for base in "ACGT" if base not in ref + alt)
    with (tmp_path / "common.vcf").open("a") as file:
        file.write(f"{contig}\t{pos + 1}\t.\tA\t<DEL>\t.\t.\t.\n")
        file.write(f"{snvs[1][0]}\t{snvs[1][1]}\t.\t{snvs[1][2]}\tAA,AC\t.\t.\tAF=0.001,0.5\n")
        file.write(f"{contig}\t{pos}\t.\t{ref}\t{others[0]}\t.\t.\tAF=0.001\n")
        file.write(f"{snvs[2][0]}\t{snvs[2][1]}\t.\t{snvs[2][2]}\tTT\t.\t.\tAF=0.001\n")
    made = make(tmp_path, "--exclude", str(tmp_path / "x.bed"), "--min-af", "0.01")
    read = load_background(made, tiny_model.sha256, 3)
    assert read.facts["left_out"] == {"excluded": 2, "rare": 2, "SYMBOLIC": 1}
    assert read.n == 90 - 1 + 1
    assert "90 alleles" in capsys.readouterr().out


def test_an_allele_counts_once_however_often_a_file_has_it(
    tmp_path: Path, snvs: list[Snv], tiny_model: ModelFolder
) -> None:
    """As dbSNP has them, under several names; another allele of the same place is another allele."""
    once = load_background(make(tmp_path, name="once"), tiny_model.sha256, 3)
    twice = []
    for contig, pos, ref, alt in snvs[:90]:
        twice += [(contig, pos, ref, alt), (contig, pos, ref.lower(), alt), (contig, pos, ref, f"{alt},{alt}")]
    write_vcf(tmp_path / "common.vcf", twice)
    read = load_background(make(tmp_path, name="twice"), tiny_model.sha256, 3)
    assert (read.n, read.facts["left_out"]) == (90, {"repeated": 3 * 90})
    np.testing.assert_array_equal(read.tail, once.tail)
    others = [(c, pos, ref, next(base for base in "ACGT" if base not in ref + alt)) for c, pos, ref, alt in snvs[:90]]
    write_vcf(tmp_path / "common.vcf", [snv for pair in zip(snvs, others, strict=False) for snv in pair])
    assert load_background(make(tmp_path, name="both"), tiny_model.sha256, 3).n == 180


def test_several_files_are_one_background(tmp_path: Path, snvs: list[Snv], tiny_model: ModelFolder) -> None:
    write_vcf(tmp_path / "rest.vcf", snvs[90:])
    write_vcf(tmp_path / "whole.vcf", snvs)
    both = load_background(make(tmp_path, "--vcf", str(tmp_path / "rest.vcf"), name="two"), tiny_model.sha256, 3)
    (tmp_path / "common.vcf").write_text((tmp_path / "whole.vcf").read_text())
    one = load_background(make(tmp_path, name="one"), tiny_model.sha256, 3)
    np.testing.assert_array_equal(both.tail, one.tail)
    np.testing.assert_array_equal(both.counts, one.counts)


def test_what_cannot_be_is_one_line_and_status_2(
    tmp_path: Path, snvs: list[Snv], tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make(tmp_path)
    make(tmp_path, status=2)
    make(tmp_path, "--min-af", "0.5", name="none", status=2)
    make(tmp_path, name=str(tmp_path / "common.vcf"), status=2)
    annotate(tmp_path, "--background", str(tmp_path / "common.vcf"), status=2)
    card = tiny_model.path / "card.toml"
    weights = (tiny_model.path / "model.safetensors").read_bytes()
    changed = bytearray(weights)
    changed[-1] ^= 1
    (tiny_model.path / "model.safetensors").write_bytes(changed)
    old, new = (hashlib.sha256(content).hexdigest() for content in (weights, bytes(changed)))
    card.write_text(card.read_text().replace(old, new))
    annotate(tmp_path, "--background", str(made), status=2)
    errors = capsys.readouterr().err
    lines = [line for line in errors.splitlines() if line.startswith("varscore: error")]
    for line, message in zip(
        lines,
        [
            "the output exists already",
            "no variant for the background",
            "the output is also an input",
            "not a background, or a damaged one",
            "the background belongs to another model",
        ],
        strict=True,
    ):
        assert message in line
    assert not (tmp_path / "none").exists()
