"""Files and folders that get their names when they are complete."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from varscore.errors import OutputError
from varscore.files.whole import put_file, whole_file, whole_folder


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
