"""Freed memory is kept: counted in page faults of a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from varscore.train.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
def use():
    np.ones(1 << 26, np.uint8)  # 64 MB, every page touched
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS.format(keep=keep)], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_memory_that_was_freed_is_used_again_without_a_page_fault() -> None:
    assert faults(keep=True) * 3 < faults(keep=False)
