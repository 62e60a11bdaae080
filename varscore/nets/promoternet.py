"""PromoterNet (Genetic Architect, Table 4): how much is transcribed from a promoter, and where the network looks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from varscore.nets.attentionnet import Attention, AttentiveNet, ConvNorm, Residual, dense_elu
from varscore.nets.layers import lstm_in_full, pooled_length
from varscore.nets.registry import Recipe, register


class ForwardLSTM(nn.LSTM):
    """LSTM in one direction over the positions; (N, channels, T) to (N, hidden, T)."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # one tensor in, one out
        steps, _ = lstm_in_full(super().forward, x.permute(2, 0, 1))
        return steps.permute(1, 2, 0)


class NarrowAttention(Attention):
    """Attention whose mask is made by fewer filters than there are channels."""

    def __init__(self, channels: int, filters: int, width: int) -> None:
        super().__init__(channels, width)
        self.score = nn.Sequential(ConvNorm(channels, filters, width, nn.Tanh()), ConvNorm(filters, 1, width))


@dataclass(frozen=True)
class PromoterNetConfig:
    n_tasks: int = 1
    window: int = 2000
    filters: int = 8
    width: int = 5
    pool: int = 4
    blocks: int = 3
    """Residual blocks"""
    hidden: int = 16
    dense: int = 256
    dropout: float = 0.3


# The paper searched rates and does not say which won: Adam with its usual rate, and a batch size of the search.
RECIPE = Recipe(optimizer="adam", lr=1e-3, batch_size=50, epochs=60, patience=8, schedule="plateau", plateau_patience=3)


@register(
    "promoternet", PromoterNetConfig, RECIPE, "4 conv 8 k5, 3 residual blocks, LSTM 16, attention, 3 dense 256 (2 kb)"
)
class PromoterNet(AttentiveNet):
    """Values are standardised and the output is linear: the paper's sigmoid cannot reach log2 intensities."""

    objective = "values"

    def __init__(self, config: PromoterNetConfig) -> None:
        filters, width = config.filters, config.width
        pooled_length(config.window, 1, config.pool)
        super().__init__(
            config,
            ConvNorm(4, filters, width, nn.ELU()),
            *(ConvNorm(filters, filters, width, nn.ELU()) for _ in range(3)),
            nn.MaxPool1d(config.pool),
            *(Residual(filters, width) for _ in range(config.blocks)),
            ForwardLSTM(filters, config.hidden),
            Attention(config.hidden, width, filters),
            *dense_elu(config.hidden, config.dense, config.dropout),
            nn.Linear(config.dense, config.n_tasks),
        )
