"""AttentionNet (Genetic Architect, Table 3): residual convolutions, and a mask that says where the network looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from varscore.nets.layers import Conv, Dropout, SequenceNet, of_layers, one_hot
from varscore.nets.registry import Recipe, register


class ConvNorm(nn.Sequential):
    """Convolution and, if wanted, batch normalisation; with stride 1 positions are as many as before ("same" padding),
    with stride s every s-th of them."""

    def __init__(
        self, channels: int, filters: int, width: int, *after: nn.Module, norm: bool = True, stride: int = 1
    ) -> None:
        padding = "same" if stride == 1 else width // 2
        conv = Conv(channels, filters, width, stride=stride, padding=padding)
        super().__init__(conv, *([nn.BatchNorm1d(filters)] if norm else []), *after)


class Residual(nn.Module):
    """x + conv, BN, activation, conv, BN; nothing after the sum."""

    def __init__(
        self, channels: int, width: int, activation: Callable[[], nn.Module] = nn.ELU, *, norm: bool = True
    ) -> None:
        super().__init__()
        self.path = nn.Sequential(
            ConvNorm(channels, channels, width, activation(), norm=norm),
            ConvNorm(channels, channels, width, norm=norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.path(x))


class Attention(nn.Module):
    """(N, channels, T) to (N, channels): the sum over positions, each weighted by the mask, which ``filters`` make."""

    def __init__(self, channels: int, width: int, filters: int | None = None, *, norm: bool = True) -> None:
        super().__init__()
        filters = filters or channels
        self.score = nn.Sequential(
            ConvNorm(channels, filters, width, nn.Tanh(), norm=norm), ConvNorm(filters, 1, width, norm=norm)
        )

    def mask(self, x: Tensor) -> Tensor:
        """How much each position counts, float (N, T) with sum 1."""
        return cast(Tensor, self.score(x)).squeeze(1).softmax(1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(x, self.mask(x).unsqueeze(2)).squeeze(2)


def dense_elu(inputs: int, units: int, dropout: float, count: int = 3) -> list[nn.Module]:
    """``count`` times dense, ELU, dropout."""
    sizes = [inputs, *[units] * count]
    layers = [[nn.Linear(a, b), nn.ELU(), Dropout(dropout)] for a, b in zip(sizes, sizes[1:], strict=False)]
    return [layer for block in layers for layer in block]


class BasesNet(SequenceNet):
    """A network whose first layer takes one-hot bases, which it makes of codes."""

    @of_layers
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self._bases(x))

    def _bases(self, x: Tensor) -> Tensor:
        return one_hot(x, self.output.weight.dtype) if x.dtype == torch.uint8 else x


class AttentiveNet(BasesNet):
    """A network whose ``layers`` have one :class:`Attention` among them, whose mask it gives to whoever asks."""

    def attention(self, codes: Tensor) -> Tensor:
        """Where the network looks in each sequence, on the strand given: float (N, positions), rows sum to 1.

        codes: uint8 (N, window), or one-hot float (N, 4, window)
        """
        x = self._bases(self.shown(codes))
        for layer in self.layers:
            if isinstance(layer, Attention):
                return layer.mask(x)
            x = layer(x)
        raise TypeError("there is no attention among the layers")


@dataclass(frozen=True)
class AttentionNetConfig:
    n_tasks: int = 1
    window: int = 101
    filters: int = 64
    width: int = 3
    blocks: int = 5
    """Residual blocks"""
    dense: int = 256
    dropout: float = 0.2


# The paper searched rates and does not say which won: Adam with its usual rate, and a batch size of the search.
RECIPE = Recipe(optimizer="adam", lr=1e-3, batch_size=50, epochs=60, patience=5, schedule="plateau")


@register(
    "attentionnet", AttentionNetConfig, RECIPE, "2 conv 64 k3, 5 residual blocks, attention, 3 dense 256 (101 bp)"
)
class AttentionNet(AttentiveNet):
    def __init__(self, config: AttentionNetConfig) -> None:
        filters, width = config.filters, config.width
        super().__init__(
            config,
            ConvNorm(4, filters, width, nn.ELU()),
            ConvNorm(filters, filters, width, nn.ELU()),
            *(Residual(filters, width) for _ in range(config.blocks)),
            Attention(filters, width),
            *dense_elu(filters, config.dense, config.dropout),
            nn.Linear(config.dense, config.n_tasks),
        )
