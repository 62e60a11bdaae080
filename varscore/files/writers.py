"""From an output's name to the writer for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from varscore.errors import UsageError
from varscore.files.annotation import Annotator, annotated_header
from varscore.files.atomic import AtomicFile, is_stream, refuse_existing
from varscore.files.scores import AlleleScores, Provenance, Writer
from varscore.files.table_writer import ParquetWriter, TsvWriter
from varscore.files.vcf_header import VcfHeader
from varscore.files.vcf_writer import BcfWriter, VcfWriter

__all__ = ["AlleleScores", "OutputFormat", "Provenance", "Writer", "check_output", "open_writer"]


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


def check_output(path: str, letter: str | None = None, *, force: bool = False) -> OutputFormat:
    """Everything that can be known to be wrong with an output before any work is done.

    Raises UsageError and OutputExists.
    """
    chosen = format_of(path, letter)
    refuse_existing(path, force=force)
    return chosen


def open_writer(
    path: str,
    header: VcfHeader,
    provenance: Provenance,
    tasks: Sequence[str],
    extra_columns: Sequence[str] = (),
    output_format: str | None = None,
    *,
    force: bool = False,
    contig_lengths: Mapping[str, int] | None = None,
) -> Writer:
    """A writer for ``path`` (``-`` is stdout), in the format of its suffix or of the letter ``output_format``.

    header: of the input; tasks: names by index; extra_columns: keys of AlleleScores.extra, in output order
    contig_lengths: contigs to declare, as the input spells them; those its header declares already are left alone
    Raises UsageError, OutputExists and OutputError; nothing is left behind then.
    """
    kind = check_output(path, output_format, force=force)
    output = AtomicFile(path, force=force)
    lengths = contig_lengths or {}
    try:
        if kind in (OutputFormat.TSV, OutputFormat.TSV_GZ):
            return TsvWriter(output, provenance, tasks, extra_columns, compress=kind is OutputFormat.TSV_GZ)
        if kind is OutputFormat.PARQUET:
            return ParquetWriter(output, provenance, tasks, extra_columns)
        lines = annotated_header(header, provenance, extra_columns, lengths)
        annotator = Annotator(tasks, extra_columns)
        declared = [*header.contigs.values(), *lengths.values()]
        if kind in (OutputFormat.VCF, OutputFormat.VCF_GZ):
            compress = kind is OutputFormat.VCF_GZ
            return VcfWriter(
                output, lines, annotator, newline=header.newline, compress=compress, contig_lengths=declared
            )
        return BcfWriter(output, lines, annotator, kind=kind.value, contig_lengths=declared)
    except BaseException:
        output.abort()
        raise
