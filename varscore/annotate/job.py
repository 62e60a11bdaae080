"""What ``annotate`` is asked to do, what can be known before it is done, and what is counted on the way."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.annotate.motifs import MotifSearch
from varscore.annotate.phased import OfHaplotypes
from varscore.annotate.writers.arrays import check_matrix
from varscore.annotate.writers.byname import check_output
from varscore.annotate.writers.haplotype_table import check_table, is_text
from varscore.engine.compute import Compute
from varscore.errors import StrictError, UsageError
from varscore.formats.kinds import OutputFormat, format_of
from varscore.formats.lines import read_blocks
from varscore.formats.regions import RegionSet
from varscore.formats.shards import Shard
from varscore.genome.alleles import Status
from varscore.genome.assembly import accession, accession_of
from varscore.genome.contigs import MITOCHONDRIAL, match_contigs
from varscore.genome.coords import Interval
from varscore.genome.sequence import Genome
from varscore.scoring.annotations import Annotations
from varscore.scoring.evalue import BACKGROUND
from varscore.scoring.stored.asked import Reuse
from varscore.scoring.survey import GenomeRules
from varscore.scoring.tags import PREFIX, check_prefix
from varscore.storage.atomic import is_stream, refuse_existing
from varscore.storage.fields import count, mapping
from varscore.storage.journal import DamagedJournal, Journal
from varscore.storage.outputs import INDEX_SUFFIXES, check_names, with_indexes
from varscore.storage.runjson import SUFFIX as RUN_SUFFIX
from varscore.tasks import Task, choose
from varscore.zoo.models import ModelFolder

log = logging.getLogger(__name__)

CHUNK = 1024
"""Records that are read, scored and written at a time."""
FEWEST = 256
"""The least of them: engines compute in tiles, which smaller chunks would fill with padding."""
COUNTED_BYTES = 200 << 20
"""Files up to this size are read once in advance to know how many records there are."""
CHECKS = ("warn", "skip", "error")
"""What may become of a REF that the FASTA contradicts"""
WRONG_ASSEMBLY = 0.5
"""Share of REF alleles that disagree with the FASTA from which on another assembly is suspected."""
SWAP = "`bcftools norm -c s` swaps substitutions back"
"""What helps when REF and ALT are the other way round"""


@dataclass(frozen=True)
class AnnotateJob:
    """Everything ``annotate`` is asked to do.

    source: VCF or BCF, ``-`` is stdin; with ``saturate``, the BED file that its intervals come from
    output: annotated file, ``-`` is stdout; output_format: letter of ``-O``
    tasks: globs, none means all; batch_size: records in flight at once, about
    inputs: what is read besides (a BED of regions, a background), which no output may replace
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
    tag_prefix: str = PREFIX
    """What the tags of a VCF begin with"""
    check_ref: str = "warn"
    as_written: bool = False
    """Alleles keep the spelling of their record instead of the minimal, left-aligned form"""
    rules: GenomeRules = field(default_factory=GenomeRules)
    """How the variants must fit the genome"""
    scores: Path | None = None
    skipped: Path | None = None
    motifs: MotifSearch | None = None
    """Whose sites are looked for"""
    motif_table: Path | None = None
    compute: Compute = field(default_factory=Compute)
    batch_size: int | None = None
    force: bool = False
    resume: bool = True
    """Keep a journal, and carry on from the one that an earlier process has left"""
    shard: Shard | None = None
    inputs: tuple[str, ...] = ()
    reuse: Reuse = field(default_factory=Reuse)
    """Scores that are there already"""
    haplotypes: OfHaplotypes | None = None
    """Score alleles on the haplotypes that carry them, too"""

    def check(self) -> None:
        """Everything that can be known to be wrong with the outputs before any work is done.

        Raises UsageError and OutputExists.
        """
        check_prefix(self.tag_prefix)
        if self.check_ref not in CHECKS:
            raise UsageError(f"`check_ref={self.check_ref}` is none of {', '.join(CHECKS)}")
        if self.shard and (self.from_stream or is_stream(self.output)):
            raise UsageError("a shard cannot be read from or written to a stream", remedy="give file names")
        if self.shard and format_of(self.output, self.output_format) in (OutputFormat.BCF, OutputFormat.BCF_RAW):
            raise UsageError(
                "a shard cannot be written as BCF, whose header depends on all records",
                where=self.output,
                remedy="write .vcf.gz; varscore merge makes a .bcf of the shards",
            )
        if self.reuse.archive is not None and self.scores is not None:
            raise UsageError(
                "an archive has no score matrix", where=self.reuse.archive, remedy="leave it out, or `scores`"
            )
        force = self.force or self._is_settled()
        check_names([self.output, *self.further], self.files_read(), self._sides())
        check_output(self.output, self.output_format, force=force)
        if self.scores is not None:
            check_matrix(str(self.scores), force=force)
        for table in (self.skipped, self.motif_table):
            if table is not None:
                refuse_existing(str(table), force=force)
        if self.haplotypes is not None:
            self._check_haplotypes(force)

    def _check_haplotypes(self, force: bool) -> None:
        if self.saturate:
            raise UsageError("haplotypes are those of a file's samples", remedy="leave out `haplotypes` or `saturate`")
        if self.reuse.is_on:
            raise UsageError("`haplotypes` takes nothing from a cache or an archive", remedy="leave one of them out")
        table = self.haplotype_table
        if table is not None:
            check_table(str(table), force=force)
            if self.shard and not is_text(str(table)):
                raise UsageError("shards have their haplotype table as text", where=table, remedy="end it in .tsv.gz")

    @property
    def haplotype_table(self) -> Path | None:
        return self.haplotypes.table if self.haplotypes else None

    @property
    def further(self) -> tuple[str, ...]:
        """The outputs beside the annotated file."""
        named = (self.scores, self.skipped, self.motif_table, self.haplotype_table)
        return tuple(str(path).rstrip("/") or str(path) for path in named if path is not None)

    def files_read(self) -> list[str]:
        """Every file that is read."""
        found = [*with_indexes(self.source, str(self.reference)), *self.inputs]
        found += [str(self.reuse.archive)] if self.reuse.archive else []
        found += [*self.model.files, str(self.model.path / BACKGROUND), *self.annotations.tracks.paths]
        found += [str(self.motifs.path)] if self.motifs else []
        return [*found, *(path for classifier, _ in self.annotations.classifiers for path in classifier.files)]

    def _sides(self) -> list[str]:
        """The files that appear beside the annotated one."""
        kind = format_of(self.output, self.output_format)
        indexes = INDEX_SUFFIXES if kind in (OutputFormat.VCF_GZ, OutputFormat.BCF) else ()
        return [self.output + suffix for suffix in (RUN_SUFFIX, *indexes)] if not is_stream(self.output) else []

    @property
    def from_stream(self) -> bool:
        return is_stream(self.source)

    @property
    def journal(self) -> Journal | None:
        """The journal that this run keeps; none with ``resume`` off or a stream at either end."""
        tables = (self.skipped, self.motif_table, self.haplotype_table)
        streams = [self.source, self.output, *(str(table) for table in tables if table)]
        return Journal(self.output, self.further) if self.resume and not any(map(is_stream, streams)) else None

    def _is_settled(self) -> bool:
        """Whether an earlier process has done everything but renaming, in which some outputs may have their names."""
        with suppress(DamagedJournal):
            entry = self.journal.read() if self.journal else None
            return entry is not None and entry.placements is not None
        return False

    def chunk(self) -> int:
        """Records that are read, scored and written at a time: ``batch_size``, rounded up."""
        if self.batch_size is None:
            return 4 * CHUNK if self.reuse.archive_only else CHUNK
        return -(-self.batch_size // FEWEST) * FEWEST

    def command(self) -> str:
        """The options that change scores, normalised: the same scores, the same text."""
        parts = [
            "annotate",
            *self.compute.options,
            f"--check-ref {'skip' if self.check_ref == 'skip' else 'warn'}",
        ]
        parts += ["--as-written"] if self.as_written else []
        parts += ["--archive-only"] if self.reuse.archive_only else []
        parts += [f"--tasks {glob}" for glob in sorted(set(self.tasks))]
        parts += [f"--rename-chrs {self.rules.digest}"] if self.rules.renames else []
        parts += self.haplotypes.options() if self.haplotypes else []
        return " ".join([*parts, *self.annotations.command, *(self.motifs.command if self.motifs else ())])


@dataclass
class Summary:
    """What happened to the records of a run."""

    records: int = 0
    alleles: int = 0
    outside: int = 0
    """Records left out by ``--region``"""
    unknown: int = 0
    """Bases left out by ``--saturate`` because the genome has N there"""
    stored: int = 0
    """Alleles whose scores were there already, of those that this process came upon"""
    statuses: Counter[str] = field(default_factory=Counter)
    """Alleles (and records without ALT) per status"""

    @property
    def scored(self) -> int:
        return self.statuses[Status.PASS.name]

    def __str__(self) -> str:
        parts = [f"{self.records:,} records", f"{self.alleles:,} alleles", f"{self.scored:,} scored"]
        parts += [f"{self.stored:,} of them were there already"] if self.stored else []
        parts += [f"{n:,} {reason}" for reason, n in self.reasons().items()]
        parts += [f"{self.outside:,} records outside the regions left out"] if self.outside else []
        parts += [f"{self.unknown:,} bases that are N left out"] if self.unknown else []
        return ", ".join(parts)

    def reasons(self) -> dict[str, int]:
        """Alleles (and records without ALT) for each reason why there is no score, the most frequent first."""
        return {name: n for name, n in self.statuses.most_common() if name != Status.PASS.name}

    def count(self, records: int, status: NDArray[np.uint8]) -> None:
        """Add a chunk. status: uint8 (n,) of its alleles"""
        self.records += records
        self.alleles += int(np.count_nonzero(status != Status.NO_ALT))
        for value, n in zip(*np.unique(status, return_counts=True), strict=True):
            self.statuses[Status(value).name] += int(n)

    def mark(self) -> dict[str, object]:
        """Everything, as JSON; :meth:`read` makes it again."""
        return {**vars(self), "statuses": dict(self.statuses)}

    @classmethod
    def read(cls, fields: Mapping[str, object]) -> Summary:
        """Raises KeyError, TypeError and ValueError for what :meth:`mark` has not made."""
        statuses = Counter({Status[name].name: count(n) for name, n in mapping(fields["statuses"]).items()})
        rest = {name: count(n) for name, n in fields.items() if name != "statuses"}
        return cls(**rest, statuses=statuses)

    def fields(self) -> dict[str, int]:
        counts = {"records": self.records, "alleles": self.alleles, "scored": self.scored, "outside": self.outside}
        return counts | ({"unknown_bases": self.unknown} if self.unknown else {}) | self.reasons()


def choose_tasks(tasks: Sequence[Task], globs: Sequence[str]) -> NDArray[np.int64]:
    """Columns of the tasks that fit one of the globs of ``--tasks``, all without globs. int64 (k,)

    Raises UsageError when a glob fits nothing.
    """
    return np.array(choose(tasks, globs, "`tasks`")) if globs else np.arange(len(tasks))


def missing_contigs(
    genome: Genome, declared: Mapping[str, int | None], used: Sequence[str], renames: Mapping[str, str] | None = None
) -> dict[str, int]:
    """The FASTA's contigs that a VCF header does not declare, in the VCF's own spelling, with their lengths.

    The spelling of those that are not ``used`` is learnt from the first name that the VCF and the FASTA write
    differently. A contig that cannot be spelled the VCF's way without a doubt (chrM) is left out.
    """
    known = {name: length for name, length in declared.items() if length is not None}
    names = match_contigs([*declared, *used], genome, known, renames)
    pairs = [(ours, theirs) for ours, theirs in names.items() if theirs is not None]
    different = next(((ours, theirs) for ours, theirs in pairs if theirs not in (ours, *MITOCHONDRIAL)), None)
    there = {names[name] for name in declared}
    lengths = {}
    for contig, length in genome.contigs.items():
        used_here = [ours for ours, theirs in pairs if theirs == contig]
        guessed = _spell(contig, length, different)
        for name in used_here or ([guessed] if guessed is not None else []):
            if contig not in there and name not in declared:
                lengths[name] = length
    return lengths


def _spell(contig: str, length: int, different: tuple[str, str] | None) -> str | None:
    """A FASTA's contig in the way of ``different``, a contig's name in the VCF and in the FASTA."""
    if different is None:
        return contig
    ours, theirs = different
    if contig in MITOCHONDRIAL:
        return None
    if accession(ours):
        return accession_of(contig, length)
    if ours == f"chr{theirs}":
        return f"chr{contig}"
    return contig.removeprefix("chr") if theirs == f"chr{ours}" and contig.startswith("chr") else None


def warn_of_assembly(summary: Summary, reference: Path) -> None:
    """Say so when most REF alleles disagree with the FASTA."""
    mismatches = summary.statuses[Status.REF_MISMATCH.name]
    if mismatches > WRONG_ASSEMBLY * (mismatches + summary.scored):
        log.warning(
            "%s of %s REF alleles disagree with %s: the variants are probably on another assembly (GRCh37/hg19 or "
            "GRCh38/hg38?); pass its FASTA with -r",
            f"{mismatches:,}",
            f"{mismatches + summary.scored:,}",
            reference.name,
        )


def warn_of_swapped(summary: Summary, reference: Path) -> None:
    """Say so when alleles have REF and ALT the other way round."""
    if swapped := summary.statuses[Status.SWAPPED.name]:
        log.warning("%s alleles have REF and ALT swapped: ALT is what %s has; %s", f"{swapped:,}", reference.name, SWAP)


def demand_all(summary: Summary) -> None:
    """Raises StrictError when some allele has no score."""
    if missing := summary.alleles - summary.scored:
        raise StrictError(
            f"`strict`: {missing:,} of {summary.alleles:,} alleles could not be scored",
            remedy="the output is complete; VS_STATUS and `skipped` say why",
        )


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
