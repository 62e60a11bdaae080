"""The exact engine: reference and alternative computed together, and only what differs computed twice.

This is the one place where sharing is explained.

A window is a *row*: one strand of one sequence. An alternative row equals its reference row outside a span of
positions (:mod:`varscore.engine.exact.reach` says how far it spreads). For each row of the reference the engine keeps
what every layer saw. For the alternative it carries a *patch*, the values at changed positions alone, through the
layers:

    convolution,     computed at the touched cells only, from the reference's map with the patch laid in; a residual
    residual block   block widens the patch by its dilation on either side
    recurrent layer  the forward half restarts from the reference's state before the first touched step, the backward
                     half from its state after the last; about half the steps of a centred variant are the reference's
    mean, weighted   linear, so the alternative's result is the reference's plus the weighted difference of the patch
    sums, dense
    after that       every row on its own, as in the plain network

Rows come in tiles of one shape a reach, padded: kernels round the same way for the same shape, so that a
variant gets the same bits whatever is computed beside it. A tile holds rows of one reach only, and of both strands,
except that an indel changes all to its right on one strand and all to its left on the other. A pair that differs on
both sides of the anchor shares nothing: each of its rows goes through the whole network. Alleles of one site, and sites
with the same window, share one reference row a strand.

Reference rows stand in the order in which their strand is read, and windows that overlap show the same bases. On a CPU
the first convolution is made once at each base (:mod:`varscore.nets.kernels.kmertable`). Windows that lie a multiple
of a map's stride apart have its cells in common, and with them all that is computed cell by cell: projections, further
convolutions, what steps of a recurrent layer are given. These are computed once (:mod:`varscore.engine.exact.maps`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from varscore.compiled import COMPILES
from varscore.engine.device import arithmetic
from varscore.engine.exact.maps import FeatureMap, SharedMap, WholeMap, Workspace
from varscore.engine.exact.product import padded
from varscore.engine.exact.reach import Reach, Span, extent, reach, receptive, recurrent
from varscore.engine.exact.recurrence import directions
from varscore.engine.exact.saturation import Blocks, saturate
from varscore.engine.exact.trace import Piece, Pieces, Trace
from varscore.engine.plain import TILE, PlainEngine
from varscore.genome.coords import anchor
from varscore.genome.windows import Windows
from varscore.nets.dilated import PositionPool, Residual
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

RIGHT, LEFT, ANYWHERE = 0, -1, -2
"""Other pairs differ from the anchor to the right, as an indel does, from the anchor to the left, or on both sides"""

TILES = {"cpu": {1: 128, SHORT: 16, RIGHT: 16, LEFT: 16}, "cuda": {1: 1024, SHORT: 128, RIGHT: 256, LEFT: 256}}
"""Rows of a tile, by bases substituted, or by side. Rare kinds have small tiles, of which less is padding. To a GPU a
step of few rows is about as long as one of many."""


class SharedEngine(PlainEngine):
    """The engine ``annotate`` uses; ``logits`` of single windows are the plain engine's."""

    def __init__(self, net: SequenceNet, device: torch.device, precision: str = "fp32") -> None:
        super().__init__(net, device, precision)
        self.stepwise = COMPILES and device.type == "cpu" and precision in ("fp32", "tf32")
        lstm = recurrent(net)
        self.directions = [] if lstm is None else directions(lstm, self.stepwise)
        self._by_position = cache(_by_position)
        self._workspace = Workspace()

    def saturate(self, codes: np.ndarray, positions: Span) -> tuple[np.ndarray, np.ndarray]:
        plan = Blocks.of(self.net, self.strands)
        return super().saturate(codes, positions) if plan is None else saturate(self, plan, codes, positions)

    def score(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            # all windows go to the device at once and all logits come back at once: a GPU never waits in between
            codes = [torch.from_numpy(both).to(self.device) for both in (windows.ref, windows.alt)]
            out = torch.empty(2, self.strands, len(windows), self.net.n_outputs, device=self.device)
            for (tile, spread), rows in self._alike(windows).items():
                self._score_alike(windows, codes, np.concatenate(rows), spread, tile, out)
            ref, alt = out.cpu().numpy()
        return ref, alt

    def along(self, codes: np.ndarray, step: int) -> np.ndarray:
        """See :meth:`PlainEngine.along`. Cells that windows have in common are computed once, where a map's stride
        divides the step."""
        spread = reach(self.net, Span(0, self.net.window))
        if spread is None or not self.stepwise:
            return super().along(codes, step)
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            strands = [self._along(torch.from_numpy(codes.copy()), step, spread)]
            if self.strands == 2:  # whose windows are read from the last to the first
                read = len(codes) - (len(codes) - self.net.window) % step
                strands.append(self._along(reverse_complement(torch.from_numpy(codes[:read])), step, spread).flip(0))
            found: np.ndarray = torch.stack(strands).numpy()
        return found

    def _along(self, codes: Tensor, step: int, spread: Reach) -> Tensor:
        """Logits of one strand's windows, in its order, float (windows, outputs)."""
        windows, tile = codes.unfold(0, self.net.window, step), TILES[self.device.type][1]
        shift, found = np.append(np.full(tile - 1, step), -1), []
        for first in range(0, len(windows), tile):
            rows = windows[first : first + tile]
            padding = rows[-1:].expand(tile - len(rows), -1)
            apart = np.where(np.arange(tile) < len(rows) - 1, shift, -1)
            logits = self.reference(torch.cat([rows, padding]), apart, [spread], Trace())
            found.append(logits[: len(rows)].float())
        return torch.cat(found)

    def _alike(self, windows: Windows) -> dict[tuple[int, Reach | None], list[np.ndarray]]:
        """Rows, int64 (n, 2) of strand and variant, that tiles may hold together, by rows of a tile and reach."""
        kinds = _kinds(windows, self.net.window)
        alike: dict[tuple[int, Reach | None], list[np.ndarray]] = {}
        for kind in np.unique(kinds).tolist():
            variants = np.flatnonzero(kinds == kind)
            for strand in range(self.strands):
                spread = None if kind == ANYWHERE else reach(self.net, self._changed(kind, strand))
                tile = TILE if spread is None else TILES[self.device.type][kind]  # whole passes as the plain engine's
                rows = np.stack([np.full_like(variants, strand), variants], 1)
                alike.setdefault((tile, spread), []).append(rows)
        return alike

    def _changed(self, kind: int, strand: int) -> Span:
        """Window positions that may differ: so many bases from the anchor on, and where these lie on the other strand;
        or all on one side of the anchor."""
        length, lo = self.net.window, anchor(self.net.window)
        if kind > 0:
            return Span(min(lo, length - lo - kind), max(lo + kind, length - lo))
        return Span(0, length - lo) if (kind == LEFT) != (strand == 1) else Span(lo, length)

    def _score_alike(
        self,
        windows: Windows,
        codes: Sequence[Tensor],
        rows: np.ndarray,
        spread: Reach | None,
        tile: int,
        out: Tensor,
    ) -> None:
        """Write the logits of rows with one reach, int64 (m, 2) of strand and variant, to ``out`` (2, S, n, tasks).

        codes: of the reference and alternative windows, on the device
        """
        for sites, alleles, site_of in _tiles(windows, rows, tile):
            trace = Trace()
            ref = self._tile_of(codes[0], sites, tile)
            ref_logits = self.reference(ref, _shift(windows, sites, tile), [] if spread is None else [spread], trace)
            for first in range(0, len(alleles), tile):
                here = alleles[first : first + tile]
                index = torch.from_numpy(np.resize(site_of[first : first + tile], tile)).to(self.device)
                alt = self._tile_of(codes[1], here, tile)
                logits = self.net(alt) if spread is None else self.alternative(alt, index, spread, trace)
                strand, variant = torch.from_numpy(here).to(self.device).T
                out[0, strand, variant] = ref_logits[index[: len(here)]].float()
                out[1, strand, variant] = logits[: len(here)].float()

    def _tile_of(self, windows: Tensor, rows: np.ndarray, tile: int) -> Tensor:
        """A full tile of rows, uint8 (tile, window); padded by repetition."""
        strand, variant = torch.from_numpy(np.resize(rows, (tile, 2))).to(self.device).T
        codes = windows[variant]
        return torch.where(strand[:, None] == 1, reverse_complement(codes), codes)

    def reference(self, codes: Tensor, shift: np.ndarray, changes: Sequence[Reach], trace: Trace) -> Tensor:
        """Logits of a tile of reference rows, each ``shift`` bases right of the one before.

        Fills ``trace`` for alternatives with one of the ``changes``; without any it stays empty.
        """
        if not changes:
            logits: Tensor = self.net(codes)
            return logits
        layers = iter(self.net.layers)
        seen = self._first(cast(SequenceConv, next(layers)), codes, shift)
        pieces: Pieces = ()
        for layer in layers:
            if isinstance(layer, (ConvPool, Residual)):
                trace.convolved.append(seen)
                seen = seen.convolved(layer)
            elif isinstance(layer, BiLSTM):
                pieces = self._recur_reference(seen, changes, trace)
            elif isinstance(layer, (MeanOverTime, PositionPool, FlattenTime, FlattenChannels)):
                trace.gathered = pieces or _whole(seen.whole())
                trace.whole = self._gathered(layer, layers, trace.gathered)
                break
            elif pieces:
                pieces = tuple(piece.through(layer) for piece in pieces)
            else:
                seen = seen.through(layer)
        return cast(Tensor, nn.Sequential(*layers)(trace.whole))

    def alternative(self, codes: Tensor, rows: Tensor, spread: Reach, trace: Trace, change: int = 0) -> Tensor:
        """Logits of a tile of alternative rows; ``rows``, int64 (tile,), says which reference row each one has.

        change: which of those that the reference was told of ``spread`` is
        """
        layers, maps, convolved = iter(self.net.layers), iter(spread.maps), iter(trace.convolved)
        first = cast(SequenceConv, next(layers))
        field_ = receptive(spread.first, *extent(first))
        patch: Pieces = (Piece(slice(None), spread.first, first(codes[:, field_.place])),)
        whole = trace.whole.index_select(0, rows)
        for layer in layers:
            if isinstance(layer, (ConvPool, Residual)):
                patch = (_convolve(layer, next(convolved), rows, patch[0], next(maps)),)
            elif isinstance(layer, BiLSTM):
                patch = self._recur(patch[0], rows, trace, change)
            elif isinstance(layer, MeanOverTime):
                _mean(trace.gathered, rows, patch, whole)
                break
            elif isinstance(layer, PositionPool):
                for piece, reference in zip(patch, trace.gathered, strict=True):
                    _weighted(layer, piece, _changes(piece, reference, rows), whole)
                break
            elif isinstance(layer, (FlattenTime, FlattenChannels)):
                whole = self._dense(layer, next(layers), trace.gathered, rows, patch, whole)
                break
            else:
                patch = tuple(piece.through(layer) for piece in patch)
        return cast(Tensor, nn.Sequential(*layers)(whole))

    def _first(self, layer: SequenceConv, codes: Tensor, shift: np.ndarray) -> FeatureMap:
        """The first layer's map of a tile of reference rows."""
        if self.stepwise:
            return SharedMap.first(layer, codes, shift, self._workspace)
        return WholeMap(layer(codes))

    def _recur_reference(self, seen: FeatureMap, changes: Sequence[Reach], trace: Trace) -> Pieces:
        """The recurrent layer over the reference: the hidden states of each direction."""
        pieces = []
        for direction in self.directions:
            states, output = direction.reference(seen, [spread.steps for spread in changes])
            trace.states.append(states)
            pieces.append(Piece(direction.channels, Span(0, len(output)), output.permute(1, 2, 0)))
        return tuple(pieces)

    def _recur(self, piece: Piece, rows: Tensor, trace: Trace, change: int) -> Pieces:
        """The recurrent layer over the alternative: a changed stretch of each direction's hidden states."""
        patch = SharedMap.separate(piece.steps, self._workspace) if self.stepwise else WholeMap(piece.values)
        pieces = []
        for direction, states in zip(self.directions, trace.states, strict=True):
            span, output = direction.alternative(states[change], rows, patch, piece.span)
            pieces.append(Piece(direction.channels, span, output.permute(1, 2, 0)))
        return tuple(pieces)

    def _gathered(self, layer: nn.Module, later: Iterator[nn.Module], pieces: Pieces) -> Tensor:
        """What is left of the reference without positions: their mean, or the output of the next dense layer."""
        if isinstance(layer, MeanOverTime):
            return torch.cat([layer(piece.values) for piece in pieces], 1)
        if isinstance(layer, PositionPool):
            rows, (sets, channels, _) = len(pieces[0].values), layer.weight.shape
            total = layer.weight.new_zeros(rows, sets * channels)
            for piece in pieces:
                _weighted(layer, piece, piece.steps, total)
            return total
        return self._dense_reference(layer, next(later), pieces)

    def _dense_reference(self, flatten: nn.Module, dense: nn.Module, pieces: Pieces) -> Tensor:
        """A dense layer on a flattened map."""
        if not self.stepwise:
            return cast(Tensor, dense(flatten(torch.cat([piece.values for piece in pieces], 1))))
        total = cast(nn.Linear, dense).bias.repeat(len(pieces[0].values), 1)
        for piece in pieces:
            # much faster than one product with the weights as they lie in the layer
            for own, share in zip(piece.steps, self._shares(flatten, dense, pieces, piece), strict=True):
                total.addmm_(own, share)
        return total

    def _dense(
        self, flatten: nn.Module, dense: nn.Module, seen: Pieces, rows: Tensor, patch: Pieces, total: Tensor
    ) -> Tensor:
        """The same for the alternative, from the reference's ``total``: only changed positions are multiplied again."""
        for piece, reference in zip(patch, seen, strict=True):
            new, old = piece.steps, reference.steps[piece.span.place]
            weight = self._shares(flatten, dense, seen, piece)[piece.span.place]
            if self.stepwise:
                for change, share in zip(_changes(piece, reference, rows), weight, strict=True):
                    total.addmm_(change, share)
            else:
                change = (new - old[:, rows]).transpose(0, 1)
                total = torch.addmm(total, change.flatten(1), weight.flatten(0, 1))
        return total

    def _shares(self, flatten: nn.Module, dense: nn.Module, seen: Pieces, piece: Piece) -> Tensor:
        """A dense layer's weights for the channels of a piece, float (positions, channels, out)."""
        kinds, length = sum(one.values.shape[1] for one in seen), seen[0].values.shape[2]
        time_major = isinstance(flatten, FlattenTime)
        return self._by_position(dense, time_major, (kinds, length), piece.channels.indices(kinds))


def _kinds(windows: Windows, length: int) -> np.ndarray:
    """What a pair's reach follows from, int64 (n,): bases substituted from the anchor on, or RIGHT, LEFT, ANYWHERE."""
    lo, hi, middle = windows.lo, windows.hi, anchor(length)
    within = [hi <= middle + 1, hi <= middle + SHORT]
    from_anchor = np.select(within, [1, SHORT], RIGHT)
    return np.where(lo >= middle, from_anchor, np.where(hi <= length - middle, LEFT, ANYWHERE))


def _whole(feature_map: Tensor) -> Pieces:
    """All of a map, float (rows, channels, positions), in one piece."""
    return (Piece(slice(None), Span(0, feature_map.shape[2]), feature_map),)


def _tiles(windows: Windows, rows: np.ndarray, tile: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows in tiles of some sites: a row of each site, all rows of these sites, each of them's site in the tile.

    Sites with equally many alleles come together, so that tiles of alleles are full too, and neighbours stand in the
    order in which their strand is read.
    """
    place = _place(windows, rows)
    _, first, site, alleles = np.unique(place, axis=0, return_index=True, return_inverse=True, return_counts=True)
    ordered = np.argsort(alleles, kind="stable")
    rank = np.empty_like(ordered)
    rank[ordered] = np.arange(len(ordered))
    by_rank = np.argsort(rank[site], kind="stable")
    bounds = np.concatenate([[0], np.cumsum(alleles[ordered])])
    for start in range(0, len(ordered), tile):
        stop = min(start + tile, len(ordered))
        here = by_rank[bounds[start] : bounds[stop]]
        yield rows[first[ordered[start:stop]]], rows[here], rank[site[here]] - start


def _place(windows: Windows, rows: np.ndarray) -> np.ndarray:
    """Strand, contig, sequence and first base of rows, int64 (n, 4); bases of the second strand are counted from its
    own end."""
    strand, variant = rows.T
    start = windows.start[variant]
    where = [strand, windows.contig[variant].astype(np.int64), windows.sequence[variant]]
    return np.stack([*where, np.where(strand == 1, -start, start)], 1)


def _shift(windows: Windows, rows: np.ndarray, tile: int) -> np.ndarray:
    """By how many bases each row of a tile lies to the right of the one before, int64 (tile,); -1: it does not."""
    steps = np.diff(_place(windows, np.resize(rows, (tile, 2))), axis=0)
    return np.append(-1, np.where((steps[:, :3] == 0).all(1), steps[:, 3], -1))


def _convolve(layer: ConvPool | Residual, seen: FeatureMap, rows: Tensor, piece: Piece, cells: Span) -> Piece:
    """A layer's touched cells, from what it was given for the reference with the patch laid in."""
    field_ = receptive(cells, *extent(layer))
    local = seen.at(field_, rows)
    lo, hi = max(piece.span.lo, field_.lo), min(piece.span.hi, field_.hi)
    local[:, :, lo - field_.lo : hi - field_.lo] = piece.values[:, :, lo - piece.span.lo : hi - piece.span.lo]
    return Piece(slice(None), cells, seen.cells(layer, local))


def _changes(piece: Piece, reference: Piece, rows: Tensor) -> Iterator[Tensor]:
    """By how much each position of a piece is more than the reference's, float (rows, channels), until the next."""
    change = torch.empty_like(piece.steps[0])
    for now, before in zip(piece.steps, reference.steps[piece.span.place], strict=True):
        torch.index_select(before, 0, rows, out=change)
        yield torch.sub(now, change, out=change)


def _weighted(layer: PositionPool, piece: Piece, steps: Iterable[Tensor], total: Tensor) -> None:
    """Add weighted sums of a piece's positions, float (rows, channels) each, to ``total``, (rows, sets * channels)."""
    weight = layer.weight.detach()[:, piece.channels, piece.span.place].permute(2, 0, 1)
    sums = total.view(len(total), weight.shape[1], -1)[:, :, piece.channels]
    for step, share in zip(steps, weight, strict=True):
        sums.addcmul_(step[:, None], share)


def _mean(seen: Pieces, rows: Tensor, patch: Pieces, total: Tensor) -> None:
    """Turn the reference's means over positions, ``total``, into the alternative's."""
    for piece, reference in zip(patch, seen, strict=True):
        total[:, piece.channels] += (piece.values.sum(2) - piece.of(reference).sum(2)[rows]) / len(reference.span)


def _by_position(dense: nn.Linear, time_major: bool, shape: tuple[int, int], channels: tuple[int, int, int]) -> Tensor:
    """A dense layer's weights as float (positions, channels, out), so that a span of positions is one block."""
    kinds, length = shape
    weight = dense.weight.detach()
    cube = (
        weight.view(-1, length, kinds).permute(1, 2, 0)
        if time_major
        else weight.view(-1, kinds, length).permute(2, 1, 0)
    )
    return padded(cube[:, slice(*channels)])
