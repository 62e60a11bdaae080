"""The run: read, score, write, one portion after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.annotate.identity import identify, journal_key
from varscore.annotate.job import SWAP, AnnotateJob, Summary, choose_tasks, missing_contigs
from varscore.annotate.motifs import COLUMN as MOTIF
from varscore.annotate.outputs import Later, Outputs, Plan, Portion, call_now
from varscore.annotate.phased import Tally, on_disk
from varscore.annotate.record import RunInfo
from varscore.annotate.rows import REF_PROB, SPAN
from varscore.annotate.saturation import SaturationReader
from varscore.annotate.stores import open_store
from varscore.annotate.writers.byname import Content
from varscore.annotate.writers.scores import Provenance
from varscore.engine.pool import LOCAL, Engines, IdlePool, Pool
from varscore.errors import VariantFileError
from varscore.formats.lines import source_name
from varscore.formats.shards import Range, Shard
from varscore.formats.vcf import RecordChunk, VariantReader
from varscore.genome.alleles import Status
from varscore.genome.contigs import ContigNames
from varscore.genome.coords import Variant
from varscore.genome.reasons import Rules
from varscore.genome.sequence import Genome, decode
from varscore.nets.plugins import loaded
from varscore.scoring.cohort import Cohort
from varscore.scoring.haplotypes import OnHaplotypes, Phasing, score_on_haplotypes
from varscore.scoring.score import ScoreBatch, score_chunks
from varscore.scoring.stored.reuse import StoredScores
from varscore.scoring.survey import GenomeRules, compared, open_names, tell_of_strand, tell_of_training
from varscore.scoring.tags import OF_HAPLOTYPES
from varscore.stop import Stop
from varscore.tasks import Task, safe
from varscore.zoo.models import ModelFolder, ranked_tasks

Reader = VariantReader | SaturationReader
SPELLING = 64
"""Records whose contigs tell how the file spells them"""


def annotate_file(
    job: AnnotateJob,
    advance: Callable[[int], None] = lambda records: None,
    stop: Stop | None = None,
    info: RunInfo | None = None,
    engines: Engines = LOCAL,
    later: Later = call_now,
) -> Summary:
    """Run a job; the output appears under its name only when all of it is written.

    advance: told of every chunk's records; stop: asked after each whether to end here; info: who runs, for a run.json
    beside the output; engines: of this machine, or of a cluster, which changes nothing but the time it takes; later: is
    given what is to be done when all else is (see Outputs).
    What an earlier process has left of the same job is carried on with (see Outputs).
    Raises the errors of :mod:`varscore.errors`.
    """
    job.check()
    tasks = job.model.tasks()
    chosen = choose_tasks(tasks, job.tasks)
    where = job.compute.where(engines)
    with ExitStack() as stack:
        outputs = stack.enter_context(Outputs(job, info, later))
        net = None if job.reuse.archive_only else job.model.load()
        genome = stack.enter_context(Genome(job.reference))
        path = stack.enter_context(on_disk(job.source, job.haplotypes is not None))
        reader = stack.enter_context(_open_reader(job, genome, path))
        names = _open_names(job, reader, genome)
        _tell_of_model(job.model, genome)  # "fine" is said of no variants that are refused
        job.annotations.tracks.fit(genome, names.find)
        store = open_store(job, ranked_tasks(job.model, chosen), where[0].type, genome, stack)
        if not outputs.begin(_plan(job, reader, genome, tasks, chosen, where[0].type, store)):
            return outputs.summary
        advance(outputs.records)

        portions = _read(job, _chunks(job, reader, names, genome, outputs.records), names, advance)
        head = list(itertools.islice(portions, 2))
        if reader.header.contigs or len(head) == 1:  # else more contigs may come
            _check_contigs(reader, names)
        several = len(head) > 1  # starting processes takes longer than scoring one chunk
        plan = None if net is None else job.compute.plan(net, where if several else where[:1])
        pool: Pool = IdlePool() if plan is None else stack.enter_context(engines.pool(plan))
        read = itertools.chain(head, portions)
        scored = _score(job, read, genome, names, pool, store, _phasing(job, reader, path, genome, names, stack))
        tally = Tally()
        for portion, found, carried in scored:
            tally.count(carried)
            if job.check_ref == "error":
                _demand_matches(portion.chunk, found, genome, names)
            sites = job.motifs.changes(found, genome, names) if job.motifs else None
            outputs.write(portion, found, sites, carried)
            advance(len(portion.chunk))
            if stop is not None and stop.asked:
                outputs.commit()
                stop.leave()
        _check_contigs(reader, names)
        _finish(job, reader, names, store, outputs)
    tally.tell()
    names.warn_of_missing()
    job.annotations.tracks.warn_of_missing()
    return outputs.summary


def _tell_of_model(model: ModelFolder, genome: Genome) -> None:
    tell_of_training(model.id, model.card, genome)
    tell_of_strand(model.id, model.card)


def _finish(job: AnnotateJob, reader: Reader, names: ContigNames, store: StoredScores | None, outputs: Outputs) -> None:
    """All is read and scored."""
    if job.regions is not None:
        names.demand_regions(job.regions.contigs, (*reader.header.contigs, *reader.contigs))
    if isinstance(reader, SaturationReader):
        outputs.summary.unknown = reader.skipped
    if store is not None:
        outputs.summary.stored = store.hits
        store.warn_of_stale()
    outputs.finish(reader.records)


def _score(
    job: AnnotateJob,
    read: Iterator[Portion],
    genome: Genome,
    names: ContigNames,
    pool: Pool,
    store: StoredScores | None,
    phasing: Phasing | None,
) -> Iterator[tuple[Portion, ScoreBatch, OnHaplotypes | None]]:
    """Every portion with what became of its alleles, and of those on haplotypes where these are asked for."""
    window, rules, untrained = job.model.config().window, _judging(job), job.annotations.untrained
    if phasing is not None:
        yield from score_on_haplotypes(read, genome, names, pool, window, rules, phasing, untrained)
        return
    for portion, found in score_chunks(read, genome, names, pool, window, rules, store, untrained):
        yield portion, found, None


def _phasing(
    job: AnnotateJob, reader: Reader, path: str, genome: Genome, names: ContigNames, stack: ExitStack
) -> Phasing | None:
    """Raises VariantFileError for a file without samples, UsageError for a sample that it does not have."""
    if job.haplotypes is None:
        return None
    ranked = ranked_tasks(job.model, choose_tasks(job.model.tasks(), job.tasks))
    samples = job.haplotypes.choose(reader.header, reader.where)
    cohort = Cohort(path, samples, genome, names, _judging(job), job.model.config().window, reader.where)
    stack.callback(cohort.close)
    return Phasing(cohort, job.haplotypes.rules, ranked)


def _judging(job: AnnotateJob) -> Rules:
    return Rules(check_ref=job.check_ref != "skip", as_written=job.as_written)


def _open_reader(job: AnnotateJob, genome: Genome, path: str) -> AbstractContextManager[Reader]:
    if job.saturate:
        return nullcontext(SaturationReader(job.saturate, genome, job.source, job.shard, job.rules.renames))
    return VariantReader(path, name=source_name(job.source))


def _plan(
    job: AnnotateJob,
    reader: Reader,
    genome: Genome,
    tasks: Sequence[Task],
    chosen: NDArray[np.int64],
    device: str,
    store: StoredScores | None,
) -> Plan:
    further = () if store is None else store.notes
    provenance = Provenance(
        version=__version__,
        command=job.command(),
        model=job.model.id,
        model_sha256=job.model.sha256,
        reference=genome.path.name,
        reference_sha256=genome.sha256,
        notes=(*job.annotations.notes, *(job.motifs.notes(genome) if job.motifs else ()), *_plugins(), *further),
    )
    header = reader.header
    lengths = missing_contigs(genome, header.contigs, reader.first_contigs(SPELLING), job.rules.renames)
    names = [task.name for task in tasks]
    columns, meanings = (REF_PROB, *job.annotations.columns, SPAN), job.annotations.meanings
    columns = (*columns, *(OF_HAPLOTYPES if job.haplotypes else ()))
    if job.motifs is not None:
        columns, meanings = (*columns, MOTIF), {**meanings, MOTIF: job.motifs.meaning}
    identity = identify(job, genome, device) | ({"archive": str(further)} if further else {})
    return Plan(
        content=Content(
            header,
            provenance,
            names,
            columns,
            lengths,
            job.model.card.objective == "values",
            job.tag_prefix,
            meanings,
        ),
        tasks=chosen,
        ranked=ranked_tasks(job.model, chosen),
        labels=[f"{tasks[column].index}:{tasks[column].name}" for column in chosen.tolist()],
        identity=identity,
        key=journal_key(job, identity),
        store=store,
    )


def _plugins() -> Iterator[tuple[str, str]]:
    """Provenance: the files of users that were run."""
    return (("Plugin", f"<ID={safe(plugin.path.stem)},SHA256={plugin.sha256}>") for plugin in loaded())


def _open_names(job: AnnotateJob, reader: Reader, genome: Genome) -> ContigNames:
    """The FASTA's names for the variants' contigs. Raises VariantFileError and InputError when they do not fit it."""
    regions = () if job.regions is None else job.regions.contigs
    if isinstance(reader, VariantReader):
        return open_names(job.source, reader, genome, _rules(job), regions)
    names = ContigNames(genome, reader.header.contigs, job.rules.renames, reader.where)
    names.demand_regions(regions)
    return names


def _rules(job: AnnotateJob) -> GenomeRules:
    return job.rules if job.check_ref != "skip" else replace(job.rules, max_mismatch=1.0)


def _chunks(job: AnnotateJob, reader: Reader, names: ContigNames, genome: Genome, start: int) -> Iterator[RecordChunk]:
    """The records from ``start`` on that are the shard's."""
    rest = Range(job.shard or Shard(), start)
    chunks = reader.chunks(job.chunk(), rest.has if start or job.shard else None)
    return chunks if job.saturate else compared(chunks, job.source, names, genome, _rules(job))


