"""A run that is stopped, killed or out of space, and the same command again: the bytes of a run nobody disturbed."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pysam
import pysam.bcftools
import pytest
from cli.disturbance import Disturbance
from cli.made_runs import (
    CHUNKS,
    HEADER,
    PORTION,
    RECORDS,
    SEQUENCE,
    VCF,
    annotate,
    remove_all,
    set_up,
    undisturbed,
    written,
)

from varscore.annotate import outputs
from varscore.cli import log
from varscore.cli.boundary import run
from varscore.storage import journal as journals
from varscore.storage.atomic import AtomicFile, PartialFile
from varscore.zoo.models import ModelFolder

REPOSITORY = Path(__file__).resolve().parents[2]
OUTPUTS = ("out.vcf", "out.vcf.gz", "out.bcf", "out.tsv", "out.tsv.gz", "out.parquet")
FURTHER = ("", "--scores m.parquet --skipped s.tsv", "--scores m.zarr --skipped s.tsv.gz", "--scores m.h5")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch, heeded_signals: None) -> None:
    set_up(tmp_path, monkeypatch)


@pytest.fixture
def disturb(monkeypatch: pytest.MonkeyPatch) -> Disturbance:
    return Disturbance(monkeypatch)


def stop_after(disturb: Disturbance, portions: int, words: str) -> None:
    disturb.signal(portions, signal.SIGTERM)
    assert annotate(words) == 143
    disturb.plan(None)


# -- carrying on -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("further", FURTHER)
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_stopped_run_carries_on_to_the_same_bytes(
    disturb: Disturbance, capsys: pytest.CaptureFixture[str], output: str, further: str
) -> None:
    words = f"in.vcf -o {output} {further}"
    expected = undisturbed(words)
    assert len(expected) >= 2
    capsys.readouterr()
    disturb.signal(2, signal.SIGTERM)
    assert annotate(words) == 143
    assert capsys.readouterr().err == (
        f"varscore: warning: {2 * PORTION} records are done; the same command carries on from there\n"
    )
    assert all(Path(name).name.startswith(".") for name in written())
    disturb.signal(1, signal.SIGTERM)
    assert annotate(words) == 143
    disturb.plan(None)
    assert annotate(words) == 0
    assert disturb.portions == CHUNKS - 3  # none of them is scored again
    messages = capsys.readouterr().err.splitlines()
    assert messages[-2] == f"varscore: carrying on after the first {3 * PORTION} records"
    assert messages[-1].startswith(f"varscore: {RECORDS:,} records, ")
    assert written() == expected


def test_ctrl_c_is_status_130(disturb: Disturbance) -> None:
    expected = undisturbed("in.vcf -o out.vcf.gz")
    disturb.signal(3, signal.SIGINT)
    assert annotate("in.vcf -o out.vcf.gz") == 130
    disturb.plan(None)
    assert annotate("in.vcf -o out.vcf.gz") == 0
    assert written() == expected


def test_an_error_in_the_middle_keeps_what_was_done(disturb: Disturbance, capsys: pytest.CaptureFixture[str]) -> None:
    expected = undisturbed("in.vcf -o out.vcf.gz")

    def fail() -> None:
        raise MemoryError

    disturb.plan(4, fail)
    assert annotate("in.vcf -o out.vcf.gz") == 1
    assert f"{4 * PORTION} records are done" in capsys.readouterr().err
    disturb.plan(None)
    assert annotate("in.vcf -o out.vcf.gz") == 0
    assert disturb.portions == CHUNKS - 4
    assert written() == expected


@pytest.mark.parametrize("words", ["--saturate ../some.bed", "in.vcf --region chr1:400-900 --region chr1:2000-2500"])
def test_saturation_and_regions_carry_on(disturb: Disturbance, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("../some.bed").write_text("chr1\t100\t900\nchr1\t1200\t1500\n")
    words += " -o out.vcf.gz"
    expected = undisturbed(words)
    summary = capsys.readouterr().err.splitlines()[-1]
    disturb.signal(2, signal.SIGTERM)
    assert annotate(words) == 143
    disturb.plan(None)
    assert annotate(words) == 0
    assert capsys.readouterr().err.splitlines()[-1] == summary
    assert written() == expected


def test_a_run_from_bcf_or_gzip_carries_on(disturb: Disturbance) -> None:
    Path("../in.vcf.gz").write_bytes(gzip.compress(VCF.encode()))
    pysam.bcftools.view("-Ob", "-o", "../in.bcf", "in.vcf", catch_stdout=False)
    for source in ("../in.vcf.gz", "../in.bcf"):
        expected = undisturbed(f"{source} -o out.vcf.gz")
        stop_after(disturb, 2, f"{source} -o out.vcf.gz")
        assert annotate(f"{source} -o out.vcf.gz") == 0
        assert disturb.portions == CHUNKS - 2
        assert written() == expected
        Path("out.vcf.gz").unlink()


class Killed(BaseException):
    """Stands for a kill, except that what cleans up on an error runs too."""


@pytest.mark.parametrize("operation", ["rename", "unlink"])
@pytest.mark.parametrize("words", ["-o out.vcf.gz --skipped s.tsv", "-o out.bcf", "-o out.parquet --scores m.zarr"])
def test_a_kill_between_the_renames_is_made_up_for(monkeypatch: pytest.MonkeyPatch, words: str, operation: str) -> None:
    """Whichever of the renames and removals at the end is the last that the process does."""
    words = f"in.vcf {words}"
    expected = undisturbed(words)
    real = getattr(os, operation)
    made_up = 0

    def annotate_until(last: int) -> int:
        done = 0

        def counted(*arguments: Any, **options: Any) -> None:
            nonlocal done
            done += 1
            if done == last:
                raise Killed
            real(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(outputs, "COMMIT_SECONDS", 1e9)  # so that all renames are those at the end
            patch.setattr(os, operation, counted)
            assert annotate(words) == (1 if done >= last else 0)  # 1: what nobody foresaw is called a bug
        return done

    last = 0
    while annotate_until(last := last + 1) >= last:
        journal = list(Path().glob(".*varscore-journal"))
        made_up += bool(journal) and b'"placements": null' not in journal[0].read_bytes()
        if written() != expected:
            assert annotate(words) == 0
            assert written() == expected
        remove_all()
    assert made_up >= (2 if operation == "rename" else 1)


@pytest.mark.parametrize("output", ["out.vcf.gz", "out.bcf", "out.parquet"])
def test_a_full_disk_is_status_1_and_the_run_carries_on(
    disturb: Disturbance, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    words = f"in.vcf -o {output} --scores m.h5"
    expected = undisturbed(words)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    disturb.plan(3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1])))
    try:
        assert annotate(words) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    messages = capsys.readouterr().err.splitlines()
    assert messages[-1].startswith("varscore: error: cannot write: File too large, ")
    assert "records are done; the same command carries on from there" in messages[-2]
    assert all(Path(name).name.startswith(".") for name in written())
    disturb.plan(None)
    assert annotate(words) == 0
    assert disturb.portions < CHUNKS
    assert written() == expected


def test_kills_at_random_moments() -> None:
    script = REPOSITORY / "tests" / "stress" / "kill_trials.py"
    answer = subprocess.run(
        [sys.executable, script, "--trials", "2", "--seed", "7"],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.startswith("2 trials, ")


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.slow  # it starts processes
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc")
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent_and_the_run_carries_on(tiny_model: ModelFolder, signum: int) -> None:
    Path("in.vcf").write_text(HEADER + VCF.removeprefix(HEADER) * 48)
    words = f"annotate in.vcf -o out.vcf -r g.fa -m {tiny_model.path} --threads 2 --batch-size 256".split()
    process = subprocess.Popen([sys.executable, "-m", "varscore", *words], cwd=Path(), env=os.environ, process_group=0)
    part = Path(".out.vcf.varscore-part")
    wait_for(lambda: part.exists() and part.stat().st_size > 200_000)
    workers = children(process.pid)
    assert len(workers) >= 2
    if signum == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, signum)  # as a terminal and a queueing system do: the workers get it too
    begin = time.monotonic()
    status = process.wait(30)
    assert status == (-9 if signum == signal.SIGKILL else 128 + signum)
    assert time.monotonic() - begin < 8
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert run([*words[:-4], "--threads", "1"]) == 0
    assert Path("out.vcf").read_bytes() == undisturbed("in.vcf -o again.vcf")["again.vcf"]


@pytest.mark.slow  # it starts processes
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc")
def test_a_worker_that_is_stopped_is_not_waited_for(tiny_model: ModelFolder) -> None:
    Path("in.vcf").write_text(HEADER + VCF.removeprefix(HEADER) * 48)
    words = f"annotate in.vcf -o out.vcf -r g.fa -m {tiny_model.path} --threads 2 --batch-size 256".split()
    process = subprocess.Popen([sys.executable, "-m", "varscore", *words], stderr=subprocess.PIPE, text=True)
    part = Path(".out.vcf.varscore-part")
    wait_for(lambda: part.exists() and part.stat().st_size > 200_000)
    workers = [child for child in children(process.pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    assert process.wait(60) == 1
    assert process.stderr is not None and "a worker process is stopped, process" in process.stderr.read()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert run([*words[:-4], "--threads", "1"]) == 0


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# -- what is not trusted ---------------------------------------------------------------------------------------------


OTHERS = {
    "input": "other.vcf -r g.fa",
    "reference": "in.vcf -r other.fa",
    "model": "in.vcf -r g.fa -m other",
    "options": "in.vcf -r g.fa --tasks K562*",
    "regions": "in.vcf -r g.fa --region chr1:5-900",
    "output format": "in.vcf -r g.fa -O t",
    "tag prefix": "in.vcf -r g.fa --tag-prefix OTHER",
    "shard": "in.vcf -r g.fa --shard 1/2",
    "--scores": "in.vcf -r g.fa --scores m.h5",
    "--skipped": "in.vcf -r g.fa --skipped s.tsv",
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_run_is_refused_and_can_start_anew(
    disturb: Disturbance, capsys: pytest.CaptureFixture[str], tiny_model: ModelFolder, what: str
) -> None:
    Path("other.vcf").write_text(VCF.replace("X=1", "X=2"))
    Path("other.fa").write_text(f">chr1\n{SEQUENCE[:-1]}{'A' if SEQUENCE[-1] == 'C' else 'C'}\n")
    pysam.faidx("other.fa")
    other_model = tiny_model.path.with_name("other")
    shutil.copytree(tiny_model.path, other_model)
    card = other_model / "card.toml"
    card.write_text(card.read_text().replace("default = true", 'note = "of another training"'))
    common = ["--threads", "1", "--batch-size", str(PORTION), "-o", "out"]
    words = ["annotate", "in.vcf", "-r", "g.fa", "-O", "v", *common]
    other = ["annotate", *OTHERS[what].split(), *common, *([] if "-O" in OTHERS[what] else ["-O", "v"])]
    disturb.signal(3, signal.SIGTERM)
    assert run(words) == 143
    disturb.plan(None)
    before = written()
    capsys.readouterr()
    assert run(other) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("varscore: error: an earlier run was not finished and this one is another, ")
    assert f"not the same: {what}" in line
    assert "--no-resume" in line
    assert disturb.portions == 0
    assert written() == before

    assert run([*words, "--no-resume"]) == 0
    assert disturb.portions == CHUNKS
    assert not [name for name in written() if Path(name).name.startswith(".")]
    Path("out").unlink()
    assert run([*other, "--no-resume"]) == 0


def test_options_that_change_nothing_do_not_matter(disturb: Disturbance) -> None:
    expected = undisturbed("in.vcf -o out.vcf.gz")
    stop_after(disturb, 3, "in.vcf -o out.vcf.gz")
    Path("../moved.vcf").write_text(VCF)
    words = ["annotate", "../moved.vcf", "-r", "g.fa", "-o", "./out.vcf.gz", "--check-ref", "warn", "--strict"]
    assert run([*words, "--batch-size", str(2 * PORTION)]) == 3  # the file is complete
    assert disturb.portions < CHUNKS
    assert written() == expected


def damage_flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": damage_flip,
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "garbage": lambda content: bytes(range(256)),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", [".out.bcf.varscore-journal", ".out.bcf.varscore-spool", ".m.h5.varscore-spool"])
def test_what_is_damaged_is_not_trusted(
    disturb: Disturbance, capsys: pytest.CaptureFixture[str], file: str, damage: str
) -> None:
    words = "in.vcf -o out.bcf --scores m.h5"
    expected = undisturbed(words)
    stop_after(disturb, 3, words)
    Path(file).write_bytes(DAMAGES[damage](Path(file).read_bytes()))
    capsys.readouterr()
    assert annotate(words) == 0
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("varscore: warning: the journal of an earlier run is damaged (")
    assert disturb.portions == CHUNKS
    assert written() == expected


def test_a_journal_without_its_files_is_not_trusted(disturb: Disturbance) -> None:
    expected = undisturbed("in.vcf -o out.vcf.gz")
    stop_after(disturb, 3, "in.vcf -o out.vcf.gz")
    Path(".out.vcf.gz.varscore-part").unlink()
    assert annotate("in.vcf -o out.vcf.gz") == 0
    assert disturb.portions == CHUNKS
    assert written() == expected


def test_starting_anew_removes_what_the_other_run_left(disturb: Disturbance) -> None:
    stop_after(disturb, 3, "in.vcf -o out.vcf.gz --scores old.parquet --skipped old.tsv")
    assert len(written()) == 4
    assert annotate("in.vcf -o out.vcf.gz", "--no-resume") == 0
    assert set(written()) == {"out.vcf.gz", "out.vcf.gz.tbi", "out.vcf.gz.run.json"}


def test_without_resume_there_is_no_journal(disturb: Disturbance, capsys: pytest.CaptureFixture[str]) -> None:
    disturb.signal(3, signal.SIGTERM)
    assert annotate("in.vcf -o out.vcf.gz --scores m.zarr", "--no-resume") == 143
    assert capsys.readouterr().err == ""
    assert written() == {}


def test_a_second_process_is_refused(disturb: Disturbance, capsys: pytest.CaptureFixture[str]) -> None:
    expected = undisturbed("in.vcf -o out.vcf.gz")
    stop_after(disturb, 3, "in.vcf -o out.vcf.gz")
    first = AtomicFile("out.vcf.gz", keep=True)
    capsys.readouterr()
    assert annotate("in.vcf -o out.vcf.gz") == 1
    assert capsys.readouterr().err.startswith("varscore: error: another process is writing this file, out.vcf.gz; ")
    assert annotate("in.vcf -o out.vcf.gz", "--no-resume") == 1
    first.suspend()
    assert annotate("in.vcf -o out.vcf.gz") == 0
    assert disturb.portions == CHUNKS - 3
    assert written() == expected


def test_an_existing_output_is_not_replaced_by_a_run_that_carries_on(disturb: Disturbance) -> None:
    stop_after(disturb, 3, "in.vcf -o out.vcf.gz")
    Path("out.vcf.gz").write_text("somebody else's")
    assert annotate("in.vcf -o out.vcf.gz") == 2
    assert Path("out.vcf.gz").read_text() == "somebody else's"
    assert annotate("in.vcf -o out.vcf.gz", "--force") == 0
    assert disturb.portions == CHUNKS - 3


def test_damage_found_late_in_the_input_leaves_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.vcf").write_text(VCF + "chr1\t800\n")
    assert annotate("in.vcf -o out.vcf.gz") == 2
    assert capsys.readouterr().err.startswith("varscore: error: 2 columns instead of 8")
    assert all(Path(name).name.startswith(".") for name in written())


# -- on the disk -----------------------------------------------------------------------------------------------------


def test_the_journal_speaks_of_nothing_that_is_not_on_the_disk(
    disturb: Disturbance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte that it mentions has been flushed before it appears under its name."""
    synced: dict[int, int] = {}
    fsync, write = os.fsync, journals.Journal.write
    entries = longest = 0

    def watched_fsync(descriptor: int) -> None:
        fsync(descriptor)
        status = os.fstat(descriptor)
        synced[status.st_ino] = status.st_size

    def watched_write(self: journals.Journal, entry: journals.Entry) -> None:
        nonlocal entries, longest
        entries += 1
        for mark, name in (("writer", ".out.bcf.varscore-spool"), ("matrix", ".m.h5.varscore-spool")):
            if entry.marks:
                length = (entry.marks[mark].get("text") or entry.marks[mark])["file"][0]
                longest = max(longest, length)
                assert synced.get(os.stat(name).st_ino, -1) >= length
        write(self, entry)
        assert synced[os.stat(self.path).st_ino] == self.path.stat().st_size

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(journals.Journal, "write", watched_write)
    assert annotate("in.vcf -o out.bcf --scores m.h5") == 0
    assert entries >= CHUNKS
    assert longest > 5_000


