"""Inner loops compiled by numba, where it is there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

try:
    import numba

    WHY_NOT = "NUMBA_DISABLE_JIT is set" if getattr(numba.config, "DISABLE_JIT", 0) else None
except ImportError as error:  # it is absent, or made for another numpy
    WHY_NOT = f"numba cannot be imported: {error}"

COMPILES = WHY_NOT is None
"""Whether there is a compiler. Without one torch's own kernels do what they can in place of those of this package."""

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
