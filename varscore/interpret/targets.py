"""The number that is explained, made of a network's outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from varscore.errors import UsageError
from varscore.nets.objectives import Objective
from varscore.scoring.effects import Effects

TARGETS = ("logodds", "prob", "value")
"""``logodds``: log2 odds of the prediction, strands put together by the network's rule; ``prob``: the probability;
``value``: what a network of values predicts, in its data's units"""


def default_target(goal: Objective) -> str:
    return "value" if goal.kind == "values" else "logodds"


def check_target(target: str, goal: Objective, methods: Sequence[str]) -> None:
    """Raises UsageError for a number that the network does not give, or a method not of its differences."""
    of_values = goal.kind == "values"
    if (target == "value") != of_values:
        predicts = "values" if of_values else "probabilities"
        raise UsageError(
            f"the model predicts {predicts}: {target} cannot be explained", remedy=f"the target {default_target(goal)}"
        )
    others = [method for method in methods if method not in ("ism", "attention")]
    if target == "prob" and others:
        raise UsageError(f"{others[0]} explains log-odds, which add up, not probabilities", remedy="ism, or logodds")


def change(found: Effects, target: str) -> NDArray[np.float32]:
    """float32 (m, tasks): by how much alternatives differ from their references."""
    return found.logodds if target == "logodds" else found.diff
