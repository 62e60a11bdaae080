"""The filters of a network's first layer as matrices: counts of the bases under their strongest sites in real sequence.

In each sequence a filter has one site, where its convolution plus bias is largest, before any pooling; it counts when
that is positive and more than a share of the filter's largest value anywhere (DeepBind 2015, DanQ 2016, Basset's half).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from varscore.engine.device import evaluating
from varscore.errors import UsageError
from varscore.formats.motifs import BASES, Motif
from varscore.genome.sequence import UNKNOWN
from varscore.nets.attentionnet import AttentiveNet
from varscore.nets.layers import SequenceConv, SequenceNet, one_hot

MAP = 1 << 24
"""Values of the first layer's map that are in memory at once"""
PRIOR = 0.25
"""Sites with each base, which are added to the counts"""
LEAST_COLUMNS = 4
"""Of a filter that says anything"""


def first_layer(net: nn.Module) -> SequenceConv:
    """Raises UsageError for a network whose first layer is no bank of filters of DNA."""
    layers = getattr(net, "layers", None)
    layer = layers[0] if isinstance(layers, nn.Sequential) and len(layers) else None
    if not isinstance(layer, SequenceConv) or layer.kernel_size[0] < LEAST_COLUMNS:
        looks = isinstance(net, AttentiveNet)
        remedy = "--method attention` shows where it looks" if looks else "` shows which bases it rests on"
        raise UsageError(
            "the network has no first layer of motif filters",
            where=type(net).__name__,
            remedy=f"`varscore explain MODEL{' ' * looks}{remedy}",
        )
    return layer


@dataclass(frozen=True)
class Activations:
    """Of n sequences and f filters, (n, f): the largest value, float32 (minus infinity where no site is known), and
    where it stands, int64 (the first of equals)."""

    largest: NDArray[np.float32]
    place: NDArray[np.int64]


def activations(
    net: SequenceNet, codes: NDArray[np.uint8], device: torch.device, advance: Callable[[int], None] = lambda n: None
) -> Activations:
    """codes: uint8 (n, L); a placement on an unknown base is none. advance: told of sequences done

    Raises UsageError (see :func:`first_layer`) and for sequences shorter than a filter.
    """
    layer = first_layer(net)
    width, places = layer.kernel_size[0], codes.shape[1] - layer.kernel_size[0] + 1
    if places < 1:
        raise UsageError(f"sequences of {codes.shape[1]} bases are shorter than a filter, which has {width}")
    rows = max(1, MAP // (layer.out_channels * places))
    largest, place = [], []
    with evaluating(net, device), torch.inference_mode():
        for part in np.array_split(codes, range(rows, len(codes), rows)):
            bases = torch.from_numpy(part).to(device)
            mapped = F.conv1d(one_hot(bases, layer.weight.dtype), layer.weight, layer.bias)
            if (part == UNKNOWN).any():
                known = (bases != UNKNOWN).unfold(1, width, 1).all(2)
                mapped = mapped.masked_fill(~known[:, None], -torch.inf)
            values, at = mapped.max(2)
            largest.append(values.float().cpu().numpy())
            place.append(at.cpu().numpy())
            advance(len(part))
    return Activations(np.concatenate(largest), np.concatenate(place))


@dataclass(frozen=True)
class Filter:
    """counts: int64 (w, 4) of A, C, G, T; largest: value anywhere; threshold: sites are above it"""

    index: int
    counts: NDArray[np.int64]
    largest: float
    threshold: float

    @property
    def id(self) -> str:
        return f"filter{self.index:03d}"

    @property
    def sites(self) -> int:
        return int(self.counts[0].sum())

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """float64 (w, 4), with a quarter of a site more of each base."""
        return np.asarray((self.counts + PRIOR) / (self.sites + 4 * PRIOR))

    @property
    def bits(self) -> NDArray[np.float64]:
        """float64 (w,): information of each column."""
        return information(self.frequencies)

    def motif(self, trim: float = 0.0, name: str = "") -> Motif | None:
        """The matrix without the columns at either end that have fewer bits than ``trim``; None when fewer than
        LEAST_COLUMNS are left."""
        kept = np.flatnonzero(self.bits >= trim) if trim > 0 else np.arange(len(self.counts))
        if not len(kept) or kept[-1] + 1 - kept[0] < LEAST_COLUMNS:
            return None
        return Motif(self.id, name or self.id, self.frequencies[kept[0] : kept[-1] + 1], float(self.sites))

    @property
    def consensus(self) -> str:
        return "".join(BASES[base] for base in self.counts.argmax(1).tolist())


def information(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits of each column, float64 (w,): 2 + sum p log2 p."""
    p = np.maximum(frequencies, 1e-300)
    return np.asarray(2 + (frequencies * np.log2(p)).sum(1))


def filters(codes: NDArray[np.uint8], found: Activations, width: int, threshold: float) -> list[Filter]:
    """threshold: a site's value is above this share of the filter's largest, and above 0. codes: uint8 (n, L)"""
    made = []
    views = np.lib.stride_tricks.sliding_window_view(codes, width, axis=1)
    for index, (values, places) in enumerate(zip(found.largest.T, found.place.T, strict=True)):
        largest = float(values.max(initial=-np.inf))
        least = max(threshold * largest, 0.0)
        rows = np.flatnonzero(values > least)
        sites = views[rows, places[rows]]
        counts = np.stack([(sites == base).sum(0) for base in range(4)], 1).astype(np.int64)
        made.append(Filter(index, counts, largest, least))
    return made
