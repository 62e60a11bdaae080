"""How much faster a network is trained than by plain PyTorch: prints a Markdown table for each network.

    python benchmarks/training.py [NAME ...] [--tasks N] [--rounds N] [--threads N] [--batch N]

A step is forward, backward and AdamW on random DNA. *Plain* is what one would write without varscore: the same layers
by PyTorch's own functions on one-hot windows, in float32 and under autocast in bf16, at two batch sizes of which the
better one in float32 is what ratios are to. ``train-chromatin --recipe fast`` reads segments of eight neighbouring
bins; to plain PyTorch a bin is a window of its own. All in one process and in turn; a ratio is taken in every round,
and the median counts. Commands that train keep freed memory (``varscore.train.allocator``), a script of one's own does
not: rows of plain PyTorch that does say so. Gradients of one step are compared with those of plain float32.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.engine.device import arithmetic, use_threads
from varscore.nets import build
from varscore.nets.dilated import PositionPool, Residual
from varscore.nets.kernels import bf16
from varscore.nets.layers import (
    BIN,
    Activation,
    BiLSTM,
    ConvPool,
    FlattenChannels,
    FlattenTime,
    MeanOverTime,
    Projection,
    SequenceConv,
    SequenceNet,
    one_hot,
)
from varscore.nets.registry import FAST
from varscore.train.allocator import give_freed_memory_back, keep_freed_memory
from varscore.train.optim import make_optimizer

NETWORKS = ("crnn-320-projection", "dilated", "danq")
BINS, PLAIN_BATCHES, SECONDS = 8, (64, 256), 2.0
CPU = torch.device("cpu")


def plain(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer by PyTorch's own functions; (N, channels, positions)."""
    if isinstance(layer, (SequenceConv, ConvPool)):
        pooled = F.max_pool1d(F.conv1d(x, layer.weight, layer.bias), layer.pool)
        return F.leaky_relu(pooled, layer.activation.slope)
    if isinstance(layer, Projection):
        return F.conv1d(x, layer.weight[:, :, None])
    if isinstance(layer, Residual):
        hidden = F.conv1d(
            F.leaky_relu(x, layer.activation.slope), layer.conv.weight, layer.conv.bias, 1, 0, layer.dilation
        )
        hidden = F.conv1d(F.leaky_relu(hidden, layer.activation.slope), layer.mix.weight[:, :, None])
        return x[:, :, layer.dilation : -layer.dilation] + layer.scale[:, None] * hidden
    if isinstance(layer, PositionPool):
        return torch.einsum("nct,kct->nkc", x, layer.weight).flatten(1)
    if isinstance(layer, BiLSTM):
        start = x.new_zeros(2, len(x), layer.hidden_size)
        steps = x.permute(2, 0, 1)
        states = torch.lstm(steps, (start, start), list(layer.parameters()), True, 1, 0.0, True, True, False)[0]
        return states.permute(1, 2, 0)
    if isinstance(layer, nn.Dropout):
        return F.dropout(x, layer.p, layer.training)
    known = (Activation, FlattenChannels, FlattenTime, MeanOverTime, nn.Linear, nn.Dropout1d)
    assert isinstance(layer, known), layer
    return cast(Tensor, layer(x))


