"""Sequence logos: letters as high as a base counts, drawn as outlines, so that they look the same everywhere.

A picture is a list of shapes in pixels, y downwards. :func:`svg` writes it without any font for the bases; it follows
the reader's light or dark style. :func:`png` paints the same shapes with matplotlib, on white.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from varscore import pictures

COLOURS = {"A": "#1a9641", "C": "#2b6fdb", "G": "#f59e0b", "T": "#d7263d"}
"""A green, C blue, G orange, T red; each can be told from white and from near black"""
INK = {"text": "#222222", "axis": "#888888", "box": "#8888aa", "bar": "#6b7280", "faint": "#bbbbbb"}
DARK = {"text": "#eeeeee", "axis": "#888888", "box": "#9999bb", "bar": "#9ca3af", "faint": "#555555"}
PAPER = ("#ffffff", "#14161a")
"""Behind the picture: light, dark"""
GAP = "-"


def _ring(first: float, last: float, x: float, y: float, wide: float, high: float) -> list[tuple[float, float]]:
    """Points of an ellipse from one angle to another, in degrees."""
    steps = 18
    angles = [math.radians(first + (last - first) * i / steps) for i in range(steps + 1)]
    return [(round(x + wide * math.cos(a), 3), round(y + high * math.sin(a), 3)) for a in angles]


_OUTER, _INNER = (0.5, 0.5, 0.5, 0.5), (0.5, 0.5, 0.31, 0.33)
_C = [*_ring(38, 322, *_OUTER), *_ring(318, 42, *_INNER)]
_G = [
    *_ring(38, 322, *_OUTER),
    (0.93, 0.5),
    (0.52, 0.5),
    (0.52, 0.36),
    (0.74, 0.36),
    *_ring(318, 42, *_INNER),
]
GLYPHS: dict[str, list[list[tuple[float, float]]]] = {
    "A": [
        [(0, 0), (0.4, 1), (0.6, 1), (1, 0), (0.79, 0), (0.7, 0.24), (0.3, 0.24), (0.21, 0)],
        [(0.36, 0.4), (0.64, 0.4), (0.5, 0.78)],
    ],
    "C": [_C],
    "G": [_G],
    "T": [[(0.4, 0), (0.6, 0), (0.6, 0.84), (1, 0.84), (1, 1), (0, 1), (0, 0.84), (0.4, 0.84)]],
}
"""Outlines of the letters in a box of 1 x 1, y upwards; where two overlap there is a hole"""


@dataclass(frozen=True, slots=True)
class Letter:
    """A base that stands on (x, y), or hangs from it, upside down, if ``height`` is negative."""

    base: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; ``ink`` names its colour."""

    x: float
    y: float
    width: float
    height: float
    ink: str
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Text:
    x: float
    y: float
    words: str
    anchor: str = "start"
    size: int = 11
    bold: bool = False


Shape = Letter | Box | Text


