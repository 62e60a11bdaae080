"""What is written into pictures, read back from their SVG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from varscore.evaluate.pictures import Figure, Scatter, draw

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("painted")


def test_a_scatter_names_the_tasks_farthest_from_its_diagonal(tmp_path: Path) -> None:
    x = np.full(20, 0.5)
    y = x + 0.001 * np.arange(20)
    y[[4, 7, 9]] += [0.3, 0.2, 0.1]
    y[[2, 5]] -= [0.3, 0.2]
    y[6] = np.nan
    labels = [f"task {i}$" for i in range(19)] + ["a name that is far too long to be written out beside a point"]
    scatter = Scatter("a", "b", x, y, {"TF": np.arange(20)}, 0.5, 19, labels)
    draw(tmp_path, Figure("roc", "AUROC", {}, [scatter]))
    text = (tmp_path / "roc.svg").read_text()
    assert {i for i in range(19) if f">task {i}$<" in text} == {4, 7, 9, 2, 5}
    before = [(tmp_path / f"roc.{kind}").read_bytes() for kind in ("png", "svg")]
    draw(tmp_path, Figure("roc", "AUROC", {}, [scatter]))
    assert [(tmp_path / f"roc.{kind}").read_bytes() for kind in ("png", "svg")] == before
    draw(tmp_path, Figure("pr", "AUPRC", {}, [Scatter("a", "b", x, x, {}, np.nan, 0, labels)]))
    assert "task" not in (tmp_path / "pr.svg").read_text()
