"""``dataset tss`` and ``train-tss`` from the command line, and what becomes of the model afterwards."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path

import numpy as np
import pysam
import pytest
import torch

from varscore.cli.boundary import run
from varscore.datasets.examples import ExampleSet
from varscore.train.studies.tss import visible
from varscore.zoo.models import open_model

BASES = "".join(random.Random(0).choices("ACGT", k=60_000))
QUICK = ["--device", "cpu", "--threads", "1", "--epochs", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genome, peaks (each third of them sharp) and the data set ``d``."""
    folder = tmp_path_factory.mktemp("tss")
    (folder / "g.fa").write_text(f">chr1\n{BASES}\n>chr2\n{BASES[::-1]}\n")
    pysam.faidx(str(folder / "g.fa"))
    lines = [
        f"chr{contig}\t{at}\t{at + (5 if at % 3 else 30)}\tp\t0\t{'+-'[at % 2]}\n"
        for contig in (1, 2)
        for at in range(500, 59_000, 1501)
    ]
    (folder / "p.bed").write_text("".join(lines))
    arguments = ["dataset", "tss", "-r", folder / "g.fa", "--peaks", folder / "p.bed", "-o", folder / "d"]
    assert run([*map(str, arguments), "--test", "chr2", "--peak-share", "0.4"]) == 0
    return folder


def train(folder: Path, name: str, *more: str) -> int:
    return run(["train-tss", *more, "--data", str(folder / "d"), "-o", str(folder / name), *QUICK])


def test_the_data_set_says_what_it_is(folder: Path) -> None:
    data = ExampleSet(folder / "d")
    peaks = 2 * len(range(500, 59_000, 1501))
    counts = data.info["counts"]
    assert counts["peaks"] == counts["sharp"] + counts["broad"] == peaks
    assert counts["background"] == pytest.approx(1.5 * peaks, abs=1)
    assert data.info["options"]["test"] == ["chr2"] and data.window == 200


