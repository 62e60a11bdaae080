"""What a caller may give as variants, and as a genome."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from varscore.errors import DataError, UsageError
from varscore.formats.variantlist import Entry, entries_of_columns, read_text
from varscore.genome.coords import FARTHEST, Variant
from varscore.genome.sequence import Genome
from varscore.genome.spelling import Edit

if TYPE_CHECKING:
    import pandas
    import polars

One: TypeAlias = str | Variant | tuple[str, int, str, str]
Variants: TypeAlias = "One | os.PathLike[str] | Sequence[One] | pa.Table | pandas.DataFrame | polars.DataFrame"
"""One variant or several: texts such as ``chr1:1005A>G``, Variants, tuples (chrom, pos, ref, alt), a table of pandas,
polars or Arrow with columns of these names, or the path of a file"""


@contextmanager
def opened(reference: str | os.PathLike[str] | Genome) -> Iterator[Genome]:
    if isinstance(reference, Genome):
        yield reference
        return
    with Genome(reference) as genome:
        yield genome


def given(variants: Variants) -> tuple[str | list[Entry], str]:
    """What to read variants from, and what to call it in messages. Raises DataError and UsageError."""
    if isinstance(variants, os.PathLike):
        return os.fspath(variants), os.fspath(variants)
    if isinstance(variants, str):
        return (
            (variants, variants) if os.path.exists(variants) else ([read_text(variants, "the variant")], "the variant")
        )
    if isinstance(variants, Variant):
        return [_of_variant(variants, 1)], "the variant"
    if hasattr(variants, "columns") or hasattr(variants, "__arrow_c_stream__"):
        return _of_table(variants if isinstance(variants, pa.Table) else _as_arrow(variants)), "the table"
    if isinstance(variants, tuple) and len(variants) == 4 and isinstance(variants[1], Integral):
        variants = [variants]
    try:
        every = iter(variants)
    except TypeError:
        raise UsageError(f"no variants: {variants!r}", remedy="texts, tuples, a table or the path of a file") from None
    return [_of_one(one, number) for number, one in enumerate(every, 1)], "the variants"


def _of_table(table: pa.Table) -> list[Entry]:
    """Raises DataError and UsageError."""
    if twice := [name for name in table.column_names if table.column_names.count(name) > 1]:
        raise UsageError(f"two columns are called {twice[0]}", where="the table", remedy="take one of them out")
    columns = {name: list(map(_cell, table[name].to_pylist())) for name in table.column_names}
    return list(entries_of_columns(columns, "the table"))


def _of_one(one: str | Variant | tuple[str, int, str, str], number: int) -> Entry:
    """Raises DataError."""
    if isinstance(one, str):
        return read_text(one, f"variant {number}")
    return _of_variant(one if isinstance(one, Variant) else _of_tuple(one, number), number)


def _of_tuple(one: tuple[str, int, str, str], number: int) -> Variant:
    """Raises DataError for what is not contig, position, REF and ALT."""
    try:
        chrom, pos, ref, alt = one
        if isinstance(pos, bool) or int(pos) != float(pos) or abs(int(pos)) > FARTHEST:
            raise ValueError(f"{pos} is no position")
        if strange := [allele for allele in (ref, alt) if not isinstance(allele, str) or not allele]:
            raise ValueError(f"{strange[0]!r} is no allele")
        return Variant.from_vcf(str(chrom), int(pos), ref, alt)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            "not a variant", where=f"variant {number}", cause=str(error), remedy="write (chrom, pos, ref, alt)"
        ) from None


def _cell(value: object) -> str:
    """A cell as text; empty for a missing one. Several alleles may stand in a list."""
    if isinstance(value, list):
        return ",".join(map(_cell, value))
    if isinstance(value, float) and value.is_integer():  # what a column with gaps makes of whole numbers
        value = int(value)
    missing = value is None or value != value
    return "" if missing else value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _of_variant(one: Variant, number: int) -> Entry:
    change = Edit(one.contig, one.start, one.start + len(one.ref), one.ref, one.alt)
    return Entry(f"variant {number}", ".", change)


def _as_arrow(frame: object) -> pa.Table:
    """Raises UsageError for what is no table."""
    try:
        if hasattr(frame, "__arrow_c_stream__"):
            return pa.table(frame)
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, AttributeError, ImportError) as error:
        raise UsageError("not a table of variants", cause=f"{type(error).__name__}: {error}") from None
