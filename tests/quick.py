"""The tests of what changed since main: ``make quick``, or ``python tests/quick.py [BASE]``.

Of a changed module the tests named after it are run, of a room without such the room's folder; always those of the
architecture and of the documentation. What takes more than a minute is for ``make test``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALWAYS = ("tests/test_architecture.py", "tests/test_readme.py")
SECONDS = 60


def changed(base: str) -> list[str]:
    """Paths that differ from ``base``, committed or not."""
    commands = (["git", "diff", "--name-only", base], ["git", "ls-files", "--others", "--exclude-standard"])
    texts = (subprocess.run(c, cwd=ROOT, capture_output=True, text=True, check=True).stdout for c in commands)
    return sorted({line for text in texts for line in text.splitlines()})


def tests_of(paths: Iterable[str]) -> list[str]:
    """The test files and folders to run."""
    return sorted({*ALWAYS, *(test for path in paths for test in _tests_of(Path(path)))})


def _tests_of(path: Path) -> Iterator[str]:
    if path.suffix != ".py" or not (ROOT / path).exists():
        return
    if path.parts[0] == "tests":
        if path.name.startswith("test_"):
            yield str(path)
    elif path.parts[0] == "varscore" and len(path.parts) > 1:
        named = sorted((ROOT / "tests").rglob(f"test_{path.stem}*.py"))
        room = ROOT / "tests" / path.parts[1]
        found = [test for test in named if room in test.parents] or named or [room]
        yield from (str(test.relative_to(ROOT)) for test in found if test.exists())


def main() -> int:
    base = sys.argv[1] if len(sys.argv) > 1 else "main"
    chosen = tests_of(changed(base))
    print("changed since", base + ":", *chosen, sep="\n  ", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "2", "--dist", "worksteal", *chosen]
    try:
        return subprocess.run(command, cwd=ROOT, timeout=SECONDS).returncode
    except subprocess.TimeoutExpired:
        print(f"stopped after {SECONDS} seconds: make test runs the rest", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
