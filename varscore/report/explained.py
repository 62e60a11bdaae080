"""``--explain DIR``: the logos of alleles that ``varscore explain`` has already explained."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError
from varscore.genome.coords import zero_based
from varscore.interpret.outputs import ALLELES, MARKER, SCORES
from varscore.interpret.subjects import align
from varscore.report.logos import LONGEST, Logos
from varscore.report.scored import Allele, Scored
from varscore.storage.bounded import TABLE_BYTES, read_text
from varscore.tasks import safe

_REMEDY = "a folder that `varscore explain MODEL VARIANTS -o DIR` has finished"
_PREFERRED = ("ism", "deeplift", "ig", "gradient")
Key = tuple[str, int, str, str]


def read_explained(folder: Path, alleles: Sequence[Allele], scored: Scored, labels: Sequence[str]) -> Logos:
    """The logos of a finished folder for the page's alleles; an allele that is not in it has none.

    Of several methods ism is taken, of several tasks the one that changes most. labels: ``index:name`` of the model's
    tasks, as far as they are known. Raises DataError for a folder that is none, or of another model.
    """
    facts = _facts(folder, scored)
    found, entries = _Arrays.open(folder, facts), _entries(folder)
    if len(found.names) != 2 * len(entries):
        raise _damaged(folder, f"{len(found.names)} windows for {len(entries)} alleles")
    by_allele = {one.key: one for one in entries}
    names = {label.partition(":")[2]: label for label in labels}
    logos = Logos.empty(len(alleles), found.method, str(facts.get("unit", "")))
    tasks = list(logos.tasks)
    for row, allele in enumerate(alleles):
        entry = by_allele.get(allele.key)
        if entry is None or allele.alt.startswith("<"):
            continue
        ref, alt, start = _minimal(found.names[2 * entry.number], allele)
        if max(ref, alt) > LONGEST:
            continue
        columns = align(ref, alt, found.codes.shape[1])
        heights = found.heights(entry, labels)
        logos.put(row, columns, [(found.codes[2 * entry.number + turn], heights[turn]) for turn in (0, 1)])
        logos.place(row, start, (ref, alt))
        tasks[row] = names.get(entry.task, entry.task)
    return logos.about(tasks)


@dataclass(frozen=True)
class _Entry:
    """An allele of the folder. number: its turn among those explained; task: the name of the most changed"""

    key: Key
    number: int
    task: str


@dataclass(frozen=True)
class _Arrays:
    """codes: uint8 (2n, window), REF and ALT in turn; blocks: float32 by method or method.task, (2n, 4, window)"""

    names: list[str]
    codes: NDArray[np.uint8]
    blocks: Mapping[str, NDArray[np.float32]]
    method: str

    @classmethod
    def open(cls, folder: Path, facts: Mapping[str, Any]) -> _Arrays:
        methods = [name for name in _PREFERRED if name in facts.get("methods", ())]
        try:
            with np.load(folder / SCORES) as arrays:
                names, codes = [str(name) for name in arrays["name"]], arrays["sequence"]
                method = methods[0]
                blocks = {key: arrays[key] for key in arrays.files if key.partition(".")[0] == method}
        except (OSError, ValueError, KeyError, IndexError, BadZipFile) as error:
            raise _damaged(folder / SCORES, error) from None
        if any(block.shape != (len(names), 4, codes.shape[1]) for block in blocks.values()) or not blocks:
            raise _damaged(folder / SCORES, "arrays of different sizes")
        return cls(names, codes, blocks, method)

    def heights(self, entry: _Entry, labels: Sequence[str]) -> list[NDArray[np.float32]]:
        """What each base of REF and of ALT is worth, float32 (window,) each."""
        index = next((label.partition(":")[0] for label in labels if label.partition(":")[2] == entry.task), "")
        block = self.blocks.get(f"{self.method}.{index}", next(iter(self.blocks.values())))
        own = []
        for turn in (0, 1):
            row = 2 * entry.number + turn
            codes, place = self.codes[row], np.arange(self.codes.shape[1])
            own.append(np.where(codes < 4, block[row][np.minimum(codes, 3), place], 0))
        return own


def _facts(folder: Path, scored: Scored) -> dict[str, Any]:
    try:
        facts = json.loads(read_text(folder / MARKER, DataError))
    except (OSError, ValueError) as error:
        raise _damaged(folder, error) from None
    if not isinstance(facts, dict) or not (folder / ALLELES).is_file():
        raise _damaged(folder, "it does not explain variants")
    if safe(str(facts.get("model_sha256"))) != scored.model[1]:
        raise DataError(
            "`explain`: the folder is of another model",
            where=folder,
            cause=f"it was made with {facts.get('model')}, the file was scored with {scored.model[0]}",
        )
    return facts


def _entries(folder: Path) -> list[_Entry]:
    """The alleles that are explained, in the order of the arrays, one entry each time that one was."""
    found: list[_Entry] = []
    tasks: dict[str, float] = {}
    try:
        lines = read_text(folder / ALLELES, DataError, TABLE_BYTES).split("\n")
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        for row in rows:
            if row["task"] == "NA":
                continue
            key, task = (row["chrom"], int(row["pos"]), row["ref"], row["alt"]), row["task"]
            if not found or found[-1].key != key or task in tasks:  # a file may have an allele twice
                tasks = {}
                found.append(_Entry(key, len(found), task))
            tasks[task] = abs(float(row["diff"]))
            found[-1] = _Entry(key, found[-1].number, max(tasks, key=lambda name: tasks[name]))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise _damaged(folder / ALLELES, error) from None
    return found


def _minimal(name: str, allele: Allele) -> tuple[int, int, int]:
    """Lengths of REF and ALT in their minimal form, and its 0-based start, from the name of a window,
    ``chrom_pos_REF_ALT.ref``; of long alleles from the file's own spelling."""
    try:
        _, pos, ref, alt = name.removesuffix(".ref").rsplit("_", 3)
        if ref.isalpha() and alt.isalpha():
            return len(ref), len(alt), zero_based(int(pos))
    except ValueError:
        pass
    return len(allele.ref), len(allele.alt), zero_based(allele.pos)


def _damaged(where: Path, why: object) -> DataError:
    return DataError("`explain`: not a finished folder of explain", where=where, cause=str(why), remedy=_REMEDY)
