"""From logits of the reference and the alternative to effects: pure functions, one row an allele, one column a task."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from varscore.engine.plain import probabilities

LN2 = math.log(2.0)


@dataclass(frozen=True, slots=True)
class Effects:
    """float32 (m, tasks) each, means over the two strands.

    ref, alt: probabilities; diff: alt - ref; logodds: difference of log2 odds.
    """

    ref: np.ndarray
    alt: np.ndarray
    diff: np.ndarray
    logodds: np.ndarray

    def __len__(self) -> int:
        return len(self.ref)


def effects(ref_logits: np.ndarray, alt_logits: np.ndarray) -> Effects:
    """Strand-mean probabilities and effects from logits, float32 (2, m, tasks) each.

    Differences are taken on each strand, then averaged, as DeepSEA's scripts do. Log-odds come from the logits
    themselves, so saturated predictions stay exact.
    """
    p_ref, p_alt = probabilities(ref_logits), probabilities(alt_logits)
    return Effects(
        ref=p_ref.mean(0),
        alt=p_alt.mean(0),
        diff=(p_alt - p_ref).mean(0),
        logodds=((alt_logits - ref_logits) / np.float32(LN2)).mean(0, dtype=np.float32),
    )


def strongest(diff: np.ndarray, tasks: np.ndarray) -> np.ndarray:
    """The task with the largest absolute difference: int64 (m,), the first of equals.

    diff: float32 (m, T); tasks: int64 (k,), the columns that take part.
    """
    return np.asarray(tasks[np.abs(diff[:, tasks]).argmax(1)]) if len(diff) else np.zeros(0, np.int64)
