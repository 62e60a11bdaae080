"""Every substitution of windows that stay where they are, by the exact engine.

All positions of a block, as many bases as one cell of the last map before the recurrent layer is wide (or some of
them), share one reach: a change is taken to be as wide as its block. So a tile of alternatives is full, and the
reference runs once: on its way each recurrent half notes its state at the border of every block.

Positions are counted in the direction in which a strand is read. A block of the forward strand and the same block of
the other strand then have one reach, and their alternatives stand in one tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varscore.engine.device import arithmetic
from varscore.engine.exact.reach import Reach, Span, reach, sections
from varscore.engine.exact.trace import Trace
from varscore.engine.plain import substitutions, unchanged
from varscore.nets.layers import SequenceNet, reverse_complement

FEWEST = 12
"""The least bases of a block: tiles of fewer rows would be slower by the row"""
REFERENCES = {"cpu": 16, "cuda": 64}
"""Rows of a reference tile: sequences and their other strands"""
TOGETHER = {"cpu": 1, "cuda": 8}
"""Sequences whose alternatives fill a tile"""


@dataclass(frozen=True, slots=True)
class Blocks:
    """bases: of a block; reaches: of the blocks of a window, in order; None where a change touches nothing."""

    bases: int
    strands: int
    reaches: tuple[Reach | None, ...]

    @staticmethod
    def of(net: SequenceNet, strands: int) -> Blocks | None:
        """None for a network in which reference and alternative have nothing to share."""
        parts = sections(net)
        if parts is None:
            return None
        bases = parts.stride * -(-FEWEST // parts.stride)
        borders = [*range(0, net.window, bases), net.window]
        spans = [Span(lo, hi) for lo, hi in zip(borders, borders[1:], strict=False)]
        reaches = tuple(reach(net, span) for span in spans)
        return Blocks(bases, strands, reaches) if any(reaches) else None

    def tile(self, device: str) -> int:
        """Rows of a tile of alternatives: three a base and strand."""
        return 3 * self.bases * self.strands * TOGETHER[device]


class Sharing(Protocol):
    """What is asked of the engine; see :class:`varscore.engine.exact.shared.SharedEngine`."""

    net: SequenceNet
    device: torch.device
    precision: str
    strands: int

    def reference(self, codes: Tensor, shift: NDArray[np.int64], changes: Sequence[Reach], trace: Trace) -> Tensor: ...

    def alternative(self, codes: Tensor, rows: Tensor, spread: Reach, trace: Trace, change: int = 0) -> Tensor: ...


def saturate(
    engine: Sharing, blocks: Blocks, codes: NDArray[np.uint8], positions: Span
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """See :meth:`varscore.engine.plain.PlainEngine.saturate`."""
    n, strands = len(codes), engine.strands
    ref = np.empty((strands, n, engine.net.n_outputs), np.float32)
    found = []
    size = REFERENCES[engine.device.type] // strands
    with torch.inference_mode(), arithmetic(engine.device, engine.precision):
        given = torch.from_numpy(codes).to(engine.device)
        for first in range(0, n, size):
            here = given[first : first + size]
            ref[:, first : first + size], rows, logits = _together(engine, blocks, here, positions)
            rows[:, 1] += first
            found.append((rows, logits))
    alt = unchanged(ref, codes, positions)
    for rows, logits in found:
        strand, row, at, base = rows.T
        alt[strand, row, at - positions.lo, base] = logits
    return ref, alt


def _together(
    engine: Sharing, blocks: Blocks, codes: Tensor, positions: Span
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Of sequences that fit into one reference tile: logits float32 (S, n, outputs); strand, sequence, position and
    base of every substitution, int64 (m, 4), and its logits, float32 (m, outputs)."""
    n, strands, length = len(codes), blocks.strands, codes.shape[1]
    row, at, base = substitutions(codes.cpu().numpy(), positions)
    every = [np.stack([np.full_like(row, strand), row, at, base], 1) for strand in range(strands)]
    rows = np.concatenate(every)
    block = np.where(rows[:, 0] == 1, length - 1 - rows[:, 2], rows[:, 2]) // blocks.bases
    asked = [number for number in np.unique(block).tolist() if blocks.reaches[number] is not None]
    changes = [change for number in asked if (change := blocks.reaches[number]) is not None]

    turned = torch.cat([codes, reverse_complement(codes)][:strands])
    trace = Trace()
    tile, shift = _padded(turned, REFERENCES[engine.device.type])
    reference = engine.reference(tile, shift, changes, trace)
    out = np.empty((len(rows), engine.net.n_outputs), np.float32)
    for number in np.unique(block).tolist():
        members = np.flatnonzero(block == number)
        change = asked.index(number) if number in asked else None
        size = blocks.tile(engine.device.type)
        for first in range(0, len(members), size):
            here = members[first : first + size]
            alt, source = _substituted(turned, rows[np.resize(here, size)], n)
            if change is None:
                logits = engine.net(alt)
            else:
                logits = engine.alternative(alt, source, changes[change], trace, change)
            out[here] = logits[: len(here)].float().cpu().numpy()
    return reference[: strands * n].float().cpu().numpy().reshape(strands, n, -1), rows, out


def _padded(codes: Tensor, size: int) -> tuple[Tensor, NDArray[np.int64]]:
    """A tile of so many rows, the last one repeated, and by how many bases each lies to the right of the one before:
    see :meth:`SharedEngine.reference`."""
    missing = size - len(codes)
    shift = np.array([-1] * len(codes) + [0] * missing)
    return torch.cat([codes, codes[-1:].expand(missing, -1)]), shift


def _substituted(turned: Tensor, rows: NDArray[np.int64], n: int) -> tuple[Tensor, Tensor]:
    """Sequences with a substitution each, uint8 (m, window), and which of ``turned``, (S * n, window), each comes from.

    rows: int64 (m, 4), strand, sequence, position and base on the forward strand
    """
    strand, row, at, base = torch.from_numpy(rows).to(turned.device).T
    source = strand * n + row
    alt = turned[source]
    there = torch.where(strand == 1, turned.shape[1] - 1 - at, at)
    alt[torch.arange(len(alt), device=alt.device), there] = torch.where(strand == 1, 3 - base, base).to(torch.uint8)
    return alt, source
