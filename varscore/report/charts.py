"""The charts of a report as Bokeh models; report.js fills their sources. Colours come from the page's style.

A tag ``fill_color=up`` on a glyph lets the frame give it the page's colour of that name, light or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from varscore.report.chosen import E_EDGES, Counts

if TYPE_CHECKING:
    from bokeh.models import ColumnDataSource, Range1d
    from bokeh.models.renderers import GlyphRenderer
    from bokeh.models.ui import UIElement
    from bokeh.models.widgets import DataTable, StringFormatter
    from bokeh.plotting import figure as Figure

TEXT, NUMBER, SMALL, WHOLE = "text", "number", "small", "whole"
"""Kinds of columns: words, numbers, numbers over many powers of ten, positions"""
_TABLE_STYLE = """
:host { font: 13px system-ui, "DejaVu Sans", sans-serif; }
.slick-header-column, .bk-slick-header-column { background: var(--panel) !important; color: var(--faint) !important; }
.slick-cell, .bk-slick-cell { border-color: var(--line) !important; color: var(--ink); }
.slick-row, .bk-slick-row { background: var(--paper) !important; }
.slick-row.odd { background: var(--panel) !important; }
.slick-row:hover .slick-cell { background: var(--panel); }
.slick-cell.selected, .slick-row .selected { background: var(--mark) !important; }
.slick-viewport, .slick-pane, .slick-header { border-color: var(--line) !important; background: var(--paper); }
"""


def _figure(name: str, height: int, **options: Any) -> Figure:
    from bokeh.plotting import figure

    options = {"toolbar_location": None, "tools": "", **options}
    made = figure(name=name, height=height, sizing_mode="stretch_width", min_border_left=64, **options)
    made.toolbar.logo = None
    made.xgrid.visible = False
    return made


def _source(name: str, *columns: str) -> ColumnDataSource:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource({column: [] for column in columns}, name=name)


def _tag(renderer: GlyphRenderer[Any], *tags: str) -> None:
    renderer.glyph.tags = list(tags)


def histogram(name: str, edges: Sequence[float], counts: Sequence[int], label: str, signed: bool = False) -> Figure:
    """Counts on a logarithmic axis: most alleles do little."""
    from bokeh.models import ColumnDataSource, HoverTool

    shown = [(left, right, count) for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True) if count]
    plot = _figure(
        name,
        190,
        y_axis_type="log",
        x_range=(edges[0], edges[-1]),
        y_range=(0.5, 2 * max((count for *_, count in shown), default=1)),
        x_axis_label=label,
        y_axis_label="alleles",
    )
    for colour, sign in (("down", -1), ("up", 1)):
        part = [bar for bar in shown if sign * (bar[0] + bar[1]) > 0]
        data = {"left": [b[0] for b in part], "right": [b[1] for b in part], "count": [b[2] for b in part]}
        bars = plot.quad(left="left", right="right", top="count", bottom=0.5, source=ColumnDataSource(data))
        _tag(bars, f"fill_color={colour if signed else 'accent'}", "line_color=paper")
    plot.add_tools(HoverTool(tooltips=[("from", "@left{0.0000}"), ("to", "@right{0.0000}"), ("alleles", "@count")]))
    return plot


def summary_charts(counts: Counts) -> dict[str, UIElement]:
    charts: dict[str, UIElement] = {
        "histogram-diff": histogram(
            "histogram-diff", counts.diffs.edges, counts.diffs.counts, "largest difference", signed=True
        )
    }
    if any(counts.evalues):
        charts["histogram-e"] = histogram("histogram-e", E_EDGES, counts.evalues, "log10 of the smallest E-value")
    return charts


def allele_table(columns: Sequence[tuple[str, str, str]]) -> DataTable:
    """columns: (key, title, kind)"""
    from bokeh.models.css import InlineStyleSheet
    from bokeh.models.widgets import DataTable, TableColumn

    shown = [
        TableColumn(field=key, title=title, formatter=_formatter(kind), width=_WIDTHS.get(key, 92))
        for key, title, kind in columns
    ]
    return DataTable(
        name="alleles",
        source=_source("alleles-rows", "row", *(key for key, _, _ in columns)),
        columns=shown,
        index_position=None,
        height=430,
        sizing_mode="stretch_width",
        autosize_mode="none",
        row_height=26,
        selectable=True,
        reorderable=False,
        stylesheets=[InlineStyleSheet(css=_TABLE_STYLE)],
    )


_WIDTHS = {
    "place": 140, "change": 110, "id": 110, "gene": 100, "tss": 92, "task": 190, "e_task": 190, "motif": 160,
    "status": 110, "found": 300,
}  # fmt: skip


def _formatter(kind: str) -> StringFormatter:
    from bokeh.models.widgets.tables import NumberFormatter, ScientificFormatter, StringFormatter

    if kind == SMALL:
        return ScientificFormatter(precision=1, power_limit_low=-1, text_align="right", nan_format="")
    if kind == WHOLE:
        return NumberFormatter(format="0,0", text_align="right", nan_format="")
    if kind == NUMBER:
        return NumberFormatter(format="0.0000", text_align="right", nan_format="")
    return StringFormatter(nan_format="")


def locus_charts(has_genes: bool) -> dict[str, UIElement]:
    """Variants of a contig as lollipops, and the genes below them on the same axis."""
    from bokeh.models import HoverTool, NumeralTickFormatter, Range1d, TapTool
    from bokeh.models.annotations import Span

    axis = Range1d(start=0, end=1, name="locus-range")
    plot = _figure(
        "locus",
        230,
        x_range=axis,
        tools="xpan,xwheel_zoom,reset",
        toolbar_location="above",
        active_drag="xpan",
        y_axis_label="VS_DIFF",
        x_axis_label="position",
    )
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    zero = Span(location=0, dimension="width", tags=["line_color=line"])
    plot.add_layout(zero)
    source = _source("locus-dots", "x", "diff", "zero", "color", "label", "task", "row")
    plot.segment(x0="x", x1="x", y0="zero", y1="diff", color="color", line_width=2, source=source)
    dots = plot.scatter(x="x", y="diff", size=9, color="color", source=source)
    dots.nonselection_glyph = dots.selection_glyph = None
    chosen = plot.scatter(
        x="x", y="diff", size=16, fill_alpha=0, line_width=2, source=_source("locus-chosen", "x", "diff")
    )
    _tag(chosen, "line_color=ink")
    tips = [("allele", "@label"), ("VS_DIFF", "@diff{0.0000}"), ("task", "@task")]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=tips), TapTool(renderers=[dots]))
    charts: dict[str, UIElement] = {"locus": plot}
    if has_genes:
        charts["genes"] = _gene_chart(axis)
    return charts


def _gene_chart(axis: Range1d) -> Figure:
    from bokeh.models import HoverTool, Range1d

    plot = _figure(
        "genes", 130, x_range=axis, y_range=Range1d(start=-4.5, end=0.9), tools="xpan,xwheel_zoom", active_drag="xpan"
    )
    plot.xaxis.visible = plot.yaxis.visible = False
    plot.ygrid.visible = False
    source = _source("genes-bars", "left", "right", "lane", "name", "strand", "label", "middle")
    bars = plot.hbar(y="lane", left="left", right="right", height=0.28, source=source)
    _tag(bars, "fill_color=accent", "line_color=accent")
    names = plot.text(
        x="middle", y="lane", text="label", text_font_size="11px", y_offset=-7, text_align="center", source=source
    )
    _tag(names, "text_color=ink")
    plot.add_tools(HoverTool(renderers=[bars], tooltips=[("gene", "@name"), ("strand", "@strand")]))
    return plot


def allele_charts(amount: str, has_evalues: bool) -> dict[str, UIElement]:
    """The heat map of all tasks and the bars of the ten largest effects of one allele. amount: what is predicted"""
    tips = [("task", "@task"), ("reference", "@ref"), ("alternative", "@alt"), ("difference", "@diff")]
    tips += [("E-value", "@e")] if has_evalues else []
    return {"heat": _heat(tips), "bars": _bars(tips, amount)}


def _heat(tips: list[tuple[str, str]]) -> Figure:
    from bokeh.models import HoverTool, Range1d

    columns = ("x", "y", "label", "color", "ink", "task", "cell", "mark", "ref", "alt", "diff", "e")
    heat = _figure(
        "heat", 400, x_range=Range1d(start=0, end=1, name="heat-x"), y_range=Range1d(start=0, end=1, name="heat-y")
    )
    heat.axis.visible = False
    heat.grid.visible = False
    heat.min_border = heat.min_border_left = 0
    heat.outline_line_color = None
    source = _source("heat-tiles", *columns)
    tiles = heat.rect(x="x", y="y", width=0.96, height=0.92, color="color", source=source)
    words = heat.text(
        x="x",
        y="y",
        text="label",
        text_color="ink",
        text_font_size="10px",
        text_align="center",
        text_baseline="middle",
        source=source,
    )
    titles = heat.text(
        x="x",
        y="y",
        text="text",
        text_font_size="12px",
        text_font_style="bold",
        text_baseline="middle",
        source=_source("heat-titles", "x", "y", "text"),
    )
    _tag(titles, "text_color=ink")
    tiles.nonselection_glyph = words.nonselection_glyph = None
    heat.add_tools(HoverTool(renderers=[tiles], tooltips=tips))
    return heat


def _bars(tips: list[tuple[str, str]], amount: str) -> Figure:
    from bokeh.models import HoverTool, Range1d

    bars = _figure(
        "bars",
        300,
        x_axis_label=f"difference of {amount} (alternative - reference)",
        y_range=Range1d(start=-10.5, end=0.5),
        x_range=Range1d(start=-1, end=1, name="bars-x"),
    )
    bars.yaxis.visible = False
    bars.ygrid.visible = False
    found = _source("bars-found", "y", "diff", "color", "task", "text", "ref", "alt", "e", "place", "anchor")
    drawn = bars.hbar(y="y", right="diff", left=0, height=0.72, color="color", source=found)
    said = bars.text(
        x="place",
        y="y",
        text="text",
        text_align={"field": "anchor"},
        text_baseline="middle",
        text_font_size="12px",
        source=found,
    )
    _tag(said, "text_color=ink")
    bars.add_tools(HoverTool(tooltips=tips, renderers=[drawn]))
    return bars


def cell_chart(names: Sequence[str], relative: Sequence[float], notes: Sequence[str]) -> Figure:
    """How much more the strongest alleles change some cells than the median cell, which is the line at 1."""
    from bokeh.models import ColumnDataSource, HoverTool
    from bokeh.models.annotations import Span

    data = {"name": list(names), "ratio": list(relative), "note": list(notes)}
    low, high = min([0.9, *relative]), max([1.1, *relative])
    plot = _figure(
        "cells",
        50 + 20 * len(names),
        y_range=list(names)[::-1],
        x_range=(low - 0.02, high + 0.02),
        x_axis_label="times as much as in the median cell",
    )
    plot.min_border_left = 120
    source = ColumnDataSource(data)
    plot.segment(y0="name", y1="name", x0=1, x1="ratio", line_width=2, source=source).glyph.tags = ["line_color=accent"]
    dots = plot.scatter(x="ratio", y="name", size=9, source=source)
    _tag(dots, "fill_color=accent", "line_color=accent")
    plot.add_layout(Span(location=1, dimension="height", tags=["line_color=ink"]))
    tips = [("cells", "@name"), ("against the median cell", "@ratio{0.00}"), ("tasks", "@note")]
    plot.add_tools(HoverTool(tooltips=tips, renderers=[dots]))
    return plot


def track_chart(amount: str) -> Figure:
    """What is predicted on either side of an allele, with REF and with ALT; report.js fills it."""
    from bokeh.models import HoverTool, Range1d

    plot = _figure(
        "tracks-chart",
        210,
        x_range=Range1d(start=-2000, end=2000, name="tracks-x"),
        y_range=Range1d(start=0, end=1, name="tracks-y"),
        y_axis_label=amount,
        x_axis_label="bases from the allele",
    )
    source = _source("tracks", "left", "right", "middle", "ref", "alt")
    differ = plot.quad(
        left="left", right="right", bottom="ref", top="alt", line_width=0, fill_alpha=0.35, source=source
    )
    _tag(differ, "fill_color=accent")
    for name, colour, width in (("ref", "faint", 2), ("alt", "accent", 2)):
        line = plot.segment(x0="left", x1="right", y0=name, y1=name, line_width=width, source=source)
        _tag(line, f"line_color={colour}")
    here = plot.segment(
        x0=0, x1=0, y0="low", y1="high", line_dash="dashed", source=_source("tracks-here", "low", "high")
    )
    _tag(here, "line_color=ink")
    tips = [
        ("from the allele", "@left{0,0} to @right{0,0}"),
        ("reference", "@ref{0.0000}"),
        ("alternative", "@alt{0.0000}"),
    ]
    plot.add_tools(HoverTool(tooltips=tips, renderers=[differ], mode="vline"))
    return plot


def logo_chart() -> Figure:
    """Letters as outlines, three rows over one another; report.js makes the polygons."""
    from bokeh.models import ColumnDataSource, Range1d

    plot = _figure(
        "logo-chart",
        330,
        x_range=Range1d(start=-30, end=31, name="logo-x"),
        y_range=Range1d(start=-4.8, end=1.15, name="logo-y"),
    )
    plot.yaxis.visible = False
    plot.grid.visible = False
    plot.xaxis.axis_label = "bases from the first changed base"
    marks = plot.quad(
        left="left",
        right="right",
        top=1.15,
        bottom=-4.8,
        fill_alpha=0.55,
        line_width=0,
        source=_source("logo-marks", "left", "right"),
    )
    _tag(marks, "fill_color=mark", "line_color=mark")
    letters = ColumnDataSource({"xs": [], "ys": [], "color": []}, name="logo")
    plot.multi_polygons(xs="xs", ys="ys", color="color", line_width=0, source=letters)
    lines = plot.segment(x0="x0", x1="x1", y0="y", y1="y", source=_source("logo-lines", "x0", "x1", "y"))
    _tag(lines, "line_color=faint")
    words = plot.text(x="x", y="y", text="text", text_font_size="12px", source=_source("logo-words", "x", "y", "text"))
    _tag(words, "text_color=ink")
    sites = _source("logo-sites", "x0", "x1", "y", "text", "color")
    plot.segment(x0="x0", x1="x1", y0="y", y1="y", color="color", line_width=3, source=sites)
    plot.text(x="x0", y="y", text="text", text_color="color", text_font_size="11px", y_offset=-2, source=sites)
    return plot
