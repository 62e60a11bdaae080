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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from varscore.datasets.examples import ExampleSet
from varscore.datasets.segments import NONE, Runs
from varscore.engine.device import arithmetic, flushing_denormals
from varscore.errors import DataError, UsageError
from varscore.nets.init import Inherited
from varscore.nets.layers import BIN, SequenceNet
from varscore.nets.registry import Recipe
from varscore.storage.whole import whole_file
from varscore.train.balance import task_weights
from varscore.train.batches import Batch, Examples, Order, Outputs
from varscore.train.optim import (
    clip_recurrent,
    learning_rate,
    limit_rows,
    make_optimizer,
    moving_average,
    penalty,
)
from varscore.train.progress import HISTORY, Progress, write_history
from varscore.train.ranks import Ranks
from varscore.train.renewal import renew_filters
from varscore.train.teachers import Teachers
from varscore.train.validation import Validation

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
WEIGHED = 64
"""Batches that tell how important filters are"""


class Trainer:
    """One training run in one folder. ``net`` is trained in place; of several ``ranks`` each holds a replica.
    ``teachers`` have their say in the targets of training, not of validation."""

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
        teachers: Teachers | None = None,
    ) -> None:
        self.net, self.data, self.recipe, self.folder = net.to(device), data, recipe, folder
        self.device, self.precision, self.seed, self.origin = device, precision, seed, origin
        self.checkpoint_seconds, self.ranks, self.teachers = checkpoint_seconds, ranks or Ranks(), teachers
        self.rows, self.held_out = data.rows("train"), data.rows("validation")
        if len(self.rows) == 0 or len(self.held_out) == 0:
            raise DataError("no training or no validation examples", where=data.folder)
        if recipe.segment > 1 and net.inputs:
            raise UsageError("segments are for networks of nothing but sequence", remedy="`segment=1`")
        step = data.bin or BIN
        self.order = Order(data, self.rows, recipe.batch_size, recipe.segment, step, seed)
        if recipe.segment == 1 and len(self.rows) % recipe.batch_size == 1 < self.order.steps and _normalises(net):
            self.order.steps -= 1  # a batch of one has no variance: in each epoch another example is left out
        self.steps = self.order.steps
        """Of an epoch"""
        self.total = planned(recipe, self.steps)
        self.both_strands = data.strands == "both" and net.strands != "one"
        self.examples = Examples(data, net, device, step)
        self.balance: Tensor | None = None
        """float32 (tasks,), how much each counts in the loss; None: all alike"""
        if recipe.task_balance and net.objective == "labels":
            weights = task_weights(self.examples.targets(self.rows), recipe.task_balance)
            self.balance = torch.from_numpy(weights).to(device)
        self.outputs = Outputs(self.net, step)
        self.optimizer = make_optimizer(net, recipe)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16" and device.type == "cuda")
        self.average: AveragedModel | None = None
        if recipe.ema:
            self.average = AveragedModel(net, multi_avg_fn=moving_average(recipe.ema))
        self.progress = Progress()
        self.saved_step: int | None = None
        """Steps that the folder's checkpoint holds; None while it has none of this run"""

    def start(self, inherited: Inherited | None = None, motifs: Sequence[NDArray[np.float64]] = ()) -> None:
        """What happens once, before the first step: input statistics, the output bias and renewed filters.

        What is ``inherited`` from another model is left as it is, but for the filters that the recipe renews from the
        ``motifs``, float (w, 4) frequencies.
        """
        inherited = inherited or Inherited()
        buffers = {name for name, _ in self.net.named_buffers() if name in inherited.names}
        learnt = {name for name in buffers if name.startswith("goal.")}
        if not buffers - learnt:
            self.net.prepare(self._training_windows())
        if not learnt:
            self.net.goal.fit(self.examples.targets(self.rows))
        new = np.setdiff1d(np.arange(len(self.net.output.bias)), inherited.outputs)
        if self.recipe.prior_bias and len(new):
            prior = self.net.goal.prior(self.examples.targets(self.rows))
            if prior is not None:
                with torch.no_grad():
                    self.net.output.bias[new] = torch.from_numpy(prior[new]).to(self.net.output.bias)
        if self.recipe.renewed_filters:
            renewed = renew_filters(self.net, self._losses(), motifs, self.recipe.renewed_filters, self.seed)
            log.info("filters renewed", extra={"fields": {"filters": len(renewed)}})
        if self.average is not None:
            self.average.update_parameters(self.net)

    def _training_windows(self) -> Iterator[Tensor]:
        for first in range(0, len(self.rows), 4096):
            rows = self.rows[first : first + 4096]
            for flip in (False, True) if self.both_strands else (False,):
                yield self.net.shown(self.examples.batch(rows, np.full(len(rows), flip)).codes)

    def _losses(self) -> Iterator[Tensor]:
        """Of some batches of the first epoch, in float32 and without dropout."""
        order, flips = self._plan(0)
        self.net.eval()
        for step in np.unique(np.linspace(0, self._last - 1, WEIGHED).astype(int)):
            batch = self.order.batch(step, len(order))
            examples = self.examples.batch(order[batch], flips[batch])
            with torch.backends.cudnn.flags(enabled=False):  # whose LSTM has no gradient outside of training
                outputs = self.outputs(examples.codes, examples.count, examples.extra)
            yield self.net.goal.loss(outputs, examples.targets, self._counting(examples))[0]

    def _counting(self, examples: Batch) -> Tensor | None:
        """Which targets count in the loss, bool (n, tasks), or how much, float32 (n, tasks); None: all alike."""
        if self.balance is None:
            return examples.known
        known = torch.ones_like(examples.targets) if examples.known is None else examples.known
        return known * self.balance

    @flushing_denormals()  # as which vanishing gradients end
    def run(
        self,
        advance: Callable[[int], None] = lambda n: None,
        stop_after: float = math.inf,
        stop: Callable[[], bool] = lambda: False,
    ) -> Progress:
        """Train until the recipe says stop, ``stop_after`` seconds of this call are over or ``stop`` says so, which is
        asked after every step and within validation; checkpoint and return."""
        replica = self.ranks.replica(self.outputs)
        began = saved = time.monotonic()
        progress = self.progress
        while not progress.finished:
            epoch_began = time.monotonic() - progress.seconds
            order, flips = self._plan(progress.epoch)
            while progress.step < self._last:
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

    def _plan(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The epoch's order of examples or segments, and the strand of each."""
        return self.order.epoch(epoch, self.both_strands)

    def _step(self, replica: nn.Module, order: NDArray[np.int64], flips: NDArray[np.bool_]) -> float:
        """One step of the optimizer; returns this process's loss, of which the mean over processes is the batch's."""
        progress, ranks = self.progress, self.ranks
        batch = self.order.batch(progress.step, len(order))
        mine = batch[ranks.rank :: ranks.world]
        # gradients are averaged over processes, whose parts of a batch may differ in what is known, or be empty
        weight = self._weight(order[mine]) * ranks.world / (self._weight(order[batch]) or 1)
        mine = mine if len(mine) else batch[:1]
        examples = self.examples.batch(order[mine], flips[mine])
        done = self._done
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, progress.history, done, self.total)
        torch.manual_seed(int(np.random.SeedSequence((self.seed, done, ranks.rank)).generate_state(1)[0]))
        replica.train()
        with arithmetic(self.device, self.precision):
            outputs = replica(examples.codes, examples.count, examples.extra)
        outputs, targets = outputs.float(), examples.targets
        if self.teachers is not None:
            targets = self.teachers.targets(examples, self.examples.step, self.precision)
        mean, _ = self.net.goal.loss(outputs, targets, self._counting(examples))
        loss = weight * (mean + (penalty(self.recipe, outputs) if self.net.objective == "labels" else 0.0))
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm or self.recipe.recurrent_clip:
            self.scaler.unscale_(self.optimizer)
        if self.recipe.recurrent_clip:
            clip_recurrent(self.net, self.recipe.recurrent_clip)
        if self.recipe.clip_norm:
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

    @property
    def _last(self) -> int:
        """Steps of the current epoch: the last one may be cut short."""
        return min(self.steps, self.total - self.progress.epoch * self.steps)

    def _weight(self, rows: NDArray[np.int64]) -> float:
        """Of some examples' mean loss beside that of others: examples, or known targets where some are not known, each
        as much as its task counts."""
        if self.ranks.world == 1:
            return len(rows)
        rows = rows[rows != NONE]
        known = self.data.known(rows)
        counts = np.ones(len(self.data.tasks)) if self.balance is None else self.balance.cpu().double().numpy()
        each = np.full(len(counts), len(rows)) if known is None else np.count_nonzero(known, axis=0)
        return float(each @ counts)

    @property
    def candidate(self) -> SequenceNet:
        """The network that is validated and saved."""
        return self.net if self.average is None else cast(SequenceNet, self.average.module)

    def validate(self, stop: Callable[[], bool] = lambda: False) -> dict[str, float] | None:
        """Of the validation split, forward strand: ``validation_loss``, and how well tasks are told apart
        (:class:`Validation`). None when ``stop`` has ended it, which it does only where one process trains."""
        net, mine = Outputs(self.candidate.eval(), self.examples.step), self._held_out()
        mine = mine[self.ranks.rank :: self.ranks.world]
        found = Validation(self.data, net.net.goal, self.held_out)
        size = max(1, 512 // self.recipe.segment)
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            for first in range(0, len(mine), size):
                if self.ranks.world == 1 and stop():
                    return None
                rows = mine[first : first + size]
                examples = self.examples.batch(rows, np.zeros(len(rows), bool))
                outputs = net(examples.codes, examples.count, examples.extra).float()
                found.add(rows.reshape(-1), outputs, examples.targets, examples.known)
        total, weights = self.ranks.total([found.total, found.weight])
        if not weights:
            raise DataError("no label of the validation split is known", where=self.data.folder)
        return {"validation_loss": total / weights, **found.measures()}

    def _held_out(self) -> NDArray[np.int64]:
        """The validation split as the training split is taken: int64 (n,), or segments of rows (m, size)."""
        if self.recipe.segment == 1:
            return self.held_out
        return Runs(self.data, self.held_out, self.examples.step, self.recipe.segment).segments()

    def _end_epoch(self, validation: dict[str, float]) -> None:
        """validation: the measures of the validation split"""
        progress, recipe, loss = self.progress, self.recipe, validation["validation_loss"]
        row = {
            "epoch": progress.epoch,
            "step": self._done,
            "lr": self.optimizer.param_groups[0]["lr"],
            "train_loss": progress.loss_sum / max(progress.step, 1),
            **validation,
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
        elif self._done >= self.total:
            progress.finished = f"all {recipe.steps} steps done" if recipe.steps else f"all {recipe.epochs} epochs done"

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
            try:
                torch.save(state, file)
            except RuntimeError as error:  # which torch makes of a disk that is full
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None
        write_history(self.folder / HISTORY, self.progress.history)
        self.saved_step = self._done

    def _signature(self) -> dict[str, object]:
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
            if isinstance(error, pickle.UnpicklingError):  # to which torch advises trusting the file
                cause = "no file of torch.save"
            raise DataError(
                "damaged checkpoint", where=path, cause=cause, remedy="`resume=False` starts anew"
            ) from None
        if changed:
            raise UsageError(
                f"the checkpoint was made with another {', '.join(changed)}",
                where=path,
                remedy="use the options it was started with, or `resume=False` to start anew",
            )
        self.net.load_state_dict(state["net"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.saved_step = self._done
        if self._done > self.total:
            log.warning(
                "%s holds %d steps, more than the %d asked for: nothing is trained", path, self._done, self.total
            )
            self.progress.finished = self.progress.finished or "more steps done than were asked for"
        self._reconsider()
        return True

    def _reconsider(self) -> None:
        """A finished run goes on when ``epochs`` or ``patience`` now allow it."""
        progress, recipe = self.progress, self.recipe
        waited = progress.epoch - 1 - progress.best_epoch
        patient = recipe.schedule == "cosine" or waited < recipe.patience
        if progress.finished != "diverged" and self._done < self.total and patient:
            progress.finished = ""

    def best(self) -> SequenceNet:
        """The network with the weights of the best validation loss, or the last ones before the first epoch's end."""
        self.net.load_state_dict(self.progress.best or self.candidate.state_dict())
        return self.net


def planned(recipe: Recipe, steps: int) -> int:
    """Steps of a whole run, of epochs of so many steps."""
    return recipe.steps or recipe.epochs * steps


def _normalises(net: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in net.modules())


def _binding(recipe: dict[str, object]) -> dict[str, object]:
    """What of a recipe a checkpoint insists on. ``patience`` may change, ``epochs`` too unless the rate follows them.

    Without what is at its default, so that a checkpoint made before a recipe had some field can be carried on.
    """
    free = {"patience"} if recipe.get("schedule") == "cosine" else {"patience", "epochs"}
    defaults = dataclasses.asdict(Recipe())
    return {name: value for name, value in recipe.items() if name not in free and value != defaults.get(name)}
