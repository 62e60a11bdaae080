"""MEME files as others read them: the text by the letter, a strict reader of the format's rules, Biopython."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import numpy as np
import pytest
from motifs.made_motifs import random_motif

from varscore.formats.motifs import Motif, format_meme

GATA = Motif("filter007", "GATA1", np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0.5, 0.125, 0.125, 0.25]]), 31)
TEXT = """\
MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.300000 C 0.200000 G 0.200000 T 0.300000

MOTIF filter007 GATA1
letter-probability matrix: alength= 4 w= 4 nsites= 31 E= 0
0.000000 0.000000 1.000000 0.000000
1.000000 0.000000 0.000000 0.000000
0.000000 0.000000 0.000000 1.000000
0.500000 0.125000 0.125000 0.250000

MOTIF filter008
letter-probability matrix: alength= 4 w= 1 nsites= 0 E= 0
0.250000 0.250000 0.250000 0.250000
"""


def made() -> list[Motif]:
    dice = np.random.default_rng(3)
    return [
        random_motif(f"filter{index:03d}", int(width), dice) for index, width in enumerate(dice.integers(4, 20, 12))
    ]


def test_the_text_by_the_letter() -> None:
    flat = Motif("filter008", "filter008", np.full((1, 4), 0.25), 0.0)
    assert format_meme([GATA, flat], (0.3, 0.2, 0.2, 0.3)) == TEXT


def read_strictly(text: str) -> dict[str, tuple[str, int, np.ndarray]]:
    """Identifier -> alternate name, sites and matrix, by the rules of the minimal MEME format: each section once and in
    its place, the background sums to 1, and so does each row, of which there are as many as w says."""
    version, alphabet, strands, background, *rest = [part for part in text.split("\n\n") if part]
    assert re.fullmatch(r"MEME version \d+", version) and alphabet == "ALPHABET= ACGT" and strands == "strands: + -"
    title, shares = background.splitlines()
    letters = shares.split()
    assert title.startswith("Background letter frequencies") and letters[::2] == list("ACGT")
    assert sum(map(float, letters[1::2])) == pytest.approx(1, abs=4e-6)
    found = {}
    for block in rest:
        name, head, *rows = block.splitlines()
        first = re.fullmatch(r"MOTIF (\S+)(?: (\S.*))?", name)
        second = re.fullmatch(r"letter-probability matrix: alength= 4 w= (\d+) nsites= (\d+) E= 0", head)
        assert first and second and len(rows) == int(second[1]) and first[1] not in found
        matrix = np.array([[float(cell) for cell in row.split()] for row in rows])
        assert matrix.shape == (int(second[1]), 4) and np.abs(matrix.sum(1) - 1).max() < 4e-6
        found[first[1]] = (first[2] or "", int(second[2]), matrix)
    assert all(one < other for one, other in pairwise(found)), "in the order in which they were given"
    return found


def test_a_strict_reader_finds_what_was_written() -> None:
    found = read_strictly(format_meme(made(), (0.1, 0.2, 0.3, 0.4)))
    for motif in made():
        name, sites, matrix = found[motif.id]
        assert (name, sites) == ("", round(motif.sites))
        assert matrix == pytest.approx(motif.frequencies, abs=6e-7)


@pytest.mark.slow
def test_biopython_finds_what_was_written() -> None:
    from Bio import motifs

    found = motifs.parse(io.StringIO(format_meme(made(), (0.1, 0.2, 0.3, 0.4))), "minimal")
    assert len(found) == 12 and found.background == {"A": 0.1, "C": 0.2, "G": 0.3, "T": 0.4}
    for mine, its in zip(made(), found, strict=True):
        assert (its.name, its.num_occurrences) == (mine.id, round(mine.sites))
        matrix = np.array([its.pwm[base] for base in "ACGT"]).T  # which it makes of whole sites
        assert np.abs(matrix - mine.frequencies).max() <= 1 / max(mine.sites, 1)
