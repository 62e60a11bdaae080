"""Puts what others might have put there beside a run of `varscore annotate`, and looks at what becomes of it.

    python tests/stress/fault_trials.py [--trials 100] [--seed 1]

A trial is one of these, after a kill at a random moment or without:

    plant     a link, symbolic or hard, or a pipe under the name of a side file: journal, part, spool, index, run.json
    forge     a journal that is edited, checksum and all: it names files of others, or holds something odd
    writers   two processes with the same command at the same time

Files of others must stay as they are. The command must end with the bytes of an undisturbed run, or say in one line
what is in its way, and end with them once that is gone. Exit status 0 when all trials did.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kill_trials import Quiet, contents, make_workspace, start, warm_up

PRECIOUS = "a thing that somebody else needs\n"
PATIENCE = 60.0
"""Seconds after which a process is taken to hang"""
ARRANGEMENTS = (
    ("-o", "out.vcf.gz", "--skipped", "s.tsv"),
    ("-o", "out.vcf", "--scores", "m.parquet"),
    ("-o", "out.bcf", "--scores", "m.zarr"),
    ("-o", "out.tsv.gz", "--skipped", "s.tsv.gz", "--shard", "1/2"),
    (
        "-o",
        "out.parquet",
    ),
)
ODD: tuple[Any, ...] = (None, -1, 10**30, "", "\0", [], [[]], {}, {"a": 1}, 1.5, True)
KEPT = "something else has the name of a file that varscore keeps for itself"
BUSY = ("another process is writing this file", "another process is writing this folder", "the output exists already")


@dataclass
class Tally:
    """What came of the trials. ways: how the disturbed process ended, by kind of trial"""

    trials: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """One trial: the command, what it writes when it is left alone, and files of others outside its folder."""

    folder: Path
    arguments: list[str]
    quiet: Quiet
    dice: random.Random

    @property
    def precious(self) -> Path:
        return self.folder.parent / f"{self.folder.name}.precious" / "file"

    def sides(self) -> list[str]:
        """The names of all that the command keeps or leaves beside its outputs."""
        words = self.arguments
        names = [words[i + 1] for i, word in enumerate(words) if word in ("-o", "--scores", "--skipped")]
        hidden = [f".{name}.varscore-{kind}" for name in names for kind in ("part", "spool")]
        shown = [f"{names[0]}.{kind}" for kind in ("run.json", "tbi", "csi")]
        journal = f".{names[0]}.varscore-journal"
        return [*hidden, *shown, journal, *(f".{side}.varscore-part" for side in (*shown, journal))]

    def begin(self) -> None:
        for folder in (self.folder, self.precious.parent):
            folder.mkdir()
        self.precious.write_text(PRECIOUS)
        os.chdir(self.folder)

    def killed(self) -> None:
        """Run the command and kill it, at any of its operations or near the last."""
        last = self.dice.choice(
            [self.dice.randint(1, self.quiet.operations), self.quiet.operations - self.dice.randrange(9)]
        )
        os.waitpid(start(self.arguments, last), 0)

    def run(self) -> tuple[int, str]:
        """Exit status and messages of the command. Raises AssertionError when it hangs or calls itself a bug."""
        (ended,) = self.run_all(1)
        return ended

    def run_all(self, count: int) -> list[tuple[int, str]]:
        """The same of several at the same time, whose messages are mixed."""
        Path("err.txt").unlink(missing_ok=True)
        children = [start(self.arguments) for _ in range(count)]
        statuses = [wait(child) for child in children]
        said = Path("err.txt").read_text() if Path("err.txt").exists() else ""
        assert "internal error" not in said, said
        return [(status, said) for status in statuses]

    def demand_untouched(self, by: str) -> None:
        there = {path.name: path.read_text() for path in self.precious.parent.iterdir()}
        assert there == {"file": PRECIOUS}, f"files of others were touched, {by}: {sorted(there)}"

    def demand_whole(self) -> None:
        found, known = contents(self.folder), self.quiet.files
        differ = sorted(name for name in found.keys() | known.keys() if found.get(name) != known.get(name))
        assert not differ, f"not the same: {', '.join(differ)}"


def wait(child: int) -> int:
    """The exit status of a child. Raises AssertionError, and ends it, when it hangs."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("it hangs")


# -- kinds of trials -------------------------------------------------------------------------------------------------


def plant(bench: Bench) -> str:
    if bench.dice.random() < 0.5:
        bench.killed()
    name, kind = (
        bench.dice.choice(bench.sides()),
        bench.dice.choice(["link", "hard link", "pipe", "link into the void"]),
    )
    if os.path.isdir(name):
        return "nothing planted"
    Path(name).unlink(missing_ok=True)
    {
        "link": lambda: os.symlink(bench.precious, name),
        "hard link": lambda: os.link(bench.precious, name),
        "pipe": lambda: os.mkfifo(name),
        "link into the void": lambda: os.symlink(bench.precious.with_name("new"), name),
    }[kind]()
    status, said = bench.run()
    bench.demand_untouched(f"{kind} as {name}")
    if status == 0:
        for path in Path().iterdir():
            if path.is_fifo() or path.is_symlink() or (path.is_file() and path.samefile(bench.precious)):
                assert path.name == name, f"{path.name} was made"
                path.unlink()  # a side file that this run has no use for
        bench.demand_whole()
        return "planted, no matter"
    assert _lost(status, said) or (status == 1 and (KEPT in said or "cannot write" in said)), f"status {status}: {said}"
    Path(name).unlink(missing_ok=True)
    if not _lost(status, said):
        status, said = bench.run()
    if _lost(status, said):  # the run was killed between two renamings, and what was planted took its journal or part
        bench.arguments.append("--force")
        status, said = bench.run()
    assert status == 0, f"status {status}: {said}"
    bench.demand_whole()
    return "planted, refused"


