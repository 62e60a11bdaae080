"""Plain PyTorch against the engine: interleaved, medians.

A machine that others use too is faster in one minute than in the next. A ratio is therefore taken in every round, of
what was timed within seconds of each other; the median of these counts.

*Plain* is what one would write without varscore: ``net(one_hot(codes))`` of reference, alternative and the reverse
complements of both, four full passes a variant, in batches. Its batch size is swept and the best one counts.

Both get the same CPU threads. The engine uses them as ``annotate`` does, one process each; PyTorch runs in this process
with all of them, and, because that is not always the best it can do, once more in as many processes of one thread.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.cpus import available_cpus
from varscore.engine import SharedEngine
from varscore.engine.device import arithmetic, evaluating
from varscore.engine.plain import PlainEngine
from varscore.engine.pool import EnginePool, Plan
from varscore.genome.coords import anchor
from varscore.genome.windows import Windows
from varscore.nets import architectures, build
from varscore.nets.layers import SequenceNet, one_hot, reverse_complement
from varscore.odds import probabilities
from varscore.scoring.effects import effects
from varscore.zoo.models import find_model
from varscore.zoo.shelf import available

BATCHES = {"cpu": (32, 64, 128, 256, 512), "cuda": (64, 256, 512, 1024, 2048, 4096)}
"""Sequences in one plain forward pass"""
VARIANTS = {"cpu": 192, "cuda": 12_288}
"""Variants of every workload unless the user says otherwise: full tiles, also with three at a site"""
SEQUENCES = 512
"""The least that plain PyTorch is timed on: about as long as the engine is"""
PORTIONS = 2
"""How often each of several processes does a workload; whoever is done takes the next one, as in ``annotate``, so
that one that others slow down does not keep the rest waiting for long"""
CHECKED = 48
"""Variants of every workload whose scores are compared"""
Logits = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class BenchJob:
    """How to measure. variants: of each workload, None for the device's default; threads: of the CPU."""

    device: torch.device
    precision: str = "fp32"
    variants: int | None = None
    rounds: int = 3
    threads: int = 1

    @property
    def count(self) -> int:
        return self.variants or VARIANTS[self.device.type]

    @property
    def batches(self) -> tuple[int, ...]:
        return BATCHES[self.device.type]

    @property
    def engines(self) -> int:
        """Engines side by side: one a CPU thread, or one GPU."""
        return self.threads if self.device.type == "cpu" else 1

    @property
    def portions(self) -> int:
        """How often a workload is done in a round, by all engines together."""
        return 1 if self.engines == 1 else PORTIONS * self.engines


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result.

    rate: variants a second; ratio: to plain PyTorch at its best batch size, in the same round, median; memory: MB at
    the peak; p_error: largest difference to plain float32 probabilities; effect_error: rms error of alt - ref over its
    rms, NaN without effects. None: it was not looked at.
    """

    label: str
    rate: float
    ratio: float
    memory: float
    p_error: float | None = None
    effect_error: float | None = None


@dataclass(frozen=True)
class Result:
    """What was measured of one network; ``plain`` and ``processes``, plain PyTorch in several, by batch size."""

    title: str
    plain: tuple[Row, ...]
    engine: tuple[Row, ...]
    precision: str
    processes: tuple[Row, ...] = ()

    def markdown(self) -> str:
        """A table."""
        exact = self.precision == "fp32"
        columns = [
            "variants/s",
            "ratio",
            "max abs(p - plain)",
            *([] if exact else ["effect error"]),
            "peak memory (MB)",
        ]
        lines = [f"| {self.title} | " + " | ".join(columns) + " |", "|-|" + "-:|" * len(columns)]
        for row in (*self.plain, *self.processes, *self.engine):
            effect = [] if exact else ["" if row.effect_error is None else f"{row.effect_error:.1%}"]
            cells = [
                row.label,
                f"{row.rate:,.1f}",
                f"{row.ratio:.2f}",
                "" if row.p_error is None else f"{row.p_error:.1e}",
                *effect,
                f"{row.memory:,.0f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)


def find_network(name: str | None) -> tuple[str, SequenceNet]:
    """A model (None: the default one), or an architecture with 919 tasks and random weights; with a title.

    Raises ModelError when there is neither.
    """
    if name in architectures() and name not in available():
        torch.manual_seed(0)
        net, weights = build(name, n_tasks=919), "random weights"
    else:
        model = find_model(name)
        name, net, weights = model.id, model.load(), f"{model.architecture}"
    return f"{name} ({weights}, {net.counts()[0] / 1e6:.1f} M, {net.n_tasks} tasks)", net


def machine(job: BenchJob) -> str:
    """What a figure depends on besides the network: one line."""
    device = torch.cuda.get_device_name(job.device) if job.device.type == "cuda" else "CPU"
    threads = f"{job.threads} thread{'s' if job.threads > 1 else ''}"
    rounds = f"{job.rounds} interleaved rounds of {job.portions * job.count:,} variants"
    return (
        f"{_cpu()}, {available_cpus()} CPUs, {threads}, torch {torch.__version__}, "
        f"{device}, {job.precision}; medians of {rounds}"
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


# -- what is scored ----------------------------------------------------------------------------------------------------


def workloads(window: int, count: int) -> dict[str, Windows]:
    """SNVs on random DNA: about ``count`` of each kind, whole sites."""
    sites = max(1, count // 3)
    return {
        "one alternative a site": snvs(window, np.arange(count) * window, 1),
        "three alternatives a site": snvs(window, np.arange(sites) * window, 3),
        "saturation": snvs(window, np.arange(sites), 3),
    }


def snvs(window: int, starts: NDArray[np.int64], alternatives: int) -> Windows:
    """Windows at ``starts``, int64 (n,), of a random contig, with 1 to 3 alternatives to the anchored base each."""
    contig = np.random.default_rng(0).integers(0, 4, starts[-1] + window, dtype=np.uint8)
    site = np.repeat(starts, alternatives)
    ref = np.lib.stride_tricks.sliding_window_view(contig, window)[site]
    alt = ref.copy()
    shift = np.tile(np.arange(1, alternatives + 1, dtype=np.uint8), len(starts))
    alt[:, anchor(window)] = (ref[:, anchor(window)] + shift) % 4
    one = np.ones(len(site), np.int64)
    return Windows.anchored(np.arange(len(site)), ref, alt, np.zeros(len(site), np.int32), site, one, one)


# -- how it is scored --------------------------------------------------------------------------------------------------


def plain_logits(net: SequenceNet, windows: Windows, device: torch.device, precision: str, batch: int) -> Logits:
    """Logits of reference and alternative, float32 (2, n, tasks), as plain PyTorch would compute them."""
    codes = torch.from_numpy(np.concatenate([windows.ref, windows.alt]))
    strands = torch.cat([codes, reverse_complement(codes)])
    with torch.inference_mode(), arithmetic(device, precision):
        parts = [net(one_hot(part.to(device))).float().cpu() for part in torch.split(strands, batch)]
    logits = torch.cat(parts).numpy().reshape(2, 2, len(windows), net.n_tasks)
    return logits[:, 0], logits[:, 1]


Work = Callable[[PlainEngine, Windows], object]
Memory = dict[int, float]
"""The most memory that each process had, MB"""


@dataclass(frozen=True)
class Subject:
    """Something to time: ``run`` scores ``variants`` variants."""

    label: str
    variants: int
    run: Callable[[], Memory]
    errors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Round:
    """One round: variants a second, and MB."""

    rate: float
    memory: float


def measure(title: str, net: SequenceNet, job: BenchJob, advance: Callable[[int], None] = lambda steps: None) -> Result:
    """Time the engine on every workload and plain PyTorch at every batch size, one after the other, ``rounds`` times.

    ``advance`` is told of each of the ``steps(job)`` steps. Raises DeviceError when a process dies.
    """
    plan = Plan(net, [job.device] * job.engines, SharedEngine, job.precision)
    with evaluating(net, job.device), EnginePool(plan) as pool:
        kinds = _engine_subjects(pool, net, job), _plain_subjects(net, job), _process_subjects(pool, net, job)
        subjects = [list(kind) for kind in kinds]
        advance(1)
        rounds: dict[str, list[Round]] = {}
        for _ in range(job.rounds):
            for subject in chain.from_iterable(subjects):
                seconds, memory = _timed(subject.run, job.device)
                rounds.setdefault(subject.label, []).append(Round(subject.variants / seconds, memory))
                advance(1)
    best = max((rounds[subject.label] for subject in subjects[1]), key=_rate)
    engine, plain, processes = (tuple(_row(one, rounds[one.label], best) for one in kind) for kind in subjects)
    return Result(title, plain, engine, job.precision, processes)


def steps(job: BenchJob) -> int:
    """How often :func:`measure` reports progress."""
    return 1 + job.rounds * (3 + len(job.batches) * (1 if job.engines == 1 else 2))


def _rate(rounds: Sequence[Round]) -> float:
    return statistics.median(one.rate for one in rounds)


def _row(subject: Subject, rounds: Sequence[Round], best: Sequence[Round]) -> Row:
    """best: the rounds of plain PyTorch at its best batch size"""
    ratio = statistics.median(one.rate / plain.rate for one, plain in zip(rounds, best, strict=True))
    return Row(subject.label, _rate(rounds), ratio, min(one.memory for one in rounds), *subject.errors)


def _engine_subjects(pool: EnginePool, net: SequenceNet, job: BenchJob) -> Iterator[Subject]:
    """Every engine on each workload, warmed up and compared."""
    for name, windows in workloads(net.window, job.count).items():
        errors = _errors(pool, net, windows, job.device)
        run = partial(_everywhere, pool, job.portions, _score, windows)
        warm: set[int] = set()
        while len(warm) < job.engines:  # one may score twice before another has begun
            warm.update(run())
        yield Subject(f"engine, {name}", job.portions * len(windows), run, errors)


def _plain_subjects(net: SequenceNet, job: BenchJob) -> Iterator[Subject]:
    """Plain PyTorch in this process, with all threads."""
    here = PlainEngine(net, job.device, job.precision)
    for batch in job.batches:
        windows = _plain_windows(net, batch)
        run = partial(_measured, partial(_plain, batch), here, windows)
        yield Subject(f"plain PyTorch, batch {batch}", len(windows), run)


def _process_subjects(pool: EnginePool, net: SequenceNet, job: BenchJob) -> Iterator[Subject]:
    """Plain PyTorch in every process of the pool, if there are several, with one thread each."""
    if job.engines == 1:
        return
    for batch in job.batches:
        windows = _plain_windows(net, batch)
        run = partial(_everywhere, pool, job.portions, partial(_plain, batch), windows)
        label = f"plain PyTorch, {job.engines} processes, batch {batch}"
        yield Subject(label, job.portions * len(windows), run)


def _plain_windows(net: SequenceNet, batch: int) -> Windows:
    """What plain PyTorch is timed on: whole batches, four sequences a variant."""
    return snvs(net.window, np.arange(max(batch, SEQUENCES) // 4) * net.window, 1)


def _everywhere(pool: EnginePool, portions: int, work: Work, windows: Windows) -> Memory:
    """Have all engines do the same work, so many times in all."""
    peaks: Memory = {}
    for _, used in pool.map(partial(_measured, work), [(None, windows)] * portions):
        peaks |= {process: max(peak, peaks.get(process, 0)) for process, peak in used.items()}
    return peaks


def _measured(work: Work, engine: PlainEngine, windows: Windows) -> Memory:
    """Have one engine do it."""
    peak = PeakMemory(engine.device)
    work(engine, windows)
    return {os.getpid(): peak.megabytes()}


def _score(engine: PlainEngine, windows: Windows) -> Logits:
    return engine.score(windows)


def _plain(batch: int, engine: PlainEngine, windows: Windows) -> Logits:
    return plain_logits(engine.net, windows, engine.device, engine.precision, batch)


def _errors(pool: EnginePool, net: SequenceNet, windows: Windows, device: torch.device) -> tuple[float, float]:
    """Largest difference in probability, and rms error of alt - ref over its rms."""
    some = windows.take(np.arange(min(CHECKED, len(windows))))
    ((_, found),) = pool.map(_score, [(None, some)])
    expected = plain_logits(net, some, device, "fp32", 64)
    apart = [np.abs(probabilities(a) - probabilities(b)).max() for a, b in zip(found, expected, strict=True)]
    mine, theirs = effects(*found).diff, effects(*expected).diff
    size = float(np.sqrt(np.mean(theirs**2)))
    return float(max(apart)), float(np.sqrt(np.mean((mine - theirs) ** 2))) / size if size else float("nan")


def _timed(run: Callable[[], Memory], device: torch.device) -> tuple[float, float]:
    """Wall-clock seconds, what the GPU still has to do included, and MB of all processes."""
    _wait(device)
    begin = time.perf_counter()
    memory = run()
    _wait(device)
    return time.perf_counter() - begin, sum(memory.values())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class PeakMemory:
    """The most memory in use since it was made: GPU memory of torch's tensors, or resident memory of the process.

    Where the system cannot forget an earlier peak (anything but Linux), the process's peak so far.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        elif os.access("/proc/self/clear_refs", os.W_OK):
            Path("/proc/self/clear_refs").write_text("5")

    def megabytes(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e6
        if Path("/proc/self/status").exists():
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))
        unit = 1 if platform.system() == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
