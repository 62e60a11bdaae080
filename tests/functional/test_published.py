"""DanQ's published classifiers: a folder made up in their format, imported and evaluated line by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_model import make_model
from made_pickles import python_2_pickle

from varscore.cli.boundary import run
from varscore.errors import ModelError, OutputExists
from varscore.functional.published import import_danq
from varscore.scoring.classifier import open_classifier
from varscore.tasks import Task

WIDTH = 1842
FOLDS = 3


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Three folds of one stump and one leaf: ``f1840`` (GERP, neutral rate) against 0, ``f7`` in the last."""
    folder = tmp_path / "GWAS"
    folder.mkdir()
    for fold in range(FOLDS):
        feature = 7 if fold == 2 else 1840
        stump = f"booster[0]:\n0:[f{feature}<0] yes=1,no=2,missing=1\n\t1:leaf=-{fold + 1}\n\t2:leaf={fold + 1}\n"
        (folder / f"model.{fold}").write_text(stump + "booster[1]:\n0:leaf=0.5\n")
    mean, scale = np.full(WIDTH, 0.5), np.full(WIDTH, 0.25)
    (folder / "scaler.pkl").write_bytes(python_2_pickle({"mean_": mean, "scale_": scale}))
    return folder


def test_folds_are_averaged_and_missing_scores_filled_in(theirs: Path, tmp_path: Path) -> None:
    made = import_danq(theirs, tmp_path / "danq-gwas")
    assert (made.column, made.width) == ("p_danq_gwas", WIDTH)
    assert made.conservation == ("phastcons_primates", "phylop_primates", "gerp_neutral", "gerp_rejected")
    assert not made.card["on_by_default"] and set(made.card["imported"]) == {
        "model.0",
        "model.1",
        "model.2",
        "scaler.pkl",
    }
    raw = np.zeros((3, WIDTH), np.float32)
    raw[:, 7] = 0.4, -0.6, 0.4  # prepared: below 0, above 0, below 0
    raw[:, 1840] = np.nan, 0.1, -0.6  # 1.909 when it is missing
    sides = np.array([[1, 1, -1], [-1, -1, 1], [1, 1, -1]]) * [1, 2, 3] + 0.5
    expected = (1 / (1 + np.exp(-sides))).mean(1)
    np.testing.assert_allclose(open_classifier(made.path).load().probabilities(raw), expected, rtol=1e-6)


def test_it_is_bound_to_a_model_of_919_tasks_or_to_none(theirs: Path, tmp_path: Path) -> None:
    small = make_model(tmp_path / "small")
    with pytest.raises(ModelError, match="want a model of 919 tasks.*small has 3"):
        import_danq(theirs, tmp_path / "x", small)
    model = make_model(tmp_path / "model", tuple(Task(i, f"t{i}") for i in range(919)))
    other = make_model(tmp_path / "other", tuple(Task(i, f"t{i}") for i in range(919)), seed=1)
    bound = import_danq(theirs, tmp_path / "bound", model)
    bound.check(model)
    with pytest.raises(ModelError, match="belongs to another model"):
        bound.check(other)
    free = import_danq(theirs, tmp_path / "free")
    free.check(other)
    with pytest.raises(ModelError, match="wants a model of 919 tasks"):
        free.check(small)


def test_what_is_missing_is_said(theirs: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it has no model\.0.*name GRASP or GWAS"):
        import_danq(tmp_path, tmp_path / "x")
    import_danq(theirs, tmp_path / "x")
    with pytest.raises(OutputExists):
        import_danq(theirs, tmp_path / "x")
    import_danq(theirs, tmp_path / "x", force=True)
    (theirs / "model.1").unlink()
    with pytest.raises(ModelError, match="some of its numbered models are missing"):
        import_danq(theirs, tmp_path / "y")
    (theirs / "model.2").unlink()
    (theirs / "scaler.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ModelError, match=r"os\.system, which is not let in"):
        import_danq(theirs, tmp_path / "y")
    assert not (tmp_path / "y").exists()


def test_the_command_says_what_it_made(theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "danq-gwas"
    assert run(["models", "import", "danq-xgboost", str(theirs), "-o", str(target)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{target}: VS_P_DANQ_GWAS, the mean of 3 folds, 1,842 features"
    assert second.endswith("for phastcons_primates, phylop_primates, gerp_neutral, gerp_rejected")
    assert open_classifier(target).width == WIDTH
    assert run(["models", "import", "danq-xgboost", str(theirs), "-o", str(target)]) == 2
    assert "--force" in capsys.readouterr().err
