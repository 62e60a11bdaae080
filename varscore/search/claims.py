"""Who works on a trial. A claim is a folder: whoever makes it has the trial, on shared disks too.

Its owner touches ``alive`` every half minute. A claim that has not been touched for five minutes, or whose process is
known to have ended, is taken over: its folder becomes ``00042.lost1``, and the training that lies in it goes on.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from varscore.search.trials import MODEL, TRIAL
from varscore.storage.atomic import output_errors
from varscore.storage.folders import one_at_a_time
from varscore.storage.whole import put_file

ALIVE = "alive"
HEARTBEAT, SILENCE = 30.0, 300.0
"""Seconds between two signs of life, and without one until a trial is taken over"""


@dataclass(frozen=True)
class Process:
    """One that can be told from every other: machine and process, each with its start."""

    machine: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Process:
        return cls(machine(), os.getpid(), _started(os.getpid()))

    @classmethod
    def parse(cls, line: str) -> Process | None:
        words = line.split()
        return cls(words[0], int(words[1]), words[2]) if len(words) == 3 and words[1].isdecimal() else None

    def __str__(self) -> str:
        return f"{self.machine} {self.pid} {self.started}"

    def has_ended(self) -> bool:
        """Whether it is known to; of other machines nothing is known."""
        return self.machine == machine() and _started(self.pid) != self.started


def machine() -> str:
    """This machine since its start, and within it this container."""
    names = [platform.node()]
    with suppress(OSError):
        names.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        names.append(str(os.stat("/proc/self/ns/pid").st_ino))
    return ":".join(names)


def _started(pid: int) -> str:
    """When a process began, in the kernel's clock; ``ended`` when there is none, ``unknown`` where nobody says."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "ended" if fields[0] in "ZX" else fields[19]
    except FileNotFoundError:
        return "ended" if Path("/proc/self/stat").exists() else "unknown"
    except (OSError, IndexError):
        return "unknown"


class Claim:
    """A trial's folder that is this process's for as long as the block lasts.

    At its end the claim is given up when there is no result, so that another takes the trial over at once.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self.folder, self._token = folder, token
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"alive {folder.name}", daemon=True)

    @property
    def is_ours(self) -> bool:
        """False when another process has taken the trial for abandoned."""
        return _token(self.folder) == self._token

    @contextmanager
    def held(self) -> Iterator[Claim]:
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join()
            with suppress(OSError):
                if self.is_ours and (self.folder / TRIAL).exists():
                    (self.folder / ALIVE).unlink()
                elif self.is_ours:
                    (self.folder / ALIVE).write_text("")  # given up

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT):
            with suppress(OSError):  # a full or vanished disk is for the training to complain about
                if self.is_ours:
                    os.utime(self.folder / ALIVE)


def claim(folder: Path) -> Claim | None:
    """Begin a trial that nobody has begun, or take over one that was abandoned; None when somebody is at it, or it has
    ended. Raises OutputError."""
    with output_errors(str(folder)):
        try:
            folder.mkdir()
        except FileExistsError:
            if (folder / TRIAL).exists() or not _take(folder):
                return None
        token = f"{Process.this()} {secrets.token_hex(8)}"
        put_file(folder / ALIVE, token)
        _inherit(folder)
        return Claim(folder, token)


def is_abandoned(folder: Path) -> bool:
    """Whether nobody works on a trial that has not ended. Raises FileNotFoundError when its folder is gone."""
    if (folder / TRIAL).exists():
        return False
    line, _, _ = _token(folder).rpartition(" ")
    owner = Process.parse(line)
    if owner is not None and owner.has_ended():
        return True
    try:
        about = os.stat(folder / ALIVE)
    except FileNotFoundError:  # made a moment ago
        return _now(folder.parent) - os.stat(folder).st_mtime > HEARTBEAT
    return not about.st_size or _now(folder.parent) - about.st_mtime > SILENCE


def _take(folder: Path) -> bool:
    """Move an abandoned claim aside and make the folder anew, which of several processes only one does."""
    with one_at_a_time(folder.parent):
        try:
            if not is_abandoned(folder):
                return False
            count = 1 + len(list(folder.parent.glob(f"{folder.name}.lost*")))
            os.rename(folder, folder.parent / f"{folder.name}.lost{count}")
            folder.mkdir()
        except (FileNotFoundError, FileExistsError):
            return False  # somebody else was faster
    return True


def _inherit(folder: Path) -> None:
    """What the last owner had trained goes on."""
    lost = sorted(folder.parent.glob(f"{folder.name}.lost*"), key=lambda path: int(path.name.partition(".lost")[2]))
    for path in reversed(lost):
        with suppress(OSError):
            os.rename(path / MODEL, folder / MODEL)
            break


def tidy(folder: Path) -> None:
    """Remove what is left of a trial's lost owners."""
    for path in folder.parent.glob(f"{folder.name}.lost*"):
        shutil.rmtree(path, ignore_errors=True)


def _token(folder: Path) -> str:
    try:
        return (folder / ALIVE).read_text()
    except OSError:
        return ""


def _now(folder: Path) -> float:
    """The time by the clock of the disk, which is not always this machine's."""
    probe = folder / f".now-{secrets.token_hex(4)}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink()
