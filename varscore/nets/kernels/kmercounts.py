"""Counts of all k-mers of DNA, k = 1 .. longest, in one pass over the bases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from varscore.compiled import compiled
from varscore.nets.kernels.pieces import each_piece


def width(longest: int) -> int:
    """Number of k-mers: 4 + 16 + ... + 4 ** longest."""
    return sum(4**k for k in range(1, longest + 1))


def count_kmers(codes: NDArray[np.uint8], longest: int) -> NDArray[np.float32]:
    """uint8 (N, L) base codes to float32 (N, width): 1-mers A, C, G, T first, then 2-mers AA, AC, ..., and so on.

    A k-mer with an unknown base is not counted.
    """
    total = np.zeros((len(codes), width(longest)), np.float32)
    each_piece(lambda _, a, b: _count(codes[a:b], longest, total[a:b]), len(codes))
    return total


@compiled
def _count(codes: NDArray[np.uint8], longest: int, total: NDArray[np.float32]) -> None:
    mask = 4**longest - 1
    for n in range(codes.shape[0]):
        word = 0  # the last ``longest`` bases as digits in base 4
        run = 0  # known bases up to here
        for base in codes[n]:
            if base > 3:
                run = 0
                continue
            word = (word * 4 + base) & mask
            run += 1
            first = 0
            size = 4
            for _ in range(min(run, longest)):
                total[n, first + (word & (size - 1))] += 1
                first += size
                size *= 4
