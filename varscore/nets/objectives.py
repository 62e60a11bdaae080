"""What a network's outputs mean: the loss they are trained with and the predictions they make.

    objective   outputs                         loss                                  prediction
    labels      a logit a task                  binary cross-entropy                  probability
    classes     a logit a class                 cross-entropy over all classes        probabilities with sum 1
    values      a standardised number a task    squared error, standardised           the value, in the data's units
    states      three logits a task: unknown,   cross-entropy, weights 0, 1 and the   probability of bound among
                unbound, bound                  training set's unbound : bound        unbound and bound

An unknown target has no part in any loss, so it gives no gradient. What an objective learns from the training targets
(means, weights) are buffers: they are saved with the network.

This is the one place that knows what outputs mean; :mod:`varscore.odds` makes probabilities of log-odds. A network that
was trained on another share of positives than it predicts for has its log-odds shifted: by what the model's priors say,
and by the log of the weight that ``states`` gave to bound in the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from varscore.errors import UsageError
from varscore.odds import probabilities

Targets = tuple[NDArray[np.float32], NDArray[np.bool_] | None]
"""float32 (n, tasks), and which of them are known, bool (n, tasks), or None: all of them"""


class Objective(nn.Module):
    """Of a network of ``n_tasks`` tasks. A module for its buffers; it has no parameters."""

    name: ClassVar[str]
    kind: ClassVar[str]
    """The kind of data set that it is trained on"""
    per_task: ClassVar[int] = 1
    """Outputs of the network for each task"""
    loss_name: ClassVar[str]
    mean: Tensor
    scale: Tensor
    weight: Tensor
    prior_shift: NDArray[np.float32]
    """float32 (tasks,), from the log-odds of the training set to those of the genome. It belongs to a model's priors
    (:mod:`varscore.zoo.models`), not to its weights: a network in training has none"""

    def __init__(self, n_tasks: int) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        self.prior_shift = np.zeros(n_tasks, np.float32)

    def fit(self, targets: Iterable[Targets]) -> None:
        """Learn what there is to learn from the training targets, once, before the first step."""

    def prior(self, targets: Iterable[Targets]) -> NDArray[np.float64] | None:
        """float64 (outputs,): the output bias that predicts the training set's frequencies; None where 0 does."""
        return None

    def loss(self, outputs: Tensor, targets: Tensor, known: Tensor | None) -> tuple[Tensor, float]:
        """The mean loss of a batch, and the weight of this mean beside those of other batches.

        outputs: float32 (n, outputs); targets: float32 (n, tasks); known: bool (n, tasks), or None for all. Of
        ``labels`` it may be float32: how much each target counts.
        """
        raise NotImplementedError

    def predict(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (..., outputs) to predictions, float32 (..., tasks)."""
        return probabilities(self.odds(outputs) + self.shift)

    def odds(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's own natural log-odds, float32 (..., tasks); NaN where a prediction is no probability."""
        raise NotImplementedError

    @property
    def shift(self) -> NDArray[np.float32]:
        """float32 (tasks,): what its log-odds lack to be those of the predictions."""
        return self.prior_shift


class Labels(Objective):
    name = kind = "labels"
    loss_name = "binary cross-entropy"

    def prior(self, targets: Iterable[Targets]) -> NDArray[np.float64]:
        positive, n = sums(targets)
        share = (positive + 1.0) / (n + 2.0)
        odds: NDArray[np.float64] = np.log(share / (1 - share))
        return odds

    def loss(self, outputs: Tensor, targets: Tensor, known: Tensor | None) -> tuple[Tensor, float]:
        if known is None:
            return F.binary_cross_entropy_with_logits(outputs, targets), len(outputs)
        losses = F.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        return _weighted_mean(losses, known.float())

    def odds(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return outputs


class Classes(Objective):
    """Every example is of exactly one class, and a task is a class. All are known; what is not is no example, but the
    end of a segment."""

    name = kind = "classes"
    loss_name = "cross-entropy"

    def prior(self, targets: Iterable[Targets]) -> NDArray[np.float64]:
        of_class, n = sums(targets)
        logs: NDArray[np.float64] = np.log((of_class + 1.0) / (n + self.n_tasks))
        return logs

    def loss(self, outputs: Tensor, targets: Tensor, known: Tensor | None) -> tuple[Tensor, float]:
        if known is None:
            return F.cross_entropy(outputs, targets.argmax(1)), len(outputs)
        losses = F.cross_entropy(outputs, targets.argmax(1), reduction="none")
        return _weighted_mean(losses, known.any(1).float())

    def odds(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of each class against all others together."""
        exact = outputs.astype(np.float64)
        rest = np.empty_like(exact)
        for task in range(self.n_tasks):
            others = np.delete(exact, task, -1)
            top = others.max(-1, keepdims=True)
            rest[..., task] = top[..., 0] + np.log(np.exp(others - top).sum(-1))
        return np.asarray(exact - rest, np.float32)


class Values(Objective):
    """Targets are standardised with the mean and the deviation of the training set; predictions are in their units."""

    name = kind = "values"
    loss_name = "squared error, standardised"

    def __init__(self, n_tasks: int) -> None:
        super().__init__(n_tasks)
        self.register_buffer("mean", torch.zeros(n_tasks))
        self.register_buffer("scale", torch.ones(n_tasks))

    def fit(self, targets: Iterable[Targets]) -> None:
        n, total, squares = np.zeros((3, self.n_tasks))
        for values, known in targets:
            inside = np.ones(values.shape, bool) if known is None else known
            exact = np.where(inside, values, 0).astype(np.float64)
            n, total, squares = n + inside.sum(0), total + exact.sum(0), squares + (exact**2).sum(0)
        mean = total / np.maximum(n, 1)
        deviation = np.sqrt(np.maximum(squares / np.maximum(n, 1) - mean**2, 0))
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(np.where(deviation > 1e-6 * np.abs(mean), deviation, 1.0)))

    def loss(self, outputs: Tensor, targets: Tensor, known: Tensor | None) -> tuple[Tensor, float]:
        errors = (outputs - (targets - self.mean) / self.scale).square()
        return _weighted_mean(errors, torch.ones_like(errors) if known is None else known.float())

    def predict(self, outputs: NDArray[np.floating]) -> NDArray[np.float32]:
        values: NDArray[np.float32] = outputs * self.scale.cpu().numpy() + self.mean.cpu().numpy()
        return values.astype(np.float32)

    def odds(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full_like(outputs, np.nan)


class States(Objective):
    """Three states a task, of which ``unknown`` has weight 0: the binding tasks of ENCODE-DREAM, where a factor was not
    measured in every cell type. Outputs of a task stand together: unknown, unbound, bound."""

    name, kind, per_task = "states", "labels", 3
    loss_name = "weighted cross-entropy"

    def __init__(self, n_tasks: int) -> None:
        super().__init__(n_tasks)
        self.register_buffer("weight", torch.ones(n_tasks))

    def fit(self, targets: Iterable[Targets]) -> None:
        bound, n = sums(targets)
        self.weight.copy_(torch.from_numpy(np.where(bound > 0, (n - bound) / np.maximum(bound, 1), 1.0)))

    def loss(self, outputs: Tensor, targets: Tensor, known: Tensor | None) -> tuple[Tensor, float]:
        logs = outputs.reshape(-1, self.n_tasks, 3).log_softmax(2)
        weights = torch.where(targets > 0, self.weight, 1.0)
        losses = -torch.where(targets > 0, logs[..., 2], logs[..., 1])
        return _weighted_mean(losses, weights if known is None else weights * known)

    def odds(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        states = outputs.reshape(*outputs.shape[:-1], self.n_tasks, 3)
        bound: NDArray[np.float32] = states[..., 2] - states[..., 1]
        return bound

    @property
    def shift(self) -> NDArray[np.float32]:
        """The loss counted bound ``weight`` times, so the network's odds are as many times too large."""
        return np.asarray(self.prior_shift - np.log(self.weight.cpu().numpy()))


OBJECTIVES: dict[str, Callable[[int], Objective]] = {kind.name: kind for kind in (Labels, Classes, Values, States)}


def make_objective(name: str, n_tasks: int) -> Objective:
    """Raises UsageError when there is no such objective."""
    if name not in OBJECTIVES:
        raise UsageError(f"no objective {name!r}", remedy=f"one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name](n_tasks)


def sums(targets: Iterable[Targets]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of the known targets of each task: float64 (tasks,) each."""
    total = n = np.zeros(1)
    for values, known in targets:
        inside = np.ones(values.shape, bool) if known is None else known
        total, n = total + (values * inside).sum(0, dtype=np.float64), n + inside.sum(0)
    return total, n


def _weighted_mean(losses: Tensor, weights: Tensor) -> tuple[Tensor, float]:
    """Without a weight above 0 the mean is 0, and so is its gradient."""
    total = weights.sum()
    return (losses * weights).sum() / total.clamp_min(torch.finfo(total.dtype).tiny), total.item()
