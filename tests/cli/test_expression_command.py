"""``dataset promoters`` and ``train-expression`` from sequences and a matrix to annotated variants."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pysam
import pytest
import torch
from made_expression import COLUMNS, made_expression
from made_kinds import made_set
from scipy.stats import pearsonr

from varscore.cli.boundary import run
from varscore.datasets.examples import ExampleSet
from varscore.datasets.promoters import PermutedSet
from varscore.genome.sequence import encode
from varscore.nets.promoternet import PromoterNet
from varscore.zoo.models import open_model

CPU = ["--device", "cpu", "--threads", "1"]
WINDOW = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sequences, a matrix, and the data set ``d`` of 300 genes in 5 folds."""
    folder = tmp_path_factory.mktemp("expression")
    made_expression(folder, 300, WINDOW)
    assert dataset(folder, "d", "--folds", "5") == 0
    return folder


def dataset(folder: Path, name: str, *more: str) -> int:
    given = ["--promoters", folder / "p.fa", "--expression", folder / "m.tsv", "-o", folder / name]
    return run(["dataset", "promoters", *map(str, given), *more])


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    arguments = ["--data", str(folder / "d"), "-o", str(folder / "m"), "--arg=dense=64", *CPU]
    quick = ["--epochs", "9", "--batch-size", "30", "--lr", "0.005", "--seed", "1"]
    assert run(["train-expression", *arguments, *quick]) == 0
    return folder / "m"


def test_the_data_set_says_what_it_is(folder: Path) -> None:
    data = ExampleSet(folder / "d")
    assert [task.name for task in data.tasks] == ["B", "T4"] and len(data) == 300 and data.window == WINDOW
    assert data.info["options"]["scale"] == "linear" and set(data.info["sources"]) == {"p.fa", "m.tsv"}
    with (folder / "m.tsv").open() as file:
        rows = {row["gene"]: row for row in csv.DictReader(file, delimiter="\t")}
    for name, values in zip(data.names, data.targets(data.rows("all")), strict=True):
        expected = [np.mean([np.log2(float(rows[name][c])) for c in columns]) for columns in COLUMNS.values()]
        assert values == pytest.approx(expected, abs=1e-4)


def test_a_planted_set_is_learnt(model: Path) -> None:
    card = open_model(model).card
    assert card["objective"] == "values" and card["strands"] == "one" and card["arguments"]["window"] == WINDOW
    assert card["metrics"]["test"]["all"]["pearson"] >= 0.8


@pytest.mark.slow
def test_a_planted_set_of_2000_bp_is_learnt(tmp_path: Path) -> None:
    """The paper's network at its full size."""
    made_expression(tmp_path, 700, 2000, most=20)
    assert dataset(tmp_path, "d", "--folds", "5") == 0
    arguments = ["--data", str(tmp_path / "d"), "-o", str(tmp_path / "m"), *CPU]
    assert run(["train-expression", *arguments, "--epochs", "12", "--batch-size", "20", "--lr", "0.003"]) == 0
    found = open_model(tmp_path / "m")
    assert found.config().window == 2000 and found.load().counts() == (142_037, 142_101)
    assert found.card["metrics"]["test"]["all"]["pearson"] >= 0.8


