"""DeepBind (Alipanahi et al. 2015): a row of motif detectors, of which each sees the best place of the sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from varscore.nets.layers import (
    Activation,
    Dropout,
    FlattenChannels,
    SequenceConv,
    SequenceNet,
    of_layers,
    pooled_length,
)
from varscore.nets.layers import reverse_complement as other_strand
from varscore.nets.registry import Recipe, register


@dataclass(frozen=True)
class DeepBindConfig:
    n_tasks: int = 1
    window: int = 101
    filters: int = 16
    width: int = 24
    dense: int = 32
    """Units between the detectors and the output; 0: none"""
    dropout: float = 0.5


# The original draws its rates at random for every data set; these are ours.
RECIPE = Recipe(optimizer="adam", lr=3e-3, batch_size=64, epochs=60, patience=8, schedule="plateau", plateau_patience=3)


@register("deepbind", DeepBindConfig, RECIPE, "conv 16 k24, global max, dense 32; better of both strands (101 bp)")
class DeepBind(SequenceNet):
    """The better output of the two strands counts, in training too. Where the data set is of one strand, only that is
    seen. The papers at hand say no more of it than one convolution: dropout's place and sizes are designed here.
    """

    strands = "both-max"

    def __init__(self, config: DeepBindConfig) -> None:
        hidden = [nn.Linear(config.filters, config.dense), Activation()] if config.dense else []
        super().__init__(
            config,
            SequenceConv(config.filters, config.width, pooled_length(config.window, config.width, 1), slope=0.0),
            FlattenChannels(),
            Dropout(config.dropout),
            *hidden,
            nn.Linear(config.dense or config.filters, config.n_tasks),
        )

    @of_layers
    def forward(self, x: Tensor) -> Tensor:
        if self.strands != "both-max":
            return super().forward(x)
        other = other_strand(x) if x.dtype == torch.uint8 else x.flip(1, 2)
        both = cast(Tensor, self.layers(torch.cat([x, other])))
        return both.view(2, len(x), self.n_outputs).amax(0)
