"""Pictures of a report, arranged as DanQ's figures 2 and 3: curves of chosen tasks, and task against task.

They want matplotlib, which the extra ``train`` brings, or are left out.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from varscore import pictures
from varscore.evaluate.curves import Curve
from varscore.evaluate.reliability import Bins
from varscore.pictures import standard
from varscore.storage.whole import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)

FORMATS = ("png", "svg")
RELIABILITY = "reliability"
_COLUMNS = 4
_NAMED = 3
"""Tasks on either side of a scatter's diagonal that are written out"""
_LEAST = 1e-5
"""The beginning of logarithmic axes: smaller shares, and none at all, are drawn there"""


@dataclass(frozen=True)
class Scatter:
    """A measure of every task by two networks. x, y: float64 (tasks,), NaN where there is none.

    groups: name -> int64 (k,), the members of each; labels: names of the tasks; those farthest from the diagonal are
    written. won: share of the tasks counted on which y is larger; NaN without.
    """

    x_name: str
    y_name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    groups: Mapping[str, NDArray[np.int64]]
    won: float
    counted: int
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """``roc`` or ``pr``. curves: title of the task -> name of the network -> its curve and the area below it."""

    name: str
    measure: str
    curves: Mapping[str, Mapping[str, tuple[Curve, float]]]
    scatters: Sequence[Scatter]


def draw(folder: Path, figure: Figure) -> list[Path]:
    """Write the figure as PNG and SVG; returns the files. Raises OutputError."""
    curves = [partial(_draw_curves, kind=figure.name, title=title, lines=x) for title, x in figure.curves.items()]
    scatters = [partial(_draw_scatter, measure=figure.measure, scatter=scatter) for scatter in figure.scatters]
    return _paint(folder, figure.name, [*curves, *scatters])


def draw_reliability(folder: Path, groups: Mapping[str, Mapping[str, Bins]]) -> list[Path]:
    """Observed against predicted shares as PNG and SVG; returns the files. groups: group of tasks -> model -> its bins

    Raises OutputError.
    """
    return _paint(folder, RELIABILITY, [partial(_draw_reliability, title=name, lines=x) for name, x in groups.items()])


def _paint(folder: Path, name: str, panels: Sequence[Callable[[Axes], None]]) -> list[Path]:
    """A picture of some panels."""
    if not panels:
        return []
    if importlib.util.find_spec("matplotlib") is None:
        log.warning("pictures left out: matplotlib is not installed (pip install matplotlib)")
        return []
    from matplotlib.figure import Figure as Canvas

    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    paths = [folder / f"{name}.{kind}" for kind in FORMATS]
    # the same report is the same bytes: SVG names its parts at random, and dates itself, unless told otherwise
    with standard(svg_hashsalt=name, svg_fonttype="none"):
        canvas = Canvas(figsize=(4.2 * columns, 4.2 * rows), layout="constrained")
        axes = list(canvas.subplots(rows, columns, squeeze=False).flat)
        for draw_into, place in zip(panels, axes, strict=False):
            draw_into(place)
        for spare in axes[len(panels) :]:
            spare.remove()
        for path, kind in zip(paths, FORMATS, strict=True):
            with whole_file(path) as file:
                pictures.paint(canvas, file, kind)
    return paths


def _draw_reliability(axes: Axes, title: str, lines: Mapping[str, Bins]) -> None:
    for name, bins in lines.items():
        predicted, observed = bins.points()
        axes.plot(np.maximum(predicted, _LEAST), np.maximum(observed, _LEAST), marker=".", label=_plain(name))
    axes.plot([_LEAST, 1], [_LEAST, 1], color="grey", linestyle=":", linewidth=1)
    axes.set(xlabel="predicted probability", ylabel="share of positives", title=_plain(title))
    axes.set(xscale="log", yscale="log", xlim=(_LEAST, 1), ylim=(_LEAST, 1))
    axes.set_box_aspect(1)
    axes.legend(loc="upper left")


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
    axes.legend()


def _draw_scatter(axes: Axes, measure: str, scatter: Scatter) -> None:
    for name, members in scatter.groups.items():
        axes.scatter(scatter.x[members], scatter.y[members], s=9, alpha=0.6, linewidths=0, label=_plain(name) or None)
    both = np.concatenate([scatter.x, scatter.y])
    low = float(np.nanmin(both, initial=1.0)) if np.isfinite(both).any() else 0.0
    low = max(0.0, np.floor(20 * low) / 20)
    high = min(1.0, np.ceil(20 * float(np.nanmax(both, initial=0.0))) / 20) if np.isfinite(both).any() else 1.0
    if low == high:  # all tasks have one value
        low, high = max(0.0, low - 0.05), min(1.0, high + 0.05)
    axes.plot([low, high], [low, high], color="grey", linewidth=1)
    won = f"larger on {scatter.won:.1%} of {scatter.counted:,} tasks" if np.isfinite(scatter.won) else ""
    axes.set(
        title=won,
        xlabel=f"{measure}, {_plain(scatter.x_name)}",
        ylabel=f"{measure}, {_plain(scatter.y_name)}",
        xlim=(low, high),
        ylim=(low, high),
    )
    axes.set_box_aspect(1)
    for task, up in _farthest(scatter):
        above = up and scatter.y[task] < high - 0.04 * (high - low)  # a name does not run into the title
        axes.annotate(
            _plain(_shortened(scatter.labels[task])),
            (scatter.x[task], scatter.y[task]),
            fontsize=6,
            color="dimgrey",
            xytext=(-3 if up else 3, 3 if above else -3),
            textcoords="offset points",
            ha="right" if up else "left",
            va="bottom" if above else "top",
        )
    if any(scatter.groups):
        axes.legend(loc="lower right")


def _farthest(scatter: Scatter) -> list[tuple[int, bool]]:
    """The tasks that the two networks differ in most, on either side, and whether y is larger there."""
    ahead = np.nan_to_num(scatter.y - scatter.x)[: len(scatter.labels)]
    order = np.argsort(ahead, kind="stable").tolist()
    below = [(task, False) for task in order[:_NAMED] if ahead[task] < 0]
    return below + [(task, True) for task in order[::-1][:_NAMED] if ahead[task] > 0]


def _shortened(name: str, most: int = 28) -> str:
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _plain(text: str) -> str:
    """A name that is drawn as it is: dollars would begin mathematics."""
    return text.replace("$", r"\$")
