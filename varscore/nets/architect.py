"""Any network of Genetic Architect's search space (Table 2): its 19 keys that shape a network are the configuration.

AttentionNet (Table 3) and PromoterNet (Table 4) are two of its points, to the bit. The other five keys of the table are
a recipe's; :mod:`varscore.search.space` has all 24.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from varscore.errors import UsageError
from varscore.nets.attentionnet import Attention, AttentiveNet, BasesNet, ConvNorm, Residual
from varscore.nets.deepmotif import MaxOverTime
from varscore.nets.layers import (
    Activation,
    Dropout,
    FlattenChannels,
    MeanOverTime,
    SequenceNet,
    lstm_in_full,
    pooled_length,
)
from varscore.nets.promoternet import ForwardLSTM
from varscore.nets.registry import Recipe, register

NONLINEARITIES: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: Activation(0.0),
    "leaky": lambda: Activation(0.01),
    "very-leaky": lambda: Activation(1 / 3),
    "elu": nn.ELU,
}
REDUCTIONS = ("none", "max", "mean", "strided")
RNN_TYPES = ("simple", "lstm")
GLOBAL_REDUCTIONS = ("none", "attention", "max", "mean")
CHOICES: dict[str, tuple[str, ...]] = {
    "nonlinearity": tuple(NONLINEARITIES),
    "reduction": REDUCTIONS,
    "rnn_type": RNN_TYPES,
    "global_reduction": GLOBAL_REDUCTIONS,
}


@dataclass(frozen=True)
class ArchitectConfig:
    """The defaults are AttentionNet's."""

    n_tasks: int = 1
    window: int = 101
    conv_width: int = 3
    nonlinearity: str = "elu"
    conv_norm: bool = True
    """Batch norm after every convolution; biases stay"""
    filters: int = 64
    convs_before: int = 2
    """Units before the reduction, the first of which changes the channels and is never residual"""
    residual_before: bool = False
    reduction: str = "none"
    stride: int = 2
    convs_after: int = 5
    residual_after: bool = True
    rnn_layers: int = 0
    rnn_units: int = 16
    rnn_type: str = "lstm"
    bidirectional: bool = False
    global_reduction: str = "attention"
    """``none``: every position has its own inputs of the first dense layer"""
    fc_layers: int = 3
    fc_units: int = 256
    fc_norm: bool = False
    fc_dropout: float = 0.2

    def __post_init__(self) -> None:
        """Raises UsageError for what is none of a key's words, and where the reduction leaves nothing of the window."""
        for name, choices in CHOICES.items():
            word = getattr(self, name)
            if word not in choices:
                near = difflib.get_close_matches(word, choices, 2)
                remedy = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(choices)}"
                raise UsageError(f"architect: {name} = {word!r} is no choice", remedy=remedy)
        if not self.conv_width % 2:
            raise UsageError(f"architect: conv_width = {self.conv_width} is even", remedy="an odd number")
        if not (self.convs_before and self.stride):
            raise UsageError("architect: convs_before and stride are 1 or more")
        _ = self.positions

    @property
    def positions(self) -> int:
        """That are left by the reduction. Raises UsageError when there are none."""
        if self.reduction == "none":
            return self.window
        if self.reduction == "strided":
            return (self.window - 1) // self.stride + 1
        return pooled_length(self.window, 1, self.stride)


def parameters(config: ArchitectConfig) -> int:
    """Trainable parameters of the network, torch's count, without building it."""
    filters, norm = config.filters, 2 * config.conv_norm

    def conv(channels: int, to: int) -> int:
        return channels * to * config.conv_width + to + norm * to

    unit = conv(filters, filters)
    before, after = (
        (config.convs_before - 1) * (1 + config.residual_before),
        config.convs_after * (1 + config.residual_after),
    )
    total = conv(4, filters) + unit * (before + after + (config.reduction == "strided"))
    channels, directions = filters, 1 + config.bidirectional
    gates = directions * (4 if config.rnn_type == "lstm" else 1)
    for _ in range(config.rnn_layers):
        total += gates * config.rnn_units * (channels + config.rnn_units + 2)
        channels = directions * config.rnn_units
    if config.global_reduction == "attention":
        total += conv(channels, filters) + conv(filters, 1)
    elif config.global_reduction == "none":
        channels *= config.positions
    for _ in range(config.fc_layers):
        total += config.fc_units * (channels + 1 + 2 * config.fc_norm)
        channels = config.fc_units
    return total + config.n_tasks * (channels + 1)


