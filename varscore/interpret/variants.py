"""Which alleles of a variant file are explained: those that can be scored, or the strongest of them."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from varscore.engine.pool import Pool
from varscore.errors import VariantFileError
from varscore.formats.vcf import VariantReader
from varscore.genome.alleles import AlleleBatch, Status
from varscore.genome.contigs import ContigNames
from varscore.genome.coords import Variant
from varscore.genome.sequence import Genome, decode
from varscore.interpret.named import NamedAllele, effects_apart, end_that_counts, named_pair
from varscore.interpret.subjects import AllelePair, batch_of, file_name, pair
from varscore.scoring.effects import strongest
from varscore.scoring.score import HasAlleles, ScoreBatch, score_chunks
from varscore.scoring.survey import GenomeRules, open_names
from varscore.tasks import choose
from varscore.zoo.models import ModelFolder, ranked_tasks


@dataclass(frozen=True, slots=True)
class Scored:
    """An allele as the file spells it, and what became of it.

    contig: the FASTA's name; variant: in its minimal form; tasks: int64 (k,); diff, logodds: float32 (k,)
    named: of an allele that is not spelled out, such as ``<DEL>``
    """

    written: Variant
    status: str
    contig: str = ""
    variant: Variant | None = None
    tasks: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    diff: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    logodds: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    named: NamedAllele | None = None

    @property
    def name(self) -> str:
        """What its files are called; of an allele that has been scored."""
        assert self.variant is not None
        return file_name(self.variant, self.named.affected if self.named else 0)

    @property
    def strength(self) -> float:
        return float(np.abs(self.diff).max(initial=0))

    def pair(
        self, genome: Genome, window: int, number: int = 0, *, centred: bool = True, span: int | None = None
    ) -> AllelePair:
        """REF and ALT windows of an allele that has been scored, the ``number``-th input."""
        assert self.variant is not None
        make = pair if self.named is None else partial(named_pair, self.named)
        return make(
            self.variant,
            self.contig,
            genome,
            window,
            self.tasks,
            self.diff,
            self.logodds,
            number,
            centred=centred,
            span=span,
        )


@dataclass
class Chosen:
    """scored: the alleles to explain, in the order of the file; unscored: those without a score; statuses: of all"""

    scored: list[Scored] = field(default_factory=list)
    unscored: list[Scored] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def left_out(self) -> int:
        """Alleles with a score that are not among the strongest."""
        return self.statuses[Status.PASS.name] - len(self.scored)


@dataclass(frozen=True, slots=True)
class _One:
    alleles: AlleleBatch


def choose_alleles(
    source: str | Variant,
    model: ModelFolder,
    genome: Genome,
    pool: Pool,
    window: int,
    globs: Sequence[str],
    top: int | None,
    rules: GenomeRules,
) -> Chosen:
    """Score the alleles of a file, or one allele, and keep the ``top`` ones of largest difference; None: all.

    globs: the tasks to explain each by; without any it is an allele's own strongest one
    Raises VariantFileError for a single allele that cannot be scored.
    """
    names = model.tasks()
    asked = np.array(choose(names, globs, "`task`")) if globs else np.arange(len(names))
    tasks = ranked_tasks(model, asked)
    chosen, heap = Chosen(), []
    untrained = model.untrained.tolist()
    how = _Choice(tasks, bool(globs), untrained)
    for number, scored in enumerate(_scored(source, genome, pool, window, how, rules)):
        chosen.statuses[scored.status] += 1
        if scored.variant is None:
            chosen.unscored.append(scored)
            continue
        heap.append((scored.strength, -number, scored))
        if top is not None and len(heap) > 2 * top:
            heap = heapq.nlargest(top, heap, key=_order)
    kept = heap if top is None else heapq.nlargest(top, heap, key=_order)
    chosen.scored = [scored for _, _, scored in sorted(kept, key=lambda entry: -entry[1])]
    _settle_ends(chosen.scored, genome, pool, window, untrained)
    if isinstance(source, Variant) and chosen.unscored:
        _refuse(source, chosen.unscored[0].status, genome)
    return chosen


def _settle_ends(scored: list[Scored], genome: Genome, pool: Pool, window: int, untrained: Sequence[int]) -> None:
    """Spell out short deletions, and find out which end of a duplication or inversion counts."""
    for at, one in enumerate(scored):
        if one.named is not None and one.named.is_short_deletion:
            scored[at] = replace(one, variant=one.named.spelled(genome, one.contig), named=None)
    named = (
        (at, (one.named.windows(genome, one.contig, window),)) for at, one in enumerate(scored) if one.named is not None
    )
    for (at, windows), (found,) in pool.map(effects_apart, (((at, one), one) for at, one in named)):
        allele = scored[at].named
        assert allele is not None
        scored[at] = replace(scored[at], named=replace(allele, end=end_that_counts(windows[0], found, untrained)))


@dataclass(frozen=True, slots=True)
class _Choice:
    """tasks: int64 (k,), those to explain an allele by; every: by each of them, not its own strongest one"""

    tasks: NDArray[np.int64]
    every: bool
    untrained: Sequence[int]


def _order(entry: tuple[float, int, Scored]) -> tuple[float, int]:
    return entry[:2]


def _scored(
    source: str | Variant, genome: Genome, pool: Pool, window: int, how: _Choice, rules: GenomeRules
) -> Iterator[Scored]:
    if isinstance(source, Variant):
        names = ContigNames(genome, {}, rules.renames, str(source), rules.check_assembly)
        yield from _alleles([_One(batch_of(source))], genome, names, pool, window, how)
        return
    with VariantReader(source) as reader:
        names = open_names(source, reader, genome, rules)
        yield from _alleles(reader.chunks(), genome, names, pool, window, how)
    names.warn_of_missing()


def _alleles(
    chunks: Iterable[HasAlleles], genome: Genome, names: ContigNames, pool: Pool, window: int, how: _Choice
) -> Iterator[Scored]:
    for chunk, found in score_chunks(chunks, genome, names, pool, window, untrained=how.untrained):
        yield from _of_chunk(chunk.alleles, found, names, how)


def _of_chunk(written: AlleleBatch, found: ScoreBatch, names: ContigNames, how: _Choice) -> Iterator[Scored]:
    best = strongest(found.effects.diff, how.tasks)
    place = np.full(len(written), -1)
    place[found.rows] = np.arange(len(found.rows))
    contigs = names.of(written.contigs)
    for row in range(len(written)):
        spelled, at = _variant(written, row), int(place[row])
        status = Status(int(found.status[row])).name
        if at < 0:
            yield Scored(spelled, status)
            continue
        columns = how.tasks if how.every else best[at : at + 1]
        is_named = found.alleles.affected_bases[row] > 0
        one = NamedAllele(found.alleles.take(np.array([row]), np.zeros(1, np.int64))) if is_named else None
        yield Scored(
            spelled,
            status,
            contigs[int(written.contig[row])] or "",
            _variant(found.alleles, row),
            columns,
            found.effects.diff[at, columns],
            found.effects.logodds[at, columns],
            one,
        )


def _variant(batch: AlleleBatch, row: int) -> Variant:
    ref, alt = batch.ref[row].decode("ascii", "replace"), batch.alt[row].decode("ascii", "replace")
    return Variant(batch.contigs[int(batch.contig[row])], int(batch.start[row]), ref, alt)


def _refuse(variant: Variant, status: str, genome: Genome) -> None:
    """Raises VariantFileError for the one allele that was asked for."""
    there = None
    name = ContigNames(genome, {}).find(variant.contig)
    if name is not None and variant.start < genome.contigs[name]:
        bases = decode(genome.codes(name, variant.start, variant.start + len(variant.ref))).decode()
        swapped = "REF and ALT are swapped: " if status == Status.SWAPPED.name else ""
        there = f"{swapped}the FASTA has {bases} there"
    raise VariantFileError(
        f"{variant} cannot be scored: {status}",
        where=genome.path.name,
        cause=there,
        remedy="another assembly? pass its FASTA with -r",
    )
