"""The layers chromatin networks are made of, and the network that is a list of them.

A network only says what its layers are. Training walks the list forwards; the engine walks the same list and knows, for
each kind of layer, how far a changed base reaches. Feature maps are (N, channels, positions), float.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.errors import UsageError
from varscore.nets.kmertable import LARGEST_POOL, convolve_pool, convolve_pool_activate

UNKNOWN = 4


def one_hot(codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 (N, L) base codes to (N, 4, L), channels A, C, G, T; an unknown base is an all-zero column."""
    bases = torch.arange(4, dtype=torch.uint8, device=codes.device)
    return (codes[:, None, :] == bases[:, None]).to(dtype)


def reverse_complement(codes: Tensor) -> Tensor:
    """uint8 (..., L) base codes of the other strand; unknown stays unknown."""
    return torch.where(codes == UNKNOWN, codes, 3 - codes).flip(-1)


class Activation(nn.Module):
    """ReLU (slope 0) or leaky ReLU: monotone, so it commutes with max-pooling."""

    def __init__(self, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope) if self.slope else F.relu(x)

    def extra_repr(self) -> str:
        return f"slope={self.slope}"


class SequenceConv(nn.Conv1d):
    """The first layer: convolution of DNA, max-pooling, activation.

    Takes uint8 codes (N, L) or one-hot float (N, 4, L). Codes on the CPU in float32 take the table path of
    :mod:`varscore.nets.kmertable`, several times faster; both give the same numbers up to rounding.
    """

    def __init__(self, filters: int, width: int, pool: int, slope: float) -> None:
        super().__init__(4, filters, width)
        self.pool, self.activation = pool, Activation(slope)

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.uint8:
            pooled = F.max_pool1d(self._conv_forward(x, self.weight, None), self.pool)
        elif self._by_tables(x):
            if not torch.is_grad_enabled():
                return self._infer(x)
            pooled = convolve_pool(x, self.weight, self.pool).transpose(1, 2)
        else:
            pooled = F.max_pool1d(F.conv1d(one_hot(x, self.weight.dtype), self.weight), self.pool)
        return cast(Tensor, self.activation(pooled + cast(Tensor, self.bias)[:, None]))

    def _infer(self, codes: Tensor) -> Tensor:
        bias = cast(Tensor, self.bias)
        return convolve_pool_activate(codes, self.weight, bias, self.pool, self.activation.slope).transpose(1, 2)

    def _by_tables(self, codes: Tensor) -> bool:
        plain = codes.device.type == "cpu" and self.weight.dtype == torch.float32 and self.pool <= LARGEST_POOL
        return plain and not torch.is_autocast_enabled("cpu")


class ConvPool(nn.Conv1d):
    """Convolution, max-pooling (1: none), activation."""

    def __init__(self, channels: int, filters: int, width: int, pool: int, slope: float) -> None:
        super().__init__(channels, filters, width)
        self.pool, self.activation = pool, Activation(slope)

    def forward(self, x: Tensor) -> Tensor:
        mapped = super().forward(x)
        return cast(Tensor, self.activation(F.max_pool1d(mapped, self.pool) if self.pool > 1 else mapped))


class Projection(nn.Linear):
    """1x1 convolution without bias or activation: channels -> fewer channels at every position."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class BiLSTM(nn.LSTM):
    """Bidirectional LSTM over the positions; (N, channels, T) to (N, 2 hidden, T).

    ``recurrent_dropout`` is by default one mask a batch on the hidden-to-hidden weights, which keeps the fused kernel.
    With ``per_step`` it is Keras's: one mask a sequence and gate on the hidden state at every step, in a slow Python
    loop.
    """

    def __init__(self, channels: int, hidden: int, recurrent_dropout: float = 0.0, per_step: bool = False) -> None:
        super().__init__(channels, hidden, bidirectional=True)
        self.recurrent_dropout, self.per_step = recurrent_dropout, per_step

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # one tensor in, one out
        steps = x.permute(2, 0, 1)
        if self.training and self.recurrent_dropout and self.per_step:
            return self._loop(steps).permute(1, 2, 0)
        weights = [
            F.dropout(weight, self.recurrent_dropout, self.training) if "weight_hh" in name else weight
            for name, weight in self.named_parameters()
        ]
        start = steps.new_zeros(2, steps.shape[1], self.hidden_size)
        output: Tensor = torch.lstm(steps, (start, start), weights, True, 1, 0.0, self.training, True, False)[0]
        return output.permute(1, 2, 0)

    def _loop(self, steps: Tensor) -> Tensor:
        """(T, N, channels) to (T, N, 2 hidden), with dropout on the hidden state before each gate."""
        both = []
        for suffix in ("", "_reverse"):
            w_in, w_hidden, b_in, b_hidden = (
                getattr(self, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            inputs = F.linear(steps.flip(0) if suffix else steps, w_in, b_in + b_hidden)
            hidden = cell = steps.new_zeros(steps.shape[1], self.hidden_size)
            mask = F.dropout(hidden.new_ones(4, *hidden.shape), self.recurrent_dropout)
            recurrent = w_hidden.view(4, self.hidden_size, self.hidden_size).transpose(1, 2)
            outputs = []
            for now in inputs:
                gates = now.view(-1, 4, self.hidden_size).transpose(0, 1) + torch.bmm(hidden * mask, recurrent)
                gate_in, forget, candidate, gate_out = gates
                cell = forget.sigmoid() * cell + gate_in.sigmoid() * candidate.tanh()
                hidden = gate_out.sigmoid() * cell.tanh()
                outputs.append(hidden)
            both.append(torch.stack(outputs[::-1] if suffix else outputs))
        return torch.cat(both, 2)


class MeanOverTime(nn.Module):
    """(N, channels, T) to (N, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(2)


class FlattenTime(nn.Module):
    """(N, channels, T) to (N, T * channels), time-major: all channels of the first position come first."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(1)


class FlattenChannels(nn.Module):
    """(N, channels, T) to (N, channels * T), channel-major."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class SequenceNet(nn.Module):
    """A chromatin network: ``layers`` in order, from DNA to one logit a task.

    ``forward`` takes uint8 codes (N, window) or one-hot float (N, 4, window) and returns logits (N, n_tasks).
    Probabilities and strand averaging are made elsewhere (:mod:`varscore.engine`).
    """

    layers: nn.Sequential
    config: Any
    output_layer: ClassVar[int] = -1

    def __init__(self, config: Any, *layers: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(*layers)

    @property
    def window(self) -> int:
        return int(self.config.window)

    @property
    def n_tasks(self) -> int:
        return int(self.config.n_tasks)

    @property
    def output(self) -> nn.Linear:
        """The last dense layer."""
        return cast(nn.Linear, self.layers[self.output_layer])

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x))

    def prepare(self, windows: Iterable[Tensor]) -> None:
        """Called once before training with the training windows, uint8 (n, window) each, both strands."""

    def counts(self) -> tuple[int, int]:
        """Trainable parameters: with one LSTM bias vector a gate (Keras), and with torch's two."""
        total = sum(p.numel() for p in self.parameters() if p.requires_grad)
        second = sum(
            4 * m.hidden_size * (2 if m.bidirectional else 1) for m in self.modules() if isinstance(m, nn.LSTM)
        )
        return total - second, total


def pooled_length(length: int, width: int, pool: int) -> int:
    """Positions left after an unpadded convolution and a max-pooling that drops an incomplete tail.

    Raises UsageError when there are none.
    """
    positions = (length - width + 1) // pool
    if positions < 1:
        raise UsageError(f"{length} positions are too few for a convolution of width {width} and pooling by {pool}")
    return positions
