"""``--rename-chrs FILE``: what contigs are called elsewhere."""

from __future__ import annotations

from itertools import chain

from varscore.errors import DataError
from varscore.formats.lines import Lines, read_blocks, source_name


def read_renames(path: str) -> dict[str, str]:
    """Old name -> new name, two columns separated by blanks or tabs, as ``bcftools annotate --rename-chrs`` reads them.

    Raises DataError, with the line, for another number of columns and for a name with two meanings.
    """
    where, renames = source_name(path), dict[str, str]()
    for number, line in enumerate(chain.from_iterable(Lines(read_blocks(path, DataError), where, DataError)), 1):
        fields = line.decode("utf-8", "surrogateescape").split()
        if not fields:
            continue
        if len(fields) != 2:
            cause = f"{len(fields)} columns"
            raise DataError(
                "not a renaming of contigs", where=f"{where} line {number}", cause=cause, remedy="OLD <tab> NEW"
            )
        if renames.setdefault(fields[0], fields[1]) != fields[1]:
            raise DataError(f"{fields[0]} has two new names", where=f"{where} line {number}")
    if not renames:
        raise DataError("no contig to rename", where=where, remedy="OLD <tab> NEW in each line")
    return renames