@dataclass(frozen=True)
class Row:
    """One line of a picture: what stands in each column, and how high.

    unit: of the heights; letters: a base, or ``-`` for nothing, each
    heights: float (columns,), or (columns, 4) for letters of all bases on top of one another, the lowest next to the
    line; with ``bars`` there are no letters but bars
    """

    label: str
    letters: str
    heights: NDArray[np.floating]
    bars: bool = False
    unit: str = ""

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest that anything reaches, 0 among them."""
        below, above = np.minimum(self.heights, 0), np.maximum(self.heights, 0)
        if self.heights.ndim == 2:
            below, above = below.sum(1), above.sum(1)
        return float(below.min(initial=0)), float(above.max(initial=0))


@dataclass(frozen=True)
class Picture:
    """Rows one below the other, those of letters in one scale, those of stacks and those of bars in others.

    title: lines; ticks: a label, or nothing, below each column; marked: columns behind which there is a shade, [first,
    last); foot: what the ticks count
    """

    title: Sequence[str]
    rows: Sequence[Row]
    ticks: Sequence[str]
    marked: tuple[int, int] | None = None
    column: float = 14.0
    height: float = 90.0
    foot: str = ""

    @property
    def width(self) -> float:
        columns = LEFT + max((len(row.letters) for row in self.rows), default=0) * self.column + RIGHT
        return max(columns, *(24 + WIDE * len(words) for words in self.title), 0)

    @property
    def depth(self) -> float:
        return 18 * len(self.title) + 14 + len(self.rows) * (self.height + BETWEEN) + 22 + 16 * bool(self.foot)


LEFT, RIGHT, BETWEEN = 84.0, 16.0, 22.0
WIDE = 8.0
"""A letter of a title, about"""


def draw(picture: Picture) -> list[Shape]:
    """The shapes of a picture."""
    shapes: list[Shape] = [
        Text(12, 18 * (line + 1), words, size=13 if line == 0 else 11, bold=line == 0)
        for line, words in enumerate(picture.title)
    ]
    top = 18 * len(picture.title) + 14.0
    bottom = top + len(picture.rows) * (picture.height + BETWEEN) - 8
    if picture.marked is not None:
        first, last = picture.marked
        size = ((last - first) * picture.column, bottom - top - 8)
        shapes.append(Box(LEFT + first * picture.column, top - 4, *size, "box", 0.22))
    for number, row in enumerate(picture.rows):
        lowest, highest = _bounds(picture, row)
        scale = picture.height / max(highest - lowest, 1e-12)
        zero = top + number * (picture.height + BETWEEN) + highest * scale
        shapes += _row(picture, row, zero, scale, highest, lowest)
    for column, tick in enumerate(picture.ticks):
        if tick:
            shapes.append(Text(LEFT + (column + 0.5) * picture.column, bottom + 10, tick, "middle", 10))
    if picture.foot:
        shapes.append(Text(LEFT + len(picture.ticks) / 2 * picture.column, bottom + 26, picture.foot, "middle", 10))
    return shapes


def _bounds(picture: Picture, row: Row) -> tuple[float, float]:
    """The lowest and the highest of all rows that have a scale with this one in common: of letters, stacks or bars."""
    kinds = [(other.bars, other.heights.ndim) for other in picture.rows]
    kind = (row.bars, row.heights.ndim)
    alike = [other.bounds for other, its in zip(picture.rows, kinds, strict=True) if its == kind]
    return min(low for low, _ in alike), max(high for _, high in alike)


def _row(picture: Picture, row: Row, zero: float, scale: float, highest: float, lowest: float) -> Iterator[Shape]:
    wide = picture.column
    yield Box(LEFT, zero - 0.4, len(row.letters) * wide, 0.8, "axis")
    middle = zero - (highest + lowest) / 2 * scale
    yield Text(12, middle + 4, row.label, size=12, bold=True)
    if row.unit:
        yield Text(12, middle + 17, row.unit, size=9)
    for value in (highest, lowest):
        if abs(value) * scale > 8:
            yield Text(LEFT - 4, zero - value * scale + 4, f"{value:.2g}", "end", 9)
    if row.heights.ndim == 2:
        for column, heights in enumerate(row.heights):
            yield from _stack(LEFT + column * wide, wide, zero, heights * scale)
        return
    for column, (letter, height) in enumerate(zip(row.letters, row.heights.tolist(), strict=True)):
        x, size = LEFT + column * wide, height * scale
        if row.bars:
            yield Box(x + wide * 0.15, zero - max(size, 0), wide * 0.7, abs(size), "bar")
        elif letter in GLYPHS and abs(size) > 0.05:
            yield Letter(letter, x + wide * 0.04, zero, wide * 0.92, size)
        elif letter == GAP:
            yield Box(x + wide * 0.2, zero - 1.2, wide * 0.6, 2.4, "faint")


def _stack(x: float, wide: float, zero: float, heights: NDArray[np.floating]) -> Iterator[Letter]:
    """Letters on top of one another, those below the line hanging; heights: float (4,), in pixels."""
    above = below = zero
    for base in np.argsort(np.abs(heights)).tolist():
        height = float(heights[base])
        if abs(height) < 0.05:
            continue
        yield Letter("ACGT"[base], x + wide * 0.04, above if height > 0 else below, wide * 0.92, height)
        above, below = above - max(height, 0), below - min(height, 0)


def _path(base: str) -> str:
    outlines = ("L".join(f"{x:g} {y:g}" for x, y in points) for points in GLYPHS[base])
    return "".join(f"M{outline}Z" for outline in outlines)


def style() -> str:
    """Colours of the light and of the dark style."""
    light = "".join(f".{name}{{fill:{colour}}}" for name, colour in {**INK, **COLOURS}.items())
    dark = "".join(f".{name}{{fill:{colour}}}" for name, colour in DARK.items())
    return (
        f"text{{font-family:sans-serif;fill:{INK['text']}}}.paper{{fill:{PAPER[0]}}}{light}"
        f"@media(prefers-color-scheme:dark){{text{{fill:{DARK['text']}}}.paper{{fill:{PAPER[1]}}}{dark}}}"
    )


def svg(picture: Picture) -> str:
    """The picture as SVG text. The same picture gives the same bytes."""
    return document(draw(picture), picture.width, picture.depth, " ".join(picture.title))


def document(shapes: Sequence[Shape], width: float, depth: float, title: str) -> str:
    """Shapes as a file of their own."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {depth:g}" '
        f'width="{width:g}" height="{depth:g}" role="img">',
        f"<title>{escape(title)}</title><style>{style()}</style><defs>",
        *outlines(),
        '</defs><rect class="paper" width="100%" height="100%"/>',
        *map(_element, shapes),
        "</svg>\n",
    ]
    return "\n".join(parts)


