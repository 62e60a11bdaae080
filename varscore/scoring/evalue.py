"""How unusual an effect is: magnitudes, their E-values against a background of common variants, significance.

A background keeps, for each column (a task's magnitude, or a conservation score), the largest values themselves and a
histogram of all values, with 32 bins an octave. An E-value among the largest values is exact; below them it is exact at
the edges of bins and interpolated between, which is off by well under one per cent of the E-value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from varscore.errors import ModelError, reason
from varscore.storage.atomic import AtomicFile
from varscore.storage.bounded import TABLE_BYTES, demand_tensors, read_bounded

TAIL = 2048
"""Largest values a column that are kept as they are."""
LEAST = 1e-6
"""DeepSEA's smallest E-value."""
BACKGROUND = "background.safetensors"
"""The background in a model's folder, which ``annotate`` finds there"""
FORMAT = 1
_SHIFT = 18  # a bin is the sign, the exponent and the first 5 bits of the mantissa of a float32
_BINS = 1 << (32 - _SHIFT)
_ZERO_BIN = 1 << (31 - _SHIFT)
_ROWS = 8192  # rows that are counted at a time
_PARTS = ("tail", "bins", "counts")


def magnitudes(diff: NDArray[np.float32], logodds: NDArray[np.float32]) -> NDArray[np.float32]:
    """``|diff x logodds|``, float32 of their shape."""
    return np.asarray(np.abs(diff * logodds))


