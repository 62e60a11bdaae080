"""The outputs of all shards of a run into the output of that run, byte for byte."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from zlib import crc32

import pyarrow as pa

from varscore.annotate.writers.arrays import MatrixWriter, check_matrix, open_matrix
from varscore.annotate.writers.byname import check_output
from varscore.annotate.writers.matrix import MatrixCursor, TableCursor
from varscore.annotate.writers.runrecord import RunRecord, ShardFacts, beside, demand_size, read_record
from varscore.annotate.writers.table_writer import write_parquet
from varscore.errors import DataError, OutputError, UsageError, reason
from varscore.formats.bcf import write_bcf
from varscore.formats.htsindex import IndexedFile, SortOrder
from varscore.formats.kinds import SUFFIXES, OutputFormat
from varscore.formats.vcf_header import VcfHeader
from varscore.storage.atomic import AtomicFile, is_stream, refuse_existing
from varscore.storage.bgzf import EOF_BLOCK, inflate, is_bgzf
from varscore.storage.outputs import INDEX_SUFFIXES, check_names
from varscore.storage.runjson import SUFFIX as RUN_SUFFIX
from varscore.storage.runjson import RunJson
from varscore.storage.textfacts import HEAD, TextFacts

BCF = (OutputFormat.BCF, OutputFormat.BCF_RAW)
ARGUMENTS = {"scores": "`scores`", "skipped": "`skipped`", "motifs": "`motif_table`", "haplotypes": "`haplotype_table`"}
"""What asks for an output beside the annotated file"""
TEXT = (OutputFormat.VCF, OutputFormat.VCF_GZ)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MergeJob:
    """shards: annotated files, each with its run.json beside it, in any order

    scores, skipped, motifs, haplotypes: where to merge theirs to, if anywhere; run: identifier and full command, for
    the run.json
    """

    shards: Sequence[str]
    output: str
    output_format: str | None = None
    scores: Path | None = None
    skipped: Path | None = None
    motifs: Path | None = None
    haplotypes: Path | None = None
    force: bool = False
    run: Mapping[str, str] | None = None

    @property
    def lists(self) -> dict[str, Path]:
        """The lists that are merged: ``skipped``, ``motifs``, ``haplotypes``."""
        named = {"skipped": self.skipped, "motifs": self.motifs, "haplotypes": self.haplotypes}
        return {name: path for name, path in named.items() if path is not None}


@dataclass(frozen=True)
class ShardOutput:
    """A shard's annotated file and what its run.json says."""

    path: str
    run: RunRecord

    @property
    def facts(self) -> ShardFacts:
        """What it says of the shard."""
        return self.run.facts

    def file(self, name: str) -> str:
        """``annotated``, ``scores``, ``skipped``, ``motifs`` or ``haplotypes``"""
        return self.path if name == "annotated" else os.path.join(os.path.dirname(self.path), self.run.outputs[name])

    def pieces(self, name: str) -> list[Piece]:
        """Where the header and the blocks of a text, any but ``scores``, stand."""
        text: TextFacts | None = getattr(self.facts, name)
        assert text is not None and text.pieces is not None  # _check has seen to it
        ends = accumulate(size for _, size, _ in text.pieces)
        places = zip(ends, text.pieces, strict=True)
        return [Piece(block, self.file(name), end - size, size, crc) for end, (block, size, crc) in places]


