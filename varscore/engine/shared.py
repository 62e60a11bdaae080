"""The exact engine: reference and alternative computed together, and only what differs computed twice.

This is the one place where sharing is explained.

A window is a *row*: one strand of one sequence. An alternative row equals its reference row outside a span of
positions (:mod:`varscore.engine.reach` says how far it spreads). For each row of the reference the engine keeps what
every layer saw. For the alternative it carries a *patch*, the values at changed positions alone, through the layers:

    convolution      computed at the touched cells only, from the reference's map with the patch laid in
    recurrent layer  the forward half restarts from the reference's state before the first touched step, the backward
                     half from its state after the last; about half the steps of a centred variant are the reference's
    mean, dense      linear, so the alternative's result is the reference's plus the weighted difference of the patch
    after that       every row on its own, as in the plain network

Rows come in tiles of one shape a reach, padded: kernels round the same way for the same shape, so that a
variant gets the same bits whatever is computed beside it. A tile holds rows of one reach only. Alleles of one site, and
sites with the same window, share one reference row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from varscore.engine.device import arithmetic
from varscore.engine.plain import TILE, PlainEngine
from varscore.engine.reach import Reach, Span, reach, receptive, recurrent
from varscore.engine.recurrence import FusedHalf, Half, Passage, SteppedHalf
from varscore.genome.coords import anchor
from varscore.genome.windows import Windows
from varscore.nets.layers import (
    BiLSTM,
    ConvPool,
    FlattenChannels,
    FlattenTime,
    MeanOverTime,
    SequenceConv,
    SequenceNet,
    reverse_complement,
)

SHORT = 16
"""Substitutions of 2 to so many bases are treated as one of this many, so that they share a reach."""

TILES = {1: TILE, SHORT: 16, 0: 16}
"""Rows of a tile, by bases substituted (0: an indel). Rare kinds have small tiles, of which less is padding."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Changed values of a feature map: float (rows, channels, positions), at ``channels`` and ``span``."""

    channels: slice
    span: Span
    values: Tensor

    def of(self, feature_map: Tensor) -> Tensor:
        """The same place of another map."""
        return feature_map[:, self.channels, self.span.place]


@dataclass
class Trace:
    """What a tile of reference rows left behind: the input of each layer, and the way of each recurrent half."""

    seen: list[Tensor] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)


