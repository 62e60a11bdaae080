"""Windows cut the slow way, one allele at a time, and the scores that a network gives without any engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from varscore.genome.windows import Windows
from varscore.nets.layers import SequenceNet, one_hot

N = 4


@dataclass(frozen=True)
class Change:
    """``ref_length`` bases from ``start`` of a contig become ``alt``."""

    contig: int
    start: int
    ref_length: int
    alt: tuple[int, ...]


def contig(seed: int, length: int = 500) -> np.ndarray:
    """Random bases with an unknown stretch, uint8 (length,)."""
    codes = np.random.default_rng(seed).integers(0, 4, length, dtype=np.uint8)
    codes[300:320] = N
    return codes


CONTIGS = [contig(0), contig(1, 350)]
STARTS = (0, 1, 3, 150, 200, 201, 205, 290, 310, 345, 349)
"""Few places, so that alleles share sites: both ends of a contig, neighbours, and in and beside the unknown stretch"""
SIZES = ((1, 1), (2, 2), (5, 5), (16, 16), (17, 17), (30, 30), (1, 2), (1, 40), (2, 1), (40, 1), (3, 5), (20, 4))
"""REF and ALT lengths: substitutions, insertions, deletions and both at once"""


def bases(length: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(0, 3)] * length)


def changes(sizes: Sequence[tuple[int, int]] = SIZES) -> st.SearchStrategy[Change]:
    return st.sampled_from(sizes).flatmap(
        lambda size: st.builds(
            Change, st.integers(0, 1), st.sampled_from(STARTS), ref_length=st.just(size[0]), alt=bases(size[1])
        )
    )


def cut(alleles: Sequence[Change], length: int) -> Windows:
    """The windows of all alleles; past a contig's ends there is N."""
    middle = (length - 1) // 2
    padding = np.full(3 * length, N, np.uint8)
    rows = []
    for allele in alleles:
        padded = np.concatenate([padding, CONTIGS[allele.contig], padding])
        at = len(padding) + allele.start
        left, right = padded[at - middle : at], padded[at + allele.ref_length :]
        ref = padded[at - middle : at - middle + length]
        rows.append((ref, np.concatenate([left, np.array(allele.alt, np.uint8), right])[:length]))
    both = np.array(rows, np.uint8).reshape(len(alleles), 2, length)
    return Windows.anchored(
        rows=np.arange(len(alleles)),
        ref=both[:, 0],
        alt=both[:, 1],
        contig=np.array([allele.contig for allele in alleles], np.int32),
        start=np.array([allele.start - middle for allele in alleles], np.int64),
        ref_length=np.array([allele.ref_length for allele in alleles], np.int64),
        alt_length=np.array([len(allele.alt) for allele in alleles], np.int64),
    )


def mixture(count: int, seed: int = 0, sizes: Sequence[tuple[int, int]] = SIZES) -> list[Change]:
    """``count`` alleles of all kinds at random places, some of which they share."""
    random = np.random.default_rng(seed)
    places = random.integers(0, 350, max(1, count // 2))
    made = []
    for _ in range(count):
        ref, alt = sizes[random.integers(len(sizes))]
        letters = tuple(random.integers(0, 4, alt).tolist())
        made.append(Change(int(random.integers(2)), int(random.choice(places)), ref, letters))
    return made


def naive(net: SequenceNet, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Logits of reference and alternative, float32 (2, n, tasks), or (1, n, tasks) from a network of one strand: the
    whole network on one-hot DNA, each time anew."""

    def logits(codes: np.ndarray) -> np.ndarray:
        flipped = np.where(codes == N, N, 3 - np.minimum(codes, 3))[:, ::-1].astype(np.uint8)
        with torch.inference_mode():
            both = [net(one_hot(torch.from_numpy(strand))) for strand in (codes, flipped.copy())]
            strands = both[:1] if net.strands == "one" else both
        return torch.stack(strands).numpy()

    return logits(windows.ref), logits(windows.alt)
