"""Variants and positions from what people keep them in: VCF, BCF, tables with a header line, BED. Read whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError
from varscore.formats import bcf
from varscore.formats.lines import Lines, demand_columns, read_blocks, without_mark
from varscore.formats.regions import bed_lines
from varscore.formats.vcf import RecordChunk, VariantReader
from varscore.formats.vcf_header import FIRST_LINE
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.coords import zero_based

NAMES = {
    "chrom": ("chrom", "#chrom", "chr", "contig", "chromosome"),
    "pos": ("pos", "position"),
    "ref": ("ref",),
    "alt": ("alt",),
    "af": ("af", "alt_af", "frequency"),
}
"""What the columns of a table may be called, in either case"""
_POSITION = re.compile(r"0*[1-9][0-9]{0,17}")
_MISSING = ("", ".", "-", "na", "nan", "none", "null")
_AF = re.compile(rb"(?:^|;)AF=([^;]*)")


@dataclass(frozen=True)
class VariantTable:
    """The ALT alleles of a file.

    alleles: n rows; frequency: float64 (n,) of the ALT allele (INFO/AF, column ``af``), NaN where it is not said
    lengths: contigs whose length the file declares; stated: what its header says of the assembly
    """

    alleles: AlleleBatch
    frequency: NDArray[np.float64]
    lengths: dict[str, int] = field(default_factory=dict)
    stated: tuple[str, ...] = ()


def read_variants(path: str) -> VariantTable:
    """Every ALT allele of a VCF or BCF, or of a table (tab-separated, gzip or not) with the columns chrom, pos, ref and
    alt, 1-based; told apart by content. Raises VariantFileError and DataError, with the line, for what is neither."""
    head = _head(path)
    if head.startswith((FIRST_LINE, bcf.MAGIC)):
        return _from_vcf(path)
    rows = list(_table(path, ("chrom", "pos", "ref", "alt"), "af"))
    contigs = tuple(dict.fromkeys(row[0] for row in rows))
    index = {contig: number for number, contig in enumerate(contigs)}
    alleles = AlleleBatch(
        record=np.arange(len(rows)),
        contig=np.array([index[row[0]] for row in rows], np.int32),
        contigs=contigs,
        start=zero_based(np.array([int(row[1]) for row in rows], np.int64)),
        ref=ByteColumn.of([row[2].encode() for row in rows]),
        alt=ByteColumn.of([row[3].encode() for row in rows]),
    )
    return VariantTable(alleles, np.array([_frequency(row[4], path) for row in rows], np.float64))


def frequencies(chunk: RecordChunk) -> NDArray[np.float64]:
    """The AF of each allele of a chunk, float64 (alleles,), NaN where INFO has none or not one an allele.

    Raises DataError for what is no frequency.
    """
    found = np.full(len(chunk.alleles), np.nan)
    for record, info in enumerate(chunk.infos):
        if b"AF=" in info and (stated := _AF.search(info)):
            first, last = int(chunk.rows[record]), int(chunk.rows[record + 1])
            values = stated[1].split(b",")
            if len(values) == last - first:
                where = f"INFO {stated[0].decode('ascii', 'replace').lstrip(';')[:60]}"
                found[first:last] = [_frequency(value.decode("ascii", "replace"), where) for value in values]
    return found


def read_positions(path: str) -> dict[str, NDArray[np.int64]]:
    """Single positions, such as transcription start sites: contig -> sorted int64, 0-based.

    A table with the columns chrom and pos (1-based), or a BED file: the first base of each interval, or the last on the
    minus strand. Raises DataError.
    """
    names = _head(path).partition(b"\n")[0].decode("utf-8", "replace").rstrip("\r").lower().split("\t")
    if all(_find(names, name) is not None for name in ("chrom", "pos")):
        places = [(row[0], int(row[1]) - 1) for row in _table(path, ("chrom", "pos"))]
    else:
        places = list(_bed_positions(path))
    if not places:
        raise DataError("no position in the file", where=path)
    found: dict[str, list[int]] = {}
    for contig, position in places:
        found.setdefault(contig, []).append(position)
    return {contig: np.unique(np.array(positions, np.int64)) for contig, positions in found.items()}


def _head(path: str) -> bytes:
    blocks = read_blocks(path, DataError)
    head = next(blocks, b"")
    blocks.close()
    return without_mark(head, path, DataError)


def _from_vcf(path: str) -> VariantTable:
    with VariantReader(path) as reader:
        chunks = list(reader.chunks())
        header = reader.header
    lengths = {name: length for name, length in header.contigs.items() if length is not None}
    parts = [chunk.alleles for chunk in chunks]
    contigs = parts[-1].contigs if parts else ()  # a reader's list of contigs only grows
    alleles = AlleleBatch(
        record=np.arange(sum(map(len, parts))),
        contig=np.concatenate([np.zeros(0, np.int32), *(part.contig for part in parts)]),
        contigs=contigs,
        start=np.concatenate([np.zeros(0, np.int64), *(part.start for part in parts)]),
        ref=ByteColumn.joined([part.ref for part in parts]),
        alt=ByteColumn.joined([part.alt for part in parts]),
    )
    return VariantTable(alleles, np.concatenate([np.zeros(0), *map(frequencies, chunks)]), lengths, header.stated)


# -- tables ----------------------------------------------------------------------------------------------------------


def _table(path: str, wanted: Sequence[str], *optional: str) -> Iterator[list[str]]:
    """The wanted and optional columns of every line, an empty text for an optional column that is not there.

    Raises DataError, with the line, when a column is missing, or a line has more or fewer than the first, or no
    position in ``pos``.
    """
    header: list[str] | None = None
    columns: list[int | None] = []
    number = 0
    for line in chain.from_iterable(Lines(read_blocks(path, DataError), path, DataError)):
        number += 1
        if line.startswith(b"##") or not line.strip():
            continue
        fields = line.decode("utf-8", "replace").split("\t")
        if header is None:
            header = [name.strip().lower() for name in fields]
            columns = [_find(header, name) for name in (*wanted, *optional)]
            if twice := [name for column in columns if column is not None and header.count(name := header[column]) > 1]:
                raise DataError(f"two columns are called {twice[0]}", where=path, remedy="take one of them out")
            _check_header(columns[: len(wanted)], wanted, path)
            continue
        demand_columns(len(fields), len(header), f"{path} line {number}")
        values = ["" if column is None else fields[column].strip() for column in columns]
        if not _POSITION.fullmatch(values[1]) or not all(values[: len(wanted)]):
            cause = f"{' '.join(values[: len(wanted)])[:80]!r}"
            raise DataError(
                "not a variant", where=f"{path} line {number}", cause=cause, remedy="positions count from 1"
            )
        yield values
    if header is None:
        raise DataError("the file is empty", where=path)


def _find(header: Sequence[str], name: str) -> int | None:
    return next((header.index(spelling) for spelling in NAMES[name] if spelling in header), None)


def _check_header(columns: Sequence[int | None], wanted: Sequence[str], path: str) -> None:
    missing = [name for name, column in zip(wanted, columns, strict=True) if column is None]
    if not missing:
        return
    raise DataError(
        "neither a VCF or BCF nor a table",
        where=path,
        cause=f"its first line names no column {', '.join(missing)}",
        remedy=f"a table is tab-separated and begins with the names {', '.join(wanted)}",
    )


def _bed_positions(path: str) -> Iterator[tuple[str, int]]:
    for interval, fields, where in bed_lines(path):
        if not len(interval):
            raise DataError("not a BED interval", where=where, cause="it has no base")
        yield interval.contig, interval.end - 1 if fields[5:6] == [b"-"] else interval.start


def _frequency(text: str, where: str) -> float:
    """NaN for a missing one. Raises DataError for what is none: -1, percents, a decimal comma."""
    if text.strip().lower() in _MISSING:
        return np.nan
    try:
        value = float(text)
    except ValueError:
        value = np.inf
    if not 0 <= value <= 1:
        raise DataError(f"{text[:20]!r} is no allele frequency", where=where, remedy="from 0 to 1; unknown: . or NA")
    return value
