"""docs/picture.svg, the picture of the README: one variant of the demo read twice by the default model.

``python benchmarks/readme/picture.py [OUT.svg]``. Every bar is a prediction of the model.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

CHROM, POS, ALT = "demo3", 1513, "G"
"""The variant that completes the demo's flawed CTCF site"""
SHOWN = ("GM12878|CTCF", "K562|CTCF", "GM12878|Rad21", "GM12878|DNase", "K562|DNase", "GM12878|SP1")
LEFT, RIGHT, SITE = "TGGCCACCAGGG", "GCGCTA", "A"
"""The bases of the site beside the variant, as varscore.demo has them"""
REF_COLOUR, ALT_COLOUR = "#4477aa", "#cc6677"


def scored(folder: Path) -> dict[str, tuple[float, float]]:
    """Task -> prediction with REF and with ALT, of the shown tasks."""
    run = [sys.executable, "-m", "varscore"]
    subprocess.run([*run, "demo", str(folder)], check=True, stdout=subprocess.DEVNULL)
    files = [str(folder / "demo.vcf"), "-r", str(folder / "demo.fa"), "-o", str(folder / "out.tsv")]
    subprocess.run([*run, "annotate", *files, "--scores", str(folder / "all.parquet")], check=True)
    table = pq.read_table(folder / "all.parquet")
    places = zip(*(table[name].to_pylist() for name in ("chrom", "pos", "alt")), strict=True)
    row = list(places).index((CHROM, POS, ALT))
    names = [label.partition(":")[2] for label in json.loads(table.schema.metadata[b"varscoreTasks"])]
    ref, alt = table["ref_prob"][row].as_py(), table["alt_prob"][row].as_py()
    return {name: (ref[names.index(name)], alt[names.index(name)]) for name in SHOWN}


def text(x: float, y: float, words: str, size: int = 14, fill: str = "#333333", more: str = "") -> str:
    escaped = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}" {more}>{escaped}</text>'


def window(y: int, allele: str, colour: str, name: str) -> list[str]:
    """One of the two sequences, with its allele in a box."""
    mono = 'font-family="monospace" xml:space="preserve"'
    at = 30 + 8.4 * len(LEFT)
    return [
        text(30, y - 24, f"{name}: 1000 bases", 13, colour, 'font-weight="bold"'),
        f'<rect x="20" y="{y - 17}" width="182" height="25" rx="4" fill="none" stroke="{colour}"/>',
        f'<rect x="{at - 1}" y="{y - 14}" width="11" height="19" rx="2" fill="{colour}"/>',
        text(30, y, LEFT, 14, "#333333", mono),
        text(at, y, allele, 14, "#ffffff", f'{mono} font-weight="bold"'),
        text(at + 10, y, RIGHT, 14, "#333333", mono),
        f'<path d="M206 {y - 4} L262 {"105" if y < 100 else "125"}" stroke="{colour}" marker-end="url(#tip)"/>',
    ]


def bars(values: dict[str, tuple[float, float]]) -> list[str]:
    """A pair of bars a task, probability 0 to 1 over 180 pixels."""
    lines = []
    for row, (name, pair) in enumerate(values.items()):
        y = 36 + 29 * row
        lines.append(text(488, y + 14, name.replace("|", " "), 13, "#333333", 'text-anchor="end"'))
        for below, probability, colour in zip((0, 10), pair, (REF_COLOUR, ALT_COLOUR), strict=True):
            size = max(1.0, round(180 * probability, 1))
            lines.append(f'<rect x="496" y="{y + below}" width="{size}" height="9" fill="{colour}"/>')
        lines.append(text(694, y + 14, f"{pair[1] - pair[0]:+.2f}", 13))
    return lines


def picture(values: dict[str, tuple[float, float]]) -> str:
    said = f"{CHROM}:{POS} {SITE}>{ALT} completes a CTCF site: predictions with the reference and the alternative base"
    parts: Sequence[str] = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 230" width="760" height="230" '
        'font-family="sans-serif" role="img">',
        f"<title>{said.replace('>', '&gt;')}</title>",
        '<defs><marker id="tip" markerWidth="7" markerHeight="7" refX="6" refY="3" orient="auto">'
        '<path d="M0 0L6 3L0 6z" fill="#777777"/></marker></defs>',
        '<rect width="760" height="230" fill="#ffffff"/>',
        *window(72, SITE, REF_COLOUR, "reference"),
        *window(162, ALT, ALT_COLOUR, "alternative"),
        '<rect x="264" y="84" width="92" height="60" rx="8" fill="#eeeeee" stroke="#777777"/>',
        text(310, 119, "network", 14, "#333333", 'text-anchor="middle"'),
        '<path d="M358 114 L380 114" stroke="#777777" marker-end="url(#tip)"/>',
        text(496, 24, "predicted probability", 13),
        text(684, 24, "difference", 12),
        *bars(values),
        text(
            20,
            216,
            f"completes a CTCF site: {CHROM}:{POS} {SITE}>{ALT} of varscore demo, 6 of 207 tasks",
            12,
            "#777777",
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "docs" / "picture.svg"
    with tempfile.TemporaryDirectory() as place:
        target.write_text(picture(scored(Path(place))))
