"""Idle filters, given another chance: what the loss would miss least begins anew, as motifs that no filter resembles.

A network's first filters are chosen before anything is known of the data: of the motifs that it was begun from, only so
many had a place, and a motif that is in no filter is hardly ever found when few examples have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varscore.nets.init import first_layer, informative, renew
from varscore.nets.layers import SequenceNet


def renew_filters(
    net: SequenceNet,
    losses: Iterable[Tensor],
    motifs: Sequence[NDArray[np.float64]],
    count: int,
    seed: int = 0,
) -> list[int]:
    """Begin ``count`` first filters of a trained network anew, or as many as there are motifs; returns the motifs.

    losses: scalars, each the mean loss of some examples, from which a filter's importance comes (:func:`importance`).
    motifs: float (w, 4) frequencies. The one that is least like any filter that stays, or motif that was taken before
    it, comes first. The result are their numbers in this order.

    Raises UsageError when the network's first layer is no convolution of DNA.
    """
    layer = first_layer(net)
    count = min(count, len(motifs), layer.weight.shape[0])
    order = np.argsort(importance(layer.weight, losses), kind="stable")
    weight = layer.weight.detach().cpu().numpy().astype(np.float64).transpose(0, 2, 1)
    taken = least_alike([np.asarray(motif, np.float64) for motif in motifs], weight[np.sort(order[count:])], count)
    renew(net, order[:count], [motifs[number] for number in taken], seed)
    return taken


def importance(weight: Tensor, losses: Iterable[Tensor]) -> NDArray[np.float64]:
    """float64 (filters,): how far the loss would move, to first order, if a filter were silent; the squares' mean over
    batches. Source: Molchanov et al. 2019, doi:10.1109/CVPR.2019.01152, equation 8."""
    total, batches = np.zeros(len(weight)), 0
    for loss in losses:
        (gradient,) = torch.autograd.grad(loss, weight)
        total += (gradient * weight).sum((1, 2)).detach().cpu().double().numpy() ** 2
        batches += 1
    mean: NDArray[np.float64] = total / max(batches, 1)
    return mean


def least_alike(motifs: Sequence[NDArray[np.float64]], filters: NDArray[np.float64], count: int) -> list[int]:
    """``count`` motifs, float64 (w, 4), one after the other: each the least like all ``filters``, (n, width, 4), and
    those before it."""
    width = filters.shape[1]
    frames = [_centred(informative(motif, width)[None])[0] for motif in motifs]
    nearest = np.array([likeness(frame, filters).max(initial=0) for frame in frames])
    taken: list[int] = []
    while len(taken) < count:
        number = int(nearest.argmin())
        taken.append(number)
        motif = np.zeros((1, width, 4))
        motif[0, : len(frames[number])] = frames[number]
        nearest = np.maximum(nearest, [likeness(frame, motif)[0] for frame in frames])
        nearest[number] = np.inf
    return taken


def likeness(motif: NDArray[np.float64], filters: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (n,): correlation of a motif, float64 (w, 4), with filters, (n, width, 4), where it fits best, either way
    round. Columns are taken about their mean, and what lies beyond an end is 0."""
    filters, w = _centred(filters), len(motif)
    padded = np.pad(filters, ((0, 0), (w - 1, w - 1), (0, 0)))
    places = np.lib.stride_tricks.sliding_window_view(padded, w, axis=1)  # (n, places, 4, w)
    motif = _centred(motif[None])[0]
    both = np.stack([motif, motif[::-1, ::-1]])
    products = np.einsum("npbw,swb->nsp", places, both, optimize=True)
    size = np.sqrt((filters**2).sum((1, 2)) * (motif**2).sum())
    found: NDArray[np.float64] = products.max((1, 2)) / np.maximum(size, 1e-30)
    return found


def _centred(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = columns - columns.mean(-1, keepdims=True)
    return centred