@dataclass(frozen=True, order=True)
class Piece:
    """Bytes of a shard's file that go into the merged file as they are."""

    block: int
    path: str
    start: int
    size: int
    crc: int

    def read(self) -> bytes:
        """Raises DataError when they are not what the shard wrote."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.start)
                data = file.read(self.size)
        except OSError as error:
            raise DataError("cannot read", where=self.path, cause=reason(error)) from None
        if len(data) != self.size or crc32(data) != self.crc:
            raise DataError(
                "the shard is not what was written",
                where=self.path,
                cause="it was changed, cut or damaged since",
                remedy="run the shard again",
            )
        return data


def merge_shards(job: MergeJob) -> dict[str, int]:
    """Write the whole run's output, and its score matrix and list of skipped alleles where they are asked for.

    Returns the counts of the run's summary. Raises UsageError and DataError when a shard is missing, doubled, damaged
    or of another run, OutputExists and OutputError.
    """
    shards = collect([_open_shard(path) for path in job.shards])
    kind = _check(job, shards)
    counts: Counter[str] = Counter()
    for shard in shards:
        counts.update(shard.run.counts)
    with ExitStack() as stack:  # which puts them in place in reverse: the annotated file last
        _merge_annotated(stack, job, shards, kind)
        if not is_stream(job.output):
            stack.enter_context(RunJson(job.output, _describe(job, shards, kind, counts).fields()))
        if job.scores is not None:
            _merge_matrix(stack.enter_context(_open_matrix(str(job.scores), shards, job.force)), shards)
        for name, path in job.lists.items():
            file = AtomicFile(str(path), force=job.force)
            stack.enter_context(IndexedFile(file, SortOrder(), (), None))
            _join_text(file, shards, name, str(path).endswith(".gz"))
    return dict(counts)


def _open_shard(path: str) -> ShardOutput:
    """Raises UsageError when it is none, DataError when its run.json is missing, damaged or incomplete."""
    run = read_record(path)
    if run.shard is None:
        raise UsageError("not a shard", where=path, cause="its run.json is of a whole run")
    return ShardOutput(path, run)


def collect(shards: Sequence[ShardOutput]) -> list[ShardOutput]:
    """The shards in their order. Raises UsageError when they are not all of one run, each once."""
    first, of = shards[0], shards[0].facts.of
    places: dict[int, str] = {}
    for shard in shards:
        _demand_same_run(first, shard)
        index = shard.facts.index
        if index in places:
            raise UsageError(f"shard {index}/{of} is given twice", where=f"{places[index]} and {shard.path}")
        places[index] = shard.path
    if missing := [str(index) for index in range(1, of + 1) if index not in places]:
        several = f"shards {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''} of {of} are"
        what = several if len(missing) > 1 else f"shard {missing[0]} of {of} is"
        raise UsageError(f"{what} missing", remedy=f"name all {of} outputs")
    return sorted(shards, key=lambda shard: shard.facts.index)


def _demand_same_run(first: ShardOutput, other: ShardOutput) -> None:
    facts = [
        {**shard.run.identity, "number of shards": shard.facts.of, "records": shard.run.records_read}
        for shard in (first, other)
    ]
    differ = [name for name in {**facts[0], **facts[1]} if facts[0].get(name) != facts[1].get(name)]
    if differ:
        raise UsageError(
            "these shards are not of one run",
            where=f"{first.path} and {other.path}",
            cause=f"not the same: {', '.join(differ)}",
        )


def _check(job: MergeJob, shards: Sequence[ShardOutput]) -> OutputFormat:
    """The format to write. Raises UsageError and OutputExists."""
    kind = check_output(job.output, job.output_format, force=job.force)
    theirs = [_format(shard) for shard in shards][0]
    if kind is not theirs and not (kind in BCF and theirs in TEXT):
        raise UsageError(
            "the shards are of another format",
            where=job.output,
            remedy=f"merge them to {_suffix(theirs)}{' or .bcf' if theirs in TEXT else ''}",
        )
    further = {"scores": job.scores, "skipped": job.skipped, "motifs": job.motifs, "haplotypes": job.haplotypes}
    names = [str(path) for path in further.values() if path is not None]
    theirs_too = [shard.file(name) for shard in shards for name in shard.run.outputs]
    records = [shard.path + suffix for shard in shards for suffix in (RUN_SUFFIX, *INDEX_SUFFIXES)]
    check_names([job.output, *names], [*theirs_too, *records], _sides(job.output, kind))
    for name, path in further.items():
        if path is not None and any(name not in shard.run.outputs for shard in shards):
            raise UsageError(
                f"a shard has no {ARGUMENTS[name]}", remedy=f"leave {ARGUMENTS[name]} out, or run the shards with it"
            )
        if path is None and name in shards[0].run.outputs:
            log.info("%s FILE would merge what the shards have of it too", ARGUMENTS[name])
    for shard in shards:
        demand_size(shard.path, shard.facts.annotated)
        for name in job.lists:
            demand_size(shard.file(name), getattr(shard.facts, name))
    if job.scores is not None:
        check_matrix(str(job.scores), force=job.force)
    for name, path in job.lists.items():
        refuse_existing(str(path), force=job.force)
        if any(shard.file(name).endswith(".gz") != str(path).endswith(".gz") for shard in shards):
            raise UsageError("the shards' lists are of another format", where=path, remedy=".gz or not, as they")
    return kind


def _format(shard: ShardOutput) -> OutputFormat:
    """Raises DataError when its run.json does not name one, or has not said where the blocks of a text are."""
    try:
        kind = OutputFormat(shard.run.identity["output format"])
    except (KeyError, ValueError):
        kind = None
    if kind is None or (kind is not OutputFormat.PARQUET and shard.facts.annotated.pieces is None):
        raise DataError(
            "the record of this shard is incomplete", where=shard.path + RUN_SUFFIX, remedy="run the shard again"
        )
    return kind


def _sides(output: str, kind: OutputFormat) -> list[str]:
    """The files that appear beside the merged one."""
    suffixes = INDEX_SUFFIXES if kind in (OutputFormat.VCF_GZ, OutputFormat.BCF) else ()
    return [] if is_stream(output) else [output + suffix for suffix in (RUN_SUFFIX, *suffixes)]


def _suffix(kind: OutputFormat) -> str:
    return next(suffix for suffix, known in SUFFIXES.items() if known is kind)


def _merge_annotated(stack: ExitStack, job: MergeJob, shards: Sequence[ShardOutput], kind: OutputFormat) -> None:
    if kind not in (*BCF, *TEXT):
        output = AtomicFile(job.output, force=job.force)
        stack.enter_context(IndexedFile(output, SortOrder(), (), None))
    if kind is OutputFormat.PARQUET:
        cursors = {shard.path: TableCursor(shard.path) for shard in shards}
        write_parquet(output, cursors[shards[0].path].schema, _parquet_rows(shards, cursors))
        return
    if kind in (OutputFormat.TSV, OutputFormat.TSV_GZ):
        _join_text(output, shards, "annotated", kind is OutputFormat.TSV_GZ)
        return
    facts = [shard.facts.annotated for shard in shards]
    order = SortOrder({"is_sorted": all(f.is_sorted for f in facts), "reach": max(f.reach for f in facts)})
    header = _text(_header_piece(shards, "annotated"))
    newline = b"\r\n" if header.endswith(b"\r\n") else b"\n"
    lines = header.removesuffix(newline).split(newline)
    lengths = list(VcfHeader.parse(lines[:-1], lines[-1]).contigs.values())
    preset = None if kind is OutputFormat.VCF else "bcf" if kind in BCF else "vcf"
    output = AtomicFile(job.output, force=job.force)
    stack.enter_context(IndexedFile(output, order, lengths, preset))
    if kind not in BCF:
        _join_text(output, shards, "annotated", kind is OutputFormat.VCF_GZ)
        return
    records = sum(shard.facts.records for shard in shards)
    written = write_bcf(header.replace(newline, b"\n"), lambda: _bodies(shards, newline), kind.value, output.write)
    if written != records:
        raise OutputError(f"the BCF has {written} of {records} records", where=job.output)


def _join_text(output: AtomicFile, shards: Sequence[ShardOutput], name: str, compressed: bool) -> None:
    """The header once, then every shard's blocks in the order of the input, as they stand."""
    output.write(_header_piece(shards, name).read())
    for piece in _body_pieces(shards, name):
        output.write(piece.read())
    if compressed:
        output.write(EOF_BLOCK)


