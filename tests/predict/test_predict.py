"""Predictions of given sequences: windows against slow slices of text, probabilities against the bare network."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import varscore
from varscore.cli.boundary import run
from varscore.errors import DeviceError
from varscore.genome.coords import window_start
from varscore.genome.sequence import decode, fit
from varscore.nets import build
from varscore.tasks import Task
from varscore.zoo.models import ModelFolder, save_model

WINDOW = 120
LABELS = ["0:K562_CTCF", "1:K562_DNase", "2:HepG2_CTCF"]


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    """120 bp, three tasks, large random weights."""
    torch.manual_seed(3)
    shape = {"filters": 8, "projection": 4, "second_filters": 6, "hidden": 5}
    net = build("crnn-320-projection", n_tasks=3, window=WINDOW, **shape)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    tasks = [Task(i, name) for i, name in enumerate(("K562|CTCF", "K562|DNase", "HepG2|CTCF"))]
    return save_model(tmp_path / "model", net.eval(), "crnn-320-projection", tasks, {})


def letters(length: int, seed: int) -> str:
    return decode(np.random.default_rng(seed).integers(0, 4, length, dtype=np.uint8)).decode()


def expected(model: ModelFolder, window: str) -> np.ndarray:
    """Strand-mean probabilities of one window, from one-hot vectors made letter by letter. float64 (3,)"""

    def one_hot(text: str) -> torch.Tensor:
        return torch.tensor([[float(letter == base) for letter in text] for base in "ACGT"])[None]

    other = window[::-1].translate(str.maketrans("ACGT", "TGCA"))
    with torch.inference_mode():
        both = [torch.sigmoid(model.load()(one_hot(text)).double())[0] for text in (window, other)]
    return torch.stack(both).mean(0).numpy()


def read_tsv(path: Path) -> list[dict[str, str]]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("##")]
    return list(csv.DictReader(lines, delimiter="\t"))


def numbers(rows: list[dict[str, str]], labels: list[str] = LABELS) -> np.ndarray:
    return np.array([[float(row[label]) for label in labels] for row in rows])


def write_fasta(path: Path, records: dict[str, str]) -> Path:
    path.write_text("".join(f">{name} some words\n{sequence}\n" for name, sequence in records.items()))
    return path


@given(st.integers(1, 300), st.integers(1, 200))
def test_the_middle_of_a_sequence_is_the_middle_of_its_window(length: int, window: int) -> None:
    text = letters(length, length)
    padded = "N" * 400 + text + "N" * 400
    middle = 400 + length // 2
    assert decode(fit(text.encode(), window)).decode() == padded[middle - window // 2 :][:window]


def test_the_window_of_a_bin_is_the_one_models_are_trained_on() -> None:
    assert window_start(10_000, 10_200, 1000) == 10_000 - 400  # data.peaks cuts 1000 bp from 400 before a 200-bp bin


def test_sequences_are_taken_padded_or_cut(
    tmp_path: Path, model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    exact, short, odd, long = letters(WINDOW, 1), letters(50, 2), letters(51, 3), letters(301, 4)
    source = write_fasta(tmp_path / "s.fa", {"exact": exact.lower(), "short": short, "odd": odd, "long": long})
    assert run(["predict", str(model.path), str(source), "-o", str(tmp_path / "p.tsv")]) == 0
    windows = [exact, "N" * 35 + short + "N" * 35, "N" * 35 + odd + "N" * 34, long[90 : 90 + WINDOW]]
    rows = read_tsv(tmp_path / "p.tsv")
    assert list(rows[0]) == ["name", *LABELS]
    assert [row["name"] for row in rows] == ["exact", "short", "odd", "long"]
    np.testing.assert_allclose(numbers(rows), [expected(model, window) for window in windows], rtol=1e-5, atol=1e-7)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "of 4 sequences, 2 were shorter" in err
    assert "1 were longer" in err


def test_a_sequence_that_fits_is_no_reason_to_warn(
    tmp_path: Path, model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_fasta(tmp_path / "s.fa", {"exact": letters(WINDOW, 1)})
    assert run(["predict", str(model.path), str(source), "-o", "-"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert [line.partition("=")[0] for line in lines[:3]] == [
        "##varscoreVersion",
        "##varscoreCommand",
        "##varscoreModel",
    ]
    assert model.sha256 in lines[2]
    assert lines[3] == "\t".join(["name", *LABELS])
    assert len(lines) == 5


def test_what_is_mostly_unknown_is_told(tmp_path: Path, model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    half = WINDOW // 2
    known, gap = letters(half, 1), letters(200, 2) + "N" * 300
    source = write_fasta(tmp_path / "s.fa", {"half": known + "N" * half, "gap": known[1:] + "R" + "n" * half, "g": gap})
    assert run(["predict", str(model.path), str(source), "-o", "-"]) == 0
    assert "2 of 3 sequences are more than half N" in capsys.readouterr().err
    write_fasta(tmp_path / "g.fa", {"chr1": gap})
    (tmp_path / "i.bed").write_text("chr1\t199\t201\nchr1\t200\t202\nchr1\t400\t401\nchr1\t0\t100\n")
    arguments = [str(model.path), str(tmp_path / "i.bed"), "-r", str(tmp_path / "g.fa"), "-o", str(tmp_path / "p.tsv")]
    assert run(["predict", *arguments]) == 0
    err = capsys.readouterr().err
    assert "2 of 4 windows are more than half N" in err and err.count("warning") == 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--value", "logit"], "--value belongs to --bigwig"),  # the table would have probabilities all the same
        (["--region", "chr1:1-9"], "--region belongs to --bigwig"),
        (["--contig", "chr1"], "--contig belongs to --bigwig"),
        (["--no-resume"], "--no-resume belongs to --bigwig"),
        (["--bigwig", "tracks"], "one at a time"),
    ],
)
def test_what_belongs_to_tracks_is_refused_for_a_table(
    tmp_path: Path, model: ModelFolder, extra: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_fasta(tmp_path / "s.fa", {"exact": letters(WINDOW, 1)})
    assert run(["predict", str(model.path), str(source), "-o", str(tmp_path / "p.tsv"), *extra]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "p.tsv").exists()


def test_a_prediction_that_is_no_number_is_an_error(
    tmp_path: Path, model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written as missing it would look like a variant without an effect, with E-values of 1."""
    net = model.load()
    with torch.no_grad():
        list(net.parameters())[-1][1] = float("nan")
    broken = save_model(tmp_path / "broken", net, "crnn-320-projection", model.tasks(), {})
    contig = letters(400, 5)
    source = write_fasta(tmp_path / "g.fa", {"chr1": contig})
    variant = f"chr1:200{contig[199]}>{'A' if contig[199] != 'A' else 'C'}"
    for command in (["predict", str(broken.path), str(source)], ["annotate", variant, "-r", str(source), "-m"]):
        words = [*command, *([str(broken.path)] if command[-1] == "-m" else []), "-o", str(tmp_path / "o.tsv")]
        assert run(words) == 1
        assert "a prediction is not a number" in capsys.readouterr().err and not (tmp_path / "o.tsv").exists()
    loaded = varscore.load(str(broken.path), device="cpu")
    for ask in (lambda: loaded.predict(contig), lambda: loaded.score(variant, source)):
        with pytest.raises(DeviceError, match="not a number"):
            ask()


