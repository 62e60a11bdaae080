"""The plain engine: every window and its reverse complement through the whole network, in tiles of one shape."""

from __future__ import annotations

import numpy as np
import torch

from varscore.engine.device import arithmetic
from varscore.genome.windows import Windows
from varscore.nets.layers import SequenceNet, reverse_complement

TILE = 64
"""Rows of every forward pass. Kernels may round differently for different shapes, so the network only ever sees this
one: a window's scores are the same bits whatever is computed beside it. Part of the contract with users: changing it
may change the last bit of scores."""


class PlainEngine:
    """Runs one network. ``net`` must be on ``device`` and in evaluation mode; it is not changed.

    ``threads`` of torch are the caller's choice.
    """

    def __init__(self, net: SequenceNet, device: torch.device, precision: str = "fp32") -> None:
        self.net, self.device, self.precision = net, device, precision

    def logits(self, windows: np.ndarray) -> np.ndarray:
        """uint8 (n, window) base codes to float32 (2, n, tasks): forward strand, then reverse complement."""
        codes = torch.from_numpy(windows)
        both = torch.cat([codes, reverse_complement(codes)])
        return self._run(both).reshape(2, len(windows), self.net.n_tasks)

    def score(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        """Logits of reference and alternative windows: two float32 (2, n, tasks), forward strand first.

        Equal reference windows (the alleles of one site) are computed once.
        """
        place = np.stack([windows.contig.astype(np.int64), windows.start], 1)
        _, first, site = np.unique(place, axis=0, return_index=True, return_inverse=True)
        both = self.logits(np.concatenate([windows.ref[first], windows.alt]))
        return both[:, : len(first)][:, site], both[:, len(first) :]

    def _run(self, codes: torch.Tensor) -> np.ndarray:
        out = np.empty((len(codes), self.net.n_tasks), np.float32)
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            for first in range(0, len(codes), TILE):
                tile = codes[first : first + TILE]
                rows = len(tile)
                if rows < TILE:
                    tile = torch.cat([tile, tile.new_full((TILE - rows, tile.shape[1]), 4)])
                out[first : first + rows] = self.net(tile.to(self.device)).float().cpu().numpy()[:rows]
        return out


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The one place where probabilities are made: float32 logits to float32 in [0, 1], without overflow."""
    return (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)
