"""What `varscore annotate` spends its time on: prints a Markdown row a file, CPU seconds a stage and peak memory.

    python benchmarks/annotate.py [IN.vcf -r FASTA] [-m MODEL] [--variants N ...]

Without a file: SNVs at random places of a random genome of 10 Mb, few and ten times as many, so that memory can be seen
to stay flat. Without a model: a tiny network with 919 tasks, so that everything else can be seen. One engine, on one
thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from windows import random_fasta

from varscore.annotate.flow import annotate_file
from varscore.annotate.job import AnnotateJob
from varscore.annotate.outputs import Outputs
from varscore.bench import PeakMemory
from varscore.engine import ENGINES
from varscore.engine.compute import Compute
from varscore.formats.vcf import VariantReader
from varscore.genome.sequence import Genome, decode
from varscore.nets import build
from varscore.scoring import score
from varscore.tasks import Task
from varscore.zoo.models import find_model, save_model

STAGES = ("parse", "windows", "network", "effects", "write")
TASKS = 919


@dataclass(frozen=True)
class Measured:
    """seconds: of CPU time, by stage, with ``other`` (start, header, index) and ``total``; memory: MB at the peak."""

    alleles: int
    seconds: Counter[str]
    wall: float
    memory: float


def measure(vcf: str, fasta: Path, model: str) -> Measured:
    """Annotate a file in this process; every stage is timed from outside, in whichever thread it runs."""
    spent: Counter[str] = Counter()

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            begin = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                spent[stage] += time.thread_time() - begin

        return run

    def parse(reader: VariantReader, *arguments: Any) -> Iterator[Any]:
        chunks = chunks_of(reader, *arguments)
        following = timed("parse", lambda: next(chunks, None))
        while (chunk := following()) is not None:
            yield chunk

    chunks_of, engine = VariantReader.chunks, ENGINES["exact"]
    peak, begin, wall = PeakMemory(torch.device("cpu")), time.process_time(), time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(VariantReader, "chunks", parse),
        patch.object(score, "known_windows", timed("windows", score.known_windows)),
        patch.object(engine, "score", timed("network", engine.score)),
        patch.object(score, "effects", timed("effects", score.effects)),
        patch.object(Outputs, "write", timed("write", Outputs.write)),
    ):
        job = AnnotateJob(vcf, f"{folder}/out.vcf.gz", fasta, find_model(model), compute=Compute("cpu", threads=1))
        summary = annotate_file(job)
    spent["total"] = time.process_time() - begin
    spent["other"] = spent["total"] - sum(spent[stage] for stage in STAGES)
    return Measured(summary.alleles, spent, time.perf_counter() - wall, peak.megabytes())


def tiny_model(folder: Path) -> Path:
    torch.manual_seed(0)
    net = build("crnn-320-projection", n_tasks=TASKS, filters=8, projection=4, second_filters=4, hidden=4, dense=8)
    tasks = tuple(Task(task, f"task {task}", "TF") for task in range(TASKS))
    return save_model(folder / "tiny", net, "crnn-320-projection", tasks, {}).path


def random_vcf(folder: Path, fasta: Path, count: int) -> Path:
    """SNVs at ``count`` different places, sorted."""
    random = np.random.default_rng(count)
    with Genome(fasta) as genome:
        (contig, length), *_ = genome.contigs.items()
        codes = genome.codes(contig, 0, length)
    starts = np.sort(random.choice(length, count, replace=False))
    ref, alt = (decode(c).decode() for c in (codes[starts], (codes[starts] + random.integers(1, 4, count)) % 4))
    path = folder / f"{count}.vcf"
    with path.open("w") as file:
        file.write(f"##fileformat=VCFv4.2\n##contig=<ID={contig},length={length}>\n")
        file.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for start, old, new in zip(starts.tolist(), ref, alt, strict=True):
            file.write(f"{contig}\t{start + 1}\t.\t{old}\t{new}\t50\tPASS\tAC=1\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("vcf", nargs="?", metavar="IN.vcf")
    parser.add_argument("-r", "--reference", type=Path, metavar="FASTA")
    parser.add_argument("-m", "--model")
    parser.add_argument("--variants", type=int, nargs="+", default=[20_000, 200_000])
    options = parser.parse_args()
    if (options.vcf is None) != (options.reference is None):
        parser.error("a file needs -r FASTA, and the other way round")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fasta = options.reference or random_fasta(folder)
        files = [options.vcf] if options.vcf else [random_vcf(folder, fasta, count) for count in options.variants]
        model = options.model or tiny_model(folder)
        columns = [*STAGES, "other", "total"]
        print(f"| file | alleles | {' | '.join(columns)} (CPU s) | wall (s) | peak memory (MB) |")
        print("|-|" + "-:|" * (len(columns) + 3))
        for path in files:  # each in a process of its own, whose memory nobody has used
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                found = process.submit(measure, str(path), fasta, str(model)).result()
            seconds = " | ".join(f"{found.seconds[column]:.2f}" for column in columns)
            print(f"| {Path(path).name} | {found.alleles:,} | {seconds} | {found.wall:.1f} | {found.memory:,.0f} |")


if __name__ == "__main__":
    main()
