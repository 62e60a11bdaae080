"""Variants from what a laboratory keeps them in: tables, BED with alleles, lists of names, lists of rsIDs.

Everything is read whole. A VCF is read elsewhere; here it is only told apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain
from typing import NoReturn

from varscore.errors import DataError, UsageError
from varscore.formats import bcf
from varscore.formats.lines import (
    Lines,
    demand_columns,
    read_blocks,
    source_name,
    table_rows,
    text_lines,
    without_mark,
)
from varscore.formats.regions import bed_lines
from varscore.genome.coords import Interval, whole_number
from varscore.genome.spelling import FORMS, RSID, Edit, is_variant, parse_variant
from varscore.storage.atomic import is_stream

HEAD_BYTES, MOST_LINES = 1 << 16, 1 << 10
"""What is looked at to tell what a file is"""
NAMES = {
    "chrom": ("chrom", "chr", "contig", "chromosome", "seqnames", "hg19chrom", "hg38chrom"),
    "pos": ("pos", "position", "start", "bp", "base_pair_location", "start_position", "pos(1_based)", "genpos"),
    "end": ("end", "stop", "end_position"),
    "ref": ("ref", "reference", "ref_allele", "reference_allele", "other_allele", "a2", "nea", "allele0"),
    "alt": (
        "alt", "alternate", "alternative", "alt_allele", "alternate_allele", "effect_allele", "a1", "ea", "allele1",
        "tumor_seq_allele2",
    ),
    "id": ("id", "rsid", "rs", "rs_id", "snp", "snpid", "name", "variant_id", "marker", "markername", "markerid"),
    "variant": ("variant", "variant_id", "hgvs", "spdi", "snp", "snpid", "marker", "markername", "markerid", "id"),
}  # fmt: skip
"""What the columns of a table may be called, in either case; of several the first that is there counts"""
_ALLELES = re.compile(rb"([ACGTN]+)[/>|:]([ACGTN]+)", re.IGNORECASE)
_REGION = re.compile(r"[\w.]+:[\d,]+-[\d,]+")
_WHOLE = re.compile(r"\.0*$")
"""What a spreadsheet or a frame with gaps puts behind a whole number"""
_THOUSANDS = re.compile(r"\d{1,3}\.000")
"""5000 in some countries, 5 in others"""
_NOT_LINES = ("#", "track", "browser")
_VCF_NAMES = "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"))
_WORDS = re.compile(r"[\s,;]+")
BLANKS = " "
"""The delimiter of a table whose columns are apart by one blank or more"""


class Kind(Enum):
    """The values are those of ``--from``."""

    VCF = "vcf"
    TABLE = "tsv"
    BED = "bed"
    REGION = "region"
    NAMES = "list"
    RSID = "rsid"
    HGVS = "hgvs"


@dataclass(frozen=True, slots=True)
class Entry:
    """One variant of a list. where: file and line; name: what goes into a VCF's ID; change: None for a bare rsID."""

    where: str
    name: str
    change: Edit | None


def recognise(path: str) -> Kind:
    """What a file is, by its first lines. A stream, which can be read only once, and what is nothing else, is left to
    the reader of VCF.

    Raises VariantFileError for a file that cannot be read.
    """
    if is_stream(path):
        return Kind.VCF
    head = _head(path)
    lines = text_lines(head.decode("utf-8", "replace"))[:MOST_LINES]
    if head.startswith(bcf.MAGIC) or b"\0" in head or re.match(f"##(?!varscore)|{_VCF_NAMES}", lines[0]):
        return Kind.VCF
    header = _header_of(lines)
    if header is not None and header.has_alleles:
        return Kind.TABLE
    first = next((line.strip() for line in lines if line.strip() and not line.startswith(_NOT_LINES)), "")
    if all(map(RSID.fullmatch, _WORDS.split(first))):
        return Kind.RSID
    if is_variant(first):
        return Kind.HGVS if re.search(r":[a-z]\.", first) else Kind.NAMES
    if header is not None:
        return Kind.TABLE
    fields = first.split("\t") if "\t" in first else first.split()
    if len(fields) >= 3 and fields[1].isdigit() and fields[2].isdigit():
        return Kind.BED if len(fields) > 3 and _ALLELES.fullmatch(fields[3].encode()) else Kind.REGION
    return Kind.REGION if _REGION.fullmatch(first) else Kind.VCF


def read_entries(path: str, kind: Kind) -> Iterator[Entry]:
    """The variants of a list in their order. Raises DataError, with the line, for what is none."""
    if kind is Kind.TABLE:
        return _table(path)
    if kind is Kind.BED:
        return _bed(path)
    if kind is Kind.RSID:
        return _rsids(path)
    if kind in (Kind.NAMES, Kind.HGVS):
        return _names(path)
    raise ValueError(f"{kind} is not a list of variants")


def read_text(text: str, where: str) -> Entry:
    """A variant or rsID given as a text, such as on a command line. Raises DataError."""
    return _entry(text.strip(), where, text.strip())


