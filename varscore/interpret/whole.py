"""What is found for all sequences together, or for none: attention footprints, the input that a network likes best."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.engine.plain import PlainEngine
from varscore.engine.pool import Pool
from varscore.formats.motifs import format_meme
from varscore.genome.sequence import decode
from varscore.interpret import attention
from varscore.interpret.attention import Footprints
from varscore.interpret.logos import Picture, Row
from varscore.interpret.maximise import START, Liked, maximise
from varscore.interpret.pictures import put_picture, stack_picture
from varscore.motifs.compare import compare_files
from varscore.storage.whole import put_file
from varscore.tasks import Task, safe

log = logging.getLogger(__name__)

TOGETHER = 1024
"""Sequences whose masks are made at a time"""
ATTENTION, MEAN, MOTIFS, WORDS = "attention.tsv", "attention_mean.tsv", "attention.meme", "recurring.tsv"
MATCHES = "attention_matches.tsv"
LIKED, ARRAYS = "maximise.tsv", "maximise.npz"


@dataclass(frozen=True)
class Looking:
    """sigma: of the blur, in cells of the mask; recurring: how many of the most frequent words are written; against:
    a motif file that what is found is compared with"""

    sigma: float = attention.SIGMA
    recurring: int = 0
    against: Path | None = None


def attend(
    folder: Path,
    pool: Pool,
    codes: NDArray[np.uint8],
    names: Sequence[str],
    tasks: NDArray[np.int64],
    how: Looking,
    title: str,
    picture: str,
) -> Footprints | None:
    """Masks of sequences, uint8 (n, window): their mean, each under a blur, and the motif around the maxima of the best
    predicted ones. None for no sequence."""
    if not len(codes):
        return None
    parts = ((None, codes[first : first + TOGETHER]) for first in range(0, len(codes), TOGETHER))
    found = attention.together([part for _, part in pool.map(partial(_footprints, tasks=tasks), parts)])
    blurred = attention.blurred(found.masks, how.sigma)
    lines = ["position\tmean_mask\tmean_blurred"]
    means = zip(found.middles.tolist(), found.mean.tolist(), blurred.mean(0, dtype=np.float64).tolist(), strict=True)
    lines += [f"{at}\t{mean:.6g}\t{soft:.6g}" for at, mean, soft in means]
    put_file(folder / MEAN, "\n".join(lines) + "\n")
    put_file(folder / ATTENTION, "\n".join(_mask_lines(found, blurred, codes, names)) + "\n")
    motif = attention.motif_of(attention.sites(found, codes), "attention")
    words = attention.recurring(codes, found, how.recurring) if how.recurring else []
    motifs = [motif, *(attention.word_motif(word, f"recurring-{i + 1}", n) for i, (word, n) in enumerate(words))]
    put_file(folder / MOTIFS, format_meme(motifs))
    if how.against is not None:
        put_file(folder / MATCHES, compare_files(folder / MOTIFS, [how.against]))
    if words:
        put_file(folder / WORDS, "".join(f"{line}\n" for line in ["word\tcount", *(f"{w}\t{n}" for w, n in words)]))
    if picture != "none":
        put_picture(folder, "attention", _mask_picture(found, len(codes), title), picture)
        share = motif.frequencies
        shown = share * (2 + (share * np.log2(np.maximum(share, 1e-9))).sum(1, keepdims=True))
        heading = [f"{attention.consensus(motif)}: the bases around the mask's maximum", title]
        put_picture(folder, "attention_motif", stack_picture(shown.T, attention.BEFORE, heading, "bits"), picture)
    return found


def _footprints(engine: PlainEngine, codes: NDArray[np.uint8], tasks: NDArray[np.int64]) -> Footprints:
    return attention.footprints(engine, codes, tasks)


def _mask_lines(
    found: Footprints, blurred: NDArray[np.float32], codes: NDArray[np.uint8], names: Sequence[str]
) -> Iterator[str]:
    yield "name\tprediction\tmaximum\tsequence\tmask\tblurred"
    tops = found.middles[found.masks.argmax(1)].tolist()
    for name, predicted, top, sequence, mask, soft in zip(
        names, found.predicted.tolist(), tops, codes, found.masks, blurred, strict=True
    ):
        both = "\t".join(",".join(f"{value:.5g}" for value in row.tolist()) for row in (mask, soft))
        yield f"{name}\t{predicted:.6g}\t{top}\t{decode(sequence).decode()}\t{both}"


def _mask_picture(found: Footprints, n: int, title: str) -> Picture:
    mean = found.mean.astype(np.float32)
    ticks = [str(at) if index % max(len(mean) // 10, 1) == 0 else "" for index, at in enumerate(found.middles.tolist())]
    row = Row("mask", " " * len(mean), mean, bars=True)
    column = min(14.0, max(2.0, 1200 / len(mean)))
    return Picture([f"Mean attention over {n:,} sequences", title], [row], ticks, column=column, height=120.0)


def put_liked(
    folder: Path, pool: Pool, tasks: NDArray[np.int64], names: Sequence[Task], start: float, model: str, picture: str
) -> list[Liked]:
    """For each task the input that the network likes best: table, array and picture. Warns where it found none."""
    work = partial(_liked, start=start)
    found: list[Liked] = []
    lines = ["task\tposition\tA\tC\tG\tT"]
    for task, liked in pool.map(work, ((task, task) for task in tasks.tolist())):
        name = names[task].name
        found.append(liked)
        if not liked.final > liked.start:
            log.warning("%s: the network's output did not rise (%.4g to %.4g)", name, liked.start, liked.final)
        lines += [
            f"{name}\t{at}\t" + "\t".join(f"{value:.6g}" for value in column)
            for at, column in enumerate(liked.scores.T.tolist())
        ]
        if picture != "none":
            title = [f"{name}: output {liked.start:.3g} to {liked.final:.3g}", f"maximise, {model}"]
            middle = liked.scores.shape[1] // 2
            put_picture(folder, f"maximise.{safe(name)}", stack_picture(liked.shown, middle, title), picture)
    put_file(folder / LIKED, "\n".join(lines) + "\n")
    start_values, final = (np.array([getattr(each, name) for each in found]) for name in ("start", "final"))
    scores = np.stack([each.scores for each in found])
    np.savez(folder / ARRAYS, task=tasks, maximise=scores, start=start_values, final=final)
    return found


def _liked(engine: PlainEngine, task: int, start: float = START) -> Liked:
    return maximise(engine, task, start=start)
