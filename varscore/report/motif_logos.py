"""The page of ``varscore motifs``: logos of all filters, those that say most first, and the projection."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from varscore.interpret import logos
from varscore.interpret.logos import Box, Shape, Text
from varscore.interpret.motifs import Found, Placed
from varscore.report.page import Page, Section, markup, table

if TYPE_CHECKING:
    from markupsafe import Markup

STYLES = (
    ".filters{display:grid;grid-template-columns:repeat(auto-fill,minmax(19rem,1fr));gap:.6rem}"
    ".filters figure{margin:0;overflow:hidden}.filters figcaption{font-size:.8rem}.filters svg{max-width:100%}"
)
SIZE, MARGIN = 640.0, 60.0
"""Of the picture of the projection, in pixels"""


@dataclass(frozen=True)
class Shown:
    """A filter on the page."""

    id: str
    logo: Markup
    said: str


def filters_page(found: Found, model: str, families: Mapping[str, str]) -> str:
    """The HTML. Raises UsageError when jinja2 is not installed."""
    sections = [Section("counts", "What was found", _counts(found))]
    placed = found.placed(found.options.projection_q)
    if placed is not None:
        picture = _markup(projection_svg(found, placed, families))
        sections.append(Section("projection", "Projection", _pairs(found) + picture))
    shown = markup("motif_logos.html", outlines=_markup("".join(logos.outlines())), logos=_logos(found))
    sections.append(Section("filters", "Filters", shown))
    lead = f"First-layer filters of {model} over {found.sequences:,} sequences."
    return Page(f"Motifs of {model}", sections, lead=lead, styles=logos.style() + STYLES).html()


def _markup(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)


def _counts(found: Found) -> Markup:
    options, enough = found.options, sum(f.sites >= found.options.min_sites for f in found.filters)
    rows: list[tuple[str, object]] = [
        ("filters", len(found.filters)),
        (f"with {options.min_sites} sites or more", enough),
        ("motifs compared with", len(found.targets)),
        (f"matched at E < {options.e:g}", found.matched_e),
        (f"matched at q < {options.q:g}", found.matched_q),
        ("clusters", int(found.cluster.max()) + 1),
    ]
    return table(("", "number"), rows, right=("number",))


def _pairs(found: Found) -> Markup:
    """Are columns of the same motif on opposite strands alike? In numbers, for the picture and for all matched."""
    rows = []
    for q in dict.fromkeys((found.options.projection_q, found.options.q)):
        if (placed := found.placed(q)) is None:
            continue
        pairs = placed.pairs
        rows.append(
            (
                f"q < {q:g}: {len(placed.chosen)}",
                f"{pairs.opposite_cosine:.3f} ({pairs.opposite})",
                f"{pairs.same_cosine:.3f} ({pairs.same})",
                f"{pairs.other_cosine:.3f} ({pairs.other}), sd {pairs.spread:.3f}",
                f"{pairs.p:.3g}",
            )
        )
    names = ("filters", "same motif, opposite strands", "same motif, same strand", "all but the first", "p")
    return table(names, rows, right=names[1:])


def _logos(found: Found) -> list[Shown]:
    order = sorted(range(len(found.matrices)), key=lambda i: -_bits(found, i))
    return [_logo(found, i) for i in order]


def _bits(found: Found, matrix: int) -> float:
    return float(found.filters[int(found.index[matrix])].bits.sum())


def _logo(found: Found, matrix: int) -> Shown:
    motif = found.matrices[matrix]
    width = 9.0 * len(motif.frequencies)
    said = [f"{motif.sites:,.0f} sites", f"cluster {found.cluster[matrix]}"]
    if len(found.targets):
        best = int(found.best[matrix])
        strand = "-" if found.comparison.turned[matrix, best] else "+"
        said.insert(0, f"{found.targets[best].name} ({strand}), q {found.comparison.q[matrix, best]:.2g}")
    logo = logos.inline(logos.stack(motif.frequencies), width, 40, motif.id)
    return Shown(motif.id, _markup(logo), "; ".join(said))


def projection_svg(found: Found, placed: Placed, families: Mapping[str, str]) -> str:
    """A dot and a name for each filter, f as the motif is written, rc on the other strand; a colour a family."""
    targets = [found.targets[int(found.best[matrix])] for matrix in placed.chosen.tolist()]
    names = sorted({families.get(target.id, "") for target in targets})
    low, high = placed.places.min(0), placed.places.max(0)
    spread = (high - low).clip(1e-9)
    parts = []
    for matrix, target, place in zip(placed.chosen.tolist(), targets, placed.places, strict=True):
        x, y = (MARGIN + (place - low) / spread * (SIZE - 2 * MARGIN)).tolist()
        way = "rc" if found.comparison.turned[matrix, int(found.best[matrix])] else "f"
        hue = names.index(families.get(target.id, "")) / len(names)
        red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, 0.5, 0.6))
        title = escape(f"{found.matrices[matrix].id} {target.name} {way}")
        parts.append(
            f'<circle cx="{x:.1f}" cy="{SIZE - y:.1f}" r="3.5" fill="rgb({red},{green},{blue})">'
            f"<title>{title}</title></circle>"
        )
        parts.append(f'<text x="{x + 5:.1f}" y="{SIZE - y + 3:.1f}" font-size="9">{escape(target.name)} {way}</text>')
    axes: list[Shape] = [
        Box(MARGIN / 2, SIZE - MARGIN / 2, SIZE - MARGIN, 0.8, "axis"),
        Box(MARGIN / 2, MARGIN / 2, 0.8, SIZE - MARGIN, "axis"),
        Text(SIZE / 2, SIZE - 8, f"first component, {placed.shares[0]:.0%} of the variance", "middle"),
        Text(MARGIN / 2, 18, f"second component, {placed.shares[1]:.0%}"),
    ]
    frame = logos.inline(axes, SIZE, SIZE, "Projection of the filters on two principal components")
    return frame.replace("</svg>", "".join(parts) + "</svg>")
