"""Folders that several processes write to."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from varscore.storage.folders import one_at_a_time, own_name


@pytest.mark.parametrize("path", [".", "../mine", "../mine/.", "deeper/.."])
def test_a_folder_has_a_name_wherever_we_stand(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert own_name(Path(path)) == "mine"


def test_one_at_a_time(tmp_path: Path) -> None:
    """Eight threads, which open the folder each for itself as processes do, read a number and write the next one."""
    number = tmp_path / "number"
    number.write_text("0")

    def count() -> None:
        for _ in range(5):
            with one_at_a_time(tmp_path):
                was = int(number.read_text())
                time.sleep(0.0005)
                number.write_text(str(was + 1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert number.read_text() == "40"


def test_a_failure_lets_the_next_one_in(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), one_at_a_time(tmp_path):
        1 / 0  # noqa: B018
    with one_at_a_time(tmp_path):
        pass