def _read(
    job: AnnotateJob, chunks: Iterator[RecordChunk], names: ContigNames, advance: Callable[[int], None]
) -> Iterator[Portion]:
    """Of the records those in the regions; the others are counted."""
    regions = job.regions and job.regions.placed(names.key)
    outside = 0
    for chunk in chunks:
        inside = chunk if regions is None else chunk.select(regions.overlaps(chunk.alleles))
        outside += len(chunk) - len(inside)
        advance(len(chunk) - len(inside))
        if len(inside):
            yield Portion(inside, outside, int(chunk.numbers[-1]) + 1)
            outside = 0
    if outside:
        yield Portion(inside, outside, int(chunk.numbers[-1]) + 1)


def _check_contigs(reader: Reader, names: ContigNames) -> None:
    """Raises VariantFileError when there are records and no contig met so far is in the FASTA, or one is another."""
    names.of(reader.contigs)
    names.demand_some(reader.contigs, reader.header.contigs)


def _demand_matches(chunk: RecordChunk, found: ScoreBatch, genome: Genome, names: ContigNames) -> None:
    """``--check-ref error``: raises VariantFileError for the first allele whose REF is not what the FASTA has."""
    mismatches = np.flatnonzero(np.isin(found.status, [Status.SWAPPED, Status.REF_MISMATCH])).tolist()
    if not mismatches:
        return
    alleles, row = chunk.alleles, mismatches[0]
    contig = alleles.contigs[alleles.contig[row]]
    start, ref = int(alleles.start[row]), alleles.ref[row].decode("ascii")
    variant = Variant(contig, start, ref, alleles.alt[row].decode("ascii"))
    there = decode(genome.codes(names.of([contig])[0] or contig, start, start + len(ref))).decode()
    is_swapped = found.status[row] == Status.SWAPPED
    raise VariantFileError(
        f"REF of {variant} is not what the FASTA has ({there})",
        where=genome.path,
        cause="REF and ALT are swapped" if is_swapped else "another assembly, or a shifted POS",
        remedy=f"{SWAP}, or `check_ref=warn`" if is_swapped else "pass the right FASTA, or `check_ref=warn`",
    )
