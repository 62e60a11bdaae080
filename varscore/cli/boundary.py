"""The edge of the program: whatever goes wrong inside becomes one line on stderr and an exit status.

0 done   1 failed while running   2 wrong usage or input   3 --strict
128 + N stopped by signal N   141 closed pipe
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from varscore.cli import ending, log
from varscore.errors import OutputError, VarscoreError, reason

if TYPE_CHECKING:
    import typer
    from typer._click import Command

CLOSED_PIPE = 128 + signal.SIGPIPE
REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space or write elsewhere",
    errno.EDQUOT: "your disk quota is used up: free some space or write elsewhere",
    errno.EFBIG: "files may not grow this large here: see ulimit -f",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.EROFS: "this disk can only be read: write elsewhere",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "give a file, not a folder",
    errno.EMFILE: "too many open files: see ulimit -n",
    errno.EIO: "the disk or network drive is failing: check it, then run the same command again",
}
SHORT_OF_MEMORY = (
    "allocate memory",
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "start new thread",
    "failed to map segment",
    "Unable to allocate",
    "malloc of size",
    "Resource temporarily unavailable",
)
VALUED = ("--log-format=", "--plugin=")
"""The program's own options that have a value"""
WRONG_PATH = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


class Stopped(BaseException):
    """A signal asked us to stop. Not an Exception, so that only ``finally`` and ``with`` see it on its way out."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signal.Signals(signum).name)


def main() -> NoReturn:
    """The ``varscore`` program."""
    # commands draw into files only, and a notebook hands down a backend that another environment may not have
    os.environ.pop("MPLBACKEND", None)
    # Python takes a second to end, in which a kill would come after the last act
    sys.exit(run(sys.argv[1:], leave=os._exit))


def run(arguments: Sequence[str], leave: Callable[[int], object] = lambda status: None) -> int:
    """Run one command and return its exit status. Raises nothing, and shows a traceback only with ``--debug``.

    leave: called with the status right after what was to be done at last, if there was anything
    """
    arguments = globals_first(arguments)
    debug = "--debug" in arguments
    if "--log-format=json" in arguments:  # so that even an error in the options is JSON
        log.configure(log_format="json")
    with stopping_on_signals():
        status = _attempt(lambda: _invoke(arguments), debug)
        if ending.is_pending():
            status = _attempt(ending.act_at_last, debug) or status
            leave(status)
    return status


def _attempt(command: Callable[[], int], debug: bool) -> int:
    """The status of a command, its errors turned into one line and a status."""
    try:
        status = command()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as error:
        status, message = diagnose(error)
        _disarm_stdout()
        if message:
            trace = traceback.format_exc() if debug else None
            log.error(_one_line(message), exit_status=status, traceback=trace)
    return status


def globals_first(arguments: Sequence[str]) -> list[str]:
    """Move the program's own options in front of the command, where the parser wants them and users often do not."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in ("--debug", "--quiet", "-q", "--verbose", "-v") or word.startswith(VALUED):
            front.append(word)
        elif f"{word}=" in VALUED:
            front.append(f"{word}={next(words, '')}")
        else:
            rest.append(word)
    return front + rest


def _invoke(arguments: list[str]) -> int:
    import typer

    from varscore.cli.app import app

    if "_VARSCORE_COMPLETE" in os.environ:
        app()  # the shell asks for completions: typer answers and exits
    command = parser()
    refuse_empty(arguments, command)
    try:
        # typer's own main() would turn a closed pipe into status 1 and errors into boxes
        with command.make_context("varscore", arguments) as context:
            command.invoke(context)
    except typer.Exit as exit:
        return exit.exit_code
    return 0


@cache
def parser() -> Command:
    """All commands with all their options. Making it takes longer than many a command."""
    from typer.main import get_command

    from varscore.cli.app import app
    from varscore.cli.inputs import look_first
    from varscore.cli.options import bound_numbers

    command = get_command(app)
    bound_numbers(command)
    look_first(command)
    return command


def refuse_empty(arguments: Sequence[str], command: Command) -> None:
    """Raises BadParameter for an empty word, as an unset variable of a script leaves it, but for options whose default
    is one. Elsewhere it would be taken for a missing option, or for the working directory.

    command: with all its subcommands, as the parser has them
    """
    import typer

    allowed = set(_may_be_empty(command))
    for before, word in zip(["", *arguments], arguments, strict=False):
        option, equals, value = word.partition("=") if word.startswith("--") else (before, "=", word)
        if equals and not value and option not in allowed:
            name = option if option.startswith("-") else "an argument"
            raise typer.BadParameter("it is empty", param_hint=f"'{name}'")


def _may_be_empty(command: Command) -> Iterator[str]:
    for parameter in command.params:
        if parameter.default == "":
            yield from parameter.opts
    for each in getattr(command, "commands", {}).values():
        yield from _may_be_empty(each)


