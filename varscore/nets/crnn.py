"""The CRNN family (Hawkins-Hooker, Kenlay & Reid): convolution, projection, convolution, LSTM, mean over time.

The second convolution has 96 filters by default: the paper's text says 128, but its own parameter table is only met by
96 and a projection without bias.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from varscore.nets.init import variance_preserving_init
from varscore.nets.layers import (
    Activation,
    BiLSTM,
    ConvPool,
    Dropout,
    MeanOverTime,
    Projection,
    SequenceConv,
    SequenceNet,
    pooled_length,
)
from varscore.nets.registry import Recipe, register


@dataclass(frozen=True)
class CRNNConfig:
    n_tasks: int = 919
    window: int = 1000
    filters: int = 320
    width: int = 30
    pool: int = 7
    projection: int = 64
    """Channels after the 1x1 projection; 0 leaves it out."""
    dropout: float = 0.15
    second_filters: int = 96
    second_width: int = 11
    second_pool: int = 2
    hidden: int = 300
    recurrent_dropout: float = 0.2
    recurrent_dropout_per_step: bool = False
    """True: Keras's masks on the hidden state, slow; False: one mask a batch on the hidden-to-hidden weights."""
    dense: int = 0
    """Units of the hidden dense layer; 0: as many as tasks."""
    slope: float = 0.3


RECIPE = Recipe(optimizer="adam", lr=3e-4, batch_size=256, patience=5, schedule="plateau")


@register("crnn-320", CRNNConfig, RECIPE, "conv 320 k30, conv 96 k11, BiLSTM 300, mean over time", projection=0)
@register("crnn-320-projection", CRNNConfig, RECIPE, "crnn-320 with a 1x1 projection to 64 channels")
@register("crnn-700", CRNNConfig, RECIPE, "crnn with 700 first-layer filters", filters=700, projection=0)
@register("crnn-700-projection", CRNNConfig, RECIPE, "crnn-700 with a 1x1 projection to 64 channels", filters=700)
class CRNN(SequenceNet):
    config: CRNNConfig

    def __init__(self, config: CRNNConfig) -> None:
        first = pooled_length(config.window, config.width, config.pool)
        pooled_length(first, config.second_width, config.second_pool)  # raises when the window is too short
        channels = config.projection or config.filters
        dense = config.dense or config.n_tasks
        super().__init__(
            config,
            SequenceConv(config.filters, config.width, config.pool, config.slope),
            *([Projection(config.filters, config.projection)] if config.projection else []),
            Dropout(config.dropout),
            ConvPool(channels, config.second_filters, config.second_width, config.second_pool, config.slope),
            BiLSTM(config.second_filters, config.hidden, config.recurrent_dropout, config.recurrent_dropout_per_step),
            MeanOverTime(),
            nn.Linear(2 * config.hidden, dense),
            Activation(config.slope),
            nn.Linear(dense, config.n_tasks),
        )
        variance_preserving_init(self, config.slope)

    def config_for(self, n_tasks: int) -> CRNNConfig:
        return replace(self.config, n_tasks=n_tasks, dense=self.output.in_features)
