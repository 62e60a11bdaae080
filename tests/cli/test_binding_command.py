"""``dataset binding`` and ``train-binding`` from the command line, and what becomes of the models afterwards."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pysam
import pytest
import torch

from varscore.cli.boundary import run
from varscore.datasets.examples import ExampleSet
from varscore.engine.plain import PlainEngine
from varscore.evaluate import predict_rows
from varscore.evaluate.metrics import score_task
from varscore.zoo.models import open_model

CONTIGS = {f"chr{n}": "".join(random.Random(n).choices("ACGT", k=6000)) for n in (1, 2, 3)}
QUICK = ["--device", "cpu", "--threads", "1", "--epochs", "1"]
SMALL = ["--arg=filters=4", "--arg=dense=6", "--arg=merged=9"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genome and the data sets ``d``, two factors in three cell types, and ``one``, CTCF alone."""
    folder = tmp_path_factory.mktemp("binding")
    (folder / "g.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in CONTIGS.items()))
    pysam.faidx(str(folder / "g.fa"))
    (folder / "chip").mkdir()
    (folder / "dnase").mkdir()
    (folder / "e.tsv").write_text("gene\tK562\tHepG2\tMCF-7\nCTCF\t1\t2\t4\nMYC\t7\t5\t5\n")
    for number, cell in enumerate(("K562", "HepG2", "MCF-7")):
        opened = [(contig, at, at + 150) for contig in CONTIGS for at in range(300 + 90 * number, 5500, 700)]
        lines = [f"{contig}\t{a}\t{b}\t{5 + number + a % 3}\n" for contig, a, b in opened]
        (folder / f"dnase/x{cell.replace('-', '')}.bed").write_text("".join(lines))
        for step, factor in ((2, "CTCF"), (3, "MYC")):
            if (cell, factor) != ("HepG2", "MYC"):
                bound = [f"{contig}\t{a + 20}\t{b - 30}\n" for contig, a, b in opened[::step]]
                (folder / f"chip/ChIPseq.{cell}.{factor}.conservative.train.bed").write_text("".join(bound))
    for name, more in (("d", ["--expression", str(folder / "e.tsv")]), ("one", ["--factors", "CTCF"])):
        assert (
            run(
                [
                    *DATASET,
                    *more,
                    "-r",
                    str(folder / "g.fa"),
                    "--chip",
                    str(folder / "chip"),
                    "--dnase",
                    str(folder / "dnase"),
                    "-o",
                    str(folder / name),
                ]
            )
            == 0
        )
    return folder


DATASET = [
    "dataset",
    "binding",
    "--bin",
    "40",
    "--stride",
    "20",
    "--window",
    "200",
    "--bound",
    "20",
    "--others",
    "60",
    "--test-cells",
    "MCF-7",
    "--validation",
    "chr2",
    "--test",
    "chr3",
]


def train(folder: Path, data: str, name: str, *more: str) -> int:
    return run(["train-binding", *more, "--data", str(folder / data), "-o", str(folder / name), *QUICK])


def slow_scores(folder: Path, data: str, name: str, task: int = 0, cell: str = "all") -> tuple[float, ...]:
    """The measures of a factor, on the examples of the test split, perhaps of one cell type, where it is known."""
    examples, net = ExampleSet(folder / data), open_model(folder / name).load()
    rows = examples.rows("test")
    if cell != "all":
        rows = np.array([row for row in rows if examples.cells[examples.cell[row]] == cell])
    known = examples.known(rows)[:, task]
    predicted = predict_rows(PlainEngine(net, torch.device("cpu")), examples, rows)[known, task]
    return score_task(examples.labels(rows)[known, task] == 1, predicted)


def test_the_data_set_says_what_it_is(folder: Path) -> None:
    data = ExampleSet(folder / "d")
    assert data.cells == ("HepG2", "K562", "MCF-7") and data.scalar_names == ("CTCF", "MYC")
    assert [task.name for task in data.tasks] == ["CTCF", "MYC"] and data.track_names == ("DNase",)
    assert not data.known(data.rows("train"))[data.cell[data.rows("train")] == 0, 1].any(), "MYC in HepG2"
    assert len(data.rows("test")) == len(range(80, 6000 - 80 - 40 + 1, 20))
    assert {"chip/ChIPseq.K562.MYC.conservative.train.bed", "dnase/xMCF7.bed"} <= set(data.info["sources"])


def test_the_study_of_inputs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(folder, "one", "study", "--inputs", "study", *SMALL) == 0
    with (folder / "study/binding.csv").open() as file:
        rows = list(csv.DictReader(file))
    trained = [
        ("binding-shallow", "sequence"),
        ("binding-shallow", "dnase"),
        ("kmer", "sequence"),
        ("kmer-tracks", "dnase"),
    ]
    assert [(row["model"], row["inputs"]) for row in rows[:4]] == trained
    assert [row["cell"] for row in rows] == ["MCF-7"] * 4 + [""] * 4
    assert [(row["inputs"], row["auprc"]) for row in rows[4:6]] == [("sequence", "0.263"), ("dnase", "0.655")]
    data, printed = ExampleSet(folder / "one"), capsys.readouterr().out
    for row, (name, inputs) in zip(rows, trained, strict=False):
        measures = ("auroc", "auprc", "recall_at_fdr_0.1", "recall_at_fdr_0.5")
        found = slow_scores(folder, "one", f"study/{name}.{inputs}")
        assert [float(row[m]) for m in measures] == pytest.approx(found, abs=6e-5)
        assert int(row["bound"]) == data.labels(data.rows("test")).sum()
        assert row["auprc"] in printed
        model = open_model(folder / f"study/{name}.{inputs}")
        assert model.load().inputs == (("tracks",) if inputs == "dnase" else ())
        assert model.card["data"].get("tracks", []) == (["DNase"] if inputs == "dnase" else [])
        assert model.card["metrics"]["test"]["all"]["auprc"] == pytest.approx(found[1], rel=1e-5)
    before = {path: path.stat().st_mtime_ns for path in (folder / "study").glob("*/model.safetensors")}
    assert len(before) == 4
    assert train(folder, "one", "study", "--inputs", "study", *SMALL) == 0
    assert all(path.stat().st_mtime_ns == when for path, when in before.items()), "what is trained is left alone"


def test_the_multitask_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(folder, "d", "multi", "binding-multitask", "--arg=filters=4", "--arg=dense=6") == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in printed.splitlines() if "binding-multitask" in line}
    assert {"CTCF", "MYC", "mean"} <= set(lines)
    model = open_model(folder / "multi")
    assert model.card["objective"] == "states" and model.load().inputs == ("tracks", "scalars")
    for task, name in enumerate(("CTCF", "MYC")):
        assert f"{slow_scores(folder, 'd', 'multi', task)[1]:.4f}" in printed, name
    data = ExampleSet(folder / "d")
    rows = data.rows("train")
    known, bound = data.known(rows), data.labels(rows).sum(0)
    assert model.load().goal.weight.numpy() == pytest.approx((known.sum(0) - bound) / bound, rel=1e-5)


