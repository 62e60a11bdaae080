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

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from varscore.compiled import COMPILES
from varscore.engine.device import arithmetic
from varscore.engine.exact.cells import Workspace
from varscore.engine.exact.gather import gathering
from varscore.engine.exact.maps import FeatureMap, SharedMap, WholeMap
from varscore.engine.exact.reach import ROLES, Reach, Role, Sections, Span, extent, reach, receptive, sections
from varscore.engine.exact.recurrence import LstmDirection, directions
from varscore.engine.exact.saturation import Blocks, saturate
from varscore.engine.exact.trace import Piece, Pieces, Trace
from varscore.engine.plain import TILE, PlainEngine
from varscore.genome.coords import anchor
from varscore.genome.windows import Windows
from varscore.nets.layers import SequenceConv, SequenceNet, reverse_complement

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
        self._workspace = Workspace()
        self._sections = parts = sections(net)
        self._directions: list[LstmDirection] = []
        if parts is not None:
            self._gathering = gathering(parts.gathering, self.stepwise)
            if parts.recurrent is not None:
                self._directions = directions(parts.recurrent, self.stepwise)

    def saturate(self, codes: NDArray[np.uint8], positions: Span) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        plan = Blocks.of(self.net, self.strands)
        return super().saturate(codes, positions) if plan is None else saturate(self, plan, codes, positions)

    def score(self, windows: Windows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            # all windows go to the device at once and all logits come back at once: a GPU never waits in between
            codes = [torch.from_numpy(both).to(self.device) for both in (windows.ref, windows.alt)]
            out = torch.empty(2, self.strands, len(windows), self.net.n_outputs, device=self.device)
            for (tile, spread), rows in self._alike(windows).items():
                self._score_alike(windows, codes, np.concatenate(rows), spread, tile, out)
            ref, alt = out.cpu().numpy()
        return ref, alt

    def along(self, codes: NDArray[np.uint8], step: int) -> NDArray[np.float32]:
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
            found: NDArray[np.float32] = torch.stack(strands).numpy()
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

    def _alike(self, windows: Windows) -> dict[tuple[int, Reach | None], list[NDArray[np.int64]]]:
        """Rows, int64 (n, 2) of strand and variant, that tiles may hold together, by rows of a tile and reach."""
        kinds = _kinds(windows, self.net.window)
        alike: dict[tuple[int, Reach | None], list[NDArray[np.int64]]] = {}
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
        rows: NDArray[np.int64],
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

    def _tile_of(self, windows: Tensor, rows: NDArray[np.int64], tile: int) -> Tensor:
        """A full tile of rows, uint8 (tile, window); padded by repetition."""
        strand, variant = torch.from_numpy(np.resize(rows, (tile, 2))).to(self.device).T
        codes = windows[variant]
        return torch.where(strand[:, None] == 1, reverse_complement(codes), codes)

    def reference(self, codes: Tensor, shift: NDArray[np.int64], changes: Sequence[Reach], trace: Trace) -> Tensor:
        """Logits of a tile of reference rows, each ``shift`` bases right of the one before.

        Fills ``trace`` for alternatives with one of the ``changes``; without any it stays empty.
        """
        parts = self._sections
        if parts is None or not changes:
            logits: Tensor = self.net(codes)
            return logits
        seen = self._first(parts.first, codes, shift)
        for layer in parts.local:
            if ROLES[layer] is Role.LOCAL:
                trace.convolved.append(seen)
                seen = seen.convolved(layer)
            else:
                seen = seen.through(layer)
        pieces = self._recur_reference(seen, changes, trace) if self._directions else _whole(seen.whole())
        trace.gathered = _through(parts.later, pieces)
        trace.whole = self._gathering.reference(trace.gathered)
        return cast(Tensor, parts.rest(trace.whole))

    def alternative(self, codes: Tensor, rows: Tensor, spread: Reach, trace: Trace, change: int = 0) -> Tensor:
        """Logits of a tile of alternative rows; ``rows``, int64 (tile,), says which reference row each one has.

        change: which of those that the reference was told of ``spread`` is
        """
        parts = cast(Sections, self._sections)  # a reach is of a network that has them
        field = receptive(spread.first, *extent(parts.first))
        piece = Piece(slice(None), spread.first, parts.first(codes[:, field.place]))
        maps, convolved = iter(spread.maps), iter(trace.convolved)
        for layer in parts.local:
            if ROLES[layer] is Role.LOCAL:
                piece = _convolve(layer, next(convolved), rows, piece, next(maps))
            else:
                piece = piece.through(layer)
        patch = self._recur(piece, rows, trace, change) if self._directions else (piece,)
        total = trace.whole.index_select(0, rows)
        whole = self._gathering.alternative(trace.gathered, rows, _through(parts.later, patch), total)
        return cast(Tensor, parts.rest(whole))

    def _first(self, layer: SequenceConv, codes: Tensor, shift: NDArray[np.int64]) -> FeatureMap:
        """The first layer's map of a tile of reference rows."""
        if self.stepwise:
            return SharedMap.first(layer, codes, shift, self._workspace)
        return WholeMap(layer(codes))

    def _recur_reference(self, seen: FeatureMap, changes: Sequence[Reach], trace: Trace) -> Pieces:
        """The recurrent layer over the reference: the hidden states of each direction."""
        pieces = []
        for direction in self._directions:
            states, output = direction.reference(seen, [spread.steps for spread in changes])
            trace.states.append(states)
            pieces.append(Piece(direction.channels, Span(0, len(output)), output.permute(1, 2, 0)))
        return tuple(pieces)

    def _recur(self, piece: Piece, rows: Tensor, trace: Trace, change: int) -> Pieces:
        """The recurrent layer over the alternative: a changed stretch of each direction's hidden states."""
        patch = SharedMap.separate(piece.steps, self._workspace) if self.stepwise else WholeMap(piece.values)
        pieces = []
        for direction, states in zip(self._directions, trace.states, strict=True):
            span, output = direction.alternative(states[change], rows, patch, piece.span)
            pieces.append(Piece(direction.channels, span, output.permute(1, 2, 0)))
        return tuple(pieces)


def _kinds(windows: Windows, length: int) -> NDArray[np.int64]:
    """What a pair's reach follows from, int64 (n,): bases substituted from the anchor on, or RIGHT, LEFT, ANYWHERE."""
    lo, hi, middle = windows.lo, windows.hi, anchor(length)
    within = [hi <= middle + 1, hi <= middle + SHORT]
    from_anchor = np.select(within, [1, SHORT], RIGHT)
    return np.where(lo >= middle, from_anchor, np.where(hi <= length - middle, LEFT, ANYWHERE))


def _whole(feature_map: Tensor) -> Pieces:
    """All of a map, float (rows, channels, positions), in one piece."""
    return (Piece(slice(None), Span(0, feature_map.shape[2]), feature_map),)


def _through(layers: Sequence[nn.Module], pieces: Pieces) -> Pieces:
    """After layers that treat every value on its own."""
    for layer in layers:
        pieces = tuple(piece.through(layer) for piece in pieces)
    return pieces


def _tiles(
    windows: Windows, rows: NDArray[np.int64], tile: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
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


def _place(windows: Windows, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Strand, contig, sequence and first base of rows, int64 (n, 4); bases of the second strand are counted from its
    own end."""
    strand, variant = rows.T
    start = windows.start[variant]
    where = [strand, windows.contig[variant].astype(np.int64), windows.sequence[variant]]
    return np.stack([*where, np.where(strand == 1, -start, start)], 1)


def _shift(windows: Windows, rows: NDArray[np.int64], tile: int) -> NDArray[np.int64]:
    """By how many bases each row of a tile lies to the right of the one before, int64 (tile,); -1: it does not."""
    steps = np.diff(_place(windows, np.resize(rows, (tile, 2))), axis=0)
    return np.append(-1, np.where((steps[:, :3] == 0).all(1), steps[:, 3], -1))


def _convolve(layer: nn.Module, seen: FeatureMap, rows: Tensor, piece: Piece, cells: Span) -> Piece:
    """A layer's touched cells, from what it was given for the reference with the patch laid in."""
    field_ = receptive(cells, *extent(layer))
    local = seen.at(field_, rows)
    lo, hi = max(piece.span.lo, field_.lo), min(piece.span.hi, field_.hi)
    local[:, :, lo - field_.lo : hi - field_.lo] = piece.values[:, :, lo - piece.span.lo : hi - piece.span.lo]
    return Piece(slice(None), cells, seen.cells(layer, local))
