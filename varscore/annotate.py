"""``varscore annotate``: a variant file in, the same file with scores out."""

from __future__ import annotations

import fnmatch
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from varscore import __version__
from varscore.data.examples import Task
from varscore.effects import strongest
from varscore.engine import ENGINES
from varscore.engine.pool import EnginePool, Plan, devices
from varscore.errors import StrictError, UsageError, VariantFileError
from varscore.files.arrays import EFFECTS, MatrixWriter, check_matrix, open_matrix
from varscore.files.atomic import refuse_existing
from varscore.files.lines import read_blocks
from varscore.files.outputs import check_names
from varscore.files.regions import RegionSet
from varscore.files.saturation import SaturationReader
from varscore.files.scores import AlleleScores, Provenance, Writer, safe
from varscore.files.skipped import SkippedTable
from varscore.files.vcf import RecordChunk, VariantReader
from varscore.files.vcf_header import encode
from varscore.files.writers import check_output, open_writer
from varscore.functional.annotations import Annotations, Extra
from varscore.genome.alleles import Status
from varscore.genome.coords import Interval, Variant, one_based
from varscore.genome.sequence import MITOCHONDRIAL, Genome, decode, match_contigs
from varscore.score import ContigNames, ScoreBatch, score_chunks, spread
from varscore.zoo import ModelFolder

log = logging.getLogger(__name__)

CHUNK = 1024
"""Records that are read, scored and written at a time."""
EVALUE = "evalue"
"""The block of a score matrix that comes with a background"""
FEWEST = 256
"""The least of them: engines compute in tiles, which smaller chunks would fill with padding."""
COUNTED_BYTES = 200 << 20
"""Files up to this size are read once in advance to know how many records there are."""
WRONG_ASSEMBLY = 0.5
"""Share of REF alleles that disagree with the FASTA from which on another assembly is suspected."""


