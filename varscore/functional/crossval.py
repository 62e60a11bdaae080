"""Cross-validation in which what lies together stays together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.spans import chains
from varscore.errors import DataError

LOCUS = 10_000
"""bp: variants no farther apart belong to one locus, and so do those they are chained to"""


def loci(contig: NDArray[np.integer], start: NDArray[np.int64], span: int = LOCUS) -> NDArray[np.int64]:
    """The locus of each variant, int64 (n,) from 0: two variants of a contig within ``span`` bp have the same one."""
    return chains(contig, start, span + 1)


def assign_folds(groups: NDArray[np.int64], labels: NDArray[np.bool_], folds: int, seed: int) -> NDArray[np.int64]:
    """The test fold of each variant, int64 (n,): every group lies in one fold, and folds have about equal shares of
    both classes. The largest group goes first, each to the fold that has least; equal ones in random order.

    groups: int64 (n,); labels: bool (n,). Fewer groups than ``folds`` make fewer folds. Raises DataError when there
    cannot be two, or when a fold would leave only one class to train on.
    """
    names, member = np.unique(groups, return_inverse=True)
    share = np.bincount(member, np.where(labels, 1 / max(labels.sum(), 1), 1 / max((~labels).sum(), 1)))
    folds = min(folds, len(names))
    if folds < 2:
        raise DataError(
            "nothing to cross-validate on",
            cause=f"all {len(labels):,} variants lie in one locus or chromosome",
            remedy="`group_by=none`, or a smaller `locus`",
        )
    random = np.random.default_rng(seed)
    order = np.lexsort((random.permutation(len(names)), -share))
    load, chosen = np.zeros(folds), np.empty(len(names), np.int64)
    for name in order.tolist():
        chosen[name] = load.argmin()
        load[chosen[name]] += share[name]
    fold: NDArray[np.int64] = chosen[member]
    for test in range(folds):
        if len(np.unique(labels[fold != test])) < 2:
            raise DataError(
                "only one class is left to train on in a fold",
                cause="it lies in one locus or chromosome",
                remedy="`group_by=none`, a smaller `locus`, or more variants",
            )
    return fold
