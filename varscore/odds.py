"""Log-odds and the probabilities that they are.

Probabilities keep their relative precision down to 1e-38: in single precision 0.5 (1 + tanh(x / 2)) is off by 83 % at
1e-7, and what is left of a difference of two such numbers is noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def probabilities(odds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural log-odds to probabilities, float32 (...) both."""
    return both_ways(odds)[0]


def both_ways(odds: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """p and 1 - p of natural log-odds, float32 (...) each; the smaller one, too, to its last digits."""
    raised = np.exp(-np.abs(odds))
    likelier = 1 / (1 + raised)
    rarer = raised * likelier
    rises = odds > 0
    return np.where(rises, likelier, rarer), np.where(rises, rarer, likelier)
