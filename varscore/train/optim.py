"""Out of a recipe: the optimizer, each step's rate, what is added to the loss and what is done to the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from varscore.errors import UsageError
from varscore.nets.layers import SequenceConv
from varscore.nets.registry import Recipe


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Raises UsageError when there is no such optimizer."""
    trained = [p for p in net.parameters() if p.requires_grad]
    spared = filters(net) if not recipe.decay_filters else None
    weights = [p for p in trained if p.ndim > 1 and p is not spared]
    others = [p for p in trained if p.ndim <= 1 or p is spared]
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if recipe.root_epsilon and recipe.optimizer != "rmsprop":
        raise UsageError(f"{recipe.optimizer} has no epsilon inside a root", remedy="`optimizer=rmsprop`")
    if recipe.optimizer == "adamw" and not recipe.beta2 < 1:
        raise UsageError(f"a decay of {recipe.beta2:g} forgets nothing", remedy="a `beta2` below 1")
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.lr)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, recipe.beta2), fused=True)
    if recipe.optimizer == "rmsprop":
        if recipe.root_epsilon:
            return KerasRMSprop(groups, recipe.lr, recipe.rho, recipe.root_epsilon, recipe.momentum)
        return torch.optim.RMSprop(groups, lr=recipe.lr, alpha=recipe.rho, momentum=recipe.momentum)
    if recipe.optimizer in ("sgd", "nesterov"):
        nesterov = recipe.optimizer == "nesterov"
        if nesterov and not recipe.momentum:
            raise UsageError("nesterov wants a momentum", remedy="`momentum=0.9`")
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov)
    raise UsageError(f"no optimizer {recipe.optimizer!r}", remedy="adam, adamw, rmsprop, sgd or nesterov")


class KerasRMSprop(torch.optim.Optimizer):
    """RMSprop as Keras has it: a step of ``lr * g / sqrt(v + epsilon)``, v the running mean of g squared.

    torch adds its epsilon to the root, so that it bounds the step of a weight with hardly any gradient at lr / 1e-8;
    here that bound is lr / sqrt(epsilon). With momentum the step is accumulated as in torch.
    """

    def __init__(
        self, groups: list[dict[str, object]], lr: float, rho: float, epsilon: float, momentum: float = 0.0
    ) -> None:
        super().__init__(groups, {"lr": lr, "rho": rho, "epsilon": epsilon, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)

    def _move(self, weight: Tensor, group: dict[str, Any]) -> None:
        gradient, state = weight.grad, self.state[weight]
        assert gradient is not None
        if group["weight_decay"]:
            gradient = gradient.add(weight, alpha=group["weight_decay"])
        if not state:
            state["square_avg"] = torch.zeros_like(weight)
            if group["momentum"]:
                state["momentum_buffer"] = torch.zeros_like(weight)
        square = state["square_avg"].mul_(group["rho"]).addcmul_(gradient, gradient, value=1 - group["rho"])
        move = gradient / square.add(group["epsilon"]).sqrt_()
        if group["momentum"]:
            move = state["momentum_buffer"].mul_(group["momentum"]).add_(move)
        weight.add_(move, alpha=-group["lr"])


def learning_rate(recipe: Recipe, history: Sequence[dict[str, float]], step: int, total: int) -> float:
    """The rate of optimizer step ``step`` of ``total``; ``plateau`` looks at the validation losses so far."""
    rate = recipe.lr * min(1.0, (step + 1) / max(recipe.warmup_steps, 1))
    if recipe.schedule == "constant":
        return rate
    if recipe.schedule == "cosine":
        return rate * 0.5 * (1 + math.cos(math.pi * min(step / max(total, 1), 1.0)))
    if recipe.schedule == "plateau":
        best, waited = math.inf, 0
        for row in history:
            if row["validation_loss"] < best:
                best, waited = row["validation_loss"], 0
            else:
                waited += 1
                if waited == recipe.plateau_patience:
                    rate, waited = rate / recipe.plateau_factor, 0
        return rate
    raise UsageError(f"no schedule {recipe.schedule!r}", remedy="plateau, cosine or constant")


def penalty(recipe: Recipe, logits: Tensor) -> Tensor | float:
    """What a recipe adds to the loss: the L1 norm of the last dense layer's output, averaged over batch and tasks.

    logits: float32 (n, tasks)
    """
    return recipe.output_l1 * logits.abs().mean() if recipe.output_l1 else 0.0


def limit_rows(net: nn.Module, bound: float) -> None:
    """Scale each row of a weight matrix (all inputs of one unit) whose L2 norm exceeds ``bound`` down to it."""
    with torch.no_grad():
        for weight in net.parameters():
            if weight.ndim > 1:
                weight.renorm_(2, 0, bound)


def clip_recurrent(net: nn.Module, bound: float) -> None:
    """Cut every element of the gradients of recurrent layers to ``[-bound, bound]``."""
    for layer in net.modules():
        if isinstance(layer, nn.RNNBase):
            nn.utils.clip_grad_value_(layer.parameters(), bound)


def filters(net: nn.Module) -> Tensor | None:
    """The filters of a network that begins with a convolution of DNA."""
    return next((module.weight for module in net.modules() if isinstance(module, SequenceConv)), None)


Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """How a step's weights enter their average: by ``1 - decay``, and more at first, so that the start is forgotten."""

    def update(average: Tensors, current: Tensors, taken: Tensor | int) -> None:
        kept = min(decay, (1 + int(taken)) / (10 + int(taken)))
        torch._foreach_lerp_(average, current, 1 - kept)

    return update