def _header_piece(shards: Sequence[ShardOutput], name: str) -> Piece:
    pieces = [shard.pieces(name)[0] for shard in shards]
    if {(piece.block, piece.size, piece.crc) for piece in pieces} != {(HEAD, pieces[0].size, pieces[0].crc)}:
        raise UsageError("these shards are not of one run", where=shards[0].path, cause="their headers differ")
    return pieces[0]


def _body_pieces(shards: Sequence[ShardOutput], name: str) -> list[Piece]:
    return sorted(piece for shard in shards for piece in shard.pieces(name) if piece.block != HEAD)


def _bodies(shards: Sequence[ShardOutput], newline: bytes) -> Iterator[bytes]:
    for piece in _body_pieces(shards, "annotated"):
        yield _text(piece).replace(newline, b"\n")


def _text(piece: Piece) -> bytes:
    data = piece.read()
    return b"".join(inflate([data], piece.path, bgzf=False, error=DataError)) if is_bgzf(data) else data


def _rows(shards: Sequence[ShardOutput]) -> list[tuple[int, int, str]]:
    """(block, rows, the shard's annotated file) of every block, in the order of the input."""
    return sorted((block.number, block.rows, shard.path) for shard in shards for block in shard.facts.blocks)


def _parquet_rows(shards: Sequence[ShardOutput], cursors: Mapping[str, TableCursor]) -> Iterator[pa.Table]:
    for _, rows, path in _rows(shards):
        table = cursors[path].take(rows)
        if len(table) != rows:
            raise DataError("the shard has fewer rows than its run.json says", where=path, remedy="run the shard again")
        yield table
    for cursor in cursors.values():
        cursor.demand_end()


def _open_matrix(path: str, shards: Sequence[ShardOutput], force: bool) -> MatrixWriter:
    facts = shards[0].facts
    assert facts.scores is not None  # _check has seen to it
    return open_matrix(path, facts.scores.tasks, facts.provenance, blocks=facts.scores.blocks, force=force)


def _merge_matrix(writer: MatrixWriter, shards: Sequence[ShardOutput]) -> None:
    scores = shards[0].facts.scores
    blocks = scores.blocks if scores else ()
    cursors = {shard.path: MatrixCursor(shard.file("scores"), blocks) for shard in shards}
    for _, rows, path in _rows(shards):
        part = cursors[path].take(rows)
        ref, alt = ([text.encode() for text in column] for column in (part.ref, part.alt))
        writer.write(part.chrom, part.pos, ref, alt, part.status, part.values)
    for cursor in cursors.values():
        cursor.demand_end()


def _describe(job: MergeJob, shards: Sequence[ShardOutput], kind: OutputFormat, counts: Mapping[str, int]) -> RunRecord:
    first, run = shards[0].run, dict(job.run or {})
    return RunRecord(
        run=run.pop("run", ""),
        identity={**first.identity, "output format": kind.value},
        versions=first.versions,
        counts=counts,
        records_read=first.records_read,
        outputs=beside(job.output, scores=job.scores, **job.lists),
        told={**run, "merged": [shard.run.run for shard in shards]},
    )
