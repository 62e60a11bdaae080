"""Contributions by going back through the network: the straight-path rule, gradients, integrated gradients.

Each strand is explained with its own references; the other strand's contributions are turned round, and both are put
together as predictions are: their mean, or by the rule for the maximum where the stronger strand counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varscore.engine.device import arithmetic
from varscore.engine.plain import PlainEngine
from varscore.errors import UsageError
from varscore.genome.sequence import one_hot, reverse_complement
from varscore.interpret.paths import Function, Pair, outputs_of
from varscore.interpret.references import Reference
from varscore.nets.layers import SequenceNet
from varscore.nets.walk import is_list
from varscore.scoring.effects import LN2

ROWS = 16
"""Strands that go through the network together"""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Of one input and k tasks.

    scores: float32 (k, window), what the base that is there contributes; hypothetical: float32 (k, 4, window), what
    any base would; total, difference: float64 (k,), sum of the scores and output - reference's output, in the units of
    the scores; miss: float64 (k,), the largest |total - difference| of any reference. NaN where nothing is compared.
    """

    scores: NDArray[np.float32]
    hypothetical: NDArray[np.float32]
    total: NDArray[np.float64]
    difference: NDArray[np.float64]
    miss: NDArray[np.float64]


class Node(Protocol):
    """A pair, or values alone: what is explained is made of both in the same way."""

    def affine(self, function: Function) -> Self: ...

    def logsumexp(self, axis: int) -> Self: ...

    def maximum(self) -> Self: ...

    def __add__(self, other: Self) -> Self: ...


N = TypeVar("N", bound=Node)


@dataclass(frozen=True, slots=True)
class Alone:
    """Values without a reference, by torch's own derivatives."""

    x: Tensor

    def affine(self, function: Function) -> Alone:
        return Alone(function(self.x))

    def logsumexp(self, axis: int) -> Alone:
        return Alone(self.x.logsumexp(axis))

    def maximum(self) -> Alone:
        return Alone(self.x.amax(-1))

    def __add__(self, other: Alone) -> Alone:
        return Alone(self.x + other.x)


def target_of(net: SequenceNet, outputs: N, task: int, strands: int) -> N:
    """What is explained, (n,): log2 odds of a task, or its value; of the outputs for each strand, (S * n, outputs)."""
    kind = net.goal.name
    if kind == "values":
        scale = net.goal.scale[task]
        each = outputs.affine(lambda z: z[:, task] * scale)
    elif kind == "states":
        each = outputs.affine(lambda z: (z[:, 3 * task + 2] - z[:, 3 * task + 1]) / LN2)
    elif kind == "classes":
        rest = [other for other in range(net.n_tasks) if other != task]
        others = outputs.affine(lambda z: z[:, rest]).logsumexp(1).affine(torch.neg)
        each = (outputs.affine(lambda z: z[:, task]) + others).affine(lambda z: z / LN2)
    else:
        each = outputs.affine(lambda z: z[:, task] / LN2)
    apart = each.affine(lambda z: z.view(strands, -1).T)
    return apart.maximum() if net.strands == "both-max" else apart.affine(lambda z: z.mean(1))