def test_the_model_is_shown_evaluated_and_predicts(
    folder: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "show", str(model)]) == 0
    shown = capsys.readouterr().out
    assert f"{WINDOW} bp in, 2 tasks out" in shown and "values" in shown
    assert run(["evaluate", str(model), "--data", str(folder / "d"), "-o", str(tmp_path / "e"), *CPU[:2]]) == 0
    assert run(["predict", str(model), str(folder / "p.fa"), "-o", str(tmp_path / "p.tsv"), *CPU]) == 0
    lines = [line.split("\t") for line in (tmp_path / "p.tsv").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == ["name", "0:B", "1:T4"]
    data, net = ExampleSet(folder / "d"), open_model(model).load()
    with torch.no_grad():
        logits = net(torch.from_numpy(data.windows(data.rows("all"))))
        expected = logits * net.goal.scale + net.goal.mean
    assert [line[0] for line in lines[1:]] == list(data.names)
    assert np.array([line[1:] for line in lines[1:]], float) == pytest.approx(expected.numpy(), abs=1e-3)
    assert isinstance(net, PromoterNet)
    assert net.attention(torch.from_numpy(data.windows(np.arange(3)))).shape == (3, WINDOW // 4)


def test_variants_are_annotated_with_differences_of_values(model: Path, tmp_path: Path) -> None:
    bases = "".join(np.random.default_rng(4).choice(list("ACGT"), 400))
    (tmp_path / "g.fa").write_text(f">chr1\n{bases}\n")
    pysam.faidx(str(tmp_path / "g.fa"))
    alt = "A" if bases[199] != "A" else "C"
    header = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=400>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "v.vcf").write_text(f"{header}chr1\t200\t.\t{bases[199]}\t{alt}\t.\t.\t.\n")
    out = tmp_path / "o.vcf.gz"
    given = [tmp_path / "v.vcf", "-r", tmp_path / "g.fa", "-m", model, "-o", out]
    assert run(["annotate", *map(str, given), *CPU]) == 0
    lines = gzip.decompress(out.read_bytes()).decode().splitlines()
    found = dict(entry.split("=") for entry in lines[-1].split("\t")[7].split(";"))
    first = 199 - (WINDOW - 1) // 2
    window = bases[first : first + WINDOW]
    changed = bases[first:199] + alt + bases[200 : first + WINDOW]
    codes = torch.from_numpy(np.stack([encode(text.encode()) for text in (window, changed)]))
    net = open_model(model).load()
    with torch.no_grad():
        ref, other = (net(codes) * net.goal.scale + net.goal.mean).double().numpy()
    task = int(np.abs(other - ref).argmax())
    assert found["VS_STATUS"] == "PASS" and found["VS_TASK"] == f"{task}:{['B', 'T4'][task]}"
    assert float(found["VS_DIFF"]) == pytest.approx((other - ref)[task], abs=1e-4)
    assert found["VS_LOGODDS"] == "."
    ours = {line.split("ID=")[1].split(",")[0]: line for line in lines if line.startswith("##INFO=<ID=VS_")}
    assert "predicted value" in ours["VS_DIFF"] and "no odds" in ours["VS_LOGODDS"]
    assert not any("robability" in line for line in ours.values())


def cross_validate(folder: Path, network: str, *more: str) -> int:
    arguments = ["--data", str(folder / "three"), "-o", str(folder / "cv"), "--cross-validate", *CPU]
    return run(["train-expression", network, *arguments, "--epochs", "3", "--seed", "1", *more])


def test_every_gene_is_predicted_once_by_a_network_that_has_not_seen_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dataset(folder, "three", "--folds", "3") == 0
    small = ["--arg=filters=4", "--arg=width=10"]
    assert cross_validate(folder, "deepbind", *small) == 0
    printed = capsys.readouterr().out
    data = ExampleSet(folder / "three")
    with (folder / "cv/predictions.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["gene"] for row in rows] == list(data.names)
    with (folder / "cv/expression.csv").open() as file:
        table = {row["output"]: row for row in csv.DictReader(file)}
    assert list(table) == ["B", "T4", "mean", "published mean, other genes"]
    truth = {name: data.targets(data.rows("all")) for name in ("deepbind", "kmer")}
    truth["deepbind.permuted"] = PermutedSet(folder / "three", 1).targets(data.rows("all"))
    for series, values in truth.items():
        predicted = np.full(values.shape, np.nan)
        for fold in range(3):
            net = open_model(folder / f"cv/{series}.fold-{fold}").load()
            held = np.flatnonzero(data.fold == fold)
            with torch.no_grad():
                logits = net(torch.from_numpy(data.windows(held)))
                predicted[held] = (logits * net.goal.scale + net.goal.mean).numpy()
        for task, name in enumerate(("B", "T4")):
            r = pearsonr(values[:, task], predicted[:, task])[0]
            assert float(table[name][series]) == pytest.approx(r, abs=2e-4)
            assert table[name][series] in printed
            if series != "deepbind.permuted":
                assert [float(row[f"{name}:{series}"]) for row in rows] == pytest.approx(predicted[:, task], abs=1e-3)
                assert [float(row[name]) for row in rows] == pytest.approx(values[:, task], abs=1e-3)
        assert (folder / f"cv/{series}.png").is_file()
    assert table["published mean, other genes"]["deepbind"] == "0.5060" and table["mean"]["genes"] == "300"

    before = {path: path.stat().st_mtime_ns for path in (folder / "cv").glob("*/model.safetensors")}
    assert len(before) == 9
    (folder / "cv/deepbind.fold-1/card.toml").unlink()
    assert cross_validate(folder, "deepbind", *small) == 0
    assert cross_validate(folder, "kmer", "--no-permuted") == 0
    changed = [path.parent.name for path, when in before.items() if path.stat().st_mtime_ns != when]
    assert changed == ["deepbind.fold-1"], "what is trained is left alone"
    with (folder / "cv/expression.csv").open() as file:
        assert {row["output"]: row for row in csv.DictReader(file)}["B"]["deepbind"] == table["B"]["deepbind"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--tss", "t.bed"], "promoters come from a FASTA, or from a genome"),
        (["--upstream", "10"], "promoters come from a FASTA, or from a genome"),
        (["--lineages", "l.tsv", "--outputs", "mean"], "no part in the mean"),
        (["--window", "121"], "0 genes have a promoter"),
        (["--gene", "(made)"], "0 genes have a promoter"),
    ],
)
def test_options_that_do_not_go_together(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("t.bed", "l.tsv"):
        Path(name).write_text("chr1\t1\t2\n")
    assert dataset(folder, "no", *more) == 2
    assert message in capsys.readouterr().err and not (folder / "no").exists()


def test_promoters_of_a_genome(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bases = "".join(np.random.default_rng(4).choice(list("ACGT"), 3000))
    (tmp_path / "g.fa").write_text(f">chr1\n{bases}\n")
    sites = [f"chr1\t{at}\t{at + 100}\tgene{i}\t0\t+\n" for i, at in enumerate(range(300, 2700, 300))]
    (tmp_path / "t.bed").write_text("".join(sites))
    given = ["-r", tmp_path / "g.fa", "--tss", tmp_path / "t.bed", "--expression", folder / "m.tsv"]
    more = ["--window", "100", "--upstream", "80", "--folds", "3", "--outputs", "columns"]
    assert run(["dataset", "promoters", *map(str, given), "-o", str(tmp_path / "d"), *more]) == 0
    assert "8 genes, 3 outputs" in capsys.readouterr().out
    data = ExampleSet(tmp_path / "d")
    assert (data.windows(np.array([2]))[0] == encode(bases[820:920].encode())).all() and data.names[2] == "gene2"
    assert [task.group for task in data.tasks] == ["B", "B", "T4"]


def test_it_wants_a_data_set_of_expression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = made_set(tmp_path / "d", "values")
    assert run(["train-expression", "--data", str(data.folder), "-o", str(tmp_path / "m")]) == 2
    assert "no data set of expression" in capsys.readouterr().err and not (tmp_path / "m").exists()
