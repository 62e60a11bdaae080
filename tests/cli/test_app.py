"""The error boundary, the logs and the signals, seen from outside wherever that is possible."""

from __future__ import annotations

import errno
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from varscore.cli import app as app_module
from varscore.cli import boundary, log
from varscore.cli.boundary import globals_first, run
from varscore.cli.options import AutoBatchSize, Device
from varscore.errors import InputError, OutputError, StrictError, VarscoreError

PROGRAM = [sys.executable, "-m", "varscore"]
# a varscore with one more command, whose body is the test's
WITH_COMMAND = """
import os, sys, time
from pathlib import Path
from varscore.cli.app import app
from varscore.cli.boundary import main

@app.command()
def act() -> None:
    {body}

main()
"""


def varscore(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=60)


def act(body: str, *arguments: str) -> list[str]:
    """The command line of a program whose command ``act`` does ``body``."""
    return [sys.executable, "-c", WITH_COMMAND.format(body=body.replace("\n", "\n    ")), "act", *arguments]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[..., None]], None]]:
    """Registers a function as the command ``act`` for one test."""
    table = app_module.app.registered_commands
    before = list(table)
    boundary.parser.cache_clear()
    yield lambda function: app_module.app.command("act")(function) and None
    table[:] = before
    boundary.parser.cache_clear()


def fail_with(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (VarscoreError("cannot go on"), 1, "cannot go on"),
        (InputError("bad", where="x.vcf", cause="cut", remedy="copy it again"), 2, "bad, x.vcf; cut; copy it again"),
        (StrictError("3 alleles have no score"), 3, "3 alleles have no score"),
        (VarscoreError("two\nlines \x1b[31m"), 1, r"two lines \x1b[31m"),
        (OSError(errno.ENOSPC, "No space left on device", "o.vcf"), 1, "No space left on device, o.vcf; the disk is"),
        (PermissionError(errno.EACCES, "Permission denied", "o.vcf"), 1, "Permission denied, o.vcf; check the perm"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "i.vcf"), 2, "there is no such file, i.vcf"),
        (MemoryError(), 1, "out of memory; "),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 1, "out of memory; "),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "out of memory; "),
        (
            ZeroDivisionError("division by zero"),
            1,
            "internal error: ZeroDivisionError: division by zero; this is a bug",
        ),
        (AssertionError(), 1, "internal error: AssertionError"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], error: Exception, status: int, line: str
) -> None:
    command(fail_with(error))
    assert run(["act"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"varscore: error: {line}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141),
        (typer.Exit(0), 0),
        (typer.Exit(3), 3),
        (SystemExit(5), 5),
    ],
)
def test_some_ends_need_no_words(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], error: BaseException, status: int
) -> None:
    command(fail_with(error))
    assert run(["act"]) == status
    assert capsys.readouterr() == ("", "")


def test_a_closed_pipe_behind_an_output_error_is_still_a_closed_pipe(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OutputError("cannot write") from BrokenPipeError(errno.EPIPE, "Broken pipe")

    command(fail)
    assert run(["act"]) == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["--debug", "act"], ["act", "--debug"]])
