"""``dataset tfbs`` and ``train-tfbs`` from the command line, and what becomes of the models afterwards."""

from __future__ import annotations

import csv
import fcntl
import gzip
import os
import random
from pathlib import Path
from statistics import mean, median

import numpy as np
import pysam
import pytest
import torch

from varscore.cli.boundary import run
from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError
from varscore.genome.sequence import encode
from varscore.train import run as runs
from varscore.train.studies import study as running
from varscore.train.studies import tfbs as study
from varscore.train.studies.study import Plan
from varscore.train.studies.tfbs import FactorStudy, Result, differences, limited, open_sets, summary
from varscore.zoo.models import open_model

HEADER = "FoldID\tEventID\tseq\tBound\n"
MOTIF = "TGACTCAGCA"
QUICK = ["--device", "cpu", "--threads", "1"]
SMALL = ["--arg", "filters=4", "--epochs", "2", "--batch-size", "20"]


@pytest.fixture(autouse=True)
def no_pictures_of_single_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("learning_curve", "log_to_tensorboard"):
        monkeypatch.setattr(runs, name, lambda *_: None)


def table(count: int, seed: int) -> bytes:
    chance, lines = random.Random(seed), [HEADER]
    for number in range(count):
        bases = "".join(chance.choices("ACGT", k=101))
        lines.append(f"A\tseq_{number}_peak\t{bases[:40]}{MOTIF}{bases[50:]}\t1\n")
    return gzip.compress("".join(lines).encode())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DeepBind's files of two factors, and of a third the test file alone; the data sets ``sets``."""
    folder = tmp_path_factory.mktemp("tfbs")
    (folder / "seq").mkdir()
    for number, (name, count) in enumerate({"A_AC": 60, "A_B": 20, "B_(x)_AC": 50, "B_(x)_B": 20, "C_B": 9}.items()):
        (folder / f"seq/{name}.seq.gz").write_bytes(table(count, number))
    assert run(["dataset", "tfbs", "--seq", str(folder / "seq"), "-o", str(folder / "sets")]) == 0
    return folder


