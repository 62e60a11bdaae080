"""``varscore annotate``: a variant file in, the same file with scores out."""

from __future__ import annotations

import fnmatch
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from varscore import __version__
from varscore.data.examples import Task
from varscore.effects import Effects, strongest
from varscore.engine import ENGINES, PlainEngine
from varscore.engine.device import evaluating, pick_device
from varscore.errors import StrictError, UsageError, VariantFileError
from varscore.files.arrays import MatrixWriter, open_matrix
from varscore.files.atomic import AtomicFile, refuse_existing
from varscore.files.regions import RegionSet
from varscore.files.scores import AlleleScores, Provenance, Writer
from varscore.files.vcf import RecordChunk, VariantReader
from varscore.files.writers import open_writer
from varscore.genome.alleles import Status
from varscore.genome.coords import Variant, one_based
from varscore.genome.sequence import Genome, decode, match_contigs
from varscore.score import ContigNames, ScoreBatch, score_alleles, spread
from varscore.zoo import ModelFolder

log = logging.getLogger(__name__)

CHUNK = 512
"""Records that are read, scored and written at a time."""
WRONG_ASSEMBLY = 0.5
"""Share of REF alleles that disagree with the FASTA from which on another assembly is suspected."""


@dataclass(frozen=True)
class AnnotateJob:
    """Everything ``annotate`` is asked to do."""

    source: str
    output: str
    reference: Path
    model: ModelFolder
    output_format: str | None = None
    tasks: tuple[str, ...] = ()
    regions: RegionSet | None = None
    check_ref: str = "warn"
    scores: Path | None = None
    skipped: Path | None = None
    device: str = "auto"
    precision: str = "fp32"
    engine: str = "exact"
    force: bool = False

    def command(self) -> str:
        """The options that change scores, normalised: the same scores, the same text."""
        parts = [
            "annotate",
            f"--engine {self.engine}",
            f"--precision {self.precision}",
            f"--check-ref {'skip' if self.check_ref == 'skip' else 'warn'}",
        ]
        return " ".join([*parts, *(f"--tasks {glob}" for glob in sorted(self.tasks))])


@dataclass
class Summary:
    """What happened to the records of a run."""

    records: int = 0
    alleles: int = 0
    outside: int = 0
    """Records left out by ``--region``"""
    statuses: Counter[str] = field(default_factory=Counter)
    """Alleles (and records without ALT) per status"""

    @property
    def scored(self) -> int:
        return self.statuses[Status.PASS.name]

    def __str__(self) -> str:
        reasons = [f"{n:,} {name}" for name, n in self.statuses.most_common() if name != Status.PASS.name]
        parts = [f"{self.records:,} records", f"{self.alleles:,} alleles", f"{self.scored:,} scored", *reasons]
        return ", ".join(
            [*parts, *([f"{self.outside:,} records outside the regions left out"] if self.outside else [])]
        )

    def fields(self) -> dict[str, int]:
        return {"records": self.records, "alleles": self.alleles, "outside": self.outside, **self.statuses}


def annotate_file(job: AnnotateJob, advance: Callable[[int], None] = lambda records: None) -> Summary:
    """Run a job; the output appears under its name only when all of it is written.

    ``advance`` is told of every chunk's records. Raises the errors of :mod:`varscore.errors`.
    """
    for path in (job.scores, job.skipped):
        if path is not None:
            refuse_existing(str(path), force=job.force)
    tasks = job.model.tasks()
    chosen = choose_tasks(tasks, job.tasks)
    device = pick_device(job.device)
    with ExitStack() as stack:
        reader = stack.enter_context(VariantReader(job.source))
        genome = stack.enter_context(Genome(job.reference))
        net = job.model.load()
        stack.enter_context(evaluating(net, device))
        provenance = _provenance(job, genome)
        names = ContigNames(genome, reader.header.contigs)
        chunks = reader.chunks(CHUNK)
        first = next(chunks, None)
        _check_contigs(first, reader, names)
        writer = stack.enter_context(
            open_writer(
                job.output,
                reader.header,
                provenance,
                [task.name for task in tasks],
                output_format=job.output_format,
                force=job.force,
                contig_lengths=missing_contigs(genome, reader.header.contigs, first.alleles.contigs if first else ()),
            )  # fmt: skip
        )
        matrix = stack.enter_context(_open_matrix(job, [tasks[i] for i in chosen], provenance)) if job.scores else None
        skipped = stack.enter_context(SkippedTable(str(job.skipped), job.force)) if job.skipped else None
        run = _Run(job, genome, names, ENGINES[job.engine](net, device, job.precision), chosen, writer, matrix, skipped)
        for chunk in itertools.chain([first] if first else [], chunks):
            run.take(chunk)
            advance(len(chunk))
    return run.summary


