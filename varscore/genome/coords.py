"""Positions on a genome: the only place that converts between 1-based VCF and 0-based half-open coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Position = TypeVar("Position", int, NDArray[np.int64])


FARTHEST = 2**62
"""Beyond every contig"""
_DIGITS = 18  # fit int64


def whole_number(text: str | bytes) -> int:
    """A position as files spell it. Raises ValueError for a sign, other letters, and more than int64 holds."""
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS:
        return int(text)
    spelled = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    raise ValueError(f"{spelled if len(spelled) <= 30 else spelled[:27] + '...'!r} is no position")


@dataclass(frozen=True, slots=True)
class Interval:
    """A 0-based half-open stretch ``[start, end)`` of a contig. May reach past either end of the contig."""

    contig: str
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.contig}:{self.start + 1}-{self.end}"

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Read ``CHR:FROM-TO`` (1-based, inclusive; commas allowed), ``CHR:POS`` or ``CHR`` (the whole contig).

        Raises ValueError, which says why, when the text is none of these.
        """
        contig, colon, span = text.rpartition(":")
        if not (contig if colon else text):
            raise ValueError("it names no contig")
        if not colon:
            return cls(text, 0, FARTHEST)
        first, dash, last = span.replace(",", "").partition("-")
        start = whole_number(first)
        end = whole_number(last) if dash and last else (FARTHEST if dash else start)
        if start < 1:
            raise ValueError("positions count from 1")
        if end < start:
            raise ValueError("the end lies before the start")
        return cls(contig, start - 1, end)

    @classmethod
    def from_bed(cls, contig: str, start: str | bytes, end: str | bytes) -> Interval:
        """The first three columns of a BED line. Raises ValueError, which says why, when they are no interval."""
        found = cls(contig, whole_number(start), whole_number(end))
        if not contig:
            raise ValueError("it names no contig")
        if found.end < found.start:
            raise ValueError("the end lies before the start")
        return found


@dataclass(frozen=True, slots=True)
class Variant:
    """One alternative allele. ``start`` is 0-based: VCF POS - 1."""

    contig: str
    start: int
    ref: str
    alt: str

    @classmethod
    def from_vcf(cls, contig: str, pos: int, ref: str, alt: str) -> Variant:
        return cls(contig, pos - 1, ref, alt)

    @property
    def pos(self) -> int:
        """1-based VCF POS."""
        return self.start + 1

    def __str__(self) -> str:
        return f"{self.contig}:{self.pos}:{self.ref}>{self.alt}"


def anchor(length: int) -> int:
    """Index, inside a window of ``length`` bases, of the variant's first REF base (499 of 1000, 50 of 101)."""
    return (length - 1) // 2


def window_start(start: int, end: int, length: int) -> int:
    """Where the window around ``[start, end)`` begins: base ``(start + end) // 2`` is at index ``length // 2``.

    So the window of a 200-bp bin is the one that models are trained on, from 400 bases before the bin.
    """
    return (start + end) // 2 - length // 2


def zero_based(pos: Position) -> Position:
    """VCF POS (1-based) to 0-based start; works on NumPy arrays too."""
    return pos - 1


def one_based(start: Position) -> Position:
    """0-based start to VCF POS (1-based); works on NumPy arrays too."""
    return start + 1