def test_every_cell_type_of_the_test_has_its_own_figures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = ["-r", str(folder / "g.fa"), "--chip", str(folder / "chip"), "--dnase", str(folder / "dnase")]
    more = ["--test-cells", "MCF-7,HepG2", "-o", str(tmp_path / "two")]
    assert run([*DATASET, *sources, *more]) == 0
    assert train(tmp_path, "two", "m", "binding-multitask", "--arg=filters=4", "--arg=dense=6") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "binding-multitask" in line]
    found = {tuple(line[:2]): line[4:] for line in lines if "published" not in " ".join(line)}
    places = [("CTCF", "HepG2"), ("CTCF", "MCF-7"), ("CTCF", "all"), ("MYC", "MCF-7"), ("MYC", "all")]
    assert list(found)[:5] == places, "MYC is unknown in HepG2"
    assert list(found)[5:] == [("mean", "MCF-7"), ("mean", "all")]
    data, truth = ExampleSet(tmp_path / "two"), {}
    for factor, cell in places:
        task, rows = ("CTCF", "MYC").index(factor), data.rows("test")
        own = rows if cell == "all" else rows[data.cell[rows] == data.cells.index(cell)]
        truth[factor, cell] = slow_scores(tmp_path, "two", "m", task, cell)
        assert int(found[factor, cell][0]) == (data.labels(own) * data.known(own))[:, task].sum()
        assert [float(value) for value in found[factor, cell][1:]] == pytest.approx(truth[factor, cell], abs=6e-5)
    for cell in ("MCF-7", "all"):
        mean = np.mean([truth["CTCF", cell], truth["MYC", cell]], 0)
        assert [float(value) for value in found["mean", cell][1:]] == pytest.approx(mean, abs=6e-5)
    card = open_model(tmp_path / "m").card["metrics"]["test"]["all"]
    assert card["auprc"] == pytest.approx(np.mean([truth["CTCF", "all"][1], truth["MYC", "all"][1]]), rel=1e-5)


