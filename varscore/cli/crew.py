"""Who works on a search: this process, several on this machine, or others elsewhere, who share it through the disk."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli import log
from varscore.cli.options import COMPUTING, Device, Threads
from varscore.cpus import available_cpus
from varscore.errors import VarscoreError

if TYPE_CHECKING:
    from varscore.search.worker import Work

LOOK = 1.0
"""Seconds between two looks at the workers"""


def _read_workers(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,3}|slurm|ray(://.+)?", text):
        raise typer.BadParameter(f"{text!r} is not a number, slurm, ray or ray://HOST:PORT")
    return text


@dataclass(frozen=True)
class Crew:
    """Who works on the trials; a group (:mod:`varscore.cli.groups`)."""

    keep: Annotated[int, typer.Option(min=1, metavar="N", help="Keep the models of the N best of a branch.")] = 10
    device: Device = "auto"
    threads: Threads = None
    workers: Annotated[
        str,
        typer.Option(
            callback=_read_workers,
            metavar="N|slurm|ray[://..]",
            help="N processes here, which share the threads; slurm: write the scripts of a job array into STUDY/slurm; "
            "ray: workers on a Ray cluster that see the same folders. The trials are the same in any case.",
            rich_help_panel=COMPUTING,
        ),
    ] = "1"
    tasks: Annotated[
        int,
        typer.Option(
            min=1, max=9999, metavar="N", help="Tasks of the array, or workers on Ray.", rich_help_panel=COMPUTING
        ),
    ] = 4

    @property
    def processes(self) -> int:
        return int(self.workers) if self.workers.isdecimal() else 1

    def work(self, trials: int) -> Work:
        """What this process does. Raises DeviceError."""
        from varscore.cli.stopping import TRAINING_PATIENCE, SignalStop
        from varscore.cli.train import command_line
        from varscore.engine.device import pick_device, use_threads
        from varscore.search.worker import Work

        use_threads(self.threads)
        stopping = partial(SignalStop, TRAINING_PATIENCE)
        return Work(trials, pick_device(self.device), self.keep, command=command_line(sys.argv[1:]), stopping=stopping)

    def words(self, threads: int | None) -> list[str]:
        """The same as options of another process, which works alone."""
        given = ["--keep", str(self.keep), "--device", self.device]
        return given + (["--threads", str(threads)] if threads else [])


def work_together(
    words: Sequence[str], crew: Crew, ended: Callable[[], Iterable[Path]], count: int | None = None
) -> None:
    """Run ``words`` (of varscore) in as many processes as the crew has, until all have ended.

    A worker that dies leaves its trial to the others. ended: the trials that have ended so far; count: how many there
    will be. Raises VarscoreError when no worker has come to its end.
    """
    threads = max(1, (crew.threads or available_cpus()) // crew.processes)
    command = [sys.executable, "-P", "-m", "varscore", *log.same_style(), *words, *crew.words(threads)]
    workers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(crew.processes)]
    try:
        with log.progress(count, "trials") as meter:
            seen = 0
            while any(worker.poll() is None for worker in workers):
                time.sleep(LOOK)
                now = sum(1 for _ in ended())
                meter.advance(now - seen)
                seen = now
    finally:
        _end(workers)
    statuses = [worker.returncode for worker in workers]
    if 0 not in statuses:
        raise VarscoreError(
            f"none of {len(workers)} workers came to the end",
            cause=f"they ended with {', '.join(map(str, statuses))}",
            remedy="the same command goes on where they stopped",
        )
    for status in statuses:
        if status:
            logging.getLogger(__name__).warning("a worker ended with %d; the others did its work", status)


def _end(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask those that still run to stop, and wait for them."""
    for worker in workers:
        if worker.poll() is None:
            with suppress(ProcessLookupError):
                worker.send_signal(signal.SIGTERM)
    for worker in workers:
        worker.wait()
