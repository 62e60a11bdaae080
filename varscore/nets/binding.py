"""Transcription-factor binding from sequence and open chromatin (thesis, ENCODE-DREAM): is the middle 200 bp bound?

The first track is DNase, any others describe the shape of DNA; scalars are the expression of genes. A network without
tracks and scalars is one of sequence alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.nets import baselines
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

RECIPE = Recipe(optimizer="adam", lr=1e-3, batch_size=256, epochs=50, patience=10, schedule="constant")
AS_IS = 1.0
"""The slope of an activation that does nothing: here the batch norm comes between pooling and ReLU"""


@dataclass(frozen=True)
class ShallowConfig:
    n_tasks: int = 1
    window: int = 1000
    tracks: int = 1
    """DNase, then shape"""
    scalars: int = 0
    filters: int = 32
    width: int = 20
    pool: int = 35
    dense: int = 100
    merged: int = 1000
    """Units of the dense layer that all inputs meet in"""
    track_pool: int = 20
    dropout: float = 0.5


@dataclass(frozen=True)
class DeepConfig(ShallowConfig):
    filters: int = 64
    width: int = 5
    pool: int = 2
    blocks: int = 4
    """Convolutions"""


@dataclass(frozen=True)
class MultiTaskConfig:
    n_tasks: int = 32
    window: int = 1000
    tracks: int = 1
    scalars: int = 0
    filters: int = 320
    width: int = 30
    pool: int = 15
    dense: int = 1000
    """Units of the sequence path, and of the layer where it meets the other inputs"""
    private: int = 128
    """Units that a task has for itself"""
    track_pool: int = 30
    dropout: float = 0.5


def _dense(inputs: int, units: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(inputs, units), nn.BatchNorm1d(units), Activation(), Dropout(dropout)]


def _shallow_path(first: SequenceConv | ConvPool, config: ShallowConfig) -> list[nn.Module]:
    """A convolution with pooling, made into ``dense`` numbers."""
    cells = config.filters * pooled_length(config.window, config.width, config.pool)
    norm = [nn.BatchNorm1d(config.filters), Activation()]
    return [first, *norm, FlattenChannels(), Dropout(config.dropout), *_dense(cells, config.dense, config.dropout)]


def _xavier(net: nn.Module) -> None:
    """The thesis's initialisation, with biases of 0."""
    for module in net.modules():
        if isinstance(module, (nn.Conv1d, nn.Linear)):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@register("binding-shallow", ShallowConfig, RECIPE, "conv 32 k20, pool 35, DNase beside it, dense 1000 (1000 bp)")
class ShallowNet(SequenceNet):
    """Every input has a path of its own; ``merged`` is where they meet. ``layers`` is the path of the sequence."""

    def __init__(self, config: ShallowConfig) -> None:
        super().__init__(config, *self.sequence_path(config))
        paths, meet = {}, config.dense
        if config.tracks:
            paths["dnase"] = nn.Sequential(nn.MaxPool1d(config.track_pool), nn.BatchNorm1d(1), FlattenChannels())
            meet += pooled_length(config.window, 1, config.track_pool)
        if config.tracks > 1:
            # the shape's convolution is the shallow one in the deep network, too
            flat = ShallowConfig(window=config.window, dense=config.dense, dropout=config.dropout)
            first = ConvPool(config.tracks - 1, flat.filters, flat.width, flat.pool, AS_IS)
            paths["shape"] = nn.Sequential(*_shallow_path(first, flat))
            meet += config.dense
        if config.scalars:
            paths["expression"] = nn.Sequential(*_dense(config.scalars, config.dense, config.dropout))
            meet += config.dense
        self.paths = nn.ModuleDict(paths)
        last = nn.Linear(config.merged, config.n_tasks)
        self.merged = nn.Sequential(*_dense(meet, config.merged, config.dropout), last)
        _xavier(self)

    @staticmethod
    def sequence_path(config: ShallowConfig) -> list[nn.Module]:
        return _shallow_path(SequenceConv(config.filters, config.width, config.pool, AS_IS), config)

    @property
    def output(self) -> nn.Linear:
        return cast(nn.Linear, self.merged[-1])

    def forward(self, x: Tensor, tracks: Tensor | None = None, scalars: Tensor | None = None) -> Tensor:
        found = [self.layers(x)]
        if tracks is not None:
            found.append(self.paths["dnase"](tracks[:, :1]))
            if tracks.shape[1] > 1:
                found.append(self.paths["shape"](tracks[:, 1:]))
        if scalars is not None:
            found.append(self.paths["expression"](scalars))
        return cast(Tensor, self.merged(torch.cat(found, 1)))


