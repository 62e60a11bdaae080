"""DeepSEA's training bundle (Zhou & Troyanskaya 2015) as a data set: train.mat, valid.mat and test.mat.

As MATLAB shows them, ``trainxdata`` is (N, 4, 1000), windows one-hot with the channels A, G, C, T, and ``traindata``
(N, 919), labels; the other files have ``valid`` and ``test`` in the place of ``train``. In the authors' files the
second half of the rows are the reverse complements of the first, in the same order and with the same labels. varscore
reads every example from both strands, so such a half is checked and left out.

The bundle does not say where its windows lie: ``contig`` of an example is its file and ``start`` its row.
"""

from __future__ import annotations

import csv
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.datasets.examples import SPLITS, write_examples
from varscore.errors import DataError
from varscore.formats.hdf5 import Sliceable, damage
from varscore.formats.matlab import open_matlab
from varscore.genome.sequence import UNKNOWN, reverse_complement
from varscore.storage.atomic import output_errors
from varscore.storage.bounded import read_text
from varscore.storage.digest import file_sha256
from varscore.storage.whole import reserve
from varscore.tasks import Task

log = logging.getLogger(__name__)

WINDOW = 1000
STEMS = ("train", "valid", "test")  # in the order of SPLITS
CODE_OF = np.array([0, 2, 1, 3], np.uint8)
"""The base code of each channel: A, G, C, T"""
TARGETS = {"DNase": 125, "TF": 690, "histone": 104}
"""DeepSEA's 919 targets, in order"""
_ROWS, _MOST_ROWS = 4096, 65536  # read at a time, unless the file's own blocks are larger
_LOOK = 64  # rows that tell whether a file consists of pairs


