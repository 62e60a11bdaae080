"""The run.json of a run: versions, hashes, counts, timings, memory."""

from __future__ import annotations

import platform
import resource
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata

import numpy as np

from varscore import __version__
from varscore.annotate.job import AnnotateJob, Summary
from varscore.annotate.writers.runrecord import RunRecord, beside
from varscore.engine.device import peak_gpu_memory

MEGABYTE = 1e6


@dataclass(frozen=True)
class RunInfo:
    """Who runs. id: the same in every line that is logged; command: in full, as it was typed

    started: by the wall clock; began: by the one that nobody sets, from which durations count
    """

    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    command: str = ""
    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)


def peak_memory() -> dict[str, float]:
    """The most memory in use so far, in MB: of this process, of the largest of its workers, of the GPU."""
    unit = (1 if sys.platform == "darwin" else 1024) / MEGABYTE
    peaks = {
        "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        "worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit,
    }
    if (gpu := peak_gpu_memory()) is not None:
        peaks["gpu"] = gpu / MEGABYTE
    return {name: round(value, 1) for name, value in peaks.items()}


def describe_run(
    job: AnnotateJob,
    info: RunInfo,
    identity: Mapping[str, str],
    summary: Summary,
    records_before: int,
    records_read: int,
) -> RunRecord:
    """A whole run. records_before: those that earlier processes had done already; records_read: of the whole input"""
    seconds = time.monotonic() - info.began
    return RunRecord(
        run=info.id,
        identity=identity,
        versions={
            "varscore": __version__,
            "python": platform.python_version(),
            "torch": metadata.version("torch"),
            "numpy": np.__version__,
        },
        counts=summary.fields(),
        records_read=records_read,
        outputs=beside(
            job.output, scores=job.scores, skipped=job.skipped, motifs=job.motif_table, haplotypes=job.haplotype_table
        ),
        told={
            "command": info.command,
            "started": _stamp(info.started),
            "finished": _stamp(info.started + seconds),
            "seconds": round(seconds, 3),
            "records_per_second": round((summary.records - records_before) / max(seconds, 1e-9), 1),
            "peak_memory_mb": peak_memory(),
            "computing": {"device": job.compute.device, "threads": job.compute.threads, "host": platform.node()},
        },
    )


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
