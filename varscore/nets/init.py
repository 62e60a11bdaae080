"""How weights begin: by the papers' rules, or from known motifs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from varscore.errors import UsageError
from varscore.nets.layers import Projection, SequenceConv, SequenceNet
from varscore.nets.walk import Rules


def init_motifs(net: SequenceNet, motifs: Sequence[NDArray[np.float64]], seed: int = 0) -> int:
    """Set the first filters of the first convolution to motifs, as DanQ-JASPAR does; returns how many.

    motifs: float (w, 4) frequencies, columns A, C, G, T. Filter i becomes ``frequencies - 0.25`` at a random place s,
    in 3 .. k-w-3, or 0 .. k-w when w > k-6; of a motif wider than k the k consecutive columns with most information.
    The rest of the filter stays at its random start, as in the authors' script. Their bias is U(-1, 0).
    Filters beyond the motifs keep their values; motifs beyond the filters are left out.

    Raises UsageError when the network's first layer is no convolution of DNA.
    """
    layer = first_layer(net)
    random = np.random.default_rng(seed)
    filters, _, width = layer.weight.shape
    count = min(len(motifs), filters)
    with torch.no_grad():
        for index in range(count):
            motif = informative(np.asarray(motifs[index], np.float64), width)
            w = len(motif)
            low, high = (3, width - w - 3) if w <= width - 6 else (0, width - w)
            at = int(random.integers(low, high + 1))
            layer.weight[index, :, at : at + w] = torch.from_numpy(motif.T - 0.25)
        if layer.bias is not None:
            layer.bias[:count] = torch.from_numpy(random.uniform(-1, 0, count))
    return count


def lay_motifs(net: SequenceNet, motifs: Sequence[NDArray[np.float64]], share: float, seed: int = 0) -> int:
    """Begin a ``share`` of the first filters as motifs of one loudness; returns how many are.

    motifs: as for :func:`init_motifs`, of which so many are drawn as there is place for. Each stands in the middle of
    its filter as ``frequencies - 0.25``, half of them turned round, between weights of deviation .02; a filter without
    a motif is random. Then every filter is scaled to outputs of variance 1 on random DNA, and its bias is -1, so that
    it speaks at good matches only. Designed here.

    Raises UsageError when the network's first layer is no convolution of DNA.
    """
    layer = first_layer(net)
    random = np.random.default_rng(seed)
    filters, _, width = layer.weight.shape
    chosen = random.permutation(len(motifs))[: int(filters * share)]
    weight = random.normal(0, 0.5, (filters, width, 4))
    for index, number in enumerate(chosen):
        weight[index] = _laid(motifs[number], width, random)
    _set(layer, np.arange(filters), weight)
    return len(chosen)


def renew(net: SequenceNet, which: NDArray[np.int64], motifs: Sequence[NDArray[np.float64]], seed: int = 0) -> None:
    """Begin the first filters ``which``, int64 (n,), as n ``motifs``, each as :func:`lay_motifs` does it."""
    layer, random = first_layer(net), np.random.default_rng(seed)
    _set(layer, which, np.stack([_laid(motif, layer.weight.shape[2], random) for motif in motifs]))


def _laid(motif: NDArray[np.float64], width: int, random: np.random.Generator) -> NDArray[np.float64]:
    """A motif in the middle of a filter, float64 (width, 4), either way round."""
    motif = informative(np.asarray(motif, np.float64), width) - 0.25
    at = (width - len(motif)) // 2
    weight: NDArray[np.float64] = random.normal(0, 0.02, (width, 4))
    weight[at : at + len(motif)] = motif[::-1, ::-1] if random.random() < 0.5 else motif
    return weight


def _set(layer: SequenceConv, which: NDArray[np.int64], weight: NDArray[np.float64]) -> None:
    """weight: float64 (n, width, 4), which is brought to outputs of variance 1 on random DNA"""
    weight = weight / np.sqrt(weight.var(2).sum(1))[:, None, None]
    with torch.no_grad():
        layer.weight[which] = torch.from_numpy(weight.transpose(0, 2, 1)).to(layer.weight)
        if layer.bias is not None:
            layer.bias[which] = -1


def first_layer(net: SequenceNet) -> SequenceConv:
    """Raises UsageError when it is no convolution of DNA."""
    layer = net.layers[0]
    if not isinstance(layer, SequenceConv):
        raise UsageError("motifs can only initialise a network that begins with a convolution")
    return layer


@dataclass(frozen=True)
class Inherited:
    """What a network has from another model."""

    names: tuple[str, ...] = ()
    """Its weights and buffers that are wholly the parent's"""
    outputs: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """int64 (k,): rows of the last dense layer that are the parent's"""