def test_a_short_run_commits_nothing_but_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "COMMIT_SECONDS", 3600.0)
    entries: list[journals.Entry] = []
    write = journals.Journal.write
    monkeypatch.setattr(journals.Journal, "write", lambda self, entry: entries.append(entry) or write(self, entry))
    assert annotate("in.vcf -o out.vcf.gz") == 0
    assert [entry.placements is not None for entry in entries] == [True]


def test_streams_keep_no_journal(monkeypatch: pytest.MonkeyPatch, disturb: Disturbance) -> None:
    os.mkfifo("pipe")
    feeder = threading.Thread(target=lambda: Path("pipe").write_text(VCF))
    feeder.start()
    disturb.signal(3, signal.SIGTERM)
    assert annotate("pipe -o out.vcf.gz") == 143
    feeder.join()
    assert [name for name in written() if name != "pipe"] == []


def test_a_partial_file_goes_back_to_its_mark(tmp_path: Path) -> None:
    file = PartialFile("out", str(tmp_path / "part"))
    file.write(b"kept")
    mark = file.mark()
    file.write(b"lost")
    file.suspend()
    again = PartialFile("out", str(tmp_path / "part"), keep=True)
    again.carry_on(mark)
    again.write(b" and more")
    assert b"".join(again.read_back()) == b"kept and more"
    again.suspend()
    assert (tmp_path / "part").read_bytes() == b"kept and more"


