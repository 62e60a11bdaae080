"""``predict --bigwig``: what the tracks say is what ``predict`` says of the same windows."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from cli.conftest import TASKS

from varscore.cli.boundary import run
from varscore.engine import ENGINES
from varscore.genome.coords import Variant
from varscore.genome.sequence import Genome
from varscore.nets import build
from varscore.predict import grid as grids
from varscore.predict import spool, tracks
from varscore.predict.around import tracks_around
from varscore.storage import pieces
from varscore.zoo.models import ModelFolder, save_model

pybigtools = pytest.importorskip("pybigtools")
dice = random.Random(6)
CHR2 = "".join(dice.choices("ACGT", k=3000))
CHR10 = "N" * 400 + CHR2[500:1500] + "N" * 300 + "".join(dice.choices("ACGT", k=700))
NAMES = ["0000.K562_CTCF_None.bw", "0001.K562_DNase_None.bw", "0002.HepG2_CTCF_None.bw"]
STEP = 98
"""Of the small model: 14 bases a cell, 120 a window"""
MIDDLE = 60 - STEP // 2


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch, heeded_signals: None) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setattr(grids, "PIECE", 8)
    Path("g.fa").write_text(f">chr2\n{CHR2}\n>chr10\n{CHR10}\n>chr3\n{'ACGTTGCA' * 10}\n")


def predict(words: str, folder: str = "t", model: str = "tiny") -> int:
    return run(["predict", model, "-r", "g.fa", "--bigwig", folder, "--threads", "1", *words.split()])


def records(path: str | Path, contig: str) -> list[tuple[int, int, float]]:
    return list(pybigtools.open(str(path)).records(contig))


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_every_value_is_what_predict_says(tiny_model: ModelFolder) -> None:
    assert predict("--tasks *") == 0
    sizes = {"chr2": len(CHR2), "chr10": len(CHR10)}
    values = {contig: {start for start, _, _ in records(f"t/{NAMES[0]}", contig)} for contig in sizes}
    inside = [
        (contig, k)
        for contig, size in sizes.items()
        for k in range(size // STEP + 1)
        if k * STEP + 120 <= size and k * STEP + MIDDLE in values[contig]
    ]
    assert len(inside) > 30
    Path("w.bed").write_text("".join(f"{c}\t{k * STEP}\t{k * STEP + 120}\n" for c, k in inside))
    assert run(["predict", "tiny", "w.bed", "-r", "g.fa", "-o", "w.parquet"]) == 0
    table = pq.read_table("w.parquet")
    for column, name in zip(table.column_names[4:], NAMES, strict=True):
        track = {contig: {start: value for start, _, value in records(f"t/{name}", contig)} for contig in sizes}
        found = [track[contig][k * STEP + MIDDLE] for contig, k in inside]
        np.testing.assert_allclose(found, table[column].to_numpy(), atol=1e-6)
    assert pybigtools.open(f"t/{NAMES[0]}").chroms() == {"chr10": len(CHR10), "chr2": 3000, "chr3": 80}


def test_intervals_cover_what_is_known_once() -> None:
    """A window of 120 bases with more than 60 N has no value; the others stand for 98 bases in their middle."""
    assert predict("--tasks 0 --bedgraph") == 0
    for contig, sequence in (("chr2", CHR2), ("chr10", CHR10), ("chr3", "ACGTTGCA" * 10)):
        expected = []
        for k in range(-3, 50):
            window = "".join(sequence[i] if 0 <= i < len(sequence) else "N" for i in range(k * STEP, k * STEP + 120))
            start, end = max(k * STEP + MIDDLE, 0), min(k * STEP + MIDDLE + STEP, len(sequence))
            if start < end and window.count("N") <= 60:
                expected.append((start, end))
        assert [record[:2] for record in records(f"t/{NAMES[0]}", contig)] == expected, contig
    lines = [line.split("\t") for line in Path("t/0000.K562_CTCF_None.bedgraph").read_text().splitlines()]
    assert [line[0] for line in lines] == sorted(line[0] for line in lines)
    there = [
        (c, str(a), str(b), f"{v:.6g}") for c in ("chr10", "chr2", "chr3") for a, b, v in records(f"t/{NAMES[0]}", c)
    ]
    assert [tuple(line) for line in lines] == there


@pytest.mark.slow
def test_another_reader_reads_the_same() -> None:
    """pyBigWig: contigs, every value, and the summaries that browsers draw from afar."""
    reader = pytest.importorskip("pyBigWig")
    assert predict("--tasks *") == 0
    for name in NAMES:
        with reader.open(f"t/{name}") as file:
            assert file.chroms() == {"chr10": len(CHR10), "chr2": 3000, "chr3": 80}
            for contig in file.chroms():
                assert list(file.intervals(contig)) == records(f"t/{name}", contig)
            values = [value for *_, value in records(f"t/{name}", "chr2")]
            assert file.stats("chr2", type="max", exact=False) == [pytest.approx(max(values), rel=1e-6)]
            assert file.stats("chr10", 0, 200, type="coverage") == [None], "more than half N: a gap"


def test_runs_that_overlap_agree_bit_for_bit() -> None:
    assert predict("--tasks *") == 0
    Path("r.bed").write_text("chr2\t700\t1333\nchr2\t1300\t1390\nchr10\t900\t901\n")
    assert predict("r.bed --tasks *", "part") == 0
    for name in NAMES:
        whole = {c: {end: value for _, end, value in records(f"t/{name}", c)} for c in ("chr2", "chr10")}
        for contig, first, last in (("chr2", 700, 1390), ("chr10", 900, 901)):
            found = records(f"part/{name}", contig)
            assert (found[0][0], found[-1][1]) == (first, last)
            cut = max(whole[contig][end] for end in whole[contig] if end >= last and end - STEP < last)
            assert [value for _, end, value in found[:-1]] == [whole[contig][end] for _, end, _ in found[:-1]]
            assert found[-1][2] == cut


def test_stopped_and_carried_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(pieces, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(pieces, "COMMIT_SHARE", float("inf"))
    assert predict("--tasks *CTCF*") == 0
    add, count = spool.TrackSpool.add, 0

    def watched(*arguments: Any) -> None:
        nonlocal count
        add(*arguments)
        count += 1
        if count == 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(spool.TrackSpool, "add", watched)
    assert predict("--tasks *CTCF*", "again") == 143
    assert all(name.startswith(".") for name in files("again"))
    assert predict("--tasks *", "again") == 2
    assert "not the same: tasks" in capsys.readouterr().err
    assert predict("--tasks *CTCF*", "again") == 0
    assert "carrying on after the first 3 of" in capsys.readouterr().err
    assert files("again") == files("t")
    assert predict("--tasks 1", "again") == 2
    assert predict("--tasks 1 --force", "again") == 0
    assert sorted(name for name in files("again") if name.endswith(".bw")) == NAMES[1:2]


def test_killed_when_all_was_written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A process that is killed before it has removed its journal leaves tracks that the same command finds done."""
    with monkeypatch.context() as patch:
        patch.setattr(pieces.PieceJournal, "remove", lambda self: None)
        patch.setattr(tracks.Spool, "abort", tracks.Spool.suspend)
        assert predict("--tasks *CTCF* --contig chr2") == 0
    whole = files("t")
    left = {".tracks.json.varscore-journal", ".tracks.json.varscore-spool"}
    assert left <= whole.keys()
    for other in ("*DNase* --contig chr2", "*CTCF* --contig chr2 --bedgraph", "*CTCF* --contig chr2 --assembly hg19"):
        assert predict(f"--tasks {other}") == 2  # has not been done
        assert "the folder has tracks already" in capsys.readouterr().err
    assert predict("--tasks *CTCF* --contig chr2") == 0
    assert files("t") == {name: content for name, content in whole.items() if name not in left}
    assert predict("--tasks *CTCF* --contig chr2") == 2


