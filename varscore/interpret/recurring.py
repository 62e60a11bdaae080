"""The files of ``varscore motifs recurring``: motifs that recur in sequences, and where in them they stand."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.datasets.shuffle import shuffle_dinucleotides
from varscore.errors import DataError
from varscore.formats.fasta import read_fasta
from varscore.formats.motifs import format_meme, read_motifs
from varscore.genome.sequence import UNKNOWN, fit
from varscore.interpret import logos
from varscore.interpret.logos import Box, Letter, Shape, Text
from varscore.motifs.compare import compare_files, format_table
from varscore.motifs.recurring import Recurring, Sites, recurring
from varscore.storage.digest import file_sha256
from varscore.storage.whole import put_file

MEME, TABLE, PROFILE, MATCHES, PICTURE = (
    "recurring.meme",
    "recurring.tsv",
    "profile.tsv",
    "matches.tsv",
    "recurring.svg",
)
FACTS = "recurring.json"
SHUFFLES = 3
"""Of each sequence, where there is no control"""
BIN = 10
"""Bases of a step of the profile"""
NEAR = 10
"""Bases on either side of the middle"""
SHORTEST = 20
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """sequences: a FASTA; control: another, None for dinucleotide shuffles of the first one's sequences"""

    sequences: Path
    control: Path | None = None
    number: int = 5
    both_strands: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Answer:
    """first, other: uint8 (n, L) and (m, L), what was compared"""

    question: Question
    first: NDArray[np.uint8]
    other: NDArray[np.uint8]
    found: Sequence[Recurring]


def ask(question: Question) -> Answer:
    """Raises DataError for files that are no FASTA, and for sequences too short to have a motif."""
    first, length = read_codes(question.sequences)
    if question.control is not None:
        other, _ = read_codes(question.control, length)
    else:
        other = shuffles(first, question.seed)
    found = recurring(first, other, number=question.number, both_strands=question.both_strands, seed=question.seed)
    return Answer(question, first, other, list(found))


