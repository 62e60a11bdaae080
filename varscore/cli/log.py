"""What goes to stderr: log lines and progress.

Every other module logs with ``logging.getLogger(__name__)`` and may attach values with
``extra={"fields": {"records": 10}}``; this one decides how that looks. Text lines read
``varscore: warning: message key=value``; JSON lines are ``{"time", "level", "event", "logger", "run", **fields}``.
Values that the message itself spells out go into ``extra={"json_fields": {...}}``, and so into JSON alone.
Other rooms name their arguments as documentation does, in backquotes, and :func:`as_options` makes options of them.
"""

from __future__ import annotations

import json
import logging
import re
import resource
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

RUN_ID = uuid.uuid4().hex[:12]
LINE_SECONDS = 60.0
"""Between two lines about progress"""


@dataclass(frozen=True)
class Style:
    """How stderr is written: as JSON or text, and with or without colours and bars."""

    json: bool = False
    quiet: bool = False
    terminal: bool = False


_style = Style()


def configure(*, log_format: str = "text", quiet: bool = False, verbose: bool = False) -> None:
    """Send the ``varscore`` loggers and Python's warnings to stderr. Calling it again replaces the first set-up."""
    global _style
    terminal = sys.stderr is not None and sys.stderr.isatty()
    _style = Style(json=log_format == "json", quiet=quiet, terminal=terminal)
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO

    handler = logging.StreamHandler(sys.stderr)
    if _style.json:
        handler.setFormatter(JsonFormatter())
    elif _style.terminal:
        handler = ConsoleHandler()
        handler.setFormatter(TextFormatter())
    else:
        handler.setFormatter(TextFormatter())

    logging.captureWarnings(True)
    for name in ("varscore", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
    logging.getLogger("varscore").setLevel(level)
    # other people's warnings say nothing a user of varscore can act on
    logging.getLogger("py.warnings").setLevel(logging.WARNING if verbose else logging.ERROR)


def same_style() -> list[str]:
    """Options of varscore that make another process say its warnings as this one does, and nothing else."""
    return ["--quiet", "--log-format", "json" if _style.json else "text"]


def as_options(message: str) -> str:
    """A message of the library's as the command line spells it.

    "fewer `threads`, or `check_ref=warn`, or `resume=False`" becomes "fewer --threads, or --check-ref warn, or
    --no-resume".
    """
    return re.sub(r"`([a-z]\w*)(?:=([^`]*))?`", _as_option, message)


def _as_option(argument: re.Match[str]) -> str:
    name, value = argument[1].replace("_", "-"), argument[2]
    if value is None:
        return f"--{name}"
    return f"--no-{name}" if value == "False" else f"--{name} {value}"


def error(message: str, *, exit_status: int, traceback: str | None = None) -> None:
    """The one line a failed command ends with, after its traceback if one was asked for."""
    if sys.stderr is None:
        return
    message = as_options(message)
    if _style.json:
        fields = {"exit_status": exit_status} | ({"traceback": traceback} if traceback else {})
        line = _json_line(datetime.now(UTC), "error", message, "varscore", fields)
    else:
        line = f"{traceback or ''}varscore: error: {message}"
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        pass  # nobody is listening; the exit status still tells


class TextFormatter(logging.Formatter):
    """``varscore: warning: message key=value``; plain information has no level word."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        fields = "".join(f" {key}={value}" for key, value in _fields(record).items())
        return f"varscore: {level}{as_options(record.getMessage())}{fields}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        fields = {**_fields(record), **getattr(record, "json_fields", {})}
        return _json_line(moment, record.levelname.lower(), as_options(record.getMessage()), record.name, fields)


class ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Prints through rich, so that lines appear above a running progress bar instead of through it."""

    COLOURS = {"WARNING": "yellow", "ERROR": "red", "DEBUG": "dim"}

    def emit(self, record: logging.LogRecord) -> None:
        _console().print(
            self.format(record), style=self.COLOURS.get(record.levelname), markup=False, highlight=False, soft_wrap=True
        )


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return getattr(record, "fields", {})


def _json_line(moment: datetime, level: str, event: str, logger: str, fields: Mapping[str, object]) -> str:
    stamp = moment.isoformat(timespec="milliseconds")
    head = {"time": stamp, "level": level, "event": event, "logger": logger, "run": RUN_ID}
    return json.dumps({**head, **fields}, default=str)


class Meter:
    """What ``progress`` hands out; this one, for where there is no terminal, shows nothing."""

    def __init__(self) -> None:
        self.count = 0
        self._begin: tuple[float, int] | None = None

    def advance(self, n: int = 1) -> None:
        self.count += n
        if self._begin is None:
            self._begin = time.monotonic(), self.count

    @property
    def rate(self) -> float:
        """How many a second since the first ``advance``, which may have brought what an earlier run had done."""
        if self._begin is None:
            return 0.0
        begin, before = self._begin
        return (self.count - before) / max(time.monotonic() - begin, 1e-9)


class _BarMeter(Meter):
    def __init__(self, bar: Progress, task: TaskID) -> None:
        super().__init__()
        self._bar, self._task = bar, task

    def advance(self, n: int = 1) -> None:
        super().advance(n)
        self._bar.advance(self._task, n)


class _LineMeter(Meter):
    """A line a minute: how many there are so far, of how many, how many a second, and the memory in use."""

    def __init__(self, total: int | None, unit: str) -> None:
        super().__init__()
        self._total, self._unit, self._next = total, unit, time.monotonic() + LINE_SECONDS

    def advance(self, n: int = 1) -> None:
        super().advance(n)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_SECONDS
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
        fields: dict[str, object] = {self._unit: self.count, "total": self._total}
        fields[f"{self._unit}_per_second"] = round(self.rate, 1)
        logging.getLogger(__name__).info("progress", extra={"fields": fields | {"peak_memory_mb": round(peak, 1)}})


def shows_progress() -> bool:
    """Whether ``progress`` will show a bar."""
    return _style.terminal and not _style.quiet and not _style.json


@contextmanager
def progress(total: int | None, unit: str) -> Iterator[Meter]:
    """A bar with ``unit``/s and the time left on a terminal; elsewhere a line a minute, but for ``--quiet``.

    ``total`` None shows a running count.
    """
    if not shows_progress():
        yield Meter() if _style.quiet else _LineMeter(total, unit)
        return

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} {unit}/s", style="cyan")

    with Progress(
        BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn(), console=_console(), transient=True
    ) as bar:
        yield _BarMeter(bar, bar.add_task(unit, total=total))


_shared_console: Console | None = None


def _console() -> Console:
    """The one rich console on stderr: bars and log lines must share it to stay out of each other's way."""
    global _shared_console
    if _shared_console is None:
        from rich.console import Console

        _shared_console = Console(stderr=True)
    return _shared_console
