"""The data set on disk: windows as coordinates into one array of base codes, and what is to be learnt of them.

A folder holds

    dataset.json   format, kind, window length, contigs, provenance (hashes, options, counts)
    tasks.tsv      one line a task: index, name, group, and whatever the source said of it
    codes.npy      uint8 (bases,)      base codes of every stretch that some window covers, end to end
    offset.npy     int64 (n,)          where each window begins in ``codes``
    contig.npy     int16 (n,)          index into ``contigs``
    start.npy      int64 (n,)          0-based start of the window on its contig (may be negative)
    labels.npy     uint8 (n, ceil(T / 8))   one bit a task, most significant first
    split.npy      uint8 (n,)          0 train, 1 validation, 2 test

``kind`` says what a task is: ``labels`` (the default) are independent bits; of ``classes`` every example has exactly
one; ``values`` are numbers, and then there is

    values.npy     float32 (n, T)      instead of labels.npy; NaN is unknown

What only some data sets have:

    known.npy      uint8 (n, ceil(T / 8))   bits like labels.npy; an unknown label neither trains nor counts
    tracks.npy     float32 (K, bases)  signals along ``codes`` (DNase); ``tracks`` in dataset.json names them
    scalars.npy    float32 (n, S)      numbers of an example (gene expression); ``scalars`` names them
    cell.npy       int16 (n,)          index into ``cells``. Each cell type has its own copy of bases and tracks
    fold.npy       int16 (n,)          of a cross-validation
    names.txt                          a name a line (genes, sequences)

``population`` in dataset.json counts what the training split was drawn from: ``examples``, and ``positives`` of each
task among them (``examples`` may differ by task, too).

``strands`` in dataset.json is ``both`` (the default: an example may be read from either strand) or ``one`` (sequences
stand as they are transcribed; none is ever turned round).

Arrays are memory-mapped, so opening is instant and memory stays flat; nothing is ever stored one-hot.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, OutputExists
from varscore.genome.coords import anchor
from varscore.storage.bounded import read_text
from varscore.storage.digest import json_sha256
from varscore.storage.folders import own_name
from varscore.storage.whole import reserve, whole_folder
from varscore.tasks import Task, format_tasks, parse_tasks

FORMAT = 1
ARRAYS = ("codes", "offset", "contig", "start", "split")
FURTHER = ("known", "tracks", "scalars", "cell", "fold")
NAMES, NAMES_BYTES = "names.txt", 1 << 30
KINDS = ("labels", "classes", "values")
SPLITS = ("train", "validation", "test")


class ExampleSet:
    """A data set opened for reading. Raises DataError when the folder is not one, or not of this format."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.info: dict[str, Any] = read_info(self.folder)
        try:
            self.window = int(self.info["window"])
            self.contigs = tuple(self.info["contigs"])
            self.tasks = parse_tasks(read_text(self.folder / "tasks.tsv", DataError))
            self.kind = self.info["kind"] if self.info.get("kind") in KINDS else "labels"
            self.strands = str(self.info.get("strands", "both"))
            self.population = _population(self.info, len(self.tasks))
            self.track_names, self.scalar_names, self.cells = (
                tuple(self.info.get(name, ())) for name in ("tracks", "scalars", "cells")
            )
            self.codes, self.offset, self.contig, self.start, self.split = map(self._open, ARRAYS)
            self._targets = self._open("values" if self.kind == "values" else "labels")
            there = {name: self._open(name) for name in FURTHER if (self.folder / f"{name}.npy").exists()}
        except (OSError, EOFError, ValueError, KeyError, TypeError, DataError) as error:
            raise DataError("damaged data set", where=self.folder, cause=str(error), remedy="make it again") from None
        self._known, self._tracks, self._scalars = (there.get(name) for name in ("known", "tracks", "scalars"))
        self.cell, self.fold = there.get("cell"), there.get("fold")
        if cause := self._damage():
            raise DataError("damaged data set", where=self.folder, cause=cause, remedy="make it again")

    def _open(self, name: str) -> NDArray[Any]:
        """Mapped copy-on-write, as torch wants memory to write to; a plain array, as numpy.memmap is slow to slice."""
        return np.asarray(np.load(self.folder / f"{name}.npy", mmap_mode="c"))

    def _damage(self) -> str:
        """What is wrong with the arrays; empty when nothing is."""
        columns = len(self.tasks) if self.kind == "values" else -(-len(self.tasks) // 8)
        each = [self.contig, self.start, self.split, self._targets, self._known, self._scalars, self.cell, self.fold]
        if {len(array) for array in each if array is not None} != {len(self)}:
            return "its arrays differ in length"
        if self._targets.shape[1:] != (columns,) or (self._known is not None and self._known.shape[1:] != (columns,)):
            return "its arrays differ in length"
        if len(self) and not 0 <= self.offset.min() <= self.offset.max() <= len(self.codes) - self.window:
            return "windows lie beyond the stored bases"
        if self.strands not in ("both", "one"):
            return f"strands are {self.strands!r}"
        if self._tracks is not None and self._tracks.shape != (len(self.track_names), len(self.codes)):
            return "tracks are not as long as the stored bases, or not as many as their names"
        if self._scalars is not None and self._scalars.shape[1:] != (len(self.scalar_names),):
            return "scalars are not as many as their names"
        if self.kind != "labels" and self._known is not None:
            return f"{self.kind} have no known.npy"
        if self.kind == "classes" and (np.bitwise_count(self._targets).sum(1) != 1).any():
            return "an example has no class, or two"
        return ""

    def __len__(self) -> int:
        return len(self.offset)

    def cropped(self, window: int) -> ExampleSet:
        """The same examples with windows of ``window`` bp out of their middle: what stands at the anchor stays there.

        Raises DataError when the windows are shorter than that.
        """
        if window > self.window:
            cause = f"it holds windows of {self.window} bp"
            raise DataError(f"the network reads {window} bp", where=self.folder, cause=cause, remedy="a wider data set")
        if window == self.window:
            return self
        shift = anchor(self.window) - anchor(window)
        shorter = copy.copy(self)
        shorter.window, shorter.offset, shorter.start = window, self.offset + shift, self.start + shift
        return shorter

    def with_split(self, split: NDArray[np.uint8], **facts: object) -> ExampleSet:
        """The same examples, split otherwise. split: uint8 (n,); facts: what tells this split from others, as JSON:
        part of the identity of the data set, so that no run carries on with another split's checkpoint.
        """
        other = copy.copy(self)
        other.split = split
        other.info = {name: fact for name, fact in self.info.items() if name != "population"} | facts
        other.population = _population(other.info, len(self.tasks))
        return other

    def held_out(self, fold: int) -> ExampleSet:
        """Test on one fold, validate on the next, train on all others. Raises DataError when there is no such fold."""
        folds = [] if self.fold is None else np.unique(self.fold).tolist()
        if fold not in folds or len(folds) < 3:
            raise DataError(f"no fold {fold} to hold out", where=self.folder, cause=f"it has {len(folds)} folds")
        after = folds[(folds.index(fold) + 1) % len(folds)]
        split = np.where(self.fold == fold, 2, np.where(self.fold == after, 1, 0)).astype(np.uint8)
        return self.with_split(split, held_out_fold=fold)

    @property
    def name(self) -> str:
        """Of its folder."""
        return own_name(self.folder)

    @property
    def bin(self) -> int:
        """Bases from one bin to the next; 0 in a data set that is not made of bins."""
        return int(self.info.get("options", {}).get("bin", 0))

    @property
    def source_sha256(self) -> str:
        """One hash over the hashes of every source file: the identity of the data set's raw material."""
        return json_sha256(self.info.get("peaks", self.info.get("sources", {})))

    @property
    def sha256(self) -> str:
        """Hash of what the data set says of itself (raw material, options, counts): its identity."""
        return json_sha256(self.info)

    def rows(self, split: str, labelled_only: bool = False) -> NDArray[np.int64]:
        """int64: the examples of a split (``all`` for every one), in order. ``labelled_only``: those with a label.

        Raises DataError when there is no such split, or the data set has no labels to look for.
        """
        if split not in (*SPLITS, "all"):
            raise DataError(f"no split {split!r}", remedy=f"one of {', '.join(SPLITS)}, all")
        chosen = np.ones(len(self), bool) if split == "all" else self.split == SPLITS.index(split)
        if labelled_only and self.kind == "values":
            raise DataError("values are no labels", where=self.folder, remedy="leave out `labelled_only`")
        if labelled_only:
            chosen &= self._targets.any(1)
        return np.flatnonzero(chosen)

    def windows(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 (len(rows), window) base codes."""
        view: NDArray[np.uint8] = np.lib.stride_tricks.sliding_window_view(self.codes, self.window)[self.offset[rows]]
        return view

    @property
    def signal(self) -> NDArray[np.float32]:
        """All tracks: float32 (K, bases)."""
        return np.zeros((0, len(self.codes)), np.float32) if self._tracks is None else self._tracks

    def tracks(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 (len(rows), K, window)."""
        views = np.lib.stride_tricks.sliding_window_view(self.signal, self.window, axis=1)
        return np.ascontiguousarray(views[:, self.offset[rows]].transpose(1, 0, 2))

    def scalars(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 (len(rows), S)."""
        return np.zeros((len(rows), 0), np.float32) if self._scalars is None else self._scalars[rows]

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 (len(rows), tasks), 0 or 1. Not for ``values``."""
        return np.unpackbits(self._targets[rows], axis=1, count=len(self.tasks))

    def targets(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 (len(rows), tasks): labels as 0 or 1, or values; 0 where a value is unknown."""
        if self.kind == "values":
            values: NDArray[np.float32] = np.nan_to_num(self._targets[rows])
            return values
        return self.labels(rows).astype(np.float32)

    def known(self, rows: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """bool (len(rows), tasks): which targets are known. None in a data set that knows all of them."""
        if self.kind == "values":
            there: NDArray[np.bool_] = ~np.isnan(self._targets[rows])
            return there if self._is_patchy else None
        if self._known is None:
            return None
        bits: NDArray[np.bool_] = np.unpackbits(self._known[rows], axis=1, count=len(self.tasks)).astype(bool)
        return bits

    @cached_property
    def _is_patchy(self) -> bool:
        return bool(np.isnan(self._targets).any())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of every example, in order; none where the data set has none. Raises DataError."""
        path = self.folder / NAMES
        names = tuple(read_text(path, DataError, NAMES_BYTES).splitlines()) if path.exists() else ()
        if names and len(names) != len(self):
            raise DataError("damaged data set", where=path, cause=f"{len(names)} names of {len(self)} examples")
        return names


def read_info(folder: Path) -> dict[str, Any]:
    """What a data set says of itself. Raises DataError for a folder that is none, or one of another format."""
    try:
        info = json.loads(read_text(folder / "dataset.json", DataError))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError("not a varscore data set", where=folder, remedy="make one with `varscore dataset`") from None
    except json.JSONDecodeError as error:
        raise DataError("damaged data set", where=folder / "dataset.json", cause=str(error)) from None
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise DataError(f"not a data set of format {FORMAT}", where=folder, remedy="make it again")
    return info


def set_folders(folder: Path) -> list[Path]:
    """The folder of a data set, or those of data sets in a folder. Raises DataError when there is none."""
    if (folder / "dataset.json").exists():
        return [folder]
    found = sorted(path.parent for path in folder.glob("*/dataset.json") if not path.parent.name.startswith("."))
    if not found:
        raise DataError("no data set, and no folder of data sets", where=folder, remedy="see `varscore dataset tfbs`")
    return found


def _population(info: Mapping[str, Any], tasks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives and examples of each task in what the training split was drawn from: int64 (tasks,) each, 0 where the
    data set does not say."""
    said = info.get("population", {})
    counts = (np.asarray(said.get(name, 0), np.int64) for name in ("positives", "examples"))
    positives, examples = (np.broadcast_to(count, tasks) for count in counts)
    return positives, examples


def fresh_folder(folder: Path, force: bool) -> None:
    """Raises OutputExists when ``folder`` is there and must not be replaced. Nothing is removed yet."""
    if not folder.exists():
        return
    if not force:
        raise OutputExists("the output exists", where=folder, remedy="`force` replaces it")
    if not (folder / "dataset.json").exists():
        raise OutputExists("the output exists and is no data set", where=folder, remedy="remove it yourself")


def pack_windows(
    contig: NDArray[np.integer], start: NDArray[np.int64], window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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
    codes: Iterable[NDArray[np.uint8]],
    bases: int,
    arrays: Mapping[str, NDArray[np.generic]],
    tracks: Iterable[NDArray[np.float32]] = (),
    names: Sequence[str] = (),
) -> None:
    """Write a data set, in the place of one that is there.

    ``codes`` is streamed (uint8 pieces, ``bases`` in all), and so are ``tracks`` (float32 (K, m) pieces, where
    ``info["tracks"]`` has K names), so memory stays flat; ``arrays`` are all others. The folder takes its name only
    when it is complete. Raises OutputError.
    """
    with whole_folder(folder) as partial:
        _stream(partial / "codes.npy", codes, (bases,), np.uint8)
        if kinds := len(info.get("tracks", ())):
            _stream(partial / "tracks.npy", tracks, (kinds, bases), np.float32)
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array)
        if names:
            (partial / NAMES).write_text("".join(f"{name}\n" for name in names), "utf-8")
        (partial / "tasks.tsv").write_text(format_tasks(tasks), "utf-8")
        (partial / "dataset.json").write_text(json.dumps({"format": FORMAT, **info}, indent=1) + "\n")


def _stream(path: Path, pieces: Iterable[NDArray[np.number]], shape: tuple[int, ...], kind: type[np.generic]) -> None:
    """Write an array whose last axis comes in pieces."""
    store = np.lib.format.open_memmap(path, "w+", kind, shape)
    with path.open("r+b") as file:
        reserve(file.fileno(), path.stat().st_size)
    at = 0
    for piece in pieces:
        store[..., at : at + piece.shape[-1]] = piece
        at += piece.shape[-1]
    store.flush()
