"""Where a network with an attention mask looks: its footprints, and the motif that it looks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.engine.plain import TILE, PlainEngine
from varscore.errors import UsageError
from varscore.formats.motifs import Motif
from varscore.genome.sequence import UNKNOWN, decode
from varscore.nets.attentionnet import AttentiveNet
from varscore.nets.layers import SequenceNet

BEST, WIDTH, BEFORE = 100, 10, 5
"""Sequences of the highest prediction that a motif is made of; its bases, and those of them before the maximum"""
SIGMA = 2.0


@dataclass(frozen=True, slots=True)
class Footprints:
    """Of n sequences. predicted: float32 (n,); masks: float32 (n, cells), rows sum to 1

    stride: bases from one cell to the next; middles: int64 (cells,), the middle base of each cell
    """

    predicted: NDArray[np.float32]
    masks: NDArray[np.float32]
    stride: int
    middles: NDArray[np.int64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """float64 (cells,)"""
        return np.asarray(self.masks.mean(0, dtype=np.float64))


def demand_attention(net: SequenceNet) -> AttentiveNet:
    """Raises UsageError for a network without a mask."""
    if not isinstance(net, AttentiveNet):
        raise UsageError("this architecture has no attention mask", remedy="ism, deeplift, gradient or ig explain it")
    return net


def masks_of(net: AttentiveNet, codes: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    """The mask of each sequence, on the strand given: uint8 (n, window) to float32 (n, cells). Rows sum to 1.

    ``net`` is on ``device`` and in evaluation mode.
    """
    with torch.inference_mode():
        tiles = [
            net.attention(torch.from_numpy(codes[first : first + TILE]).to(device)).float().cpu().numpy()
            for first in range(0, len(codes), TILE)
        ]
    return np.concatenate(tiles) if tiles else np.zeros((0, 0), np.float32)


def footprints(engine: PlainEngine, codes: NDArray[np.uint8], tasks: NDArray[np.int64]) -> Footprints:
    """The masks of sequences, uint8 (n, window), and the largest of what is predicted of ``tasks``, int64 (k,)."""
    net = demand_attention(engine.net)
    masks = masks_of(net, codes, engine.device)
    stride = max(net.window // max(masks.shape[1], 1), 1)
    middles = np.arange(masks.shape[1]) * stride + stride // 2
    return Footprints(engine.predict(codes)[:, tasks].max(1), masks, stride, middles)


def together(parts: Sequence[Footprints]) -> Footprints:
    """Those of several batches of sequences, one or more."""
    predicted, masks = (np.concatenate([getattr(part, name) for part in parts]) for name in ("predicted", "masks"))
    return Footprints(predicted, masks, parts[0].stride, parts[0].middles)


def blurred(masks: NDArray[np.float32], sigma: float = SIGMA) -> NDArray[np.float32]:
    """Masks, float (n, cells), under a Gaussian of ``sigma`` cells whose ends reflect; rows keep their sum."""
    if sigma <= 0 or masks.shape[1] < 2:
        return masks
    reach = min(int(np.ceil(4 * sigma)), masks.shape[1] - 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(masks.astype(np.float64), ((0, 0), (reach, reach)), "symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, 1)
    return np.asarray(windows @ (weights / weights.sum()), np.float32)


def sites(found: Footprints, codes: NDArray[np.uint8], count: int = BEST, width: int = WIDTH) -> NDArray[np.uint8]:
    """Of the ``count`` sequences of the highest prediction the bases around the mask's maximum: uint8 (m, width).

    The maximum stands after ``BEFORE`` bases; at the ends of a sequence the site is shifted inwards.
    """
    best = np.argsort(-found.predicted, kind="stable")[:count]
    top = found.middles[found.masks[best].argmax(1)]
    first = np.clip(top - BEFORE, 0, codes.shape[1] - width)
    return np.asarray(codes[best[:, None], first[:, None] + np.arange(width)])


def motif_of(site_codes: NDArray[np.uint8], name: str) -> Motif:
    """The frequencies of bases at each position of some sites, uint8 (m, width). Unknown bases are not counted."""
    counts = (site_codes[:, :, None] == np.arange(4)).sum(0).astype(np.float64)
    total = counts.sum(1, keepdims=True)
    frequencies = np.where(total > 0, counts / np.maximum(total, 1), 0.25)
    return Motif(name, name, frequencies, float(len(site_codes)))


def recurring(codes: NDArray[np.uint8], found: Footprints, top: int, width: int = WIDTH) -> list[tuple[str, int]]:
    """The most frequent words around the maxima of all masks, and how often each occurs; known bases only."""
    every = sites(found, codes, len(codes), width)
    known = every[(every != UNKNOWN).all(1)]
    words = Counter(decode(site).decode() for site in known)
    return sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))[:top]


def consensus(motif: Motif) -> str:
    """The most frequent base of each position."""
    return "".join("ACGT"[base] for base in motif.frequencies.argmax(1))


def word_motif(word: str, name: str, count: int) -> Motif:
    """A word as a motif: each position has one base."""
    frequencies = np.eye(4)[["ACGT".index(letter) for letter in word]]
    return Motif(name, name, frequencies, float(count))
