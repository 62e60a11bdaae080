"""The input that a network likes best: gradient ascent on what it makes of one task, from a flat start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.engine.device import arithmetic
from varscore.engine.plain import PlainEngine
from varscore.nets.layers import SequenceNet
from varscore.nets.walk import is_list

ITERATIONS, RATE, DECAY, START = 1000, 0.01, 0.01, 0.025
QUIET = 85.0
"""Scores below this percentile are left out of the picture"""


@dataclass(frozen=True, slots=True)
class Liked:
    """scores: float32 (4, window); start, final: what the network made of the first and of the last input"""

    scores: NDArray[np.float32]
    start: float
    final: float

    @property
    def shown(self) -> NDArray[np.float32]:
        """The scores with those below the 85th percentile of their absolute size as 0: float32 (4, window)."""
        size = np.abs(self.scores)
        return np.where(size >= np.percentile(size, QUIET), self.scores, 0).astype(np.float32)


def maximise(
    engine: PlainEngine,
    task: int,
    *,
    start: float = START,
    rate: float = RATE,
    decay: float = DECAY,
    iterations: int = ITERATIONS,
) -> Liked:
    """x <- x + rate (gradient of z(x) - 2 decay x), from a constant; z is the task's output on the strand given, before
    sigmoid or softmax. Plain gradient ascent, nothing is clamped."""
    net = engine.net
    dtype = net.output.weight.dtype
    x = torch.full((1, 4, net.window), start, dtype=dtype, device=engine.device)
    with arithmetic(engine.device, engine.precision), torch.backends.cudnn.flags(enabled=False):
        first = float(_output(net, x, task).detach())
        for _ in range(iterations):
            x = x.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(_output(net, x, task), x)
            x = x.detach() + rate * (gradient - 2 * decay * x.detach())
        final = float(_output(net, x, task).detach())
    return Liked(x[0].detach().float().cpu().numpy(), first, final)


def _output(net: SequenceNet, x: torch.Tensor, task: int) -> torch.Tensor:
    outputs = net.layers(net.shown(x)) if is_list(net) else net(x)
    if net.goal.per_task > 1:  # states: bound against unbound
        value: torch.Tensor = outputs[0, 3 * task + 2] - outputs[0, 3 * task + 1]
        return value
    value = outputs[0, task]
    return value
