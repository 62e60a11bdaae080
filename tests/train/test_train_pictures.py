"""What pictures of training show, read from the figure that is painted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from varscore.pictures import COLOURS, standard
from varscore.train.pictures import difference_bars, learning_curve, mask_picture, study_curves
from varscore.train.studies.expression import Series, scatter

matplotlib = pytest.importorskip("matplotlib", reason="pictures want matplotlib")
pytestmark = pytest.mark.usefixtures("painted")


def test_auroc_and_auprc_have_panels_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import figure

    made: list[figure.Figure] = []

    class Kept(figure.Figure):
        def __init__(self, *given: object, **options: object) -> None:
            super().__init__(*given, **options)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(figure, "Figure", Kept)
    history = [
        {
            "epoch": n,
            "train_loss": 0.5 - n / 10,
            "validation_loss": 0.5,
            "lr": 1e-3,
            "auroc": 0.9 + n / 100,
            "auroc DNase": 0.91,
            "auprc": 0.2 + n / 10,
        }
        for n in range(3)
    ]
    learning_curve(tmp_path / "curve.png", [{**row} for row in history], "made", "cross-entropy")
    assert (tmp_path / "curve.png").stat().st_size > 1000
    panels = made[0].axes
    assert [panel.get_ylabel() for panel in panels] == [
        "cross-entropy",
        "validation AUROC",
        "validation AUPRC",
        "learning rate",
    ]
    assert [line.get_label() for line in panels[1].lines] == ["all tasks", "DNase"]
    assert list(panels[1].lines[0].get_ydata()) == [0.9, 0.91, 0.92] and panels[1].get_ylim()[0] > 0.85
    assert panels[0].lines[0].get_color() == COLOURS[0] and not panels[0].spines["top"].get_visible()


def test_every_picture_is_a_png(tmp_path: Path) -> None:
    sizes = {"no projection": [(320, 0.2), (500, 0.3)], "projection": [(320, 0.25)]}
    study_curves(tmp_path / "study.png", {"danq-500": sizes, "cnn-500": sizes})
    difference_bars(tmp_path / "bars.png", {"a - b": {"A": 0.1, "B": -0.1}, "a - c": {"A": 0.2}}, "AUROC")
    masks = np.random.default_rng(0).dirichlet(np.ones(20), 2)
    mask_picture(tmp_path / "masks.png", masks.mean(0), masks, "A", "mean", ["ACGTACGTACGTACGTACGT"] * 2)
    series = Series("deepbind", *np.random.default_rng(1).random((2, 9, 2)), interim=0)
    scatter(tmp_path / "scatter.png", series, ["B", "T4"])
    pictures = sorted(tmp_path.iterdir())
    assert len(pictures) == 4
    for picture in pictures:
        content = picture.read_bytes()
        assert content.startswith(b"\x89PNG") and content.endswith(b"IEND\xaeB`\x82") and len(content) > 5000


def test_the_standard_ends_with_its_block() -> None:
    before = dict(matplotlib.rcParams)
    with standard(axes_grid=False, svg_hashsalt="x"):
        assert matplotlib.rcParams["svg.hashsalt"] == "x" and not matplotlib.rcParams["axes.grid"]
    assert dict(matplotlib.rcParams) == before