def outlines() -> list[str]:
    """The letters, for the ``defs`` of a picture or of a page with many."""
    return [f'<path id="{base}" fill-rule="evenodd" d="{_path(base)}"/>' for base in GLYPHS]


def inline(shapes: Sequence[Shape], width: float, depth: float, title: str) -> str:
    """Shapes as a part of a page that has :func:`style` and, once, :func:`outlines`."""
    head = f'<svg viewBox="0 0 {width:g} {depth:g}" width="{width:g}" height="{depth:g}" role="img">'
    return f"{head}<title>{escape(title)}</title>{''.join(map(_element, shapes))}</svg>"


def stack(frequencies: NDArray[np.float64], column: float = 9.0, height: float = 40.0) -> list[Shape]:
    """A matrix, float64 (w, 4), as a logo: in each column the bases above one another, the most frequent on top, as
    high together as the column has bits, of 2 that ``height`` is for."""
    bits = 2 + (frequencies * np.log2(np.maximum(frequencies, 1e-300))).sum(1)
    shapes: list[Shape] = []
    for place, (row, information) in enumerate(zip(frequencies.tolist(), bits.tolist(), strict=True)):
        y = height
        for base in sorted(range(4), key=row.__getitem__):
            size = row[base] * information / 2 * height
            if size > 0.4:
                shapes.append(Letter("ACGT"[base], place * column, round(y, 1), column, round(size, 1)))
            y -= size
    return shapes


def _element(shape: Shape) -> str:
    if isinstance(shape, Letter):
        place = f"translate({shape.x:.2f} {shape.y:.2f})scale({shape.width:.2f} {-shape.height:.3f})"
        return f'<use href="#{shape.base}" class="{shape.base}" transform="{place}"/>'
    if isinstance(shape, Box):
        faint = "" if shape.opacity == 1 else f' opacity="{shape.opacity:g}"'
        place = f'x="{shape.x:.2f}" y="{shape.y:.2f}" width="{shape.width:.2f}" height="{shape.height:.2f}"'
        return f'<rect class="{shape.ink}" {place}{faint}/>'
    bold = ' font-weight="bold"' if shape.bold else ""
    place = f'x="{shape.x:.2f}" y="{shape.y:.2f}" font-size="{shape.size}" text-anchor="{shape.anchor}"{bold}'
    return f"<text {place}>{escape(shape.words)}</text>"


def png(picture: Picture, file: BinaryIO, dpi: int = 144) -> None:
    """Paint the picture with matplotlib, on white."""
    from matplotlib.figure import Figure
    from matplotlib.patches import PathPatch, Rectangle
    from matplotlib.path import Path

    figure = Figure(figsize=(picture.width / 72, picture.depth / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, picture.width), ylim=(picture.depth, 0))
    axes.axis("off")
    for shape in draw(picture):
        if isinstance(shape, Letter):
            outlines = [np.array([*points, points[0]]) for points in GLYPHS[shape.base]]
            placed = [points * (shape.width, -shape.height) + (shape.x, shape.y) for points in outlines]
            path = Path.make_compound_path(*(Path(points, closed=True) for points in placed))
            axes.add_patch(PathPatch(path, facecolor=COLOURS[shape.base], linewidth=0))
        elif isinstance(shape, Box):
            colour, size = INK[shape.ink], (shape.width, shape.height)
            axes.add_patch(Rectangle((shape.x, shape.y), *size, facecolor=colour, linewidth=0, alpha=shape.opacity))
        else:
            horizontal = {"start": "left", "middle": "center", "end": "right"}[shape.anchor]
            axes.text(
                shape.x,
                shape.y,
                shape.words.replace("$", r"\$"),
                fontsize=shape.size,
                ha=horizontal,
                weight="bold" if shape.bold else "normal",
                color=INK["text"],
            )
    pictures.paint(figure, file, dpi=dpi)
