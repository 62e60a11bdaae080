"""The reduced networks of the projection study (Hawkins-Hooker, Kenlay & Reid): 500 bp, with and without projection.

Each comes with a 1x1 projection behind the first layer or without one (``projection=0``), with dropout behind that or
without (``dropout=0``), and with 320, 500, 700 or 1000 first-layer filters.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from varscore.nets.crnn import RECIPE
from varscore.nets.init import variance_preserving_init
from varscore.nets.layers import (
    Activation,
    BiLSTM,
    ConvPool,
    Dropout,
    FlattenTime,
    Projection,
    SequenceConv,
    SequenceNet,
    pooled_length,
)
from varscore.nets.registry import register


@dataclass(frozen=True)
class CNN500Config:
    n_tasks: int = 919
    window: int = 500
    filters: int = 320
    width: int = 19
    pool: int = 6
    projection: int = 64
    """Channels after the 1x1 projection; 0 leaves it out."""
    dropout: float = 0.2
    second_filters: int = 128
    second_width: int = 11
    third_filters: int = 256
    third_width: int = 7
    later_pool: int = 2
    dense: int = 2048
    dense_dropout: float = 0.5
    slope: float = 0.3


@dataclass(frozen=True)
class DanQ500Config:
    n_tasks: int = 919
    window: int = 500
    filters: int = 320
    width: int = 26
    pool: int = 13
    projection: int = 64
    """Channels after the 1x1 projection; 0 leaves it out."""
    dropout: float = 0.2
    hidden: int = 100
    lstm_dropout: float = 0.5
    dense: int = 925
    slope: float = 0.3


def first_layers(config: CNN500Config | DanQ500Config) -> list[nn.Module]:
    """What both families begin with: convolution, projection if there is one, dropout."""
    return [
        SequenceConv(config.filters, config.width, config.pool, config.slope),
        *([Projection(config.filters, config.projection)] if config.projection else []),
        Dropout(config.dropout),
    ]


@register(
    "cnn-500", CNN500Config, RECIPE, "500 bp: conv 320 k19, 128 k11, 256 k7, dense 2048", window=500, projection=0
)
@register("cnn-500-projection", CNN500Config, RECIPE, "cnn-500 with a 1x1 projection to 64 channels", window=500)
class CNN500(SequenceNet):
    def __init__(self, config: CNN500Config) -> None:
        channels = config.projection or config.filters
        first = pooled_length(config.window, config.width, config.pool)
        second = pooled_length(first, config.second_width, config.later_pool)
        third = pooled_length(second, config.third_width, config.later_pool)
        super().__init__(
            config,
            *first_layers(config),
            ConvPool(channels, config.second_filters, config.second_width, config.later_pool, config.slope),
            ConvPool(config.second_filters, config.third_filters, config.third_width, config.later_pool, config.slope),
            FlattenTime(),
            nn.Linear(third * config.third_filters, config.dense),
            Activation(config.slope),
            Dropout(config.dense_dropout),
            nn.Linear(config.dense, config.n_tasks),
        )
        variance_preserving_init(self, config.slope)


@register("danq-500", DanQ500Config, RECIPE, "500 bp: conv 320 k26, BiLSTM 100, dense 925", window=500, projection=0)
@register("danq-500-projection", DanQ500Config, RECIPE, "danq-500 with a 1x1 projection to 64 channels", window=500)
class DanQ500(SequenceNet):
    def __init__(self, config: DanQ500Config) -> None:
        steps = pooled_length(config.window, config.width, config.pool)
        super().__init__(
            config,
            *first_layers(config),
            BiLSTM(config.projection or config.filters, config.hidden),
            Dropout(config.lstm_dropout),
            FlattenTime(),
            nn.Linear(steps * 2 * config.hidden, config.dense),
            Activation(config.slope),
            nn.Linear(config.dense, config.n_tasks),
        )
        variance_preserving_init(self, config.slope)
