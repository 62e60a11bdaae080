"""The shell blocks of a page, walked from top to bottom in the working directory."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

from varscore.cli.boundary import run

DOCS = Path(__file__).resolve().parent.parent / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    """The lines of a shell block, continued ones joined, without comments."""
    lines = re.sub(r"\\\n", " ", block).splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def walk(page: str) -> None:
    """varscore runs in this process, as torch takes seconds to load; everything else in a shell."""
    for line in (line for block in blocks(page, "sh") for line in commands(block)):
        if line.startswith("varscore ") and not set("|<>") & set(line):
            assert run([*shlex.split(line)[1:]]) == 0, line
        else:
            subprocess.run(["bash", "-ec", line], check=True, env={**os.environ, "LC_ALL": "C"})