def diagnose(error: BaseException) -> tuple[int, str | None]:
    """The exit status for an error, and the line that explains it (None where nothing should be said)."""
    import typer

    if isinstance(error, SystemExit):
        return (error.code, None) if isinstance(error.code, int) else (1 if error.code else 0, error.code)
    if isinstance(error, Stopped):
        return 128 + error.signum, None
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return 128 + signal.SIGINT, None
    if isinstance(error, BrokenPipeError) or (
        isinstance(error, OutputError) and isinstance(error.__cause__, BrokenPipeError)
    ):
        return CLOSED_PIPE, None
    if isinstance(error, VarscoreError):
        return error.exit_status, str(error)
    if isinstance(error, typer.TyperException):
        return error.exit_code, _explain_usage(error)
    if _out_of_memory(error):
        return (
            1,
            f"out of memory; {str(error) or 'the system gave no more'}; lower --batch-size or give the job more memory",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _diagnose_os_error(error)
    if isinstance(error, OverflowError):
        return 2, f"a number is too large; {error}; check the numbers among the options and in the input"
    return _diagnose_unknown(error)


def _diagnose_unknown(error: BaseException) -> tuple[int, str]:
    name = type(error).__name__
    if (limit := _tight_limit()) is not None:
        remedy = "raise the limit (ulimit -v), or give the job more memory"
        return 1, f"most likely out of memory; {name}: {error}; the process may have {limit >> 20:,} MiB; {remedy}"
    return 1, f"internal error: {name}: {error}; this is a bug; rerun with --debug and report it"


def _explain_usage(error: typer.TyperException) -> str | None:
    if not error.format_message():  # a group without its command: the help is already shown
        return None
    context = getattr(error, "ctx", None)
    command = "varscore" if context is None else context.command_path
    message = _explain_number(error) or error.format_message().replace("Value error, ", "").rstrip(".")
    return f"{message}; see {command} --help"


def _explain_number(error: typer.TyperException) -> str | None:
    """``--threads -2 is not a whole number of 1 or more``; None when the error is not about an option's number."""
    param = getattr(error, "param", None)
    cause: Any = error.__cause__
    kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    if param is None or not hasattr(cause, "errors") or "int" not in str(kind) and "float" not in str(kind):
        return None
    value = cause.errors()[0]["input"]
    least, most = param.min, param.max
    bounds = {
        (True, True): f" from {least} to {most}",
        (True, False): f" of {least} or more",
        (False, True): f" of {most} or less",
    }.get((least is not None, most is not None), "")
    number = "a number" if "float" in str(kind) else "a whole number"
    return f"{max(param.opts, key=len)} {value} is not {number}{bounds}"


def _diagnose_os_error(error: OSError) -> tuple[int, str]:
    where = "" if error.filename is None else f", {error.filename}"
    remedy = REMEDIES.get(error.errno or 0, "rerun with --debug to see where")
    return 2 if error.errno in WRONG_PATH else 1, f"{reason(error)}{where}; {remedy}"


def _tight_limit() -> int | None:
    """The bytes of address space that this process may have, when it has come near to having them, else None.

    Libraries that get no more of it fail in ways of which few speak of memory.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        peak = int(status["VmPeak"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return None
    return limit if peak > limit / 2 else None


def _out_of_memory(error: BaseException) -> bool:
    """Also the libraries' own ways of saying it, whatever they were about to do: compute, load code, start threads."""
    torch = sys.modules.get("torch")
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (torch is not None and isinstance(error, torch.OutOfMemoryError))
        or (isinstance(error, Exception) and any(sign in str(error) for sign in SHORT_OF_MEMORY))
        or (error.__cause__ is not None and _out_of_memory(error.__cause__))
    )


def _one_line(message: str) -> str:
    """Fold line breaks, and spell out what could play tricks on a terminal."""
    text = " ".join(str(message).split())
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into ``Stopped`` and SIGINT into ``KeyboardInterrupt``, so that clean-up code runs.

    A second signal within five seconds is ignored: timeout(1) sends two, and the second must not disturb the clean-up.
    """
    owner = os.getpid()
    last = -float("inf")

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal last
        if os.getpid() != owner:  # a worker process inherited us: die quietly, as it would have without us
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        previous, last = last, time.monotonic()
        if last - previous > 5:
            raise KeyboardInterrupt if signum == signal.SIGINT else Stopped(signum)

    wanted = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    ours = [signum for signum in wanted if signal.getsignal(signum) is not signal.SIG_IGN]  # nohup stays nohup
    before = {signum: signal.signal(signum, stop) for signum in ours}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _disarm_stdout() -> None:
    """After a failed write, keep the interpreter from trying, and complaining, again when it exits."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError):
            pass