def inherit(net: SequenceNet, parent: SequenceNet, tasks: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Inherited:
    """Copy the parent's weights and buffers whose name and shape agree.

    Of the last dense layer the rows of the tasks that both have, and only where these are all there are on both sides
    what the objective has learnt. tasks: int64 (k,) each, positions among the network's tasks and among the parent's
    (:func:`varscore.tasks.shared`).

    Raises UsageError when nothing fits.
    """
    own, theirs = net.state_dict(), parent.state_dict()
    mine, of_parent = tasks
    alike = len(mine) == net.n_tasks == parent.n_tasks and np.array_equal(mine, of_parent)
    last = {
        name for name, value in own.items() if any(value.data_ptr() == t.data_ptr() for t in net.output.parameters())
    }
    names = [
        name
        for name, value in own.items()
        if name in theirs
        and theirs[name].shape == value.shape
        and (alike or not (name in last or name.startswith("goal.")))
    ]
    if not names:
        raise UsageError("no weight of the parent model fits this network", remedy="a parent of the same architecture")
    outputs = net.outputs_of(mine)
    fits = all(name in theirs and theirs[name].shape[1:] == own[name].shape[1:] for name in last)
    with torch.no_grad():
        for name in names:
            own[name].copy_(theirs[name])
        for name in last if fits else ():
            own[name][outputs] = theirs[name][parent.outputs_of(of_parent)]
    return Inherited(tuple(names), outputs if fits else np.zeros(0, np.int64))


def keeps_filters(net: SequenceNet, inherited: Inherited) -> bool:
    """Whether the filters of the first layer are the parent's."""
    filters = first_layer(net).weight
    return any(weight is filters for name, weight in net.named_parameters() if name in inherited.names)


def informative(motif: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The ``width`` consecutive columns of a motif (w, 4) with the most information; all of a shorter one."""
    if len(motif) <= width:
        return motif
    bits = 2 + np.sum(motif * np.log2(np.maximum(motif, 1e-12)), 1)
    total = np.convolve(bits, np.ones(width), "valid")
    first = int(total.argmax())
    return motif[first : first + width]


def variance_preserving_init(net: SequenceNet, slope: float) -> None:
    """Activations of unit size from the first layer on. No paper states the CRNN's initialisation; this learns fastest.

    Convolutions and hidden dense layers Kaiming-uniform for their slope, where of the first layer's 4 k inputs only k
    are not zero; LSTM as :func:`keras_init`; the output layer small, so that training begins at the bias.
    """
    keras_init(net)
    for module in net.modules():
        begin = _UNIT_SIZE.find(module)
        if begin is not None:
            begin(module, slope)
    nn.init.xavier_uniform_(net.output.weight, gain=0.1)


def keras_init(net: nn.Module) -> None:
    """The initialisation of the scripts behind DanQ's published weights.

    Convolutions U(-.05, .05); dense and LSTM input weights Glorot-uniform; recurrent weights orthogonal (per gate);
    forget bias 1 (in one of torch's two bias vectors); other biases 0.
    """
    for module in net.modules():
        begin = _KERAS.find(module)
        if begin is not None:
            begin(module)


_UNIT_SIZE: Rules[Callable[[Any, float], None]] = Rules(weights=True)
_KERAS: Rules[Callable[[Any], None]] = Rules(weights=True)


@_UNIT_SIZE.of(SequenceConv)
def _of_bases(layer: SequenceConv, slope: float) -> None:
    limit = (3 / layer.kernel_size[0]) ** 0.5
    nn.init.uniform_(layer.weight, -limit, limit)


@_UNIT_SIZE.of(Projection)
def _linear(layer: Projection, slope: float) -> None:
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")


@_UNIT_SIZE.of(nn.Conv1d, nn.Linear)
def _before_an_activation(layer: nn.Conv1d | nn.Linear, slope: float) -> None:
    nn.init.kaiming_uniform_(layer.weight, a=slope)


@_KERAS.of(nn.Conv1d)
def _convolution(layer: nn.Conv1d) -> None:
    nn.init.uniform_(layer.weight, -0.05, 0.05)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


@_KERAS.of(nn.Linear)
def _dense(layer: nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


@_KERAS.of(nn.LSTM)
def _lstm(layer: nn.LSTM) -> None:
    for name, weight in layer.named_parameters():
        for index, gate in enumerate(weight.data.chunk(4)):
            if "weight_ih" in name:
                nn.init.xavier_uniform_(gate)
            elif "weight_hh" in name:
                nn.init.orthogonal_(gate)
            else:
                nn.init.constant_(gate, float("bias_ih" in name and index == 1))
