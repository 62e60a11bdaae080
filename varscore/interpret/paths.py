"""The straight-path rule: contributions that add up to the difference of the output, whatever the network.

An input x is compared with a reference x0. For a node y = f(x1 .. xn) the multiplier m_i of its input i is the integral
over t in [0, 1] of df/dx_i at x0 + t (x - x0). Then the sum of m_i (x_i - x0_i) is y - y0 at every node, and so, by the
chain of multipliers, for the network: its contributions are complete. In closed form the multiplier is

    affine              the weight
    one input           (y - y0) / (x - x0), and the derivative in the middle where these nearly meet (DeepLIFT's
                        rescale rule)
    product a b         (b + b0) / 2 for a, (a + a0) / 2 for b: the gates of an LSTM, a mask and what it weighs
    maximum             the share of the path on which a value is the largest; ties are split evenly
    softmax             as exponential, sum, reciprocal and product

With a constant reference in a pool the rule for the maximum is DeepLIFT's; with any other that one divides by
differences that may be as good as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.errors import UsageError
from varscore.nets.architect import PositionLSTM, PositionRNN
from varscore.nets.attentionnet import Attention
from varscore.nets.attentionnet import Residual as ResidualNorm
from varscore.nets.deepmotif import MaxOverTime
from varscore.nets.dilated import PositionPool, Residual
from varscore.nets.layers import (
    DROPOUTS,
    Activation,
    BiLSTM,
    Conv,
    ConvPool,
    FlattenChannels,
    FlattenTime,
    MeanOverTime,
    Projection,
    SequenceConv,
    SequenceNet,
    hard_sigmoid,
)
from varscore.nets.promoternet import ForwardLSTM
from varscore.nets.walk import NoRule, Rules, flat, is_list

NEAR = {torch.float32: 1e-5, torch.float64: 1e-9}
"""Differences of a node's inputs below which the derivative takes the place of the quotient"""
Function = Callable[[Tensor], Tensor]


class _Rescale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, x0: Tensor, function: Function, derivative: Function) -> Tensor:
        y, difference = function(x), x - x0
        near = difference.abs() < NEAR[x.dtype]
        quotient = (y - function(x0)) / torch.where(near, 1.0, difference)
        ctx.save_for_backward(torch.where(near, derivative((x + x0) / 2), quotient))
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (multiplier,) = ctx.saved_tensors
        return gradients[0] * multiplier, None, None, None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, a0: Tensor, b0: Tensor) -> Tensor:
        ctx.save_for_backward((a + a0) / 2, (b + b0) / 2)
        return a * b

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_a, of_b = ctx.saved_tensors
        return gradients[0] * of_b, gradients[0] * of_a, None, None


