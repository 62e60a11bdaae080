"""Which variants a classifier is trained on: the positives, and negatives that are like them in everything else."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from varscore.errors import DataError
from varscore.files.regions import RegionSet
from varscore.files.sites import read_positions
from varscore.functional.sampling import Match, at_distances, match_classes, strata
from varscore.functional.variants import Variants, among, gather, inside, join, look_up_frequencies
from varscore.genome.sequence import Genome, match_contigs

log = logging.getLogger(__name__)

POSITIVE, GIVEN = "positive", "given"


@dataclass(frozen=True)
class Sources:
    """Where variants come from. Paths are VCF, BCF or tables.

    negatives: all of them are used, or, with something to match, as many as match
    pool: negatives are drawn from it at ``distances`` (None: at random), ``ratio`` for each positive
    restrict: only variants inside; least_frequency: of negatives that state one
    tss: path of positions; with it or ``match_frequency`` negatives are matched
    """

    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()
    distances: tuple[int | None, ...] = (None,)
    ratio: float = 1.0
    match_frequency: bool = False
    tss: str | None = None
    restrict: RegionSet | None = None
    least_frequency: float = 0.0


@dataclass(frozen=True)
class Selection:
    """n variants in genome order. label: bool (n,); group: object (n,), ``positive`` or the name of the negatives'"""

    variants: Variants
    label: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.variants)

    def take(self, rows: np.ndarray) -> Selection:
        return Selection(self.variants.take(rows), self.label[rows], self.group[rows])

    @property
    def groups(self) -> list[str]:
        """Names of the groups of negatives."""
        return [str(name) for name in np.unique(self.group[~self.label])]


def select(sources: Sources, genome: Genome, seed: int) -> Selection:
    """Read, restrict, match and draw. A variant among the positives is never a negative.

    Raises the readers' errors and DataError when a class is empty.
    """
    match = Match(sources.match_frequency, None if sources.tss is None else _tss(sources.tss, genome))
    positives = _restricted(gather(sources.positives, genome), sources, "positives")
    read = [gather(paths, genome) if paths else None for paths in (sources.negatives, sources.pool)]
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
    return _ordered(positives, parts)


def _negatives(read: Variants, positives: Variants, sources: Sources) -> Variants:
    found = _restricted(read, sources, "negatives")
    shared = among(found, positives)
    if shared.any():
        log.info("%s negatives are positives, and left out", f"{np.count_nonzero(shared):,}")
    rare = found.frequency < sources.least_frequency  # not where it is unknown
    return found.take(~shared & ~rare)


def _restricted(variants: Variants, sources: Sources, what: str) -> Variants:
    if sources.restrict is None:
        return variants
    kept = inside(variants, sources.restrict)
    if not kept.any():
        raise DataError(f"none of the {what} lies in the regions of --restrict")
    return variants.take(kept)


def _tss(path: str, genome: Genome) -> Mapping[str, np.ndarray]:
    found = read_positions(path)
    names = match_contigs(found, genome)
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
            "the allele frequency of no positive is known", cause="neither INFO/AF nor a column af states it",
            remedy="leave out --match-af",
        )  # fmt: skip
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


def _ordered(positives: Variants, parts: Mapping[str, Variants]) -> Selection:
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
    return Selection(variants.take(order), label[order], group[order])
