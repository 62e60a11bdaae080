"""Predictions that another program made with the weights that are imported: the proof that nothing was mistaken."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.engine.plain import PlainEngine
from varscore.errors import DataError
from varscore.formats.hdf5 import damage, open_hdf5
from varscore.formats.matlab import open_matlab
from varscore.nets.layers import UNKNOWN, SequenceNet

ROWS = 512
"""Sequences that are compared; a mistake shows in the first of them"""
TOLERANCE = 1e-4
"""Largest difference between probabilities that rounding explains: float32, sums over 65,536 values"""
INPUTS, OUTPUTS = ("testxdata", "x"), ("pred", "preds")


@dataclass(frozen=True)
class Reference:
    """codes: uint8 (n, window) base codes; predicted: float64 (n, tasks), of these sequences as they stand."""

    codes: NDArray[np.uint8]
    predicted: NDArray[np.float64]


def read_reference(paths: Sequence[Path], window: int, channels: str = "AGCT") -> Reference:
    """Sequences ``testxdata`` (n, 4, window) or (n, window, 4), one-hot, and their predictions ``pred`` (n, tasks).

    They may stand in one HDF5 file or in two, sequences also in a MATLAB file (DeepSEA's test.mat); the first
    ``ROWS`` are used. Raises DataError when one is missing, or has another shape.
    """
    found: dict[str, NDArray[np.number]] = {}
    for path in paths:
        with _arrays(path) as arrays:
            found |= arrays
    for name, names in (("sequences", INPUTS), ("predictions", OUTPUTS)):
        if name not in found:
            cause = f"none is called {' or '.join(names)}"
            raise DataError(f"no reference {name}", where=", ".join(map(str, paths)), cause=cause)
    bases, predicted = found["sequences"], found["predictions"].astype(np.float64)
    if bases.ndim == 3 and bases.shape[1:] == (window, 4):
        bases = bases.transpose(0, 2, 1)
    if bases.shape[1:] != (4, window) or predicted.ndim != 2 or len(bases) != len(predicted) or not len(bases):
        cause = f"sequences {bases.shape}, predictions {predicted.shape}; wanted (n, 4, {window}) and (n, tasks)"
        raise DataError("not a reference for this network", where=", ".join(map(str, paths)), cause=cause)
    if not np.isin(bases, (0, 1)).all() or (bases.sum(1) > 1).any():
        raise DataError("reference sequences are not one-hot", where=", ".join(map(str, paths)))
    code = np.array(["ACGT".index(letter) for letter in channels])
    codes = np.where(bases.any(1), code[bases.argmax(1)], UNKNOWN).astype(np.uint8)
    return Reference(codes, predicted)


@contextmanager
def _arrays(path: Path) -> Iterator[dict[str, NDArray[np.number]]]:
    """The first rows of what a file has of both."""
    if path.suffix == ".mat":
        with tempfile.TemporaryDirectory() as scratch, open_matlab(path, INPUTS[:1], Path(scratch)) as matlab:
            stored = matlab[INPUTS[0]]
            yield {"sequences": np.asarray(stored[:, :, :ROWS]).transpose(2, 1, 0)}
        return
    with open_hdf5(path) as file, damage(path):
        wanted = {"sequences": INPUTS, "predictions": OUTPUTS}
        there = {kind: name for kind, names in wanted.items() for name in names if name in file}
        yield {kind: np.asarray(file.array(name)[:ROWS]) for kind, name in there.items()}


def largest_difference(net: SequenceNet, reference: Reference) -> float:
    """Between the network's probabilities and the reference's, of the strand that is given, and on the CPU.

    Raises DataError when it has another number of tasks.
    """
    if reference.predicted.shape[1] != net.n_tasks:
        raise DataError(f"the reference has {reference.predicted.shape[1]} tasks, the network {net.n_tasks}")
    net.eval()
    logits = PlainEngine(net, torch.device("cpu")).logits(reference.codes)[0]
    return float(np.abs(net.goal.predict(logits) - reference.predicted).max())
