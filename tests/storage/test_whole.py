"""Files and folders that get their names when they are complete."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from varscore.datasets.examples import write_examples
from varscore.errors import OutputError
from varscore.storage.folders import claim_folder
from varscore.storage.whole import put_file, reserve, whole_file, whole_folder
from varscore.tasks import Task


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_replaces_the_old_one_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a"
    put_file(path, "old")
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a"
    put_file(path, b"old")
    with pytest.raises(OutputError if isinstance(error, OSError) else error), whole_file(path) as file:  # type: ignore[arg-type]
        file.write(b"half")
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["a"]


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        put_file(tmp_path / "none" / "a", b"")


def test_a_folder_replaces_the_old_one_when_it_is_complete(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with whole_folder(tmp_path / "sub" / "d") as partial:
            (partial / text).write_text(text)
    assert names(tmp_path / "sub") == ["d"] and names(tmp_path / "sub/d") == ["new"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "d") as partial:
        (partial / "x").write_text("old")
    with pytest.raises(ValueError), whole_folder(tmp_path / "d") as partial:
        (partial / "y").write_text("half")
        raise ValueError
    assert names(tmp_path) == ["d"] and names(tmp_path / "d") == ["x"]


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".d.partial").mkdir()
    (tmp_path / ".d.partial" / "x").write_text("half")
    with whole_folder(tmp_path / "d") as partial:
        (partial / "y").write_text("whole")
    assert names(tmp_path) == ["d"] and names(tmp_path / "d") == ["y"]


WRITER = """
import sys
from pathlib import Path
from varscore.storage.whole import put_file, whole_folder
name, path = sys.argv[1], Path(sys.argv[2])
for _ in range(60):
    if path.suffix:
        put_file(path, name * 50_000)
    else:
        with whole_folder(path) as partial:
            for number in range(3):
                (partial / str(number)).write_text(name * 1000)
"""


@pytest.mark.parametrize("name", ["card.toml", "folder"])
def test_processes_that_write_one_path_all_succeed_and_it_is_always_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, letter, str(path)], stderr=-1) for letter in "abc"]
    while any(writer.poll() is None for writer in writers):
        if name == "card.toml" and path.exists():
            text = path.read_text()
            assert text == text[0] * 50_000
    for writer in writers:
        assert writer.wait() == 0, writer.communicate()[1].decode()
    assert names(tmp_path) == [name]
    if name == "folder":
        texts = [(path / str(number)).read_text() for number in range(3)]
        assert len(set(texts)) == 1 and len(texts[0]) == 1000


def test_a_link_under_the_hidden_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("precious")
    (tmp_path / ".a.partial").symlink_to("other")
    with pytest.raises(OutputError, match="something else has the name"):
        put_file(tmp_path / "a", "x")
    assert (tmp_path / "other").read_text() == "precious"


def test_what_a_killed_writer_left_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".a.partial").write_text("a longer text than the new one")
    put_file(tmp_path / "a", "new")
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "new"


def test_a_folder_that_vanishes_while_it_is_claimed_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process had it when we tried to make it, and has renamed it since."""
    mkdir, calls = os.mkdir, []

    def lost(path: str) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise FileExistsError(path)
        mkdir(path)

    monkeypatch.setattr(os, "mkdir", lost)
    lock = claim_folder(str(tmp_path / "folder"))
    assert lock is not None and (tmp_path / "folder").is_dir() and len(calls) == 2
    os.close(lock)


def test_space_is_taken_before_a_map_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a map grows into has no blocks yet; where there is no room for them, a write ends the process."""
    with (tmp_path / "a").open("wb") as file:
        os.ftruncate(file.fileno(), 1 << 20)
        assert os.fstat(file.fileno()).st_blocks * 512 < 1 << 20
        reserve(file.fileno(), 1 << 20)
        found = os.fstat(file.fileno())
        assert found.st_blocks * 512 >= found.st_size == 1 << 20
        reserve(file.fileno(), 0)

    def full(descriptor: int, first: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    codes = np.zeros(40, np.uint8)
    with pytest.raises(OutputError, match="No space left on device"):
        write_examples(tmp_path / "d", info={}, tasks=(Task(0, "t", ""),), codes=[codes], bases=40, arrays={})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