def deeplift(
    engine: PlainEngine,
    codes: NDArray[np.uint8],
    tasks: NDArray[np.int64],
    reference: Reference,
    number: int,
    seed: int,
) -> Attribution:
    """By the straight-path rule; mean over references. codes: uint8 (window,); tasks: int64 (k,)"""

    def multipliers(x: Tensor, x0: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        outputs = outputs_of(engine.net, Pair(x, x0))
        for task in tasks.tolist():
            found = target_of(engine.net, outputs, task, engine.strands)
            (multiplier,) = torch.autograd.grad(found.x.sum(), x, retain_graph=True)
            yield multiplier, found.x.detach() - found.r

    return _compare(engine, codes, len(tasks), reference, number, seed, multipliers)


def integrated(
    engine: PlainEngine,
    codes: NDArray[np.uint8],
    tasks: NDArray[np.int64],
    reference: Reference,
    number: int,
    seed: int,
    steps: int,
) -> Attribution:
    """Integrated gradients, by Gauss and Legendre's rule with so many points; mean over references."""
    points, weights = np.polynomial.legendre.leggauss(steps)

    def multipliers(x: Tensor, x0: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        sums = [torch.zeros_like(x) for _ in tasks]
        for point, weight in zip(((points + 1) / 2).tolist(), (weights / 2).tolist(), strict=True):
            on_the_way = (x0 + point * (x - x0)).detach().requires_grad_(True)
            for total, (gradient, _) in zip(sums, _gradients(engine, on_the_way, tasks), strict=True):
                total += weight * gradient
        with torch.no_grad():
            ends = [[value for _, value in _values(engine, end, tasks)] for end in (x, x0)]
        yield from ((total, end - start) for total, end, start in zip(sums, *ends, strict=True))

    return _compare(engine, codes, len(tasks), reference, number, seed, multipliers)


def gradient(
    engine: PlainEngine, codes: NDArray[np.uint8], tasks: NDArray[np.int64], *, raw: bool = False
) -> Attribution:
    """Gradient times input. One-hot inputs lie on a plane, across which the gradient is of no meaning: unless ``raw``,
    the mean over the four bases is taken off it (Majdandzic et al. 2023)."""
    x = _strands(engine, codes).requires_grad_(True)
    hypothetical = []
    for found, _ in _gradients(engine, x, tasks):
        whole = _turned(found[:, None], engine.strands)[0].cpu().numpy()
        hypothetical.append(whole - (0 if raw else whole.mean(0, keepdims=True)))
    table = np.stack(hypothetical).astype(np.float32)
    nothing = np.full(len(tasks), np.nan)
    scores = there(table, codes)
    return Attribution(scores, table, scores.sum(1, dtype=np.float64), nothing, nothing)


def there(table: NDArray[np.float32], codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of float32 (k, 4, window) the row of the base that is there, 0 where it is unknown: (k, window)."""
    at = np.flatnonzero(codes < 4)
    scores = np.zeros((len(table), len(codes)), np.float32)
    scores[:, at] = table[:, codes[at], at]
    return scores


def demand_gradient(net: SequenceNet) -> None:
    """Raises UsageError for a network whose outputs do not follow from one-hot bases by differentiable steps."""
    x = torch.zeros(2, 4, net.window, requires_grad=True)
    if not net(x).requires_grad or torch.autograd.grad(net(x).sum(), x, allow_unused=True)[0] is None:
        raise UsageError(
            "this architecture has no gradient with respect to single bases",
            cause="it counts k-mers",
            remedy="ism explains it",
        )


def _gradients(engine: PlainEngine, x: Tensor, tasks: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
    """Of every task the gradient at one-hot strands, (S * n, 4, window), and its value, (n,)."""
    with torch.backends.cudnn.flags(enabled=False):  # whose LSTM has no gradient outside of training
        for value, detached in _values(engine, x, tasks):
            (found,) = torch.autograd.grad(value.sum(), x, retain_graph=True)
            yield found, detached


def _values(engine: PlainEngine, x: Tensor, tasks: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
    """What is explained of every task, (n,), with and without its graph."""
    net = engine.net
    outputs = Alone(net.layers(net.shown(x)) if is_list(net) else net(x))
    for task in tasks.tolist():
        value = target_of(net, outputs, task, engine.strands).x
        yield value, value.detach()


def _strands(engine: PlainEngine, codes: NDArray[np.uint8]) -> Tensor:
    """One-hot float (S, 4, window)."""
    every = np.stack([codes, reverse_complement(codes)][: engine.strands])
    return torch.from_numpy(one_hot(every)).to(engine.device, engine.net.output.weight.dtype)


def _turned(values: Tensor, strands: int) -> Tensor:
    """Of each strand, (S, n, 4, window), the sum in the forward strand's frame: (n, 4, window)."""
    return values[0] if strands == 1 else values[0] + values[1].flip(1, 2)


Multipliers = Callable[[Tensor, Tensor], Iterator[tuple[Tensor, Tensor]]]


def _compare(
    engine: PlainEngine,
    codes: NDArray[np.uint8],
    k: int,
    reference: Reference,
    number: int,
    seed: int,
    rule: Multipliers,
) -> Attribution:
    """Mean over references of multiplier * (input - reference), and whether each adds up.

    rule: of strands and their references, (S * n, 4, window) each, for every task multipliers and differences, (n,)
    """
    strands = engine.strands
    x = _strands(engine, codes)
    both = [codes, reverse_complement(codes)][:strands]
    given = np.stack([reference.of(strand, number, seed, bool(i)) for i, strand in enumerate(both)])
    sums = np.zeros((k, 4, len(codes)))
    total, difference, miss = np.zeros((3, k))
    count, size = given.shape[1], max(1, ROWS // strands)
    with arithmetic(engine.device, engine.precision):
        for first in range(0, count, size):
            x0 = torch.from_numpy(given[:, first : first + size]).to(x)
            n = x0.shape[1]
            inputs = x[:, None].expand(-1, n, -1, -1).flatten(0, 1).detach().requires_grad_(True)
            for task, (multiplier, changed) in enumerate(rule(inputs, x0.flatten(0, 1))):
                apart = multiplier.detach().view(strands, n, 4, -1)
                # of any base: m (e_b - x0), one number a base
                any_base = apart - (apart * x0).sum(2, keepdim=True)
                table = _turned(any_base, strands).double().cpu().numpy()
                made = (apart * (x[:, None] - x0)).double().sum((0, 2, 3)).cpu().numpy()
                wanted = changed.double().cpu().numpy()
                sums[task] += table.sum(0)
                total[task] += made.sum()
                difference[task] += wanted.sum()
                miss[task] = max(miss[task], float(np.abs(made - wanted).max()))
    table = (sums / count).astype(np.float32)
    return Attribution(there(table, codes), table, total / count, difference / count, miss)
