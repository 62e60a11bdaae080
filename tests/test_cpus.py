"""CPU counting against made-up machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from varscore.cpus import available_cpus

AFFINITY = len(os.sched_getaffinity(0))


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))


def test_nothing_known_leaves_the_affinity(tmp_path: Path) -> None:
    assert available_cpus(tmp_path, {}) == AFFINITY


@pytest.mark.usefixtures("many_cpus")
@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": "250000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": "max 100000\n"}, 64),
        # the parent's quota is the tighter one
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "400000 100000\n",
            },
            4,
        ),
        # in a container the path is the host's, and the mount shows the group itself
        ({"proc/self/cgroup": "0::/docker/0123\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        (
            {
                "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "600000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            6,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/job\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            64,
        ),
    ],
)
def test_cgroup_quota(tmp_path: Path, files: dict[str, str], cpus: int) -> None:
    assert available_cpus(machine(tmp_path, files), {}) == cpus


@pytest.mark.usefixtures("many_cpus")
@pytest.mark.parametrize(("words", "cpus"), [("8", 8), ("0", 1), ("", 64), ("many", 64), ("128", 64)])
def test_slurm(tmp_path: Path, words: str, cpus: int) -> None:
    assert available_cpus(tmp_path, {"SLURM_CPUS_PER_TASK": words}) == cpus
