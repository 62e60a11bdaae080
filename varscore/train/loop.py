"""Training: one loop for every network, seeded, and resumable after a kill to the same result.

Everything random of a step (the epoch's order of examples, their strands, dropout) comes from the seed and the step's
number alone. A run that was killed and resumed therefore takes the same steps as one that was not, to the bit on the
same number of threads.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import math
import pickle
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from varscore.data.examples import ExampleSet
from varscore.engine.device import arithmetic, flushing_denormals
from varscore.errors import DataError, UsageError
from varscore.files.whole import put_file, whole_file
from varscore.nets.layers import SequenceNet, reverse_complement
from varscore.nets.registry import Recipe
from varscore.train.ranks import Ranks

log = logging.getLogger(__name__)

CHECKPOINT, HISTORY = "checkpoint.pt", "history.csv"
HISTORY_COLUMNS = ("epoch", "step", "lr", "train_loss", "validation_loss", "seconds")


@dataclass
class Progress:
    """Where a run stands. ``best`` are the weights with the lowest validation loss so far."""

    epoch: int = 0
    step: int = 0
    """Steps taken in the current epoch"""
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_loss: float = math.inf
    best_epoch: int = -1
    finished: str = ""
    """Why training ended; empty while it has not"""


class Examples:
    """A data set's windows and labels on the training device, gathered there batch by batch."""

    def __init__(self, data: ExampleSet, device: torch.device) -> None:
        self.data, self.device = data, device
        self.windows = torch.from_numpy(data.codes).to(device).unfold(0, data.window, 1)

    def batch(self, rows: np.ndarray, flip: np.ndarray) -> tuple[Tensor, Tensor]:
        """uint8 (n, window) codes, reverse-complemented where ``flip`` (bool (n,)), and float32 (n, tasks) labels."""
        codes = self.windows[torch.from_numpy(self.data.offset[rows]).to(self.device)]
        where = torch.from_numpy(flip).to(self.device)
        codes = torch.where(where[:, None], reverse_complement(codes), codes)
        return codes, torch.from_numpy(self.data.labels(rows)).to(self.device).float()


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    weights = [p for p in net.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in net.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.lr)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=recipe.lr, alpha=recipe.rho, momentum=recipe.momentum)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
    raise UsageError(f"no optimizer {recipe.optimizer!r}", remedy="adam, rmsprop or sgd")


def learning_rate(recipe: Recipe, history: list[dict[str, float]], step: int, total: int) -> float:
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


