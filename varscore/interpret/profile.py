"""Mean contributions at each position of windows that are laid upon one another, such as those around start sites."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from varscore.genome.sequence import UNKNOWN

Key = tuple[str, int]
"""Method and task"""


@dataclass
class Profile:
    """Sums over windows, of each method and task: of the contributions of each base where it stands, and how often it
    stands there; float64 (4, window) each."""

    sums: dict[Key, NDArray[np.float64]] = field(default_factory=dict)
    sizes: dict[Key, NDArray[np.float64]] = field(default_factory=dict)
    counts: dict[Key, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, method: str, task: int, codes: NDArray[np.uint8], scores: NDArray[np.float32]) -> None:
        """codes: uint8 (window,); scores: float32 (window,), what the base that is there contributes"""
        key, at = (method, task), np.flatnonzero(codes != UNKNOWN)
        for table, values in ((self.sums, scores[at]), (self.sizes, np.abs(scores[at])), (self.counts, 1.0)):
            table.setdefault(key, np.zeros((4, len(codes))))[codes[at], at] += values

    def mean(self, key: Key) -> NDArray[np.float64]:
        """float64 (4, window): of each base, mean over all windows in which the position is known."""
        return np.asarray(self.sums[key] / np.maximum(self.counts[key].sum(0), 1))

    def lines(self, middle: int, names: list[str]) -> Iterator[str]:
        """A table; positions count from ``middle``."""
        yield "method\ttask\tposition\twindows\tmean\tmean_size\tA\tC\tG\tT"
        for (method, task), counts in self.counts.items():
            mean, seen = self.mean((method, task)), counts.sum(0)
            size = self.sizes[method, task].sum(0) / np.maximum(seen, 1)
            for at in range(counts.shape[1]):
                bases = "\t".join(f"{value:.6g}" for value in mean[:, at])
                total = f"{mean[:, at].sum():.6g}\t{size[at]:.6g}"
                yield f"{method}\t{names[task]}\t{at - middle}\t{int(seen[at])}\t{total}\t{bases}"
