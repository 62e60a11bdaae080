"""The learning curve of a run, for TensorBoard too, and the curves of a study.

All want the ``train`` extra, or are left out.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore import pictures
from varscore.pictures import COLOURS, standard
from varscore.storage.whole import whole_file

log = logging.getLogger(__name__)
MOST_LETTERS = 110
"""Bases of a sequence that can be read beside one another in a picture"""


def _missing(module: str, what: str) -> bool:
    if importlib.util.find_spec(module) is not None:
        return False
    log.warning("%s left out: %s is not installed (pip install %s)", what, module, module)
    return True


def learning_curve(path: Path, history: Sequence[dict[str, float]], title: str, loss: str) -> None:
    """PNG of training and validation loss against the epoch, how well tasks were told apart if that is known, and the
    learning rate. loss: what it is called
    """
    if _missing("matplotlib", "learning curve"):
        return
    from matplotlib.figure import Figure

    known = [kind for kind in ("auroc", "auprc") if any(name.startswith(kind) for name in history[-1])]
    epochs = [row["epoch"] + 1 for row in history]
    with standard():
        figure = Figure(figsize=(6, 4.5 + 2.3 * len(known)), layout="constrained")
        heights = (3, *[2.5] * len(known), 1)
        losses, *others, rates = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        losses.plot(epochs, [row["train_loss"] for row in history], marker=".", label="training")
        losses.plot(epochs, [row["validation_loss"] for row in history], marker=".", label="validation")
        losses.set(ylabel=loss, title=title)
        losses.legend()
        for axis, kind in zip(others, known, strict=True):
            for name in (name for name in history[-1] if name.startswith(kind)):
                group = name.removeprefix(kind).strip() or "all tasks"
                axis.plot(epochs, [row.get(name, np.nan) for row in history], marker=".", label=group)
            axis.set(ylabel=f"validation {kind.upper()}")  # each in its own range: progress is to be seen
            axis.legend()
        rates.plot(epochs, [row["lr"] for row in history], color="grey", drawstyle="steps-mid")
        rates.set(xlabel="epoch", ylabel="learning rate", yscale="log")
        with whole_file(path) as file:
            pictures.paint(figure, file)


def study_curves(path: Path, panels: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]) -> None:
    """PNG of test AUPRC against first-layer size: a panel a network, a line an arrangement, points (filters, AUPRC)."""
    if not panels or _missing("matplotlib", "picture of the study"):
        return
    from matplotlib.figure import Figure

    with standard():
        figure = Figure(figsize=(4.5 * len(panels) + 1, 4), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        names = sorted({name for lines in panels.values() for name in lines})
        for axis, (title, lines) in zip(axes, panels.items(), strict=True):
            for name, points in lines.items():
                axis.plot(
                    *zip(*points, strict=True), marker="o", color=COLOURS[names.index(name) % len(COLOURS)], label=name
                )
            sizes = sorted({filters for points in lines.values() for filters, _ in points})
            axis.set(title=title, xlabel="filters of the first layer", xticks=sizes)
        axes[0].set_ylabel("mean test AUPRC")
        axes[-1].legend()
        with whole_file(path) as file:
            pictures.paint(figure, file)


def difference_bars(path: Path, panels: Mapping[str, Mapping[str, float]], measure: str) -> None:
    """PNG of differences in ``measure``: a panel a comparison, a bar a data set, the largest first."""
    if not panels or _missing("matplotlib", "picture of the study"):
        return
    from matplotlib.figure import Figure

    sets = sorted({name for panel in panels.values() for name in panel})
    with standard(axes_grid=False):
        figure = Figure(figsize=(3 * len(panels) + 3, 1 + 0.2 * len(sets)), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, panel) in zip(axes, panels.items(), strict=True):
            bars = sorted(panel.items(), key=lambda bar: bar[1])
            axis.barh([name[:24] for name, _ in bars], [value for _, value in bars])
            axis.axvline(0, color="grey", linewidth=0.8)
            axis.set(title=title, xlabel=f"difference in {measure}")
            axis.tick_params(axis="y", labelsize=6)
        with whole_file(path) as file:
            pictures.paint(figure, file)


def mask_picture(
    path: Path,
    mean: NDArray[np.float64],
    masks: NDArray[np.floating],
    title: str,
    label: str,
    bases: Sequence[str] = (),
) -> None:
    """PNG of a mean attention mask, float (positions,), above a row for each of ``masks``, float (n, positions), with a
    colour bar. bases: of each row's sequence, a letter a base; written where they are few enough to be read"""
    if _missing("matplotlib", "picture of the attention masks"):
        return
    from matplotlib.figure import Figure

    height = max(0.2 * len(masks), 1)
    with standard(axes_grid=False):
        figure = Figure(figsize=(8, 3 + height), layout="constrained")
        curve, heat = figure.subplots(2, 1, sharex=True, height_ratios=(2, height))
        curve.plot(mean)
        curve.set(title=title, ylabel=label, ylim=(0, None))
        shown = heat.imshow(masks, aspect="auto", interpolation="nearest")
        figure.colorbar(shown, ax=heat, label="attention")
        heat.set(xlabel="position", ylabel="chosen sequences")
        step = max(map(len, bases), default=0) / max(masks.shape[1], 1)  # bases a position
        middle = float(masks.max(initial=0)) / 2
        for row, letters in enumerate(bases if masks.shape[1] * step <= MOST_LETTERS else ()):
            for at, letter in enumerate(letters):
                position = (at + 0.5) / step - 0.5
                ink = "black" if masks[row, min(int(at / step), masks.shape[1] - 1)] > middle else "white"
                heat.text(position, row, letter, ha="center", va="center", fontsize=5, color=ink)
        with whole_file(path) as file:
            pictures.paint(figure, file)


def log_to_tensorboard(folder: Path, history: Sequence[dict[str, float]]) -> None:
    """Event files that ``tensorboard --logdir`` reads, written anew from the history: a resumed run has one line."""
    if _missing("tensorboard", "TensorBoard log"):
        return
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        for row in history:
            for name, value in row.items():
                if name not in ("epoch", "step", "seconds"):
                    writer.add_scalar(name.replace(" ", "/"), value, int(row["step"]))