@dataclass(frozen=True)
class AnnotateJob:
    """Everything ``annotate`` is asked to do.

    source: VCF or BCF, ``-`` is stdin; with ``saturate``, the BED file that its intervals come from
    output: annotated file, ``-`` is stdout; output_format: letter of ``-O``
    tasks: globs, none means all; batch_size: records in flight at once, about
    """

    source: str
    output: str
    reference: Path
    model: ModelFolder
    output_format: str | None = None
    tasks: tuple[str, ...] = ()
    regions: RegionSet | None = None
    saturate: tuple[Interval, ...] = ()
    """Score every substitution at every base of these instead of a file's variants"""
    annotations: Annotations = field(default_factory=Annotations)
    """Classifiers and background of the model"""
    check_ref: str = "warn"
    scores: Path | None = None
    skipped: Path | None = None
    device: str = "auto"
    precision: str = "fp32"
    engine: str = "exact"
    batch_size: int | None = None
    threads: int | None = None
    force: bool = False

    def check(self) -> None:
        """Everything that can be known to be wrong with the outputs before any work is done.

        Raises UsageError and OutputExists.
        """
        further = [str(path) for path in (self.scores, self.skipped) if path is not None]
        check_names([self.output, *further], [self.source, str(self.reference)])
        check_output(self.output, self.output_format, force=self.force)
        if self.scores is not None:
            check_matrix(str(self.scores), force=self.force)
        if self.skipped is not None:
            refuse_existing(str(self.skipped), force=self.force)

    def chunk(self) -> int:
        """Records that are read, scored and written at a time: ``batch_size``, rounded up."""
        return CHUNK if self.batch_size is None else -(-self.batch_size // FEWEST) * FEWEST

    def command(self) -> str:
        """The options that change scores, normalised: the same scores, the same text."""
        parts = [
            "annotate",
            f"--engine {self.engine}",
            f"--precision {self.precision}",
            f"--check-ref {'skip' if self.check_ref == 'skip' else 'warn'}",
        ]
        parts += [f"--tasks {glob}" for glob in sorted(set(self.tasks))]
        return " ".join([*parts, *self.annotations.command])


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
        parts = [f"{self.records:,} records", f"{self.alleles:,} alleles", f"{self.scored:,} scored"]
        parts += [f"{n:,} {reason}" for reason, n in self.reasons().items()]
        parts += [f"{self.outside:,} records outside the regions left out"] if self.outside else []
        return ", ".join(parts)

    def reasons(self) -> dict[str, int]:
        """Alleles (and records without ALT) for each reason why there is no score, the most frequent first."""
        return {name: n for name, n in self.statuses.most_common() if name != Status.PASS.name}

    def fields(self) -> dict[str, int]:
        counts = {"records": self.records, "alleles": self.alleles, "scored": self.scored, "outside": self.outside}
        return counts | self.reasons()


def annotate_file(job: AnnotateJob, advance: Callable[[int], None] = lambda records: None) -> Summary:
    """Run a job; the output appears under its name only when all of it is written.

    ``advance`` is told of every chunk's records. Raises the errors of :mod:`varscore.errors`.
    """
    job.check()
    tasks = job.model.tasks()
    chosen = choose_tasks(tasks, job.tasks)
    where = devices(job.device, job.threads)
    with ExitStack() as stack:
        net = job.model.load()
        genome = stack.enter_context(Genome(job.reference))
        reader = stack.enter_context(_open_reader(job, genome))
        names = ContigNames(genome, reader.header.contigs)
        chunks = reader.chunks(job.chunk())
        head = list(itertools.islice(chunks, 2))
        if head and (reader.header.contigs or len(head) == 1):  # else more contigs may come
            _check_contigs(reader, names, head[-1].alleles.contigs)

        run = _open_run(stack, job, reader, genome, tasks, chosen, head)
        read = run.read(itertools.chain(head, chunks), advance)
        several = len(head) > 1  # starting processes takes longer than scoring one chunk
        plan = Plan(net, where if several else where[:1], ENGINES[job.engine], job.precision)
        pool = stack.enter_context(EnginePool(plan))
        for chunk, found in score_chunks(read, genome, names, pool, net.window, job.check_ref != "skip"):
            if job.check_ref == "error":
                _demand_matches(chunk, found, genome, names)
            run.write(chunk, found)
            advance(len(chunk))
        if run.contigs:
            _check_contigs(reader, names, run.contigs)
    return run.summary


def choose_tasks(tasks: Sequence[Task], globs: Sequence[str]) -> np.ndarray:
    """Columns whose name, ``index:name`` or VS_TASK fits one of the globs, all without globs. int64 (k,)

    Raises UsageError when a glob fits nothing.
    """
    if not globs:
        return np.arange(len(tasks))
    chosen: set[int] = set()
    for glob in globs:
        fits = [
            column
            for column, task in enumerate(tasks)
            if any(
                fnmatch.fnmatchcase(name, glob)
                for name in (task.name, f"{column}:{task.name}", f"{column}:{safe(task.name)}")
            )
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

    The spelling is learnt from the first name that the VCF and the FASTA write differently. A contig that cannot be
    spelled the VCF's way without a doubt (chrM) is left out.
    """
    names = match_contigs([*declared, *used], genome, {k: v for k, v in declared.items() if v is not None})
    there = {names[name] for name in declared}
    differ = ((ours, theirs) for ours, theirs in names.items() if theirs not in (None, ours, *MITOCHONDRIAL))
    respelled = next(differ, None)
    lengths = {}
    for contig, length in genome.contigs.items():
        spelled = contig
        if respelled is not None:
            spelled = contig.removeprefix("chr") if respelled[1].startswith("chr") else f"chr{contig}"
            if spelled == contig or contig in MITOCHONDRIAL:
                continue
        if contig not in there and spelled not in declared:
            lengths[spelled] = length
    return lengths


@dataclass
class _Run:
    """The outputs of a run that is under way, and what it has counted."""

    job: AnnotateJob
    tasks: np.ndarray
    """The columns of ``--tasks``, int64 (k,)"""
    writer: Writer
    matrix: MatrixWriter | None
    skipped: SkippedTable | None
    summary: Summary = field(default_factory=Summary)
    contigs: tuple[str, ...] = ()
    """Names of all contigs read so far"""

    def read(self, chunks: Iterable[RecordChunk], advance: Callable[[int], None]) -> Iterator[RecordChunk]:
        """The records to score: all, or those in the regions; the others are counted and left out."""
        for chunk in chunks:
            self.contigs = chunk.alleles.contigs
            if self.job.regions is None:
                yield chunk
                continue
            inside = chunk.select(self.job.regions.overlaps(chunk.alleles))
            outside = len(chunk) - len(inside)
            self.summary.outside += outside
            advance(outside)
            if len(inside):
                yield inside

    def write(self, chunk: RecordChunk, found: ScoreBatch) -> None:
        """Count a scored chunk and hand it to every output."""
        self._count(chunk, found.status)
        extra = self.job.annotations.compute(found.effects, chunk.alleles, found.rows)
        self.writer.write(chunk, allele_scores(found, self.tasks, extra.columns))
        if self.matrix is not None:
            _write_matrix(self.matrix, chunk, found, extra, self.tasks)
        if self.skipped is not None:
            self.skipped.write(chunk, found.status)

    def _count(self, chunk: RecordChunk, status: np.ndarray) -> None:
        self.summary.records += len(chunk)
        self.summary.alleles += int(np.count_nonzero(status != Status.NO_ALT))
        for value, n in zip(*np.unique(status, return_counts=True), strict=True):
            self.summary.statuses[Status(value).name] += int(n)


def _open_reader(job: AnnotateJob, genome: Genome) -> AbstractContextManager[VariantReader | SaturationReader]:
    if job.saturate:
        return nullcontext(SaturationReader(job.saturate, genome, job.source))
    return VariantReader(job.source)


def _open_run(
    stack: ExitStack,
    job: AnnotateJob,
    reader: VariantReader | SaturationReader,
    genome: Genome,
    tasks: Sequence[Task],
    chosen: np.ndarray,
    head: Sequence[RecordChunk],
) -> _Run:
    """Open every output. ``stack`` closes them in reverse: the annotated file appears last, when all others are there.

    head: the first chunks, from which contig names are known that the header may lack
    """
    provenance = Provenance(
        version=__version__, command=job.command(), model=job.model.id, model_sha256=job.model.sha256,
        reference=genome.path.name, reference_sha256=genome.sha256, notes=job.annotations.notes,
    )  # fmt: skip
    declared, used = reader.header.contigs, head[-1].alleles.contigs if head else ()
    writer = open_writer(
        job.output, reader.header, provenance, [task.name for task in tasks], job.annotations.columns,
        job.output_format, force=job.force, contig_lengths=missing_contigs(genome, declared, used),
    )  # fmt: skip
    stack.enter_context(writer)
    matrix = skipped = None
    if job.scores is not None:
        labels = [f"{tasks[column].index}:{tasks[column].name}" for column in chosen.tolist()]
        blocks = EFFECTS if job.annotations.background is None else (*EFFECTS, EVALUE)
        facts = dict(provenance.items())
        matrix = stack.enter_context(open_matrix(str(job.scores), labels, facts, blocks=blocks, force=job.force))
    if job.skipped is not None:
        skipped = stack.enter_context(SkippedTable(str(job.skipped), force=job.force))
    return _Run(job, chosen, writer, matrix, skipped)


def allele_scores(found: ScoreBatch, tasks: np.ndarray, extra: Mapping[str, np.ndarray] | None = None) -> AlleleScores:
    """The columns of the annotated file: the strongest of ``tasks`` (int64 column indices) of every allele.

    extra: further columns of the scored alleles, float32 (m,)
    """
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
        extra={name: spread(column, found.rows, n) for name, column in (extra or {}).items()},
    )


def warn_of_assembly(summary: Summary, reference: Path) -> None:
    """Say so when most REF alleles disagree with the FASTA."""
    mismatches = summary.statuses[Status.REF_MISMATCH.name]
    if mismatches > WRONG_ASSEMBLY * (mismatches + summary.scored):
        log.warning(
            "%s of %s REF alleles disagree with %s: the variants are probably on another assembly (GRCh37/hg19 or "
            "GRCh38/hg38?); pass its FASTA with -r",
            f"{mismatches:,}", f"{mismatches + summary.scored:,}", reference.name,
        )  # fmt: skip


def demand_all(summary: Summary) -> None:
    """Raises StrictError when some allele has no score."""
    if missing := summary.alleles - summary.scored:
        raise StrictError(
            f"--strict: {missing:,} of {summary.alleles:,} alleles could not be scored",
            remedy="the output is complete; VS_STATUS and --skipped say why",
        )


def _check_contigs(reader: VariantReader | SaturationReader, names: ContigNames, used: Sequence[str]) -> None:
    """Raises VariantFileError when no contig met so far is in the FASTA. used: those of some records."""
    if names.none_of([*used, *reader.header.contigs]):
        raise VariantFileError(
            "none of the contigs is in the FASTA", where=reader.where,
            cause=f"the variants are on {', '.join(used[:3])}",
            remedy="pass the FASTA of their assembly with -r",
        )  # fmt: skip


def _write_matrix(matrix: MatrixWriter, chunk: RecordChunk, found: ScoreBatch, extra: Extra, tasks: np.ndarray) -> None:
    alleles, n = chunk.alleles, len(found.status)
    blocks = {name: getattr(found.effects, name) for name in EFFECTS}
    if extra.evalues is not None:
        blocks[EVALUE] = extra.evalues
    contigs = [encode(name).decode("utf-8", "replace") for name in alleles.contigs]
    matrix.write(
        chrom=[contigs[index] for index in alleles.contig.tolist()],
        pos=one_based(alleles.start),
        ref=alleles.ref,
        alt=alleles.alt,
        status=[Status(value).name for value in found.status.tolist()],
        values={name: spread(block[:, tasks], found.rows, n) for name, block in blocks.items()},
    )


def _demand_matches(chunk: RecordChunk, found: ScoreBatch, genome: Genome, names: ContigNames) -> None:
    """``--check-ref error``: raises VariantFileError for the first allele whose REF is not what the FASTA has."""
    mismatches = np.flatnonzero(found.status == Status.REF_MISMATCH).tolist()
    if not mismatches:
        return
    alleles, row = chunk.alleles, mismatches[0]
    contig = alleles.contigs[alleles.contig[row]]
    start, ref = int(alleles.start[row]), alleles.ref[row].decode("ascii")
    variant = Variant(contig, start, ref, alleles.alt[row].decode("ascii"))
    there = decode(genome.codes(names.of([contig])[0] or contig, start, start + len(ref))).decode()
    raise VariantFileError(
        f"REF of {variant} is not what the FASTA has ({there})", where=genome.path,
        cause="another assembly, or a shifted POS", remedy="pass the right FASTA, or --check-ref warn",
    )  # fmt: skip


def count_records(path: str) -> int | None:
    """Records of a file, for a progress bar: None for BCF and streams, and where counting would take seconds."""
    if path == "-" or not Path(path).is_file() or Path(path).stat().st_size > COUNTED_BYTES:
        return None
    lines = 0
    for number, block in enumerate(read_blocks(path)):
        if number == 0 and not block.startswith(b"##fileformat"):
            return None
        lines += block.count(b"\n") - block.count(b"\n#")
    return lines - 1  # the first header line follows no other