class _Maximum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, x0: Tensor) -> Tensor:
        ctx.save_for_backward(winning_shares(x, x0))
        return x.amax(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (shares,) = ctx.saved_tensors
        return gradients[0][..., None] * shares, None


def winning_shares(x: Tensor, x0: Tensor) -> Tensor:
    """Share of the way from x0 to x on which each of p values is the largest: float (..., p), rows sum to 1.

    x, x0: float (..., p). Value i is the largest where its line x0_i + t (x_i - x0_i) lies above every other: against a
    line that rises less from some t on, against one that rises more up to some t. Lines that are one line share evenly.
    """
    slope = x - x0
    start, end, alike = torch.zeros_like(x), torch.ones_like(x), torch.zeros_like(x)
    never = torch.zeros_like(x, dtype=torch.bool)
    for j in range(x.shape[-1]):
        faster = slope - slope[..., j : j + 1]
        behind = x0[..., j : j + 1] - x0
        meet = behind / torch.where(faster == 0, 1.0, faster)
        start = torch.where(faster > 0, torch.maximum(start, meet), start)
        end = torch.where(faster < 0, torch.minimum(end, meet), end)
        never |= (faster == 0) & (behind > 0)
        alike += (faster == 0) & (behind == 0)
    share = torch.where(never, 0.0, (end - start).clamp_min(0)) / alike.clamp_min(1)
    return share / share.sum(-1, keepdim=True)  # 1 but for rounding


@dataclass(frozen=True, slots=True)
class Pair:
    """A node's values for the input, ``x``, which carry a graph, and for the reference, ``r``, which do not."""

    x: Tensor
    r: Tensor

    def affine(self, function: Function) -> Pair:
        with torch.no_grad():
            reference = function(self.r)
        return Pair(function(self.x), reference)

    def rescale(self, function: Function, derivative: Function) -> Pair:
        with torch.no_grad():
            reference = function(self.r)
        return Pair(_of(_Rescale, self.x, self.r, function, derivative), reference)

    def __mul__(self, other: Pair) -> Pair:
        return Pair(_of(_Product, self.x, other.x, self.r, other.r), self.r * other.r)

    def __add__(self, other: Pair) -> Pair:
        return Pair(self.x + other.x, self.r + other.r)

    def maximum(self) -> Pair:
        """Over the last axis."""
        return Pair(_of(_Maximum, self.x, self.r), self.r.amax(-1))

    def pool(self, size: int) -> Pair:
        """The largest of every ``size`` positions; an incomplete tail is dropped."""
        if size == 1:
            return self
        cells = self.x.shape[-1] // size
        return self.affine(lambda x: x[..., : cells * size].reshape(*x.shape[:-1], cells, size)).maximum()

    def leaky(self, slope: float) -> Pair:
        if slope == 1:
            return self
        return self.rescale(lambda x: F.leaky_relu(x, slope), lambda x: torch.where(x > 0, 1.0, slope).to(x.dtype))

    def sigmoid(self, hard: bool = False) -> Pair:
        if hard:
            return self.rescale(hard_sigmoid, lambda x: torch.where(x.abs() < 2.5, 0.2, 0.0).to(x.dtype))
        return self.rescale(torch.sigmoid, lambda x: torch.sigmoid(x) * (1 - torch.sigmoid(x)))

    def tanh(self) -> Pair:
        return self.rescale(torch.tanh, lambda x: 1 - torch.tanh(x).square())

    def softmax(self, axis: int) -> Pair:
        raised, _ = self._raised(axis)
        total = raised.affine(lambda x: x.sum(axis, keepdim=True).expand_as(x))
        shares = raised * total.rescale(torch.reciprocal, lambda x: -1 / x.square())
        return shares.affine(lambda x: x.to(self.x.dtype))

    def logsumexp(self, axis: int) -> Pair:
        raised, middle = self._raised(axis)
        total = raised.affine(lambda x: x.sum(axis)).rescale(torch.log, torch.reciprocal)
        return total.affine(lambda x: (x + middle.squeeze(axis)).to(self.x.dtype))

    def _raised(self, axis: int) -> tuple[Pair, Tensor]:
        """Exponentials, and what was taken off before: a constant half-way between both maxima, so that neither those
        of the input nor those of the reference leave the numbers that there are. It changes no multiplier in the end.
        In double precision, since multipliers cancel that are as large as the exponential of the maxima's difference.
        """
        with torch.no_grad():
            middle = (self.x.amax(axis, keepdim=True) + self.r.amax(axis, keepdim=True)).double() / 2
        return self.affine(lambda x: x.double() - middle).rescale(torch.exp, torch.exp), middle


def _of(function: type[torch.autograd.Function], *values: object) -> Tensor:
    return cast(Tensor, function.apply(*values))  # type: ignore[no-untyped-call]


RULES: Rules[Callable[[Any, Pair], Pair]] = Rules()


def through(layers: Iterable[nn.Module], pair: Pair) -> Pair:
    """What layers make of a pair, one after the other. Raises NoRule."""
    for layer in layers:
        pair = RULES[layer](layer, pair)
    return pair


@RULES.of(nn.Linear, nn.Conv1d, Conv, nn.BatchNorm1d, nn.AvgPool1d, nn.Flatten)
@RULES.of(Projection, PositionPool, MeanOverTime, FlattenTime, FlattenChannels)
def _affine(layer: nn.Module, pair: Pair) -> Pair:
    if isinstance(layer, nn.BatchNorm1d) and layer.training:
        raise NoRule("batch normalisation in training is no affine function of one input")
    return pair.affine(layer)


@RULES.of(*DROPOUTS, nn.Identity)
def _as_it_is(layer: nn.Module, pair: Pair) -> Pair:
    return pair


@RULES.of(nn.Sequential)
def _list(layer: nn.Sequential, pair: Pair) -> Pair:
    return through(layer, pair)


@RULES.of(Activation)
def _activation(layer: Activation, pair: Pair) -> Pair:
    return pair.leaky(layer.slope)


@RULES.of(nn.ReLU, nn.LeakyReLU)
def _relu(layer: nn.Module, pair: Pair) -> Pair:
    return pair.leaky(float(getattr(layer, "negative_slope", 0.0)))


@RULES.of(nn.ELU)
def _elu(layer: nn.ELU, pair: Pair) -> Pair:
    alpha = layer.alpha
    return pair.rescale(lambda x: F.elu(x, alpha), lambda x: torch.where(x > 0, 1.0, alpha * x.clamp_max(0).exp()))


@RULES.of(nn.Tanh)
def _tanh(layer: nn.Tanh, pair: Pair) -> Pair:
    return pair.tanh()


@RULES.of(nn.Sigmoid)
def _sigmoid(layer: nn.Sigmoid, pair: Pair) -> Pair:
    return pair.sigmoid()


@RULES.of(nn.MaxPool1d)
def _max_pool(layer: nn.MaxPool1d, pair: Pair) -> Pair:
    sizes = (layer.kernel_size, layer.stride)
    if sizes[0] != sizes[1] or layer.padding != 0 or layer.dilation != 1 or layer.ceil_mode:
        raise NoRule("no rule for max-pooling that overlaps, pads or keeps an incomplete tail")
    return pair.pool(cast(int, layer.kernel_size))


@RULES.of(MaxOverTime)
def _max_over_time(layer: MaxOverTime, pair: Pair) -> Pair:
    return pair.maximum()


@RULES.of(SequenceConv)
def _first(layer: SequenceConv, pair: Pair) -> Pair:
    bias = cast(Tensor, layer.bias)[:, None]
    pooled = pair.affine(lambda x: F.conv1d(x, layer.weight)).pool(layer.pool)
    return pooled.affine(lambda x: x + bias).leaky(layer.activation.slope)


@RULES.of(ConvPool)
def _conv_pool(layer: ConvPool, pair: Pair) -> Pair:
    mapped = pair.affine(lambda x: F.conv1d(x, layer.weight, layer.bias))
    return mapped.pool(layer.pool).leaky(layer.activation.slope)


@RULES.of(Residual)
def _residual(layer: Residual, pair: Pair) -> Pair:
    edge, slope = layer.dilation, layer.activation.slope
    hidden = pair.leaky(slope).affine(layer.conv).leaky(slope)
    kept = pair.affine(lambda x: x[:, :, edge : x.shape[2] - edge])
    return kept + hidden.affine(lambda x: layer.scale[:, None] * layer.mix(x))


@RULES.of(ResidualNorm)
def _residual_norm(layer: ResidualNorm, pair: Pair) -> Pair:
    return pair + through(layer.path, pair)


@RULES.of(Attention)
def _attention(layer: Attention, pair: Pair) -> Pair:
    mask = through(layer.score, pair).softmax(2).affine(lambda x: x.expand(-1, pair.x.shape[1], -1))
    return (pair * mask).affine(lambda x: x.sum(2))


@RULES.of(BiLSTM)
def _bilstm(layer: BiLSTM, pair: Pair) -> Pair:
    forward = recur(_weights(layer, "l0"), pair, hard=layer.hard_gates)
    second = recur(_weights(layer, "l0_reverse"), pair, backward=layer.turns, hard=layer.hard_gates)
    return beside([forward, second])


@RULES.of(ForwardLSTM, PositionLSTM)
def _lstm(layer: nn.LSTM, pair: Pair) -> Pair:
    if layer.proj_size or not layer.bias or (layer.dropout and layer.training):
        raise NoRule("no rule for an LSTM with a projection, without biases, or with dropout that acts")
    return _layers(layer, pair, recur)


@RULES.of(PositionRNN)
def _rnn(layer: nn.RNN, pair: Pair) -> Pair:
    if layer.nonlinearity != "tanh" or not layer.bias or (layer.dropout and layer.training):
        raise NoRule("no rule for an RNN without biases, of ReLU, or with dropout that acts")
    return _layers(layer, pair, recur_simply)


def _layers(layer: nn.RNNBase, pair: Pair, run: Callable[..., Pair]) -> Pair:
    """Recurrent layers on top of one another, of one direction or two each."""
    for number in range(layer.num_layers):
        both = [run(_weights(layer, f"l{number}"), pair)]
        if layer.bidirectional:
            both.append(run(_weights(layer, f"l{number}_reverse"), pair, backward=True))
        pair = beside(both)
    return pair


def beside(pairs: Sequence[Pair]) -> Pair:
    """Channels of several maps beside one another."""
    return Pair(torch.cat([pair.x for pair in pairs], 1), torch.cat([pair.r for pair in pairs], 1))


Weights = tuple[Tensor, Tensor, Tensor]
"""Of inputs, of the hidden state, and both biases together"""


def _weights(layer: nn.RNNBase, suffix: str) -> Weights:
    inward, recurrent, first, second = (
        cast(Tensor, getattr(layer, f"{name}_{suffix}")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return inward, recurrent, first + second


def recur(weights: Weights, pair: Pair, *, backward: bool = False, hard: bool = False) -> Pair:
    """One direction of an LSTM, (N, channels, T) to (N, hidden, T): gates by rescale, and three products a step."""
    recurrent = weights[1]
    given, order = _given(weights, pair, backward)
    hidden = cell = _nothing(given, recurrent)
    outputs = [hidden] * len(given.x)
    for t in order:
        gates = Pair(given.x[t], given.r[t]) + hidden.affine(lambda x: F.linear(x, recurrent))
        parts = zip(gates.x.chunk(4, 1), gates.r.chunk(4, 1), strict=True)
        inward, forget, candidate, outward = (Pair(x, r) for x, r in parts)
        cell = forget.sigmoid(hard) * cell + inward.sigmoid(hard) * candidate.tanh()
        hidden = outward.sigmoid(hard) * cell.tanh()
        outputs[t] = hidden
    return _along(outputs)


def recur_simply(weights: Weights, pair: Pair, *, backward: bool = False) -> Pair:
    """One direction of a recurrent layer without gates: tanh of what comes in and of the state before."""
    recurrent = weights[1]
    given, order = _given(weights, pair, backward)
    hidden = _nothing(given, recurrent)
    outputs = [hidden] * len(given.x)
    for t in order:
        sums = Pair(given.x[t], given.r[t]) + hidden.affine(lambda x: F.linear(x, recurrent))
        outputs[t] = hidden = sums.tanh()
    return _along(outputs)


def _given(weights: Weights, pair: Pair, backward: bool) -> tuple[Pair, Iterable[int]]:
    """What every step is given, (T, N, gates), and the order of the steps."""
    inward, _, bias = weights
    given = pair.affine(lambda x: F.linear(x.permute(2, 0, 1), inward, bias))
    steps = range(len(given.x))
    return given, reversed(steps) if backward else steps


def _nothing(given: Pair, recurrent: Tensor) -> Pair:
    """The state before the first step."""
    state = given.x.new_zeros(given.x.shape[1], recurrent.shape[1])
    return Pair(state, state)


def _along(outputs: Sequence[Pair]) -> Pair:
    """States of every step, (N, hidden) each, as a map."""
    return Pair(torch.stack([output.x for output in outputs], 2), torch.stack([output.r for output in outputs], 2))


def demand_rules(net: SequenceNet) -> None:
    """Raises UsageError, which says why, for a network that this rule cannot explain."""
    cause = None if is_list(net) else "it is no plain list of layers"
    unknown = [] if cause else [layer for layer in flat(net) if RULES.find(layer) is None]
    if unknown:
        cause = f"it has no rule for a layer of the kind {type(unknown[0]).__name__}"
    if cause:
        raise UsageError("deeplift cannot explain this architecture", cause=cause, remedy="ism explains it")


def outputs_of(net: SequenceNet, pair: Pair) -> Pair:
    """A network's outputs for one-hot strands, (N, 4, window) to (N, outputs), by the rules. Raises NoRule."""
    return through(net.layers, pair.affine(net.shown))
