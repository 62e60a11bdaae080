"""Binding sites that an allele breaks or makes, beside what their bases are worth to the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varscore.genome.coords import anchor
from varscore.interpret.explain import ExplainedPair
from varscore.motifs.changes import MotifChange
from varscore.tasks import safe

MOST = 5
"""Of an allele that are named"""
WORDS = {"-": "lost", "+": "gained", "~": "changed"}
FITS = "*"
"""After a site that the network rests on, and whose change goes where the prediction goes"""


class Told(NamedTuple):
    """A site, and whether what its bases contribute goes the way of the prediction."""

    change: MotifChange
    fits: bool


def told(changes: Sequence[MotifChange], result: ExplainedPair) -> list[list[Told]]:
    """The best few sites, once for each of the pair's tasks, judged by the run's first method."""
    pair = result.pair
    ref, alt = (found.attributions[0].scores for found in (result.ref, result.alt))
    begin = pair.variant.start - anchor(ref.shape[1])
    return [
        [Told(change, worth(change, begin, before, after) * diff > 0) for change in changes[:MOST]]
        for before, after, diff in zip(ref, alt, pair.diff.tolist(), strict=True)
    ]


def worth(change: MotifChange, begin: int, ref: NDArray[np.float32], alt: NDArray[np.float32]) -> float:
    """What the change of a site is worth: the sum over its bases in ALT, if it is there, less that in REF.

    ref, alt: float32 (window,), what bases contribute; begin: 0-based position of the windows' first base
    """
    there = (change.sign != "+", change.sign != "-")
    sums = []
    for scores, start, is_site in zip((ref, alt), change.start, there, strict=True):
        first = 0 if start is None else start - begin
        place = slice(max(first, 0), max(first + len(change.motif.frequencies), 0))
        sums.append(float(scores[place].sum(dtype=np.float64)) if is_site and start is not None else 0.0)
    return sums[1] - sums[0]


def in_words(sites: Sequence[Told]) -> str:
    """For a title: ``CTCF lost*, SPI1 gained``."""
    return ", ".join(f"{site.change.motif.name} {WORDS[site.change.sign]}{FITS * site.fits}" for site in sites)


def as_tag(sites: Sequence[Told]) -> str:
    """As VS_MOTIF has them, ``-CTCF*&+SPI1``; ``.`` for none."""
    return "&".join(f"{site.change.sign}{safe(site.change.motif.name)}{FITS * site.fits}" for site in sites) or "."
