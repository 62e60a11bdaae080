"""Motifs that say the same, in clusters, as RSAT's matrix-clustering makes them (Castro-Mondragon 2017).

Two matrices are as alike as their best alignment: the correlation r of the cells that lie over one another, times the
share of all columns that do. Clusters are joined by the mean over their pairs, and cut where that gets too low.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.compiled import compiled
from varscore.formats.motifs import Motif
from varscore.genome.cache import cache_folder, put_file, read_file
from varscore.storage.digest import json_sha256, sha256

LEAST_R, LEAST_NCOR = 0.6, 0.4
"""RSAT's defaults"""
OVERLAP = 5
"""Columns that must lie over one another, unless a motif is shorter"""


@dataclass(frozen=True)
class Alignments:
    """The best alignment of each of n motifs to each: (n, n) arrays.

    r, ncor: float64, the correlation of what overlaps, and that times the overlap over the columns of both together
    offset: int64, the column of the first at which the second begins; turned: bool, whether the second is turned round
    """

    r: NDArray[np.float64]
    ncor: NDArray[np.float64]
    offset: NDArray[np.int64]
    turned: NDArray[np.bool_]


def align(motifs: Sequence[NDArray[np.float64]]) -> Alignments:
    """motifs: float64 (w, 4) frequencies each. Of equal alignments the first: as it stands, least offset."""
    n = len(motifs)
    r, ncor = np.eye(n), np.eye(n)
    offset, turned = np.zeros((n, n), np.int64), np.zeros((n, n), bool)
    widths = np.array([len(motif) for motif in motifs], np.int64)
    cells = np.concatenate([np.zeros((0, 4)), *motifs]) - 0.25  # the mean of a column, whatever it says
    _align(cells, np.cumsum(widths) - widths, widths, r, ncor, offset, turned)
    below = np.tri(n, k=-1, dtype=bool)
    back = np.where(turned, offset + widths - widths[:, None], -offset)
    return Alignments(
        r + np.triu(r, 1).T, ncor + np.triu(ncor, 1).T, np.where(below, back.T, offset), turned | turned.T
    )


@compiled
def _align(
    cells: NDArray[np.float64],
    starts: NDArray[np.int64],
    widths: NDArray[np.int64],
    r: NDArray[np.float64],
    ncor: NDArray[np.float64],
    offset: NDArray[np.int64],
    turned: NDArray[np.bool_],
) -> None:
    """Fills what lies above the diagonal."""
    n = len(widths)
    for one in range(n):
        for two in range(one + 1, n):
            w, v = widths[one], widths[two]
            fewest = min(OVERLAP, w, v)
            best = -2.0
            for turn in range(2):
                for shift in range(fewest - v, w - fewest + 1):
                    first, last = max(shift, 0), min(w, shift + v)
                    along, mine, theirs = 0.0, 0.0, 0.0
                    for row in range(first, last):
                        other = starts[two] + (v - 1 - (row - shift) if turn else row - shift)
                        for base in range(4):
                            x, y = cells[starts[one] + row, base], cells[other, 3 - base if turn else base]
                            along += x * y
                            mine += x * x
                            theirs += y * y
                    if mine * theirs > 0:
                        along /= np.sqrt(mine * theirs)
                    share = (last - first) / (w + v - (last - first))
                    if along * share > best:
                        best = along * share
                        r[one, two], ncor[one, two] = along, best
                        offset[one, two], turned[one, two] = shift, turn == 1


def clusters(found: Alignments, least_r: float = LEAST_R, least_ncor: float = LEAST_NCOR) -> NDArray[np.int64]:
    """int64 (n,): the cluster of each motif, numbered from 0 in the order of their first motifs.

    Average linkage (UPGMA) over 1 - ncor; two clusters are one when the mean r and the mean ncor of the pairs between
    them reach the thresholds, and both of them are whole clusters themselves.
    """
    n = len(found.ncor)
    ncor, r = found.ncor.copy(), found.r.copy()
    np.fill_diagonal(ncor, -np.inf)
    members: list[list[int] | None] = [[index] for index in range(n)]
    size, whole = np.ones(n), np.ones(n, bool)
    label = np.arange(n)
    for _ in range(n - 1):
        one, other = sorted(divmod(int(ncor.argmax()), n))
        joins = bool(whole[one] and whole[other] and ncor[one, other] >= least_ncor and r[one, other] >= least_r)
        mine, theirs = members[one], members[other]
        assert mine is not None and theirs is not None
        if joins:
            label[theirs] = label[mine[0]]
        for mean in (ncor, r):
            mean[one] = mean[:, one] = (size[one] * mean[one] + size[other] * mean[other]) / (size[one] + size[other])
        ncor[one, one] = ncor[other] = ncor[:, other] = -np.inf
        members[one], members[other] = mine + theirs, None
        size[one] += size[other]
        whole[one] = joins
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse])


def clusters_of(motifs: Sequence[Motif], least_r: float = LEAST_R) -> NDArray[np.int64]:
    """:func:`clusters` of motifs; of 100 and more they are kept in the user's cache folder."""
    cells = [sha256(motif.frequencies.tobytes()) for motif in motifs]
    note = cache_folder() / "motif-clusters" / json_sha256([1, least_r, LEAST_NCOR, cells])
    if len(motifs) < 100:
        return clusters(align([motif.frequencies for motif in motifs]), least_r)
    with suppress(OSError, ValueError):
        known = np.array([int(word) for word in read_file(note).split()], np.int64)
        if len(known) == len(motifs):
            return known
    found = clusters(align([motif.frequencies for motif in motifs]), least_r)
    with suppress(OSError):  # an unwritable cache only costs the time to compute it again
        put_file(note, " ".join(map(str, found.tolist())).encode())
    return found
