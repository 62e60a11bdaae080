"""The benchmark measures what it says, and its table says what was measured."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_nets import small
from torch import nn

from varscore import bench
from varscore.bench import (
    BenchJob,
    PeakMemory,
    Result,
    Row,
    find_network,
    measure,
    plain_logits,
    snvs,
    steps,
    workloads,
)
from varscore.cli.boundary import run
from varscore.engine import SharedEngine
from varscore.engine.device import use_threads
from varscore.engine.pool import EnginePool
from varscore.errors import ModelError
from varscore.nets.layers import SequenceNet
from varscore.tasks import Task
from varscore.zoo.models import save_model

CPU = torch.device("cpu")
BATCHES = {"cpu": (8, 16)}


def network() -> SequenceNet:
    net = small("danq").eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one model, ``tiny``, which is also the default."""
    folder = tmp_path / "models"
    monkeypatch.setenv("VARSCORE_MODELS", str(folder))
    monkeypatch.setattr("varscore.zoo.shelf.bundled_folder", lambda: folder)
    monkeypatch.setattr(bench, "BATCHES", BATCHES)
    tasks = tuple(Task(i, f"task {i}", "TF") for i in range(5))
    save_model(folder / "tiny", network(), "danq", tasks, {"default": True})
    return folder


def test_workloads_are_snvs_at_the_middle_of_the_window() -> None:
    window = 60
    for name, windows in workloads(window, 12).items():
        assert len(windows) == 12
        differ = windows.ref != windows.alt
        assert (differ.sum(1) == 1).all() and differ[:, (window - 1) // 2].all()
        assert windows.ref.max() < 4 and windows.alt.max() < 4
        sites, alleles = np.unique(windows.start, return_counts=True)
        assert set(alleles) == {1 if name.startswith("one") else 3}
        assert set(np.diff(sites)) == {1 if name == "saturation" else window}
        for start in sites:
            of_site = windows.take(windows.start == start)
            assert (of_site.ref == of_site.ref[0]).all()
            assert len({bytes(row) for row in of_site.alt}) == len(of_site)


def test_neighbouring_windows_overlap() -> None:
    windows = snvs(60, np.arange(4), 1)
    for left, right in zip(windows.ref, windows.ref[1:], strict=False):
        assert (left[1:] == right[:-1]).all()


def test_plain_pytorch_is_the_network_on_both_strands() -> None:
    net, windows = network(), snvs(180, np.arange(3) * 180, 3)
    found = plain_logits(net, windows, CPU, "fp32", batch=7)
    for logits, codes in zip(found, (windows.ref, windows.alt), strict=True):
        for row, sequence in enumerate(codes):
            for strand, bases in enumerate((sequence, 3 - sequence[::-1])):
                hot = torch.from_numpy(np.eye(4, dtype=np.float32)[bases].T[None].copy())
                with torch.no_grad():
                    assert np.abs(logits[strand, row] - net(hot)[0].numpy()).max() < 1e-5


def test_medians_of_rounds_and_the_best_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BATCHES", BATCHES)
    job = BenchJob(CPU, variants=6, rounds=3)
    assert [job.count, BenchJob(CPU).count] == [6, bench.VARIANTS["cpu"]]
    # engine on three workloads, then plain at two batch sizes, three times over: the middle of each column counts, and
    # of each ratio in a row
    clock = iter([0.5, 1, 2, 6, 12, 1, 2, 4, 20, 40, 1.5, 3, 6, 9, 18])
    calls = 0

    def timed(run: object, device: torch.device) -> tuple[float, float]:
        nonlocal calls
        calls += 1
        return next(clock), 100 + calls

    monkeypatch.setattr(bench, "_timed", timed)
    told: list[int] = []
    result = measure("made up", network(), job, told.append)
    assert calls == 15 and sum(told) == steps(job)
    assert [row.rate for row in result.engine] == [6 / 1, 6 / 2, 6 / 4]
    variants = bench.SEQUENCES // 4
    assert [row.rate for row in result.plain] == [variants / 9, variants / 18]
    # for the first: 12, 20 and 6 times in a round; 9 times by the medians
    assert [row.ratio for row in result.engine] == pytest.approx([6 / variants * times for times in (12, 6, 3)])
    assert [row.ratio for row in result.plain] == [1, 0.5]
    assert [row.memory for row in (*result.engine, *result.plain)] == [101, 102, 103, 104, 105]
    assert all(row.p_error is not None and row.p_error <= 1e-6 for row in result.engine)
    assert all(row.p_error is None for row in result.plain)


def test_every_thread_has_an_engine_of_its_own_as_in_annotate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BATCHES", {"cpu": (8,), "cuda": (64,)})
    net, used, told, workers = network(), [], [], set[int]()
    timed, everywhere = bench._timed, bench._everywhere

    def watched(run: Callable[[], dict[int, float]], device: torch.device) -> tuple[float, float]:
        used.append(run())
        return timed(run, device)

    def followed(pool: EnginePool, portions: int, *work: Any) -> dict[int, float]:
        assert portions == 4
        found = everywhere(pool, portions, *work)
        workers.update(found)
        return found

    monkeypatch.setattr(bench, "_timed", watched)
    monkeypatch.setattr(bench, "_everywhere", followed)
    job = BenchJob(CPU, variants=3, rounds=1, threads=2)
    result = measure("", net, job, told.append)
    assert [row.label for row in result.processes] == ["plain PyTorch, 2 processes, batch 8"]
    assert len(used) == 5 and sum(told) == steps(job)
    assert set(used[3]) == {os.getpid()}, "plain PyTorch, after the engine on three workloads"
    assert len(workers) == 2 and os.getpid() not in workers
    assert all(row.p_error is not None and row.p_error <= 1e-6 for row in result.engine)
    assert "| plain PyTorch, 2 processes, batch 8 |" in result.markdown()
    assert BenchJob(torch.device("cuda", 0), threads=2).engines == 1


def test_a_network_comes_back_as_it_was() -> None:
    net = network().train()
    measure("", net, BenchJob(CPU, variants=3, rounds=1))
    assert net.training


def test_wrong_scores_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BATCHES", {"cpu": (8,)})
    honest = SharedEngine.score

    class Wrong(SharedEngine):
        def score(self, windows):  # type: ignore[no-untyped-def]
            ref, alt = honest(self, windows)
            return ref, 2 * alt

    monkeypatch.setattr(bench, "SharedEngine", Wrong)
    (row, *_) = measure("", network(), BenchJob(CPU, variants=6, rounds=1)).engine
    assert row.p_error is not None and row.p_error > 0.01
    assert row.effect_error is not None and row.effect_error > 0.1


def test_the_table() -> None:
    plain = (Row("plain PyTorch, batch 32", 10, 0.5, 100), Row("plain PyTorch, batch 64", 20, 1, 1234))
    engine = (Row("engine, saturation", 90, 4.5, 200, 3e-7, 0.034),)
    assert Result("net", plain, engine, "fp32").markdown().splitlines() == [
        "| net | variants/s | ratio | max abs(p - plain) | peak memory (MB) |",
        "|-|-:|-:|-:|-:|",
        "| plain PyTorch, batch 32 | 10.0 | 0.50 |  | 100 |",
        "| plain PyTorch, batch 64 | 20.0 | 1.00 |  | 1,234 |",
        "| engine, saturation | 90.0 | 4.50 | 3.0e-07 | 200 |",
    ]
    reduced = Result("net", plain, engine, "fp16").markdown().splitlines()
    assert "| effect error |" in reduced[0]
    assert reduced[-1] == "| engine, saturation | 90.0 | 4.50 | 3.0e-07 | 3.4% | 200 |"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system does not forget peaks")
def test_peak_memory_is_that_of_its_own_time() -> None:
    before = PeakMemory(CPU)
    with mmap.mmap(-1, 100 << 20) as block:  # no array: a process that has trained keeps what it frees
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        with_block = before.megabytes()
    after = PeakMemory(CPU).megabytes()
    assert 90 < with_block - after < 150


def test_a_model_goes_before_an_architecture_of_its_name(models: Path) -> None:
    assert [find_network(name)[1].n_tasks for name in ("tiny", None, str(models / "tiny"))] == [5, 5, 5]
    assert "tiny (danq, " in find_network(None)[0]
    title, net = find_network("kmer")
    assert net.n_tasks == 919 and title.startswith("kmer (random weights, 1.3 M, 919 tasks)")
    save_model(models / "kmer", small("kmer"), "kmer", tuple(Task(i, "t", "TF") for i in range(5)), {})
    assert find_network("kmer")[1].n_tasks == 5
    with pytest.raises(ModelError, match="no model 'tini'.*tiny"):
        find_network("tini")


def test_random_weights_are_the_same_every_time(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "build", lambda name, n_tasks: small("danq", seed=torch.initial_seed()))
    drawn = []
    for seed in (5, 6):
        torch.manual_seed(seed)
        drawn.append(find_network("danq")[1].state_dict())
    first, second = drawn
    assert all(torch.equal(first[name], second[name]) for name in first)


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_prints_and_writes_one_table(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bench.md"
    command = ["bench", "--threads", "1", "--variants", "6", "--rounds", "1", "--device", "cpu", "-o", str(output)]
    assert run(command) == 0
    out, _ = capsys.readouterr()
    assert out == output.read_text()
    machine, table = out.split("\n\n")
    assert re.search(r", 1 thread, torch [^ ]+, CPU, fp32; medians of 1 interleaved rounds of 6 variants$", machine)
    labels = [line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:]]
    assert labels == [
        "plain PyTorch, batch 8",
        "plain PyTorch, batch 16",
        "engine, one alternative a site",
        "engine, three alternatives a site",
        "engine, saturation",
    ]
    assert run(command) == 2
    assert "bench.md" in capsys.readouterr().err
    assert run([*command, "--force", "--precision", "bf16"]) == 0
    assert "effect error" in output.read_text()


def test_the_command_explains_a_wrong_name(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "nothing-like-it"]) == 2
    assert "no model 'nothing-like-it'" in capsys.readouterr().err
    assert run(["bench", "tiny", "--variants", "2"]) == 2


def test_threads_are_as_many_as_asked_for(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr("varscore.engine.device.torch.set_num_threads", seen.append)
    assert run(["bench", "tiny", "--threads", "1", "--variants", "3", "--rounds", "1"]) == 0
    assert set(seen) == {1}
    assert use_threads(2) == 2 and seen[-1] == 2
