"""What ``annotate`` has written, read back: one value an ALT allele, whatever the format."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq

from varscore.errors import DataError, VariantFileError
from varscore.formats import bcf
from varscore.formats.lines import Lines, read_blocks
from varscore.formats.vcf import RecordChunk, VariantReader
from varscore.formats.vcf_header import FIRST_LINE, VcfHeader, decode
from varscore.scoring.tags import ALWAYS, OF_TASKS, OF_TEXT, PREFIX, SOMETIMES, tag

TEXT = {"status", *OF_TASKS, *OF_TEXT}
"""Columns that hold text; in columns that are not varscore's, what cannot be read as a number is text too"""
PASS = "PASS"
_FACT = re.compile(r"##varscore([A-Za-z]+?)(?:_(\w+))?=(.*)")
_IDENTITY = re.compile(r"<ID=([^,>]*),SHA256=([^,>]*)")
_PLACE = ("chrom", "pos", "id", "ref", "alt")
_PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True)
class Allele:
    """An ALT allele. pos: 1-based; values: by column, float or str; a column without a value is not in it"""

    chrom: str
    pos: int
    id: str
    ref: str
    alt: str
    values: Mapping[str, float | str]

    @property
    def status(self) -> str:
        return str(self.values.get("status", ""))

    def number(self, column: str) -> float:
        """NaN where there is none."""
        value = self.values.get(column, math.nan)
        return value if isinstance(value, float) else math.nan

    def text(self, column: str) -> str:
        return str(self.values.get(column, ""))

    @property
    def key(self) -> tuple[str, int, str, str]:
        return self.chrom, self.pos, self.ref, self.alt


@dataclass(frozen=True)
class Scored:
    """A scored file before its alleles are read.

    facts: what its header says of the run: ``Model``, ``Reference``, ``Background`` ..; columns: in the file's order
    sample: the only sample, where there is one
    """

    path: str
    columns: tuple[str, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)
    sample: str | None = None
    prefix: str = PREFIX

    @property
    def model(self) -> tuple[str, str]:
        """Name and SHA-256 of the model."""
        return self._identity("Model")

    @property
    def reference(self) -> tuple[str, str]:
        """File name and SHA-256 of the genome; empty where the file does not say."""
        return self._identity("Reference")

    def _identity(self, fact: str) -> tuple[str, str]:
        found = _IDENTITY.match(self.facts.get(fact, ""))
        return (found[1], found[2]) if found else ("", "")

    def alleles(self) -> Iterator[Allele]:
        """All of them, in the file's order. Raises VariantFileError and DataError."""
        kind = _kind(self.path)
        if kind == "vcf":
            return _of_vcf(self)
        return _of_parquet(self) if kind == "parquet" else _of_table(self)


def open_scored(path: str, prefix: str = PREFIX) -> Scored:
    """Read the header of what ``annotate`` has written: VCF, BCF, TSV or Parquet, told apart by content.

    Raises VariantFileError and DataError for what is none, or has not been scored.
    """
    reader = {"vcf": _open_vcf, "parquet": _open_parquet, "table": _open_table}[_kind(path)]
    scored = reader(path, prefix)
    if "Model" not in scored.facts or not set(ALWAYS) <= set(scored.columns):
        missing = [column for column in ALWAYS if column not in scored.columns]
        raise DataError(
            "the file has no scores of varscore",
            where=path,
            cause=f"it has no {', '.join(missing)}" if missing else f"its header has no ##varscoreModel{_end(prefix)}",
            remedy="score it with varscore annotate" if prefix == PREFIX else f"is {prefix} its `tag_prefix`?",
        )
    return scored


def _end(prefix: str) -> str:
    return "" if prefix == PREFIX else f"_{prefix}"


def _kind(path: str) -> str:
    if Path(path).is_file():
        with open(path, "rb") as file:
            if file.read(4) == _PARQUET:
                return "parquet"
    blocks = read_blocks(path, DataError)
    head = next(blocks, b"")
    blocks.close()
    return "vcf" if head.startswith((FIRST_LINE, bcf.MAGIC)) else "table"


