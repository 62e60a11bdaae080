"""Models that teach another: what they predict becomes part of what it learns (distillation, Hinton et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from varscore.datasets.examples import ExampleSet
from varscore.engine.device import arithmetic
from varscore.errors import UsageError
from varscore.nets.layers import SequenceNet
from varscore.tasks import shared
from varscore.train.batches import Batch, Outputs
from varscore.zoo.models import ModelFolder
from varscore.zoo.priors import count_priors


class Teachers:
    """Trained networks that see the examples of a data set as their pupil does, without dropout.

    ``share`` of a target is the mean of the probabilities that those teachers give it which have learnt the task, by
    name; a task that none has learnt (it is not theirs, or had no positive) is learnt from its labels alone. What is
    unknown stays unknown. Raises UsageError for data other than labels, data without the negatives that teachers'
    probabilities count in, and for a teacher that wants other windows, reads more than sequence or knows no task.
    """

    def __init__(self, models: Sequence[ModelFolder], data: ExampleSet, share: float, device: torch.device) -> None:
        if data.kind != "labels":
            raise UsageError(f"a teacher's probabilities are no targets of {data.kind}", where=data.folder)
        if count_priors(data).shift.any():
            raise UsageError(
                "a teacher says how probable a label is among all bins",
                where=data.folder,
                cause="the data set leaves unlabelled bins out",
                remedy="a data set of all bins",
            )
        self.share, self.device, self.taught = share, device, torch.zeros(len(data.tasks), device=device)
        self._nets: list[tuple[SequenceNet, Tensor, Tensor, Tensor]] = []
        for model in models:
            net, (own, theirs) = model.load(), shared(data.tasks, model.tasks())
            learnt = ~np.isin(theirs, model.untrained)
            own, theirs = own[learnt], theirs[learnt]
            causes = {
                f"its windows have {net.window} bases, those to learn from {data.window}": net.window != data.window,
                "it reads more than sequence": bool(net.inputs),
                f"its outputs are {net.objective}": net.objective != "labels",
                "it knows none of the tasks": not len(own),
            }
            if cause := next((cause for cause, holds in causes.items() if holds), None):
                raise UsageError("the model cannot teach this", where=model.path, cause=cause)
            here, there = (torch.from_numpy(np.ascontiguousarray(of)).to(device) for of in (own, theirs))
            shift = torch.from_numpy(net.goal.shift.astype(np.float32)).to(device)
            self._nets.append((net.to(device).eval(), here, there, shift))
            self.taught[here] += 1

    def targets(self, batch: Batch, step: int, precision: str) -> Tensor:
        """Float32 (n, tasks): the batch's own targets, moved towards what the teachers say."""
        total = torch.zeros_like(batch.targets)
        for net, own, theirs, shift in self._nets:
            with torch.no_grad(), arithmetic(self.device, precision):
                outputs = Outputs(net, step)(batch.codes, batch.count, batch.extra)
            total[:, own] += torch.sigmoid(outputs.float() + shift)[:, theirs]
        said = total / self.taught.clamp(min=1)
        return torch.where(self.taught > 0, torch.lerp(batch.targets, said, self.share), batch.targets)
