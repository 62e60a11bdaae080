"""Every output of a run together: written chunk by chunk, committed to the journal, left half-way, put in place."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from varscore.annotate.job import AnnotateJob, Summary
from varscore.annotate.motifs import COLUMN as MOTIF
from varscore.annotate.phased import haplotype_columns, tell_unscored
from varscore.annotate.record import RunInfo, describe_run
from varscore.annotate.rows import EVALUE, SPAN, spread_columns, strongest_columns, write_matrix
from varscore.annotate.writers.arrays import EFFECTS, MatrixWriter, open_matrix
from varscore.annotate.writers.byname import Content, check_output, make_writer
from varscore.annotate.writers.haplotype_table import HaplotypeParquet, HaplotypeText, open_table
from varscore.annotate.writers.matrix import SpooledMatrix
from varscore.annotate.writers.motif_table import MotifTable
from varscore.annotate.writers.runrecord import Block, MatrixFacts, ShardFacts
from varscore.annotate.writers.scores import Writer
from varscore.annotate.writers.skipped import SkippedTable
from varscore.errors import InputError, OutputError, VarscoreError
from varscore.formats.shards import Shard, split_blocks
from varscore.formats.vcf import RecordChunk
from varscore.genome.alleles import AlleleBatch
from varscore.genome.minimal import changed_bases
from varscore.motifs.changes import Changes
from varscore.scoring.haplotypes import OnHaplotypes
from varscore.scoring.score import ScoreBatch
from varscore.scoring.stored.reuse import StoredScores
from varscore.storage.atomic import AtomicFile, DamagedPartial, is_stream, refuse_locked
from varscore.storage.journal import DamagedJournal, Entry, Journal, demand_same
from varscore.storage.resumable import Resumable, place_all, stamped
from varscore.storage.runjson import RunJson
from varscore.storage.stages import Output, Placement

COMMIT_SECONDS = 3.0
"""Between two commits to the journal, at least"""
COMMIT_SHARE = 0.02
"""Of the time, what commits may take at most"""
log = logging.getLogger(__name__)

Later = Callable[[Callable[[], None]], object]


def call_now(act: Callable[[], None]) -> None:
    act()


@dataclass(frozen=True)
class Plan:
    """What goes into the outputs. tasks: int64 (k,) columns of ``--tasks``; labels: their names; ranked: those of them
    among which the strongest is looked for

    identity: what the output is a function of; key: that, and what else a journal must agree with
    """

    content: Content
    tasks: NDArray[np.int64]
    ranked: NDArray[np.int64]
    labels: Sequence[str]
    identity: Mapping[str, str]
    key: Mapping[str, str]
    store: StoredScores | None = None


@dataclass(frozen=True)
class Portion:
    """Records of the input, on their way to the outputs.

    chunk: those to score; outside: how many were left out before the last of them; end: number of the record after
    """

    chunk: RecordChunk
    outside: int
    end: int

    @property
    def alleles(self) -> AlleleBatch:
        return self.chunk.alleles


class Outputs:
    """The outputs of a job. Making one claims the annotated file: a second process is refused (OutputError).

    A context manager. When an error goes through it, what has been committed stays for the next process, which carries
    on from there; when nothing has been, nothing is left behind.
    later: given what is to be done last of all, the removal of the journal: a process that is killed before it has done
    that, its outputs complete, is followed by one that finds them so.
    """

    writer: Writer
    matrix: MatrixWriter | SpooledMatrix | None = None
    skipped: SkippedTable | None = None
    motifs: MotifTable | None = None
    haplotypes: HaplotypeText | HaplotypeParquet | None = None

    def __init__(self, job: AnnotateJob, info: RunInfo | None = None, later: Later = call_now) -> None:
        self.job, self.info, self.journal, self._later = job, info, job.journal, later
        self.summary, self.records = Summary(), 0
        self._earlier = 0
        self._blocks: list[list[int]] = []
        self._main: AtomicFile | None = None
        self._opened: list[Output] = []
        self._is_whole = False
        """Whether the outputs all have the same records"""
        self._is_done = False
        self._next_commit = time.monotonic() + COMMIT_SECONDS
        self._entry = self._claim()

    def _claim(self) -> Entry | None:
        """Lock the annotated file; what the journal says."""
        job, entry = self.job, None
        with suppress(DamagedJournal):
            entry = self._read_journal()
        if entry is not None and entry.placements is not None:
            refuse_locked(AtomicFile.hidden(job.output), job.output)
            return entry
        self._main = AtomicFile(job.output, force=job.force, keep=self.journal is not None)
        try:
            entry = self._read_journal()  # again, now that nobody else writes it
        except DamagedJournal as damage:
            _warn_of_damage(str(damage))
            return None
        if entry is not None and entry.placements is not None:  # its process has died in this moment
            self._main.suspend() if self._main.has_content() else self._main.abort()
            self._main = None
        return entry

    def _read_journal(self) -> Entry | None:
        """Raises DamagedJournal, also for counts that no run can have come to."""
        entry = self.journal.read() if self.journal else None
        if entry is None:
            return None
        try:
            done = Summary.read(entry.counts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedJournal(f"its counts are none: {error}") from None
        in_blocks = sum(records for _, records, _ in entry.blocks)
        seen = entry.records if entry.key.get("shard") == "none" else in_blocks + done.outside
        if done.records + done.outside != seen:
            raise DamagedJournal("its counts do not add up")
        return entry

    # -- opening -----------------------------------------------------------------------------------------------------

    def begin(self, plan: Plan) -> bool:
        """Open every output, carrying on where the journal says; False when all that was left to do was renaming.

        Raises UsageError when the journal is of another run, OutputError.
        """
        self._plan, entry = plan, self._entry
        if self.journal is None and not is_stream(self.job.output):
            Journal(self.job.output, self.job.further).discard()
        if self.journal is not None and entry is not None:
            demand_same(self.journal, entry, plan.key)
        try:
            if self.journal is not None and entry is not None and entry.placements is not None:
                place_all(entry.placements, force=self.job.force)
                self._take_over(entry)
                self._is_done = True
                self._later(self.journal.remove)
                return False
            self._open(entry)
        except (DamagedPartial, KeyError, TypeError, ValueError, AttributeError) as damage:
            if entry is None:
                raise
            partial = isinstance(damage, DamagedPartial)
            _warn_of_damage(f"{os.path.basename(str(damage))} is not what it should be" if partial else repr(damage))
            self._suspend()
            self._entry = entry = None
            self._main = AtomicFile(self.job.output, force=self.job.force, keep=True)
            self._open(None)
        if entry is not None:
            self._take_over(entry)
            log.info("carrying on after the first %s records", f"{self.records:,}")
        self._is_whole = True
        return True

    def _take_over(self, entry: Entry) -> None:
        self.summary, self.records, self._earlier = Summary.read(entry.counts), entry.records, entry.records
        self._blocks = [list(block) for block in entry.blocks]

    def _open(self, entry: Entry | None) -> None:
        """Raises KeyError, TypeError and ValueError when the entry has not what every output's mark has."""
        job, in_pieces = self.job, self.job.shard is not None
        assert self._main is not None

        def carry(name: str) -> Mapping[str, object] | None:
            return None if entry is None else entry.marks[name]

        kind = check_output(job.output, job.output_format, force=True)
        self.writer = make_writer(kind, self._main, self._plan.content, in_pieces=in_pieces, carry=carry("writer"))
        self._opened.append(self.writer)
        if job.scores is not None:
            self.matrix = self._open_matrix(str(job.scores), carry("matrix"))
            self._opened.append(self.matrix)
        if job.skipped is not None:
            self.skipped = SkippedTable(str(job.skipped), force=job.force, in_pieces=in_pieces, carry=carry("skipped"))
            self._opened.append(self.skipped)
        if job.motif_table is not None and job.motifs is not None:
            path, models = str(job.motif_table), job.motifs.motifs.models
            self.motifs = MotifTable(path, models, force=job.force, in_pieces=in_pieces, carry=carry("motifs"))
            self._opened.append(self.motifs)
        if job.haplotype_table is not None:
            path, tasks = str(job.haplotype_table), self._plan.content.tasks
            self.haplotypes = open_table(path, tasks, force=job.force, in_pieces=in_pieces, carry=carry("haplotypes"))
            self._opened.append(self.haplotypes)

    def _open_matrix(self, path: str, carry: Mapping[str, object] | None) -> MatrixWriter | SpooledMatrix:
        labels, facts = self._plan.labels, self._plan.content.provenance.facts()
        blocks = self._matrix_blocks

        def begin() -> MatrixWriter:
            return open_matrix(path, labels, facts, blocks=blocks, force=self.job.force)

        return begin() if self.journal is None else SpooledMatrix(path, begin, blocks, len(labels), carry)

    @property
    def _matrix_blocks(self) -> tuple[str, ...]:
        return EFFECTS if self.job.annotations.background is None else (*EFFECTS, EVALUE)

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(
        self, portion: Portion, found: ScoreBatch, sites: Changes | None = None, carried: OnHaplotypes | None = None
    ) -> None:
        """Count the records, hand them to every output, and commit when it is time. Raises OutputError.

        sites: what the scored alleles do to sites of motifs, carried: what they do on haplotypes, when the job asks
        """
        chunk, tasks, ranked = portion.chunk, self._plan.tasks, self._plan.ranked
        extra = self.job.annotations.compute(found.effects, found.alleles, found.computed, ranked)
        columns = strongest_columns(found.effects, ranked, extra.columns)
        if self._plan.store is not None and found.stored is not None:
            columns = self._plan.store.complete(found.stored, columns)
        columns[SPAN] = changed_bases(chunk.alleles, found.alleles, found.rows)
        if self.job.motifs is not None and sites is not None:
            columns[MOTIF] = self.job.motifs.column(sites, len(found.rows))
        if carried is not None:
            columns |= haplotype_columns(found, carried)
        scores = spread_columns(found, columns)
        if carried is not None:
            tell_unscored(scores)
        self._is_whole = False
        self._count(portion, found.status)
        self.writer.write(chunk, scores)
        if self.matrix is not None:
            write_matrix(self.matrix, chunk, found, extra, tasks)
        if self.skipped is not None:
            self.skipped.write(chunk, found.status)
        if self.motifs is not None and sites is not None:
            self.motifs.write(chunk, found.rows, sites, scores.diff)
        if self.haplotypes is not None and carried is not None:
            self.haplotypes.write(chunk, carried)
        self.records = portion.end
        self._is_whole = True
        if time.monotonic() >= self._next_commit:
            self.commit()

    def _count(self, portion: Portion, status: NDArray[np.uint8]) -> None:
        chunk = portion.chunk
        self.summary.count(len(chunk), status)
        self.summary.outside += portion.outside
        for block, first, end in split_blocks(chunk) if self.job.shard else ():
            if not self._blocks or self._blocks[-1][0] != block:
                self._blocks.append([block, 0, 0])
            self._blocks[-1][1] += end - first
            self._blocks[-1][2] += int(chunk.rows[end] - chunk.rows[first])

    def commit(self) -> None:
        """Flush everything to disk and say so in the journal, where there is one. Raises OutputError."""
        if self.journal is None:
            return
        start = time.monotonic()
        named: dict[str, object] = {
            "writer": self.writer,
            "matrix": self.matrix,
            "skipped": self.skipped,
            "motifs": self.motifs,
            "haplotypes": self.haplotypes,
        }
        marks = {name: output.mark() for name, output in named.items() if isinstance(output, Resumable)}
        self._enter(marks)
        end = time.monotonic()
        self._next_commit = end + max(COMMIT_SECONDS, (end - start) / COMMIT_SHARE)

    def _enter(self, marks: Mapping[str, Mapping[str, object]], placements: Sequence[Placement] | None = None) -> None:
        assert self.journal is not None
        paths = (self.job.output, *self.job.further)
        entry = Entry(
            key=self._plan.key,
            records=self.records,
            counts=self.summary.mark(),
            blocks=self._blocks,
            marks=marks,
            targets=[os.path.realpath(path) for path in paths],
            placements=placements,
        )
        self.journal.write(entry)
        self._entry = entry

    # -- ending ------------------------------------------------------------------------------------------------------

    def finish(self, records_read: int) -> None:
        """Finish every output and put them in place, the annotated file last. Raises OutputError.

        records_read: records of the whole input
        """
        if self._entry is not None:
            self.commit()
        self._is_whole = False  # no mark can be made any more
        beside = (self.skipped, self.motifs, self.haplotypes, self.matrix)
        further: list[Output] = [one for one in beside if one is not None]
        placements = [one for output in [*further, self.writer] for one in output.settle()]
        record = self._record(records_read)
        if record is not None:
            self._opened.append(record)
            further.append(record)
            placements = [*record.settle(), *placements]
        if self.journal is not None:
            self._enter({}, stamped(placements))
        for output in [*further, self.writer]:
            output.place()
        self._is_done = True
        if self.journal is not None:
            self._later(self.journal.remove)

    def _record(self, records_read: int) -> RunJson | None:
        job = self.job
        if is_stream(job.output) or not (self.info or job.shard):
            return None
        info = self.info or RunInfo()
        record = describe_run(job, info, self._plan.identity, self.summary, self._earlier, records_read)
        if self._plan.store is not None:
            record = replace(record, told={**record.told, "cache": self._plan.store.facts()})
        if job.shard is not None:
            record = replace(record, shard=self._describe_shard(job.shard))
        return RunJson(job.output, record.fields())

    def _describe_shard(self, shard: Shard) -> ShardFacts:
        """What merging shards needs to know."""
        return ShardFacts(
            index=shard.index + 1,
            of=shard.of,
            blocks=[Block(*block) for block in self._blocks],
            provenance=self._plan.content.provenance.facts(),
            annotated=self.writer.facts(),
            scores=MatrixFacts(self._plan.labels, self._matrix_blocks) if self.matrix else None,
            skipped=self.skipped.facts() if self.skipped else None,
            motifs=self.motifs.facts() if self.motifs else None,
            haplotypes=self.haplotypes.facts() if self.haplotypes else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_done or error is None:
            return
        done = self._entry.records if self._entry else 0
        if self._is_whole and self.records > done and not isinstance(error, InputError | OutputError):
            with suppress(VarscoreError, OSError):
                self.commit()
        if self._entry is None:
            self._abort()
            if self.journal is not None and not isinstance(error, Exception):
                log.warning("no record is done yet; the same command starts again")
            return
        self._suspend()
        if not isinstance(error, InputError):
            records = self._entry.records
            log.warning("%s records are done; the same command carries on from there", f"{records:,}")

    def _suspend(self) -> None:
        for output in self._opened:
            output.suspend()
        if self._main is not None:
            self._main.suspend()
        self._opened = []

    def _abort(self) -> None:
        for output in self._opened:
            output.abort()
        if self._main is not None:
            self._main.abort()


def _warn_of_damage(cause: str) -> None:
    log.warning("the journal of an earlier run is damaged (%s): this one starts anew", cause)