def test_models_are_ordinary_ones(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for inputs in ("sequence", "dnase"):
        assert train(folder, "one", inputs, "binding-deep", "--inputs", inputs, *SMALL) == 0
        assert run(["models", "verify", str(folder / inputs)]) == 0
    arguments = ["evaluate", str(folder / "dnase"), "--data", str(folder / "one"), "-o", str(tmp_path / "e")]
    assert run([*arguments, "--compare", str(folder / "sequence"), *QUICK[:4]]) == 0
    with (tmp_path / "e/metrics.csv").open() as file:
        row = next(csv.DictReader(file))
    assert float(row["auprc"]) == pytest.approx(slow_scores(folder, "one", "dnase")[1], abs=1e-5)
    assert run(["models", "show", str(folder / "dnase")]) == 0
    bases = CONTIGS["chr1"]
    alt = "A" if bases[999] != "A" else "C"
    header = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=6000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "v.vcf").write_text(f"{header}chr1\t1000\t.\t{bases[999]}\t{alt}\t.\t.\t.\n")
    annotate = ["annotate", str(tmp_path / "v.vcf"), "-r", str(folder / "g.fa"), *QUICK[:4]]
    assert run([*annotate, "-m", str(folder / "sequence"), "-o", str(tmp_path / "o.vcf")]) == 0
    record = (tmp_path / "o.vcf").read_text().splitlines()[-1]
    found = dict(entry.split("=") for entry in record.split("\t")[7].split(";"))
    codes = [
        ["ACGT".index(base) for base in text] for text in (bases[900:1100], bases[900:999] + alt + bases[1000:1100])
    ]
    engine = PlainEngine(open_model(folder / "sequence").load(), torch.device("cpu"))
    ref, other = engine.predict(np.array(codes, np.uint8))
    assert found["VS_STATUS"] == "PASS" and float(found["VS_DIFF"]) == pytest.approx((other - ref)[0], abs=1e-6)
    assert run([*annotate, "-m", str(folder / "dnase"), "-o", str(tmp_path / "p.vcf")]) == 2
    assert "the model reads tracks besides sequence" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["danq", "--inputs", "dnase"], "danq reads no tracks"),
        (["kmer-tracks", "--inputs", "dnase+expression"], "kmer-tracks reads no scalars"),
    ],
)
def test_networks_of_sequence_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert train(folder, "d", "no", *arguments) == 2
    assert message in capsys.readouterr().err and not (folder / "no").exists()


@pytest.mark.parametrize(
    ("data", "inputs", "absent"), [("d", "dnase+shape", "shape"), ("one", "dnase+expression", "expression")]
)
def test_an_input_that_is_not_there_is_told(
    folder: Path, data: str, inputs: str, absent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network without it was trained, and its figures were called that input's."""
    assert train(folder, data, "absent", "--inputs", inputs) == 2
    assert f"the data set has no {absent}" in capsys.readouterr().err and not (folder / "absent").exists()


def test_other_data_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from made_kinds import made_set

    data = made_set(tmp_path / "d", "labels")
    assert run(["train-binding", "--data", str(data.folder), "-o", str(tmp_path / "m")]) == 2
    assert "no data set of binding" in capsys.readouterr().err


def test_shape_wants_names(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = ["-r", str(folder / "g.fa"), "--chip", str(folder / "chip"), "--dnase", str(folder / "dnase")]
    assert run([*DATASET, *sources, "-o", str(tmp_path / "x"), "--shape", "mgw.bw"]) == 2
    assert "is not NAME=BIGWIG" in capsys.readouterr().err