def shuffles(first: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """uint8 (3 n, L): dinucleotide shuffles of sequences, uint8 (n, L)."""
    return shuffle_dinucleotides(np.repeat(first, SHUFFLES, axis=0), np.random.default_rng(seed))


def read_codes(path: Path, length: int | None = None) -> tuple[NDArray[np.uint8], int]:
    """uint8 (n, length): sequences cut to their middle, or with unknown bases around; length: by default of most."""
    records = [record.sequence for record in read_fasta(str(path))]
    usual = Counter(map(len, records)).most_common(1)[0][0]
    length = length or usual
    if length < SHORTEST:
        raise DataError(f"sequences of {length} bases have no motifs", where=path, remedy=f"{SHORTEST} at least")
    if others := sum(len(record) != length for record in records):
        log.warning("%s: %d sequences are not %d bases long: cut to their middle or padded", path.name, others, length)
    return np.stack([fit(record, length) for record in records]), length


def put_answer(folder: Path, answer: Answer, against: Sequence[Path]) -> None:
    """Write the folder. Raises OutputError, and DataError for a damaged motif file."""
    found, question = answer.found, answer.question
    counted = np.bincount(answer.other[answer.other < UNKNOWN], minlength=4) + 1.0
    put_file(folder / MEME, format_meme([one.motif for one in found], (counted / counted.sum()).tolist()))
    put_file(folder / TABLE, format_table(HEAD, rows(answer)))
    put_file(folder / PROFILE, format_table(("motif", "from", "to", "sequences", "control"), profile(answer)))
    best = ["" for _ in found]
    if against and found:
        put_file(folder / MATCHES, compare_files(folder / MEME, against))
        names = {motif.id: motif.name for path in against for motif in read_motifs(path)}
        lines = [line.split("\t") for line in (folder / MATCHES).read_text("utf-8").splitlines()[1:]]
        first = {line[0]: line for line in reversed(lines)}
        best = [names[first[one.motif.id][1]] if one.motif.id in first else "" for one in found]
    put_file(folder / PICTURE, picture(answer, best))
    control = question.control
    facts = {
        "format": 1,
        "version": __version__,
        "sequences": {"file": question.sequences.name, "sha256": file_sha256(question.sequences)},
        "control": {"file": control.name, "sha256": file_sha256(control)} if control else "dinucleotide shuffles",
        "against": [{"file": path.name, "sha256": file_sha256(path)} for path in against],
        "counts": {"sequences": len(answer.first), "control": len(answer.other), "found": len(found)},
        "strands": "both" if question.both_strands else "one",
        "seed": question.seed,
    }
    put_file(folder / FACTS, json.dumps(facts, indent=1) + "\n")


HEAD = (
    "motif",
    "consensus",
    "threshold",
    "with_site",
    "share",
    "control_with_site",
    "control_share",
    "p",
    "E",
    "median_position",
    "quartile_range",
    "near_middle",
    "control_near_middle",
)


def rows(answer: Answer) -> Iterator[tuple[str | int | float, ...]]:
    """A row a motif; E is p times how many were found, positions are those of sites' middles from the sequences'."""
    for one in answer.found:
        mine, n, theirs, m = one.hits
        middle, others = positions(answer, one, one.first), positions(answer, one, one.other)
        low, median, high = np.percentile(middle, [25, 50, 75]).tolist() if len(middle) else [float("nan")] * 3
        yield (
            one.motif.id,
            one.motif.name,
            one.threshold,
            mine,
            mine / n,
            theirs,
            theirs / m,
            one.p,
            one.p * len(answer.found),
            median,
            high - low,
            near(middle),
            near(others),
        )


def positions(answer: Answer, one: Recurring, sites: Sites) -> NDArray[np.int64]:
    return one.positions(sites, answer.first.shape[1])


def near(middle: NDArray[np.int64]) -> float:
    """The share of sites within NEAR bases of the middle."""
    return float((np.abs(middle) <= NEAR).mean()) if len(middle) else float("nan")


def steps(length: int) -> NDArray[np.int64]:
    """int64: where steps of the profile begin and end, from the middle; 0 begins one."""
    return np.arange(-(length // 2 // BIN) - 1, (length - length // 2) // BIN + 2) * BIN


def histogram(answer: Answer, one: Recurring, sites: Sites) -> NDArray[np.float64]:
    """float64: share of all sequences that have the site there, of each step."""
    length = answer.first.shape[1]
    return np.histogram(one.positions(sites, length), steps(length))[0] / max(len(sites.score), 1)


def profile(answer: Answer) -> Iterator[tuple[str | int | float, ...]]:
    edges = steps(answer.first.shape[1]).tolist()
    for one in answer.found:
        both = (histogram(answer, one, sites).tolist() for sites in (one.first, one.other))
        for low, high, mine, theirs in zip(edges, edges[1:], *both, strict=False):
            yield one.motif.id, low, high - 1, mine, theirs


WIDE, HIGH, LOGO, GAP = 420.0, 64.0, 230.0, 34.0
"""Of a profile and of a logo, and between rows, in pixels"""


def picture(answer: Answer, best: Sequence[str]) -> str:
    """Logos, and beside each where the sites stand: bars for the sequences, faint ones for the control."""
    shapes: list[Shape] = [
        Text(12, 18, f"Motifs that recur in {answer.question.sequences.name}", size=13, bold=True),
        Text(12, 36, f"bars: share of {len(answer.first):,} sequences with the site there; faint: of the control's"),
    ]
    for index, (one, like) in enumerate(zip(answer.found, best, strict=True)):
        top = 56 + index * (HIGH + GAP)
        said = f"{one.motif.name}{f', like {like}' if like else ''}: {one.hits[0]} sequences, p {one.p:.2g}"
        shapes.append(Text(12, top + 8, said))
        shapes += _logo(one, top + 14)
        shapes += _bars(answer, one, top + 14)
    depth = 56 + max(len(answer.found), 1) * (HIGH + GAP) + 8
    return logos.document(shapes, LOGO + WIDE + 70, depth, f"Motifs that recur in {answer.question.sequences.name}")


def _logo(one: Recurring, top: float) -> Iterator[Shape]:
    column = min(15.0, (LOGO - 24) / len(one.motif.frequencies))
    for shape in logos.stack(one.motif.frequencies, column, HIGH - 10):
        assert isinstance(shape, Letter)
        yield Letter(shape.base, 12 + shape.x, top + shape.y, shape.width, shape.height)


def _bars(answer: Answer, one: Recurring, top: float) -> Iterator[Shape]:
    edges = steps(answer.first.shape[1])
    wide, bottom = WIDE / (len(edges) - 1), top + HIGH - 10
    both = [histogram(answer, one, sites) for sites in (one.first, one.other)]
    most = max(float(each.max(initial=0)) for each in both) or 1.0
    for shares, ink, share in ((both[0], "bar", 0.45), (both[1], "faint", 0.3)):
        for index, value in enumerate(shares.tolist()):
            size = value / most * (HIGH - 14)
            x = LOGO + 40 + (index + (0.05 if ink == "bar" else 0.55)) * wide
            yield Box(x, bottom - size, wide * share, size, ink)
    yield Box(LOGO + 40, bottom, WIDE, 0.8, "axis")
    yield Text(LOGO + 36, bottom - HIGH + 22, f"{most:.2g}", "end", 9)
    for index, edge in enumerate(edges.tolist()):
        if edge % 50 == 0:
            yield Text(LOGO + 40 + index * wide, bottom + 11, str(edge), "middle", 9)
