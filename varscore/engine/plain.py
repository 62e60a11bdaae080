"""The plain engine: every window and its reverse complement through the whole network, in tiles of one shape."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.engine.device import AUTOCAST, arithmetic
from varscore.engine.exact.reach import Span
from varscore.errors import DeviceError, UsageError
from varscore.genome.sequence import UNKNOWN
from varscore.genome.windows import Windows
from varscore.nets.layers import SequenceNet, reverse_complement

TILE = 64
"""Rows of every forward pass. Kernels may round differently for different shapes, so the network only ever sees this
one: a window's scores are the same bits whatever is computed beside it. Part of the contract with users: changing it
may change the last bit of scores."""


TRUSTED = 0.02
"""How far predictions of a reduced precision may be from those of float32: about five times what rounding does to a
trained network, and far below what a wrong kernel does"""


SUBSTITUTIONS = 3072
"""Windows with a substitution that are in memory at once"""


class PlainEngine:
    """Runs one network. ``net`` must be on ``device`` and in evaluation mode; it is not changed.

    ``threads`` of torch are the caller's choice. Raises DeviceError when a reduced ``precision`` gives this network
    other predictions than float32 does: some libraries have kernels that are wrong on some processors.
    """

    def __init__(self, net: SequenceNet, device: torch.device, precision: str = "fp32") -> None:
        self.net, self.device, self.precision = net, device, precision
        self.strands = 1 if net.strands == "one" else 2
        if precision in AUTOCAST:
            self._demand_precision()

    def logits(
        self,
        windows: NDArray[np.uint8],
        tracks: NDArray[np.float32] | None = None,
        scalars: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """uint8 (n, window) base codes to float32 (S, n, outputs): forward strand, then reverse complement.

        S is 1 for a network of one strand. A network that says so in its ``inputs`` also wants tracks, float32
        (n, K, window), or scalars, float32 (n, S).
        """
        given = {"tracks": tracks, "scalars": scalars}
        extra = {name: torch.from_numpy(array) for name, array in given.items() if array is not None}
        codes = torch.from_numpy(windows)
        if self.strands == 2:
            codes = torch.cat([codes, reverse_complement(codes)])
            turned = {"tracks": lambda x: x.flip(2), "scalars": lambda x: x}
            extra = {name: torch.cat([x, turned[name](x)]) for name, x in extra.items()}
        return self._run(codes, extra).reshape(self.strands, len(windows), self.net.n_outputs)

    def predict(
        self,
        windows: NDArray[np.uint8],
        tracks: NDArray[np.float32] | None = None,
        scalars: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """The network's predictions, strands put together by its rule: float32 (n, tasks). Inputs as for logits."""
        return over_strands(self.net.goal.predict(self.logits(windows, tracks, scalars)), self.net.strands)

    def along(self, codes: NDArray[np.uint8], step: int) -> NDArray[np.float32]:
        """Logits of the windows that begin every ``step`` bases of a stretch of DNA, uint8 (n,): float32 (S, windows,
        outputs), forward strand first, both in the order of the forward strand."""
        windows = np.lib.stride_tricks.sliding_window_view(codes, self.net.window)[::step]
        return self.logits(np.ascontiguousarray(windows))

    def score(self, windows: Windows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits of reference and alternative windows: two float32 (S, n, outputs), forward strand first.

        Equal reference windows (the alleles of one site) are computed once.
        """
        place = np.stack([windows.contig.astype(np.int64), windows.sequence, windows.start], 1)
        _, first, site = np.unique(place, axis=0, return_index=True, return_inverse=True)
        both = self.logits(np.concatenate([windows.ref[first], windows.alt]))
        return both[:, : len(first)][:, site], both[:, len(first) :]

    def saturate(self, codes: NDArray[np.uint8], positions: Span) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Every substitution at some positions of windows that stay where they are.

        codes: uint8 (n, window). Returns the logits of the windows, float32 (S, n, outputs), and those with each base
        at each position, float32 (S, n, len(positions), 4, outputs): the window's own at the base that is there, NaN
        where it is unknown.
        """
        ref = self.logits(codes)
        alt = unchanged(ref, codes, positions)
        rows, at, base = substitutions(codes, positions)
        for first in range(0, len(rows), SUBSTITUTIONS):
            here = slice(first, first + SUBSTITUTIONS)
            windows = codes[rows[here]]
            windows[np.arange(len(windows)), at[here]] = base[here]
            alt[:, rows[here], at[here] - positions.lo, base[here]] = self.logits(windows)
        return ref, alt

    def _run(self, codes: torch.Tensor, extra: Mapping[str, torch.Tensor]) -> NDArray[np.float32]:
        out = np.empty((len(codes), self.net.n_outputs), np.float32)
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            for first in range(0, len(codes), TILE):
                rows = len(codes[first : first + TILE])
                tile = self._tile(codes, first, 4)
                more = {name: self._tile(array, first, 0) for name, array in extra.items()}
                out[first : first + rows] = self.net(tile, **more).float().cpu().numpy()[:rows]
        return out

    def _demand_precision(self) -> None:
        """Compare predictions of seeded random windows with those in float32."""
        random, net = np.random.default_rng(0), self.net
        codes = torch.from_numpy(random.integers(0, 4, (TILE, net.window), np.uint8))
        shapes: dict[str, tuple[int, ...]] = {"tracks": (TILE, getattr(net.config, "tracks", 0), net.window)}
        shapes["scalars"] = (TILE, getattr(net.config, "scalars", 0))
        extra = {name: torch.from_numpy(random.random(shapes[name], np.float32)) for name in net.inputs}
        reduced = net.goal.predict(self._run(codes, extra))
        wanted, self.precision = self.precision, "fp32"
        exact = net.goal.predict(self._run(codes, extra))
        self.precision = wanted
        scale = net.goal.scale.cpu().numpy() if net.goal.kind == "values" else 1.0
        error = float(np.abs((reduced - exact) / scale).max())
        if not error <= TRUSTED:  # NaN is not, either
            raise DeviceError(
                f"precision {wanted} is not to be trusted here: predictions are up to {error:.2g} from float32's",
                cause=f"rounding, or a faulty kernel of this PyTorch ({torch.__version__}) for this {self.device.type}",
                remedy="fp32",
            )

    def _tile(self, inputs: torch.Tensor, first: int, padding: int) -> torch.Tensor:
        """``TILE`` rows from ``first`` on, padded, on the device."""
        tile = inputs[first : first + TILE]
        if len(tile) < TILE:
            tile = torch.cat([tile, tile.new_full((TILE - len(tile), *tile.shape[1:]), padding)])
        return tile.to(self.device)


def substitutions(
    codes: NDArray[np.uint8], positions: Span
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Window, position and base of every substitution of known bases, in this order: three int64 (m,).

    codes: uint8 (n, window)
    """
    there = codes[:, positions.place]
    row, at, base = np.nonzero((there[..., None] != np.arange(4)) & (there[..., None] != UNKNOWN))
    return row, at + positions.lo, base


def unchanged(ref: NDArray[np.float32], codes: NDArray[np.uint8], positions: Span) -> NDArray[np.float32]:
    """Logits of windows, float32 (S, n, outputs), where a base stays as it is: (S, n, len(positions), 4, outputs).

    NaN everywhere else. codes: uint8 (n, window)
    """
    strands, n, outputs = ref.shape
    out = np.full((strands, n, len(positions), 4, outputs), np.nan, np.float32)
    row, at = np.nonzero(codes[:, positions.place] != UNKNOWN)
    out[:, row, at, codes[row, at + positions.lo]] = ref[:, row]
    return out


def demand_numbers(*computed: NDArray[np.float32]) -> None:
    """Raises DeviceError when something that a network computed is no number: it would be written as missing, or pass
    for the largest of all tasks."""
    if not all(np.isfinite(values).all() for values in computed):
        raise DeviceError(
            "a prediction is not a number",
            cause="weights that are none, or a reduced precision",
            remedy="fp32; if it is that, train or import the model again",
        )


def demand_sequence_only(net: SequenceNet) -> None:
    """Raises UsageError when bases alone are not what a network predicts from."""
    if net.inputs:
        raise UsageError(
            f"the model reads {' and '.join(net.inputs)} besides sequence",
            cause="here is nothing but sequence",
            remedy="`varscore evaluate` predicts the examples of its data set",
        )


def over_strands(predicted: NDArray[np.float32], strands: str) -> NDArray[np.float32]:
    """Predictions of each strand, float32 (S, n, tasks), put together by a network's rule: (n, tasks)."""
    together: NDArray[np.float32] = predicted.max(0) if strands == "both-max" else predicted.mean(0)
    return together
