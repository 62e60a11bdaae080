"""What every chart that matplotlib draws looks like: one set of colours, a light grid, no frame.

The colours are told apart by those who do not see red and green alike (Okabe and Ito's). matplotlib is an extra: it is
imported where something is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DPI = 120
_GREY, _LINE = "#5b6875", "#d9dfe6"
_STYLE: dict[Any, Any] = {
    "axes.prop_cycle": f"cycler('color', {list(COLOURS)})",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": _GREY, "axes.labelcolor": "#1d2733",
    "axes.grid": True, "axes.axisbelow": True, "grid.color": _LINE, "grid.linewidth": 0.6,
    "axes.titlesize": 10, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "xtick.color": _GREY, "ytick.color": _GREY, "lines.linewidth": 1.4, "lines.markersize": 5,
    "legend.frameon": False, "legend.fontsize": 8, "font.family": "DejaVu Sans",
}  # fmt: skip


@contextmanager
def standard(**more: object) -> Iterator[None]:
    """Figures made within look alike. more: further settings of matplotlib, ``_`` for the dots in their names"""
    import matplotlib

    given: dict[Any, Any] = {name.replace("_", ".", 1): value for name, value in more.items()}
    with matplotlib.rc_context({**_STYLE, **given}):
        yield


def paint(figure: Figure, file: BinaryIO, kind: str = "png", dpi: int = DPI) -> None:
    """Into a file that is open. The same figure is the same bytes: SVG would say when it was painted."""
    figure.savefig(file, dpi=dpi, format=kind, metadata={"Date": None} if kind == "svg" else None)
