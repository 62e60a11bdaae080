"""DanQ's published weights (Quang & Xie 2016): DanQ_bestmodel.hdf5 and DanQ-JASPAR_bestmodel.hdf5.

Keras 0.2 on Theano wrote them with ``save_weights``: a group ``layer_K`` for each layer of the network, with arrays
``param_0``, ``param_1`` ... of which four layers have any. What is different there from here:

    convolution   Theano's turns its kernels round; (filters, 4, width, 1), channels A, G, C, T
    dropout       is not inverted: in prediction, pooled maps are times .8 and states of the LSTM times .5. Both factors
                  go into the weights that come next
    LSTM          24 arrays: input, candidate, forget and output gate, each W (inputs, units), U (units, units) and b;
                  first the forward, then the backward LSTM. Gates are hard: clip(.2 x + .5, 0, 1)
    dense         (inputs, units)

The backward LSTM came from a private patch of the authors'. Its direction is unknown, so it is an argument; predictions
of theirs tell (:mod:`varscore.exchange.check`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varscore import __version__
from varscore.datasets.deepsea import read_tasks
from varscore.errors import ModelError
from varscore.exchange.check import TOLERANCE, Reference, largest_difference, read_reference
from varscore.formats.hdf5 import Hdf5File, open_hdf5
from varscore.nets import build, find
from varscore.nets.layers import SequenceNet
from varscore.storage.atomic import refuse_existing
from varscore.storage.digest import sha256
from varscore.zoo.card import CARD
from varscore.zoo.models import ModelFolder, save_model
from varscore.zoo.priors import stated_priors

log = logging.getLogger(__name__)

BACKWARD = ("aligned", "unaligned", "forward")
"""What the backward LSTM does: reads from the last step on, its states put back beside the steps they belong to; the
same, its states left in the order in which they were computed; or reads from the first step on, as the forward one"""
KEPT_POOLED, KEPT_STATES = 0.8, 0.5
CHANNELS = [0, 2, 1, 3]
"""Where A, C, G and T stand among A, G, C and T"""
_GATES = ("input", "candidate", "forget", "output")
_MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class KerasWeights:
    """The four layers with weights, float64 arrays as the file has them."""

    convolution: list[NDArray[np.float64]]
    lstm: list[NDArray[np.float64]]
    hidden: list[NDArray[np.float64]]
    output: list[NDArray[np.float64]]


def import_danq_keras(
    path: Path,
    output: Path,
    *,
    backward: str | None = None,
    names: Path | None = None,
    check: Sequence[Path] = (),
    window: int = 1000,
    force: bool = False,
) -> tuple[ModelFolder, float | None]:
    """Write the network of a weight file as a model folder; returns it and its largest difference from ``check``.

    backward: one of ``BACKWARD``; None: the one whose predictions are those of ``check``, or ``aligned`` without.
    names: of the tasks, as for :func:`varscore.datasets.deepsea.read_tasks`. Raises ModelError when the file has
    another layout, or predicts other than ``check`` says; OutputExists.
    """
    refuse_existing(str(output / CARD), force=force)
    weights = read_weights(path)
    name, arguments = architecture_of(weights, window, path)
    tasks = read_tasks(names, arguments["n_tasks"])
    if check:
        reference = read_reference(check, window)
        ways = [backward] if backward else list(BACKWARD)
        chosen, net, difference = _agreeing(weights, name, arguments, ways, reference, path)
    else:
        chosen, difference = backward or BACKWARD[0], None
        net = make_network(weights, name, arguments, chosen)
        log.warning("the direction of the backward LSTM (%s) is not checked: `check=REF.h5` would tell", chosen)
    facts = {
        "training": {"imported_with": __version__, "source": "DanQ (Quang & Xie 2016), Keras 0.2 weights"},
        "imported": {
            "sha256": sha256(path.read_bytes()),
            "backward": chosen,
            "checked": "no reference was given" if difference is None else f"largest difference {difference:.2g}",
        },
        "licence": "the authors': non-commercial use",
    }
    return save_model(output, net, name, tasks, facts, priors=stated_priors(tasks)), difference


def read_weights(path: Path) -> KerasWeights:
    """Raises ModelError when the layers are not DanQ's."""
    with open_hdf5(path) as file:
        numbered = {int(n[6:]): n for n in file.names() if re.fullmatch(r"layer_\d{1,4}", n)}
        layers = [_parameters(file, numbered[number]) for number in sorted(numbered)]
    found = [arrays for arrays in layers if arrays]
    if [len(arrays) for arrays in found] != [2, 24, 2, 2]:
        cause = f"its layers have {', '.join(str(len(a)) for a in found) or 'no'} arrays instead of 2, 24, 2, 2"
        raise ModelError("not the weights of a DanQ by Keras 0.2", where=path, cause=cause)
    weights = KerasWeights(*found)
    if problem := _misfit(weights):
        raise ModelError("not the weights of a DanQ by Keras 0.2", where=path, cause=problem)
    return weights


def _parameters(file: Hdf5File, group: str) -> list[NDArray[np.float64]]:
    count = sum(re.fullmatch(r"param_\d+", name) is not None for name in file.names(group))
    return [file.read(f"{group}/param_{i}", _MOST_BYTES).astype(np.float64) for i in range(count)]


