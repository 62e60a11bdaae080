"""What a command does when all else is done, right before the process ends."""

from __future__ import annotations

from collections.abc import Callable

_acts: list[Callable[[], None]] = []


def at_last(act: Callable[[], None]) -> None:
    """Do ``act`` when all else is done, so that a process killed before it has not done it."""
    _acts.append(act)


def is_pending() -> bool:
    """Whether there is something to be done at last."""
    return bool(_acts)


def act_at_last() -> int:
    """Do it. Returns 0, the exit status."""
    while _acts:
        _acts.pop()()
    return 0
