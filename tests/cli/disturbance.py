"""Something that happens in the middle of a run."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from varscore.annotate.outputs import Outputs


class Disturbance:
    """Does something after a number of portions have been written; counts them all."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.portions = 0
        self.after: int | None = None
        self.what: Callable[[], object] = lambda: None
        write = Outputs.write

        def watched(outputs: Outputs, *arguments: Any) -> None:
            write(outputs, *arguments)
            self.portions += 1
            if self.portions == self.after:
                self.what()

        patch.setattr(Outputs, "write", watched)

    def plan(self, after: int | None, what: Callable[[], object] = lambda: None) -> None:
        self.portions, self.after, self.what = 0, after, what

    def signal(self, after: int, signum: int) -> None:
        # to this very thread: one sent to the process may reach another thread, and be heard by the next run
        self.plan(after, lambda: signal.raise_signal(signum))