def _misfit(weights: KerasWeights) -> str:
    """What is wrong with the shapes or values; empty when nothing is."""
    kernels, (hidden, _), (output, _) = weights.convolution[0], weights.hidden, weights.output
    if kernels.ndim != 4 or kernels.shape[1] != 4 or kernels.shape[3] != 1:
        return f"its kernels are {kernels.shape}, not (filters, 4, width, 1)"
    filters, units = len(kernels), weights.lstm[1].shape[-1] if weights.lstm[1].ndim else 0
    gate = [(filters, units), (units, units), (units,)]
    wanted = {
        "convolution": [kernels.shape, (filters,)],
        "LSTM": gate * 8,
        "dense layer": [hidden.shape, hidden.shape[1:]],
        "output": [(hidden.shape[-1], output.shape[-1]), output.shape[1:]],
    }
    parts = (weights.convolution, weights.lstm, weights.hidden, weights.output)
    for (name, shapes), arrays in zip(wanted.items(), parts, strict=True):
        if [array.shape for array in arrays] != shapes:
            return f"the arrays of the {name} do not fit each other"
        if not all(np.isfinite(array).all() for array in arrays):
            return f"the weights of the {name} are not all numbers"
    return "" if hidden.ndim == 2 and units and len(hidden) % (2 * units) == 0 else "the dense layer does not fit"


def architecture_of(weights: KerasWeights, window: int, path: Path) -> tuple[str, dict[str, int]]:
    """Name and arguments of the network. Raises ModelError when no pooling of the window gives as many steps."""
    filters, _, width, _ = weights.convolution[0].shape
    inputs, dense = weights.hidden[0].shape
    hidden = weights.lstm[1].shape[1]
    steps = inputs // (2 * hidden)
    sizes = {"filters": filters, "width": width, "hidden": hidden}
    jaspar = find("danq-jaspar").preset
    name = "danq-jaspar" if all(jaspar[size] == value for size, value in sizes.items()) else "danq"
    fitting = [pool for pool in range(1, window) if (window - width + 1) // pool == steps]
    usual = [pool for pool in (asdict(find(name).configure())["pool"], width // 2) if pool in fitting]
    if not usual and len(fitting) != 1:
        cause = f"convolutions of width {width} on {window} bp, and {steps} steps"
        raise ModelError("the pooling cannot be told", where=path, cause=cause, remedy="another `window`")
    pool = (usual or fitting)[0]
    n_tasks = len(weights.output[1])
    return name, {**sizes, "window": window, "pool": pool, "dense": dense, "n_tasks": n_tasks, "hard_gates": True}


def make_network(weights: KerasWeights, name: str, arguments: Mapping[str, int], backward: str) -> SequenceNet:
    """The network that predicts as Keras does."""
    with torch.device("meta"):
        net = build(name, **arguments, both_forward=backward == "forward")
    kernels, bias = weights.convolution
    units = arguments["hidden"]
    dense = weights.hidden[0].reshape(-1, 2, units, arguments["dense"]) * KEPT_STATES
    if backward == "unaligned":
        dense[:, 1] = dense[::-1, 1].copy()
    arrays = {
        "layers.0.weight": kernels[:, CHANNELS][:, :, ::-1, 0],
        "layers.0.bias": bias,
        **_lstm(weights.lstm[:12], "layers.2.{}_l0"),
        **_lstm(weights.lstm[12:], "layers.2.{}_l0_reverse"),
        "layers.5.weight": dense.reshape(weights.hidden[0].shape).T,
        "layers.5.bias": weights.hidden[1],
        "layers.7.weight": weights.output[0].T,
        "layers.7.bias": weights.output[1],
    }
    state = {key: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for key, array in arrays.items()}
    net.load_state_dict(state, assign=True)
    return net.eval()


def _lstm(arrays: Sequence[NDArray[np.float64]], name: str) -> dict[str, NDArray[np.float64]]:
    """One direction as torch has it: gates are input, forget, candidate, output, one below the other."""
    gates = {gate: arrays[3 * i : 3 * i + 3] for i, gate in enumerate(_GATES)}
    inward, recurrent, bias = zip(*(gates[gate] for gate in ("input", "forget", "candidate", "output")), strict=True)
    return {
        name.format("weight_ih"): np.concatenate([w.T for w in inward]) * KEPT_POOLED,
        name.format("weight_hh"): np.concatenate([u.T for u in recurrent]),
        name.format("bias_ih"): np.concatenate(bias),
        name.format("bias_hh"): np.zeros(4 * len(bias[0])),
    }


def _agreeing(
    weights: KerasWeights,
    name: str,
    arguments: Mapping[str, int],
    ways: Sequence[str],
    reference: Reference,
    path: Path,
) -> tuple[str, SequenceNet, float]:
    """The direction that predicts the reference best, its network and difference. Raises ModelError if none does."""
    found: dict[str, float] = {}
    best: SequenceNet | None = None
    for way in ways:
        net = make_network(weights, name, arguments, way)
        found[way] = largest_difference(net, reference)
        if found[way] == min(found.values()):
            best = net
    chosen = min(found, key=lambda way: found[way])
    if best is None or not found[chosen] <= TOLERANCE:
        shown = ", ".join(f"{way}: {difference:.2g}" for way, difference in found.items())
        raise ModelError(
            "the weights predict other than the reference says",
            where=path,
            cause=f"largest difference by the direction of the backward LSTM: {shown}",
            remedy="the reference may be of other weights, or of both strands",
        )
    return chosen, best, found[chosen]
