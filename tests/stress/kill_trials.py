"""Kills runs again and again, and compares what they end with to a run that nobody killed.

    python tests/stress/kill_trials.py [--trials 100] [--seed 1] [--only annotate|others]

annotate: in every format, with its further outputs; others: with a cache and on haplotypes, archives, tracks.

A trial kills the same command one to four times with SIGKILL, at a random moment or at a random one of its writes,
flushes and renames, then lets it finish. Every output must have the bytes of an undisturbed run, and nothing else may
be left. Exit status 0 when all trials did.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OPERATIONS = "operations.txt"
PHASED = ("0|1", "1|0", "1|1", "0|0", "0/1")
RECORDS = 1400
OUTPUTS = ("out.vcf", "out.vcf.gz", "out.bcf", "out.tsv", "out.tsv.gz", "out.parquet")
FURTHER: tuple[tuple[str, ...], ...] = (
    (),
    ("--scores", "m.parquet"),
    ("--scores", "m.zarr", "--skipped", "s.tsv"),
    ("--scores", "m.h5", "--skipped", "s.tsv.gz"),
    ("--skipped", "s.tsv", "--shard", "1/2"),
)
CACHE = "scores"
PHASED_RUN = "annotate ../phased.vcf -r ../g.fa -m ../model --batch-size 1 --haplotypes --haplotype-table"
OTHERS = (
    f"annotate ../in.vcf -r ../g.fa -m ../model --batch-size 256 -o out.vcf.gz --cache {CACHE}",
    f"{PHASED_RUN} t.tsv.gz -o out.vcf.gz",
    f"{PHASED_RUN} t.parquet -o out.parquet",
    "archive build ../model -r ../g.fa --region chr1:300-1100 -o a.vsa",
    "predict ../model -r ../g.fa --bigwig tracks --tasks * --region chr1:500-7000 --bedgraph",
)
"""Words of commands, which run in a folder beside their inputs"""


@dataclass
class Tally:
    """What came of the trials. stages: in which stage of a run how many processes were killed."""

    trials: int = 0
    kills: int = 0
    resumed: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def make_workspace(folder: Path) -> None:
    """A genome, a network of a few weights, and variants of several kinds."""
    import torch

    from varscore.nets import build
    from varscore.tasks import Task
    from varscore.zoo.models import save_model

    dice = random.Random(5)
    genome = "".join(dice.choices("ACGT", k=9000))
    (folder / "g.fa").write_text(f">chr1\n{genome}\n")
    lines = []
    for pos in sorted(dice.choices(range(1, 8990), k=RECORDS)):
        ref = genome[pos - 1 : pos - 1 + dice.choice([1, 1, 1, 3])]
        alts = dice.sample(["A", "C", "GATTACA", "<DEL>", "*", "T"], dice.choice([1, 1, 2, 3]))
        lines.append(
            f"chr1\t{pos}\tv{len(lines)}\t{ref}\t{','.join(alts)}\t50\tPASS\tAC=1;{'X' * dice.randrange(90)}\n"
        )
    header = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=9000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (folder / "in.vcf").write_text(header + "".join(lines))
    kind = '##FORMAT=<ID=GT,Number=1,Type=String,Description="">\n#CHROM'
    (folder / "phased.vcf").write_text(
        header.replace("#CHROM", kind).replace("INFO", "INFO\tFORMAT\tanna\tben")
        + "".join(f"{line.rstrip()}\tGT\t{dice.choice(PHASED)}\t{dice.choice(PHASED)}\n" for line in lines[:600])
    )
    torch.manual_seed(1)
    net = build("crnn-320-projection", n_tasks=3, window=120, filters=4, projection=2, second_filters=2, hidden=2)
    tasks = [Task(index, f"task {index}") for index in range(3)]
    save_model(folder / "model", net.eval(), "crnn-320-projection", tasks, {})


def start(command: list[str], last: int | None = None) -> int:
    """Run a command in a child of this process, which dies at its operation ``last``; returns its identifier."""
    if child := os.fork():
        return child
    try:
        os.dup2(os.open("err.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        os.fsync = lambda descriptor: None  # what a killed process has written stays; and a disk may be slow
        count_operations(last)
        from varscore.annotate import archives, outputs
        from varscore.cli.boundary import run
        from varscore.predict import grid
        from varscore.scoring.stored import cache
        from varscore.storage import pieces

        for module in (outputs, pieces):
            module.COMMIT_SECONDS, module.COMMIT_SHARE = 0.0, 1.0  # type: ignore[attr-defined]
        archives.PIECE, grid.PIECE, cache.FLUSH_SECONDS = 128, 8, 0.0  # type: ignore[misc]
        os._exit(run(command))
    finally:
        os._exit(99)


def count_operations(last: int | None) -> None:
    """Count this process's writes, flushes, renames and removals in ``operations``, and die at the one that is last."""
    from varscore.storage.atomic import PartialFile

    done = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            Path(OPERATIONS).write_text(str(done))
            if done == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in ("fsync", "rename", "replace", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    PartialFile.write = counted(PartialFile.write)  # type: ignore[method-assign]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that a run has written, run.json but for what differs from run to run. Of a cache no file is like
    another's, and each is complete or ignored."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("err.txt", OPERATIONS) and CACHE not in path.parts
    }
    return {name: b"" if name.endswith(".run.json") else data for name, data in found.items()}


