"""From logits of the reference and the alternative to effects: pure functions, one row an allele, one column a task."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from varscore.odds import both_ways

LN2 = math.log(2.0)


class Meaning(Protocol):
    """What a network's outputs mean; :class:`varscore.nets.objectives.Objective` is one."""

    @property
    def kind(self) -> str:
        """``values``, or what has probabilities."""

    @property
    def shift(self) -> NDArray[np.float32]:
        """float32 (tasks,): what is added to log-odds before they are probabilities."""

    def predict(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (..., outputs) to predictions, float32 (..., tasks)."""

    def odds(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (..., outputs) to natural log-odds, float32 (..., tasks)."""


@dataclass(frozen=True, slots=True)
class Effects:
    """float32 (m, tasks) each.

    ref, alt: predictions; diff: alt - ref; logodds: difference of log2 odds, NaN where a prediction is no probability.
    """

    ref: NDArray[np.float32]
    alt: NDArray[np.float32]
    diff: NDArray[np.float32]
    logodds: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ref)

    def take(self, rows: NDArray[np.int64]) -> Effects:
        """The rows ``rows``, int64 (k,)."""
        return Effects(self.ref[rows], self.alt[rows], self.diff[rows], self.logodds[rows])


def effects(
    ref_logits: NDArray[np.float32],
    alt_logits: NDArray[np.float32],
    meaning: Meaning | None = None,
    strands: str = "both-mean",
) -> Effects:
    """Predictions and effects from a network's outputs, float32 (S, m, outputs) each.

    meaning: of the outputs, by default a logit a task; strands: the network's rule.
    Differences are taken on each strand, then averaged, as DeepSEA's scripts do; where the stronger strand counts, they
    are of the stronger ones. Both come from the difference of the logits, so that they stay exact where predictions
    are near 0 or 1, or nearly the same.
    """
    outputs = (ref_logits, alt_logits)
    if meaning is not None:
        read = meaning.predict if meaning.kind == "values" else meaning.odds
        outputs = (read(ref_logits), read(alt_logits))
    before, after = (x.max(0, keepdims=True) if strands == "both-max" else x for x in outputs)
    change = after - before
    if meaning is not None and meaning.kind == "values":
        return Effects(before.mean(0), after.mean(0), change.mean(0), np.full_like(change[0], np.nan))
    shift = np.float32(0) if meaning is None else meaning.shift
    (ref, not_ref), (alt, not_alt) = (both_ways(odds + shift) for odds in (before, after))
    # alt - ref, without the difference of two numbers that may be nearly the same
    diff = np.tanh(change / 2) * (alt * not_ref + ref * not_alt)
    logodds = (change / np.float32(LN2)).mean(0, dtype=np.float32)
    return Effects(ref.mean(0), alt.mean(0), diff.mean(0), logodds)


def strongest(diff: NDArray[np.float32], tasks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The task with the largest absolute difference: int64 (m,), the first of equals.

    diff: float32 (m, T); tasks: int64 (k,), the columns that take part.
    """
    return np.asarray(tasks[np.abs(diff[:, tasks]).argmax(1)]) if len(diff) else np.zeros(0, np.int64)
