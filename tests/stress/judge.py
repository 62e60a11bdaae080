"""What htslib makes of a VCF, asked in a process of its own, which it may end.

    python tests/stress/judge.py

reads a path a line and answers each with the number of records, or ``no``.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

import pysam


class Judge:
    """Asks a process that lives as long as the ``with`` block; it is started again when htslib has ended it."""

    def __init__(self) -> None:
        self._process = self._start()

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([sys.executable, __file__], **pipes)

    def records(self, path: str) -> int | None:
        """How many records there are; None when htslib refuses the file."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(path.encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer:
            self.close()
            self._process = self._start()
        return int(answer) if answer.isdigit() else None

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def answer(path: str) -> str:
    with suppress(OSError, ValueError), pysam.VariantFile(path) as file:
        return str(sum(1 for _ in file))
    return "no"


if __name__ == "__main__":
    for line in sys.stdin:
        print(answer(line.rstrip("\n")), flush=True)
