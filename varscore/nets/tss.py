"""Transcription start sites (thesis, Table 9): is the middle of 200 bp a sharp start site, a broad one, or none?"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from varscore.nets.layers import Activation, Dropout, FlattenChannels, SequenceConv, SequenceNet, pooled_length
from varscore.nets.registry import Recipe, register


@dataclass(frozen=True)
class TssConfig:
    n_tasks: int = 3
    window: int = 200
    filters: int = 16
    width: int = 10
    pool: int = 4
    dense: int = 128
    dropout: float = 0.5


RECIPE = Recipe(optimizer="adam", lr=1e-3, batch_size=256, epochs=100, patience=10, schedule="constant")


@register("tss", TssConfig, RECIPE, "conv 16 k10, pool 4, dense 128: sharp, broad or no start site (200 bp)")
class TssNet(SequenceNet):
    """Reads the strand that is transcribed, and no other. The thesis does not say how weights begin: as torch's do."""

    objective = "classes"
    strands = "one"

    def __init__(self, config: TssConfig) -> None:
        positions = pooled_length(config.window, config.width, config.pool)
        super().__init__(
            config,
            SequenceConv(config.filters, config.width, config.pool, slope=0.0),
            FlattenChannels(),
            nn.Linear(config.filters * positions, config.dense),
            Activation(),
            Dropout(config.dropout),
            nn.Linear(config.dense, config.n_tasks),
        )