def _lost(status: int, said: str) -> bool:
    """Whether a run has found an output of which nothing says any more whose it is."""
    return status == 2 and "the output exists already" in said


def forge(bench: Bench) -> str:
    bench.killed()
    journals = list(Path().glob(".*varscore-journal"))
    if not journals:
        return "no journal to forge"
    fields = json.loads(journals[0].read_bytes().partition(b"\n")[2])
    bench.dice.choice([name_others, name_others, hold_odd])(bench, fields)
    text = json.dumps(fields).encode()
    journals[0].write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    status, said = bench.run()
    bench.demand_untouched("by a forged journal")
    if status == 2:  # it is another run's, or its outputs have been put in place already
        assert "an earlier run was not finished" in said or "the output exists already" in said, said
        bench.arguments.extend(["--no-resume", "--force"])
        status, said = bench.run()
        bench.demand_untouched("by a forged journal")
    assert status == 0, f"status {status}: {said}"
    if "--no-resume" in bench.arguments:
        for path in Path().glob(".*varscore-*"):  # of placements that nobody can tell from those of others
            path.unlink() if path.is_file() else None
    bench.demand_whole()
    return "forged, not believed" if "journal of an earlier run is damaged" in said else "forged, no matter"


def name_others(bench: Bench, fields: dict[str, Any]) -> None:
    precious = str(bench.precious)
    about = os.stat(precious)
    stamp = [about.st_ino, about.st_size, about.st_mtime_ns]
    moves = [(precious, f"{precious}.gone"), (precious, "out.vcf"), (None, precious), (None, str(bench.folder))]
    temporary, target = bench.dice.choice(moves)
    fields["placements"] = [{"temporary": temporary, "target": target, "is_ours": True, "stamp": stamp}]
    fields["targets"] = [*fields["targets"], precious]


def hold_odd(bench: Bench, fields: dict[str, Any]) -> None:
    """Put something of another kind in the place of a value anywhere in it, marks and counts included."""
    here: Any = fields
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = bench.dice.choice(keys)
        if isinstance(here[key], dict | list) and here[key] and bench.dice.random() < 0.8:
            here = here[key]
            continue
        here[key] = bench.dice.choice([odd for odd in ODD if type(odd) is not type(here[key])])
        return


def writers(bench: Bench) -> str:
    if bench.dice.random() < 0.5:
        bench.killed()
    was_whole = contents(bench.folder) == bench.quiet.files  # killed when all was done: both are told that it is there
    ended = bench.run_all(2)
    statuses = sorted(status for status, _ in ended)
    if statuses != [0, 0]:
        is_told = any(reason in ended[0][1] for reason in BUSY)
        assert (statuses[0] == 0 or was_whole) and is_told, f"{statuses}: {ended[0][1]}"
    bench.demand_whole()
    return f"two writers, statuses {statuses[0]} and {statuses[1]}"


KINDS: tuple[Callable[[Bench], str], ...] = (plant, plant, forge, forge, writers)


def run_trials(trials: int, seed: int, root: Path) -> Tally:
    """``root``: an empty folder to work in"""
    dice, tally = random.Random(seed), Tally()
    os.environ.update(VARSCORE_CACHE=str(root / "cache"), VARSCORE_CONFIG=str(root / "none.toml"))
    make_workspace(root)
    warm_up(root)
    common = ["annotate", str(root / "in.vcf"), "-r", str(root / "g.fa"), "-m", str(root / "model"), "--threads", "1"]
    common += ["--device", "cpu", "--batch-size", "256"]
    quiet = {}
    for number in range(trials):
        options, kind = dice.choice(ARRANGEMENTS), dice.choice(KINDS)
        if options not in quiet:
            quiet[options] = Quiet.run(root / f"quiet{number}", [*common, *options])
        bench = Bench(root / f"trial{number}", [*common, *options], quiet[options], dice)
        tally.trials += 1
        try:
            bench.begin()
            tally.ways[kind(bench)] += 1
        except AssertionError as failure:
            tally.failures.append(f"trial {number} of seed {seed}, {kind.__name__}, {' '.join(options)}: {failure}")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        tally = run_trials(options.trials, options.seed, Path(name).resolve())
        os.chdir(home)
    ways = "; ".join(f"{n} {way}" for way, n in sorted(tally.ways.items()))
    print(f"{tally.trials} trials, seed {options.seed}: {ways}")
    good = "no file of others was touched, and every output has the bytes of an undisturbed run"
    print("\n".join(tally.failures) or good)
    return 1 if tally.failures or tally.trials != options.trials else 0


if __name__ == "__main__":
    sys.exit(main())