def test_log_odds_steps_and_regions() -> None:
    assert predict("--tasks 0 --region chr2:501-1000 --step 50 --value logit") == 0
    assert predict("--tasks 0 --region chr2:501-1000 --step 50", "p") == 0
    logits, probabilities = records(f"t/{NAMES[0]}", "chr2"), records(f"p/{NAMES[0]}", "chr2")
    assert (logits[0][0], logits[-1][1], len(logits)) == (500, 1000, 11)
    mean = 1 / (1 + np.exp(-np.array([value for *_, value in logits])))
    found = np.array([value for *_, value in probabilities])
    assert np.abs(mean - found).max() < 0.2 and np.corrcoef(mean, found)[0, 1] > 0.9  # strands are averaged elsewhere


def test_a_network_of_one_strand_has_two_tracks(tmp_path: Path) -> None:
    torch.manual_seed(3)
    net = build("crnn-320-projection", n_tasks=3, window=120, filters=8, projection=4, second_filters=6, hidden=5)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    net.adapt(net.objective, "one", None)
    save_model(tmp_path / "models" / "one", net.eval(), "crnn-320-projection", TASKS, {})
    assert predict("--tasks 0 --contig chr2", model="one") == 0
    other = CHR2[::-1].translate(str.maketrans("ACGT", "TGCA"))
    Path("g.fa").write_text(f">chr2\n{other}\n")
    assert predict("--tasks 0 --contig chr2 --step 120", "o", "one") == 0
    Path("g.fa").write_text(f">chr2\n{CHR2}\n")
    assert predict("--tasks 0 --contig chr2 --step 120", "s", "one") == 0
    plus, minus = (records(f"s/0000.K562_CTCF_None.{strand}.bw", "chr2") for strand in ("plus", "minus"))
    turned = records("o/0000.K562_CTCF_None.plus.bw", "chr2")
    assert [(3000 - b, 3000 - a) for a, b, _ in reversed(turned)] == [record[:2] for record in minus]
    np.testing.assert_allclose([v for *_, v in reversed(turned)], [v for *_, v in minus], atol=1e-5)
    assert plus != minus