def _facts(lines: Sequence[str], prefix: str) -> dict[str, str]:
    """The run's header lines of a prefix; of two the first."""
    found: dict[str, str] = {}
    for line in lines:
        if (match := _FACT.fullmatch(line)) and (match[2] or PREFIX) == prefix:
            found.setdefault(match[1], match[3])
    return found


def is_number(column: str) -> bool:
    """Whether a column is one of those in which varscore writes numbers."""
    return column not in TEXT and (column in (*ALWAYS, *SOMETIMES) or column.startswith("p_"))


def _value(column: str, text: str) -> float | str | None:
    """None for what is missing. Raises ValueError for another text in a column of numbers."""
    if text in (".", ""):
        return None
    if column in TEXT:
        return text
    try:
        number = float(text)
    except ValueError:
        if is_number(column) and text != "NA":
            raise ValueError(f"{column} is {text[:40]!r}, no number") from None
        return None if is_number(column) else text
    return number if math.isfinite(number) else None


def _values(columns: Sequence[str], texts: Sequence[str], where: str) -> dict[str, float | str]:
    """Raises DataError for a text in a column of numbers."""
    try:
        pairs = [(column, _value(column, text)) for column, text in zip(columns, texts, strict=True)]
    except ValueError as error:
        raise DataError(str(error), where=where, cause="another program has changed it") from None
    return {column: value for column, value in pairs if value is not None}


# -- VCF and BCF -----------------------------------------------------------------------------------------------------


def _open_vcf(path: str, prefix: str) -> Scored:
    with VariantReader(path, quiet=True) as reader:
        header = reader.header
    lines = [decode(line) for line in header.lines]
    facts = _facts(lines, prefix)
    named = facts["Tags"].split(",") if "Tags" in facts else _declared(lines, prefix)
    tags = {name: _column(name, prefix) for name in named if name.startswith(f"{prefix}_")}
    samples = decode(header.columns).split("\t")[9:]
    return Scored(
        path,
        tuple(tags.values()),
        facts,
        dict(_meanings(header, tags)),
        samples[0] if len(samples) == 1 else None,
        prefix,
    )


def _declared(lines: Sequence[str], prefix: str) -> list[str]:
    """The tags that the header declares and varscore writes: runs did not always name theirs."""
    own = {tag(column, prefix) for column in (*ALWAYS, *SOMETIMES)}
    found = [match[1] for line in lines if (match := re.match(r"##INFO=<ID=([^,]+),", line))]
    return [name for name in found if name in own or name.startswith(f"{prefix}_P_")]


def _column(name: str, prefix: str) -> str:
    """The column of a tag: ``ref_prob`` of ``VS_REF``."""
    spelled = {tag(column, prefix): column for column in (*ALWAYS, *SOMETIMES)}
    return spelled.get(name, name.removeprefix(f"{prefix}_").lower())


