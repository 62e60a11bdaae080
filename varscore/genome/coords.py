"""Positions on a genome: the only place that converts between 1-based VCF and 0-based half-open coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Position = TypeVar("Position", int, np.ndarray)


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

        Raises ValueError when the text is none of these.
        """
        contig, colon, span = text.rpartition(":")
        if not colon:
            return cls(text, 0, 2**62)
        first, dash, last = span.replace(",", "").partition("-")
        start = int(first)
        end = int(last) if dash and last else (2**62 if dash else start)
        if not contig or start < 1 or end < start:
            raise ValueError(f"not a region: {text!r}")
        return cls(contig, start - 1, end)


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


def zero_based(pos: Position) -> Position:
    """VCF POS (1-based) to 0-based start; works on NumPy arrays too."""
    return pos - 1


def one_based(start: Position) -> Position:
    """0-based start to VCF POS (1-based); works on NumPy arrays too."""
    return start + 1
