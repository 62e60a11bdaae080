"""Every architecture at a size that tests can afford."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from varscore.nets import build, find
from varscore.nets.layers import SequenceNet

SIZES: dict[str, Any] = {
    "n_tasks": 5,
    "window": 180,
    "filters": 6,
    "second_filters": 5,
    "third_filters": 6,
    "projection": 3,
    "channels": 4,
    "dilations": (1, 2),
    "hidden": 4,
    "dense": 7,
    "longest": 3,
    "blocks": 2,
    "convs_after": 2,
    "fc_units": 7,
}


def small_arguments(name: str) -> dict[str, Any]:
    """The sizes an architecture has, except those that are 0 (a layer left out)."""
    config = find(name).configure()
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {size: value for size, value in SIZES.items() if fields.get(size)}


def small(name: str, seed: int = 0, **arguments: Any) -> SequenceNet:
    torch.manual_seed(seed)
    return build(name, **{**small_arguments(name), **arguments})


def also(net: SequenceNet, rows: int, seed: int = 0) -> dict[str, Tensor]:
    """What a network reads besides bases, by name, at random."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"tracks": lambda: (net.config.tracks, net.window), "scalars": lambda: (net.config.scalars,)}
    return {name: torch.rand(rows, *shapes[name](), generator=generator) for name in net.inputs}


def random_codes(rows: int, length: int, seed: int = 0, unknown: float = 0.05) -> Tensor:
    """uint8 (rows, length) base codes, a share of them unknown."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, 4, (rows, length), dtype=np.uint8)
    codes[random.random(codes.shape) < unknown] = 4
    return torch.from_numpy(codes)