def significance(evalues: NDArray[np.float64], conservation: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """DeepSEA's functional significance, float64 (m,): geometric mean of the E-values over tasks, times that of the
    conservation scores' E-values where there are any. evalues: (m, tasks); conservation: (m, k)."""
    tasks: NDArray[np.float64] = np.exp(np.log(evalues).mean(1))
    return tasks if conservation is None else tasks * np.exp(np.log(conservation).mean(1))


@dataclass(frozen=True)
class Background:
    """The distribution of every column over ``n`` common variants.

    model_sha256: of the weights whose effects these are; conservation: names of the columns after the tasks'
    tail: float32 (columns, k), the largest values, ascending
    bins: int64 (b,), the bins that are not empty, ascending; counts: int64 (columns, b), values in each
    facts: where the variants come from
    """

    model_sha256: str
    n: int
    conservation: tuple[str, ...]
    tail: NDArray[np.float32]
    bins: NDArray[np.int64]
    counts: NDArray[np.int64]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def tasks(self) -> int:
        return len(self.tail) - len(self.conservation)

    @property
    def sha256(self) -> str:
        """Of all that is in it: the identity of the background."""
        return _digest(_parts(self), _text(self))

    def floor(self, deepsea: bool = False) -> float:
        """The smallest E-value there is: max(1e-6, 1 / (n + 1)), or DeepSEA's fixed 1e-6."""
        return LEAST if deepsea else max(LEAST, 1 / (self.n + 1))

    def evalues(
        self, values: NDArray[np.float32], *, first: int = 0, deepsea_floor: bool = False
    ) -> NDArray[np.float64]:
        """Share of the background with a strictly larger value, not below :meth:`floor`.

        values: float32 (m, c), the columns from ``first`` on; NaN counts as smaller than everything. float64 (m, c)
        """
        if not len(values):
            return np.ones(values.shape)
        larger = self._larger(np.asarray(values, np.float32), slice(first, first + values.shape[1]))
        return np.asarray(np.maximum(larger / self.n, self.floor(deepsea_floor)))

    def rarest(
        self, values: NDArray[np.float32], evalues: NDArray[np.float64], tasks: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The task of the smallest E-value: int64 (m,). Of equal ones that whose value is the largest in relation to
        the largest of the background, so that neither its place nor its base rate decides.

        values: float32 (m, T) of all tasks, evalues: their E-values; tasks: int64 (k,), those that take part
        """
        if not len(values):
            return np.zeros(0, np.int64)
        some = evalues[:, tasks]
        largest = np.maximum(self.tail[tasks, -1], np.finfo(np.float32).tiny)
        beyond = np.nan_to_num(values[:, tasks] / largest)
        least = some == some.min(1, keepdims=True)
        return np.asarray(tasks[np.where(least, beyond, -1).argmax(1)])

    def _larger(self, values: NDArray[np.float32], columns: slice) -> NDArray[np.float64]:
        """How many background values are strictly larger, float64 (m, c)."""
        tail, counts = self.tail[columns], self.counts[columns]
        larger: NDArray[np.float64] = np.maximum(_interpolated(values, self.bins, counts), tail.shape[1])
        among = values >= tail[:, 0] if tail.shape[1] < self.n else np.ones(values.shape, bool)
        for column in np.flatnonzero(among.any(0)):
            here = among[:, column]
            larger[here, column] = tail.shape[1] - np.searchsorted(tail[column], _known(values[here, column]), "right")
        return larger


def _interpolated(
    values: NDArray[np.float32], bins: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How many values are larger, as far as the histogram tells: values of one bin are taken to lie evenly in it."""
    keys = _keys(values)
    bin_ = keys >> _SHIFT
    left, right = np.searchsorted(bins, bin_), np.searchsorted(bins, bin_, "right")
    from_here = np.zeros((len(counts), len(bins) + 1))  # values in a bin and all those above it
    from_here[:, :-1] = counts[:, ::-1].cumsum(1)[:, ::-1]
    column = np.arange(len(counts))
    above = from_here[column, right]
    share = ((bin_ + 1 << _SHIFT) - keys) / (1 << _SHIFT)
    return np.asarray(
        above + np.where(bin_ == _ZERO_BIN, 0, share) * (from_here[column, left] - above)
    )  # zeros are equal


def _known(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without NaN, which sorts as the smallest value, and without the sign of zero."""
    return np.asarray(np.where(np.isnan(values), -np.inf, values).astype(np.float32) + np.float32(0))


def _keys(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64 that sort as the float32 values do: the bits of the float, turned around for negative ones."""
    bits = _known(values).view(np.uint32).astype(np.int64)
    return np.where(bits >> 31, 0xFFFFFFFF - bits, bits + (1 << 31))


class BackgroundBuilder:
    """Collects a background from a stream; memory does not grow with it, and the order does not matter."""

    def __init__(self, columns: int, tail: int = TAIL) -> None:
        self.n = 0
        self._keep = tail
        self._tail = np.empty((0, columns), np.float32)
        self._counts = np.zeros((columns, _BINS), np.uint32)
        self._waiting: list[NDArray[np.float32]] = []
        self._rows = 0

    def add(self, values: NDArray[np.float32]) -> None:
        """values: float32 (m, columns); NaN is allowed, and smaller than everything."""
        self._waiting.append(_known(values))
        self.n += len(values)
        self._rows += len(values)
        if self._rows >= _ROWS:
            self._count()

    def finish(self, model_sha256: str, conservation: Sequence[str], facts: dict[str, object]) -> Background:
        """The background of all that was added, which is one value a column at least."""
        self._count()
        bins = np.flatnonzero(self._counts.any(0))
        return Background(
            model_sha256=model_sha256,
            n=self.n,
            conservation=tuple(conservation),
            tail=np.ascontiguousarray(np.sort(self._tail, axis=0).T),
            bins=bins,
            counts=self._counts[:, bins].astype(np.int64),
            facts=facts,
        )

    def _count(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting)
        self._waiting, self._rows = [], 0
        for column, bins in enumerate((_keys(rows) >> _SHIFT).T):
            self._counts[column] += np.bincount(bins, minlength=_BINS).astype(np.uint32)
        together = np.concatenate([self._tail, rows])
        excess = len(together) - self._keep
        self._tail = np.partition(together, excess, axis=0)[excess:] if excess > 0 else together


# -- the file --------------------------------------------------------------------------------------------------------


def save_background(path: str, background: Background, *, force: bool = False) -> int:
    """Write a safetensors file, (tail + about 1,000) x 4 bytes a column; returns its size in bytes.

    Raises OutputExists and OutputError.
    """
    # one entry of metadata: safetensors writes several in random order
    entry = json.dumps({"sha256": background.sha256, "text": _text(background)})
    content = save(_parts(background), {"background": entry})
    with AtomicFile(path, force=force) as file:
        file.write(content)
    return len(content)


def load_background(path: Path, model_sha256: str, tasks: int) -> Background:
    """Raises ModelError for a file that is damaged, is no background, or belongs to another model."""
    try:
        content = read_bounded(path, TABLE_BYTES * 4)
    except OSError as error:
        raise ModelError("cannot read the background", where=path, cause=reason(error)) from None
    try:
        demand_tensors(content)
        background = _assemble(load(content), _metadata(content))
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError("not a background, or a damaged one", where=path, cause=f"{error}") from None
    if background.model_sha256 != model_sha256 or background.tasks != tasks:
        raise ModelError(
            "the background belongs to another model",
            where=path,
            cause=f"it was made with {background.facts.get('model', 'one')} "
            f"(sha256 {background.model_sha256[:12]}), the model's sha256 begins {model_sha256[:12]}",
            remedy="make one with `varscore background`",
        )
    return background


def _parts(background: Background) -> dict[str, NDArray[np.generic]]:
    """The arrays as they are stored. They have to be contiguous: safetensors writes memory as it lies."""
    return {
        "tail": np.ascontiguousarray(background.tail),
        "bins": background.bins.astype(np.int32),
        "counts": np.ascontiguousarray(background.counts, np.uint32),
    }


def _text(background: Background) -> str:
    """All but the arrays, as JSON."""
    said = {
        "format": FORMAT,
        "model_sha256": background.model_sha256,
        "n": background.n,
        "conservation": background.conservation,
        "facts": background.facts,
    }
    return json.dumps(said, sort_keys=True)


def _digest(parts: Mapping[str, NDArray[np.generic]], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in _PARTS:
        digest.update(parts[name].tobytes())
    return digest.hexdigest()


def _assemble(parts: Mapping[str, NDArray[Any]], metadata: dict[str, Any]) -> Background:
    """Raises KeyError, ValueError or TypeError for what is not a whole background."""
    checksum, said = metadata["sha256"], json.loads(metadata["text"])
    if said["format"] != FORMAT or set(parts) != set(_PARTS):
        raise ValueError("another format")
    if checksum != _digest(parts, metadata["text"]):
        raise ValueError("its checksum is wrong")
    tail, bins, counts = parts["tail"], parts["bins"].astype(np.int64), parts["counts"].astype(np.int64)
    background = Background(
        model_sha256=str(said["model_sha256"]),
        n=int(said["n"]),
        conservation=tuple(said["conservation"]),
        tail=tail,
        bins=bins,
        counts=counts,
        facts=dict(said["facts"]),
    )
    shapes = tail.ndim == counts.ndim == 2 and counts.shape == (len(tail), len(bins)) and tail.shape[1] > 0
    if not shapes or (counts.sum(1) != background.n).any() or (np.diff(bins) <= 0).any() or (np.diff(tail) < 0).any():
        raise ValueError("its parts do not go together")
    return background


def _metadata(content: bytes) -> dict[str, Any]:
    """What :func:`safetensors.numpy.load` leaves out: it is in the header, whose length the first 8 bytes say."""
    size = int.from_bytes(content[:8], "little")
    return dict(json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["background"]))
