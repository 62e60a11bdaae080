"""Motifs made up from their consensus, and sequences to find them in."""

from __future__ import annotations

import random

import numpy as np

from varscore.formats.motifs import Motif

OTHER_STRAND = str.maketrans("ACGTN", "TGCAN")


def motif(name: str, consensus: str, share: float = 0.9, sites: float = 0.0) -> Motif:
    """A matrix with ``share`` at the base of each column, N for all alike."""
    rows = [
        [0.25] * 4 if base == "N" else [share if base == b else (1 - share) / 3 for b in "ACGT"] for base in consensus
    ]
    return Motif(name, name, np.array(rows), sites)


def random_motif(name: str, width: int, dice: np.random.Generator, sharpness: float = 0.4) -> Motif:
    return Motif(name, name, dice.dirichlet([sharpness] * 4, width), float(dice.integers(0, 200)))


def turned(sequence: str) -> str:
    """The other strand."""
    return sequence[::-1].translate(OTHER_STRAND)


def letters(length: int, dice: random.Random, alphabet: str = "ACGT") -> str:
    return "".join(dice.choices(alphabet, k=length))
