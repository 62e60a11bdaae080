"""Training: one loop for every network, seeded, and resumable after a kill to the same result.

Everything random of a step (the epoch's order of examples, their strands, dropout) comes from the seed and the step's
number alone. A run that was killed and resumed therefore takes the same steps as one that was not, to the bit on the
same number of threads.
"""

from __future__ import annotations

import dataclasses
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
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from varscore.data.examples import ExampleSet
from varscore.engine.device import arithmetic, flushing_denormals
from varscore.errors import DataError, UsageError
from varscore.files.csvtable import csv_text
from varscore.files.whole import put_file, whole_file
from varscore.nets.layers import SequenceNet, reverse_complement
from varscore.nets.objectives import Targets
from varscore.nets.registry import Recipe
from varscore.train.optim import learning_rate, limit_rows, make_optimizer, penalty
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


@dataclass(frozen=True, slots=True)
class Batch:
    """n examples on the training device. codes: uint8 (n, window); targets: float32 (n, tasks); known: bool (n, tasks),
    or None for all; extra: what the network reads besides, by name."""

    codes: Tensor
    targets: Tensor
    known: Tensor | None
    extra: dict[str, Tensor]


class Examples:
    """What a network reads and learns of a data set, gathered on the training device batch by batch."""

    def __init__(self, data: ExampleSet, net: SequenceNet, device: torch.device) -> None:
        self.data, self.device = data, device
        self.windows = torch.from_numpy(data.codes).to(device).unfold(0, data.window, 1)
        self.tracks = self.scalars = 0
        if "tracks" in net.inputs:
            self.tracks = net.config.tracks
            self.signal = torch.from_numpy(data.signal[: self.tracks]).to(device).unfold(1, data.window, 1)
        if "scalars" in net.inputs:
            self.scalars = net.config.scalars
        there = (len(data.track_names), len(data.scalar_names))
        if self.tracks > there[0] or self.scalars > there[1]:
            raise DataError(
                f"the network reads {self.tracks} tracks and {self.scalars} scalars", where=data.folder,
                cause=f"the data set has {there[0]} and {there[1]}",
            )  # fmt: skip

    def batch(self, rows: np.ndarray, flip: np.ndarray) -> Batch:
        """The examples ``rows``, those where ``flip`` (bool (n,)) is set seen from the other strand."""
        offset = torch.from_numpy(self.data.offset[rows]).to(self.device)
        where = torch.from_numpy(flip).to(self.device)
        codes = self.windows[offset]
        codes = torch.where(where[:, None], reverse_complement(codes), codes)
        extra = {}
        if self.tracks:
            tracks = self.signal[:, offset].transpose(0, 1)
            extra["tracks"] = torch.where(where[:, None, None], tracks.flip(2), tracks)
        if self.scalars:
            extra["scalars"] = self._moved(self.data.scalars(rows)[:, : self.scalars])
        known = self.data.known(rows)
        return Batch(codes, self._moved(self.data.targets(rows)), None if known is None else self._moved(known), extra)

    def _moved(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def targets(self, rows: np.ndarray) -> Iterator[Targets]:
        """The targets of many examples, piece by piece."""
        for piece in np.array_split(rows, 64):
            yield self.data.targets(piece), self.data.known(piece)


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
        origin: str = "",
        checkpoint_seconds: float = 300.0,
        ranks: Ranks | None = None,
    ) -> None:
        self.net, self.data, self.recipe, self.folder = net.to(device), data, recipe, folder
        self.device, self.precision, self.seed, self.origin = device, precision, seed, origin
        self.checkpoint_seconds, self.ranks = checkpoint_seconds, ranks or Ranks()
        self.rows, self.held_out = data.rows("train"), data.rows("validation")
        if len(self.rows) == 0 or len(self.held_out) == 0:
            raise DataError("no training or no validation examples", where=data.folder)
        self.steps = -(-len(self.rows) // recipe.batch_size)
        if len(self.rows) % recipe.batch_size == 1 < self.steps and _normalises(net):
            self.steps -= 1  # a batch of one has no variance: in each epoch another example is left out
        self.both_strands = data.strands == "both" and net.strands != "one"
        self.examples = Examples(data, net, device)
        self.optimizer = make_optimizer(net, recipe)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16" and device.type == "cuda")
        self.average: AveragedModel | None = None
        if recipe.ema:
            self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))  # type: ignore[no-untyped-call]
        self.progress = Progress()
        self.saved_step: int | None = None
        """Steps that the folder's checkpoint holds; None while it has none of this run"""

    def start(self, inherited: Collection[str] = ()) -> None:
        """What happens once, before the first step: input statistics and the output bias.

        ``inherited`` are names of weights and buffers that come from another model and are left as they are.
        """
        buffers = {name for name, _ in self.net.named_buffers() if name in inherited}
        learnt = {name for name in buffers if name.startswith("goal.")}
        if not buffers - learnt:
            self.net.prepare(self._training_windows())
        if not learnt:
            self.net.goal.fit(self.examples.targets(self.rows))
        kept = any(self.net.get_parameter(n) is self.net.output.bias for n in inherited if n.endswith("bias"))
        if self.recipe.prior_bias and not kept:
            prior = self.net.goal.prior(self.examples.targets(self.rows))
            if prior is not None:
                with torch.no_grad():
                    self.net.output.bias.copy_(torch.from_numpy(prior))
        if self.average is not None:
            self.average.update_parameters(self.net)

    def _training_windows(self) -> Iterator[Tensor]:
        for first in range(0, len(self.rows), 4096):
            rows = self.rows[first : first + 4096]
            for flip in (False, True) if self.both_strands else (False,):
                yield self.net.shown(self.examples.batch(rows, np.full(len(rows), flip)).codes)

    @flushing_denormals()  # as which vanishing gradients end
    def run(
        self,
        advance: Callable[[int], None] = lambda n: None,
        stop_after: float = math.inf,
        stop: Callable[[], bool] = lambda: False,
    ) -> Progress:
        """Train until the recipe says stop, ``stop_after`` seconds of this call are over or ``stop`` says so, which is
        asked after every step and within validation; checkpoint and return."""
        replica = self.ranks.replica(self.net)
        began = saved = time.monotonic()
        progress = self.progress
        while not progress.finished:
            epoch_began = time.monotonic() - progress.seconds
            order, flips = self._plan(progress.epoch)
            while progress.step < self.steps:
                loss = self._step(replica, order, flips)
                now = time.monotonic()
                loss_sum, stops = self.ranks.total([loss, float(now - began > stop_after or stop())])
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
            validation = self.validate(stop)
            if validation is None:  # the next run validates this epoch
                self._save()
                return progress
            self._end_epoch(validation)
            self._save()
            saved = time.monotonic()
        return progress

    def _plan(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The epoch's order of examples, and the strand of each."""
        random = np.random.default_rng((self.seed, epoch))
        return random.permutation(self.rows), (random.random(len(self.rows)) < 0.5) & self.both_strands

    def _step(self, replica: nn.Module, order: np.ndarray, flips: np.ndarray) -> float:
        """One step of the optimizer; returns this process's loss, of which the mean over processes is the batch's."""
        progress, size, ranks = self.progress, self.recipe.batch_size, self.ranks
        batch = np.arange(progress.step * size, min((progress.step + 1) * size, len(order)))
        mine = batch[ranks.rank :: ranks.world]
        # gradients are averaged over processes, whose parts of a batch may differ in what is known, or be empty
        weight = self._weight(order[mine]) * ranks.world / max(self._weight(order[batch]), 1)
        mine = mine if len(mine) else batch[:1]
        examples = self.examples.batch(order[mine], flips[mine])
        done = self._done
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, progress.history, done, self.recipe.epochs * self.steps)
        torch.manual_seed(int(np.random.SeedSequence((self.seed, done, ranks.rank)).generate_state(1)[0]))
        replica.train()
        with arithmetic(self.device, self.precision):
            outputs = replica(examples.codes, **examples.extra)
        outputs = outputs.float()
        mean, _ = self.net.goal.loss(outputs, examples.targets, examples.known)
        loss = weight * (mean + (penalty(self.recipe, outputs) if self.net.objective == "labels" else 0.0))
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.recipe.max_norm:
            limit_rows(self.net, self.recipe.max_norm)
        if self.average is not None:
            self.average.update_parameters(self.net)
        return loss.item()

    @property
    def _done(self) -> int:
        """Steps so far, of all epochs."""
        return self.progress.epoch * self.steps + self.progress.step

    def _weight(self, rows: np.ndarray) -> int:
        """Of some examples' mean loss beside that of others: examples, or known targets where some are not known."""
        known = self.data.known(rows) if self.ranks.world > 1 else None
        return len(rows) if known is None else int(np.count_nonzero(known))

    @property
    def candidate(self) -> SequenceNet:
        """The network that is validated and saved."""
        return self.net if self.average is None else cast(SequenceNet, self.average.module)

    def validate(self, stop: Callable[[], bool] = lambda: False) -> float | None:
        """Mean loss of the forward strand over the validation split; None when ``stop`` has ended it, which it does
        only where one process trains."""
        net, mine = self.candidate.eval(), self.held_out[self.ranks.rank :: self.ranks.world]
        total = weights = 0.0
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            for first in range(0, len(mine), 512):
                if self.ranks.world == 1 and stop():
                    return None
                rows = mine[first : first + 512]
                examples = self.examples.batch(rows, np.zeros(len(rows), bool))
                outputs = net(examples.codes, **examples.extra).float()
                loss, weight = net.goal.loss(outputs, examples.targets, examples.known)
                total, weights = total + loss.item() * weight, weights + weight
        total, weights = self.ranks.total([total, weights])
        if not weights:
            raise DataError("no label of the validation split is known", where=self.data.folder)
        return total / weights

    def _end_epoch(self, loss: float) -> None:
        """loss: of the validation split"""
        progress, recipe = self.progress, self.recipe
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
        self.saved_step = self._done

    def _signature(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be carried on."""
        recipe = dataclasses.asdict(self.recipe)
        return {
            "config": dataclasses.asdict(self.net.config),
            "recipe": _binding(recipe),
            "objective": self.net.objective,
            "strands": self.net.strands,
            "visible": list(self.net.visible or ()),
            "seed": self.seed,
            "initialisation": self.origin,
            "rows": len(self.rows),
            "reference": self.data.info.get("reference", {}).get("sha256"),
            "data": self.data.sha256,
        }

    def resume(self) -> bool:
        """Continue from the folder's checkpoint; False when there is none.

        Raises UsageError when it belongs to another network, recipe, seed, origin or data set, DataError when it is
        damaged.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            theirs = state["signature"]
            theirs["recipe"] = _binding(theirs["recipe"])
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
        self.saved_step = self._done
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


def _normalises(net: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in net.modules())


def _binding(recipe: dict[str, Any]) -> dict[str, Any]:
    """What of a recipe a checkpoint insists on. ``patience`` may change, ``epochs`` too unless the rate follows them.

    Without what is at its default, so that a checkpoint made before a recipe had some field can be carried on.
    """
    free = {"patience"} if recipe.get("schedule") == "cosine" else {"patience", "epochs"}
    defaults = dataclasses.asdict(Recipe())
    return {name: value for name, value in recipe.items() if name not in free and value != defaults.get(name)}


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    put_file(path, csv_text(history, HISTORY_COLUMNS))
