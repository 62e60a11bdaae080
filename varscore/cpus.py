"""How many CPUs this process may use, which is often fewer than the machine has, and whether another one is at work."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path


def available_cpus(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> int:
    """The smallest of CPU affinity, cgroup (v1 and v2) quota and ``SLURM_CPUS_PER_TASK``; at least 1.

    ``root`` and ``environment`` stand in for the machine's own in tests.
    """
    limits = [float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)]
    limits += _cgroup_quotas(root)
    slurm = environment.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdecimal():
        limits.append(float(slurm))
    return max(1, math.ceil(min(limits)))


def is_stopped(process: int, root: Path = Path("/")) -> bool:
    """Whether a process has been stopped (SIGSTOP, a debugger) and waits to be told to go on; False where unknown."""
    _, _, rest = _read(root / f"proc/{process}/stat").rpartition(")")
    return rest.split()[:1] in (["T"], ["t"])


def _cgroup_quotas(root: Path) -> Iterator[float]:
    """CPUs granted by each cgroup this process is in, its parents included (any of them may be the tight one)."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            mounts = [root / "sys/fs/cgroup"]
        elif "cpu" in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / name for name in (controllers, "cpu")]
        else:
            continue
        for mount in mounts:
            for folder in _upwards(mount, group):
                yield from _quota(folder)


def _upwards(mount: Path, group: str) -> Iterator[Path]:
    """The group's folder, its parents, and last the mount itself (all a container may see of its own group)."""
    parts = [part for part in group.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:depth])


def _quota(folder: Path) -> Iterator[float]:
    words = _read(folder / "cpu.max").split() or [
        _read(folder / "cpu.cfs_quota_us").strip(),
        _read(folder / "cpu.cfs_period_us").strip(),
    ]
    # "max" (v2) and "-1" (v1) say there is no limit
    if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]) > 0:
        yield int(words[0]) / int(words[1])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
