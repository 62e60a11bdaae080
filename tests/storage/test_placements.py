"""What is finished is put in place, also where another process does so in the same moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from varscore.storage.atomic import DamagedPartial
from varscore.storage.resumable import place_all, stamped
from varscore.storage.stages import Placement

rename = os.rename


@pytest.fixture(params=["file", "folder"])
def finished(request: pytest.FixtureRequest, tmp_path: Path) -> list[Placement]:
    hidden = tmp_path / ".out.part"
    if request.param == "folder":
        hidden.mkdir()
        hidden = hidden / "one"
    hidden.write_text("done")
    return stamped([Placement(str(tmp_path / ".out.part"), str(tmp_path / "out"))])


def test_another_process_that_was_quicker_has_done_the_same(
    finished: list[Placement], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(source: str, target: str) -> None:
        rename(source, target)
        raise FileNotFoundError(source)

    monkeypatch.setattr(os, "rename", lost)
    place_all(finished, force=False)
    assert Path(finished[0].target).exists() and not os.path.lexists(str(finished[0].temporary))
    place_all(finished, force=False)  # and once more finds nothing to do


def test_what_is_gone_is_not_said_to_be_in_place(finished: list[Placement], monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(source: str, target: str) -> None:
        rename(source, source + ".elsewhere")
        raise FileNotFoundError(source)

    monkeypatch.setattr(os, "rename", taken)
    with pytest.raises(DamagedPartial):
        place_all(finished, force=False)