def test_probabilities_do_not_depend_on_the_company(tmp_path: Path, model: ModelFolder) -> None:
    records = {f"s{i}": letters(WINDOW, i) for i in range(150)}
    everything = write_fasta(tmp_path / "all.fa", records)
    results = []
    for size in ("1", "7", "64", "auto"):
        output = tmp_path / f"{size}.parquet"
        assert run(["predict", str(model.path), str(everything), "-o", str(output), "--batch-size", size]) == 0
        results.append(pq.read_table(output))
    assert all(table.equals(results[0]) for table in results[1:])
    alone = write_fasta(tmp_path / "alone.fa", {"s149": records["s149"]})
    assert run(["predict", str(model.path), str(alone), "-o", str(tmp_path / "alone.parquet")]) == 0
    assert pq.read_table(tmp_path / "alone.parquet").equals(results[0].slice(149))


def test_intervals_get_the_window_around_their_middle(tmp_path: Path, model: ModelFolder) -> None:
    contigs = {"chr1": letters(400, 5), "chr2": letters(200, 6)}
    write_fasta(tmp_path / "g.fa", contigs)
    spans = [("chr2", 20, 40), ("chr1", 300, 400), ("chr1", 0, 1), ("2", 50, 151)]
    bed = tmp_path / "i.bed"
    bed.write_text("track name=x\n" + "".join(f"{c}\t{s}\t{e}\tname\n" for c, s, e in spans))
    output = tmp_path / "p.tsv"
    assert run(["predict", str(model.path), str(bed), "-r", str(tmp_path / "g.fa"), "-o", str(output)]) == 0
    rows = read_tsv(output)
    windows = []
    for contig, start, end in spans:
        padded = "N" * WINDOW + contigs[f"chr{contig[-1]}"] + "N" * WINDOW
        windows.append(padded[WINDOW + (start + end) // 2 - WINDOW // 2 :][:WINDOW])
    assert [(row["chrom"], int(row["start"]), int(row["end"])) for row in rows] == spans
    assert [row["name"] for row in rows] == ["chr2:21-40", "chr1:301-400", "chr1:1-1", "2:51-151"]
    np.testing.assert_allclose(numbers(rows), [expected(model, window) for window in windows], rtol=1e-5, atol=1e-7)
    assert "##varscoreReference=<ID=g.fa,SHA256=" in output.read_text()


@pytest.mark.parametrize(
    ("interval", "message"), [("chr9\t0\t10", "no such contig"), ("chr1\t390\t401", "chr1 has 400 bp")]
)
def test_an_interval_that_is_not_on_the_genome_is_an_error(
    tmp_path: Path, model: ModelFolder, capsys: pytest.CaptureFixture[str], interval: str, message: str
) -> None:
    write_fasta(tmp_path / "g.fa", {"chr1": letters(400, 5)})
    (tmp_path / "i.bed").write_text(f"chr1\t1\t2\n{interval}\n")
    arguments = [str(model.path), str(tmp_path / "i.bed"), "-r", str(tmp_path / "g.fa"), "-o", str(tmp_path / "p.tsv")]
    assert run(["predict", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "p.tsv").exists()


def test_tasks_are_chosen_by_name_and_keep_their_index(tmp_path: Path, model: ModelFolder) -> None:
    source = write_fasta(tmp_path / "s.fa", {"exact": letters(WINDOW, 1)})
    arguments = ["predict", str(model.path), str(source), "-o", str(tmp_path / "p.tsv")]
    assert run([*arguments, "--tasks", "*CTCF"]) == 0
    (row,) = read_tsv(tmp_path / "p.tsv")
    assert list(row) == ["name", LABELS[0], LABELS[2]]
    chosen = expected(model, letters(WINDOW, 1))[[0, 2]]
    np.testing.assert_allclose(numbers([row], [LABELS[0], LABELS[2]])[0], chosen, rtol=1e-5)
    assert run([*arguments, "--force", "--tasks", "*PML"]) == 2


def test_a_gzipped_fasta_and_stdin_give_the_same(
    tmp_path: Path, model: ModelFolder, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source = write_fasta(tmp_path / "s.fa", {"a": letters(WINDOW, 1), "b": letters(WINDOW, 2)})
    zipped = tmp_path / "s.fa.gz"
    zipped.write_bytes(gzip.compress(source.read_bytes()))
    for name, output in ((source, "plain"), (zipped, "zipped")):
        assert run(["predict", str(model.path), str(name), "-o", str(tmp_path / f"{output}.tsv")]) == 0
    capfdbinary.readouterr()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(zipped.read_bytes())))
    assert run(["predict", str(model.path), "-", "-o", "-"]) == 0
    plain = (tmp_path / "plain.tsv").read_bytes()
    assert plain == (tmp_path / "zipped.tsv").read_bytes() == capfdbinary.readouterr().out


def test_an_existing_output_and_a_bed_without_a_genome_are_errors(
    tmp_path: Path, model: ModelFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VARSCORE_REFERENCE", raising=False)
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    (tmp_path / "i.bed").write_text("chr1\t1\t2\n")
    (tmp_path / "p.tsv").write_text("old")
    assert run(["predict", str(model.path), str(tmp_path / "i.bed"), "-o", str(tmp_path / "p.tsv")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(["predict", str(model.path), str(tmp_path / "i.bed"), "-o", str(tmp_path / "q.tsv")]) == 2
    assert "-r FASTA" in capsys.readouterr().err
    assert (tmp_path / "p.tsv").read_text() == "old"