@dataclass
class Contender:
    """One way to train a network. bins: of a step; outputs: float (bins, tasks) of uint8 codes; keeps: freed memory."""

    label: str
    net: SequenceNet
    precision: str
    codes: Tensor
    targets: Tensor
    outputs: Callable[[SequenceNet, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    keeps: bool

    def step(self) -> float:
        with arithmetic(CPU, self.precision):
            outputs = self.outputs(self.net, self.codes)
        loss = F.binary_cross_entropy_with_logits(outputs.float(), self.targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def rate(self) -> float:
        """Bins a second, over about ``SECONDS``."""
        if self.keeps:
            keep_freed_memory()
        else:
            give_freed_memory_back()
        self.step()
        began, steps = time.perf_counter(), 0
        while steps < 2 or time.perf_counter() - began < SECONDS:
            self.step()
            steps += 1
        return steps * len(self.targets) / (time.perf_counter() - began)


def contenders(name: str, tasks: int, batch: int) -> list[Contender]:
    random = np.random.default_rng(0)

    def fresh() -> SequenceNet:
        torch.manual_seed(0)
        return build(name, n_tasks=tasks).train()

    def made(
        label: str,
        precision: str,
        rows: int,
        bins: int,
        outputs: Callable[[SequenceNet, Tensor], Tensor],
        own: bool,
        keeps: bool,
    ) -> Contender:
        net = fresh()
        length = net.window + BIN * (bins - 1)
        codes = torch.from_numpy(random.integers(0, 4, (rows, length), dtype=np.uint8))
        targets = torch.from_numpy((random.random((rows * bins, tasks)) < 0.01).astype(np.float32))
        optimizer = make_optimizer(net, FAST) if own else torch.optim.AdamW(net.parameters(), lr=4e-3)
        return Contender(label, net, precision, codes, targets, outputs, optimizer, keeps)

    def by_hand(net: SequenceNet, codes: Tensor) -> Tensor:
        x = one_hot(codes)
        for layer in net.layers:
            x = plain(layer, x)
        return x

    def as_trained(net: SequenceNet, codes: Tensor) -> Tensor:
        return net.bins(codes, BINS).flatten(0, 1)

    rows = batch // BINS
    few, many = PLAIN_BATCHES
    return [
        made(f"plain, float32, batch {few}", "fp32", few, 1, by_hand, False, False),
        made(f"plain, float32, batch {many}", "fp32", many, 1, by_hand, False, False),
        made(f"plain, float32, batch {many}, memory kept", "fp32", many, 1, by_hand, False, True),
        made(f"plain, autocast, batch {few}", "bf16", few, 1, by_hand, False, False),
        made(f"plain, autocast, batch {many}", "bf16", many, 1, by_hand, False, False),
        made(f"plain, autocast, batch {many}, memory kept", "bf16", many, 1, by_hand, False, True),
        made(f"varscore, float32, {rows} x {BINS} bins", "fp32", rows, BINS, as_trained, True, True),
        made(f"varscore, bf16, {rows} x {BINS} bins", "bf16", rows, BINS, as_trained, True, True),
    ]


def agreement(name: str, tasks: int) -> float:
    """The smallest cosine, over all weights, of the gradients in bf16 and those of plain float32, dropout off."""
    gradients = []
    codes = torch.from_numpy(np.random.default_rng(1).integers(0, 4, (64, 1000), dtype=np.uint8))
    for precision, by_hand in (("fp32", True), ("bf16", False)):
        torch.manual_seed(0)
        net = build(name, n_tasks=tasks).train()
        for module in net.modules():
            if isinstance(module, (nn.Dropout, nn.Dropout1d)):
                module.p = 0.0
            if isinstance(module, BiLSTM):
                module.recurrent_dropout = 0.0
        with arithmetic(CPU, precision):
            x = one_hot(codes)
            for layer in net.layers if by_hand else ():
                x = plain(layer, x)
            outputs = x if by_hand else net(codes)
        F.binary_cross_entropy_with_logits(outputs.float(), torch.zeros(len(codes), tasks)).backward()
        gradients.append([parameter.grad.flatten() for parameter in net.parameters() if parameter.grad is not None])
    return min(float(F.cosine_similarity(one, other, 0)) for one, other in zip(*gradients, strict=True))


def table(name: str, tasks: int, batch: int, rounds: int) -> str:
    ways = contenders(name, tasks, batch)
    rates: dict[str, list[float]] = {way.label: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            rates[way.label].append(way.rate())
    exact = [way.label for way in ways if way.label.startswith("plain, float32") and not way.keeps]
    best = max(exact, key=lambda label: statistics.median(rates[label]))
    lines = [f"### {name}, {tasks} tasks", "", "| | bins/s | ratio |", "|-|-|-|"]
    for label, found in rates.items():
        ratio = statistics.median(one / other for one, other in zip(found, rates[best], strict=True))
        lines.append(f"| {label} | {statistics.median(found):,.0f} | {ratio:.2f} |")
    return "\n".join(
        [*lines, "", f"Gradients in bf16 and in plain float32: cosine at least {agreement(name, tasks):.4f}."]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", default=NETWORKS)
    parser.add_argument("--tasks", type=int, default=207)
    parser.add_argument("--batch", type=int, default=512, help="bins of a step, ours")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    threads = use_threads(options.threads)
    kind = "AMX" if bf16.amx() else "AVX512-bf16" if bf16.multiplies() else "no bf16 products"
    print(f"{threads} threads, {kind}, torch {torch.__version__}\n", flush=True)
    for name in options.names:
        print(table(name, options.tasks, options.batch, options.rounds), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