def choose_tasks(tasks: Sequence[Task], globs: Sequence[str]) -> np.ndarray:
    """Columns whose ``index:name`` or name fits one of the globs, all without globs. int64 (k,)

    Raises UsageError when a glob fits nothing.
    """
    if not globs:
        return np.arange(len(tasks))
    chosen: set[int] = set()
    for glob in globs:
        fits = [
            column
            for column, task in enumerate(tasks)
            if fnmatch.fnmatch(task.name, glob) or fnmatch.fnmatch(f"{column}:{task.name}", glob)
        ]
        if not fits:
            example = ", ".join(task.name for task in tasks[:3])
            raise UsageError(
                f"--tasks {glob!r} matches none of the {len(tasks)} tasks", remedy=f"they are named like {example}"
            )
        chosen.update(fits)
    return np.array(sorted(chosen))


def missing_contigs(genome: Genome, declared: Mapping[str, int | None], used: Sequence[str]) -> dict[str, int]:
    """The FASTA's contigs that a VCF header does not declare, in the VCF's own spelling, with their lengths.

    The spelling is learnt from the first name that the VCF and the FASTA write differently. A contig that cannot be spelled
    the VCF's way without a doubt (chrM) is left out.
    """
    names = match_contigs([*declared, *used], genome, {k: v for k, v in declared.items() if v is not None})
    there = {names[name] for name in declared}
    respelled = next(((ours, theirs) for ours, theirs in names.items() if theirs is not None and ours != theirs), None)
    lengths = {}
    for contig, length in genome.contigs.items():
        spelled = contig
        if respelled is not None:
            spelled = contig.removeprefix("chr") if respelled[1].startswith("chr") else f"chr{contig}"
            if spelled == contig or spelled in ("M", "MT", "chrM", "chrMT"):
                continue
        if contig not in there and spelled not in declared:
            lengths[spelled] = length
    return lengths


class SkippedTable:
    """The alleles without a score, one line each, as TSV: chrom, pos, id, ref, alt, status."""

    def __init__(self, path: str, force: bool) -> None:
        self._file = AtomicFile(path, force=force)
        self._file.write(b"chrom\tpos\tid\tref\talt\tstatus\n")

    def write(self, chunk: RecordChunk, status: np.ndarray) -> None:
        alleles = chunk.alleles
        for row in np.flatnonzero(status != Status.PASS).tolist():
            record = alleles.record[row]
            chrom, pos, _ = chunk.lines[record].split(b"\t", 2)
            fields = (
                chrom,
                pos,
                chunk.ids[record],
                alleles.ref[row],
                alleles.alt[row],
                Status(status[row]).name.encode(),
            )
            self._file.write(b"\t".join(fields) + b"\n")

    def __enter__(self) -> SkippedTable:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._file.commit()
        else:
            self._file.abort()


@dataclass
class _Run:
    """The tools of a run that is under way, and what it has counted."""

    job: AnnotateJob
    genome: Genome
    names: ContigNames
    engine: PlainEngine
    tasks: np.ndarray
    writer: Writer
    matrix: MatrixWriter | None
    skipped: SkippedTable | None
    summary: Summary = field(default_factory=Summary)

    def take(self, chunk: RecordChunk) -> None:
        """Score one chunk and hand it to every output."""
        if self.job.regions is not None:
            keep = self.job.regions.overlaps(chunk.alleles)
            self.summary.outside += int(np.count_nonzero(~keep))
            chunk = chunk.select(keep)
        if not len(chunk):
            return
        found = score_alleles(chunk.alleles, self.genome, self.names, self.engine, self.job.check_ref != "skip")
        self._count(chunk, found.status)
        self.writer.write(chunk, allele_scores(found, self.tasks))
        if self.matrix is not None:
            _write_matrix(self.matrix, chunk, found, self.tasks)
        if self.skipped is not None:
            self.skipped.write(chunk, found.status)

    def _count(self, chunk: RecordChunk, status: np.ndarray) -> None:
        summary = self.summary
        summary.records += len(chunk)
        summary.alleles += int(np.count_nonzero(status != Status.NO_ALT))
        for value, n in zip(*np.unique(status, return_counts=True), strict=True):
            summary.statuses[Status(value).name] += int(n)
        if self.job.check_ref == "error" and summary.statuses[Status.REF_MISMATCH.name]:
            raise _mismatch(chunk, int(np.flatnonzero(status == Status.REF_MISMATCH)[0]), self.genome, self.names)


