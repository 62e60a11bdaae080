"""What a report calls things: networks that predict probabilities are spoken of in other words than those of values.

Chromatin opens and closes; expression rises and falls; a start site becomes likelier. report.js has the same kinds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.report.matrix import cell_and_mark
from varscore.report.scored import Allele
from varscore.tasks import Task

OPEN = re.compile(r"(DNase|ATAC|FAIRE)", re.IGNORECASE)
"""Marks of open chromatin"""
CLEAR = 0.05
"""A change of a probability that is spoken of"""
CHROMATIN, STARTS, OTHER, VALUES = "chromatin", "starts", "other", "values"

_TWICE = (
    "For a variant it predicts twice, with the reference and with the alternative allele; the numbers here are "
    "differences of the two predictions."
)


@dataclass(frozen=True)
class Words:
    """kind: one of the above; about: what the network has learnt; amount: what is predicted; less, more: what a
    difference below and above zero is called; diff: what VS_DIFF says, for the guide"""

    kind: str
    about: str
    amount: str
    less: str
    more: str
    diff: str

    @property
    def values(self) -> bool:
        return self.kind == VALUES


_DIFF = (
    "Predicted probability with the alternative allele minus that with the reference, of the task where the "
    "difference is largest. "
)
_ALIKE = "Large differences are found where a task is common: compare alleles within a task, not tasks with each other."
_LESS, _MORE = "less likely with the alternative", "more likely"
KINDS = {
    CHROMATIN: Words(
        CHROMATIN,
        "The network has learned from a stretch of DNA which chromatin marks are found there: open chromatin, bound "
        f"factors, histone marks, each in a kind of cell; one such pair is a task. {_TWICE}",
        "probability", _LESS, _MORE,
        f"{_DIFF}Minus: the alternative closes chromatin or loses a factor; plus: it opens or gains. {_ALIKE}",
    ),
    STARTS: Words(
        STARTS,
        "The network has learned which stretches of DNA hold a start site of transcription, of what kind, and which "
        f"hold none; each kind is a task. It reads the strand that the FASTA has. {_TWICE}",
        "probability", _LESS, _MORE, f"{_DIFF}The probabilities of all kinds sum to 1: where one falls, others rise.",
    ),
    OTHER: Words(
        OTHER,
        f"The network has learned from a stretch of DNA how likely each of its tasks is found there. {_TWICE}",
        "probability", _LESS, _MORE, _DIFF + _ALIKE,
    ),
    VALUES: Words(
        VALUES,
        "The network has learned from a gene's promoter how strongly the gene is expressed; each cell type or lineage "
        f"is a task. {_TWICE} They are in the units of the data it was trained on, for expression usually log2: -1 "
        "halves it.",
        "predicted value", "lower with the alternative", "higher",
        "Predicted value with the alternative allele minus that with the reference, of the task where the difference "
        "is largest, in the units of the data. Minus: less is expressed; plus: more. There are no log-odds: a value "
        "is no probability.",
    ),
}  # fmt: skip


def words_for(alleles: Sequence[Allele], tasks: Sequence[Task]) -> Words:
    """The words for a file's model: of values where scored alleles have no log-odds, else as its tasks are."""
    scored = [one for one in alleles if not np.isnan(one.number("diff"))]
    if scored and all(np.isnan(one.number("logodds")) for one in scored):
        return KINDS[VALUES]
    if any(OPEN.match(cell_and_mark(task)[1]) for task in tasks) or any(
        OPEN.search(one.text("task")) for one in scored
    ):
        return KINDS[CHROMATIN]
    return KINDS[STARTS if any(task.group == "TSS" for task in tasks) else OTHER]


@dataclass(frozen=True)
class Opening:
    """In how many cell types chromatin closes and opens with each allele. closes, opens: int (n,); of: cell types"""

    closes: NDArray[np.int64]
    opens: NDArray[np.int64]
    of: int

    @classmethod
    def count(cls, diff: NDArray[np.float32], tasks: Sequence[Task]) -> Opening | None:
        """diff: float32 (n, T). None without a task of open chromatin."""
        chosen = [column for column, task in enumerate(tasks) if OPEN.match(cell_and_mark(task)[1])]
        if not chosen:
            return None
        own = np.nan_to_num(diff[:, chosen])
        return cls((own < -CLEAR).sum(1), (own > CLEAR).sum(1), len(chosen))
