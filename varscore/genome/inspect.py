"""What a FASTA is: its assembly, how its contigs are called, how much of it is masked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.genome.assembly import ASSEMBLIES, Assembly, accession, chromosome, identify
from varscore.genome.coords import Interval
from varscore.genome.fasta.regions import Regions

STRETCHES, STRETCH = 2000, 500
"""Places that are looked at, evenly over the genome, and bases of each"""
_LOWER = np.frombuffer(b"acgt", np.uint8)
_UNKNOWN = np.frombuffer(b"Nn", np.uint8)


@dataclass(frozen=True)
class FastaFacts:
    """contigs, bases: how many; assembly: None when its lengths are of none that is known; wrong: its chromosomes that
    are missing or have another length; spelling: ``chr1``, ``1`` or ``accession``; masked, unknown: shares of the bases
    looked at that are lower-case and N"""

    path: Path
    contigs: int
    bases: int
    assembly: Assembly | None
    wrong: tuple[str, ...]
    spelling: str
    masked: float
    unknown: float


def inspect(path: Path) -> FastaFacts:
    """Read the index, which is made where it is missing, and a sample of the bases. Raises FastaError."""
    with Regions(path) as fasta:
        lengths = fasta.lengths
        assembly = identify(lengths)
        here = {chromosome(name): length for name, length in lengths.items()}
        expected = assembly.lengths.items() if assembly else ()
        wrong = tuple(name for name, length in expected if here.get(name) != length)
        letters = _sample(fasta)
    return FastaFacts(
        path=path,
        contigs=len(lengths),
        bases=sum(lengths.values()),
        assembly=assembly,
        wrong=wrong,
        spelling=_spelling(next(iter(lengths))),
        masked=float(np.isin(letters, _LOWER).mean()) if len(letters) else 0.0,
        unknown=float(np.isin(letters, _UNKNOWN).mean()) if len(letters) else 0.0,
    )


def known_assemblies() -> tuple[Assembly, ...]:
    return ASSEMBLIES


def _spelling(name: str) -> str:
    return "accession" if accession(name) else "chr1" if name.startswith("chr") else "1"


def _sample(fasta: Regions) -> NDArray[np.uint8]:
    """Letters, uint8: all of a small genome, of a larger one stretches evenly apart."""
    step = max(STRETCH, sum(fasta.lengths.values()) // STRETCHES)
    text = "".join(
        fasta.text(Interval(name, start, min(start + STRETCH, length)))
        for name, length in fasta.lengths.items()
        for start in range(0, length, step)
    )
    return np.frombuffer(text.encode(), np.uint8)
