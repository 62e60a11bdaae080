"""The layers networks are made of, and the network that is a list of them.

A network only says what its layers are. Training walks the list forwards; the engine walks the same list and knows, for
each kind of layer, how far a changed base reaches. Feature maps are (N, channels, positions), float.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.compiled import COMPILES
from varscore.errors import UsageError
from varscore.nets.config import Config
from varscore.nets.kernels import bf16, lstm
from varscore.nets.kernels.dropout import dropout
from varscore.nets.kernels.kmertable import LARGEST_POOL, convolve_columns, convolve_pool, convolve_pool_activate
from varscore.nets.kernels.lstmtrain import direction
from varscore.nets.objectives import Objective, make_objective

Found = TypeVar("Found")

UNKNOWN = 4

FEW_CHANNELS = 32
"""oneDNN's bf16 convolution of fewer channels returns noise on CPUs with AMX (a tile's row holds 32 values)"""

BIN = 200
"""Bases from one window of a segment to the next, unless said otherwise: chromatin labels describe bins of so many"""

LARGEST_MAP = 1 << 23
"""Values of a first layer's map, before pooling, that inference off the table path has in memory at once (32 MB)"""


def one_hot(codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 (N, L) base codes to (N, 4, L), channels A, C, G, T; an unknown base is an all-zero column."""
    bases = torch.arange(4, dtype=torch.uint8, device=codes.device)
    return (codes[:, None, :] == bases[:, None]).to(dtype)


def reverse_complement(codes: Tensor) -> Tensor:
    """uint8 (..., L) base codes of the other strand; unknown stays unknown."""
    return torch.where(codes == UNKNOWN, codes, 3 - codes).flip(-1)


def _plain_cpu(x: Tensor) -> bool:
    """Whether ``x`` is computed with on the CPU in float32, for which this package has faster kernels than torch."""
    return COMPILES and x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def in_full(convolve: Callable[[Tensor], Tensor], x: Tensor, channels: int) -> Tensor:
    """``convolve(x)``, in float32 where autocast would leave so few channels on the CPU to a faulty kernel."""
    if not (x.device.type == "cpu" and channels < FEW_CHANNELS and torch.is_autocast_enabled("cpu")):
        return convolve(x)
    with torch.autocast("cpu", enabled=False):
        return convolve(x.float())


def lstm_in_full(run: Callable[..., Found], *tensors: Tensor) -> Found:
    """``run(*tensors)``, torch's LSTM; in float32 on a CPU that does not multiply in the precision of autocast.

    oneDNN has no such LSTM there, and torch raises RuntimeError, while its convolutions and products work anywhere.
    """
    if tensors[0].device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return run(*tensors)
    if torch.get_autocast_dtype("cpu") == bf16.HALF and bf16.multiplies():
        return run(*tensors)
    with torch.autocast("cpu", enabled=False):
        return run(*(x.float() for x in tensors))


class Conv(nn.Conv1d):
    """Convolution, in float32 wherever a reduced one would be wrong."""

    def forward(self, x: Tensor) -> Tensor:
        return in_full(super().forward, x, self.in_channels)


class Activation(nn.Module):
    """ReLU (slope 0) or leaky ReLU: monotone, so it commutes with max-pooling."""

    def __init__(self, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope) if self.slope else F.relu(x)

    def extra_repr(self) -> str:
        return f"slope={self.slope}"


class Dropout(nn.Dropout):
    """Dropout, several times faster than torch's where a network is trained in bf16 on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.p and x.dtype == torch.bfloat16 and bf16.wanted(x):
            return dropout(x, self.p)
        return super().forward(x)


DROPOUTS = (Dropout, nn.Dropout, nn.Dropout1d)
"""The kinds of layers that do nothing outside of training"""


class SequenceConv(nn.Conv1d):
    """The first layer: convolution of DNA, max-pooling, activation.

    Takes uint8 codes (N, L) or one-hot float (N, 4, L). Codes on the CPU take the table path of
    :mod:`varscore.nets.kernels.kmertable`, several times faster; both give the same numbers up to rounding. On the CPU
    it computes in float32 whatever the precision.
    """

    def __init__(self, filters: int, width: int, pool: int, slope: float) -> None:
        super().__init__(4, filters, width)
        self.pool, self.activation = pool, Activation(slope)

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.uint8:
            pooled = F.max_pool1d(in_full(self._of_one_hot, x, 4), self.pool)
        elif torch.is_grad_enabled() and bf16.wanted(x):
            bias, slope = cast(Tensor, self.bias), self.activation.slope
            return bf16.first_layer(x, self.weight, bias, self.pool, slope).transpose(1, 2)
        elif self._by_tables(x):
            if not torch.is_grad_enabled():
                bias, slope = cast(Tensor, self.bias), self.activation.slope
                return convolve_pool_activate(x, self.weight, bias, self.pool, slope).transpose(1, 2)
            pooled = convolve_pool(x, self.weight, self.pool).transpose(1, 2)
        else:
            pooled = torch.cat([self._pooled(part) for part in torch.split(x, self._rows(x))])
        return cast(Tensor, self.activation(pooled + cast(Tensor, self.bias)[:, None]))

    def columns(self, codes: Tensor, shift: NDArray[np.int64], to: NDArray[np.int64], out: Tensor) -> None:
        """Of windows that overlap, each column once, by the table path: see :func:`kmertable.convolve_columns`."""
        bias, slope = cast(Tensor, self.bias), self.activation.slope
        convolve_columns(codes, self.weight, bias, self.pool, slope, shift, to, out)

    def _pooled(self, codes: Tensor) -> Tensor:
        return F.max_pool1d(in_full(self._of_one_hot, one_hot(codes, self.weight.dtype), 4), self.pool)

    def _of_one_hot(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.weight)

    def _rows(self, codes: Tensor) -> int:
        """How many rows to convolve at a time: in inference, so few that their map stays in a GPU's own cache."""
        size = self.out_channels * (codes.shape[1] - self.kernel_size[0] + 1)
        return len(codes) if torch.is_grad_enabled() else max(1, LARGEST_MAP // size)

    def _by_tables(self, codes: Tensor) -> bool:
        float32 = COMPILES and self.weight.dtype == torch.float32 and self.weight.device.type == "cpu"
        return codes.device.type == "cpu" and float32 and self.pool <= LARGEST_POOL


class ConvPool(nn.Conv1d):
    """Convolution, max-pooling (1: none), activation."""

    def __init__(self, channels: int, filters: int, width: int, pool: int, slope: float) -> None:
        super().__init__(channels, filters, width)
        self.pool, self.activation = pool, Activation(slope)

    def forward(self, x: Tensor) -> Tensor:
        if self.in_channels >= FEW_CHANNELS and bf16.wanted(x):
            bias, slope = cast(Tensor, self.bias), self.activation.slope
            return bf16.conv_pool(x.transpose(1, 2), self.weight, bias, self.pool, slope).transpose(1, 2)
        # as an image of height 1: of that torch knows that a position's channels may lie together, as SequenceConv's do
        mapped = in_full(self._mapped, x.unsqueeze(2), self.in_channels)
        pooled = F.max_pool2d(mapped, (1, self.pool)) if self.pool > 1 else mapped
        return cast(Tensor, self.activation(pooled)).squeeze(2)

    def _mapped(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.unsqueeze(2), self.bias)


class Projection(nn.Linear):
    """1x1 convolution without bias or activation: channels -> fewer channels at every position."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def hard_sigmoid(x: Tensor) -> Tensor:
    """Keras's, of slope .2: clip(.2 x + .5, 0, 1)."""
    return (0.2 * x + 0.5).clamp(0, 1)


class BiLSTM(nn.LSTM):
    """Bidirectional LSTM over the positions; (N, channels, T) to (N, 2 hidden, T).

    Where gradients are wanted on the CPU in float32, :mod:`varscore.nets.kernels.lstmtrain` computes it; the numbers
    are the same up to rounding. In bf16 on a CPU that multiplies in it, :mod:`varscore.nets.kernels.lstm` does.

    ``recurrent_dropout`` is by default one mask a batch on the hidden-to-hidden weights, which keeps the fused kernel.
    With ``per_step`` it is Keras's: one mask a sequence and gate on the hidden state at every step, in a slow Python
    loop. That loop also has what networks of early Keras want: ``hard_gates`` open by :func:`hard_sigmoid`, and
    without ``turns`` the second half reads in the same direction as the first.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        recurrent_dropout: float = 0.0,
        per_step: bool = False,
        *,
        hard_gates: bool = False,
        turns: bool = True,
    ) -> None:
        super().__init__(channels, hidden, bidirectional=True)
        self.recurrent_dropout, self.per_step = recurrent_dropout, per_step
        self.hard_gates, self.turns = hard_gates, turns

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # one tensor in, one out
        return lstm_in_full(self._over, x.permute(2, 0, 1)).permute(1, 2, 0)

    def _over(self, steps: Tensor) -> Tensor:
        """(T, N, channels) to (T, N, 2 hidden)."""
        masked = self.training and self.recurrent_dropout and self.per_step
        if masked or self.hard_gates or not self.turns:
            return self._loop(steps)
        weights = [
            F.dropout(weight, self.recurrent_dropout, self.training) if "weight_hh" in name else weight
            for name, weight in self.named_parameters()
        ]
        if bf16.wanted(steps) and self.hidden_size >= FEW_CHANNELS:
            return torch.cat([lstm.direction(steps, weights[:4], False), lstm.direction(steps, weights[4:], True)], 2)
        if torch.is_grad_enabled() and _plain_cpu(steps) and _plain_cpu(weights[0]):
            return torch.cat([direction(steps, weights[:4], False), direction(steps, weights[4:], True)], 2)
        start = steps.new_zeros(2, steps.shape[1], self.hidden_size)
        return torch.lstm(steps, (start, start), weights, True, 1, 0.0, self.training, True, False)[0]

    def _loop(self, steps: Tensor) -> Tensor:
        """(T, N, channels) to (T, N, 2 hidden), in training with dropout on the hidden state before each gate."""
        both, gate = [], hard_sigmoid if self.hard_gates else torch.sigmoid
        for suffix in ("", "_reverse"):
            w_in, w_hidden, b_in, b_hidden = (
                getattr(self, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            backward = suffix and self.turns
            inputs = F.linear(steps.flip(0) if backward else steps, w_in, b_in + b_hidden)
            hidden = cell = steps.new_zeros(steps.shape[1], self.hidden_size)
            mask = F.dropout(hidden.new_ones(4, *hidden.shape), self.recurrent_dropout, self.training)
            recurrent = w_hidden.view(4, self.hidden_size, self.hidden_size).transpose(1, 2)
            outputs = []
            for now in inputs:
                gates = now.view(-1, 4, self.hidden_size).transpose(0, 1) + torch.bmm(hidden * mask, recurrent)
                gate_in, forget, candidate, gate_out = gates
                cell = gate(forget) * cell + gate(gate_in) * candidate.tanh()
                hidden = gate(gate_out) * cell.tanh()
                outputs.append(hidden)
            both.append(torch.stack(outputs[::-1] if backward else outputs))
        return torch.cat(both, 2)


class MeanOverTime(nn.Module):
    """(N, channels, T) to (N, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(2) / x.shape[2]  # the gradient of mean() would be divided at every position


class FlattenTime(nn.Module):
    """(N, channels, T) to (N, T * channels), time-major: all channels of the first position come first."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(1)


class FlattenChannels(nn.Module):
    """(N, channels, T) to (N, channels * T), channel-major."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


STRANDS = ("both-mean", "both-max", "one")
Forward = TypeVar("Forward", bound=Callable[..., Tensor])


def of_layers(forward: Forward) -> Forward:
    """Decorator of a network's ``forward`` that makes nothing of a strand but what its ``layers`` do in their order."""
    vars(forward)["of_layers"] = True
    return forward


class SequenceNet(nn.Module):
    """A network of DNA: ``layers`` in order, from bases to the outputs that its objective wants (one logit a task).

    ``forward`` takes uint8 codes (N, window) or one-hot float (N, 4, window) and returns float (N, n_outputs). If its
    ``inputs`` are not empty it takes what they name besides, by name: ``tracks`` float (N, K, window), ``scalars``
    float (N, S). Predictions and strand averaging are made elsewhere (:mod:`varscore.engine`).

    A subclass that is no plain list of layers has its own ``forward`` and ``output``.
    """

    layers: nn.Sequential
    config: Config
    output_layer: ClassVar[int] = -1
    objective: str = "labels"
    """What outputs mean (:mod:`varscore.nets.objectives`): a class's own choice, which :meth:`adapt` may change"""
    strands: str = "both-mean"
    """How predictions of the strands are put together: ``both-mean``, ``both-max``, or ``one``: as given, no other"""
    visible: tuple[int, int] | None = None
    """Positions ``[first, last)`` of the window that the network gets to see, if not all"""
    goal: Objective

    def __init__(self, config: Config, *layers: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(*layers)
        self.goal = make_objective(self.objective, self.n_tasks)

    @property
    def window(self) -> int:
        return int(self.config.window)

    @property
    def n_tasks(self) -> int:
        return int(self.config.n_tasks)

    @property
    def n_outputs(self) -> int:
        return self.n_tasks * self.goal.per_task

    def config_for(self, n_tasks: int) -> Config:
        """The configuration of the network that is this one but for its number of tasks."""
        return replace(self.config, n_tasks=n_tasks)

    def outputs_of(self, tasks: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 (k,): which outputs are those of the tasks, int64; the ones of a task stand together."""
        per_task = self.goal.per_task
        return (tasks[:, None] * per_task + np.arange(per_task)).reshape(-1)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What it reads besides bases: ``tracks`` and ``scalars``, where its configuration says how many."""
        return tuple(name for name in ("tracks", "scalars") if getattr(self.config, name, 0))

    @property
    def output(self) -> nn.Linear:
        """The last dense layer."""
        return cast(nn.Linear, self.layers[self.output_layer])

    @of_layers
    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x))

    def bins(self, codes: Tensor, count: int, step: int = BIN) -> Tensor:
        """Outputs of all windows of segments of DNA, float (N, count, n_outputs); differentiable.

        codes: uint8 (N, window + step * (count - 1)); a window begins every ``step`` bases. Here each goes through the
        network on its own; a network whose windows have something in common may compute that once, to the same numbers.
        """
        self.demand_segment(codes, count, step)
        windows = codes.unfold(1, self.window, step).flatten(0, 1)
        return cast(Tensor, self(windows)).view(len(codes), count, -1)

    def demand_segment(self, codes: Tensor, count: int, step: int) -> None:
        """Raises ValueError when segments are not of so many windows."""
        if codes.shape[1] != self.window + step * (count - 1):
            raise ValueError(f"{codes.shape[1]} bases are not those of {count} windows of {self.window}, {step} apart")

    def adapt(self, objective: str, strands: str, visible: Sequence[int] | None = None) -> None:
        """Say what this network is for, other than its class does. Its weights must not have been trained yet, or for
        the same. Raises UsageError when that cannot be.
        """
        if strands not in STRANDS:
            raise UsageError(f"no rule {strands!r} for strands", remedy=f"one of {', '.join(STRANDS)}")
        if objective != self.objective:
            goal = make_objective(objective, self.n_tasks)
            if goal.per_task != self.goal.per_task:
                raise UsageError(f"the outputs of this network are {self.objective}, not {objective}")
            self.objective, self.goal = objective, goal
        self.strands = strands
        if visible is not None:
            first, last = visible
            if not 0 <= first < last <= self.window or strands != "one" or self.inputs:
                cause = f"the window has {self.window} bp, strands: {strands}"
                raise UsageError(f"positions {first} to {last} cannot be all that is visible", cause=cause)
            if self.visible is None:
                self.register_forward_pre_hook(_only_visible)
            self.visible = (first, last)

    def shown(self, x: Tensor) -> Tensor:
        """Codes or one-hot bases with everything unknown but what is visible."""
        if self.visible is None:
            return x
        first, last = self.visible
        covered = torch.full_like(x, UNKNOWN if x.dtype == torch.uint8 else 0)
        covered[..., first:last] = x[..., first:last]
        return covered

    def prepare(self, windows: Iterable[Tensor]) -> None:
        """Called once before training with the training windows, uint8 (n, window) each, on the strands it will see."""

    def counts(self) -> tuple[int, int]:
        """Trainable parameters: with one LSTM bias vector a gate (Keras), and with torch's two."""
        total = sum(p.numel() for p in self.parameters() if p.requires_grad)
        recurrent = [module for module in self.modules() if isinstance(module, nn.RNNBase)]
        named = [pair for module in recurrent for pair in module.named_parameters()]
        second = sum(p.numel() for name, p in named if name.startswith("bias_hh"))
        return total - second, total


def _only_visible(net: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Hook before ``forward``; a function of the module's own, as networks are sent to other processes."""
    first, *others = arguments
    return cast(SequenceNet, net).shown(first), *others


def pooled_length(length: int, width: int, pool: int) -> int:
    """Positions left after an unpadded convolution and a max-pooling that drops an incomplete tail.

    Raises UsageError when there are none.
    """
    positions = (length - width + 1) // pool
    if positions < 1:
        raise UsageError(f"{length} positions are too few for a convolution of width {width} and pooling by {pool}")
    return positions
