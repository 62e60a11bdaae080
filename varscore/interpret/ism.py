"""In-silico mutagenesis: what every substitution would do to a prediction.

Of a *fixed* window each base is mutated where it stands. *Centred* substitutions are scored as ``annotate --saturate``
scores them: the window moves along, so that the base is always in its middle.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from varscore.engine.exact.reach import Span
from varscore.engine.plain import PlainEngine, demand_numbers, substitutions
from varscore.genome.coords import anchor
from varscore.genome.sequence import UNKNOWN
from varscore.genome.windows import Windows
from varscore.interpret.targets import change
from varscore.scoring.effects import effects
from varscore.scoring.score import effects_of

POSITIONS = 1024
"""Centred positions that are scored at a time"""


def fixed(
    engine: PlainEngine, codes: NDArray[np.uint8], tasks: NDArray[np.int64], target: str, positions: Span | None = None
) -> NDArray[np.float32]:
    """Every substitution of windows that stay where they are: float32 (n, len(positions), 4, k), target(alt) -
    target(ref), 0 at the base that is there, NaN where it is unknown.

    codes: uint8 (n, window); tasks: int64 (k,); positions: by default the whole window
    """
    span = positions or Span(0, codes.shape[1])
    ref, alt = engine.saturate(codes, span)
    demand_numbers(ref)
    strands, n, length, bases, outputs = alt.shape
    same = np.broadcast_to(ref[:, :, None, None], alt.shape).reshape(strands, -1, outputs)
    found = effects(same, alt.reshape(same.shape), engine.net.goal, engine.net.strands)
    table = change(found, target)[:, tasks].reshape(n, length, bases, len(tasks))
    row, at, base = known(codes[:, span.place])
    table[row, at, base] = 0
    return table


def centred(
    engine: PlainEngine, context: NDArray[np.uint8], tasks: NDArray[np.int64], target: str
) -> NDArray[np.float32]:
    """Every substitution at P neighbouring positions, each in a window of its own: float32 (P, 4, k), target(alt) -
    target(ref), 0 at the base that is there, NaN where it is unknown.

    context: uint8 (P + window - 1,), from the first position's window to the last one's; tasks: int64 (k,)
    """
    middle, windows = anchor(engine.net.window), sliding_window_view(context, engine.net.window)
    table = np.full((len(windows), 4, len(tasks)), np.nan, np.float32)
    at, base = known(windows[:, middle])
    table[at, base] = 0
    for first in range(0, len(windows), POSITIONS):
        for here in _centred(windows[first : first + POSITIONS], middle):
            found = change(effects_of(engine, here), target)
            table[first + here.start, here.alt[:, middle]] = found[:, tasks]
    return table


def _centred(windows: NDArray[np.uint8], middle: int) -> Iterator[Windows]:
    """The windows, uint8 (n, window), with each substitution of their middle base; ``start`` says of which they are."""
    row, at, base = substitutions(windows, Span(middle, middle + 1))
    if not len(row):
        return
    ref = windows[row]
    alt = ref.copy()
    alt[:, middle] = base
    one = np.ones_like(row)
    yield Windows.anchored(np.arange(len(row)), ref, alt, np.zeros(len(row), np.int32), row, one, one)


def known(codes: NDArray[np.uint8]) -> tuple[NDArray[np.int64], ...]:
    """Where bases are known, and which they are: an int64 array for each axis of ``codes``, then the bases."""
    places = np.nonzero(codes != UNKNOWN)
    return (*places, codes[places].astype(np.int64))


def base_scores(table: NDArray[np.float32], codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the base that is there is worth: minus the mean over its three substitutions, 0 where it is unknown.

    table: float32 (..., P, 4, k), codes: uint8 (..., P); returns float32 (..., P, k)
    """
    scores = np.zeros(table.shape[:-2] + table.shape[-1:], np.float32)
    inside = codes != UNKNOWN
    scores[inside] = -table[inside].sum(-2) / 3
    return scores


def hypothetical(table: NDArray[np.float32], codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What any base would be worth there: :func:`base_scores` of the base that is there plus what the change to it
    does. Shapes as there, returns float32 (..., P, 4, k)."""
    scores: NDArray[np.float32] = np.nan_to_num(table) + base_scores(table, codes)[..., None, :]
    scores[codes == UNKNOWN] = 0
    return scores
