"""The run behind ``varscore explain``: what is to be explained, by which methods, and what comes of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore.engine.compute import Compute
from varscore.engine.plain import PlainEngine
from varscore.engine.pool import LOCAL, Engines, Pool
from varscore.errors import DataError, UsageError
from varscore.formats import bcf
from varscore.formats.fasta import Fitted, read_fasta
from varscore.formats.lines import read_blocks, without_mark
from varscore.formats.regions import read_bed
from varscore.formats.vcf_header import FIRST_LINE
from varscore.genome.coords import Variant
from varscore.genome.sequence import Genome
from varscore.interpret.gradients import Attribution
from varscore.interpret.methods import COMPARED, Options, contribute, demand_methods
from varscore.interpret.references import demand_given
from varscore.interpret.subjects import AllelePair, Subject, intervals, parse_variant, sequences
from varscore.interpret.targets import check_target, default_target
from varscore.interpret.variants import Chosen, choose_alleles
from varscore.nets.layers import SequenceNet
from varscore.scoring.survey import GenomeRules, tell_of_strand
from varscore.storage.atomic import is_stream
from varscore.tasks import choose
from varscore.zoo.models import ModelFolder

log = logging.getLogger(__name__)

TOP, FLANK = 100, 30


@dataclass(frozen=True)
class ExplainJob:
    """What to explain and how. methods: those that give every base a number; whole: ``attention``, ``maximise``

    tasks: globs; target: None for the network's own

    centred: for ism, None for the source's own: of a FASTA the window stays, elsewhere it moves along
    span: for ism, bases mutated on either side; None: of alleles as many as a picture shows, else the whole window
    top: how many alleles of a variant file, the strongest; None: all
    """

    model: ModelFolder
    methods: tuple[str, ...] = ("ism",)
    whole: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    target: str | None = None
    options: Options = field(default_factory=Options)
    centred: bool | None = None
    span: int | None = None
    flank: int = FLANK
    top: int | None = TOP
    rules: GenomeRules = field(default_factory=GenomeRules)
    compute: Compute = field(default_factory=Compute)


@dataclass(frozen=True, slots=True)
class Explained:
    """A subject, and an attribution for each method, in the job's order."""

    subject: Subject
    attributions: Sequence[Attribution]


@dataclass(frozen=True, slots=True)
class ExplainedPair:
    """An allele: REF and ALT explained."""

    pair: AllelePair
    ref: Explained
    alt: Explained


Item = Subject | AllelePair
Result = Explained | ExplainedPair


@dataclass
class Explanation:
    """A run under way: what comes of it, in order, and what is known of its alleles.

    total: how many results there will be, None where that is not known
    """

    net: SequenceNet
    options: Options
    pool: Pool
    results: Iterator[Result]
    total: int | None
    tasks: NDArray[np.int64]
    """int64 (k,): those asked for, or all"""
    alleles: Chosen | None = None


def explain_source(
    job: ExplainJob, source: str | None, genome: Genome | None, stack: ExitStack, engines: Engines = LOCAL
) -> Explanation:
    """Explain a FASTA, a BED file, a VCF or BCF, or a variant given as text; the kind is told by content.

    source: None where no method needs one; genome: for all but a FASTA; stack: ends what the run has opened
    Raises the errors of :mod:`varscore.errors`.
    """
    variant = parse_variant(source, genome) if source is not None and not Path(source).exists() else None
    net = job.model.load()
    options = _options(job, net)
    demand_methods(net, (*job.methods, *job.whole), job.compute.precision)
    where = job.compute.where(engines)
    plan = job.compute.plan(net, where[:1] if variant is not None else where)
    kind = "variants" if variant is not None else kind_of(source) if source is not None else "nothing"
    if kind in ("variants", "bed") and genome is None:
        raise UsageError("a reference genome is needed", where=source, remedy="pass its FASTA with -r")
    if kind in ("variants", "bed"):
        tell_of_strand(job.model.id, job.model.card)
    pool = stack.enter_context(engines.pool(plan))
    if source is None:
        return Explanation(net, options, pool, iter(()), 0, _demanded_tasks(job))
    if kind == "variants":
        assert genome is not None
        return _of_variants(job, variant or source, genome, net, options, pool)
    tasks = _demanded_tasks(job)
    if kind == "fasta":
        fitted = Fitted(net.window)
        subjects = sequences(fitted.count(read_fasta(source)), net.window, tasks)
        results = _explained(pool, job, options, subjects)
        return Explanation(net, options, pool, _warned(results, fitted), None, tasks)
    assert genome is not None
    wanted = read_bed(source)
    centred = job.centred is not False
    subjects = intervals(wanted, genome, net.window, tasks, centred=centred, span=job.span)
    return Explanation(net, options, pool, _explained(pool, job, options, subjects), len(wanted), tasks)


