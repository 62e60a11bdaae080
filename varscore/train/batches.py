"""What a step of training is given: examples on the training device, and the order in which an epoch takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from varscore.datasets.examples import ExampleSet
from varscore.datasets.segments import NONE, Runs
from varscore.errors import DataError, UsageError
from varscore.nets.layers import BIN, SequenceNet, reverse_complement
from varscore.nets.objectives import Targets


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples on the training device: n windows, or m segments of ``count`` bins, which are m * count examples.

    codes: uint8 (n, window) or (m, bases of a segment); targets: float32 (n, tasks); known: bool (n, tasks), or None
    for all; extra: what the network reads besides, by name.
    """

    codes: Tensor
    targets: Tensor
    known: Tensor | None
    extra: dict[str, Tensor]
    count: int = 1


class Outputs(nn.Module):
    """A network as training calls it: its outputs for every example of a batch, float (n, outputs)."""

    def __init__(self, net: SequenceNet, step: int) -> None:
        super().__init__()
        self.net, self.step = net, step

    def forward(self, codes: Tensor, count: int, extra: dict[str, Tensor]) -> Tensor:
        if count == 1:
            return cast(Tensor, self.net(codes, **extra))
        return self.net.bins(codes, count, self.step).flatten(0, 1)


class Examples:
    """What a network reads and learns of a data set, gathered on the training device batch by batch.

    ``step``: bases from a bin to its neighbour, where batches are made of segments
    """

    def __init__(self, data: ExampleSet, net: SequenceNet, device: torch.device, step: int = BIN) -> None:
        self.data, self.device, self.step = data, device, step
        self._codes = torch.from_numpy(data.codes).to(device)
        self.tracks = self.scalars = 0
        if "tracks" in net.inputs:
            self.tracks = getattr(net.config, "tracks", 0)
            self.signal = torch.from_numpy(data.signal[: self.tracks]).to(device).unfold(1, data.window, 1)
        if "scalars" in net.inputs:
            self.scalars = getattr(net.config, "scalars", 0)
        there = (len(data.track_names), len(data.scalar_names))
        if self.tracks > there[0] or self.scalars > there[1]:
            raise DataError(
                f"the network reads {self.tracks} tracks and {self.scalars} scalars",
                where=data.folder,
                cause=f"the data set has {there[0]} and {there[1]}",
            )

    def batch(self, rows: NDArray[np.int64], flip: NDArray[np.bool_]) -> Batch:
        """The examples ``rows``, int64 (n,), or the segments of rows, int64 (m, size): those where ``flip`` (bool) is
        set seen from the other strand.
        """
        if rows.ndim == 2 and rows.shape[1] > 1:
            return self._segments(rows, flip)
        rows = rows.reshape(-1)
        offset = torch.from_numpy(self.data.offset[rows]).to(self.device)
        where = torch.from_numpy(flip).to(self.device)
        codes = self._codes.unfold(0, self.data.window, 1)[offset]
        codes = torch.where(where[:, None], reverse_complement(codes), codes)
        extra = {}
        if self.tracks:
            tracks = self.signal[:, offset].transpose(0, 1)
            extra["tracks"] = torch.where(where[:, None, None], tracks.flip(2), tracks)
        if self.scalars:
            extra["scalars"] = self._moved(self.data.scalars(rows)[:, : self.scalars])
        known = self.data.known(rows)
        return Batch(codes, self._moved(self.data.targets(rows)), None if known is None else self._moved(known), extra)

    def _segments(self, rows: NDArray[np.int64], flip: NDArray[np.bool_]) -> Batch:
        count = rows.shape[1]
        length = self.data.window + self.step * (count - 1)
        offset = torch.from_numpy(self.data.offset[rows[:, 0]]).to(self.device)
        places = offset[:, None] + torch.arange(length, device=self.device)
        codes = self._codes[places.clamp_max(len(self._codes) - 1)]
        where = torch.from_numpy(flip).to(self.device)
        codes = torch.where(where[:, None], reverse_complement(codes), codes)
        flat = np.where(flip[:, None], rows[:, ::-1], rows).reshape(-1)
        there, known = flat != NONE, self.data.known(flat)
        if not there.all():
            known = there[:, None] & (np.ones((1, len(self.data.tasks)), bool) if known is None else known)
        targets = self._moved(self.data.targets(flat))
        return Batch(codes, targets, None if known is None else self._moved(known), {}, count)

    def _moved(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def targets(self, rows: NDArray[np.int64]) -> Iterator[Targets]:
        """The targets of many examples, piece by piece."""
        for piece in np.array_split(rows, 64):
            yield self.data.targets(piece), self.data.known(piece)


class Order:
    """In which order an epoch takes the training examples, and how many steps that are.

    ``size`` examples a step, in segments of ``segment`` neighbouring bins (1: windows, each for itself). What an epoch
    draws comes from the seed and its number alone.
    """

    def __init__(
        self, data: ExampleSet, rows: NDArray[np.int64], size: int, segment: int, step: int, seed: int
    ) -> None:
        if segment > 1 and size % segment:
            raise UsageError(f"a batch of {size} bins is no whole number of segments of {segment}")
        self.rows, self.size, self.segment, self.seed = rows, size, segment, seed
        self.runs = Runs(data, rows, step, segment) if segment > 1 else None
        self.steps = -(-(len(rows) if self.runs is None else self.runs.most) // (size // segment))
        if self.runs is not None:
            self.steps = min(self.steps, self.runs.fewest)  # so that no step is without a segment

    def epoch(self, number: int, both_strands: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Its rows, int64 (n,) or (m, segment), in order, and whether each is seen from the other strand."""
        random = np.random.default_rng((self.seed, number))
        if self.runs is None:
            rows = random.permutation(self.rows)
        else:
            rows = random.permutation(self.runs.segments(random))
        return rows, (random.random(len(rows)) < 0.5) & both_strands

    def batch(self, step: int, items: int) -> NDArray[np.int64]:
        """Which of an epoch's ``items`` a step takes. Segments, which may be a few less, are dealt out evenly."""
        if self.runs is None:
            return np.arange(step * self.size, min((step + 1) * self.size, items))
        return np.arange(items * step // self.steps, items * (step + 1) // self.steps)
