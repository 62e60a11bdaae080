"""Archives, written out again as ``annotate --saturate`` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from varscore.annotate.rows import SPAN
from varscore.annotate.saturation import saturated
from varscore.annotate.writers.byname import Content, check_output, make_writer
from varscore.annotate.writers.scores import AlleleScores, Provenance
from varscore.formats.kinds import OutputFormat
from varscore.formats.vcf import RecordChunk
from varscore.formats.vcf_header import COLUMNS, VcfHeader, encode
from varscore.genome.alleles import Status
from varscore.genome.sequence import UNKNOWN
from varscore.scoring.stored.archive import Archive, from_stored
from varscore.scoring.stored.columns import NO_TASK
from varscore.storage.atomic import AtomicFile, output_errors
from varscore.storage.outputs import check_names

EXPORTED = 256
"""Blocks that are written at a time"""


def export_archive(
    path: Path, output: str, force: bool = False, advance: Callable[[int], None] = lambda bases: None
) -> int:
    """Write an archive as the VCF, TSV or Parquet that ``annotate --saturate`` writes; returns how many bases it has.

    A ``.tsv.gz`` gets a tabix index. Raises DataError, UsageError, OutputExists and OutputError.
    """
    archive = Archive(path)
    head = archive.head
    check_names([output], [str(path)])
    kind = check_output(output, force=force)
    lines = [b"##contig=<ID=%s,length=%d>" % (encode(name), length) for name, length in head.contigs.items()]
    contigs: dict[str, int | None] = dict(head.contigs)
    header = VcfHeader((b"##fileformat=VCFv4.2", *lines), b"\t".join(COLUMNS), contigs=contigs)
    extra = tuple(name for name in head.columns if name not in ("diff", "task", "logodds"))
    content = Content(
        header, _provenance(archive), head.tasks, (*extra, SPAN), {}, head.of_values, meanings=head.meanings
    )
    file = AtomicFile(output, force=force)
    writer, bases = make_writer(kind, file, content), 0
    with writer:
        for chunk, scores in _export_chunks(archive, extra):
            writer.write(chunk, scores)
            bases += len(chunk)
            advance(len(chunk))
    if kind is OutputFormat.TSV_GZ:
        _index_tsv(output, len(_provenance(archive).lines()) + 1)
    return bases


def _provenance(archive: Archive) -> Provenance:
    head = archive.head
    notes = tuple((str(name), str(value)) for name, value in head.notes)
    if head.precision != "float32":
        notes += (("Archive", f"<SHA256={archive.sha256},PRECISION={head.precision}>"),)
    return Provenance(**{str(name): str(text) for name, text in head.provenance.items()}, notes=notes)


def _export_chunks(archive: Archive, extra: Sequence[str]) -> Iterator[tuple[RecordChunk, AlleleScores]]:
    """The records of the archive's known bases, as SaturationReader makes them."""
    names, number = tuple(dict.fromkeys(interval.contig for interval in archive.intervals())), 0
    for interval, codes, records in archive.pieces(EXPORTED):
        known = np.flatnonzero(codes != UNKNOWN)
        if not len(known):
            continue
        chunk = saturated(names, interval, known, codes[known], number)
        number += len(known)
        columns = from_stored(archive.head, records[known].reshape(-1))
        scored = columns["task"] != NO_TASK
        spread: dict[str, NDArray[np.generic]] = {name: _blanked(columns[name], scored) for name in extra}
        logodds = columns.get("logodds", np.full(len(scored), np.nan, np.float32))
        yield (
            chunk,
            AlleleScores(
                status=np.where(scored, Status.PASS, Status.N_WINDOW).astype(np.uint8),
                task=np.where(scored, columns["task"], -1).astype(np.int32),
                diff=np.where(scored, columns["diff"], np.float32(np.nan)),
                logodds=np.where(scored, logodds, np.float32(np.nan)),
                extra=spread | {SPAN: np.where(scored, 1, -1)},
            ),
        )


def _blanked(column: NDArray[np.number], scored: NDArray[np.bool_]) -> NDArray[np.number]:
    """Without what stands where there is no score."""
    if column.dtype == np.float32:
        return np.where(scored, column, np.float32(np.nan))
    return np.where(scored, column, -1).astype(np.int32)


def _index_tsv(path: str, header: int) -> None:
    """A tabix index of a table whose first two columns are contig and position; header: lines before its rows"""
    with output_errors(path):
        pysam.tabix_index(path, seq_col=0, start_col=1, end_col=1, line_skip=header, meta_char="#", force=True)
