"""Which file belongs to which cell type, and to which factor: by the names of ENCODE-DREAM, or by a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from varscore.errors import DataError
from varscore.formats.lines import table_rows

_PEAKS = r"(?:bed|narrowPeak|broadPeak)(?:\.gz)?"
_CHIP = re.compile(rf"ChIPseq\.([^.]+)\.([^.]+)\.(conservative|relaxed)\.(?:\w+\.)*{_PEAKS}")


@dataclass(frozen=True)
class Chip:
    """The peaks of one factor in one cell type: those that are certain, and a wider set if there is one."""

    cell: str
    factor: str
    conservative: Path
    relaxed: Path | None = None


def find_chip(source: Path, relaxed: Path | None = None) -> list[Chip]:
    """The ChIP-seq peak files of a folder, or those that a table lists.

    Files of a folder are called ``ChIPseq.CELL.FACTOR.conservative....bed.gz``; those of the folder ``relaxed`` have
    ``relaxed`` for ``conservative``. A table has the columns ``cell``, ``factor``, ``file`` and may have ``relaxed``.
    Raises DataError when there is none, one is missing, or a cell type has two of a factor.
    """
    if source.is_dir():
        found = [Chip(*key, path) for key, path in _named(source, "conservative")]
    else:
        found = [_listed(source.parent, row) for row in read_table(source, ("cell", "factor", "file"))]
    pairs = [(chip.cell, chip.factor) for chip in found]
    if doubled := next((pair for pair in pairs if pairs.count(pair) > 1), None):
        raise DataError(f"two sets of peaks for {doubled[1]} in {doubled[0]}", where=source)
    if relaxed is not None:
        wider = dict(_named(relaxed, "relaxed"))
        found = [replace(chip, relaxed=wider.get((chip.cell, chip.factor), chip.relaxed)) for chip in found]
    return sorted(found, key=lambda chip: (chip.factor, chip.cell))


def _named(folder: Path, kind: str) -> list[tuple[tuple[str, str], Path]]:
    """((cell, factor), file) of every peak file of a kind."""
    try:
        matches = [(match, path) for path in sorted(folder.iterdir()) if (match := _CHIP.fullmatch(path.name))]
    except OSError as error:
        raise DataError("cannot read the folder", where=folder, cause=str(error)) from None
    found = [((match[1], match[2]), path) for match, path in matches if match[3] == kind]
    if not found:
        raise DataError("no ChIP-seq peaks", where=folder, remedy=f"files called ChIPseq.CELL.FACTOR.{kind}.bed.gz")
    return found


def _listed(folder: Path, row: Mapping[str, str]) -> Chip:
    wider = row.get("relaxed")
    return Chip(row["cell"], row["factor"], folder / row["file"], folder / wider if wider else None)


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The lines of a tab-separated table whose header has these columns, none of them empty. Raises DataError."""
    return [row for _, row in numbered_rows(path, columns)]


def numbered_rows(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """The lines of a tab-separated table, each with the file and line it stands in, for messages.

    The header has these columns, none of which is empty anywhere. Empty lines are passed over, and so is a byte order
    mark. Raises DataError, with the line, for any other table, one without a line but the header, and one whose lines
    have more or fewer columns than the header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = table_rows(file, "\t", str(path))
            found = [(f"{path} line {number}", cells) for number, cells in rows if cells]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read the table", where=path, cause=str(error)) from None
    header = found[0][1] if found else []
    remedy = f"a header line with {', '.join(columns)}, tabs between them"
    if lacking := [column for column in columns if column not in header]:
        raise DataError(f"no column {lacking[0]!r}", where=path, remedy=remedy)
    if len(set(header)) < len(header):
        raise DataError("two columns of one name", where=found[0][0], remedy=remedy)
    if len(found) == 1:
        raise DataError("no line but the header", where=path)
    for where, cells in found[1:]:
        if len(cells) != len(header):
            cause = "a tab too many or too few"
            raise DataError(f"{len(cells)} columns under a header of {len(header)}", where=where, cause=cause)
        if empty := [column for column in columns if not cells[header.index(column)].strip()]:
            raise DataError(f"an empty column {empty[0]!r}", where=where)
    return [(where, dict(zip(header, cells, strict=True))) for where, cells in found[1:]]


def bare(name: str) -> str:
    """A cell type's name without what people spell in different ways: ``H1-hESC`` is ``h1hesc``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def match_cells(source: Path, cells: Iterable[str]) -> dict[str, Path]:
    """Cell type -> its file, of those that have one: the file of a folder whose name has the cell type's in it
    (:func:`is_in_name`), or what a table with the columns ``cell`` and ``file`` says.

    Raises DataError when two files have a cell type's name, or two cell types are in one file's.
    """
    if not source.is_dir():
        listed = {bare(row["cell"]): source.parent / row["file"] for row in read_table(source, ("cell", "file"))}
        return {cell: listed[bare(cell)] for cell in cells if bare(cell) in listed}
    files = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
    found: dict[str, Path] = {}
    for cell in cells:
        named = [path for path in files if is_in_name(cell, path.name)]
        if len(named) > 1 or (named and named[0] in found.values()):
            cause = f"{cell} is in the name of {named[-1].name}, and so is another"
            raise DataError("which file is whose?", where=source, cause=cause, remedy="a table with cell and file")
        if named:
            found[cell] = named[0]
    return found


def is_in_name(cell: str, name: str) -> bool:
    """Whether a file's name has the cell type's in it: case and punctuation aside, not within a longer word or number.

    ``H1-hESC`` is in ``UwdukeH1hescUniPk.bed``; ``H1`` is not in ``H1975.bed``, nor ``liver`` in ``sliver.bed``.
    """
    spelled = "[^A-Za-z0-9]*".join(bare(cell))
    spans = [match.span() for match in re.finditer(spelled, name, re.IGNORECASE) if match[0]]
    return any(not _joined(name, first) and not _joined(name, end) for first, end in spans)


def _joined(name: str, at: int) -> bool:
    """Whether a word or number goes on at a position; between two capitals a word may end (``UwPC3``, ``XPC3``)."""
    return at > 0 and re.fullmatch(r"[0-9]{2}|[A-Za-z][a-z]", name[at - 1 : at + 1]) is not None
