"""Attention footprints and maximisation against sums, planted motifs and networks whose answer is known."""

from __future__ import annotations

import csv
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from made_models import WINDOW, bases, lively, model
from small_nets import random_codes
from torch import Tensor, nn

from varscore.cli.boundary import run
from varscore.engine.plain import PlainEngine
from varscore.errors import UsageError
from varscore.formats.motifs import read_motifs
from varscore.genome.sequence import decode, encode
from varscore.interpret.attention import (
    Footprints,
    blurred,
    consensus,
    demand_attention,
    footprints,
    motif_of,
    recurring,
    sites,
    together,
)
from varscore.interpret.maximise import Liked, maximise
from varscore.nets.layers import FlattenChannels, SequenceNet, of_layers, one_hot

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "cells"), [("attentionnet", 180), ("promoternet", 45)])
def test_masks_sum_to_1(name: str, cells: int) -> None:
    """Check 9: before the blur and after it."""
    net, codes = lively(name), random_codes(70, WINDOW, seed=2).numpy()
    found = footprints(PlainEngine(net, CPU), codes, np.array([0, 2]))
    assert found.masks.shape == (70, cells) and np.abs(found.masks.sum(1) - 1).max() < 1e-5
    soft = blurred(found.masks, 2.0)
    assert np.abs(soft.sum(1) - 1).max() < 1e-5 and np.ptp(soft, 1).max() < np.ptp(found.masks, 1).max()
    assert found.stride == WINDOW // cells and found.middles[1] == found.stride + found.stride // 2
    parts = [footprints(PlainEngine(net, CPU), codes[rows], np.array([0, 2])) for rows in (slice(64), slice(64, 70))]
    assert (together(parts).predicted == found.predicted).all()
    assert np.abs(together(parts).masks - found.masks).max() < 1e-6


def test_a_blur_by_hand() -> None:
    """One cell's weight spreads as a Gaussian does; at an end what would leave comes back."""
    mask = np.zeros((2, 41), np.float32)
    mask[0, 20] = mask[1, 0] = 1
    soft = blurred(mask, 1.5)
    bell = np.exp(-0.5 * (np.arange(-20, 21) / 1.5) ** 2)
    assert soft[0] == pytest.approx(bell / bell.sum(), abs=1e-4)
    assert soft[1, :3] == pytest.approx(soft[0, 20:23] + soft[0, 21:24], abs=1e-6)
    assert (blurred(mask, 0) == mask).all()


def test_the_motif_under_the_maximum() -> None:
    """10 bases, the maximum after 5 of them, of the best predicted sequences alone; shifted inwards at the ends."""
    random, word = np.random.default_rng(1), encode(b"GATTACAGGC")
    codes = random.integers(0, 4, (300, 60), np.uint8)
    places = random.integers(0, 51, 300)
    predicted = random.random(300).astype(np.float32)
    best = set(np.argsort(-predicted)[:100].tolist())
    masks = np.full((300, 60), 1e-3, np.float32)
    for row, place in enumerate(places.tolist()):
        if row in best:
            codes[row, place : place + 10] = word
        masks[row, place + 5] = 1
    found = Footprints(predicted, masks, 1, np.arange(60))
    motif = motif_of(sites(found, codes), "m")
    assert consensus(motif) == "GATTACAGGC" and motif.sites == 100
    assert (motif.frequencies.max(1) == 1).all()
    assert recurring(codes, found, 1) == [("GATTACAGGC", 100)]
    ends = Footprints(predicted[:2], masks[:2] * 0 + np.eye(60, dtype=np.float32)[[0, 59]], 1, np.arange(60))
    assert (sites(ends, codes[:2]) == np.stack([codes[0, :10], codes[1, 50:]])[np.argsort(-predicted[:2])]).all()


def test_others_have_no_mask() -> None:
    with pytest.raises(UsageError, match="no attention mask"):
        demand_attention(lively("danq"))


# -- maximisation ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinearConfig:
    window: int = 12
    n_tasks: int = 1


class Linear(SequenceNet):
    strands = "one"

    def __init__(self) -> None:
        torch.manual_seed(3)
        super().__init__(LinearConfig(), FlattenChannels(), nn.Linear(48, 1))

    @of_layers
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(one_hot(x, self.output.weight.dtype) if x.dtype == torch.uint8 else x)


def test_the_best_input_of_a_linear_network() -> None:
    """w x - lambda x^2 is largest at w / (2 lambda); after n steps the way there is (1 - 2 rate lambda)^n short."""
    net = Linear().eval()
    found = maximise(PlainEngine(net, CPU), 0, start=0.25, rate=0.5, decay=0.1, iterations=40)
    best = net.output.weight.detach().numpy().reshape(4, 12) / (2 * 0.1)
    left = (1 - 2 * 0.5 * 0.1) ** 40
    assert found.scores == pytest.approx(best + left * (0.25 - best), abs=1e-4)
    assert found.final > found.start


@pytest.mark.parametrize("name", ["tss", "danq", "deepbind", "attentionnet", "promoternet", "crnn-320-projection"])
def test_the_output_rises(name: str) -> None:
    """Check 8; and it is the same every time."""
    found, again = (maximise(PlainEngine(lively(name), CPU), 1, iterations=30) for _ in range(2))
    assert found.final > found.start and found.scores.shape == (4, WINDOW)
    assert (again.scores == found.scores).all() and again.final == found.final


