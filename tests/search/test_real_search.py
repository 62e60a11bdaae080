"""A search of real binding data: it finds better networks than most, and its best is an ordinary model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from varscore.cli.boundary import run
from varscore.datasets.tfbs import TfbsOptions, build_sequences, read_seq
from varscore.datasets.tfbs import test_file as file_for_test
from varscore.genome.sequence import decode
from varscore.search.study import open_study

SPACE = """\
filters = [8, 16]
reduction = ["max", "mean"]
stride = [4, 8]
convs_after = [1, 2]
rnn_layers = [0]
global_reduction = ["attention"]
fc_layers = [0, 1]
fc_units = [64, 128]
optimizer = ["adam", "nesterov"]
lr_scale = [0.3, 1, 2, 10]
batch_size = [25]
"""
QUICK = ["--device", "cpu", "--threads", "1"]


@pytest.mark.slow
@pytest.mark.realdata
def test_thirty_trials_of_500_peaks(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = shared_data / "tfbs101/SRF_H1-hESC_SRF_HudsonAlpha_AC.seq.gz"
    _, other = file_for_test(path)
    assert other is not None
    test = read_seq(other)
    build_sequences("SRF", read_seq(path)[:500], test, [path, other], Path("SRF"), TfbsOptions(validation=0.2))
    Path("space.toml").write_text(SPACE)
    words = ["search", "--data", "SRF", "-o", "study", "--space", "space.toml", "--trials", "30", "--epochs", "8"]
    assert run([*words, *QUICK]) == 0
    metrics = [trial.metric for trial in open_study(Path("study")).branch("main").trials() if trial.metric is not None]
    assert len(metrics) == 30 and max(metrics) > np.median(metrics) + 0.02
    assert run(["search", "best", "study", "-o", "best"]) == 0

    # what every model can do: with real sequences, with variants in them, and what attention alone can explain
    bound = [decode(read.codes).decode() for read in test if read.bound][:8]
    Path("s.fa").write_text("".join(f">s{number}\n{bases}\n" for number, bases in enumerate(bound)))
    assert run(["predict", "best", "s.fa", "-o", "p.tsv", *QUICK]) == 0
    assert {line.split("\t")[0] for line in Path("p.tsv").read_text().splitlines()} >= {"s0", "s7"}
    assert run(["explain", "best", "s.fa", "-o", "x", "--method", "attention", *QUICK]) == 0
    assert len(Path("x/attention.tsv").read_text().splitlines()) == 1 + 8
    genome = "".join(bound)
    Path("g.fa").write_text(f">chr1\n{genome}\n")
    sites = [(at, genome[at - 1], "A" if genome[at - 1] != "A" else "C") for at in (200, 300, 400)]
    lines = [f"chr1\t{at}\t.\t{ref}\t{alt}\t.\t.\t." for at, ref, alt in sites]
    Path("v.vcf").write_text(
        "\n".join(["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO", *lines, ""])
    )
    assert run(["annotate", "v.vcf", "-r", "g.fa", "-m", "best", "-o", "a.vcf", "--scores", "a.parquet", *QUICK]) == 0
    assert Path("a.vcf").read_text().count("VS_") >= len(sites)
