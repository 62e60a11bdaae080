"""Where a network with an attention mask looks: on average over the sequences it is to find, and in chosen ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varscore.datasets.examples import ExampleSet
from varscore.engine.device import evaluating
from varscore.engine.plain import PlainEngine
from varscore.errors import DataError
from varscore.genome.sequence import decode
from varscore.interpret.attention import masks_of
from varscore.nets.attentionnet import AttentiveNet
from varscore.storage.whole import put_file
from varscore.train.pictures import mask_picture

MEAN, CHOSEN, PICTURE = "attention_mean.tsv", "attention.tsv", "attention.png"


@dataclass(frozen=True)
class Masks:
    """mean: float64 (positions,) over ``examples`` sequences; of the chosen ones names, predictions float32 (n,), codes
    uint8 (n, window) and masks float32 (n, positions)."""

    mean: NDArray[np.float64]
    examples: int
    names: Sequence[str]
    predicted: NDArray[np.float32]
    codes: NDArray[np.uint8]
    masks: NDArray[np.float32]


def attend(
    net: AttentiveNet,
    data: ExampleSet,
    device: torch.device,
    count: int,
    chosen: tuple[Sequence[str], NDArray[np.uint8]] | None = None,
) -> Masks:
    """The mean mask over the positive test examples, and the masks of the ``count`` of them with the highest
    prediction, or of ``chosen`` sequences: names and codes, uint8 (n, window).

    Raises DataError when there is no positive.
    """
    rows = data.rows("test")
    rows = rows[data.labels(rows).any(1)]
    if not len(rows):
        raise DataError("no positive test example to attend to", where=data.folder)
    with evaluating(net, device):
        engine, codes = PlainEngine(net, device), np.ascontiguousarray(data.windows(rows))
        every = masks_of(net, codes, device)
        if chosen is None:
            best = np.argsort(-engine.predict(codes).max(1), kind="stable")[:count]
            names = [data.names[row] if data.names else str(row) for row in rows[best].tolist()]
            chosen = names, codes[best]
        predicted, masks = engine.predict(chosen[1]).max(1), masks_of(net, chosen[1], device)
    return Masks(every.mean(0, dtype=np.float64), len(rows), chosen[0], predicted, chosen[1], masks)


def write_masks(folder: Path, found: Masks, title: str) -> None:
    """``attention_mean.tsv``, ``attention.tsv`` (a line a chosen sequence) and a picture. Raises OutputError."""
    lines = ["position\tmean_mask", *(f"{at}\t{value:.6g}" for at, value in enumerate(found.mean))]
    put_file(folder / MEAN, "\n".join(lines) + "\n")
    lines = ["name\tprediction\tsequence\tmask"]
    for name, predicted, codes, mask in zip(found.names, found.predicted, found.codes, found.masks, strict=True):
        values = ",".join(f"{value:.6g}" for value in mask)
        lines.append(f"{name}\t{predicted:.6g}\t{decode(codes).decode()}\t{values}")
    put_file(folder / CHOSEN, "\n".join(lines) + "\n")
    label = f"mean over {found.examples:,} positives"
    bases = [decode(codes).decode() for codes in found.codes]
    mask_picture(folder / PICTURE, found.mean, found.masks, title, label, bases)
