"""The pictures of a run: one sequence's logo, or REF and ALT in one scale and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.genome.coords import anchor
from varscore.genome.sequence import decode
from varscore.interpret.logos import GAP, Picture, Row, png, svg
from varscore.interpret.subjects import AllelePair, Columns, Subject
from varscore.motifs.changes import MotifChange
from varscore.storage.whole import put_file, whole_file

TICK_EVERY = 10
LONGEST_LABEL = 8
"""Letters of a motif's name that stand beside its logo"""
WIDEST = 2800.0
"""Pixels of a picture of a whole window"""


def allele_picture(
    pair: AllelePair,
    ref: NDArray[np.float32],
    alt: NDArray[np.float32],
    flank: int,
    title: Sequence[str],
    site: MotifChange | None = None,
    unit: str = "",
) -> Picture:
    """REF and ALT one below the other, then ALT - REF of every column, where a gap counts as 0; not of a long allele,
    whose windows go on apart. Last the logo of a site's motif, where it stands.

    ref, alt: float32 (window,), what the base that is there contributes
    """
    columns = pair.columns.around(flank)
    before, after = _taken(ref, columns.ref), _taken(alt, columns.alt)
    rows = [
        Row("REF", _spelled(pair.ref.codes, columns.ref), before, unit=unit),
        Row("ALT", _spelled(pair.alt.codes, columns.alt), after, unit=unit),
    ]
    if columns.paired:
        rows.append(Row("ALT - REF", " " * len(before), after - before, bars=True, unit=unit))
    if site is not None:
        rows.append(_motif_row(pair, columns, site))
    foot = f"bases from {pair.variant.contig}:{int(pair.ref.labels[_first(columns)]):,}" if pair.ref.contig else ""
    return Picture(title, rows, _ticks(columns), (columns.inside.lo, columns.inside.hi), foot=foot)


def _first(columns: Columns) -> int:
    """The index in the REF window of the base at offset 0."""
    return int(columns.ref[columns.offsets.index("0")])


def _motif_row(pair: AllelePair, columns: Columns, site: MotifChange) -> Row:
    """A motif's bits below the bases of its site, as they read there: in REF, unless the site is in ALT alone or better
    there."""
    in_ref = site.sign == "-" or (site.sign == "~" and site.p[0] <= site.p[1])
    start, index = (site.start[0], columns.ref) if in_ref else (site.start[1], columns.alt)
    frequencies = site.motif.frequencies if site.strand == "+" else site.motif.frequencies[::-1, ::-1]
    bits = frequencies * (2 + (frequencies * np.log2(np.maximum(frequencies, 1e-300))).sum(1, keepdims=True))
    heights = np.zeros((len(index), 4))
    if start is not None:
        place = index - (start - (pair.variant.start - anchor(len(pair.ref.codes))))
        inside = (index >= 0) & (place >= 0) & (place < len(bits))
        heights[inside] = bits[place[inside]]
    name = site.motif.name
    label = name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}\u2026"
    return Row(label, " " * len(index), heights, unit="bits")


def sequence_picture(
    subject: Subject, scores: NDArray[np.float32], middle: int, flank: int, title: Sequence[str]
) -> Picture:
    """The logo of a window, ``flank`` bases to either side of ``middle``. scores: float32 (window,)"""
    shown = np.arange(max(middle - flank, 0), min(middle + flank + 1, len(scores)))
    ticks = [subject.labels[at] if (at - middle) % TICK_EVERY == 0 else "" for at in shown.tolist()]
    if max(map(len, ticks), default=0) > 6:  # long numbers would run into one another
        ticks = [tick if (at - middle) % (4 * TICK_EVERY) == 0 else "" for at, tick in zip(shown, ticks, strict=True)]
    row = Row(subject.allele if subject.allele != "." else "", _spelled(subject.codes, shown), scores[shown])
    return Picture(title, [row], ticks)


def stack_picture(table: NDArray[np.floating], middle: int, title: Sequence[str], label: str = "") -> Picture:
    """All bases of every position of a window, one on top of the other. table: float32 (4, window)

    Positions count from ``middle``.
    """
    length = table.shape[1]
    offsets = [at - middle for at in range(length)]
    every = TICK_EVERY if length <= 400 else 10 * TICK_EVERY
    ticks = [str(offset) if offset % every == 0 else "" for offset in offsets]
    row = Row(label, " " * length, np.asarray(table.T))
    return Picture(title, [row], ticks, column=min(14.0, max(2.0, WIDEST / max(length, 1))), height=140.0)


def put_picture(folder: Path, name: str, picture: Picture, kind: str) -> str:
    """Write a picture as ``svg`` or ``png``; returns the file's name. Raises OutputError."""
    path = folder / f"{name}.{kind}"
    if kind == "svg":
        put_file(path, svg(picture))
    else:
        with whole_file(path) as file:
            png(picture, file)
    return path.name


def _taken(scores: NDArray[np.float32], index: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.where(index >= 0, scores[index], 0).astype(np.float32)


def _spelled(codes: NDArray[np.uint8], index: NDArray[np.int64]) -> str:
    letters = decode(codes).decode()
    return "".join(letters[at] if at >= 0 else GAP for at in index.tolist())


def _ticks(columns: Columns) -> list[str]:
    """Every tenth offset from the first base of REF."""
    whole = [offset if "." not in offset else "" for offset in columns.offsets]
    return [offset if offset and int(offset) % TICK_EVERY == 0 else "" for offset in whole]
