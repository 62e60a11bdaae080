"""``varscore demo`` from end to end with a small model."""

from __future__ import annotations

import gzip
import os
import shlex
from pathlib import Path

import numpy as np
import pysam
import pytest

from varscore.cli.boundary import run
from varscore.scoring.evalue import BACKGROUND, BackgroundBuilder, save_background
from varscore.zoo.models import ModelFolder

FILES = {
    "demo.fa",
    "demo.fa.fai",
    "demo.vcf",
    "demo.jaspar",
    "demo.varscore.vcf.gz",
    "demo.varscore.vcf.gz.tbi",
    "report.html",
}
pytestmark = pytest.mark.usefixtures("tiny_model")


def table(out: str) -> list[list[str]]:
    head, *lines = out.partition("\n\n")[0].splitlines()
    starts = [head.index(name) for name in ("variant", "what", "status", "strongest")]
    edges = [*zip(starts, starts[1:], strict=False), (starts[-1], None)]
    return [[line[first:last].strip() for first, last in edges] for line in lines]


def test_the_table_is_what_the_annotated_file_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "demo"
    assert run(["demo", str(folder), "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    assert set(os.listdir(folder)) == FILES
    rows = table(out)
    with pysam.VariantFile(str(folder / "demo.varscore.vcf.gz")) as file:
        expected = [
            (f"{record.chrom}:{record.pos} {record.ref}>{alt}", status, task, diff)
            for record in file
            for alt, status, task, diff in zip(
                record.alts or (),
                record.info["VS_STATUS"],
                *(record.info.get(f"VS_{name}", (None,) * len(record.alts or ())) for name in ("TASK", "DIFF")),
                strict=True,
            )
        ]
    assert [row[0] for row in rows] == [row[0] for row in expected]
    assert [row[2] for row in rows] == [row[1] for row in expected]
    for row, (_, status, task, diff) in zip(rows, expected, strict=True):
        cells = row[3].split()
        assert cells[0] == (task if status == "PASS" else ".")
        if status == "PASS":
            assert float(cells[1]) == pytest.approx(diff, rel=1e-4)
    statuses = [row[2] for row in rows]
    assert {status: statuses.count(status) for status in statuses} == {
        "PASS": 15,
        "SYMBOLIC": 1,
        "REF_MISMATCH": 1,
        "REF_UNKNOWN": 1,
    }
    assert all(len(row[1]) > 10 for row in rows)
    for name in ("demo.fa", "demo.vcf", "demo.varscore.vcf.gz"):
        assert str(folder / name) in out
    assert "15 scored" in err


def test_the_command_it_prints_gives_the_same_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "with space"
    assert run(["demo", str(folder), "-m", "tiny"]) == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[-1])
    scored = folder / "demo.varscore.vcf.gz"
    before = gzip.decompress(scored.read_bytes())
    scored.unlink()
    (folder / "report.html").unlink()
    assert command[0] == "varscore"
    assert run(command[1:]) == 0
    assert gzip.decompress(scored.read_bytes()) == before


def test_e_values_are_shown_when_the_model_has_a_background(
    tiny_model: ModelFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = BackgroundBuilder(3)
    builder.add(np.random.default_rng(0).lognormal(-8, 3, (500, 3)).astype(np.float32))
    save_background(str(tiny_model.path / BACKGROUND), builder.finish(tiny_model.sha256, (), {}))
    assert run(["demo", str(tmp_path / "demo")]) == 0
    head, *lines = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert head.split()[-2:] == ["log-odds", "significance"]
    with pysam.VariantFile(str(tmp_path / "demo" / "demo.varscore.vcf.gz")) as file:
        records = [(record, record.alts or ()) for record in file]
        expected = [value for record, alts in records for value in record.info.get("VS_SIG", (None,) * len(alts))]
    found = [None if line.split()[-1] == "." else float(line.split()[-1]) for line in lines]
    assert found == [value if value is None else pytest.approx(value, rel=1e-4) for value in expected]
    assert len({value for value in found if value is not None}) > 5


def test_files_are_replaced_only_with_force_and_others_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert run(["demo", str(tmp_path)]) == 0
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    capsys.readouterr()
    assert run(["demo", str(tmp_path)]) == 2
    assert "demo.fa; " in capsys.readouterr().err
    (tmp_path / "demo.vcf").write_text("changed")
    assert run(["demo", str(tmp_path), "--force"]) == 0
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_without_a_model_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VARSCORE_MODELS", "")
    monkeypatch.setattr("varscore.zoo.shelf.bundled_folder", lambda: tmp_path / "none")
    assert run(["demo", str(tmp_path / "demo")]) == 2
    assert "no default model" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
