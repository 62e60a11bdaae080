"""What every output format is handed: the scores of a chunk, where they come from, and how they are spelled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from varscore.formats.vcf import RecordChunk
from varscore.genome.alleles import Status
from varscore.scoring.tags import OF_NUMBERS, OF_TASKS
from varscore.storage.resumable import Resumable
from varscore.tasks import safe

MISSING = b"."
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

    status: np.ndarray
    task: np.ndarray
    diff: np.ndarray
    logodds: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.task, self.diff, self.logodds, *self.extra.values())}
        if lengths != {len(self.status)}:
            raise ValueError(f"columns of different lengths: {len(self.status)} and {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.status)


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


def format_floats(values: np.ndarray) -> list[bytes]:
    """Each number as ``%.6g``, ``.`` where it is not finite."""
    finite = np.isfinite(values)
    if finite.all():
        return [b"%.6g" % value for value in values.tolist()]
    return [b"%.6g" % value if ok else MISSING for value, ok in zip(values.tolist(), finite.tolist(), strict=True)]


def text_columns(scores: AlleleScores, labels: list[bytes], extra_columns: Sequence[str]) -> list[list[bytes]]:
    """STATUS, DIFF, TASK, LOGODDS and the extra columns as text, in the order in which every format has them."""
    return [
        [STATUS_NAMES[status] for status in scores.status.tolist()],
        format_floats(scores.diff),
        [labels[task] for task in scores.task.tolist()],
        format_floats(scores.logodds),
        *(_extra_text(name, scores.extra[name], labels) for name in extra_columns),
    ]


def _extra_text(name: str, column: np.ndarray, labels: list[bytes]) -> list[bytes]:
    if column.dtype == object:
        return list(column)
    if name in OF_TASKS:
        return [labels[task] for task in column.tolist()]
    if name in OF_NUMBERS:
        return [b"%d" % number if number >= 0 else MISSING for number in column.tolist()]
    return format_floats(column)
