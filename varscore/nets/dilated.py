"""Motif filters, then dilated residual blocks, then learned weightings of the positions.

Every convolution is unpadded and what a position gets depends on the bases around it alone. So windows that begin a
multiple of the network's stride (pooling 5 x 2 = 10 bases) apart have positions in common, and a segment of DNA is
read once for all its windows: see :meth:`Dilated.bins`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.errors import UsageError
from varscore.nets.init import variance_preserving_init
from varscore.nets.kernels import bf16
from varscore.nets.layers import (
    BIN,
    FEW_CHANNELS,
    Activation,
    ConvPool,
    Dropout,
    Projection,
    SequenceConv,
    SequenceNet,
    in_full,
    pooled_length,
)
from varscore.nets.registry import FAST, register

AS_IS = 1.0
"""The slope of an activation that does nothing: the first block has its own"""
TAPS = 3
"""Width of a dilated convolution"""


class Residual(nn.Module):
    """``x + scale * mix(leaky(conv(leaky(x))))``: a convolution of width 3 whose taps lie ``dilation`` apart.

    (N, channels, T) to (N, channels, T - 2 * dilation), as the convolution is unpadded.
    """

    def __init__(self, channels: int, dilation: int, slope: float = 0.1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, TAPS, dilation=dilation)
        self.mix = Projection(channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.2))
        self.activation = Activation(slope)

    @property
    def dilation(self) -> int:
        return self.conv.dilation[0]

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.in_channels >= FEW_CHANNELS and bf16.wanted(x):
            mix, bias = (self.scale[:, None] * self.mix.weight).t(), cast(Tensor, self.conv.bias)
            steps = x.transpose(1, 2)
            return bf16.residual(steps, self.conv.weight, bias, mix, self.dilation, self.activation.slope).transpose(
                1, 2
            )
        hidden = self.activation(in_full(self._convolved, self.activation(x).unsqueeze(2), self.conv.in_channels))
        kept: Tensor = x[:, :, self.dilation : x.shape[2] - self.dilation]
        added: Tensor = self.mix(hidden.squeeze(2))
        return kept + self.scale[:, None] * added

    def _convolved(self, x: Tensor) -> Tensor:
        """Of an image of height 1: see ConvPool."""
        return F.conv2d(x, self.conv.weight.unsqueeze(2), self.conv.bias, dilation=(1, self.dilation))

    def extra_repr(self) -> str:
        return f"channels={self.conv.in_channels}, dilation={self.dilation}"


class PositionPool(nn.Module):
    """Sums over positions, each channel weighted in several ways: (N, channels, positions) to (N, sets * channels).

    ``weight``, float (sets, channels, positions): the first set begins flat, the others as a bell over the middle.
    """

    def __init__(self, sets: int, channels: int, positions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(sets, channels, positions))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight.is_meta:
            return  # an outline, filled from a file; arithmetic on it would have torch import its compiler
        positions = self.weight.shape[2]
        middle = (torch.arange(positions, device=self.weight.device) - (positions - 1) / 2) * (7.5 / positions)
        with torch.no_grad():
            self.weight.normal_(std=0.1 / positions)
            self.weight[:1] = self.weight[:1] * 3 + 1 / positions
            self.weight[1:] += torch.softmax(-middle.square(), 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.along(x, 1)[:, 0]

    def along(self, x: Tensor, step: int) -> Tensor:
        """Of every ``positions`` of a longer map, ``step`` apart: (N, channels, T) to (N, stretches, ...)."""
        if bf16.wanted(x):
            return bf16.position_pool(x.transpose(1, 2), self.weight, step)
        stretches = x.unfold(2, self.weight.shape[2], step)
        return torch.einsum("ncst,kct->nskc", stretches, self.weight).flatten(2)

    def extra_repr(self) -> str:
        sets, channels, positions = self.weight.shape
        return f"sets={sets}, channels={channels}, positions={positions}"


@dataclass(frozen=True)
class DilatedConfig:
    n_tasks: int = 919
    window: int = 1000
    filters: int = 320
    width: int = 28
    pool: int = 5
    channels: int = 128
    """Channels after the 1x1 projection, and from there on"""
    channel_dropout: float = 0.1
    """Share of the channels after the projection that a window does without"""
    second_width: int = 5
    second_pool: int = 2
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    """Of each residual block"""
    sets: int = 2
    """Weightings of the positions"""
    hidden: int = 512
    """Units of the dense layer"""
    dropout: float = 0.2
    """Before and after the dense layer"""
    slope: float = 0.1


@register(
    "dilated", DilatedConfig, FAST, "conv 320 k28, projection 128, conv k5, 4 dilated residual blocks, position pool"
)
class Dilated(SequenceNet):
    config: DilatedConfig

    def __init__(self, config: DilatedConfig) -> None:
        channels, slope = config.channels, config.slope
        first = pooled_length(config.window, config.width, config.pool)
        positions = pooled_length(first, config.second_width, config.second_pool) - 2 * sum(config.dilations)
        if positions < 1:
            raise UsageError(f"{config.window} bp are too few for dilations of {sum(config.dilations)} in all")
        if 0 in config.dilations:
            raise UsageError("dilated cannot be built with these arguments", cause="a dilation is 1 or more")
        super().__init__(
            config,
            SequenceConv(config.filters, config.width, config.pool, slope),
            Projection(config.filters, channels),
            nn.Dropout1d(config.channel_dropout),
            ConvPool(channels, channels, config.second_width, config.second_pool, AS_IS),
            *(Residual(channels, dilation, slope) for dilation in config.dilations),
            Activation(slope),
            PositionPool(config.sets, channels, positions),
            Dropout(config.dropout),
            nn.Linear(config.sets * channels, config.hidden),
            Activation(slope),
            Dropout(config.dropout),
            nn.Linear(config.hidden, config.n_tasks),
        )
        variance_preserving_init(self, slope)
        nn.init.constant_(cast(Tensor, cast(SequenceConv, self.layers[0]).bias), -1.0)

    @property
    def stride(self) -> int:
        """Bases from one of the last map's positions to the next."""
        return int(self.config.pool * self.config.second_pool)

    def bins(self, codes: Tensor, count: int, step: int = BIN) -> Tensor:
        """The map of the whole segment is made once if ``step`` is a multiple of the network's :attr:`stride`."""
        if step % self.stride or self.visible is not None:
            return super().bins(codes, count, step)
        self.demand_segment(codes, count, step)
        layers = list(self.layers)
        at = next(i for i, layer in enumerate(layers) if isinstance(layer, PositionPool))
        pool = cast(PositionPool, layers[at])
        pooled = pool.along(nn.Sequential(*layers[:at])(codes), step // self.stride)
        logits: Tensor = nn.Sequential(*layers[at + 1 :])(pooled.flatten(0, 1))
        return logits.view(len(codes), count, -1)
