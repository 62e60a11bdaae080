"""How much each task counts in the loss, so that rare ones are learnt beside common ones.

The mean of all tasks' losses is made of those with many positives: what a few hundred bins of a rare factor ask for is
lost in the noise of what a hundred tracks of open chromatin ask for. Weights of whole tasks leave the loss of
each where it was, least for true probabilities; weights of positives would not.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from varscore.nets.objectives import Targets, sums

LARGEST = 6.0
"""A task counts so many times what the median one does, at most"""
FEWEST = 5
"""Positives of a task that has something to learn from"""


def task_weights(targets: Iterable[Targets], power: float) -> NDArray[np.float32]:
    """float32 (tasks,) of mean 1: (share of positives) ** -power, within the bounds above.

    A task of fewer positives than ``FEWEST`` counts as little as the commonest.
    """
    positive, n = sums(targets)
    weights, taught = ((positive + 1.0) / (n + 2.0)) ** -power, positive >= FEWEST
    if taught.any():
        weights = np.minimum(weights, LARGEST * np.median(weights[taught]))
    weights[~taught] = weights.min()
    return np.asarray(weights / weights.mean(), np.float32)
