"""The folder of a search: what is no study, a damaged one, or one of another varscore is told in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from varscore.errors import DataError, OutputExists, VarscoreError
from varscore.search.space import WHOLE, draws
from varscore.search.study import Study, begin_study, open_study
from varscore.search.trials import Trial, read_trial

Begin = Callable[..., Study]
HISTORY = ({"epoch": 0, "validation_loss": 0.6, "auroc": 0.7},)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 2", "a study of another format, .*study.toml; it is 2, this varscore reads 1"),
        ("format = 1\n", "", "damaged study, .*it has no 'format'"),
        ("epochs = 2", 'epochs = "two"', "damaged study, .*study.toml; epochs = 'two'"),
        ("epochs = 2", "epochs = 2\nlater = 3", "one of another varscore, .*study.toml; .*'later'"),
        ('metric = "auroc"', 'metric = "accuracy"', "study.toml; metric 'accuracy' of labels"),
        ("format = 1", "format", "damaged study, .*study.toml"),
    ],
)
def test_a_study_that_cannot_be_read_is_named(begin: Begin, old: str, new: str, message: str) -> None:
    path = begin().folder / "study.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        open_study(path.parent)


def test_a_study_of_before_an_option_has_its_default(begin: Begin) -> None:
    study = begin()
    path = study.folder / "study.toml"
    path.write_text("".join(line for line in path.open() if not line.startswith(("precision", "halving", "sampler"))))
    assert open_study(study.folder).settings == study.settings


def test_a_search_does_not_begin_among_other_files(begin: Begin, tmp_path: Path) -> None:
    settings = begin().settings
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(OutputExists, match="holds something else, .*mine; it has thesis.txt, and no study.toml"):
        begin_study(tmp_path / "mine", settings)
    with pytest.raises(OutputExists, match="this is a file, .*thesis.txt"):
        begin_study(tmp_path / "mine/thesis.txt", settings)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/.partial").touch()  # of a process that begins it at the same time
    assert begin_study(tmp_path / "empty", settings).settings == settings


def trial(**changed: Any) -> dict[str, Any]:
    """What a trial.json says, with changes."""
    point = next(draws(WHOLE, 0, "main"))
    facts = {"number": 3, "drawn": point, "state": "done", "parameters": 10, "metric": 0.7, "history": list(HISTORY)}
    return {**facts, "effective": {}, **changed}


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "sleeping"}, {"number": 4}, {"metric": "high"}, {"metric": float("nan")}, {"history": [3]},
        {"history": [{"auroc": 0.5}]}, {"history": [{"epoch": 0, "auroc": "much"}]}, {"later": 1},
        {"drawn": {**trial()["drawn"], "filters": 12}}, {"drawn": {**trial()["drawn"], "conv_norm": 1}},
        {"drawn": {**trial()["drawn"], "depth": 3}}, {"drawn": {"filters": 8}}, {"drawn": 3}, {"seconds": None},
    ],
)  # fmt: skip
def test_a_trial_that_says_what_none_can_is_damaged(tmp_path: Path, changed: dict[str, Any]) -> None:
    folder = tmp_path / "00003"
    folder.mkdir()
    (folder / "trial.json").write_text(json.dumps(trial()))
    assert read_trial(folder) == Trial(3, trial()["drawn"], "done", 10, 0.7, history=list(HISTORY))
    (folder / "trial.json").write_text(json.dumps(trial(**changed)))
    with pytest.raises(DataError, match="damaged trial, .*00003/trial.json; .*; remove its folder, and it is tried"):
        read_trial(folder)


def test_a_branch_without_a_file_is_named(begin: Begin) -> None:
    study = begin()
    (study.folder / "branches/main/space.toml").write_text("depth = [3]")
    with pytest.raises(VarscoreError, match="no key 'depth', .*main/space.toml"):
        study.branches()
