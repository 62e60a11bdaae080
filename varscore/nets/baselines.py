"""The k-mer logistic regression that DanQ is compared with: what a network must beat to be worth its weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from varscore.nets.kernels.kmercounts import count_kmers, width
from varscore.nets.layers import UNKNOWN, SequenceNet
from varscore.nets.registry import Recipe, register


@dataclass(frozen=True)
class KmerConfig:
    n_tasks: int = 919
    window: int = 1000
    longest: int = 5


class KmerCounts(nn.Module):
    """Standardised counts of all k-mers, k = 1 .. longest; k-mers with an unknown base are not counted.

    Takes uint8 codes (N, L) or one-hot (N, 4, L); returns float (N, 4 + 16 + ... + 4 ** longest). ``mean`` and
    ``scale`` are set once from the training windows by :meth:`standardise`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.longest = longest
        self.width = width(longest)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))

    def count(self, codes: Tensor) -> Tensor:
        """uint8 (N, L) to float (N, width)."""
        return torch.from_numpy(count_kmers(codes.cpu().numpy(), self.longest)).to(codes.device)

    def standardise(self, windows: Iterable[Tensor]) -> None:
        """Take mean and variance from the training windows, uint8 (n, L) each; constant counts keep scale 1."""
        n = 0
        total, squares = torch.zeros(2, self.width, dtype=torch.float64)
        for codes in windows:
            counts = self.count(codes).double().cpu()
            n += len(counts)
            total += counts.sum(0)
            squares += counts.square().sum(0)
        mean = total / n
        deviation = (squares / n - mean.square()).clamp_min(0).sqrt()
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.uint8:
            x = torch.where(x.any(1), x.argmax(1), UNKNOWN).to(torch.uint8)
        return (self.count(x) - self.mean) / self.scale


# The paper gives no rate. At DanQ's 1e-3 the weights of an output's 1,364 inputs jitter so much that the baseline looks
# worse than it is. The gradient of an L2 penalty of 1e-6 is 2e-6 times the weight.
RECIPE = Recipe(
    optimizer="rmsprop",
    lr=1e-4,
    rho=0.9,
    batch_size=100,
    epochs=60,
    patience=5,
    schedule="constant",
    weight_decay=2e-6,
    prior_bias=True,
)


@register("kmer", KmerConfig, RECIPE, "logistic regression on k-mer counts, k = 1..5 (DanQ's baseline)")
class KmerLogistic(SequenceNet):
    def __init__(self, config: KmerConfig) -> None:
        counts = KmerCounts(config.longest)
        super().__init__(config, counts, nn.Linear(counts.width, config.n_tasks))
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def prepare(self, windows: Iterable[Tensor]) -> None:
        cast(KmerCounts, self.layers[0]).standardise(windows)