@dataclass(frozen=True)
class Quiet:
    """An undisturbed run: what it wrote, its seconds, and its operations on the disk."""

    files: dict[str, bytes]
    seconds: float
    operations: int

    @classmethod
    def run(cls, folder: Path, command: list[str]) -> Quiet:
        folder.mkdir()
        os.chdir(folder)
        begin = time.monotonic()
        _, status = os.waitpid(start(command), 0)
        assert status == 0, (folder / "err.txt").read_text()
        return cls(contents(folder), time.monotonic() - begin, int((folder / OPERATIONS).read_text()))


def trial(folder: Path, command: list[str], quiet: Quiet, dice: random.Random, tally: Tally) -> None:
    """Kill, look, and kill again; then finish."""
    folder.mkdir()
    os.chdir(folder)
    for _ in range(dice.randint(1, 4)):
        anywhere, at_the_end = dice.randint(1, quiet.operations), quiet.operations - dice.randrange(20)
        last = dice.choice([None, anywhere, anywhere, at_the_end])
        child = start(command, last)
        if last is None:
            time.sleep(dice.random() * quiet.seconds)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            break  # it was faster
        tally.kills += 1
        tally.stages[stage(folder, last is None)] += 1
    if os.WIFSIGNALED(status):
        _, status = os.waitpid(start(command), 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise AssertionError(f"status {os.waitstatus_to_exitcode(status)}: {(folder / 'err.txt').read_text()}")
    tally.resumed += "carrying on" in (folder / "err.txt").read_text()


def warm_up(root: Path) -> None:
    """Import and compile in this process what every child would have to: a trial then takes a fifth of the time."""
    from varscore.cli.boundary import run

    for suffix, further in (("vcf.gz", "m.zarr"), ("bcf", "m.h5"), ("parquet", "m.parquet")):
        names = [str(root / name) for name in ("in.vcf", "g.fa", "model", f"warm.{suffix}", f"{suffix}.{further}")]
        source, genome, model, output, matrix = names
        words = [source, "-r", genome, "-m", model, "-o", output, "--scores", matrix, "--threads", "1", "--quiet"]
        assert run(["annotate", *words, "--device", "cpu"]) == 0


def stage(folder: Path, at_a_random_moment: bool) -> str:
    """Where a process was when it was killed: before its first commit, at work, at the disk, or giving names."""
    journals = list(folder.glob(".*varscore-journal"))
    if not journals:
        return "starting up"
    if b'"placements": null' not in journals[0].read_bytes():
        return "renaming"
    return "scoring" if at_a_random_moment else "writing"


def choose(dice: random.Random, only: str | None) -> str:
    """The words of a command."""
    if only == "others" or (only is None and dice.random() < 0.3):
        return f"{dice.choice(OTHERS)} --threads 1 --device cpu"
    output, further = dice.choice(OUTPUTS), dice.choice(FURTHER)
    if "--shard" in further and output == "out.bcf":
        further = ()
    words = "annotate ../in.vcf -r ../g.fa -m ../model --threads 1 --device cpu --batch-size 256"
    return " ".join([words, "-o", output, *further])


def run_trials(trials: int, seed: int, root: Path, only: str | None = None) -> Tally:
    """``root``: an empty folder to work in"""
    dice, tally = random.Random(seed), Tally()
    os.environ.update(VARSCORE_CACHE=str(root / "cache"), VARSCORE_CONFIG=str(root / "none.toml"))
    make_workspace(root)
    warm_up(root)
    expected: dict[str, Quiet] = {}
    for number in range(trials):
        words = choose(dice, only)
        folder = root / f"trial{number}"
        if words not in expected:
            expected[words] = Quiet.run(root / f"quiet{number}", words.split())
        known = expected[words].files
        tally.trials += 1
        try:
            trial(folder, words.split(), expected[words], dice, tally)
            found = contents(folder)
            differ = sorted(name for name in found.keys() | known.keys() if found.get(name) != known.get(name))
            if differ:
                raise AssertionError(f"not the same: {', '.join(differ)}")
        except AssertionError as failure:
            tally.failures.append(f"trial {number} of seed {seed}, {words}: {failure}")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["annotate", "others"])
    options = parser.parse_args()
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        tally = run_trials(options.trials, options.seed, Path(name).resolve(), options.only)
        os.chdir(home)
    stages = ", ".join(f"{n} while {stage}" for stage, n in sorted(tally.stages.items()))
    print(f"{tally.trials} trials, {tally.kills} kills ({stages}), {tally.resumed} carried on, seed {options.seed}")
    print("\n".join(tally.failures) or "every output has the bytes of an undisturbed run")
    return 1 if tally.failures or tally.trials != options.trials else 0


if __name__ == "__main__":
    sys.exit(main())