def train(data: Path, output: Path, *more: str) -> int:
    return run(["train-tfbs", *more, "--data", str(data), "-o", str(output), *QUICK])


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("learning_curve", "log_to_tensorboard"):
            patch.setattr(runs, name, lambda *_: None)
        assert train(folder / "sets", folder / "study", *SMALL, "--masks", "3") == 0
    return folder / "study"


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def is_locked(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


# data sets


def test_a_folder_becomes_data_sets(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [data.folder.name for data in open_sets(folder / "sets")] == ["A", "B_(x)"]
    assert len(ExampleSet(folder / "sets/A")) == 160
    arguments = ["dataset", "tfbs", "--seq", str(folder / "seq"), "-o", str(folder / "sets")]
    assert run(arguments) == 2, "what is there is not replaced"
    assert run([*arguments, "--force"]) == 0
    assert "C: left out, it has no training sequences" in capsys.readouterr().out
    one = ["dataset", "tfbs", "--seq", str(folder / "seq/A_AC.seq.gz"), "-o", str(tmp_path / "one"), "--name", "ABC"]
    assert run(one) == 0
    assert ExampleSet(tmp_path / "one").tasks[0].name == "ABC" and len(ExampleSet(tmp_path / "one").rows("test")) == 40


def test_fastas_and_peaks_become_data_sets(tmp_path: Path) -> None:
    chance = random.Random(4)
    bases = "".join(chance.choices("ACGT", k=9000))
    for name, first in {"p": 0, "n": 40, "tp": 80, "tn": 90}.items():
        text = "".join(f">{name}{i}\n{bases[i * 60 : i * 60 + 60 + i]}\n" for i in range(first, first + 40))
        (tmp_path / f"{name}.fa").write_text(text)
    ends = ["-o", str(tmp_path / "d"), "--window", "80"]
    files = [f"--{name}={tmp_path / file}.fa" for name, file in {"positives": "p", "negatives": "n"}.items()]
    more = [f"--test-{name}={tmp_path / file}.fa" for name, file in {"positives": "tp", "negatives": "tn"}.items()]
    assert run(["dataset", "tfbs", *files, *more, *ends]) == 0
    data = ExampleSet(tmp_path / "d")
    assert data.window == 80 and data.tasks[0].name == "p" and len(data.rows("test")) < 80
    (tmp_path / "g.fa").write_text(f">chr1\n{bases}\n>chr8\n{bases[::-1]}\n")
    pysam.faidx(str(tmp_path / "g.fa"))
    lines = [f"{contig}\t{at}\t{at + 50}\n" for contig in ("chr1", "chr8") for at in range(100, 8000, 200)]
    (tmp_path / "CTCF.bed").write_text("".join(lines))
    peaks = ["--peaks", str(tmp_path / "CTCF.bed"), "-r", str(tmp_path / "g.fa")]
    assert run(["dataset", "tfbs", *peaks, *ends, "--force"]) == 0
    data = ExampleSet(tmp_path / "d")
    assert data.tasks[0].name == "CTCF" and len(data) == 2 * len(lines) == 2 * len(data.rows("test"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one source of sequences is wanted"),
        (["--seq=a", "--positives=b"], "one source of sequences is wanted"),
        (["--peaks=a"], "--peaks and --reference go together"),
        (["--seq=a", "--reference=b"], "--peaks and --reference go together"),
        (["--seq=a", "--negatives=b"], "other FASTA files go with --positives"),
        (["--positives=a", "--test-negatives=b"], "--test-negatives goes with --test-positives"),
        (["--seq=.", "--name=x"], "--name is for one data set"),
        (["--seq=a", "--validation=1"], "between 0 and 1"),
    ],
)
def test_sources_that_do_not_go_together(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).write_text(">chr1\nACGT\n")
    assert run(["dataset", "tfbs", *arguments, "-o", str(tmp_path / "d")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "d").exists()


# training


def test_table_1_of_all_runs(trained: Path) -> None:
    rows = read(trained / "tfbs.csv")
    networks = ["deepbind", "deepmotif", "attentionnet", "kmer"]
    assert [(row["data_set"], row["network"]) for row in rows] == [(s, n) for s in ("A", "B_(x)") for n in networks]
    for row in rows:
        model = open_model(trained / row["data_set"] / row["network"])
        assert row["test_auroc"] == f"{model.card['metrics']['test']['all']['auroc']:.5f}"
        assert row["positives"] == {"A": "60", "B_(x)": "50"}[row["data_set"]] and row["state"] == "done"
        assert row["parameters"] == str(model.load().counts()[0]) and row["epochs"] == "2"
        assert model.architecture == row["network"] and model.card["objective"] == "labels"
    aucs = {name: [float(row["test_auroc"]) for row in rows if row["network"] == name] for name in networks}
    table_1 = {row["network"]: row for row in read(trained / "summary.csv")}
    for name in networks:
        assert float(table_1[name]["mean_auc"]) == pytest.approx(mean(aucs[name]), abs=1e-4)
        assert float(table_1[name]["median_auc"]) == pytest.approx(median(aucs[name]), abs=1e-4)
        for other in networks:
            if other != name:
                share = mean(a > b for a, b in zip(aucs[name], aucs[other], strict=True))
                assert float(table_1[name][f"beats_{other}"]) == pytest.approx(share, abs=1e-3)
    assert table_1["attentionnet, published"]["mean_auc"] == "0.9330"
    assert (trained / "tfbs.png").is_file()


def test_a_study_goes_on_where_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[str] = []
    original = running.evaluate_model

    def second_time_lost(model, *more):  # type: ignore[no-untyped-def]
        measured.append(f"{model.path.parent.name}/{model.id}")
        if len(measured) == 2:
            raise KeyboardInterrupt
        return original(model, *more)

    monkeypatch.setattr(running, "evaluate_model", second_time_lost)
    monkeypatch.setattr(study, "difference_bars", lambda path, *_: locked.append(is_locked(path.parent)))
    locked: list[bool] = []
    arguments = (folder / "sets", tmp_path, "deepbind", *SMALL)
    assert train(*arguments) != 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/model.safetensors")}
    assert len(before) == 2
    assert train(*arguments) == 0
    assert locked == [True] * 5, "several processes of a study do not write its tables at the same time"
    assert not is_locked(tmp_path)
    assert measured == ["A/deepbind", "A/kmer", "A/kmer", "B_(x)/deepbind", "B_(x)/kmer"]
    assert all(path.stat().st_mtime_ns == when for path, when in before.items()), "what was trained is left alone"
    capsys.readouterr()
    assert train(*arguments[:2], "deepbind", "--no-baseline", *SMALL, "--epochs", "3") == 0
    assert [(row["network"], row["epochs"]) for row in read(tmp_path / "tfbs.csv")] == [
        ("deepbind", "3"),
        ("kmer", "2"),
        ("deepbind", "3"),
        ("kmer", "2"),
    ]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == [
        "network",
        "sets",
        "mean_epochs",
        "mean_auc",
        "median_auc",
        "beats_deepbind",
        "beats_kmer",
    ]


def test_saved_masks(folder: Path, trained: Path) -> None:
    model = open_model(trained / "A/attentionnet")
    net, data = model.load(), ExampleSet(folder / "sets/A")
    rows = [row for row in data.rows("test").tolist() if not data.names[row].endswith(":shuffled")]
    codes = torch.from_numpy(np.ascontiguousarray(data.windows(np.array(rows))))
    with torch.no_grad():
        masks = net.attention(codes).numpy()
        both = [net(codes), net(torch.where(codes == 4, codes, 3 - codes).flip(1))]
        predicted = ((both[0].sigmoid() + both[1].sigmoid()) / 2).numpy()[:, 0]
    averages = [float(row["mean_mask"]) for row in read(model.path / "attention_mean.tsv")]
    assert averages == pytest.approx(masks.mean(0), rel=1e-3) and sum(averages) == pytest.approx(1, abs=1e-3)
    chosen = read(model.path / "attention.tsv")
    best = np.argsort(-predicted)[:3]
    assert [row["name"] for row in chosen] == [data.names[rows[i]] for i in best]
    for row, i in zip(chosen, best, strict=True):
        assert encode(row["sequence"].encode()).tolist() == codes[i].tolist()
        assert float(row["prediction"]) == pytest.approx(predicted[i], abs=1e-4)
        mask = [float(value) for value in row["mask"].split(",")]
        assert mask == pytest.approx(masks[i], rel=1e-3) and sum(mask) == pytest.approx(1, abs=1e-3)
    assert (model.path / "attention.png").is_file()
    assert not list(trained.glob("*/deepbind/attention*"))


def test_masks_of_chosen_sequences(folder: Path, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "s.fa").write_text(f">mine\n{MOTIF * 12}\n>short\n{MOTIF}\n")
    before = (trained / "A/attentionnet/model.safetensors").stat().st_mtime_ns
    single = (folder / "sets/A", trained, "attentionnet", "--no-baseline", *SMALL)
    assert train(*single, "--masks-of", str(tmp_path / "s.fa")) == 0
    mine, short = read(trained / "A/attentionnet/attention.tsv")
    assert (mine["name"], mine["sequence"]) == ("mine", (MOTIF * 12)[9:110])
    assert short["sequence"].strip("N") == MOTIF and len(short["mask"].split(",")) == 101
    assert (trained / "A/attentionnet/model.safetensors").stat().st_mtime_ns == before
    (trained / "A/attentionnet/attention.tsv").unlink()
    assert train(*single, "--masks", "3") == 0
    assert len(read(trained / "A/attentionnet/attention.tsv")) == 3
    shorter = (folder / "sets/A", tmp_path / "m", "attentionnet", "--no-baseline", *SMALL, "--arg=window=51")
    assert train(*shorter, "--masks-of", str(tmp_path / "s.fa")) == 0
    assert read(tmp_path / "m/A/attentionnet/attention.tsv")[0]["sequence"] == (MOTIF * 12)[34:85]


def test_a_data_set_that_one_stands_in_has_its_name_in_the_study(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had none, and a model went to the root of the file system."""
    monkeypatch.chdir(folder / "sets/A")
    (run,) = FactorStudy([Plan("deepbind")], open_sets(Path())).runs()
    assert run.name == "A/deepbind"


def test_a_limit_on_positives(folder: Path) -> None:
    data = ExampleSet(folder / "sets/A")
    less = limited(data, 20)
    assert np.array_equal(less.rows("test"), data.rows("test"))
    rows = np.flatnonzero(less.split < 2)
    bound = [data.names[row] for row in rows if data.labels(np.array([row]))[0, 0]]
    assert bound == [f"seq_{i}_peak" for i in range(20)] and len(rows) == 40
    assert {data.names[row] for row in rows} == {*bound, *(f"{name}:shuffled" for name in bound)}
    assert np.array_equal(less.split[rows], data.split[rows]) and less.sha256 != data.sha256
    assert limited(data, 60) is data and limited(data, None) is data


def test_what_one_of_the_networks_cannot_be_given_is_refused_before_any_is_trained(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.txt").write_text(">M1 m\n" + "".join(f"{base} [ 1 2 3 4 5 6 ]\n" for base in "ACGT"))
    assert train(folder / "sets", tmp_path / "m", "--init-motifs", str(tmp_path / "m.txt")) == 2
    assert "begins with a convolution" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_what_is_no_data_set_of_a_factor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from made_kinds import made_set

    with pytest.raises(DataError, match="not a data set of one factor"):
        limited(made_set(tmp_path / "d", "labels"), None)
    (tmp_path / "empty").mkdir()
    assert train(tmp_path / "empty", tmp_path / "m") == 2
    assert "no data set, and no folder of data sets" in capsys.readouterr().err


def test_tables_by_hand() -> None:
    def result(data: str, network: str, auc: float) -> Result:
        return Result(data, network, 1, 2, 3, 0.5, auc, 0.5, False)

    results = [result("a", "deepbind", 0.75), result("b", "deepbind", 0.5), result("c", "deepbind", 0.5)]
    results += [result("a", "deepmotif", 0.875), result("b", "deepmotif", 0.5), result("c", "deepmotif", float("nan"))]
    one, two, *_ = summary(results)
    assert one == {
        "network": "deepbind",
        "sets": "3",
        "mean_epochs": "3.0",
        "mean_auc": "0.5833",
        "median_auc": "0.5000",
        "beats_deepbind": "NA",
        "beats_deepmotif": "0.000",
    }
    assert (two["sets"], two["mean_auc"], two["beats_deepbind"]) == ("2", "0.6875", "0.500"), "a tie is no win"
    assert differences(results) == {"deepmotif - deepbind": {"a": 0.125, "b": 0.0}}


# the models afterwards


def test_models_are_shown_evaluated_and_predict(
    folder: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained / "A/deepbind"
    assert run(["models", "show", str(path)]) == 0
    assert run(["models", "verify", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "101 bp in, 1 task" in shown and "ok, " in shown
    ends = ["--data", str(folder / "sets/A"), "-o", str(tmp_path / "e"), *QUICK]
    assert run(["evaluate", str(path), "--compare", str(trained / "A/kmer"), *ends]) == 0
    row = next(r for r in read(trained / "tfbs.csv") if (r["data_set"], r["network"]) == ("A", "deepbind"))
    assert float(read(tmp_path / "e/metrics.csv")[0]["auroc"]) == pytest.approx(float(row["test_auroc"]), abs=1e-5)
    bases = "".join(random.Random(0).choices("ACGT", k=101))
    (tmp_path / "s.fa").write_text(f">a\n{bases}\n")
    assert run(["predict", str(path), str(tmp_path / "s.fa"), "-o", str(tmp_path / "p.tsv"), *QUICK]) == 0
    lines = [line.split("\t") for line in (tmp_path / "p.tsv").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == ["name", "0:A"]
    with torch.no_grad():
        expected = open_model(path).load()(torch.from_numpy(encode(bases.encode()).copy())[None]).sigmoid()
    assert float(lines[1][1]) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("network", ["deepbind", "attentionnet"])
def test_variants_are_annotated_with_them(trained: Path, tmp_path: Path, network: str) -> None:
    bases = "".join(random.Random(0).choices("ACGT", k=3000))
    (tmp_path / "g.fa").write_text(f">chr1\n{bases}\n")
    pysam.faidx(str(tmp_path / "g.fa"))
    alt = "A" if bases[999] != "A" else "C"
    header = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=3000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "v.vcf").write_text(f"{header}chr1\t1000\t.\t{bases[999]}\t{alt}\t.\t.\t.\n")
    model, out = trained / "B_(x)" / network, tmp_path / "o.vcf.gz"
    arguments = ["annotate", tmp_path / "v.vcf", "-r", tmp_path / "g.fa", "-m", model, "-o", out, *QUICK]
    assert run(list(map(str, arguments))) == 0
    lines = gzip.decompress(out.read_bytes()).decode().splitlines()
    record = next(line for line in lines if not line.startswith("#"))
    found = dict(entry.split("=") for entry in record.split("\t")[7].split(";"))
    windows = [bases[999 - 50 : 1050], bases[999 - 50 : 999] + alt + bases[1000:1050]]
    net, codes = open_model(model).load(), torch.from_numpy(np.stack([encode(w.encode()) for w in windows]))
    with torch.no_grad():
        strands = torch.stack([net(codes), net((3 - codes).flip(1))]).double().sigmoid()
    ref, alternative = (strands.amax(0) if network == "deepbind" else strands.mean(0))[:, 0].tolist()
    assert found["VS_STATUS"] == "PASS" and float(found["VS_DIFF"]) == pytest.approx(alternative - ref, abs=1e-6)
