"""Signals that ask a long command to stop: it finishes what it has in hand and leaves the rest to a later run."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

PATIENCE = 3.0
"""Seconds after which the command is stopped wherever it is"""
TRAINING_PATIENCE = 25.0
"""The same for training, whose steps and checkpoints are larger; batch systems kill 30 seconds after the signal"""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SignalStop:
    """While it is entered, a signal only makes ``asked`` true; :meth:`leave`, or ``patience`` (seconds), then does what
    the signal would have done at once. Whatever error ends the block after a signal, the signal is what ended it:
    workers, which get it too, may have gone first.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._signum: int | None = None
        self._before: dict[int, Callable[[int, FrameType | None], object]] = {}

    @property
    def asked(self) -> bool:
        return self._signum is not None

    def __enter__(self) -> Self:
        for signum in SIGNALS:
            handler = signal.getsignal(signum)
            if callable(handler):
                self._before[signum] = handler
                signal.signal(signum, self._ask)
        signal.signal(signal.SIGALRM, self._lose_patience)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self.asked and isinstance(error, Exception):
            self.leave()

    def leave(self) -> None:
        """Do what the signal would have done."""
        self._restore()
        if self._signum is not None:
            self._before[self._signum](self._signum, None)

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        if not self.asked:  # timeout(1) sends two
            self._signum = signum
            signal.setitimer(signal.ITIMER_REAL, self._patience)

    def _lose_patience(self, signum: int, frame: FrameType | None) -> None:
        self.leave()

    def _restore(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
