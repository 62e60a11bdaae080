"""What an annotated file is written as: its name says it, or a letter. Known before anything that writes is loaded."""

from __future__ import annotations

from enum import Enum

from varscore.errors import UsageError
from varscore.storage.atomic import is_stream


class OutputFormat(Enum):
    """The values are the letters of ``-O``, as in bcftools; ``tz`` has no letter of its own."""

    VCF = "v"
    VCF_GZ = "z"
    BCF = "b"
    BCF_RAW = "u"
    TSV = "t"
    TSV_GZ = "tz"
    PARQUET = "p"


SUFFIXES = {
    ".vcf": OutputFormat.VCF,
    ".vcf.gz": OutputFormat.VCF_GZ,
    ".vcf.bgz": OutputFormat.VCF_GZ,
    ".bcf": OutputFormat.BCF,
    ".tsv": OutputFormat.TSV,
    ".tsv.gz": OutputFormat.TSV_GZ,
    ".parquet": OutputFormat.PARQUET,
}
_SAME = {OutputFormat.BCF_RAW: OutputFormat.BCF, OutputFormat.TSV_GZ: OutputFormat.TSV}
_LETTERS = "v z b u t p"


def format_of(path: str, letter: str | None = None) -> OutputFormat:
    """What ``path`` is written as: its suffix decides, ``letter`` where there is none, VCF for a bare stream.

    Raises UsageError when neither says it, or when they disagree.
    """
    if letter is not None and letter not in _LETTERS.split():
        raise UsageError(f"unknown output format {letter!r}", remedy=f"-O takes one of {_LETTERS}")
    wanted = OutputFormat(letter) if letter else None
    named = next((kind for suffix, kind in SUFFIXES.items() if path.lower().endswith(suffix)), None)
    if named and wanted and _SAME.get(named, named) != _SAME.get(wanted, wanted):
        raise UsageError(
            f"-O {letter} does not go with the output's suffix", where=path, remedy="leave one of them out"
        )
    if named and wanted is not OutputFormat.BCF_RAW:
        return named
    if wanted:
        return wanted
    if is_stream(path):
        return OutputFormat.VCF
    raise UsageError(
        "unknown kind of output", where=path, remedy=f"end its name in {', '.join(SUFFIXES)}, or say -O {_LETTERS}"
    )