@register("binding-deep", DeepConfig, RECIPE, "4 conv 64 k5, pool 2, DNase beside them, dense 1000 (1000 bp)")
class DeepNet(ShallowNet):
    """The figure of the thesis's deep network is lost: its small kernels and the same merge, arranged here."""

    @staticmethod
    def sequence_path(config: Any) -> list[nn.Module]:
        layers: list[nn.Module] = []
        positions, channels = config.window, 0
        for _ in range(config.blocks):
            sizes = config.filters, config.width, config.pool, AS_IS
            layers += [ConvPool(channels, *sizes) if layers else SequenceConv(*sizes)]
            layers += [nn.BatchNorm1d(config.filters), Activation()]
            positions, channels = pooled_length(positions, config.width, config.pool), config.filters
        dense = _dense(channels * positions, config.dense, config.dropout)
        return [*layers, FlattenChannels(), Dropout(config.dropout), *dense]


class EachTask(nn.Linear):
    """A dense layer for each task, from its own units to its own outputs: (N, tasks * units) to (N, tasks * outputs).

    The weight is (tasks * outputs, units), those of a task together.
    """

    def __init__(self, tasks: int, units: int, outputs: int) -> None:
        super().__init__(units, tasks * outputs)
        self.tasks = tasks

    def forward(self, x: Tensor) -> Tensor:
        units = x.view(len(x), self.tasks, self.in_features)
        weight = self.weight.view(self.tasks, -1, self.in_features)
        return torch.einsum("ntu,tou->nto", units, weight).flatten(1) + self.bias


# the thesis trained it for 5 epochs
@register(
    "binding-multitask",
    MultiTaskConfig,
    Recipe(optimizer="adam", lr=1e-3, batch_size=256, epochs=5, patience=10, schedule="constant"),
    "conv 320 k30, pool 15, DNase beside it, 128 private units a factor (1000 bp)",
)
class MultiTaskNet(SequenceNet):
    """Factors share what is seen in the sequence and DNase; of each the last layers are its own. A label that is not
    known gives no gradient, so a factor learns from the cell types it was measured in.
    """

    objective = "states"
    config: MultiTaskConfig

    def __init__(self, config: MultiTaskConfig) -> None:
        cells = config.filters * pooled_length(config.window, config.width, config.pool)
        super().__init__(
            config,
            SequenceConv(config.filters, config.width, config.pool, slope=0.0),
            FlattenChannels(),
            nn.Linear(cells, config.dense),
            Activation(),
            Dropout(config.dropout),
        )
        meet = config.dense + config.scalars
        if config.tracks:
            meet += config.tracks * pooled_length(config.window, 1, config.track_pool)
        self.shared = nn.Sequential(*_dense(meet, config.dense, config.dropout))
        self.own = nn.Sequential(nn.Linear(config.dense, config.n_tasks * config.private), Activation())
        self.states = EachTask(config.n_tasks, config.private, self.goal.per_task)
        _xavier(self)

    @property
    def output(self) -> nn.Linear:
        return self.states

    def forward(self, x: Tensor, tracks: Tensor | None = None, scalars: Tensor | None = None) -> Tensor:
        found = [self.layers(x)]
        if tracks is not None:
            found.append(F.max_pool1d(tracks, self.config.track_pool).flatten(1))
        if scalars is not None:
            found.append(scalars)
        return cast(Tensor, self.states(self.own(self.shared(torch.cat(found, 1)))))


@dataclass(frozen=True)
class KmerTracksConfig:
    n_tasks: int = 1
    window: int = 1000
    longest: int = 5
    tracks: int = 1
    track_pool: int = 20


@register(
    "kmer-tracks", KmerTracksConfig, baselines.RECIPE, "logistic regression on k-mer counts and DNase, pooled by 20"
)
class KmerTracks(baselines.KmerLogistic):
    """What a network of sequence and DNase must beat: k-mers without DNase would be no match for any."""

    config: KmerTracksConfig

    def __init__(self, config: KmerTracksConfig) -> None:
        counts = baselines.KmerCounts(config.longest)
        width = counts.width
        if config.tracks:
            width += config.tracks * pooled_length(config.window, 1, config.track_pool)
        SequenceNet.__init__(self, config, counts, nn.Linear(width, config.n_tasks))
        self.norm = nn.BatchNorm1d(config.tracks, affine=False) if config.tracks else nn.Identity()
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, tracks: Tensor | None = None) -> Tensor:
        found = [self.layers[0](x)]
        if tracks is not None:
            found.append(self.norm(F.max_pool1d(tracks, self.config.track_pool)).flatten(1))
        return cast(Tensor, self.output(torch.cat(found, 1)))
