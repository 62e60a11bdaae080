"""DanQ (Quang & Xie 2016): motif filters, then a bidirectional LSTM that reads their grammar."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch import nn

from varscore.nets.init import keras_init
from varscore.nets.layers import Activation, BiLSTM, Dropout, FlattenTime, SequenceConv, SequenceNet, pooled_length
from varscore.nets.registry import Recipe, register


@dataclass(frozen=True)
class DanQConfig:
    n_tasks: int = 919
    window: int = 1000
    filters: int = 320
    width: int = 26
    pool: int = 13
    pool_dropout: float = 0.2
    hidden: int = 320
    lstm_dropout: float = 0.5
    dense: int = 925
    hard_gates: bool = False
    """True: LSTM gates clip(.2 x + .5, 0, 1), as in the authors' weight files; False: sigmoid"""
    both_forward: bool = False
    """True: the second half of the LSTM reads from the first step on, too"""


RECIPE = Recipe(optimizer="rmsprop", lr=1e-3, rho=0.9, batch_size=100, epochs=60, patience=5, schedule="constant")
JASPAR = {"filters": 1024, "width": 30, "pool": 15, "hidden": 512}


@register("danq", DanQConfig, RECIPE, "conv 320 k26, pool 13, BiLSTM 320, dense 925 (Quang & Xie 2016)")
@register(
    "danq-jaspar",
    DanQConfig,
    dataclasses.replace(RECIPE, epochs=30),
    "conv 1024 k30, pool 15, BiLSTM 512, dense 925; the paper's begins with --init-motifs",
    **JASPAR,
)
class DanQ(SequenceNet):
    def __init__(self, config: DanQConfig) -> None:
        steps = pooled_length(config.window, config.width, config.pool)
        super().__init__(
            config,
            SequenceConv(config.filters, config.width, config.pool, slope=0.0),
            Dropout(config.pool_dropout),
            BiLSTM(config.filters, config.hidden, hard_gates=config.hard_gates, turns=not config.both_forward),
            Dropout(config.lstm_dropout),
            FlattenTime(),
            nn.Linear(steps * 2 * config.hidden, config.dense),
            Activation(),
            nn.Linear(config.dense, config.n_tasks),
        )
        keras_init(self)
