"""Archives: built as ``--saturate`` scores, put together, and compared with a genome."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.annotate.job import choose_tasks
from varscore.annotate.outputs import Later, call_now
from varscore.annotate.rows import REF_PROB, strongest_columns
from varscore.annotate.saturation import SaturationReader
from varscore.annotate.writers.scores import Provenance
from varscore.engine.compute import Compute
from varscore.engine.pool import LOCAL, Engines
from varscore.errors import DataError, UsageError, VarscoreError
from varscore.formats.shards import Shard
from varscore.formats.vcf import RecordChunk
from varscore.genome.alleles import AlleleBatch
from varscore.genome.contigs import ContigNames, match_contigs
from varscore.genome.coords import Interval
from varscore.genome.sequence import UNKNOWN, Genome
from varscore.scoring.annotations import Annotations
from varscore.scoring.score import ScoreBatch, score_chunks
from varscore.scoring.stored.archive import BLOCK, Archive, Head, identities
from varscore.scoring.stored.building import ArchiveWriter, join
from varscore.scoring.stored.columns import NO_TASK, record_of, to_records
from varscore.scoring.stored.profile import Arithmetic, profile_of_columns
from varscore.stop import Stop
from varscore.storage.atomic import AtomicFile, DamagedPartial, Spool, refuse_locked
from varscore.storage.digest import json_sha256
from varscore.storage.outputs import check_names, with_indexes
from varscore.storage.pieces import PieceJournal
from varscore.zoo.models import ModelFolder, ranked_tasks

PIECE = 64 * BLOCK
"""Bases that are scored at a time; what shards are dealt out in"""
ALWAYS = ("diff", "task")
"""Columns that no archive is without"""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildJob:
    """What to put into an archive. intervals: of the genome; columns: names, none means all; stored: ``float32``, or
    ``float16``, which rounds"""

    model: ModelFolder
    reference: Path
    output: str
    intervals: tuple[Interval, ...]
    where: str = "the regions"
    annotations: Annotations = field(default_factory=Annotations)
    tasks: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    stored: str = "float32"
    shard: Shard | None = None
    compute: Compute = field(default_factory=Compute)
    resume: bool = True
    force: bool = False
    inputs: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises UsageError and OutputExists."""
        files = [*with_indexes(str(self.reference)), *self.inputs, *self.model.files, *self.annotations.tracks.paths]
        check_names([self.output], files)
        unknown = [name for name in self.columns if name not in self.every_column]
        if unknown:
            raise UsageError(
                f"there is no column {unknown[0]!r}",
                cause=f"there are {', '.join(self.every_column)}",
                remedy="the last ones come with a background and classifiers",
            )

    @property
    def every_column(self) -> tuple[str, ...]:
        return ("diff", "task", "logodds", REF_PROB, *self.annotations.columns)

    @property
    def chosen_columns(self) -> tuple[str, ...]:
        chosen = {*self.columns, *ALWAYS} if self.columns else {*self.every_column}
        return tuple(name for name in self.every_column if name in chosen)

    def command(self) -> str:
        """The options that change scores, as of ``annotate --saturate``, which would give the same."""
        parts = ["annotate", *self.compute.options, "--check-ref warn"]
        return " ".join([*parts, *(f"--tasks {glob}" for glob in sorted(set(self.tasks))), *self.annotations.command])


def build_archive(
    job: BuildJob,
    advance: Callable[[int], None] = lambda bases: None,
    stop: Stop | None = None,
    engines: Engines = LOCAL,
    later: Later = call_now,
) -> int:
    """Score every substitution in the regions and write the archive; returns how many bases this process has done.

    What an earlier process has left of the same job is carried on with. advance: told of bases; the rest as for
    ``annotate_file``. Raises the errors of :mod:`varscore.errors`.
    """
    job.check()
    with ExitStack() as stack:
        genome = stack.enter_context(Genome(job.reference))
        reader = SaturationReader(job.intervals, genome, job.where)
        names = ContigNames(genome, reader.header.contigs, None, job.where)
        job.annotations.tracks.fit(genome, names.find)
        where = job.compute.where(engines)
        head, ranked = _head(job, genome, where[0].type)
        building = stack.enter_context(_Building(job, head, _key(job, head, genome), later))
        if building.is_done:
            return 0
        pieces = list(_pieces(reader.intervals, job.shard or Shard()))
        advance(sum(map(len, pieces[: building.pieces])))
        rest = pieces[building.pieces :]
        pool = stack.enter_context(engines.pool(job.compute.plan(job.model.load(), where[: max(1, len(rest))])))
        done = 0
        portions = (_Portion(piece, reader.chunk(piece)) for piece in rest)
        for portion, found in score_chunks(portions, genome, names, pool, head.window):
            building.add(portion, _columns(job, found, ranked), genome)
            done += len(portion.piece)
            advance(len(portion.piece))
            if stop is not None and stop.asked:
                building.commit()
                stop.leave()
        building.finish()
    return done


