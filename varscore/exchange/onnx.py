"""A model as an ONNX file, which runs without varscore and without PyTorch.

The graph is written layer by layer: a recurrent layer becomes ONNX's own LSTM, where a tracer would unroll it. What
goes in is ``sequence``, float32 (n, 4, window), one-hot with the channels A, C, G, T; what comes out is ``prediction``,
float32 (n, tasks): strands put together, as varscore predicts.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from varscore import __version__
from varscore.errors import UsageError
from varscore.nets.dilated import PositionPool, Residual
from varscore.nets.layers import (
    DROPOUTS,
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
from varscore.nets.walk import Rules, flat, is_plain
from varscore.storage.atomic import refuse_existing
from varscore.storage.outputs import check_names
from varscore.storage.whole import put_file
from varscore.zoo.models import ModelFolder

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

OPSET, IR = 17, 8
"""Versions that programs from 2022 on read"""
INPUT, OUTPUT = "sequence", "prediction"


def export_onnx(model: ModelFolder, path: Path, *, force: bool = False) -> None:
    """Raises UsageError when the package onnx is missing, the architecture has a layer that is not translated, or the
    file is one of the model's; OutputExists, OutputError.
    """
    check_names([str(path)], model.files)
    refuse_existing(str(path), force=force)
    try:
        onnx = import_module("onnx")
    except ImportError:
        raise UsageError("exporting needs the package onnx", remedy="pip install onnx") from None
    put_file(path, make_graph(onnx, model.load(), model).SerializeToString())


def make_graph(onnx: ModuleType, net: SequenceNet, model: ModelFolder) -> ModelProto:
    """The ONNX model of a network."""
    if not is_plain(net):
        raise UsageError(f"{model.architecture} is no plain list of layers: it cannot be exported", where=model.path)
    if net.objective not in _PREDICTIONS:
        raise UsageError(f"predictions of {net.objective} cannot be exported", where=model.path)
    graph = _Graph(onnx)
    bases, both = INPUT, net.strands != "one"
    if net.visible is not None:
        shown = np.zeros((1, 1, net.window), np.float32)
        shown[..., slice(*net.visible)] = 1
        bases = graph.add("Mul", bases, graph.constant(shown))
    if both:
        ends = [graph.constant(np.array(values)) for values in ([-1, -1], [-(2**31), -(2**31)], [1, 2], [-1, -1])]
        bases = graph.add("Concat", bases, graph.add("Slice", bases, *ends), axis=0)
    for layer in flat(net):
        bases = graph.layer(layer, bases)
    predicted = _PREDICTIONS[net.objective](graph, net, bases)
    if both:
        apart = graph.add("Reshape", predicted, graph.constant(np.array([2, -1, net.n_tasks])))
        reduce = "ReduceMax" if net.strands == "both-max" else "ReduceMean"
        predicted = graph.add(reduce, apart, axes=[0], keepdims=0)
    graph.add("Identity", predicted, output=OUTPUT)
    return graph.model(net, model)


class _Graph:
    """Nodes and weights, added one after the other; a name stands for what a node makes."""

    def __init__(self, onnx: ModuleType) -> None:
        self._onnx = onnx
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        name = output or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: NDArray[np.number] | Tensor) -> str:
        array = values.detach().numpy() if isinstance(values, Tensor) else values
        name = f"weight_{len(self._weights)}"
        self._weights.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def layer(self, layer: nn.Module, x: str) -> str:
        """A layer on (n, channels, positions) or (n, channels). Raises UsageError for a layer of another kind."""
        translate = _LAYERS.find(layer)
        if translate is not None:
            return translate(self, layer, x)
        raise UsageError(f"a layer of the kind {type(layer).__name__} cannot be exported")

    def model(self, net: SequenceNet, model: ModelFolder) -> ModelProto:
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            model.id,
            [helper.make_tensor_value_info(INPUT, kind, ["n", 4, net.window])],
            [helper.make_tensor_value_info(OUTPUT, kind, ["n", net.n_tasks])],
            self._weights,
        )
        opset = helper.make_opsetid("", OPSET)
        made: ModelProto = helper.make_model(
            graph, opset_imports=[opset], producer_name="varscore", producer_version=__version__
        )
        made.ir_version = IR
        tasks = "\n".join(task.name for task in model.tasks())
        helper.set_model_props(
            made, {"architecture": model.architecture, "sha256": model.sha256, "tasks": tasks, "channels": "ACGT"}
        )
        self._onnx.checker.check_model(made)
        return made


_LAYERS: Rules[Callable[[_Graph, Any, str], str]] = Rules()


@_LAYERS.of(*DROPOUTS)
def _as_it_is(graph: _Graph, layer: nn.Module, x: str) -> str:
    return x


@_LAYERS.of(Activation)
def _activation(graph: _Graph, layer: Activation, x: str) -> str:
    return graph.add("LeakyRelu", x, alpha=layer.slope) if layer.slope else graph.add("Relu", x)


@_LAYERS.of(SequenceConv, ConvPool)
def _convolution(graph: _Graph, layer: SequenceConv | ConvPool, x: str) -> str:
    x = graph.add("Conv", x, graph.constant(layer.weight), graph.constant(cast(Tensor, layer.bias)))
    if layer.pool > 1:
        x = graph.add("MaxPool", x, kernel_shape=[layer.pool], strides=[layer.pool])
    return _activation(graph, layer.activation, x)


@_LAYERS.of(Projection)
def _projection(graph: _Graph, layer: Projection, x: str) -> str:
    return graph.add("Conv", x, graph.constant(layer.weight[:, :, None]))


@_LAYERS.of(Residual)
def _residual(graph: _Graph, layer: Residual, x: str) -> str:
    d, weights = layer.dilation, [layer.conv.weight, cast(Tensor, layer.conv.bias)]
    hidden = graph.add("Conv", _activation(graph, layer.activation, x), *map(graph.constant, weights), dilations=[d])
    mixed = (layer.mix.weight * layer.scale[:, None])[:, :, None]
    added = graph.add("Conv", _activation(graph, layer.activation, hidden), graph.constant(mixed))
    middle = [graph.constant(np.array(values)) for values in ([d], [-d], [2])]
    return graph.add("Add", graph.add("Slice", x, *middle), added)


@_LAYERS.of(PositionPool)
def _position_pool(graph: _Graph, layer: PositionPool, x: str) -> str:
    sums = graph.add("Einsum", x, graph.constant(layer.weight), equation="nct,kct->nkc")
    return graph.add("Flatten", sums, axis=1)


@_LAYERS.of(nn.Linear)
def _linear(graph: _Graph, layer: nn.Linear, x: str) -> str:
    return graph.add("Gemm", x, graph.constant(layer.weight), graph.constant(layer.bias), transB=1)


@_LAYERS.of(BiLSTM)
def _lstm(graph: _Graph, layer: BiLSTM, x: str) -> str:
    steps = graph.add("Transpose", x, perm=[2, 0, 1])
    halves = [("", "_reverse")] if layer.turns else [("",), ("_reverse",)]
    outputs = []
    for suffixes in halves:
        given = {
            name: np.stack([_gates(getattr(layer, f"{name}_l0{suffix}")) for suffix in suffixes])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        bias = np.concatenate([given["bias_ih"], given["bias_hh"]], 1)
        weights = [graph.constant(array) for array in (given["weight_ih"], given["weight_hh"], bias)]
        functions = ["HardSigmoid" if layer.hard_gates else "Sigmoid", "Tanh", "Tanh"] * len(suffixes)
        direction = "bidirectional" if len(suffixes) == 2 else "forward"
        states = graph.add(
            "LSTM", steps, *weights, hidden_size=layer.hidden_size, direction=direction, activations=functions
        )
        outputs.append(graph.add("Transpose", states, perm=[2, 1, 3, 0]))  # (n, directions, units, positions)
    both = graph.add("Concat", *outputs, axis=1) if len(outputs) > 1 else outputs[0]
    # 0 is an axis as it was; -1 what is left, the positions
    return graph.add("Reshape", both, graph.constant(np.array([0, 2 * layer.hidden_size, -1])))


def _gates(weights: Tensor) -> NDArray[np.float32]:
    """From torch's order of gates (input, forget, candidate, output) to ONNX's (input, output, forget, candidate)."""
    inward, kept, candidate, outward = np.split(weights.detach().numpy(), 4)
    return np.concatenate([inward, outward, kept, candidate])


@_LAYERS.of(MeanOverTime)
def _mean(graph: _Graph, layer: MeanOverTime, x: str) -> str:
    return graph.add("ReduceMean", x, axes=[2], keepdims=0)


@_LAYERS.of(FlattenTime)
def _flatten_time(graph: _Graph, layer: FlattenTime, x: str) -> str:
    return graph.add("Flatten", graph.add("Transpose", x, perm=[0, 2, 1]), axis=1)


@_LAYERS.of(FlattenChannels)
def _flatten_channels(graph: _Graph, layer: FlattenChannels, x: str) -> str:
    return graph.add("Flatten", x, axis=1)


def _values(graph: _Graph, net: SequenceNet, x: str) -> str:
    return graph.add("Add", graph.add("Mul", x, graph.constant(net.goal.scale)), graph.constant(net.goal.mean))


def _labels(graph: _Graph, net: SequenceNet, x: str) -> str:
    return graph.add("Sigmoid", graph.add("Add", x, graph.constant(net.goal.shift)) if net.goal.shift.any() else x)


def _classes(graph: _Graph, net: SequenceNet, x: str) -> str:
    """With a shift s, p e^s / (p e^s + 1 - p)."""
    probability = graph.add("Softmax", x, axis=1)
    if not net.goal.shift.any():
        return probability
    raised = graph.add("Mul", probability, graph.constant(np.exp(net.goal.shift)))
    rest = graph.add("Sub", graph.constant(np.ones(1, np.float32)), probability)
    return graph.add("Div", raised, graph.add("Add", raised, rest))


_PREDICTIONS: dict[str, Callable[[_Graph, SequenceNet, str], str]] = {
    "labels": _labels,
    "classes": _classes,
    "values": _values,
}