def entries_of_columns(columns: Mapping[str, Sequence[str]], where: str) -> Iterator[Entry]:
    """The variants of a table that is at hand, by the names of its columns. Raises DataError."""
    header = _chosen(",", list(columns))
    if header is None:
        _refuse_header(where, ", ".join(columns))
    rows = [[cell.strip() for cell in row] for row in zip(*columns.values(), strict=True)]
    _demand_from_1(rows, header, where)
    for number, row in enumerate(rows, 1):
        yield from _row(row, header, f"{where} row {number}")


def read_regions(path: str) -> list[Interval]:
    """Stretches of a genome, as BED or as ``chr1:1000-1200`` a line. Raises DataError."""
    lines = list(_lines(path))
    if lines and _REGION.fullmatch(lines[0][1]):
        found = []
        for number, text in lines:
            try:
                found.append(Interval.parse(text))
            except ValueError as error:
                raise DataError("not a region", where=f"{path} line {number}", cause=str(error)) from None
        return found
    return [interval for interval, _, _ in bed_lines(path)]


# -- one variant a line ----------------------------------------------------------------------------------------------


def _names(path: str) -> Iterator[Entry]:
    for number, text in _lines(path):
        yield _entry(text, f"{source_name(path)} line {number}", text)


def _rsids(path: str) -> Iterator[Entry]:
    for number, text in _lines(path):
        where = f"{source_name(path)} line {number}"
        for word in _WORDS.split(text.strip(",;")):
            if not RSID.fullmatch(word):
                raise DataError(f"not an rsID: {word[:60]!r}", where=where, remedy="one a line, such as rs12345")
            yield Entry(where, word.lower(), None)


def _entry(text: str, where: str, name: str) -> Entry:
    """A variant, or an rsID, with a name. Raises DataError."""
    if RSID.fullmatch(text):
        return Entry(where, text.lower(), None)
    try:
        return Entry(where, re.sub(r"[\s;]+", "_", name), parse_variant(text))
    except ValueError as error:
        raise DataError("not a variant", where=where, cause=str(error), remedy=f"write {FORMS}") from None


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """Lines that are not empty or comments, without blanks around them, with their numbers."""
    groups = Lines(read_blocks(path, DataError), source_name(path), DataError)
    for number, line in enumerate(chain.from_iterable(groups), 1):
        text = line.decode("utf-8", "replace").strip()
        if text and not text.startswith(_NOT_LINES):
            yield number, text


# -- BED -------------------------------------------------------------------------------------------------------------


def _bed(path: str) -> Iterator[Entry]:
    """BED4 and more; the name is ``REF/ALT`` or ``REF>ALT``, and REF is as long as the interval."""
    for interval, fields, where in bed_lines(path):
        found = _ALLELES.fullmatch(fields[3]) if len(fields) > 3 else None
        if found is None:
            raise DataError(
                "no alleles in the BED line", where=where, remedy="its fourth column is REF/ALT or REF>ALT, such as A/G"
            )
        ref, alt = found[1].decode().upper(), found[2].decode().upper()
        if len(ref) != len(interval):
            raise DataError(
                f"REF {ref[:20]} has {len(ref)} bases, the interval {len(interval)}",
                where=where,
                remedy="BED counts from 0, and its end is not part of the interval",
            )
        yield Entry(where, ".", Edit(interval.contig, interval.start, interval.end, ref, alt))


# -- tables ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Header:
    delimiter: str
    columns: tuple[str, ...]
    chosen: dict[str, int]
    """Name of NAMES -> its column"""
    line: int = 1
    """Of the file, from 1"""

    @property
    def has_alleles(self) -> bool:
        return {"chrom", "pos", "ref", "alt"} <= self.chosen.keys()


def _header_of(lines: Sequence[str]) -> _Header | None:
    """The header line among the first lines of a table: the first that is no comment, or a comment that names columns.
    None where there is none that names variants."""
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("##"):
            continue
        for delimiter in ("\t", ",", ";", BLANKS):
            cells = next((cells for _, cells in _cells([line], delimiter, "")), [])
            if (header := _chosen(delimiter, cells)) is not None:
                return replace(header, line=number)
        if not line.startswith("#"):
            return None
    return None