def kind_of(source: str) -> str:
    """``fasta``, ``variants`` or ``bed``, by content. Raises DataError for a file that is missing, damaged or empty."""
    if source == "-":
        return "fasta"
    if is_stream(source):
        raise DataError("a pipe can be read only once", where=source, remedy="write it to a file, and name that")
    if not Path(source).exists():
        remedy = "check the path; one variant is written 'chr20:1000010 A>G'"
        raise DataError("there is no such file", where=source, remedy=remedy)
    blocks = read_blocks(source, DataError)
    head = without_mark(next(blocks, b""), source, DataError).lstrip()
    blocks.close()
    if not head:
        raise DataError("the file is empty", where=source)
    if head.startswith(b">"):
        return "fasta"
    return "variants" if head.startswith((FIRST_LINE, bcf.MAGIC)) else "bed"


def explain_alleles(
    pool: Pool, job: ExplainJob, options: Options, pairs: Iterable[AllelePair]
) -> Iterator[ExplainedPair]:
    """REF and ALT of alleles, in order."""
    for result in _explained(pool, job, options, pairs):
        assert isinstance(result, ExplainedPair)
        yield result


def _options(job: ExplainJob, net: SequenceNet) -> Options:
    target = job.target or default_target(net.goal)
    check_target(target, net.goal, job.methods)
    return replace(job.options, target=target)


def _demanded_tasks(job: ExplainJob) -> NDArray[np.int64]:
    """The tasks of what is no allele. Raises UsageError where several might be meant and none is named."""
    tasks = job.model.tasks()
    if job.tasks:
        return np.array(choose(tasks, job.tasks, "`task`"))
    if len(tasks) == 1:
        return np.zeros(1, np.int64)
    some = ", ".join(task.name for task in tasks[:3])
    raise UsageError(
        f"which of the {len(tasks)} tasks is to be explained?",
        cause=f"such as {some}",
        remedy="name it with `task`; `varscore models tasks MODEL` lists them",
    )


def _of_variants(
    job: ExplainJob, source: str | Variant, genome: Genome, net: SequenceNet, options: Options, pool: Pool
) -> Explanation:
    found = choose_alleles(source, job.model, genome, pool, net.window, job.tasks, job.top, job.rules)
    span = job.flank if job.span is None else job.span
    pairs = (
        scored.pair(genome, net.window, number, centred=job.centred is not False, span=span)
        for number, scored in enumerate(found.scored)
    )
    names = job.model.tasks()
    tasks = np.array(choose(names, job.tasks, "`task`")) if job.tasks else np.arange(len(names))
    return Explanation(net, options, pool, _explained(pool, job, options, pairs), len(found.scored), tasks, found)


def _explained(pool: Pool, job: ExplainJob, options: Options, items: Iterable[Item]) -> Iterator[Result]:
    work = partial(contribute_all, methods=job.methods, options=options)
    count = 0
    keyed = ((item, (item.ref, item.alt) if isinstance(item, AllelePair) else (item,)) for item in items)
    for item, found in pool.map(work, keyed):
        count += 1
        if isinstance(item, AllelePair):
            yield ExplainedPair(item, Explained(item.ref, found[0]), Explained(item.alt, found[1]))
        else:
            yield Explained(item, found[0])
    if set(job.methods) & set(COMPARED):
        demand_given(options.reference, count)


def contribute_all(
    engine: PlainEngine, subjects: Sequence[Subject], methods: Sequence[str], options: Options
) -> list[list[Attribution]]:
    """What an engine of a pool does with the subjects of an item."""
    return [contribute(engine, subject, methods, options) for subject in subjects]


def _warned(results: Iterator[Result], fitted: Fitted) -> Iterator[Result]:
    yield from results
    if fitted.padded or fitted.cut:
        log.warning(
            "%s sequences were shorter than the window of %s bp and padded with N, %s were longer and cut to their "
            "middle",
            f"{fitted.padded:,}",
            f"{fitted.window:,}",
            f"{fitted.cut:,}",
        )
