"""What an allele does on the haplotypes that carry it.

A *background* is what else lies in an allele's window on a haplotype. For each allele v and each background B that
it is carried on there is a pair of windows, B and B with v:

    conditional   p(B + v) - p(B)            what v does on the sequence that it really sits on
    joint         p(B + v) - p(reference)    what the whole haplotype does
    interaction   joint - sum of what v and each of B do alone in v's window; 0 if effects add

An empty background is the ordinary pair, which is there anyway. People share few backgrounds; each is computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from varscore.engine.plain import PlainEngine, demand_numbers
from varscore.engine.pool import Pool
from varscore.formats.vcf import RecordChunk
from varscore.genome.contigs import ContigNames
from varscore.genome.haplotype import Change, Fetch, haplotype_windows
from varscore.genome.named import NamedGenome
from varscore.genome.pairs import Windows
from varscore.genome.reasons import Rules
from varscore.genome.sequence import Genome
from varscore.genome.windows import cut_windows
from varscore.scoring.backgrounds import HaplotypeRules, Haplotypes, find_haplotypes
from varscore.scoring.cohort import Cohort
from varscore.scoring.effects import Effects, effects, strongest
from varscore.scoring.score import ScoreBatch, logits_of, most_changed


class HasRecords(Protocol):
    """A piece of a variant file, with its records."""

    @property
    def chunk(self) -> RecordChunk: ...


Portion = TypeVar("Portion", bound=HasRecords)
NOTHING = Effects(*np.empty((4, 0, 0), np.float32))


@dataclass(frozen=True)
class HaplotypeWindows:
    """What an engine needs of :class:`Haplotypes`: E entries, of which k have a background.

    entry_pair: int64 (E,), the ordinary pair of the allele; entry_own: int64 (E,), the pair of ``windows``, -1 without
    a background
    windows: k pairs, without the allele and with it; pair_of: int64 (k,), the ordinary pair of their alleles
    alone: uint8 (q, L), the reference with one variant of a background; alone_pair: int64 (q,), whose window that is
    shares: int64 (s, 2), entry and row of ``alone``, for each variant of a background
    ranked: int64, the tasks among which the most changed is looked for
    """

    entry_pair: NDArray[np.int64]
    entry_own: NDArray[np.int64]
    windows: Windows
    pair_of: NDArray[np.int64]
    alone: NDArray[np.uint8]
    alone_pair: NDArray[np.int64]
    shares: NDArray[np.int64]
    ranked: NDArray[np.int64]


@dataclass(frozen=True)
class HaplotypeEffects:
    """Of E entries: the task that the allele changes most there, and how; the one that the haplotype changes most.

    task, joint_task: int64 (E,); diff, logodds, joint_diff: float32 (E,), of these
    alone, joint, interaction: float32 (E,), of ``task``; interaction NaN where it was not asked for
    """

    task: NDArray[np.int64]
    diff: NDArray[np.float32]
    logodds: NDArray[np.float32]
    joint_task: NDArray[np.int64]
    joint_diff: NDArray[np.float32]
    alone: NDArray[np.float32]
    joint: NDArray[np.float32]
    interaction: NDArray[np.float32]


# -- their windows -----------------------------------------------------------------------------------------------------


def cut_haplotypes(
    found: Haplotypes, windows: Windows, genome: NamedGenome, ranked: NDArray[np.int64], in_full: bool
) -> HaplotypeWindows:
    """The windows of all backgrounds; in_full: those of their single variants too. windows: the ordinary ones"""
    length = windows.ref.shape[1]
    own: list[int] = []
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    alone: dict[tuple[int, int], int] = {}
    alone_codes: list[NDArray[np.uint8]] = []
    shares: list[tuple[int, int]] = []
    sequences: dict[tuple[int, int, bool, tuple[int, ...]], int] = {}
    sequence: list[int] = []
    focals: list[Change] = []
    for entry, carried in enumerate(found.carried):
        own.append(len(pairs) if carried.others else -1)
        if not carried.others:
            continue
        focal = carried.focal
        fetch = _fetch(genome, int(windows.contig[carried.pair]))
        pairs.append(haplotype_windows(fetch, focal, carried.others, length))
        focals.append(focal)
        site = int(windows.contig[carried.pair]), focal.first, focal.is_padded
        key = (*site, tuple(change.order for change in carried.others))
        sequence.append(sequences.setdefault(key, len(sequences) + 1))
        for change in carried.others if in_full else ():
            lone = carried.pair, change.order
            if lone not in alone:
                alone[lone] = len(alone_codes)
                alone_codes.append(haplotype_windows(fetch, focal, [change], length)[0])
            shares.append((entry, alone[lone]))
    pair_of = np.array([carried.pair for carried in found.carried if carried.others], np.int64)
    codes = np.array(pairs, np.uint8).reshape(len(pairs), 2, length)
    return HaplotypeWindows(
        entry_pair=np.array([carried.pair for carried in found.carried], np.int64),
        entry_own=np.array(own, np.int64),
        windows=Windows.anchored(
            pair_of,
            codes[:, 0],
            codes[:, 1],
            windows.contig[pair_of],
            windows.start[pair_of],
            ref_length=np.array([focal.end - focal.start for focal in focals], np.int64),
            alt_length=np.array([len(focal.alt) for focal in focals], np.int64),
            sequence=np.array(sequence, np.int64),
        ),
        pair_of=pair_of,
        alone=np.array(alone_codes, np.uint8).reshape(len(alone_codes), length),
        alone_pair=np.array([pair for pair, _ in alone], np.int64),
        shares=np.array(shares, np.int64).reshape(len(shares), 2),
        ranked=ranked,
    )


def _fetch(genome: NamedGenome, contig: int) -> Fetch:
    def fetch(start: int, end: int) -> NDArray[np.uint8]:
        return np.asarray(genome.windows(np.array([contig]), np.array([start]), max(0, end - start))[0])

    return fetch


# -- their effects -----------------------------------------------------------------------------------------------------


def effects_on_haplotypes(
    engine: PlainEngine, item: tuple[Windows, HaplotypeWindows]
) -> tuple[Effects, HaplotypeEffects]:
    """What a pool's engine does with the ordinary windows of a chunk and those of its haplotypes."""
    windows, asked = item
    net, m = engine.net, len(windows)
    ref, alt = logits_of(engine, Windows.joined([windows, asked.windows]))
    ordinary = effects(ref[:, :m], alt[:, :m], net.goal, net.strands)
    conditional = effects(ref[:, m:], alt[:, m:], net.goal, net.strands)
    joint = effects(ref[:, asked.pair_of], alt[:, m:], net.goal, net.strands)
    alone = engine.logits(asked.alone)
    demand_numbers(alone)
    lone = effects(ref[:, asked.alone_pair], alone, net.goal, net.strands)
    return ordinary, _of_entries(asked, ordinary, conditional, joint.diff, lone.diff)


