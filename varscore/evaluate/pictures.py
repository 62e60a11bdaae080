"""Pictures of a report, arranged as DanQ's figures 2 and 3: curves of chosen tasks, and task against task.

They want matplotlib, which the extra ``train`` brings, or are left out.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from varscore.evaluate.curves import Curve
from varscore.files.whole import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)

FORMATS = ("png", "svg")
_COLUMNS = 4


@dataclass(frozen=True)
class Scatter:
    """A measure of every task by two networks. x, y: float64 (tasks,), NaN where there is none.

    groups: name -> int64 (k,), the members of each. won: share of the tasks counted on which y is larger; NaN without.
    """

    x_name: str
    y_name: str
    x: np.ndarray
    y: np.ndarray
    groups: Mapping[str, np.ndarray]
    won: float
    counted: int


@dataclass(frozen=True)
class Figure:
    """``roc`` or ``pr``. curves: title of the task -> name of the network -> its curve and the area below it."""

    name: str
    measure: str
    curves: Mapping[str, Mapping[str, tuple[Curve, float]]]
    scatters: Sequence[Scatter]


def draw(folder: Path, figure: Figure) -> list[Path]:
    """Write the figure as PNG and SVG; returns the files. Raises OutputError."""
    panels = len(figure.curves) + len(figure.scatters)
    if not panels:
        return []
    if importlib.util.find_spec("matplotlib") is None:
        log.warning("pictures left out: matplotlib is not installed (pip install 'varscore[train]')")
        return []
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    columns = min(panels, _COLUMNS)
    rows = -(-panels // columns)
    paths = [folder / f"{figure.name}.{kind}" for kind in FORMATS]
    # the same report is the same bytes: SVG names its parts at random, and dates itself, unless told otherwise
    with matplotlib.rc_context({"svg.hashsalt": figure.name, "svg.fonttype": "none"}):
        canvas = Canvas(figsize=(4.2 * columns, 4.2 * rows), layout="constrained")
        axes = iter(canvas.subplots(rows, columns, squeeze=False).flat)
        for title, lines in figure.curves.items():
            _draw_curves(next(axes), figure.name, title, lines)
        for scatter in figure.scatters:
            _draw_scatter(next(axes), figure.measure, scatter)
        for spare in axes:
            spare.remove()
        for path, kind in zip(paths, FORMATS, strict=True):
            with whole_file(path) as file:
                canvas.savefig(file, dpi=120, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return paths


def _draw_curves(axes: Axes, kind: str, title: str, lines: Mapping[str, tuple[Curve, float]]) -> None:
    for name, (curve, area) in lines.items():
        label = f"{_plain(name)} ({area:.3f})"
        if kind == "roc":
            axes.plot(curve.false_positive_rate, curve.recall, label=label)
        else:
            axes.plot(curve.recall, curve.precision, drawstyle="steps-pre", label=label)
    if kind == "roc":
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
    else:
        axes.set(xlabel="recall", ylabel="precision")
    axes.set(title=_plain(title), xlim=(0, 1), ylim=(0, 1.02))
    axes.set_box_aspect(1)
    axes.legend(frameon=False, fontsize="small")


def _draw_scatter(axes: Axes, measure: str, scatter: Scatter) -> None:
    for name, members in scatter.groups.items():
        axes.scatter(scatter.x[members], scatter.y[members], s=9, alpha=0.6, linewidths=0, label=_plain(name) or None)
    both = np.concatenate([scatter.x, scatter.y])
    low = float(np.nanmin(both, initial=1.0)) if np.isfinite(both).any() else 0.0
    low = max(0.0, np.floor(20 * low) / 20)
    high = min(1.0, np.ceil(20 * float(np.nanmax(both, initial=0.0))) / 20) if np.isfinite(both).any() else 1.0
    axes.plot([low, high], [low, high], color="grey", linewidth=1)
    won = f"larger on {scatter.won:.1%} of {scatter.counted:,} tasks" if np.isfinite(scatter.won) else ""
    axes.set(
        title=won, xlabel=f"{measure}, {_plain(scatter.x_name)}", ylabel=f"{measure}, {_plain(scatter.y_name)}",
        xlim=(low, high), ylim=(low, high),
    )  # fmt: skip
    axes.set_box_aspect(1)
    if any(scatter.groups):
        axes.legend(frameon=False, fontsize="small", loc="lower right")


def _plain(text: str) -> str:
    """A name that is drawn as it is: dollars would begin mathematics."""
    return text.replace("$", r"\$")
