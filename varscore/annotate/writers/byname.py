"""From an output's name to the writer for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from varscore.annotate.writers.annotation import Annotator, annotated_header
from varscore.annotate.writers.scores import AlleleScores, Provenance, Writer
from varscore.annotate.writers.table_writer import ParquetWriter, TsvWriter
from varscore.annotate.writers.vcf_writer import BcfWriter, VcfWriter
from varscore.formats.kinds import OutputFormat, format_of
from varscore.formats.vcf_header import VcfHeader
from varscore.scoring.tags import ALWAYS, PREFIX, Tags
from varscore.storage.atomic import AtomicFile, refuse_existing

__all__ = [
    "AlleleScores",
    "Content",
    "Provenance",
    "Writer",
    "check_output",
    "make_writer",
    "open_writer",
]


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
    tag_prefix: str = PREFIX,
) -> Writer:
    """A writer for ``path`` (``-`` is stdout), in the format of its suffix or of the letter ``output_format``.

    header: of the input; tasks: names by index; extra_columns: keys of AlleleScores.extra, in output order
    contig_lengths: contigs to declare, as the input spells them; those its header declares already are left alone
    tag_prefix: what the tags of a VCF begin with
    Raises UsageError, OutputExists and OutputError; nothing is left behind then.
    """
    kind = check_output(path, output_format, force=force)
    content = Content(
        header, provenance, tuple(tasks), tuple(extra_columns), contig_lengths or {}, tag_prefix=tag_prefix
    )
    output = AtomicFile(path, force=force)
    try:
        return make_writer(kind, output, content)
    except BaseException:
        output.abort()
        raise


@dataclass(frozen=True)
class Content:
    """What a writer has to know beforehand: see :func:`open_writer`."""

    header: VcfHeader
    provenance: Provenance
    tasks: Sequence[str]
    extra_columns: Sequence[str] = ()
    contig_lengths: Mapping[str, int] = field(default_factory=dict)
    of_values: bool = False
    """Whether the model predicts values, not probabilities"""
    tag_prefix: str = PREFIX
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What the columns of this run hold, where it says more than always"""

    @property
    def tags(self) -> Tags:
        """What the columns are called in a VCF."""
        return Tags((*ALWAYS, *self.extra_columns), self.tag_prefix)

    @property
    def lines(self) -> list[bytes]:
        """The header of a VCF. Raises UsageError when another run has tags of the same names."""
        return annotated_header(
            self.header, self.provenance, self.tags, self.contig_lengths, self.of_values, self.meanings
        )

    @property
    def declared(self) -> list[int | None]:
        """Lengths of the contigs that the header declares."""
        return [*self.header.contigs.values(), *self.contig_lengths.values()]


def make_writer(
    kind: OutputFormat,
    output: AtomicFile,
    content: Content,
    *,
    in_pieces: bool = False,
    carry: Mapping[str, object] | None = None,
) -> Writer:
    """A writer into ``output``, which may hold what another has left: it is carried on with when there is its ``carry``
    (see Resumable), and emptied otherwise. in_pieces: note where blocks of records stand in text.

    Raises OutputError, and DamagedPartial when what is there is not what ``carry`` says.
    """
    provenance, tasks, extra = content.provenance, content.tasks, content.extra_columns
    if carry is None or kind in (OutputFormat.PARQUET, OutputFormat.BCF, OutputFormat.BCF_RAW):
        output.empty()
    if kind in (OutputFormat.TSV, OutputFormat.TSV_GZ):
        compress = kind is OutputFormat.TSV_GZ
        return TsvWriter(output, provenance, tasks, extra, compress=compress, in_pieces=in_pieces, carry=carry)
    if kind is OutputFormat.PARQUET:
        return ParquetWriter(output, provenance, tasks, extra, carry=carry)
    annotator, lengths = Annotator(content.header, tasks, content.tags), content.declared
    if kind in (OutputFormat.VCF, OutputFormat.VCF_GZ):
        return VcfWriter(
            output,
            content.lines,
            annotator,
            newline=content.header.newline,
            compress=kind is OutputFormat.VCF_GZ,
            contig_lengths=lengths,
            in_pieces=in_pieces,
            carry=carry,
        )
    return BcfWriter(output, content.lines, annotator, kind=kind.value, contig_lengths=lengths, carry=carry)
