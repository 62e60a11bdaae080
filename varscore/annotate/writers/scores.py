"""What every output format is handed: the scores of a chunk, where they come from, and how they are spelled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varscore.formats.vcf import RecordChunk
from varscore.genome.alleles import Status
from varscore.scoring.tags import OF_NUMBERS, OF_TASKS
from varscore.storage.resumable import Resumable
from varscore.tasks import safe

MISSING = b"."
_AS_IT_IS = b"%b"
STATUS_NAMES = [status.name.encode() for status in Status]


@dataclass(frozen=True)
class AlleleScores:
    """One row per allele of a chunk, in its order.

    status: uint8 (n,) genome.alleles.Status
    task: int64 (n,) index of the task with the largest absolute difference, -1 when unscored
    diff, logodds: float32 (n,) of that task, NaN when unscored
    extra: further (n,) columns by their TSV name (``sig``, ``p_gwas``), in output order: float32, NaN when unscored, or
    int64, -1 when unscored: indices of tasks (``e_task``), or numbers (``span``); or object, bytes (``motif``), MISSING
    when unscored
    """

    status: NDArray[np.uint8]
    task: NDArray[np.integer]
    diff: NDArray[np.float32]
    logodds: NDArray[np.float32]
    extra: dict[str, NDArray[np.generic]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.task, self.diff, self.logodds, *self.extra.values())}
        if lengths != {len(self.status)}:
            raise ValueError(f"columns of different lengths: {len(self.status)} and {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.status)

    def take(self, rows: NDArray[np.int64]) -> AlleleScores:
        """The alleles ``rows``, int64 (m,)."""
        extra = {name: column[rows] for name, column in self.extra.items()}
        return AlleleScores(self.status[rows], self.task[rows], self.diff[rows], self.logodds[rows], extra)


@dataclass(frozen=True)
class Provenance:
    """Where scores come from. Nothing here depends on the day, the machine, paths, shards or threads.

    command: the options that change scores, normalised
    notes: further (name, value) pairs, such as ("Background", "n=1000000"), each its own ``##varscore<Name>`` line
    """

    version: str
    command: str
    model: str
    model_sha256: str
    reference: str
    reference_sha256: str
    notes: tuple[tuple[str, str], ...] = ()

    def items(self) -> list[tuple[str, str]]:
        """(key, value) pairs: ``##key=value`` in a VCF or TSV, key-value metadata in Parquet."""
        pairs = [
            ("varscoreVersion", self.version),
            ("varscoreCommand", self.command),
            ("varscoreModel", f"<ID={safe(self.model)},SHA256={safe(self.model_sha256)}>"),
            ("varscoreReference", f"<ID={safe(self.reference)},SHA256={safe(self.reference_sha256)}>"),
            *((f"varscore{name}", value) for name, value in self.notes),
        ]
        return [(key, " ".join(value.split())) for key, value in pairs]

    def facts(self) -> dict[str, str]:
        """The same where a key stands once: the values of several classifiers are one, with blanks between them."""
        found: dict[str, str] = {}
        for key, value in self.items():
            found[key] = f"{found[key]} {value}" if key in found else value
        return found

    def lines(self, suffix: str = "") -> list[bytes]:
        """Lines of a header. suffix: of their keys, see files.tags"""
        return [f"##{key}{suffix}={value}".encode() for key, value in self.items()]


class Writer(Resumable):
    """An annotated file, which takes chunks in order."""

    @abstractmethod
    def write(self, chunk: RecordChunk, scores: AlleleScores) -> None:
        """Append the records of ``chunk``; ``scores`` has one row per row of ``chunk.alleles``."""


def task_labels(tasks: Sequence[str]) -> list[bytes]:
    """``index:name`` of each task, and ``.`` at the end, where index -1 finds it."""
    return [*(f"{index}:{safe(name)}".encode() for index, name in enumerate(tasks)), MISSING]


def format_floats(values: NDArray[np.floating]) -> list[bytes]:
    """Each number as ``%.6g``, ``.`` where it is not finite."""
    return _floats(values).texts()


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column on its way into lines. form: what ``%`` spells each of the values with; values: one a row"""

    form: bytes
    values: Sequence[bytes | float]

    def texts(self) -> list[bytes]:
        """Each value, spelled."""
        return [self.form % value for value in self.values]


def in_lines(line: bytes, columns: Sequence[TextColumn]) -> list[bytes]:
    """A line a row. line: with ``%b`` where each column stands

    One ``%`` makes all of a line, numbers included, from a tuple that ``zip`` uses again for the next.
    """
    whole = line % tuple(column.form for column in columns)
    return list(map(whole.__mod__, zip(*(column.values for column in columns), strict=True)))


def text_columns(scores: AlleleScores, labels: list[bytes], extra_columns: Sequence[str]) -> list[TextColumn]:
    """STATUS, DIFF, TASK, LOGODDS and the extra columns as text, in the order in which every format has them."""
    return [
        TextColumn(_AS_IT_IS, [STATUS_NAMES[status] for status in scores.status.tolist()]),
        _floats(scores.diff),
        TextColumn(_AS_IT_IS, [labels[task] for task in scores.task.tolist()]),
        _floats(scores.logodds),
        *(_extra_text(name, scores.extra[name], labels) for name in extra_columns),
    ]


def _floats(values: NDArray[np.floating]) -> TextColumn:
    finite, numbers = np.isfinite(values), values.tolist()
    if finite.all():
        return TextColumn(b"%.6g", numbers)
    texts = [b"%.6g" % value if ok else MISSING for value, ok in zip(numbers, finite.tolist(), strict=True)]
    return TextColumn(_AS_IT_IS, texts)


def _extra_text(name: str, column: NDArray[Any], labels: list[bytes]) -> TextColumn:
    if column.dtype == object:
        return TextColumn(_AS_IT_IS, column.tolist())
    if name in OF_TASKS:
        return TextColumn(_AS_IT_IS, [labels[task] for task in column.tolist()])
    if name in OF_NUMBERS:
        return _numbers(column)
    return _floats(column)


def _numbers(column: NDArray[np.int64]) -> TextColumn:
    if (column >= 0).all():
        return TextColumn(b"%d", column.tolist())
    return TextColumn(_AS_IT_IS, [b"%d" % number if number >= 0 else MISSING for number in column.tolist()])
