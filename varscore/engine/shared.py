"""The exact engine: reference and alternative computed together, and only what differs computed twice.

This is the one place where sharing is explained.

A window is a *row*: one strand of one sequence. An alternative row equals its reference row outside a span of positions
(:mod:`varscore.engine.reach` says how far it spreads). For each row of the reference the engine keeps what every layer saw.
For the alternative it then carries a *patch*, the values at changed positions alone, through the layers:

    convolution      computed at the touched cells only, from the reference's map with the patch laid in
    recurrent layer  the forward half restarts from the reference's state before the first touched step, the backward half
                     from its state after the last; so about half of the steps of a centred variant are the reference's own
    mean, dense      linear, so the alternative's result is the reference's plus the weighted difference of the patch
    after that       every row on its own, as in the plain network

Rows come in tiles of one shape, ``TILE`` rows each, padded: kernels round the same way for the same shape, so that a variant
gets the same bits whatever is computed beside it. A tile holds rows of one reach only. Alleles of one site, and sites with
the same window, share one reference row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.engine.device import arithmetic
from varscore.engine.plain import TILE, PlainEngine
from varscore.engine.reach import Reach, Span, reach, receptive, recurrent
from varscore.engine.recurrence import Direction, State
from varscore.nets.layers import (
    Activation,
    BiLSTM,
    ConvPool,
    FlattenChannels,
    FlattenTime,
    MeanOverTime,
    Projection,
    SequenceConv,
    SequenceNet,
)

SHORT = 16
"""A substitution of 2 to so many bases is treated as one of this many: one reach for all of them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Changed values: float (rows, channels, positions) at ``channels`` and ``span`` of a feature map."""

    channels: slice
    span: Span
    values: Tensor


Patch = tuple[Piece, ...]


@dataclass
class Trace:
    """What a tile of reference rows left behind, layer by layer."""

    seen: list[Tensor] = field(default_factory=list)
    """Input of each layer"""
    prepared: list[Tensor] = field(default_factory=list)
    """Input projections of the forward and the backward half, in the order of their steps"""
    states: list[State] = field(default_factory=list)
    """State of each half where the alternative enters"""
    output: Tensor = field(default_factory=lambda: torch.empty(0))


class SharedEngine(PlainEngine):
    """The engine ``annotate`` uses; ``logits`` of single windows are the plain engine's."""

    def __init__(self, net: SequenceNet, device: torch.device, precision: str = "fp32") -> None:
        super().__init__(net, device, precision)
        lstm = recurrent(net)
        self.halves = [Direction(lstm, backward) for backward in (False, True)] if lstm is not None else []
        self.middle = (net.window - 1) // 2

    def score(self, ref: np.ndarray, alt: np.ndarray, ref_length: np.ndarray, alt_length: np.ndarray, site: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Logits of reference and alternative windows: two float32 (2, n, tasks), forward strand first.

        ref, alt: uint8 (n, window) base codes; ref_length, alt_length: int (n,) allele lengths; site: int (n,), equal where
        the reference windows are equal.
        """
        out = np.empty((2, 2, len(ref), self.net.n_tasks), np.float32)
        changed = np.where(ref_length == alt_length, ref_length, 0)
        size = np.select([changed == 1, (changed > 1) & (changed <= SHORT)], [1, SHORT], 0)
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            for strand in (0, 1):
                for kind in np.unique(size).tolist():
                    rows = np.flatnonzero(size == kind)
                    self._score_rows(strand, kind, rows, ref, alt, site, out)
        return out[0], out[1]

    def _span(self, strand: int, size: int) -> Span:
        """Window positions that differ: ``size`` bases from the middle on, or (0) everything from the middle on."""
        lo, hi = self.middle, self.middle + size if size else self.net.window
        return Span(lo, hi) if strand == 0 else Span(self.net.window - hi, self.net.window - lo)