def test_a_model_of_start_sites(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(folder, "m", "--arg=dense=8") == 0
    printed = capsys.readouterr().out
    assert "called background" in printed and "published" in printed and "0.9540" in printed
    model = open_model(folder / "m")
    assert model.config().dense == 8 and model.card["objective"] == "classes" and model.card["strands"] == "one"
    recorded = model.card["metrics"]["test"]
    assert 0 < recorded["all"]["auroc"] < 1
    labels = ExampleSet(folder / "d")
    assert np.sum(recorded["confusion"], 1).tolist() == labels.labels(labels.rows("test")).sum(0).tolist()


def test_a_region_stays_where_it_is_in_shorter_windows(folder: Path, tmp_path: Path) -> None:
    assert train(folder, "short", "--arg=dense=8", "--arg=window=180", "--safe=tata", "--epochs=1") == 0
    data, model = ExampleSet(folder / "d"), open_model(folder / "short")
    seen, whole = model.load().visible, visible(data, "tata")
    assert seen is not None and whole is not None
    rows = data.rows("all")
    bases = data.cropped(180).windows(rows)[:, slice(*seen)]
    assert np.array_equal(bases, data.windows(rows)[:, slice(*whole)])
    assert "test" in model.card["metrics"]


def test_the_model_is_shown_and_predicts(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(folder, "m", "--arg=dense=8") == 0
    assert run(["models", "show", str(folder / "m")]) == 0
    assert run(["models", "verify", str(folder / "m")]) == 0
    shown = capsys.readouterr().out
    assert "200 bp in, 3 tasks out" in shown and "classes" in shown and "ok, " in shown
    (tmp_path / "s.fa").write_text(f">a\n{BASES[:200]}\n>b\n{BASES[300:500]}\n")
    assert run(["predict", str(folder / "m"), str(tmp_path / "s.fa"), "-o", str(tmp_path / "p.tsv"), *QUICK[:4]]) == 0
    lines = [line.split("\t") for line in (tmp_path / "p.tsv").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == ["name", "0:sharp", "1:broad", "2:background"]
    net = open_model(folder / "m").load()
    data = torch.tensor([["ACGT".index(base) for base in BASES[i : i + 200]] for i in (0, 300)], dtype=torch.uint8)
    with torch.no_grad():
        expected = net(data).softmax(1).numpy()  # the strand that is given, and no other
    assert np.array([line[1:] for line in lines[1:]], float) == pytest.approx(expected, abs=1e-5)


def test_variants_are_annotated_with_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(folder, "m", "--arg=dense=8") == 0
    alt = "A" if BASES[999] != "A" else "C"
    header = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=60000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "v.vcf").write_text(f"{header}chr1\t1000\t.\t{BASES[999]}\t{alt}\t.\t.\t.\n")
    out = tmp_path / "o.vcf.gz"
    arguments = ["annotate", tmp_path / "v.vcf", "-r", folder / "g.fa", "-m", folder / "m", "-o", out, *QUICK[:4]]
    assert run(list(map(str, arguments))) == 0
    assert "the forward strand" in capsys.readouterr().err
    lines = gzip.decompress(out.read_bytes()).decode().splitlines()
    assert any(line.startswith("##INFO=<ID=VS_REF,") and "on the forward strand" in line for line in lines)
    record = next(line for line in lines if not line.startswith("#"))
    found = dict(entry.split("=") for entry in record.split("\t")[7].split(";"))
    window = [BASES[999 - 99 : 999 + 101], BASES[999 - 99 : 999] + alt + BASES[1000 : 999 + 101]]
    codes = torch.tensor([["ACGT".index(base) for base in bases] for bases in window], dtype=torch.uint8)
    with torch.no_grad():
        ref, alt_p = open_model(folder / "m").load()(codes).double().softmax(1).numpy()
    task = int(np.abs(alt_p - ref).argmax())
    assert found["VS_TASK"].startswith(f"{task}:") and found["VS_STATUS"] == "PASS"
    assert float(found["VS_DIFF"]) == pytest.approx((alt_p - ref)[task], abs=1e-6)
    odds = np.log2(alt_p / (1 - alt_p)) - np.log2(ref / (1 - ref))
    assert float(found["VS_LOGODDS"]) == pytest.approx(odds[task], abs=1e-4)


def test_the_study_of_safe_regions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(folder, "study", "--safe", "all", "--arg=dense=8") == 0
    with (folder / "study/safe.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = [("whole", network, "whole") for network in ("tss", "kmer")]
    expected += [
        (safe, network, tested)
        for safe in ("tata", "center", "both")
        for network in ("tss", "kmer")
        for tested in (safe, "whole")
    ]
    assert [(row["safe"], row["model"], row["tested_on"]) for row in rows[:-1]] == expected
    assert rows[-1]["model"] == "published" and rows[-1]["sharp_auprc"] == "0.5450"
    printed = capsys.readouterr().out
    assert all(row["broad_auroc"] in printed for row in rows)
    data = ExampleSet(folder / "d")
    index = data.info["options"]["window"] // 2
    for safe, span in {"tata": (-35, -20), "center": (-10, 10), "both": (-35, 10)}.items():
        model = open_model(folder / f"study/tss.{safe}")
        assert model.card["visible"] == [index + span[0], index + span[1] + 1]
        assert visible(data, safe) == model.load().visible == open_model(folder / f"study/kmer.{safe}").load().visible
        row = next(row for row in rows if (row["safe"], row["model"], row["tested_on"]) == (safe, "tss", safe))
        figures = model.card["metrics"]["test"]["TSS"]["auroc"]
        assert figures == pytest.approx((float(row["sharp_auroc"]) + float(row["broad_auroc"])) / 2, abs=1e-4)
    before = {path: path.stat().st_mtime_ns for path in (folder / "study").glob("*/model.safetensors")}
    assert len(before) == 8
    assert train(folder, "study", "--safe", "all", "--arg=dense=8") == 0
    assert all(path.stat().st_mtime_ns == when for path, when in before.items()), "what is trained is left alone"


def test_regions_are_for_start_sites(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from made_kinds import made_set

    data = made_set(tmp_path / "d", "classes", strands="one")
    assert run(["train-tss", "--data", str(data.folder), "-o", str(tmp_path / "m"), "--safe", "tata"]) == 2
    assert "no data set of start sites" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
