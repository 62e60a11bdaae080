"""Who carries an allele, and what else lies beside it there: its backgrounds.

An allele of a call belongs to the haplotype of its slot. A background takes what is known to lie on the same haplotype:
homozygous calls, and heterozygous ones that are phased and of the same phase set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from varscore.formats.vcf import RecordChunk
from varscore.genome.alleles import AlleleBatch
from varscore.genome.coords import anchor
from varscore.genome.haplotype import Change, applied, background
from varscore.genome.pairs import Windows
from varscore.scoring.cohort import Neighbourhood

PHASED, ALL_HOM, AS_IS = "phased", "all-hom", "unphased-as-is"
NAMED = 20
"""Carriers that a table names"""


class HapStatus(IntEnum):
    """What became of an allele on the haplotypes. SAME: as VS_STATUS has it"""

    PASS = 0
    SAME = 1
    NO_CARRIER = 2
    UNPHASED = 3
    TOO_MANY = 4
    OVERLAP = 5


@dataclass(frozen=True)
class HaplotypeRules:
    """phase: whose calls make a background, see :func:`calls_that_count`; max_joint: most variants of a background;
    min_count: haplotypes that have to carry one; in_full: whether interactions are asked for"""

    phase: str = PHASED
    max_joint: int = 32
    min_count: int = 1
    in_full: bool = False


@dataclass(frozen=True)
class Carried:
    """An allele on one background.

    allele: its row of the chunk; pair: that of its ordinary windows; focal: the allele as a change of the sequence;
    others: the background
    carriers: haplotypes; named: some of them, as (sample, slot); phase_sets: theirs, -1 for none
    unphased: variants nearby that are left out for some carrier, since nobody knows on which haplotype they are
    is_spanned: whether a carrier has a deletion in the window that no letters tell of
    """

    allele: int
    pair: int
    focal: Change
    others: tuple[Change, ...]
    carriers: int
    named: tuple[tuple[int, int], ...]
    phase_sets: tuple[int, ...]
    unphased: int
    is_spanned: bool


@dataclass(frozen=True)
class Haplotypes:
    """What is to be scored of a chunk of n alleles.

    status: uint8 (n,) HapStatus; backgrounds: int64 (n,), how many distinct ones an allele is carried on
    carried: those that are scored, ordered by allele; skipped: how many are not; odd: records with calls that cannot be
    samples: names by number
    """

    status: NDArray[np.uint8]
    backgrounds: NDArray[np.int64]
    carried: list[Carried]
    hood: Neighbourhood
    skipped: int
    odd: int
    samples: tuple[str, ...]


def find_haplotypes(
    chunk: RecordChunk, alleles: AlleleBatch, windows: Windows, hood: Neighbourhood, rules: HaplotypeRules
) -> Haplotypes:
    """The backgrounds of the alleles of a chunk. alleles: in the form in which they are scored; windows: theirs"""
    n = len(alleles)
    status, backgrounds = np.full(n, HapStatus.SAME, np.uint8), np.zeros(n, np.int64)
    finder = _Finder(hood, rules, windows.ref.shape[1])
    carried: list[Carried] = []
    skipped = 0
    structural = alleles.affected_bases > 0
    for pair, allele in enumerate(windows.rows.tolist()):
        if structural[allele]:
            continue
        here = int(alleles.record[allele])
        record, number = int(chunk.numbers[here]) - hood.first, allele - int(chunk.rows[here])
        found = finder.find(record, number, allele, pair)
        status[allele], backgrounds[allele] = found.status, found.backgrounds
        carried += found.carried
        skipped += found.skipped
    odd = int(hood.genotypes.is_odd[chunk.numbers - hood.first].sum())
    return Haplotypes(status, backgrounds, carried, hood, skipped, odd, hood.samples)


@dataclass
class _Found:
    status: HapStatus
    backgrounds: int = 0
    carried: list[Carried] = field(default_factory=list)
    skipped: int = 0


class _Finder:
    """Finds the backgrounds of alleles in a neighbourhood."""

    def __init__(self, hood: Neighbourhood, rules: HaplotypeRules, length: int) -> None:
        self._hood, self._rules, self._length = hood, rules, length
        genotypes = hood.genotypes
        self._certain = genotypes.is_certain
        self._usable = {PHASED: genotypes.phased | self._certain, ALL_HOM: self._certain}.get(
            rules.phase, np.ones_like(self._certain)
        )
        self._has_sets = bool((genotypes.phase_set >= 0).any())
        self._is_plain = not self._has_sets and bool(self._usable.all())

    def find(self, record: int, number: int, allele: int, pair: int) -> _Found:
        """Of the ``number``-th ALT of a record of the neighbourhood; allele, pair: see Carried."""
        genotypes, rules = self._hood.genotypes, self._rules
        if genotypes.is_odd[record]:
            return _Found(HapStatus.UNPHASED)
        sample, slot = np.nonzero(genotypes.alleles[record] == number + 1)
        if not len(sample):
            return _Found(HapStatus.NO_CARRIER)
        known = self._usable[record, sample] if rules.phase == PHASED else np.ones(len(sample), bool)
        sample, slot = sample[known], slot[known]
        if not len(sample):
            return _Found(HapStatus.UNPHASED)
        return self._group(record, number, allele, pair, sample, slot)

    def _group(
        self, record: int, number: int, allele: int, pair: int, sample: NDArray[np.int64], slot: NDArray[np.int64]
    ) -> _Found:
        hood, rules = self._hood, self._rules
        focal = hood.change(int(hood.rows[record]) + number)
        calls = self._calls(record, focal, sample, slot)
        groups: dict[tuple[int, ...], list[int]] = {}
        seen: dict[tuple[int, ...], tuple[Change, ...]] = {}
        overlaps: list[bool] = []
        columns, inverse = _distinct(calls.carried)
        for index, column in enumerate(columns.T):
            others = sorted((hood.change(a) for a in column[column >= 0].tolist()), key=lambda change: change.place)
            kept, is_left_out = applied(others, focal)
            shown = tuple(background(kept, focal, self._length))
            key = tuple(change.order for change in shown)
            groups.setdefault(key, []).append(index)
            seen[key] = shown
            overlaps.append(is_left_out)
        found = _Found(HapStatus.PASS, len(groups))
        too_many = 0
        for key in sorted(groups):
            who = np.flatnonzero(np.isin(inverse, groups[key]))
            if len(key) > rules.max_joint or len(who) < rules.min_count:
                too_many += len(key) > rules.max_joint
                found.skipped += 1
                continue
            found.carried.append(
                Carried(
                    allele,
                    pair,
                    focal,
                    seen[key],
                    len(who),
                    tuple(zip(sample[who[:NAMED]].tolist(), slot[who[:NAMED]].tolist(), strict=True)),
                    tuple(np.unique(calls.block[who]).tolist()),
                    int(calls.unphased[:, who].any(1).sum()),
                    bool(calls.spanned[who].any()),
                )
            )
        if not found.carried:
            found.status = HapStatus.TOO_MANY if too_many else HapStatus.NO_CARRIER
        elif all(overlaps):
            found.status = HapStatus.OVERLAP
        return found

    def _calls(self, record: int, focal: Change, sample: NDArray[np.int64], slot: NDArray[np.int64]) -> _Calls:
        hood, genotypes = self._hood, self._hood.genotypes
        contig = int(hood.alleles.contig[hood.rows[record]])
        start = focal.start - anchor(self._length)
        spanned = hood.spanning.over(contig, start, start + self._length)[sample, slot]
        near = hood.sorted[hood.near(contig, focal.start, self._length)]
        records = np.setdiff1d(hood.alleles.record[near], [record])
        block = genotypes.phase_set[record, sample]
        here = genotypes.alleles[records[:, None], sample, slot]
        if self._is_plain:  # then a record that no carrier has the ALT of tells nothing
            told = (here > 0).any(1)
            records, here = records[told], here[told]
        is_near = np.zeros(len(hood.alleles), bool)
        is_near[near] = True
        carried = np.where(here > 0, hood.rows[records][:, None] + here - 1, -1)
        carried[carried >= hood.rows[records + 1][:, None]] = -1
        carried[(carried >= 0) & ~is_near[np.maximum(carried, 0)]] = -1
        usable, certain = self._usable[records][:, sample], self._certain[records][:, sample]
        if self._has_sets and self._rules.phase == PHASED:
            blocks = genotypes.phase_set[records][:, sample]
            block = self._blocks(record, records, sample, block, usable & ~certain & (here >= 0))
            usable = certain | (usable & (blocks == block))
        if self._rules.phase == AS_IS:
            usable = np.ones_like(usable)
        is_het = (genotypes.alleles[records][:, sample] > 0).any(2) & ~certain
        at = hood.alleles.start[hood.rows[records]]
        is_seen = (at >= start) & (at < start + self._length)
        unphased = is_het & ~usable & is_seen[:, None]
        return _Calls(np.where(usable, carried, -1), block, unphased, spanned)

    def _blocks(
        self,
        record: int,
        records: NDArray[np.int64],
        sample: NDArray[np.int64],
        block: NDArray[np.int64],
        phased: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """The phase set of each carrier's haplotype, int64: that of its call, or, where that needs no phase, of the
        nearest call beside it that has one. phased: bool (records, carriers), calls that are in a phase set."""
        found, at = block.copy(), self._hood.alleles.start[self._hood.rows[:-1]]
        away = np.abs(at[records] - at[record])
        sets = self._hood.genotypes.phase_set
        for carrier in np.flatnonzero(self._certain[record, sample] & phased.any(0)).tolist():
            beside = np.flatnonzero(phased[:, carrier])
            nearest = records[beside[np.argmin(away[beside])]]
            found[carrier] = sets[nearest, sample[carrier]]
        return found


def _distinct(columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct columns of an array (r, c), and which of them each column is, int64 (c,)."""
    rows, columns_there = columns.shape
    if not rows:
        return columns[:, :1], np.zeros(columns_there, np.int64)
    as_bytes = np.ascontiguousarray(columns.T).view(np.dtype((np.void, rows * columns.itemsize))).ravel()
    _, first, which = np.unique(as_bytes, return_index=True, return_inverse=True)
    return columns[:, first], which


@dataclass(frozen=True)
class _Calls:
    """What c carriers of an allele have in r records nearby.

    carried: int64 (r, c), the allele of the neighbourhood, -1 for none; block: int64 (c,), phase sets
    unphased: bool (r, c), calls that are left out; spanned: bool (c,)
    """

    carried: NDArray[np.int64]
    block: NDArray[np.int64]
    unphased: NDArray[np.bool_]
    spanned: NDArray[np.bool_]