# -- run.json --------------------------------------------------------------------------------------------------------


def test_run_json_says_what_was_run(
    disturb: Disturbance,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: ModelFolder,
) -> None:
    stop_after(disturb, 3, "in.vcf -o out.vcf.gz --scores m.zarr")
    capsys.readouterr()
    monkeypatch.setattr(log, "LINE_SECONDS", 0.0)
    assert annotate("in.vcf -o out.vcf.gz --scores m.zarr", "--log-format", "json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    found = json.loads(Path("out.vcf.gz.run.json").read_text())
    assert {line["run"] for line in lines} == {found["run"]}
    assert found["counts"]["records"] == found["records_read"] == RECORDS
    assert found["counts"].items() <= lines[-1].items()
    assert lines[-1]["records_per_second"] > 0
    progress = [line for line in lines if line["event"] == "progress"]
    assert sorted({line["records"] for line in progress}) == [*range(3 * PORTION, RECORDS, PORTION), RECORDS]
    assert all(line["peak_memory_mb"] > 10 for line in progress)
    assert all((line["records_per_second"] > 0) == (line["records"] > 3 * PORTION) for line in progress)
    assert lines[-1]["peak_memory_mb"]["process"] > 10
    assert found["outputs"] == {"annotated": "out.vcf.gz", "scores": "m.zarr"}
    assert set(found["versions"]) == {"varscore", "python", "torch", "numpy"}
    assert found["identity"]["model"].startswith("tiny ")
    assert found["identity"]["reference"].startswith("g.fa ")
    assert 0 < found["seconds"] < 600
    assert found["records_per_second"] > 0
    assert found["peak_memory_mb"]["process"] > 10
