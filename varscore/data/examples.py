"""The data set on disk: windows as coordinates into one array of base codes, labels as packed bits.

A folder holds

    dataset.json   format, window length, contigs, provenance (hashes, options, counts)
    tasks.tsv      one line a task: index, name, group, and whatever the source said of it
    codes.npy      uint8 (bases,)      base codes of every stretch that some window covers, end to end
    offset.npy     int64 (n,)          where each window begins in ``codes``
    contig.npy     int16 (n,)          index into ``contigs``
    start.npy      int64 (n,)          0-based start of the window on its contig (may be negative)
    labels.npy     uint8 (n, ceil(T / 8))   one bit a task, most significant first
    split.npy      uint8 (n,)          0 train, 1 validation, 2 test

Arrays are memory-mapped, so opening is instant and memory stays flat; nothing is ever stored one-hot.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from varscore.errors import DataError, OutputExists
from varscore.files.whole import whole_folder

FORMAT = 1
ARRAYS = ("codes", "offset", "contig", "start", "labels", "split")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Task:
    """One column of labels. ``group`` is its class (DNase, TF, histone, ...), ``facts`` what else the source said."""

    index: int
    name: str
    group: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


def format_tasks(tasks: Sequence[Task]) -> str:
    """The text of ``tasks.tsv``."""
    columns = list(dict.fromkeys(key for task in tasks for key in task.facts))
    text = io.StringIO()
    rows = csv.writer(text, delimiter="\t", lineterminator="\n")
    rows.writerow(["index", "name", "group", *columns])
    for task in tasks:
        rows.writerow([task.index, task.name, task.group, *(task.facts.get(column, "") for column in columns)])
    return text.getvalue()


def parse_tasks(text: str) -> tuple[Task, ...]:
    """Raises DataError when the text is no task table, or its indices are not 0, 1, 2, ..."""
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
        tasks = tuple(
            Task(int(row.pop("index")), row.pop("name"), row.pop("group"), {k: v for k, v in row.items() if v})
            for row in rows
        )
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError("not a task table", cause=f"{type(error).__name__}: {error}") from None
    if not tasks:
        raise DataError("not a task table", cause="it has no line but the header")
    ragged = any(None in task.facts or task.group is None for task in tasks)
    if ragged or [task.index for task in tasks] != list(range(len(tasks))):
        raise DataError(
            "not a task table", cause="it wants one line a task, in order, with as many columns as the header"
        )
    return tasks


class ExampleSet:
    """A data set opened for reading. Raises DataError when the folder is not one, or not of this format."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        try:
            self.info: dict[str, Any] = json.loads((self.folder / "dataset.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(
                "not a varscore data set", where=self.folder, remedy="make one with `varscore dataset peaks`"
            ) from None
        except json.JSONDecodeError as error:
            raise DataError("damaged data set", where=self.folder / "dataset.json", cause=str(error)) from None
        if not isinstance(self.info, dict) or self.info.get("format") != FORMAT:
            raise DataError(f"not a data set of format {FORMAT}", where=self.folder, remedy="make it again")
        try:
            self.window = int(self.info["window"])
            self.contigs = tuple(self.info["contigs"])
            self.tasks = parse_tasks((self.folder / "tasks.tsv").read_text())
            arrays = [np.load(self.folder / f"{name}.npy", mmap_mode="c") for name in ARRAYS]
        except (OSError, EOFError, ValueError, KeyError, TypeError, DataError) as error:
            raise DataError("damaged data set", where=self.folder, cause=str(error), remedy="make it again") from None
        # mapped copy-on-write, as torch wants memory it may write to; plain arrays, as numpy.memmap is slow to slice
        self.codes, self.offset, self.contig, self.start, self.packed, self.split = map(np.asarray, arrays)
        lengths = {len(self.offset), len(self.contig), len(self.start), len(self.packed), len(self.split)}
        if len(lengths) > 1 or self.packed.shape[1:] != (-(-len(self.tasks) // 8),):
            raise DataError("damaged data set", where=self.folder, cause="its arrays differ in length")
        if len(self) and not 0 <= self.offset.min() <= self.offset.max() <= len(self.codes) - self.window:
            raise DataError("damaged data set", where=self.folder, cause="windows lie beyond the stored bases")

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def source_sha256(self) -> str:
        """One hash over the hashes of every source file: the identity of the data set's raw material."""
        return _json_sha256(self.info.get("peaks", {}))

    @property
    def sha256(self) -> str:
        """Hash of what the data set says of itself (raw material, options, counts): its identity."""
        return _json_sha256(self.info)

    def rows(self, split: str, labelled_only: bool = False) -> np.ndarray:
        """int64: the examples of a split (``all`` for every one), in genome order."""
        if split not in (*SPLITS, "all"):
            raise DataError(f"no split {split!r}", remedy=f"one of {', '.join(SPLITS)}, all")
        chosen = np.ones(len(self), bool) if split == "all" else self.split == SPLITS.index(split)
        if labelled_only:
            chosen &= self.packed.any(1)
        return np.flatnonzero(chosen)

    def windows(self, rows: np.ndarray) -> np.ndarray:
        """uint8 (len(rows), window) base codes."""
        view: np.ndarray = np.lib.stride_tricks.sliding_window_view(self.codes, self.window)[self.offset[rows]]
        return view

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """uint8 (len(rows), tasks), 0 or 1."""
        return np.unpackbits(self.packed[rows], axis=1, count=len(self.tasks))


def _json_sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def fresh_folder(folder: Path, force: bool) -> None:
    """Raises OutputExists when ``folder`` is there and must not be replaced. Nothing is removed yet."""
    if not folder.exists():
        return
    if not force:
        raise OutputExists("the output exists", where=folder, remedy="--force replaces it")
    if not (folder / "dataset.json").exists():
        raise OutputExists("the output exists and is no data set", where=folder, remedy="remove it yourself")


def pack_windows(contig: np.ndarray, start: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """The stretches that windows cover, merged, and where each window begins when the stretches are laid end to end.

    contig, start: int (n,), sorted by contig, then start. Returns stretches int64 (m, 3) of contig, start, end, and
    offset int64 (n,).
    """
    if len(start) == 0:
        return np.zeros((0, 3), np.int64), np.zeros(0, np.int64)
    fresh = np.ones(len(start), bool)
    fresh[1:] = (np.diff(contig) != 0) | (np.diff(start) > window)
    heads = np.flatnonzero(fresh)
    tails = np.append(heads[1:], len(start)) - 1
    stretches = np.stack([contig[heads], start[heads], start[tails] + window], 1).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(stretches[:, 2] - stretches[:, 1])[:-1]])
    block = np.cumsum(fresh) - 1
    return stretches, (first[block] + start - start[heads][block]).astype(np.int64)


def write_examples(
    folder: Path,
    *,
    info: Mapping[str, Any],
    tasks: Sequence[Task],
    codes: Iterable[np.ndarray],
    bases: int,
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Write a data set, in the place of one that is there.

    ``codes`` is streamed (uint8 pieces, ``bases`` in all), so memory stays flat; ``arrays`` are offset, contig, start,
    labels and split. The folder takes its name only when it is complete. Raises OutputError.
    """
    with whole_folder(folder) as partial:
        store = np.lib.format.open_memmap(partial / "codes.npy", "w+", np.uint8, (bases,))
        at = 0
        for piece in codes:
            store[at : at + len(piece)] = piece
            at += len(piece)
        store.flush()
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array)
        (partial / "tasks.tsv").write_text(format_tasks(tasks))
        (partial / "dataset.json").write_text(json.dumps({"format": FORMAT, **info}, indent=1) + "\n")