def allele_scores(found: ScoreBatch, tasks: np.ndarray) -> AlleleScores:
    """The columns of the annotated file: the strongest of ``tasks`` (int64 column indices) of every allele."""
    n, effects = len(found.status), found.effects
    best = strongest(effects.diff, tasks)
    scored = np.arange(len(effects))
    task = np.full(n, -1, np.int32)
    task[found.rows] = best
    return AlleleScores(
        status=found.status,
        task=task,
        diff=spread(effects.diff[scored, best], found.rows, n),
        logodds=spread(effects.logodds[scored, best], found.rows, n),
    )


def finish(summary: Summary, job: AnnotateJob) -> None:
    """Warn of what the counts give away. Raises StrictError when ``--strict`` cannot be satisfied."""
    mismatches = summary.statuses[Status.REF_MISMATCH.name]
    if mismatches > WRONG_ASSEMBLY * (mismatches + summary.scored):
        log.warning(
            "%s of %s REF alleles disagree with %s: the variants are probably on another assembly (GRCh37/hg19 or "
            "GRCh38/hg38?); pass its FASTA with -r",
            f"{mismatches:,}", f"{mismatches + summary.scored:,}", job.reference.name,
        )  # fmt: skip


def demand_all(summary: Summary) -> None:
    """Raises StrictError when some allele has no score."""
    if missing := summary.alleles - summary.scored:
        raise StrictError(
            f"--strict: {missing:,} of {summary.alleles:,} alleles could not be scored", remedy="see VS_STATUS"
        )


def _check_contigs(first: RecordChunk | None, reader: VariantReader, names: ContigNames) -> None:
    """A file none of whose contigs are in the FASTA is an error, found before anything is written."""
    if first is None:
        return
    theirs = [*first.alleles.contigs, *reader.header.contigs]
    if not any(names.of(theirs)):
        raise VariantFileError(
            "none of the contigs is in the FASTA", where=reader.where,
            cause=f"the variants are on {', '.join(dict.fromkeys(theirs[:3]))}", remedy="pass the FASTA of their assembly with -r",
        )  # fmt: skip


def _provenance(job: AnnotateJob, genome: Genome) -> Provenance:
    return Provenance(
        version=__version__, command=job.command(), model=job.model.id, model_sha256=job.model.sha256,
        reference=genome.path.name, reference_sha256=genome.sha256,
    )  # fmt: skip


def _open_matrix(job: AnnotateJob, tasks: Sequence[Task], provenance: Provenance) -> MatrixWriter:
    names = [f"{task.index}:{task.name}" for task in tasks]
    return open_matrix(str(job.scores), names, dict(provenance.items()), force=job.force)


def _write_matrix(matrix: MatrixWriter, chunk: RecordChunk, found: ScoreBatch, tasks: np.ndarray) -> None:
    alleles, n = chunk.alleles, len(found.status)
    effects: Effects = found.effects
    values = {name: getattr(effects, name)[:, tasks] for name in ("ref", "alt", "diff", "logodds")}
    matrix.write(
        chrom=[alleles.contigs[index] for index in alleles.contig.tolist()],
        pos=one_based(alleles.start),
        ref=[alleles.ref[row] for row in range(n)],
        alt=[alleles.alt[row] for row in range(n)],
        status=[Status(value).name for value in found.status.tolist()],
        values={name: spread(block, found.rows, n) for name, block in values.items()},
    )


def _mismatch(chunk: RecordChunk, row: int, genome: Genome, names: ContigNames) -> VariantFileError:
    """What ``--check-ref error`` says of the first allele whose REF is not what the FASTA has."""
    alleles = chunk.alleles
    contig = alleles.contigs[alleles.contig[row]]
    start, ref = int(alleles.start[row]), alleles.ref[row].decode("ascii")
    variant = Variant(contig, start, ref, alleles.alt[row].decode("ascii"))
    target = names.of([contig])[0] or contig
    there = decode(genome.codes(target, start, start + len(ref))).decode()
    return VariantFileError(
        f"REF of {variant} is not what the FASTA has ({there})", where=genome.path,
        cause="another assembly, or a shifted POS", remedy="pass the right FASTA, or --check-ref warn",
    )  # fmt: skip


def count_records(path: str) -> int | None:
    """Lines that are not header, for the time left of a progress bar; None where counting would cost or cannot be done."""
    from varscore.files.lines import read_blocks

    if path == "-" or not Path(path).is_file() or Path(path).stat().st_size > 200 << 20:
        return None
    lines = 0
    blocks: Iterator[bytes] = read_blocks(path)
    for number, block in enumerate(blocks):
        if number == 0 and not block.startswith(b"##fileformat"):
            return None
        lines += block.count(b"\n")
    return lines