def _cells(lines: Sequence[str], delimiter: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, with the numbers of their lines. Raises DataError."""
    if delimiter == BLANKS:
        yield from ((number, line.split()) for number, line in enumerate(lines, 1))
        return
    for number, row in table_rows(lines, delimiter, where):
        yield number, [cell.strip() for cell in row]


def _chosen(delimiter: str, cells: Sequence[str]) -> _Header | None:
    """Which columns are which; None where they do not name variants."""
    names = [re.sub(r"[\s.-]+", "_", cell.strip().lstrip("#").lower()) for cell in cells]
    chosen = {
        role: next(names.index(spelling) for spelling in spellings if spelling in names)
        for role, spellings in NAMES.items()
        if any(spelling in names for spelling in spellings)
    }
    header = _Header(delimiter, tuple(names), chosen)
    is_list = bool(chosen.keys() & {"variant", "id"}) and names != ["name"]
    return header if header.has_alleles or is_list else None


def _table(path: str) -> Iterator[Entry]:
    """A row a variant: chrom, pos, ref, alt (1-based), or one column of names or rsIDs."""
    lines, header = _table_lines(path)
    rows = []
    for number, row in _cells(lines, header.delimiter, source_name(path)):
        where = f"{source_name(path)} line {number}"
        if number <= header.line or not any(row) or row[0].startswith("#"):
            continue
        demand_columns(len(row), len(header.columns), where)
        rows.append((row, where))
    _demand_from_1([row for row, _ in rows], header, path)
    for row, where in rows:
        yield from _row(row, header, where)


def _demand_from_1(rows: Sequence[Sequence[str]], header: _Header, where: str) -> None:
    """Raises DataError for a table that has start and end as BED and frames of intervals have them."""
    if not rows or not header.has_alleles or "end" not in header.chosen:
        return
    columns = [header.chosen[role] for role in ("pos", "end", "ref")]
    for row in rows:
        start, end, ref = (row[column] for column in columns)
        if ref == "-" or not (start.isdecimal() and end.isdecimal()) or int(end) - int(start) != len(ref):
            return
    raise DataError(
        "the table counts from 0",
        where=where,
        cause="in every row end - start is the length of REF",
        remedy="add 1 to its start, or leave its end out if it is something else",
    )


def _table_lines(path: str) -> tuple[list[str], _Header]:
    content = without_mark(b"".join(read_blocks(path, DataError)), path, DataError)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = text_lines(text)
    if (header := _header_of(lines[:MOST_LINES])) is None:
        _refuse_header(path, lines[0])
    for name in (header.columns[column] for column in header.chosen.values()):
        if header.columns.count(name) > 1:
            raise DataError(f"two columns are called {name}", where=path, remedy="take one of them out")
    return lines, header


def _refuse_header(path: str, first: str) -> NoReturn:
    raise DataError(
        "the table's first line does not name the columns",
        where=path,
        cause=f"it is {first[:60]!r}",
        remedy="name them chrom, pos, ref, alt; or one of them variant or rsid",
    )


def _row(cells: Sequence[str], header: _Header, where: str) -> Iterator[Entry]:
    """The variants of a row, one for each ALT."""
    name = cells[header.chosen["id"]] if "id" in header.chosen else "."
    if not header.has_alleles:
        told = cells[header.chosen.get("variant", header.chosen.get("id", 0))]
        yield _entry(told, where, name if name not in ("", ".") else told)
        return
    contig, pos, ref, alts = (cells[header.chosen[role]] for role in ("chrom", "pos", "ref", "alt"))
    start = _position(pos, header, where)
    end = _position(cells[header.chosen["end"]], header, where) if "end" in header.chosen and ref == "-" else None
    for alt in alts.split(","):
        change = _change(contig, start, ref.upper(), alt.upper(), end)
        if change is None:
            raise DataError(
                "not a variant",
                where=where,
                cause=f"it is {' '.join((contig, pos, ref, alt))[:60]!r}",
                remedy="positions count from 1; an insertion is spelled with the base before it, as in a VCF, or with "
                "a column end",
            )
        yield Entry(where, re.sub(r"[\s;]+", "_", name) or ".", change)


def _position(text: str, header: _Header, where: str) -> int:
    """0-based. Raises DataError."""
    try:
        if _THOUSANDS.fullmatch(text):
            raise ValueError(f"{text!r} may be {text[:-4]} or {text.replace('.', '')}")
        return whole_number(_WHOLE.sub("", text if header.delimiter == "," else text.replace(",", ""))) - 1
    except ValueError as error:
        raise DataError("not a position", where=where, cause=str(error)) from None


def _change(contig: str, start: int, ref: str, alt: str, end: int | None) -> Edit | None:
    """A row's change, None for none. ``-`` is no base, as ANNOVAR, VEP and MAF write it.

    start, end: 0-based, the last base included. Of an insertion they are the base before it (ANNOVAR), or those on both
    sides, in one order (MAF) or the other (VEP).
    """
    if start < 0 or not contig or not ref or not alt or ref == alt == "-":
        return None
    if alt == "-":
        return Edit(contig, start, start + len(ref), ref, "", "delete")
    if ref != "-":
        return Edit(contig, start, start + len(ref), ref, alt)
    if end is None or abs(end - start) > 1 or min(start, end) < 0:
        return None
    before = min(start, end)
    return Edit(contig, before, before + 2, "", alt, "insert")


def _head(path: str) -> bytes:
    """The first bytes of what a file has, decompressed and without a byte order mark."""
    blocks = read_blocks(path)
    head = b""
    for block in blocks:
        head += block
        if len(head) >= HEAD_BYTES:
            break
    blocks.close()
    return without_mark(head, path)[:HEAD_BYTES]


def parse_kind(text: str) -> Kind | None:
    """``--from``; None for ``auto``. Raises UsageError."""
    if text == "auto":
        return None
    try:
        return Kind(text)
    except ValueError:
        raise UsageError(f"`from={text!r}` is not one of auto, {', '.join(kind.value for kind in Kind)}") from None