def test_what_stands_beside_the_tracks() -> None:
    assert predict("--tasks *CTCF* --contig chr2 --assembly hg19") == 0
    said = json.loads(Path("t/tracks.json").read_text())
    assert (said["step"], said["window"], said["assembly"]) == (STEP, 120, "hg19")
    assert [entry["file"] for entry in said["tracks"]] == [NAMES[0], NAMES[2]]
    assert Path("t/genomes.txt").read_text().startswith("genome hg19\n")
    stanzas = Path("t/trackDb.txt").read_text().split("\n\n")
    assert [stanza.splitlines()[1] for stanza in stanzas] == [f"bigDataUrl {NAMES[0]}", f"bigDataUrl {NAMES[2]}"]
    session = json.loads(Path("t/igv_session.json").read_text())
    assert (session["genome"], [track["url"] for track in session["tracks"]]) == ("hg19", [NAMES[0], NAMES[2]])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "which tasks?"),
        ("--tasks nothing", "matches none of the 3 tasks"),
        ("--tasks 0 --step 0", "--step 0 is not from 1 to 120"),
        ("--tasks 0 --step 121", "--step 121 is not from 1 to 120"),
        ("--tasks 0 --step x", "neither auto nor a number"),
        ("--tasks 0 --contig chr7", "is not in the FASTA"),
        ("--tasks 0 --region chr2:2900-3100", "is not in the FASTA"),
    ],
)
def test_what_is_refused(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(words) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("t").exists()


def test_many_hours_have_to_be_meant(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tracks, "MOST_WINDOWS", 20)
    assert predict("--tasks 0") == 2
    assert "--yes if that is meant" in capsys.readouterr().err
    assert predict("--tasks 0 --yes") == 0


# -- around a variant ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ref", "alt"), [(1, "T"), (1, "TTACG"), (8, "A")])
def test_around_a_variant(tiny_model: ModelFolder, ref: int, alt: str) -> None:
    at = 1498
    variant = Variant("chr2", at, CHR2[at : at + ref], alt if alt != CHR2[at] else "G")
    engine = ENGINES["exact"](tiny_model.load(), torch.device("cpu"), "fp32")
    with Genome("g.fa") as genome:
        found = tracks_around(engine, genome, variant, [0, 2], flank=600)
    assert predict("--tasks *CTCF* --contig chr2") == 0
    for row, name in enumerate((NAMES[0], NAMES[2])):
        there = {end: value for _, end, value in records(f"t/{name}", "chr2")}
        assert [there[end] for end in found.end.tolist()[:-1]] == found.ref[row, :-1].tolist()
    changed = CHR2[:at] + variant.alt + CHR2[at + ref :]
    shift = len(variant.alt) - ref
    engine = ENGINES["plain"](tiny_model.load(), torch.device("cpu"), "fp32")
    first = grids.Grid(120, STEP).windows(at - 600, at + ref + 600).start
    for column in range(found.ref.shape[1]):
        start = (first + column) * STEP
        start += 0 if start + 60 <= at else shift
        codes = np.array([["ACGT".index(base) for base in changed[start : start + 120]]], np.uint8)
        np.testing.assert_allclose(found.alt[:, column], engine.predict(codes)[0, [0, 2]], atol=1e-6)
    touched = np.abs(found.ref - found.alt).max(0) > 0
    assert touched.any() and not touched[:4].any() and not touched[-4:].any()