def _of_entries(
    asked: HaplotypeWindows,
    ordinary: Effects,
    conditional: Effects,
    joint: NDArray[np.float32],
    lone: NDArray[np.float32],
) -> HaplotypeEffects:
    """ordinary: of the ordinary pairs; conditional, joint: of the pairs of ``asked.windows``; lone: of ``asked.alone``;
    joint and lone are differences, float32 (rows, tasks)"""
    entries, pair = np.arange(len(asked.entry_pair)), asked.entry_pair
    diff, logodds, whole = ordinary.diff[pair], ordinary.logodds[pair], ordinary.diff[pair]
    changed = np.flatnonzero(asked.entry_own >= 0)
    here = asked.entry_own[changed]
    diff[changed], logodds[changed], whole[changed] = conditional.diff[here], conditional.logodds[here], joint[here]
    task, joint_task = strongest(diff, asked.ranked), strongest(whole, asked.ranked)
    alone = ordinary.diff[pair, task]
    parts = alone.copy()
    entry, row = asked.shares.T
    np.add.at(parts, entry, lone[row, task[entry]])
    together = whole[entries, task]
    return HaplotypeEffects(
        task=task,
        diff=diff[entries, task],
        logodds=logodds[entries, task],
        joint_task=joint_task,
        joint_diff=whole[entries, joint_task],
        alone=alone,
        joint=together,
        interaction=together - parts,
    )


def most_changed_background(
    found: Haplotypes, effects: HaplotypeEffects
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The alleles that have an entry, int64 (k,) rows of the chunk, and the entry of each where it changes most, the
    first of equals."""
    alleles = np.array([carried.allele for carried in found.carried], np.int64)
    order = np.lexsort((-np.abs(effects.diff), alleles))
    first = np.flatnonzero(np.diff(alleles[order], prepend=-1))
    return alleles[order[first]], np.asarray(order[first])


# -- the stream --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phasing:
    """Whose haplotypes, and what of them. ranked: int64, the tasks among which the most changed is looked for"""

    cohort: Cohort
    rules: HaplotypeRules
    ranked: NDArray[np.int64]


@dataclass(frozen=True)
class OnHaplotypes:
    """What became of the alleles of a chunk on the haplotypes that carry them."""

    found: Haplotypes
    effects: HaplotypeEffects


def score_on_haplotypes(
    portions: Iterable[Portion],
    genome: Genome,
    names: ContigNames,
    pool: Pool,
    window: int,
    rules: Rules,
    asked: Phasing,
    untrained: Sequence[int] = (),
) -> Iterator[tuple[Portion, ScoreBatch, OnHaplotypes]]:
    """As :func:`varscore.scoring.score.score_chunks`, and what the alleles do on the haplotypes that carry them."""

    def cut() -> Iterator[tuple[tuple[Portion, ScoreBatch, Haplotypes], tuple[Windows, HaplotypeWindows]]]:
        for portion in portions:
            chunk = portion.chunk
            contigs = names.of(chunk.alleles.contigs)
            status, alleles, windows = cut_windows(chunk.alleles, genome, contigs, window, rules)
            found = find_haplotypes(chunk, alleles, windows, asked.cohort.around(chunk), asked.rules)
            named = NamedGenome(genome, contigs)
            own = cut_haplotypes(found, windows, named, asked.ranked, asked.rules.in_full)
            yield (portion, ScoreBatch(status, windows.rows, alleles, NOTHING), found), (windows, own)

    for (portion, batch, found), (ordinary, carried) in pool.map(effects_on_haplotypes, cut()):
        chosen = most_changed(ordinary, batch.rows, untrained)
        scored = replace(batch, rows=np.unique(batch.rows), effects=chosen)
        yield portion, scored, OnHaplotypes(found, carried)
