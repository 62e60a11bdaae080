"""Pictures: letters stand where they should, as high as they should, and the text is well-formed and harmless."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from made_models import bases

from varscore.engine.exact.reach import Span
from varscore.formats.motifs import Motif
from varscore.genome.coords import Variant
from varscore.genome.sequence import encode
from varscore.interpret.logos import GLYPHS, LEFT, Letter, Picture, Row, draw, png, svg
from varscore.interpret.pictures import allele_picture, sequence_picture
from varscore.interpret.subjects import AllelePair, Subject, align
from varscore.motifs.changes import MotifChange

SVG = "{http://www.w3.org/2000/svg}"


def letters(picture: Picture) -> list[Letter]:
    return [shape for shape in draw(picture) if isinstance(shape, Letter)]


def test_heights_are_in_one_scale() -> None:
    rows = [Row("REF", "AC-T", np.array([1.0, -0.5, 0, 0.25])), Row("ALT", "ACGT", np.array([0.5, 0, 2, 0.25]))]
    shapes = letters(Picture(["title"], rows, [""] * 4))
    assert [shape.base for shape in shapes] == ["A", "C", "T", "A", "G", "T"]
    heights = np.array([shape.height for shape in shapes])
    assert heights / heights[0] == pytest.approx(np.array([1, -0.5, 0.25, 0.5, 2, 0.25]))
    assert shapes[0].y == shapes[1].y < shapes[3].y, "a row has one base line"
    assert shapes[4].x - shapes[3].x == pytest.approx(2 * 14)


def test_a_long_title_has_its_place() -> None:
    row = Row("REF", "ACGT", np.ones(4))
    narrow, wide = (Picture([title], [row], [""] * 4).width for title in ("t", "t" * 100))
    assert narrow == LEFT + 4 * 14 + 16 and wide >= 800


def test_nothing_is_nothing() -> None:
    assert letters(Picture([], [Row("", "NN", np.zeros(2))], ["", ""])) == []
    assert svg(Picture([], [], [])).startswith("<svg")


def test_svg_is_well_formed_and_escapes() -> None:
    picture = Picture(['<script>alert("1")</script> & more'], [Row("REF", "ACGT", np.ones(4))], ["-1", "", "", ""])
    root = ElementTree.fromstring(svg(picture))
    assert root.tag == f"{SVG}svg" and not list(root.iter(f"{SVG}script"))
    used = [element.get("href") for element in root.iter(f"{SVG}use")]
    assert used == ["#A", "#C", "#G", "#T"]
    assert {path.get("id") for path in root.iter(f"{SVG}path")} == set("ACGT")
    style = root.find(f"{SVG}style")
    assert style is not None and "prefers-color-scheme:dark" in (style.text or "")
    assert svg(picture) == svg(picture)
    assert "http://" not in svg(picture).replace('xmlns="http://www.w3.org/2000/svg"', "")


@pytest.mark.parametrize("base", GLYPHS)
def test_glyphs_fill_their_box(base: str) -> None:
    points = np.concatenate([np.array(outline) for outline in GLYPHS[base]])
    assert points.min(0) == pytest.approx([0, 0], abs=0.01)
    assert points[:, 1].max() == pytest.approx(1, abs=0.01) and points[:, 0].max() > 0.85


def made(ref: str, alt: str) -> AllelePair:
    """Windows of 41 bases around an allele."""
    left, right = bases(20, 1), bases(60, 2)
    subjects = [
        Subject("x", encode((left + allele + right)[:41].encode()), Span(0, 41), np.zeros(1, np.int64), [""] * 41)
        for allele in (ref, alt)
    ]
    nothing = np.zeros(1, np.float32)
    columns = align(len(ref), len(alt), 41)
    return AllelePair("x", Variant("chr1", 1, ref, alt), "chr1", subjects[0], subjects[1], columns, nothing, nothing)


def test_the_difference_row() -> None:
    pair = made("A", "ACC")
    ref, alt = np.arange(41, dtype=np.float32), 2 * np.arange(41, dtype=np.float32)
    picture = allele_picture(pair, ref, alt, 2, ["t"])
    first, second, difference = picture.rows
    assert len(first.letters) == 2 + 3 + 2 and first.letters[3:5] == "--" and second.letters[2:5] == "ACC"
    assert first.heights.tolist() == [18, 19, 20, 0, 0, 21, 22]
    assert second.heights.tolist() == [36, 38, 40, 42, 44, 46, 48]
    assert difference.bars and difference.heights.tolist() == (second.heights - first.heights).tolist()
    assert picture.marked == (2, 5)


@pytest.mark.parametrize(("strand", "top"), [("+", "ACG"), ("-", "CGT")])
def test_the_logo_of_a_motif_stands_below_its_site(strand: str, top: str) -> None:
    """The site begins a base before the allele, whose position is 1; after the second of its bases ALT has two more."""
    pair, nothing = made("A", "ACC"), np.zeros(41, np.float32)
    matrix = Motif("m", "A_LONG_NAME", np.array([[0.97, 0.01, 0.01, 0.01], [0.01, 0.97, 0.01, 0.01], [0, 0, 1, 0]]), 9)
    for sign, start, columns in (("-", (0, None), [1, 2, 5]), ("+", (None, 0), [1, 2, 3])):
        site = MotifChange(sign, matrix, strand, start, (None, None), (1e-6, 1e-2))
        row = allele_picture(pair, nothing, nothing, 2, ["t"], site).rows[-1]
        assert row.label == "A_LONG_\u2026" and row.heights.shape == (7, 4)
        assert np.flatnonzero(row.heights.any(1)).tolist() == columns
        assert "".join("ACGT"[base] for base in row.heights[columns].argmax(1)) == top
        sharp = row.heights[columns[2 if strand == "+" else 0]]
        assert sharp.max() == pytest.approx(2) and sharp.sum() == pytest.approx(2), "bits"
    rows = [Row("REF", "A", np.array([5.0])), Row("m", " ", np.array([[0, 2.0, 0, 0]]))]
    heights = [shape.height for shape in letters(Picture([], rows, [""]))]
    assert heights[0] == pytest.approx(heights[1]), "bits have a scale of their own"


def test_a_sequence_is_shown_around_its_middle() -> None:
    subject = made("A", "C").ref
    picture = sequence_picture(subject, np.ones(41, np.float32), 20, 5, ["t"])
    assert picture.rows[0].letters == subject.letters[15:26]
    assert picture.width > LEFT


@pytest.mark.usefixtures("painted")
def test_png_has_the_same_shapes() -> None:
    pytest.importorskip("matplotlib")
    file = io.BytesIO()
    png(allele_picture(made("A", "G"), np.ones(41, np.float32), -np.ones(41, np.float32), 3, ["$t"]), file)
    assert file.getvalue().startswith(b"\x89PNG") and len(file.getvalue()) > 2000
