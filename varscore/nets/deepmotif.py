"""DeepMotif (Lanchantin et al. 2016): three convolutions and the best place of the sequence."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from varscore.nets.layers import ConvPool, Dropout, SequenceConv, SequenceNet, pooled_length
from varscore.nets.registry import Recipe, register


@dataclass(frozen=True)
class DeepMotifConfig:
    n_tasks: int = 1
    window: int = 101
    filters: int = 128
    width: int = 9
    second_width: int = 5
    third_width: int = 3
    pool: int = 2
    dropout: float = 0.5


class MaxOverTime(nn.Module):
    """(N, channels, T) to (N, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(2)


# The paper's text at hand gives no rates.
RECIPE = Recipe(optimizer="adam", lr=1e-3, batch_size=64, epochs=60, patience=5, schedule="plateau")


@register("deepmotif", DeepMotifConfig, RECIPE, "conv 128 k9, k5, k3, pool 2, 2, global max (101 bp)")
class DeepMotif(SequenceNet):
    """The network that later papers compare with. No public source says how the highway layers of the original were
    built, so that these three plain convolutions are its known part."""

    def __init__(self, config: DeepMotifConfig) -> None:
        first = pooled_length(config.window, config.width, config.pool)
        second = pooled_length(first, config.second_width, config.pool)
        pooled_length(second, config.third_width, 1)
        super().__init__(
            config,
            SequenceConv(config.filters, config.width, config.pool, slope=0.0),
            ConvPool(config.filters, config.filters, config.second_width, config.pool, slope=0.0),
            ConvPool(config.filters, config.filters, config.third_width, 1, slope=0.0),
            Dropout(config.dropout),
            MaxOverTime(),
            nn.Linear(config.filters, config.n_tasks),
        )
