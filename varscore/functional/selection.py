"""Which variants a classifier is trained on: the positives, and negatives that are like them in everything else."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError
from varscore.formats.regions import RegionSet, read_bed
from varscore.formats.sites import read_positions
from varscore.functional.sampling import Match, at_distances, match_classes, strata
from varscore.functional.variants import Variants, among, gather, inside, join, look_up_frequencies, statuses
from varscore.genome.alleles import Status
from varscore.genome.contigs import ContigNames, match_contigs
from varscore.genome.sequence import Genome
from varscore.scoring.survey import GenomeRules

log = logging.getLogger(__name__)

POSITIVE, GIVEN = "positive", "given"
POSITIVES, NEGATIVES = "positives", "negatives"


@dataclass(frozen=True)
class Sources:
    """Where variants come from. Paths are VCF, BCF or tables.

    negatives: all of them are used, or, with something to match, as many as match
    pool: negatives are drawn from it at ``distances`` (None: at random), ``ratio`` for each positive
    restrict: path of a BED file, only variants inside; least_frequency: of negatives that state one
    rules: how they must fit the genome
    tss: path of positions; with it, ``match_frequency`` or ``match_context`` negatives are matched
    """

    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()
    distances: tuple[int | None, ...] = (None,)
    ratio: float = 1.0
    match_frequency: bool = False
    match_context: bool = False
    tss: str | None = None
    restrict: str | None = None
    least_frequency: float = 0.0
    rules: GenomeRules = field(default_factory=GenomeRules)


@dataclass(frozen=True)
class Selection:
    """n variants in genome order, all of which can be scored.

    label: bool (n,); group: object (n,), ``positive`` or the name of the negatives'
    left_out: ``positives`` and ``negatives`` -> how many of the files' cannot be scored, for each reason
    """

    variants: Variants
    label: NDArray[np.bool_]
    group: NDArray[np.object_]
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.variants)

    @property
    def groups(self) -> list[str]:
        """Names of the groups of negatives, distances from the nearest to the farthest."""
        names = {str(name) for name in self.group[~self.label].tolist()}
        return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def select(sources: Sources, genome: Genome, window: int, seed: int) -> Selection:
    """Read, restrict, match and draw. A variant among the positives is never a negative, and one that a network of
    ``window`` bp cannot score is neither: it would leave its match alone.

    Raises the readers' errors and DataError when a class is empty.
    """
    tss = None if sources.tss is None else _tss(sources.tss, genome, sources.rules)
    match = Match(sources.match_frequency, tss, genome if sources.match_context else None)
    reader = _Reader(_restrict(sources, genome), genome, sources.rules, window)
    positives = reader.read(sources.positives, POSITIVES)
    read = [reader.read(paths, NEGATIVES) if paths else None for paths in (sources.negatives, sources.pool)]
    if match.frequency:
        positives = _with_frequencies(positives, [source for source in read if source is not None])
    given, pool = (None if source is None else _negatives(source, positives, sources) for source in read)
    parts: dict[str, Variants] = {}
    if given is not None:
        positives, parts[GIVEN] = (
            _matched(positives, given, sources.ratio, match, seed) if match else (positives, given)
        )
    if pool is not None:
        if given is not None:
            pool = pool.take(~among(pool, given))
        drawn = at_distances(positives, pool, sources.distances, sources.ratio, match, seed)
        parts |= {name: pool.take(rows) for name, rows in drawn.items()}
    return _ordered(positives, parts, {what: dict(counts) for what, counts in reader.left_out.items() if counts})


class _Reader:
    """Reads files of variants, keeps those in some regions that can be scored, and counts the others of them."""

    def __init__(self, restrict: RegionSet | None, genome: Genome, rules: GenomeRules, window: int) -> None:
        self._restrict, self._genome, self._rules, self._window = restrict, genome, rules, window
        self.left_out: dict[str, Counter[str]] = {POSITIVES: Counter(), NEGATIVES: Counter()}

    def read(self, paths: Sequence[str], what: str) -> Variants:
        """Raises DataError when none is left."""
        found = gather(paths, self._genome, self._rules)
        if self._restrict is not None:
            found = found.take(inside(found, self._restrict))
            if not len(found):
                raise DataError(f"none of the {what} lies in the regions of `restrict`")
        status = statuses(found, self._genome, self._window)
        lost = Counter(Status(value).name for value in status.tolist() if value != Status.PASS)
        self.left_out[what] += lost
        if lost:
            reasons = ", ".join(f"{n:,} {name}" for name, n in lost.most_common())
            share = f"{lost.total():,} of {len(status):,} {what}"
            if lost.total() == len(status):
                raise DataError(f"none of the {what} can be scored", where=", ".join(paths), cause=reasons)
            log.warning("%s cannot be scored: %s", share, reasons)
        return found.take(status == Status.PASS)


def _negatives(found: Variants, positives: Variants, sources: Sources) -> Variants:
    shared = among(found, positives)
    if shared.any():
        log.info("%s negatives are positives, and left out", f"{np.count_nonzero(shared):,}")
    rare = found.frequency < sources.least_frequency  # not where it is unknown
    return found.take(~shared & ~rare)


def _restrict(sources: Sources, genome: Genome) -> RegionSet | None:
    """Raises InputError for a region on a contig that the FASTA does not have."""
    if sources.restrict is None:
        return None
    regions = RegionSet(read_bed(sources.restrict))
    names = ContigNames(genome, {}, sources.rules.renames, sources.restrict)
    names.demand_regions(regions.contigs)
    return regions.placed(names.key)


def _tss(path: str, genome: Genome, rules: GenomeRules) -> Mapping[str, NDArray[np.int64]]:
    found = read_positions(path)
    names = match_contigs(found, genome, renames=rules.renames)
    placed = {name: positions for own, positions in found.items() if (name := names[own]) is not None}
    if not placed:
        cause = f"they are on {', '.join(list(found)[:3])}"
        raise DataError("none of the TSS is on a contig of the FASTA", where=path, cause=cause)
    return placed


def _with_frequencies(positives: Variants, sources: Sequence[Variants]) -> Variants:
    """Positives with what the negatives' files know of their frequency; those nobody knows it of cannot be matched."""
    for source in sources:
        positives = look_up_frequencies(positives, source)
    unknown = np.isnan(positives.frequency)
    if unknown.all():
        raise DataError(
            "the allele frequency of no positive is known",
            cause="neither INFO/AF nor a column af states it",
            remedy="leave out `match_af`",
        )
    if unknown.any():
        log.warning("%s positives have no known allele frequency: no negative is matched to them", f"{unknown.sum():,}")
    return positives


def _matched(positives: Variants, given: Variants, ratio: float, match: Match, seed: int) -> tuple[Variants, Variants]:
    rows = match_classes(strata(positives, match), strata(given, match), ratio, np.random.default_rng(seed))
    kept = positives.take(rows[0]), given.take(rows[1])
    log.info(
        "matched: %s of %s positives, %s of %s negatives",
        *(f"{n:,}" for n in (len(kept[0]), len(positives), len(kept[1]), len(given))),
    )
    return kept


def _ordered(positives: Variants, parts: Mapping[str, Variants], left_out: dict[str, dict[str, int]]) -> Selection:
    for name, part in parts.items():
        if not len(part):
            log.warning("no negative of the group %s was found", name)
    variants = join([positives, *parts.values()])
    sizes = [len(positives), *map(len, parts.values())]
    label = np.arange(len(variants)) < len(positives)
    if label.all() or not label.any():
        raise DataError(f"{len(positives):,} positives and {sum(sizes[1:]):,} negatives: nothing to learn from")
    group = np.repeat(np.array([POSITIVE, *parts], object), sizes)
    order = np.lexsort((variants.start, variants.contig))
    return Selection(variants.take(order), label[order], group[order], left_out)
