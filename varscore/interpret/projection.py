"""Do a projection's columns of filters of the same motif lie together, also when one reads the other strand?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.nets.layers import DROPOUTS, Projection, SequenceNet

PERMUTATIONS = 1000


def projection_columns(net: SequenceNet) -> NDArray[np.float64] | None:
    """float64 (filters, projected): a column of the projection for each filter; None where none follows the first
    layer."""
    layers = [layer for layer in net.layers if not isinstance(layer, DROPOUTS)]
    if len(layers) < 2 or not isinstance(layers[1], Projection):
        return None
    return np.asarray(layers[1].weight.detach().cpu().double().numpy().T)


def principal_components(columns: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions on the first two principal components, float64 (n, 2), and the shares of variance, (2,).

    Centred; the largest weight of each component is positive.
    """
    centred = columns - columns.mean(0)
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(1)])[:, None]
    shares = size**2 / max(float((size**2).sum()), 1e-300)
    placed = np.zeros((len(columns), 2))
    placed[:, : len(axes)] = centred @ axes.T
    return placed, np.pad(shares[:2], (0, max(0, 2 - len(shares))))


@dataclass(frozen=True)
class Pairs:
    """How alike the projection's columns of pairs of filters are: mean cosines.

    opposite: of those of the same motif on opposite strands; same: of the same motif on the same strand; other: of all
    others, with the deviation ``spread``. p: of as large a mean of the opposite ones when filters are shuffled
    """

    opposite: int
    opposite_cosine: float
    same: int
    same_cosine: float
    other: int
    other_cosine: float
    spread: float
    p: float


def strand_pairs(
    columns: NDArray[np.float64], motif: NDArray[np.int64], turned: NDArray[np.bool_], seed: int = 0
) -> Pairs:
    """columns: float64 (n, k); motif: int64 (n,), the best match of each filter; turned: bool (n,), its strand"""
    n = len(columns)
    unit = columns / np.maximum(np.linalg.norm(columns, axis=1, keepdims=True), 1e-300)
    cosine = unit @ unit.T
    above = np.triu(np.ones((n, n), bool), 1)
    alike = motif[:, None] == motif
    crossed = turned[:, None] != turned
    opposite, same, other = above & alike & crossed, above & alike & ~crossed, above & ~(alike & crossed)
    observed = _mean(cosine[opposite])
    random = np.random.default_rng(seed)
    as_high = 0
    for _ in range(PERMUTATIONS if opposite.any() else 0):
        order = random.permutation(n)
        as_high += _mean(cosine[np.ix_(order, order)][opposite]) >= observed
    p = (1 + as_high) / (1 + PERMUTATIONS) if opposite.any() else float("nan")
    return Pairs(
        int(opposite.sum()),
        observed,
        int(same.sum()),
        _mean(cosine[same]),
        int(other.sum()),
        _mean(cosine[other]),
        float(cosine[other].std()) if other.any() else float("nan"),
        p,
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
