"""Memory that training keeps: a step frees large arrays only to ask for them again in the next one."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's ``mallopt``"""
KEPT = 1 << 30
"""Bytes: arrays up to this size are taken from memory that the process has, and so much may lie free at its end"""


USUAL = {M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 64 << 20}
"""What glibc's own rule comes to once a process has freed an array of 32 MB"""


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, for the rest of the process; False where it is not glibc. Commands that
    train call it: a program that uses the package decides for itself.

    By default glibc gives every array above 32 MB back to the system and is given other pages in its place, each of
    which costs a page fault: 12 to 15 % of a training step on a CPU (CRNN-320-projection 2.01 s to 1.72 s, DanQ 4.21 s
    to 3.68 s, dilated .45 s to .39 s).
    """
    return _set(dict.fromkeys(USUAL, KEPT))


def give_freed_memory_back() -> bool:
    """Let the C library do as it does in a program that says nothing; for comparisons with one."""
    return _set(USUAL)


def _set(options: dict[int, int]) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, value) for name, value in options.items())
