"""From logits of the reference and the alternative to effects: pure functions, one row an allele, one column a task."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from varscore.nets.objectives import Labels, Objective

LN2 = math.log(2.0)


@dataclass(frozen=True, slots=True)
class Effects:
    """float32 (m, tasks) each.

    ref, alt: predictions; diff: alt - ref; logodds: difference of log2 odds, NaN where a prediction is no probability.
    """

    ref: np.ndarray
    alt: np.ndarray
    diff: np.ndarray
    logodds: np.ndarray

    def __len__(self) -> int:
        return len(self.ref)


def effects(
    ref_logits: np.ndarray, alt_logits: np.ndarray, goal: Objective | None = None, strands: str = "both-mean"
) -> Effects:
    """Predictions and effects from a network's outputs, float32 (S, m, outputs) each.

    goal: what the outputs mean, by default a logit a task; strands: the network's rule.
    Differences are taken on each strand, then averaged, as DeepSEA's scripts do; where the stronger strand counts, they
    are of the stronger ones. Log-odds come from the logits themselves, so saturated predictions stay exact.
    """
    goal = goal or Labels(ref_logits.shape[2])
    figures = (goal.predict(ref_logits), goal.predict(alt_logits), goal.odds(ref_logits), goal.odds(alt_logits))
    p_ref, p_alt, odds_ref, odds_alt = (x.max(0, keepdims=True) if strands == "both-max" else x for x in figures)
    return Effects(
        ref=p_ref.mean(0),
        alt=p_alt.mean(0),
        diff=(p_alt - p_ref).mean(0),
        logodds=((odds_alt - odds_ref) / np.float32(LN2)).mean(0, dtype=np.float32),
    )


def strongest(diff: np.ndarray, tasks: np.ndarray) -> np.ndarray:
    """The task with the largest absolute difference: int64 (m,), the first of equals.

    diff: float32 (m, T); tasks: int64 (k,), the columns that take part.
    """
    return np.asarray(tasks[np.abs(diff[:, tasks]).argmax(1)]) if len(diff) else np.zeros(0, np.int64)
