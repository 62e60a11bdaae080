"""A file is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from varscore.errors import OutputError, OutputExists, UsageError
from varscore.storage.atomic import TEMPORARY_SUFFIX, AtomicFile


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def put(path: Path | str, data: bytes, *, force: bool = False) -> None:
    file = AtomicFile(str(path), force=force)
    file.write(data)
    file.commit()


def test_the_name_appears_with_commit(tmp_path: Path) -> None:
    file = AtomicFile(str(tmp_path / "a"))
    file.write(b"whole")
    assert names(tmp_path) == [".a" + TEMPORARY_SUFFIX]
    file.commit()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"whole"
    file.abort()
    assert (tmp_path / "a").read_bytes() == b"whole"
    with pytest.raises(ValueError, match="closed"):
        file.write(b"more")


def test_a_bare_name_is_written_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put("a", b"x")
    assert names(tmp_path) == ["a"]


def test_abort_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    file = AtomicFile(str(tmp_path / "a"), force=True)
    file.write(b"new" * 1_000_000)
    file.abort()
    file.abort()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OutputExists, match="`force`"):
        AtomicFile(str(tmp_path / "a"))
    assert names(tmp_path) == ["a"]
    put(tmp_path / "a", b"new", force=True)
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    file = AtomicFile(str(tmp_path / "a"))
    (tmp_path / "a").write_bytes(b"somebody else's")
    with pytest.raises(OutputExists):
        file.commit()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"somebody else's"


def test_data_reach_the_disk_before_the_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(descriptor: int) -> None:
        fsync(descriptor)
        status = os.fstat(descriptor)
        events.append("sync folder" if stat.S_ISDIR(status.st_mode) else f"sync {status.st_size} bytes")

    def watched_rename(old: str, new: str) -> None:
        rename(old, new)
        events.append("rename")

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    put(tmp_path / "a", b"12345")
    assert events == ["sync 5 bytes", "rename", "sync folder"]


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/data")
    put(tmp_path / "link", b"first")  # dangling until now
    assert (tmp_path / "real" / "data").read_bytes() == b"first"
    with pytest.raises(OutputExists):
        AtomicFile(str(tmp_path / "link"))
    put(tmp_path / "link", b"second", force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "data").read_bytes() == b"second"
    assert names(tmp_path / "real") == ["data"]


def test_permissions_are_the_users_or_the_old_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        put(tmp_path / "new", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "new").chmod(0o604)
    put(tmp_path / "new", b"x", force=True)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    first = AtomicFile(str(tmp_path / "a"))
    first.write(b"first")
    with pytest.raises(OutputError, match="another process is writing"):
        AtomicFile(str(tmp_path / "a"))
    first.commit()
    assert (tmp_path / "a").read_bytes() == b"first"


def test_a_leftover_is_reused(tmp_path: Path) -> None:
    leftover = tmp_path / (".a" + TEMPORARY_SUFFIX)
    leftover.write_bytes(b"much longer than what comes now")
    put(tmp_path / "a", b"now")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"now"


def test_a_leftover_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / (".a" + TEMPORARY_SUFFIX)).symlink_to("precious")
    with pytest.raises(OutputError):
        AtomicFile(str(tmp_path / "a"))
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_very_long_name_works(tmp_path: Path) -> None:
    for name in ("n" * 255, "ä" * 127):
        put(tmp_path / name, b"x")
        assert names(tmp_path) == [name]
        (tmp_path / name).unlink()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder"):
        AtomicFile(str(tmp_path))
    with pytest.raises(OutputError, match="No such file"):
        AtomicFile(str(tmp_path / "no" / "such" / "folder"))
    (tmp_path / "dangling").symlink_to("no/such/file")
    with pytest.raises(OutputError, match="No such file"):
        AtomicFile(str(tmp_path / "dangling"))


def test_a_folder_that_vanishes_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    file = AtomicFile(str(folder / "a"))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    file.write(b"x")
    with pytest.raises(OutputError):
        file.commit()


def test_devices_and_pipes_are_written_directly(tmp_path: Path) -> None:
    put("/dev/null", b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    file = AtomicFile("/dev/full")
    file.write(b"x")
    with pytest.raises(OutputError, match="No space left"):
        file.commit()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    put(fifo, b"through")
    assert os.read(reading, 100) == b"through"
    os.close(reading)
    assert fifo.is_fifo()


def test_dev_stdout_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    code = "from varscore.storage.atomic import AtomicFile as A; f = A('/dev/stdout'); f.write(b'x'); f.commit()"
    with open(tmp_path / "out", "wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_bytes() == b"x"
    assert names(tmp_path) == ["out"]


def test_a_closed_pipe_passes_through(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    file = AtomicFile(str(fifo))
    os.close(reading)
    file.write(b"x")
    with pytest.raises(BrokenPipeError):
        file.commit()


WRITER = """
import sys
from varscore.storage.atomic import AtomicFile
for turn in range(1000):
    file = AtomicFile(sys.argv[1], force=True)
    for _ in range(20):
        file.write(b"%d" % (turn % 10) * 50_000)
    file.commit()
    print(flush=True)
"""


def test_a_kill_at_any_time_leaves_a_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    dice = random.Random(1)
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(dice.random() / 20)
            writer.send_signal(signal.SIGKILL)
        data = target.read_bytes()
        assert len(data) == 1_000_000 and len(set(data)) == 1
        assert set(names(tmp_path)) <= {"a", ".a" + TEMPORARY_SUFFIX}
    put(target, b"after", force=True)
    assert names(tmp_path) == ["a"]