class PositionLSTM(nn.LSTM):
    """LSTM layers over the positions; (N, channels, T) to (N, directions * hidden, T)."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # one tensor in, one out
        steps, _ = lstm_in_full(super().forward, x.permute(2, 0, 1))
        return steps.permute(1, 2, 0)


class PositionRNN(nn.RNN):
    """RNN layers of tanh over the positions; (N, channels, T) to (N, directions * hidden, T)."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # one tensor in, one out
        steps, _ = super().forward(x.permute(2, 0, 1))
        return steps.permute(1, 2, 0)


class Architect(BasesNet):
    """A network of the search space."""

    def __init__(self, config: ArchitectConfig) -> None:
        channels = config.filters
        if config.rnn_layers:
            channels = config.rnn_units * (1 + config.bidirectional)
        inputs = channels * (config.positions if config.global_reduction == "none" else 1)
        super().__init__(
            config,
            *_convolutions(config),
            *_recurrence(config),
            _over_positions(config, channels),
            *_dense(config, inputs),
            nn.Linear(config.fc_units if config.fc_layers else inputs, config.n_tasks),
        )


class AttentiveArchitect(Architect, AttentiveNet):
    """One of them with attention."""


# The paper searched rates and does not say which won: Adam with its usual rate, and a batch size of the search.
RECIPE = Recipe(optimizer="adam", lr=1e-3, batch_size=50, epochs=60, patience=3, schedule="constant")


@register(
    "architect", ArchitectConfig, RECIPE, "any network of Genetic Architect's space; by default AttentionNet (101 bp)"
)
def architect(config: ArchitectConfig) -> SequenceNet:
    return (AttentiveArchitect if config.global_reduction == "attention" else Architect)(config)


def _convolutions(config: ArchitectConfig) -> Iterator[nn.Module]:
    """The units before the reduction, the reduction, and the units after it."""
    activation, norm = NONLINEARITIES[config.nonlinearity], config.conv_norm

    def conv(channels: int, stride: int = 1) -> nn.Module:
        return ConvNorm(channels, config.filters, config.conv_width, activation(), norm=norm, stride=stride)

    def unit(residual: bool) -> nn.Module:
        if residual:
            return Residual(config.filters, config.conv_width, activation, norm=norm)
        return conv(config.filters)

    yield conv(4)
    yield from (unit(config.residual_before) for _ in range(config.convs_before - 1))
    if config.reduction == "max":
        yield nn.MaxPool1d(config.stride)
    elif config.reduction == "mean":
        yield nn.AvgPool1d(config.stride)
    elif config.reduction == "strided":
        yield conv(config.filters, config.stride)
    yield from (unit(config.residual_after) for _ in range(config.convs_after))


def _recurrence(config: ArchitectConfig) -> Iterator[nn.Module]:
    if config.rnn_type == "lstm" and config.rnn_layers == 1 and not config.bidirectional:
        yield ForwardLSTM(config.filters, config.rnn_units)
    elif config.rnn_layers:
        kind = PositionLSTM if config.rnn_type == "lstm" else PositionRNN
        yield kind(config.filters, config.rnn_units, config.rnn_layers, bidirectional=config.bidirectional)


def _over_positions(config: ArchitectConfig, channels: int) -> nn.Module:
    """(N, channels, T) to (N, channels), or with ``none`` to all of them side by side."""
    if config.global_reduction == "attention":
        return Attention(channels, config.conv_width, config.filters, norm=config.conv_norm)
    return {"max": MaxOverTime, "mean": MeanOverTime, "none": FlattenChannels}[config.global_reduction]()


def _dense(config: ArchitectConfig, inputs: int) -> Iterator[nn.Module]:
    for _ in range(config.fc_layers):
        yield nn.Linear(inputs, config.fc_units)
        if config.fc_norm:
            yield nn.BatchNorm1d(config.fc_units)
        yield NONLINEARITIES[config.nonlinearity]()
        yield Dropout(config.fc_dropout)
        inputs = config.fc_units