class SharedEngine(PlainEngine):
    """The engine ``annotate`` uses; ``logits`` of single windows are the plain engine's."""

    def __init__(self, net: SequenceNet, device: torch.device, precision: str = "fp32") -> None:
        super().__init__(net, device, precision)
        kind = SteppedHalf if device.type == "cpu" and precision in ("fp32", "tf32") else FusedHalf
        lstm = recurrent(net)
        self.halves: list[Half] = [] if lstm is None else [kind(lstm, False), kind(lstm, True)]
        self._by_position = cache(_by_position)

    def score(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        out = np.empty((2, 2, len(windows), self.net.n_tasks), np.float32)
        same = np.where(windows.ref_length == windows.alt_length, windows.ref_length, 0)
        size = np.select([same == 1, (same > 1) & (same <= SHORT)], [1, SHORT], 0)
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            for bases in np.unique(size).tolist():
                rows = np.flatnonzero(size == bases)
                for strand in (0, 1):
                    changed = self._changed(bases, strand)
                    self._score_strand(windows.take(rows), strand, changed, TILES[bases], out[:, strand], rows)
        return out[0], out[1]

    def _changed(self, bases: int, strand: int) -> Span:
        """Window positions that may differ: ``bases`` from the anchor on; 0: everything from the anchor on (indels)."""
        length = self.net.window
        lo = anchor(length)
        hi = lo + bases if bases else length
        return Span(lo, hi) if strand == 0 else Span(length - hi, length - lo)

    def _score_strand(
        self, windows: Windows, strand: int, changed: Span, tile: int, out: np.ndarray, rows: np.ndarray
    ) -> None:
        """Write the logits of one strand of windows with one reach to ``out`` (2, n, tasks) at ``rows``."""
        spread = reach(self.net, changed)
        for sites, alleles, site_of in _tiles(windows, tile):
            ref = self._codes(windows.ref[sites], strand, tile)
            trace = Trace()
            ref_logits = self._reference(ref, spread, trace)
            for first in range(0, len(alleles), tile):
                here = alleles[first : first + tile]
                index = torch.from_numpy(np.resize(site_of[first : first + tile], tile)).to(self.device)
                alt = self._codes(windows.alt[here], strand, tile)
                logits = self.net(alt) if spread is None else self._alternative(alt, index, spread, trace)
                out[0, rows[here]] = ref_logits[index[: len(here)]].float().cpu().numpy()
                out[1, rows[here]] = logits[: len(here)].float().cpu().numpy()

    def _codes(self, windows: np.ndarray, strand: int, tile: int) -> Tensor:
        """A full tile, uint8 (tile, window), on the device; padded by repetition."""
        codes = torch.from_numpy(windows[np.resize(np.arange(len(windows)), tile)])
        return (reverse_complement(codes) if strand else codes).to(self.device)

    def _reference(self, codes: Tensor, spread: Reach | None, trace: Trace) -> Tensor:
        """Logits of a tile of reference rows; fills ``trace``."""
        if spread is None:
            logits: Tensor = self.net(codes)
            return logits
        x = codes
        for layer in self.net.layers:
            trace.seen.append(x)
            if isinstance(layer, BiLSTM):
                x = self._recur_reference(x, spread, trace)
            else:
                x = layer(x)
        trace.seen.append(x)
        return x

    def _alternative(self, codes: Tensor, rows: Tensor, spread: Reach, trace: Trace) -> Tensor:
        """Logits of a tile of alternative rows; ``rows``, int64 (tile,), says which reference row each one has."""
        patch: tuple[Piece, ...] = ()
        maps = iter(spread.maps)
        layers = iter(zip(self.net.layers, trace.seen[:-1], trace.seen[1:], strict=True))
        for layer, x, y in layers:
            if isinstance(layer, SequenceConv):
                field_ = receptive(spread.first, layer.kernel_size[0], layer.pool)
                patch = (Piece(slice(None), spread.first, layer(codes[:, field_.place])),)
            elif isinstance(layer, ConvPool):
                patch = (_convolve(layer, x, rows, patch[0], next(maps)),)
            elif isinstance(layer, BiLSTM):
                patch = self._recur(patch[0], rows, trace)
            elif isinstance(layer, MeanOverTime):
                whole = _mean(x, y, rows, patch)
                break
            elif isinstance(layer, (FlattenTime, FlattenChannels)):
                dense, _, z = next(layers)
                whole = self._dense(layer, dense, x, z, rows, patch)
                break
            elif not isinstance(layer, nn.Dropout):
                patch = tuple(Piece(p.channels, p.span, layer(p.values)) for p in patch)
        for layer, _, _ in layers:
            whole = layer(whole)
        return whole

    def _recur_reference(self, x: Tensor, spread: Reach, trace: Trace) -> Tensor:
        """The recurrent layer over the reference: float (rows, channels, T) to (rows, 2 H, T)."""
        steps = x.permute(2, 0, 1).contiguous()
        outputs = [steps.new_empty(*steps.shape[:2], half.width) for half in self.halves]
        for half, own in zip(self.halves, outputs, strict=True):
            trace.passages.append(half.reference(steps, spread.steps, own))
        return torch.cat(outputs, 2).permute(1, 2, 0)

    def _recur(self, piece: Piece, rows: Tensor, trace: Trace) -> tuple[Piece, ...]:
        """The recurrent layer over the alternative: a changed stretch of each direction's hidden states."""
        steps = piece.values.permute(2, 0, 1).contiguous()
        pieces = []
        for half, passage in zip(self.halves, trace.passages, strict=True):
            span, output = half.alternative(passage, rows, steps, piece.span)
            first = half.width * half.backward
            pieces.append(Piece(slice(first, first + half.width), span, output.permute(1, 2, 0)))
        return tuple(pieces)

    def _dense(
        self, flatten: nn.Module, dense: nn.Module, x: Tensor, y: Tensor, rows: Tensor, patch: tuple[Piece, ...]
    ) -> Tensor:
        """A dense layer on a flattened map: only the changed positions are multiplied again."""
        assert isinstance(dense, nn.Linear)
        total = y.index_select(0, rows)
        for piece in patch:
            change = piece.values.permute(2, 0, 1) - piece.of(x).permute(2, 0, 1)[:, rows]
            weight = self._by_position(
                dense, isinstance(flatten, FlattenTime), x.shape[1:], piece.channels.indices(x.shape[1])
            )
            for moved, share in zip(change, weight[piece.span.place], strict=True):
                total = torch.addmm(total, moved, share)
        return total


def _tiles(windows: Windows, tile: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Windows in tiles of some sites: a row of each site, rows of all alleles, each allele's site in the tile.

    Sites with equally many alleles come together, so that tiles of alleles are full too.
    """
    place = np.stack([windows.contig.astype(np.int64), windows.start], 1)
    _, first, site, alleles = np.unique(place, axis=0, return_index=True, return_inverse=True, return_counts=True)
    ordered = np.argsort(alleles, kind="stable")
    rank = np.empty_like(ordered)
    rank[ordered] = np.arange(len(ordered))
    by_rank = np.argsort(rank[site], kind="stable")
    bounds = np.concatenate([[0], np.cumsum(alleles[ordered])])
    for start in range(0, len(ordered), tile):
        stop = min(start + tile, len(ordered))
        rows = by_rank[bounds[start] : bounds[stop]]
        yield first[ordered[start:stop]], rows, rank[site[rows]] - start


def _convolve(layer: ConvPool, x: Tensor, rows: Tensor, piece: Piece, cells: Span) -> Piece:
    """The touched cells of a convolution, from the reference's map with the patch laid in."""
    field_ = receptive(cells, layer.kernel_size[0], layer.pool)
    local = x[:, :, field_.place].index_select(0, rows)
    lo, hi = max(piece.span.lo, field_.lo), min(piece.span.hi, field_.hi)
    local[:, :, lo - field_.lo : hi - field_.lo] = piece.values[:, :, lo - piece.span.lo : hi - piece.span.lo]
    return Piece(slice(None), cells, layer(local))


def _mean(x: Tensor, y: Tensor, rows: Tensor, patch: tuple[Piece, ...]) -> Tensor:
    """The mean over positions: the reference's, plus the change."""
    total = y.index_select(0, rows)
    for piece in patch:
        total[:, piece.channels] += (piece.values.sum(2) - piece.of(x).sum(2)[rows]) / x.shape[2]
    return total


def _by_position(dense: nn.Linear, time_major: bool, shape: tuple[int, int], channels: tuple[int, int, int]) -> Tensor:
    """A dense layer's weights as float (positions, channels, out), so that a span of positions is one block."""
    kinds, length = shape
    weight = dense.weight.detach()
    cube = (
        weight.view(-1, length, kinds).permute(1, 2, 0)
        if time_major
        else weight.view(-1, kinds, length).permute(2, 1, 0)
    )
    return cube[:, slice(*channels)].contiguous()