def test_debug_adds_the_traceback_wherever_it_stands(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    command(fail_with(InputError("bad")))
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith("\nvarscore: error: bad\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--bogus"], "No such option: --bogus"),
        (["nonsense"], "No such command 'nonsense'; see varscore --help"),
        (
            ["act", "--device", "tpu"],
            "Invalid value for '--device': 'tpu' is not auto, cpu, cuda or cuda:N; see varscore act",
        ),
        (["act", "--device", "cuda:"], "Invalid value for '--device'"),
        (
            ["act", "--batch-size", "0"],
            "Invalid value for '--batch-size': '0' is neither auto nor a positive whole number",
        ),
        (["act", "surplus"], "Got unexpected extra argument"),
        (["act", "--log-format"], "Invalid value for '--log-format'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    def takes_options(device: Device = "auto", batch_size: AutoBatchSize = None) -> None: ...

    command(takes_options)
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"varscore: error: {line}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("words", "size"), [([], None), (["--batch-size", "auto"], None), (["--batch-size=64"], 64)])
def test_batch_size_is_a_number_or_auto(command: Callable[..., None], words: list[str], size: int | None) -> None:
    seen: list[int | None] = []

    def takes_batch_size(batch_size: AutoBatchSize = None) -> None:
        seen.append(batch_size)

    command(takes_batch_size)
    assert run(["act", *words]) == 0
    assert seen == [size]


def test_global_options_move_to_the_front_but_not_from_behind_two_dashes() -> None:
    words = ["annotate", "x.vcf", "--log-format", "json", "-o", "y", "-q", "--", "--debug", "-v"]
    assert globals_first(words) == ["--log-format=json", "-q", "annotate", "x.vcf", "-o", "y", "--", "--debug", "-v"]
    assert globals_first(["a", "--log-format=text", "--verbose", "--debug"]) == [
        "--log-format=text",
        "--verbose",
        "--debug",
        "a",
    ]


def test_without_a_command_the_help_is_shown_and_the_status_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Usage: varscore" in capsys.readouterr().out


def test_a_group_without_its_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset"]) == 2
    out, err = capsys.readouterr()
    assert "Usage: varscore dataset" in out
    assert err == ""


def test_help_answers_at_once() -> None:
    varscore("--help")  # compiles the modules
    start = time.perf_counter()
    answer = varscore("--help")
    assert answer.returncode == 0
    assert "Usage: varscore" in answer.stdout
    assert time.perf_counter() - start < 2  # idle it takes .4 s; the rest is for a busy machine


def test_a_command_of_a_notebook_draws_without_the_backend_of_its_kernel() -> None:
    pytest.importorskip("matplotlib")
    draw = "from varscore.cli import boundary; boundary.run = lambda *_, **__: __import__('matplotlib') and 0"
    kernel = {**os.environ, "MPLBACKEND": "module://of_another_environment"}
    ended = subprocess.run(
        [sys.executable, "-c", f"{draw}; boundary.main()"], env=kernel, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_unlabelled_bins_are_thinned_only_where_there_are_any(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "g.fa").write_text(">chr1\nACGT\n")
    given = ["-r", str(tmp_path / "g.fa"), "--peaks", str(tmp_path)]
    words = ["dataset", "peaks", *given, "-o", str(tmp_path / "d"), "--unlabelled", "1"]
    for bins in ([], ["--bins", "tf"]):
        assert run([*words, *bins]) == 2
        assert "add --bins all" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_version_names_what_decides_a_score() -> None:
    answer = varscore("--version")
    assert answer.returncode == 0
    assert [line.split()[0] for line in answer.stdout.splitlines()] == ["varscore", "torch", "xgboost", "device"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_log_line_carries_its_fields(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    def speak() -> None:
        logger = logging.getLogger("varscore.annotate")
        logger.info("finished", extra={"fields": {"records": 12}})
        logger.warning("unsorted %s", "input")
        logger.debug("too much to say")

    command(speak)
    assert run(["act", "--log-format", log_format]) == 0
    lines = capsys.readouterr().err.splitlines()
    if log_format == "text":
        assert lines == ["varscore: finished records=12", "varscore: warning: unsorted input"]
    else:
        first, second = map(json.loads, lines)
        assert {"level": "info", "event": "finished", "records": 12, "run": log.RUN_ID}.items() <= first.items()
        assert {"level": "warning", "event": "unsorted input", "run": log.RUN_ID}.items() <= second.items()


@pytest.mark.parametrize(("option", "levels"), [("--quiet", {"warning"}), ("--verbose", {"warning", "info", "debug"})])
def test_quiet_and_verbose(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], option: str, levels: set[str]
) -> None:
    def speak() -> None:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger("varscore").log(level, "words")

    command(speak)
    assert run(["--log-format=json", option, "act"]) == 0
    assert {json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()} == levels


def test_errors_are_json_too_even_before_the_options_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nonsense", "--log-format", "json"]) == 2
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["exit_status"]) == ("error", 2)
    assert line["event"].startswith("No such command 'nonsense'")


def test_progress_says_nothing_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    with log.progress(10, "records") as bar:
        bar.advance(10)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_count_and_rate_on_a_terminal() -> None:
    body = (
        "from varscore.cli.log import progress\n"
        "with progress(4000, 'variants') as bar:\n"
        "    for _ in range(4): time.sleep(0.15); bar.advance(1000)"
    )
    parent, child = os.openpty()
    process = subprocess.Popen(act(body), stderr=child, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"})
    os.close(child)
    shown = b""
    try:
        while piece := os.read(parent, 65536):
            shown += piece
    except OSError:  # how Linux says that the other end of a terminal is gone
        pass
    os.close(parent)
    assert process.wait(timeout=30) == 0
    assert b"4000/4000" in shown
    assert b"variants/s" in shown


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_program_after_its_clean_up(tmp_path: Path, signum: signal.Signals, status: int) -> None:
    started, cleaned = tmp_path / "started", tmp_path / "cleaned"
    body = (
        f"try:\n    Path({str(started)!r}).touch(); time.sleep(60)\n"
        f"finally:\n    time.sleep(0.3); Path({str(cleaned)!r}).touch()"
    )
    process = subprocess.Popen(
        act(body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals
    )
    wait_for(started)
    process.send_signal(signum)
    time.sleep(0.1)
    process.send_signal(signum)  # as timeout(1) does: must not disturb the clean-up
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == status
    assert cleaned.exists()


def heed_signals() -> None:
    """A test run started with nohup or in a script's background ignores these, and so would its children."""
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("body", ["for i in range(100000): print(i)", "print('a few bytes, written at exit only')"])
def test_a_closed_pipe_ends_quietly(body: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(act(body), stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_stdout_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        answer = subprocess.run(act("print('x')"), stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert answer.returncode == 1
    assert answer.stderr.startswith("varscore: error: No space left on device; ")
    assert answer.stderr.count("\n") == 1


def test_closed_standard_streams_do_no_harm() -> None:
    line = f"exec {shlex.join([*PROGRAM, 'nonsense'])} 2>&- >&-"
    assert subprocess.run(line, shell=True, timeout=30).returncode == 2


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("fewer `threads`, or a smaller `batch_size`", "fewer --threads, or a smaller --batch-size"),
        ("pass `check_ref=warn`; `resume=False` starts anew", "pass --check-ref warn; --no-resume starts anew"),
        ("`link='a b'` is no link", "--link 'a b' is no link"),
        ("`varscore models list` has none", "`varscore models list` has none"),
        ("nothing in ` quotes", "nothing in ` quotes"),
    ],
)
@pytest.mark.parametrize("style", ["text", "json"])
def test_arguments_that_the_library_names_are_spelled_as_options(
    said: str, shown: str, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert log.as_options(said) == shown
    log.configure(log_format=style)
    logging.getLogger("varscore.somewhere").warning(said)
    log.error(said, exit_status=2)
    warning, error = capsys.readouterr().err.splitlines()
    if style == "json":
        assert json.loads(warning)["event"] == json.loads(error)["event"] == shown
    else:
        assert (warning, error) == (f"varscore: warning: {shown}", f"varscore: error: {shown}")
