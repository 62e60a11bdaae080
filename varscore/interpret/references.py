"""What an input is compared with: shuffles of itself, frequencies of bases, nothing, or given sequences."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.shuffle import shuffle_dinucleotides
from varscore.errors import UsageError
from varscore.formats.fasta import read_fasta
from varscore.genome.sequence import UNKNOWN, fit, one_hot, reverse_complement

LONGEST = 1_000_000
"""Bases of a sequence to compare with; a longer one is a contig"""
MOST_SHUFFLES = 10_000
_FREQUENCIES = re.compile(r"A,C,G,T=([^=]+)")


@dataclass(frozen=True)
class Reference:
    """kind: ``shuffle``, ``constant`` or ``given``. label: as the user wrote it

    shuffles: how many of them; constant: float32 (4,); given: uint8 (n, window), one for all inputs or one for each
    """

    kind: str
    label: str
    shuffles: int = 0
    constant: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    given: NDArray[np.uint8] | None = None

    @property
    def count(self) -> int:
        """References of one input."""
        return self.shuffles if self.kind == "shuffle" else 1

    def of(self, codes: NDArray[np.uint8], number: int, seed: int, turned: bool = False) -> NDArray[np.float32]:
        """The references of a strand of an input: float32 (count, 4, window), 0 where a base of it is unknown.

        codes: uint8 (window,), the strand; number: of the input; turned: whether it is its reverse complement
        The shuffles of a strand depend on it and the seed alone, and constant frequencies are those of the strand that
        is read: so the other strand of an input has the references that it would have as an input.
        """
        if self.kind == "shuffle":
            found = one_hot(_shuffled(codes, self.shuffles, seed))
        elif self.kind == "constant":
            found = np.broadcast_to(np.array(self.constant, np.float32)[:, None], (1, 4, len(codes))).copy()
        else:
            assert self.given is not None
            if len(self.given) > 1 and number >= len(self.given):
                demand_given(self, number + 1)
            chosen = self.given[number if len(self.given) > 1 else 0]
            found = one_hot(reverse_complement(chosen) if turned else chosen)[None]
        found[:, :, codes == UNKNOWN] = 0
        return found


def _shuffled(codes: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.uint8]:
    """Dinucleotide shuffles, uint8 (count, window), of which the order of inputs changes nothing."""
    digest = hashlib.sha256(codes.tobytes()).digest()
    random = np.random.default_rng([seed, int.from_bytes(digest[:16], "big")])
    return shuffle_dinucleotides(np.broadcast_to(codes, (count, len(codes))).copy(), random)


def parse_reference(text: str, frequencies: Sequence[float] | None = None) -> Reference | None:
    """``shuffle:N``, ``uniform``, ``zeros``, ``frequencies`` or ``A,C,G,T=a,c,g,t``; None for anything else: a file.

    frequencies: float (4,), those that the model's card states. Raises UsageError.
    """
    if text == "uniform":
        return Reference("constant", text, constant=(0.25,) * 4)
    if text == "zeros":
        return Reference("constant", text)
    if text == "frequencies":
        if frequencies is None:
            raise UsageError(
                "the model's card states no frequencies of bases", remedy="give them: A,C,G,T=.295,.205,.205,.295"
            )
        return Reference("constant", text, constant=_four(frequencies, text))
    if shuffles := re.fullmatch(r"shuffle(?::(\d+))?", text):
        count = int(shuffles[1] or 20)
        if not 1 <= count <= MOST_SHUFFLES:
            raise UsageError(f"{count} shuffles", remedy=f"1 to {MOST_SHUFFLES:,}")
        return Reference("shuffle", f"shuffle:{count}", shuffles=count)
    if stated := _FREQUENCIES.fullmatch(text):
        try:
            return Reference("constant", text, constant=_four([float(part) for part in stated[1].split(",")], text))
        except ValueError:
            raise UsageError("not four frequencies", where=repr(text)) from None
    return None


def _four(values: Sequence[float], where: str) -> tuple[float, float, float, float]:
    if len(values) != 4 or min(values) < 0 or not 0.99 <= sum(values) <= 1.01:
        raise UsageError("not four frequencies that add up to 1", where=repr(where))
    a, c, g, t = map(float, values)
    return a, c, g, t


def read_reference(path: str, window: int) -> Reference:
    """A FASTA of sequences to compare with, each fitted to the window. Raises DataError and UsageError."""
    given = []
    for record in read_fasta(path):
        if len(record.sequence) > LONGEST:
            raise UsageError(
                f"a sequence of {len(record.sequence):,} bases to compare with",
                where=path,
                cause="a genome?",
                remedy="that is passed with -r",
            )
        given.append(fit(record.sequence, window))
    return Reference("given", Path(path).name, given=np.stack(given))


def demand_given(reference: Reference, inputs: int) -> None:
    """Raises UsageError when there is neither one sequence to compare with nor one for each input."""
    count = 1 if reference.given is None else len(reference.given)
    if count not in (1, inputs):
        raise UsageError(
            f"{count:,} sequences to compare {inputs:,} inputs with",
            where=reference.label,
            remedy="give one, or as many as there are inputs",
        )