def _meanings(header: VcfHeader, tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for line in map(decode, header.lines):
        found = re.match(r'##INFO=<ID=([^,]+),.*Description="((?:[^"\\]|\\.)*)"', line)
        if found and found[1] in tags:
            yield tags[found[1]], found[2].replace('\\"', '"')


def _of_vcf(scored: Scored) -> Iterator[Allele]:
    with VariantReader(scored.path, quiet=True) as reader:
        for chunk in reader.chunks():
            yield from _of_chunk(scored, chunk, reader.where)


def _of_chunk(scored: Scored, chunk: RecordChunk, where: str) -> Iterator[Allele]:
    columns = {_tag(column, scored.prefix): column for column in scored.columns}
    alleles = chunk.alleles
    for record, info in enumerate(chunk.infos):
        first, last = int(chunk.rows[record]), int(chunk.rows[record + 1])
        entries = (entry.partition("=") for entry in decode(info).split(";"))
        found = {columns[name]: values.split(",") for name, _, values in entries if name in columns}
        for name, values in found.items():
            if len(values) != last - first:
                raise VariantFileError(
                    f"{_tag(name, scored.prefix)} has {len(values)} values for {last - first} alleles",
                    where=f"{where} record {int(chunk.numbers[record]) + 1}",
                    cause="another program has changed it",
                )
        place = f"{where} record {int(chunk.numbers[record]) + 1}"
        for row in range(first, last):
            texts = [values[row - first] for values in found.values()]
            yield Allele(
                alleles.contigs[int(alleles.contig[row])],
                int(alleles.start[row]) + 1,
                decode(chunk.ids[record]),
                decode(alleles.ref[row]),
                decode(alleles.alt[row]),
                _values(list(found), texts, place),
            )


def _tag(column: str, prefix: str) -> str:
    return tag(column, prefix)


# -- tables ----------------------------------------------------------------------------------------------------------


def _table_lines(path: str) -> Iterator[str]:
    return (decode(line) for line in chain.from_iterable(Lines(read_blocks(path, DataError), path, DataError)))


def _open_table(path: str, prefix: str) -> Scored:
    head: list[str] = []
    for line in _table_lines(path):
        if not line.startswith("##"):
            return Scored(path, _columns(_names(line), path), _facts(head, PREFIX), prefix=prefix)
        head.append(line)
    raise DataError("the file is empty", where=path)


def _names(line: str) -> list[str]:
    """Of the columns; the first of them may be called ``#chrom``, as other programs want it."""
    return line.removeprefix("#").split("\t")


def _columns(names: Sequence[str], path: str) -> tuple[str, ...]:
    """The columns after those that say which allele it is. Raises DataError when one of those is missing."""
    missing = [name for name in (*_PLACE, *ALWAYS) if name not in names]
    if missing:
        raise DataError(
            "neither a VCF or BCF nor a table of varscore",
            where=path,
            cause=f"its first line names no column {', '.join(missing)}",
            remedy="score it with varscore annotate",
        )
    return tuple(name for name in names if name not in _PLACE)


def _of_table(scored: Scored) -> Iterator[Allele]:
    names: list[str] | None = None
    for number, line in enumerate(_table_lines(scored.path), 1):
        if line.startswith("##") or not line:
            continue
        if names is None:
            names = _names(line)
            continue
        fields = line.split("\t")
        if len(fields) != len(names):
            raise DataError(
                f"{len(fields)} columns instead of {len(names)}, separated by tabs",
                where=f"{scored.path} line {number}",
            )
        yield _of_row(scored, dict(zip(names, fields, strict=True)), f"{scored.path} line {number}")


def _of_row(scored: Scored, row: Mapping[str, str], where: str) -> Allele:
    if not row["pos"].isdigit():
        raise DataError(f"not a position: {row['pos'][:40]!r}", where=where)
    values = _values(scored.columns, [row[column] for column in scored.columns], where)
    return Allele(row["chrom"], int(row["pos"]), row["id"], row["ref"], row["alt"], values)


def _open_parquet(path: str, prefix: str) -> Scored:
    try:
        schema = pq.read_schema(path)
    except (OSError, ValueError) as error:
        raise DataError("cannot read the Parquet file", where=path, cause=str(error)) from None
    said = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    facts = _facts([f"##{key}={value}" for key, value in said.items()], PREFIX)
    return Scored(path, _columns(schema.names, path), facts, prefix=prefix)


def _of_parquet(scored: Scored) -> Iterator[Allele]:
    for batch in pq.ParquetFile(scored.path).iter_batches(4096):
        for row in batch.to_pylist():
            given = {name: row[name] for name in scored.columns if row[name] is not None and row[name] != "."}
            values = {name: float(value) if isinstance(value, int) else value for name, value in given.items()}
            yield Allele(row["chrom"], row["pos"], row["id"], row["ref"], row["alt"], values)