class Trainer:
    """One training run in one folder. ``net`` is trained in place; of several ``ranks`` each holds a replica."""

    def __init__(
        self,
        net: SequenceNet,
        data: ExampleSet,
        recipe: Recipe,
        folder: Path,
        *,
        device: torch.device,
        precision: str = "fp32",
        seed: int = 0,
        checkpoint_seconds: float = 300.0,
        ranks: Ranks | None = None,
    ) -> None:
        self.net, self.data, self.recipe, self.folder = net.to(device), data, recipe, folder
        self.device, self.precision, self.seed = device, precision, seed
        self.checkpoint_seconds, self.ranks = checkpoint_seconds, ranks or Ranks()
        self.rows, self.held_out = data.rows("train"), data.rows("validation")
        if len(self.rows) == 0 or len(self.held_out) == 0:
            raise DataError("no training or no validation examples", where=data.folder)
        self.steps = -(-len(self.rows) // recipe.batch_size)
        self.examples = Examples(data, device)
        self.optimizer = make_optimizer(net, recipe)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16" and device.type == "cuda")
        self.average: AveragedModel | None = None
        if recipe.ema:
            self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))  # type: ignore[no-untyped-call]
        self.progress = Progress()

    def start(self, inherited: Collection[str] = ()) -> None:
        """What happens once, before the first step: input statistics and the output bias.

        ``inherited`` are names of weights and buffers that come from another model and are left as they are.
        """
        if not any(name in inherited for name, _ in self.net.named_buffers()):
            self.net.prepare(self._training_windows())
        kept = any(self.net.get_parameter(n) is self.net.output.bias for n in inherited if n.endswith("bias"))
        if self.recipe.prior_bias and not kept:
            total = sum(self.data.labels(rows).sum(0, dtype=np.int64) for rows in np.array_split(self.rows, 64))
            share = (total + 1.0) / (len(self.rows) + 2.0)
            with torch.no_grad():
                self.net.output.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))
        if self.average is not None:
            self.average.update_parameters(self.net)

    def _training_windows(self) -> Iterator[Tensor]:
        for first in range(0, len(self.rows), 4096):
            rows = self.rows[first : first + 4096]
            for flip in (False, True):
                yield self.examples.batch(rows, np.full(len(rows), flip))[0]

    @flushing_denormals()  # as which vanishing gradients end
    def run(self, advance: Callable[[int], None] = lambda n: None, stop_after: float = math.inf) -> Progress:
        """Train until the recipe says stop, or ``stop_after`` seconds of this call are over; checkpoint and return."""
        replica = self.ranks.replica(self.net)
        began = saved = time.monotonic()
        progress = self.progress
        while not progress.finished:
            epoch_began = time.monotonic() - progress.seconds
            order, flips = self._plan(progress.epoch)
            while progress.step < self.steps:
                loss = self._step(replica, order, flips)
                now = time.monotonic()
                loss_sum, stops = self.ranks.total([loss, float(now - began > stop_after)])
                progress.loss_sum += loss_sum / self.ranks.world
                progress.step += 1
                progress.seconds = now - epoch_began
                advance(1)
                if stops:
                    self._save()
                    return progress
                if now - saved > self.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
            self._end_epoch()
            self._save()
            saved = time.monotonic()
        return progress

    def _plan(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The epoch's order of examples, and the strand of each."""
        random = np.random.default_rng((self.seed, epoch))
        return random.permutation(self.rows), random.random(len(self.rows)) < 0.5

    def _step(self, replica: nn.Module, order: np.ndarray, flips: np.ndarray) -> float:
        """One step of the optimizer; returns this process's loss, of which the mean over processes is the batch's."""
        progress, size, ranks = self.progress, self.recipe.batch_size, self.ranks
        batch = np.arange(progress.step * size, min((progress.step + 1) * size, len(order)))
        mine = batch[ranks.rank :: ranks.world]
        # gradients are averaged over processes, whose parts of the last batch may differ in size or be empty
        weight = len(mine) * ranks.world / len(batch)
        mine = mine if len(mine) else batch[:1]
        codes, labels = self.examples.batch(order[mine], flips[mine])
        done = progress.epoch * self.steps + progress.step
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, progress.history, done, self.recipe.epochs * self.steps)
        torch.manual_seed(int(np.random.SeedSequence((self.seed, done, ranks.rank)).generate_state(1)[0]))
        replica.train()
        with arithmetic(self.device, self.precision):
            logits = replica(codes)
        loss = weight * F.binary_cross_entropy_with_logits(logits.float(), labels)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.net)
        return loss.item()

    @property
    def candidate(self) -> SequenceNet:
        """The network that is validated and saved."""
        return self.net if self.average is None else cast(SequenceNet, self.average.module)

    def validate(self) -> float:
        """Mean binary cross-entropy of the forward strand over the validation split."""
        net, total, mine = self.candidate.eval(), 0.0, self.held_out[self.ranks.rank :: self.ranks.world]
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            for first in range(0, len(mine), 512):
                rows = mine[first : first + 512]
                codes, labels = self.examples.batch(rows, np.zeros(len(rows), bool))
                total += F.binary_cross_entropy_with_logits(net(codes).float(), labels).item() * len(rows)
        return self.ranks.total([total])[0] / len(self.held_out)

    def _end_epoch(self) -> None:
        progress, recipe = self.progress, self.recipe
        loss = self.validate()
        row = {
            "epoch": progress.epoch,
            "step": (progress.epoch + 1) * self.steps,
            "lr": self.optimizer.param_groups[0]["lr"],
            "train_loss": progress.loss_sum / self.steps,
            "validation_loss": loss,
            "seconds": round(progress.seconds, 1),
        }
        progress.history.append(row)
        if self.ranks.first:
            log.info("epoch done", extra={"fields": {k: f"{v:.6g}" for k, v in row.items()}})
        if loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = loss, progress.epoch
            progress.best = {k: v.detach().cpu().clone() for k, v in self.candidate.state_dict().items()}
        progress.epoch, progress.step, progress.loss_sum, progress.seconds = progress.epoch + 1, 0, 0.0, 0.0
        if not math.isfinite(loss):
            progress.finished = "diverged"
        elif recipe.schedule != "cosine" and progress.epoch - 1 - progress.best_epoch >= recipe.patience:
            progress.finished = f"early stopping: no better validation loss in {recipe.patience} epochs"
        elif progress.epoch >= recipe.epochs:
            progress.finished = f"all {recipe.epochs} epochs done"

    def _save(self) -> None:
        if not self.ranks.first:
            return
        state = {
            "progress": dataclasses.asdict(self.progress),
            "net": self.net.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "signature": self._signature(),
        }
        with whole_file(self.folder / CHECKPOINT) as file:
            torch.save(state, file)
        write_history(self.folder / HISTORY, self.progress.history)

    def _signature(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be carried on; ``epochs`` and ``patience`` may be raised."""
        recipe = dataclasses.asdict(self.recipe)
        if self.recipe.schedule != "cosine":
            del recipe["epochs"]
        del recipe["patience"]
        return {
            "config": dataclasses.asdict(self.net.config),
            "recipe": recipe,
            "seed": self.seed,
            "rows": len(self.rows),
            "reference": self.data.info.get("reference", {}).get("sha256"),
            "data": self.data.sha256,
        }

    def resume(self) -> bool:
        """Continue from the folder's checkpoint; False when there is none.

        Raises UsageError when it belongs to another network, recipe, seed or data set, DataError when it is damaged.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            theirs = state["signature"]
            changed = [key for key, value in self._signature().items() if theirs.get(key, value) != value]
        except (OSError, RuntimeError, EOFError, KeyError, AttributeError, TypeError, pickle.UnpicklingError) as error:
            cause = str(error).partition("\n")[0]
            raise DataError("damaged checkpoint", where=path, cause=cause, remedy="--no-resume starts anew") from None
        if changed:
            raise UsageError(
                f"the checkpoint was made with another {', '.join(changed)}",
                where=path,
                remedy="use the options it was started with, or --no-resume to start anew",
            )
        self.net.load_state_dict(state["net"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self._reconsider()
        return True

    def _reconsider(self) -> None:
        """A finished run goes on when ``epochs`` or ``patience`` now allow it."""
        progress, recipe = self.progress, self.recipe
        waited = progress.epoch - 1 - progress.best_epoch
        patient = recipe.schedule == "cosine" or waited < recipe.patience
        if progress.finished != "diverged" and progress.epoch < recipe.epochs and patient:
            progress.finished = ""

    def best(self) -> SequenceNet:
        """The network with the weights of the best validation loss, or the last ones before the first epoch's end."""
        self.net.load_state_dict(self.progress.best or self.candidate.state_dict())
        return self.net


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    text = io.StringIO()
    rows = csv.DictWriter(text, HISTORY_COLUMNS, lineterminator="\n")
    rows.writeheader()
    rows.writerows(history)
    put_file(path, text.getvalue())
