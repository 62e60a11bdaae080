"""In-silico mutagenesis against whole windows through the bare network, one substitution at a time."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from made_models import WINDOW, genome, lively, model
from small_nets import random_codes

from varscore.cli.boundary import run
from varscore.engine import SharedEngine
from varscore.engine.exact.reach import Span
from varscore.engine.plain import PlainEngine
from varscore.genome.coords import anchor
from varscore.interpret import ism
from varscore.nets.layers import SequenceNet, one_hot, reverse_complement

CPU = torch.device("cpu")


def log2_odds(net: SequenceNet, codes: torch.Tensor) -> np.ndarray:
    """float64 (n, tasks), mean of both strands, of a network of labels."""
    with torch.no_grad():
        both = [net(one_hot(strand)).double() for strand in (codes, reverse_complement(codes))]
    return (torch.stack(both).mean(0) / math.log(2)).numpy()


def test_a_fixed_window() -> None:
    net = lively("danq")
    codes = random_codes(2, WINDOW, seed=2)
    tasks, span = np.array([3, 0]), Span(80, 90)
    found = ism.fixed(SharedEngine(net, CPU), codes.numpy(), tasks, "logodds", span)
    assert found.shape == (2, 10, 4, 2) and found.dtype == np.float32
    for row in range(2):
        before = log2_odds(net, codes[row : row + 1])[0, tasks]
        for at in range(10):
            if codes[row, 80 + at] == 4:
                assert np.isnan(found[row, at]).all()
                continue
            four = codes[row].repeat(4, 1)
            four[:, 80 + at] = torch.arange(4)
            assert np.abs(found[row, at] - (log2_odds(net, four)[:, tasks] - before)).max() < 1e-5
            assert (found[row, at, codes[row, 80 + at]] == 0).all()


def test_probabilities_and_values() -> None:
    net, codes = lively("deepsea"), random_codes(1, WINDOW, seed=4, unknown=0)
    engine = PlainEngine(net, CPU)
    found = ism.fixed(engine, codes.numpy(), np.array([1]), "prob", Span(50, 52))
    other = codes.clone()
    other[0, 51] = (codes[0, 51] + 1) % 4
    change = engine.predict(other.numpy())[0, 1] - engine.predict(codes.numpy())[0, 1]
    assert found[0, 1, other[0, 51], 0] == pytest.approx(change, abs=1e-6)
    values = lively("promoternet", n_tasks=2)
    values.goal.scale.fill_(3.0)
    engine = PlainEngine(values, CPU)
    found = ism.fixed(engine, codes.numpy(), np.array([0]), "value", Span(51, 52))
    change = engine.predict(other.numpy())[0, 0] - engine.predict(codes.numpy())[0, 0]
    assert found[0, 0, other[0, 51], 0] == pytest.approx(change, abs=1e-5)


def test_centred_windows_move_along() -> None:
    net, middle = lively("crnn-320-projection"), anchor(WINDOW)
    context = random_codes(1, 5 + WINDOW - 1, seed=5, unknown=0)[0]
    context[[3, 70, 177]] = 4
    found = ism.centred(SharedEngine(net, CPU), context.numpy(), np.array([2]), "logodds")
    assert found.shape == (5, 4, 1)
    for at in range(5):
        window = context[at : at + WINDOW]
        four = window.repeat(4, 1)
        four[:, middle] = torch.arange(4)
        change = log2_odds(net, four)[:, 2] - log2_odds(net, window[None])[:, 2]
        assert np.abs(found[at, :, 0] - change).max() < 1e-5


def test_what_a_base_is_worth() -> None:
    table = np.array([[[0.0], [3.0], [6.0], [-3.0]], [[np.nan]] * 4], np.float32)
    codes = np.array([0, 4], np.uint8)
    assert ism.base_scores(table, codes).tolist() == [[-2.0], [0.0]]
    assert ism.hypothetical(table, codes)[:, :, 0].tolist() == [[-2.0, 1.0, 4.0, -5.0], [0.0] * 4]


def test_the_values_of_saturate(tmp_path: Path) -> None:
    """Check 5: 50 bases, as ``annotate --saturate`` scores them."""
    folder = model(tmp_path / "m", n_tasks=1).path
    fasta, _ = genome(tmp_path)
    bed = tmp_path / "b.bed"
    bed.write_text("chr1\t975\t1025\n")
    common = ["-r", str(fasta), "--threads", "1", "--device", "cpu"]
    assert run(["annotate", "--saturate", str(bed), "-m", str(folder), "-o", str(tmp_path / "s.tsv"), *common]) == 0
    out = tmp_path / "x"
    assert run(["explain", str(folder), str(bed), "-o", str(out), "--span", "25", "--picture", "none", *common]) == 0
    text = gzip.decompress((out / "ism.tsv.gz").read_bytes()).decode()
    lines = [line.split("\t") for line in text.splitlines()]
    place = {(line[2], base): line[6 + i] for line in lines[1:] for i, base in enumerate("ACGT")}
    scored = [line.split("\t") for line in (tmp_path / "s.tsv").read_text().splitlines() if not line.startswith("##")]
    columns = {name.lstrip("#").lower(): i for i, name in enumerate(scored[0])}
    assert len(scored) == 151
    for row in scored[1:]:
        theirs = float(row[columns["logodds"]])
        assert float(place[row[columns["pos"]], row[columns["alt"]]]) == pytest.approx(theirs, abs=1e-5)
    assert max(abs(float(row[columns["logodds"]])) for row in scored[1:]) > 0.01