@dataclass(frozen=True)
class _Portion:
    """A stretch of at most PIECE bases, and its substitutions."""

    piece: Interval
    chunk: RecordChunk

    @property
    def alleles(self) -> AlleleBatch:
        return self.chunk.alleles


def _pieces(intervals: Sequence[Interval], shard: Shard) -> Iterator[Interval]:
    """The intervals cut at multiples of PIECE; those of a shard."""
    number = 0
    for interval in intervals:
        for start in cuts(interval.start, interval.end, PIECE):
            if number % shard.of == shard.index:
                yield Interval(interval.contig, start, min(interval.end, (start // PIECE + 1) * PIECE))
            number += 1


def cuts(start: int, end: int, size: int) -> list[int]:
    """Where the parts of a stretch begin that is cut at the multiples of ``size``."""
    return [start, *range((start // size + 1) * size, end, size)] if start < end else []


def _head(job: BuildJob, genome: Genome, device: str) -> tuple[Head, NDArray[np.int64]]:
    """The archive's head; int64 (k,), the tasks among which the strongest is looked for."""
    tasks = job.model.tasks()
    ranked = ranked_tasks(job.model, choose_tasks(tasks, job.tasks))
    how = Arithmetic(device, job.compute.precision, job.compute.engine)
    provenance = Provenance(
        version=__version__,
        command=job.command(),
        model=job.model.id,
        model_sha256=job.model.sha256,
        reference=genome.path.name,
        reference_sha256=genome.sha256,
        notes=job.annotations.notes,
    )
    head = Head(
        profile=dict(profile_of_columns(job.model, how, job.annotations, ranked, job.every_column).facts),
        columns=list(job.chosen_columns),
        precision=job.stored,
        block=BLOCK,
        window=job.model.config().window,
        contigs=dict(genome.contigs),
        tasks=[task.name for task in tasks],
        provenance={name: text for name, text in asdict(provenance).items() if name != "notes"},
        notes=[list(pair) for pair in provenance.notes],
        meanings=job.annotations.meanings,
        of_values=job.model.card.objective == "values",
    )
    return head, ranked


def _key(job: BuildJob, head: Head, genome: Genome) -> dict[str, str]:
    """What a journal must agree with."""
    regions = [(interval.contig, interval.start, interval.end) for interval in job.intervals]
    return {
        **{name: str(value) for name, value in head.profile.items()},
        "columns": f"{' '.join(head.columns)} {head.precision}",
        "reference": genome.sha256,
        "regions": json_sha256(regions),
        "shard": str(job.shard or "none"),
        "version": __version__,
    }


def _columns(job: BuildJob, found: ScoreBatch, ranked: NDArray[np.int64]) -> NDArray[np.void]:
    """The records of all n substitutions of a portion; those without a score have no task."""
    extra = job.annotations.compute(found.effects, found.alleles, found.rows, ranked)
    columns = strongest_columns(found.effects, ranked, extra.columns)
    dtype = record_of(job.chosen_columns, job.model.config().n_tasks)
    records = np.zeros(len(found.status), dtype)
    records["task"] = NO_TASK
    records[found.rows] = to_records(columns, dtype)
    return records


class _Building:
    """The archive under way. A context manager: what is committed stays for the next process when it is left early."""

    def __init__(self, job: BuildJob, head: Head, key: Mapping[str, str], later: Later) -> None:
        self._head, self._later = head, later
        refuse_locked(AtomicFile.hidden(job.output), job.output)
        self._journal = PieceJournal(job.output, key, resume=job.resume)
        self.is_done = self._is_there(job.output)
        if self.is_done:  # the process that wrote it was killed right after
            later(self._journal.remove)
            return
        keep = self._journal.done > 0
        self._file = AtomicFile(job.output, force=job.force, keep=keep)
        self._spool = Spool(job.output, keep=keep)
        try:
            carry = self._journal.marks["writer"] if keep else None
            self._writer = ArchiveWriter(self._file, self._spool, head, carry)
        except (DamagedPartial, KeyError, TypeError, ValueError) as damage:
            self._journal.distrust(str(damage))
            self._file.empty()
            self._spool.empty()
            self._writer = ArchiveWriter(self._file, self._spool, head)
        self.pieces = self._journal.done
        if self.pieces:
            log.info("carrying on after the first %s pieces", f"{self.pieces:,}")

    def _is_there(self, output: str) -> bool:
        with suppress(DataError, KeyError, TypeError):
            return bool(Archive(Path(output)).sha256 == self._journal.marks["done"]["sha256"])
        return False

    def add(self, portion: _Portion, records: NDArray[np.void], genome: Genome) -> None:
        """The next piece; records: of its substitutions, (3 known,)."""
        piece = portion.piece
        codes = genome.codes(piece.contig, piece.start, piece.end)
        rows = np.zeros((len(piece), 3), records.dtype)
        rows[codes != UNKNOWN] = records.reshape(-1, 3)
        starts = np.array(cuts(piece.start, piece.end, BLOCK), np.int64)
        ends = np.append(starts[1:], piece.end)
        seen = np.empty(len(starts), "V16")
        for bases in np.unique(ends - starts).tolist():
            alike = ends - starts == bases
            seen[alike] = identities(genome, piece.contig, starts[alike], bases, self._head.window)
        spans = list(zip((starts - piece.start).tolist(), (ends - piece.start).tolist(), strict=True))
        self._writer.add(
            self._head.names.index(piece.contig),
            starts,
            [codes[a:b] for a, b in spans],
            [rows[a:b] for a, b in spans],
            seen,
        )
        self.pieces += 1
        if self._journal.is_time:
            self.commit()

    def commit(self) -> None:
        """Flush everything to disk and say so in the journal, where there is one. Raises OutputError."""
        start = time.monotonic()
        mark = self._writer.mark()
        self._journal.commit(self.pieces, {"writer": mark}, time.monotonic() - start)

    def finish(self) -> None:
        """Give the archive its name."""
        mark = self._writer.mark()
        digest = self._writer.finish()
        self._file.settle()
        self._journal.commit(self.pieces, {"writer": mark, "done": {"sha256": digest}})
        self._file.place()
        self.is_done = True
        self._spool.abort()
        self._later(self._journal.remove)

    def __enter__(self) -> _Building:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self.is_done:
            return
        with suppress(VarscoreError, OSError):
            if self.pieces > self._journal.done:
                self.commit()
        if self._journal.done:
            self._file.suspend()
            self._spool.suspend()
            log.warning("%s pieces are done; the same command carries on from there", f"{self._journal.done:,}")
        else:
            self._file.abort()
            self._spool.abort()


def merge_archives(paths: Sequence[Path], output: str, force: bool = False) -> int:
    """Put archives together that differ in their regions only; returns how many blocks there are.

    Raises UsageError, DataError, OutputExists and OutputError.
    """
    check_names([output], [str(path) for path in paths])
    archives = [Archive(path) for path in paths]
    file = AtomicFile(output, force=force)
    spool = Spool(output)
    try:
        blocks = join(archives, file, spool)
        file.commit()
    finally:
        file.abort()
        spool.abort()
    return blocks


def verify_archive(path: Path, genome: Genome | None = None, advance: Callable[[int], None] = lambda n: None) -> int:
    """Read every block, and compare its bases with a genome's; returns how many blocks differ from it.

    Raises DataError for what is not as it was written, or has a contig that the genome has not.
    """
    archive, differ = Archive(path), 0
    matches = {} if genome is None else match_contigs(archive.head.contigs, genome, dict(archive.head.contigs))
    for block, (interval, codes, _) in enumerate(archive.pieces()):
        if genome is not None:
            name = matches[interval.contig]
            if name is None:
                raise DataError(f"{genome.path.name} has no contig {interval.contig}", where=path)
            start = np.array([interval.start])
            there = identities(genome, name, start, len(codes), archive.head.window)
            differ += int(there[0] != archive.index["identity"][block])
        advance(1)
    return differ
