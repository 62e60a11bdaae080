"""DeepSEA (Zhou & Troyanskaya 2015): three convolutions and a dense layer over all that they found."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from varscore.nets.layers import (
    Activation,
    ConvPool,
    Dropout,
    FlattenChannels,
    SequenceConv,
    SequenceNet,
    pooled_length,
)
from varscore.nets.registry import Recipe, register


@dataclass(frozen=True)
class DeepSEAConfig:
    n_tasks: int = 919
    window: int = 1000
    filters: int = 320
    second_filters: int = 480
    third_filters: int = 960
    width: int = 8
    pool: int = 4
    pool_dropout: float = 0.2
    conv_dropout: float = 0.5
    dense: int = 925
    """The paper's; the authors' training script has 919"""


# The authors' rate of 1e-6 belongs to a loss that is summed over a batch and its tasks. Here it is their mean, so the
# same step is 1e-6 * 919 tasks * 100 examples. The paper gives no batch size; 100 is DanQ's. Penalties are relative to
# the loss: the L1 is averaged as the loss is; a weight decay so divided could do nothing, and stays 1e-6 of the mean.
RECIPE = Recipe(
    optimizer="sgd",
    lr=0.09,
    momentum=0.9,
    weight_decay=1e-6,
    max_norm=0.9,
    output_l1=1e-8,
    batch_size=100,
    epochs=60,
    patience=5,
    schedule="constant",
)


@register("deepsea", DeepSEAConfig, RECIPE, "conv 320, 480, 960 k8, pool 4, dense 925 (Zhou & Troyanskaya 2015)")
class DeepSEA(SequenceNet):
    """Weights begin as torch makes them, U(-1, 1) / sqrt(inputs): the rule of the Torch that the authors used, too."""

    def __init__(self, config: DeepSEAConfig) -> None:
        first = pooled_length(config.window, config.width, config.pool)
        second = pooled_length(first, config.width, config.pool)
        third = pooled_length(second, config.width, 1)
        super().__init__(
            config,
            SequenceConv(config.filters, config.width, config.pool, slope=0.0),
            Dropout(config.pool_dropout),
            ConvPool(config.filters, config.second_filters, config.width, config.pool, slope=0.0),
            Dropout(config.pool_dropout),
            ConvPool(config.second_filters, config.third_filters, config.width, 1, slope=0.0),
            Dropout(config.conv_dropout),
            FlattenChannels(),
            nn.Linear(config.third_filters * third, config.dense),
            Activation(),
            nn.Linear(config.dense, config.n_tasks),
        )
