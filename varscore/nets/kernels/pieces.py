"""Inner loops on several threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

PIECES = 8


def each_piece(work: Callable[[int, int, int], None], n: int) -> None:
    """Call ``work(piece, start, stop)`` for each of ``PIECES`` slices of ``range(n)``, on torch's number of threads.

    The slices do not depend on that number.
    """
    bounds = [(i, n * i // PIECES, n * (i + 1) // PIECES) for i in range(PIECES)]
    count = min(torch.get_num_threads(), PIECES)
    if count == 1:
        for bound in bounds:
            work(*bound)
    else:
        list(_threads(os.getpid(), count).map(lambda bound: work(*bound), bounds))


@cache
def _threads(process: int, count: int) -> ThreadPoolExecutor:
    """One pool a process: threads do not survive a fork."""
    return ThreadPoolExecutor(count, "compiled")
