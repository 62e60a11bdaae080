"""Inner loops compiled by numba, and the threads that run them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

try:
    import numba

    WHY_NOT = "NUMBA_DISABLE_JIT is set" if getattr(numba.config, "DISABLE_JIT", 0) else None
except ImportError as error:  # it is absent, or made for another numpy
    WHY_NOT = f"numba cannot be imported: {error}"

COMPILES = WHY_NOT is None
"""Whether there is a compiler. Without one torch's own kernels do what they can in place of those of this package."""

PIECES = 8
log = logging.getLogger(__name__)


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile for the CPU. The function releases the interpreter lock and is cached on disk.

    Products and sums may be fused, which rounds once instead of twice. Otherwise arithmetic is IEEE, in written order.
    Without a compiler the function stays what it is.
    """
    if not COMPILES:
        return function
    options: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "boundscheck": False, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # neither the package nor the user's cache folder is writable: compile again in every process
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


def inlined(function: Callable[..., Any]) -> Any:
    """Compile into whatever compiled function calls it."""
    return numba.njit(inline="always")(function) if COMPILES else function


@cache
def note_missing_compiler() -> None:
    """Say, once, that the CPU is slower than it could be, if so."""
    if not COMPILES:
        log.warning("the CPU computes several times slower than it could: %s", WHY_NOT)


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