@dataclass(frozen=True)
class Part:
    """One file of the bundle. bases: (1000, 4, n), labels: (tasks, n), as they are stored."""

    path: Path
    split: int
    bases: Sliceable
    labels: Sliceable
    paired: bool = False

    @property
    def stored(self) -> int:
        return int(self.bases.shape[2])

    @property
    def rows(self) -> int:
        """Examples that are kept."""
        return self.stored // 2 if self.paired else self.stored

    @property
    def step(self) -> int:
        """Rows to read at a time: whole blocks of the file, so that none is unpacked twice."""
        block = (getattr(self.bases, "chunks", None) or (0, 0, 0))[2]
        return min(-(-_ROWS // block) * block, _MOST_ROWS) if block else _ROWS

    def codes(self, first: int, stop: int) -> NDArray[np.uint8]:
        """uint8 (stop - first, 1000) base codes. Raises DataError for what is not one-hot."""
        with damage(self.path):
            block = np.asarray(self.bases[:, :, first:stop])
        hot = block != 0
        known = hot.sum(1, dtype=np.uint8)
        if (known > 1).any() or not (block[hot] == 1).all():
            raise DataError(
                f"rows {first:,} to {stop:,} of the bases are not one-hot",
                where=self.path,
                cause="their axes are in another order, or they are no sequences",
            )
        codes = np.where(known == 0, np.uint8(UNKNOWN), np.uint8(0))
        for channel, code in enumerate(CODE_OF):
            codes += hot[:, channel] * code
        return np.ascontiguousarray(codes.T)

    def packed(self, first: int, stop: int) -> NDArray[np.uint8]:
        """uint8 (stop - first, ceil(tasks / 8)): labels as bits. Raises DataError for what is neither 0 nor 1."""
        with damage(self.path):
            block = np.asarray(self.labels[:, first:stop])
        if not ((block == 0) | (block == 1)).all():
            raise DataError(f"rows {first:,} to {stop:,} of the labels are not all 0 or 1", where=self.path)
        return np.packbits(block.T.astype(np.uint8), axis=1)


def build_deepsea(bundle: Path, folder: Path, names: Path | None = None) -> dict[str, int]:
    """Write the data set; returns the number of examples a split. Memory stays flat, whatever the files hold.

    bundle: a folder with one or more of the three files. names: of the tasks, for :func:`read_tasks`. Raises DataError
    when there is none, when axes are in another order, or values are not what they should be.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        parts = [_paired(part) for part in _open_parts(bundle, folder.parent, stack)]
        counted = {int(part.labels.shape[0]) for part in parts}
        if len(counted) > 1:
            raise DataError("the files differ in their number of tasks", where=bundle, cause=f"{sorted(counted)}")
        tasks = read_tasks(names, counted.pop())
        rows = [part.rows for part in parts]
        spool = stack.enter_context(tempfile.TemporaryFile(dir=folder.parent))
        shape = sum(rows), -(-len(tasks) // 8)
        with output_errors(str(folder)):
            reserve(spool.fileno(), shape[0] * shape[1])
        labels = np.memmap(spool, np.uint8, "w+", shape=shape)
        counts = {SPLITS[part.split]: part.rows for part in parts}
        write_examples(
            folder,
            info=_provenance(parts, counts, names),
            tasks=tasks,
            codes=_stream(parts, labels),
            bases=sum(rows) * WINDOW,
            arrays={
                "offset": np.arange(sum(rows), dtype=np.int64) * WINDOW,
                "contig": np.repeat(np.arange(len(parts), dtype=np.int16), rows),
                "start": np.concatenate([np.arange(n, dtype=np.int64) for n in rows]),
                "split": np.repeat(np.array([part.split for part in parts], np.uint8), rows),
                "labels": labels,  # complete once the codes are written
            },
        )
    return counts


def read_tasks(names: Path | None, count: int) -> tuple[Task, ...]:
    """The tasks of a network or bundle that does not name its outputs.

    names: a line a task, or a table (TSV) with a column ``name``, perhaps ``group`` and ``index``, and facts in others.
    Without it tasks are numbered. 919 tasks without groups are in DeepSEA's. Raises DataError.
    """
    rows = [{"name": f"task{i}"} for i in range(count)] if names is None else _read_names(names)
    if len(rows) != count:
        raise DataError(f"{len(rows)} names for {count} tasks", where=names)
    order = [row.pop("index", "") or str(i) for i, row in enumerate(rows)]
    if order != [str(i) for i in range(count)]:
        raise DataError("the column 'index' does not count from 0 on", where=names, remedy="sort, and leave none out")
    groups = np.repeat(list(TARGETS), list(TARGETS.values())).tolist()
    groups = groups if count == len(groups) else [""] * count
    return tuple(
        Task(i, row.pop("name"), row.pop("group", "") or group, {fact: text for fact, text in row.items() if text})
        for i, (row, group) in enumerate(zip(rows, groups, strict=True))
    )


def _read_names(path: Path) -> list[dict[str, str]]:
    try:
        lines = read_text(path, DataError).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read the names of tasks", where=path, cause=str(error)) from None
    if lines and "name" in lines[0].split("\t"):
        rows = list(csv.DictReader(lines, delimiter="\t", strict=True))
        if any(None in row or None in row.values() for row in rows):
            raise DataError("lines with more or fewer columns than the header", where=path)
    else:
        rows = [{"name": line.strip()} for line in lines]
    if not all(row["name"] for row in rows):
        raise DataError("a task without a name", where=path)
    return rows


def _open_parts(bundle: Path, scratch: Path, stack: ExitStack) -> list[Part]:
    """The files there are, their axes checked."""
    paths = [(bundle / f"{stem}.mat", stem) for stem in STEMS]
    missing = [path.name for path, _ in paths if not path.is_file()]
    if len(missing) == len(paths):
        raise DataError("no DeepSEA bundle", where=bundle, cause=f"it has none of {', '.join(missing)}")
    if missing:
        log.warning("%s has no %s: those splits stay empty", bundle, ", ".join(missing))
    parts = []
    for split, (path, stem) in enumerate(paths):
        if path.is_file():
            arrays = stack.enter_context(open_matlab(path, (f"{stem}xdata", f"{stem}data"), scratch))
            bases, labels = arrays.values()
            parts.append(Part(path, split, bases, labels))
            _check_axes(parts[-1], stem)
    return parts


def _check_axes(part: Part, stem: str) -> None:
    """Raises DataError unless both arrays have the axes of the bundle."""
    bases, labels = (tuple(array.shape) for array in (part.bases, part.labels))
    wanted = "MATLAB's ({}), stored with the last axis first; this file has ({}) by that count"
    if len(bases) != 3 or bases[:2] != (WINDOW, 4):
        axes, found = f"N, 4, {WINDOW}", ", ".join(map(str, bases[::-1]))
        raise DataError(f"{stem}xdata has its axes in another order", where=part.path, cause=wanted.format(axes, found))
    if len(labels) != 2 or labels[1] != bases[2]:
        axes, found = f"{bases[2]}, tasks", ", ".join(map(str, labels[::-1]))
        raise DataError(f"{stem}data has its axes in another order", where=part.path, cause=wanted.format(axes, found))
    if bases[2] == 0:
        raise DataError(f"{stem}xdata is empty", where=part.path)


def _paired(part: Part) -> Part:
    """The part, marked as ``paired`` when its second half begins with the reverse complements of its first rows."""
    half, odd = divmod(part.stored, 2)
    look = min(_LOOK, half)
    if not odd:
        same = (part.codes(half, half + look) == reverse_complement(part.codes(0, look))).all(1)
        if same.all():
            return replace(part, paired=True)
        if same.any():
            raise DataError("some rows of its second half are reverse complements, others are not", where=part.path)
    if part.stored == WINDOW:
        cause = f"{WINDOW} rows of {WINDOW} bases, and no pairs of strands that would tell which is which"
        raise DataError("cannot tell the axes apart", where=part.path, cause=cause)
    log.warning("%s: its second half is not the reverse complement of its first: every row is kept", part.path)
    return part


def _stream(parts: Sequence[Part], labels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """The codes of all examples that are kept, end to end; ``labels`` (n, ...) is filled on the way."""
    at = 0
    for part in parts:
        for first in range(0, part.rows, part.step):
            stop = min(first + part.step, part.rows)
            codes, bits = part.codes(first, stop), part.packed(first, stop)
            if part.paired:
                _check_pairs(part, first, codes, bits)
            labels[at : at + len(bits)] = bits
            at += len(bits)
            yield codes.reshape(-1)


def _check_pairs(part: Part, first: int, codes: NDArray[np.uint8], bits: NDArray[np.uint8]) -> None:
    """Raises DataError unless each row has its reverse complement, with the same labels, half the file later."""
    later = first + part.rows
    other, other_bits = part.codes(later, later + len(codes)), part.packed(later, later + len(codes))
    same = (other == reverse_complement(codes)).all(1) & (other_bits == bits).all(1)
    if not same.all():
        row = first + int(np.argmin(same))
        raise DataError(
            f"row {row + part.rows:,} is not the reverse complement of row {row:,} with its labels",
            where=part.path,
            cause="other rows are: the file is damaged, or was changed",
        )


def _provenance(parts: Sequence[Part], counts: dict[str, int], names: Path | None) -> dict[str, object]:
    sources = [part.path for part in parts] + ([names] if names else [])
    return {
        "kind": "labels",
        "system": "deepsea",
        "window": WINDOW,
        "contigs": [part.path.name for part in parts],
        "options": {"pairs": {part.path.name: part.paired for part in parts}},
        "counts": counts,
        "sources": {path.name: file_sha256(path) for path in sources},
    }