def test_faint_scores_are_not_shown() -> None:
    scores = np.linspace(-1, 1, 400, dtype=np.float32).reshape(4, 100)
    shown = Liked(scores, 0, 1).shown
    assert np.count_nonzero(shown) == 60 and set(shown[shown != 0]) <= set(scores.ravel())
    assert np.abs(shown[shown != 0]).min() > 0.84


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(maximise.__kwdefaults__, "iterations", 30)
    folder = model(tmp_path / "m", "attentionnet", 1).path
    fasta = tmp_path / "s.fa"
    fasta.write_text("".join(f">s{i}\n{bases(WINDOW, i)}\n" for i in range(5)))
    out, common = tmp_path / "x", ["--device", "cpu", "--threads", "1"]
    words = ("GATTACAGGC", "CCATATTTGG", "TGACGTCATC")
    rows = {w: "".join(f"{b} [{' '.join(str(9 * (letter == b)) for letter in w)}]\n" for b in "ACGT") for w in words}
    database = tmp_path / "db.jaspar"
    database.write_text("".join(f">{word} {word}\n{text}" for word, text in rows.items()))
    methods = ["--method", "attention", "--method", "maximise", "--recurring", "2", "--motifs", str(database)]
    assert run(["explain", str(folder), str(fasta), "-o", str(out), *methods, *common]) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {
        "attention.tsv",
        "attention_mean.tsv",
        "attention.meme",
        "recurring.tsv",
        "attention.svg",
        "attention_motif.svg",
        "attention_matches.tsv",
        "maximise.tsv",
        "maximise.npz",
        "maximise.K562_CTCF_None.svg",
        "explain.json",
    }
    table = list(csv.DictReader((out / "attention.tsv").read_text().splitlines(), delimiter="\t"))
    assert [row["name"] for row in table] == [f"s{i}" for i in range(5)] and table[3]["sequence"] == bases(WINDOW, 3)
    mask = np.array([float(value) for value in table[0]["mask"].split(",")])
    assert mask.sum() == pytest.approx(1, abs=1e-3) and mask.argmax() == int(table[0]["maximum"])
    motifs = read_motifs(out / "attention.meme")
    assert [motif.id for motif in motifs] == ["attention", "recurring-1", "recurring-2"] and motifs[0].sites == 5
    matches = list(csv.DictReader((out / "attention_matches.tsv").read_text().splitlines(), delimiter="\t"))
    assert {row["query"] for row in matches} == {motif.id for motif in motifs} and float(matches[0]["q"]) <= 1
    assert {row["target"] for row in matches} <= set(words)
    arrays = np.load(out / "maximise.npz")
    assert arrays["maximise"].shape == (1, 4, WINDOW) and arrays["final"][0] > arrays["start"][0]
    assert json.loads((out / "explain.json").read_text())["methods"] == ["attention", "maximise"]
    tss = model(tmp_path / "t", "tss", 3).path
    only = ["--method", "maximise", "--task", "0", *common]
    assert run(["explain", str(tss), "-o", str(tmp_path / "y"), *only]) == 0
    assert (tmp_path / "y" / "maximise.tsv").is_file()
    capsys.readouterr()
    assert run(["explain", str(folder), "-o", str(tmp_path / "z"), "--method", "ism", *common]) == 2
    assert "ism explains a FASTA" in capsys.readouterr().err
    danq = model(tmp_path / "d", "danq", 1).path
    assert run(["explain", str(danq), str(fasta), "-o", str(tmp_path / "z"), "--method", "attention", *common]) == 2
    assert "no attention mask; ism, deeplift" in capsys.readouterr().err


def test_mean_profiles(tmp_path: Path) -> None:
    """A mean over windows, by base: against the table of single contributions."""
    folder = model(tmp_path / "m", "tss", 3).path
    fasta = tmp_path / "s.fa"
    sequences = [bases(WINDOW, i) for i in range(4)]
    sequences[0] = "N" * 20 + sequences[0][20:]
    fasta.write_text("".join(f">s{i}\n{sequence}\n" for i, sequence in enumerate(sequences)))
    options = ["--method", "deeplift", "--reference", "uniform", "--task", "0", "--device", "cpu", "--threads", "1"]
    assert run(["explain", str(folder), str(fasta), "-o", str(tmp_path / "x"), *options]) == 0
    scores, codes = (np.load(tmp_path / "x" / "scores.npz")[name] for name in ("deeplift", "sequence"))
    lines = list(csv.DictReader((tmp_path / "x" / "profile.tsv").read_text().splitlines(), delimiter="\t"))
    assert [int(line["position"]) for line in lines] == list(range(-90, 90)) and lines[0]["windows"] == "3"
    for at in (0, 50, 179):
        known = int((codes[:, at] != 4).sum())
        for base, letter in itertools.product([0, 3], ["A", "T"]):
            if "ACGT"[base] == letter:
                assert float(lines[at][letter]) == pytest.approx(scores[:, base, at].sum() / known, abs=1e-5)
        assert float(lines[at]["mean"]) == pytest.approx(scores[:, :, at].sum() / known, abs=1e-5)
    assert (tmp_path / "x" / "profile.deeplift.K562_CTCF_None.svg").is_file()
    assert decode(codes[0])[:3] == b"NNN"
