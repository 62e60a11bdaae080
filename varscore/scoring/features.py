"""What a classifier sees of a variant: absolute log-odds and differences of every task, and conservation.

Features are ``|[log-odds x tasks, differences x tasks, conservation x k]|``, in that order (DeepSEA, DanQ).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.errors import ModelError
from varscore.formats.bigwig import BigWig
from varscore.genome.alleles import AlleleBatch
from varscore.genome.sequence import Genome
from varscore.scoring.effects import Effects
from varscore.tasks import Task

DEEPSEA_CONSERVATION = {
    "phastcons_primates": 0.115,
    "phylop_primates": -0.033,
    "gerp_neutral": 1.909,
    "gerp_rejected": -0.200,
}
"""DeepSEA's conservation scores, in its order, and what stands in for a missing one"""


def raw_features(
    effects: Effects, conservation: NDArray[np.floating], without: Sequence[int] = ()
) -> NDArray[np.float32]:
    """float32 (m, 2 x tasks + k), still signed; NaN where a conservation score is missing.

    conservation: (m, k); without: tasks that are left out, of which a model knows nothing
    """
    blocks = (np.delete(block, np.asarray(without, np.int64), 1) for block in (effects.logodds, effects.diff))
    return np.concatenate([*blocks, conservation], axis=1, dtype=np.float32)


@dataclass(frozen=True)
class Tracks:
    """Conservation scores by name, in the order of their columns."""

    files: tuple[tuple[str, BigWig], ...] = ()

    @classmethod
    def open(cls, paths: Mapping[str, Path]) -> Tracks:
        return cls(tuple((name, BigWig(path)) for name, path in paths.items()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.files)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(str(track.path) for _, track in self.files)

    def fit(self, genome: Genome, find: Callable[[str], str | None] | None = None) -> None:
        """See :meth:`varscore.formats.bigwig.BigWig.fit`."""
        for _, track in self.files:
            track.fit(genome, find)

    def warn_of_missing(self) -> None:
        for _, track in self.files:
            track.warn_of_missing()

    def values(self, alleles: AlleleBatch, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores at the first REF base of the alleles ``rows``: float32 (m, k), NaN where there is none."""
        contig, start = alleles.contig[rows], alleles.start[rows]
        columns = [track.values(alleles.contigs, contig, start) for _, track in self.files]
        return np.stack(columns, 1) if columns else np.empty((len(rows), 0), np.float32)

    def select(self, values: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float32]:
        """The columns ``names`` of what :meth:`values` gave: float32 (m, names), NaN for a score that is not given."""
        found = np.full((len(values), len(names)), np.nan, np.float32)
        for column, name in enumerate(names):
            if name in self.names:
                found[:, column] = values[:, self.names.index(name)]
        return found


@dataclass(frozen=True)
class Preparation:
    """Raw features to what trees are grown on: missing values filled in, absolute values, mean 0 and variance 1.

    fill: float64 (k,), for the conservation columns, the last k; mean, scale: float64 (width,)
    """

    fill: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, raw: NDArray[np.float32], conservation: Sequence[str]) -> Preparation:
        """From the training set alone, float32 (n, width). DeepSEA's scores are filled in as DeepSEA does, others by
        their median; a constant column keeps scale 1."""
        fill = np.array([_fill(name, raw[:, i - len(conservation)]) for i, name in enumerate(conservation)])
        absolute = _absolute(raw, fill)
        mean, deviation = absolute.mean(0, dtype=np.float64), absolute.std(0, dtype=np.float64)
        return cls(fill, mean, np.where(deviation > 0, deviation, 1.0))

    def apply(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (n, width), as is ``raw``"""
        return np.asarray((_absolute(raw, self.fill) - self.mean) / self.scale, np.float32)

    def text(self) -> str:
        return json.dumps({"fill": self.fill.tolist(), "mean": self.mean.tolist(), "scale": self.scale.tolist()}) + "\n"

    @classmethod
    def parse(cls, content: bytes, width: int, conservation: int, where: object) -> Preparation:
        """Raises ModelError for what :meth:`text` does not write, or for another width."""
        try:
            values = json.loads(content)
            parts = [np.array(values[name], np.float64) for name in ("fill", "mean", "scale")]
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError("not a table of means and scales", where=where, cause=str(error)) from None
        if [part.shape for part in parts] != [(conservation,), (width,), (width,)]:
            raise ModelError(f"means and scales are not of {width} features", where=where)
        if not all(np.isfinite(part).all() for part in parts) or (parts[2] <= 0).any():
            raise ModelError("means and scales are not all numbers", where=where)
        return cls(*parts)


def class_of_features(
    tasks: Sequence[Task], conservation: Sequence[str], without: Sequence[int] = ()
) -> list[tuple[str, str, str]]:
    """(block, chromatin class, name) of every feature, in order."""
    classes = [(task.group or "other", f"{task.index}:{task.name}") for task in tasks if task.index not in without]
    blocks = [(block, *task) for block in ("logodds", "diff") for task in classes]
    return [*blocks, *(("conservation", "conservation", name) for name in conservation)]


def _fill(name: str, column: NDArray[np.float32]) -> float:
    known = column[np.isfinite(column)]
    return DEEPSEA_CONSERVATION.get(name.lower(), float(np.median(known)) if len(known) else 0.0)


def _absolute(raw: NDArray[np.float32], fill: NDArray[np.float64]) -> NDArray[np.float32]:
    if not len(fill):
        return np.asarray(np.abs(raw))
    filled = raw.copy()
    scores = filled[:, -len(fill) :]
    np.copyto(scores, fill, where=np.isnan(scores), casting="same_kind")
    return np.asarray(np.abs(filled))
