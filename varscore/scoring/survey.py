"""Whether variants and a genome belong together: found out before anything is scored.

Positions of another assembly give scores that look like any others. Three things give them away: the lengths that a
header declares, the assembly that it names, and REF alleles that the genome does not have.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np

from varscore.errors import VariantFileError
from varscore.formats.lines import source_name
from varscore.formats.vcf import VariantReader
from varscore.genome.alleles import AlleleBatch, Status
from varscore.genome.assembly import identify, named
from varscore.genome.contigs import ContigNames, report_difference
from varscore.genome.named import NamedGenome
from varscore.genome.reasons import Rules, judge
from varscore.genome.sequence import Genome
from varscore.storage.atomic import is_stream
from varscore.zoo.card import Card

log = logging.getLogger(__name__)

MOST_COMPARED = 10_000
"""Alleles whose REF is compared in advance"""
FEWEST_COMPARED = 20
"""With fewer, nothing is concluded"""
MAX_MISMATCH = 0.3
COMPARED = (Status.PASS, Status.SWAPPED, Status.REF_MISMATCH)
"""What can become of an allele whose REF was compared with the genome"""


@dataclass(frozen=True)
class GenomeRules:
    """How variants must fit the genome.

    check_assembly: what to do about another assembly, ``error``, ``warn`` or ``off``
    max_mismatch: share of REF alleles that may disagree with the FASTA
    renames: contig of the variants -> contig of the FASTA
    """

    check_assembly: str = "error"
    max_mismatch: float = MAX_MISMATCH
    renames: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What tells these ``renames`` from others."""
        return hashlib.sha256(json.dumps(sorted(self.renames.items())).encode()).hexdigest()[:16]


class HasAlleles(Protocol):
    @property
    def alleles(self) -> AlleleBatch: ...


Piece = TypeVar("Piece", bound=HasAlleles)


def contig_names(
    genome: Genome, rules: GenomeRules, where: str, lengths: Mapping[str, int | None], stated: Sequence[str] = ()
) -> ContigNames:
    """The FASTA's names for the contigs of a variant file that declares ``lengths``.

    stated: what the header says of its assembly. Raises VariantFileError when that is another than the FASTA's.
    """
    ours = identify(genome.contigs)
    theirs = list(dict.fromkeys(filter(None, map(named, stated))))
    if ours is not None and theirs and ours not in theirs:
        text = next(text for text in stated if named(text) is theirs[0])
        what = f"the variants are on {theirs[0]}, the FASTA is {ours}"
        cause = f"the header says {text}, {genome.path.name} has the contig lengths of {ours}"
        report_difference(what, cause, where, rules.check_assembly, str(theirs[0]))
    return ContigNames(genome, lengths, rules.renames, where, rules.check_assembly)


def open_names(
    source: str, reader: VariantReader, genome: Genome, rules: GenomeRules, regions: Collection[str] = ()
) -> ContigNames:
    """The FASTA's names for the contigs of a file that ``reader`` is about to read, once it is known to fit the genome.

    Of a file as much is read in advance, from its beginning, as that takes: :data:`MOST_COMPARED` alleles, and all
    records when the header declares a contig of another length, or ``regions`` are on a contig that it does not
    declare. So all shards of a run find the same. Of a stream see :func:`compared`.
    Raises VariantFileError and InputError, and the reader's errors.
    """
    header = reader.header
    names = contig_names(genome, rules, reader.where, header.contigs, header.stated)
    if not is_stream(source):
        with VariantReader(source, quiet=True) as scout:
            _survey(scout, names, genome, rules, regions)
    return names


def _survey(
    reader: VariantReader, names: ContigNames, genome: Genome, rules: GenomeRules, regions: Collection[str]
) -> None:
    declared = reader.header.contigs
    chunks = reader.chunks()
    compare_references(chunks, genome, names, rules, reader.where)
    if names.unknown(regions, declared) or (rules.check_assembly == "error" and any(map(names.differs, declared))):
        for chunk in chunks:
            names.of(chunk.alleles.contigs)
    names.demand_some(reader.contigs, declared)
    names.demand_regions(regions, (*declared, *reader.contigs))


def compared(
    chunks: Iterator[Piece], source: str, names: ContigNames, genome: Genome, rules: GenomeRules
) -> Iterator[Piece]:
    """The chunks of a file or stream; the first one of a stream is compared with the genome before it is handed on."""
    if is_stream(source):
        first = list(islice(chunks, 1))
        compare_references(first, genome, names, rules, source_name(source))
        yield from first
    yield from chunks


def compare_references(
    pieces: Iterable[HasAlleles], genome: Genome, names: ContigNames, rules: GenomeRules, where: str
) -> None:
    """Compare the REF of the first alleles with the genome; no more pieces are read than that takes.

    Raises VariantFileError when more of them disagree than ``rules`` allow. Swapped alleles do not.
    """
    compared = different = 0
    for piece in pieces:
        named_genome = NamedGenome(genome, names.of(piece.alleles.contigs))
        status, _ = judge(piece.alleles, named_genome, Rules(as_written=True))
        status = status[np.isin(status, COMPARED)][: MOST_COMPARED - compared]
        compared += len(status)
        different += int(np.count_nonzero(status == Status.REF_MISMATCH))
        if compared == MOST_COMPARED:
            break
    if compared >= FEWEST_COMPARED and different > rules.max_mismatch * compared:
        ours = identify(genome.contigs)
        raise VariantFileError(
            f"{different:,} of {compared:,} REF alleles disagree with {genome.path.name}",
            where=where,
            cause=f"the variants are probably on another assembly{f' than {ours}' if ours else ''}, or shifted",
            remedy=f"pass the FASTA of theirs with -r; `max_mismatch={different / compared + 0.005:.2f}` "
            "scores the rest all the same",
        )


def tell_of_training(model: str, card: Card, genome: Genome) -> None:
    """Say so when a model scores another assembly than it was trained on, and what of it was held out."""
    ours, theirs = identify(genome.contigs), named(card.trained_on)
    if ours is None or theirs is None or ours is theirs:
        return
    if ours.species != theirs.species:
        text = "%s was trained on %s sequence, and %s is of a %s: nobody has measured how well it does there"
        log.warning(text, model, theirs.species, ours, ours.species)
        return
    held = " ".join(name for use in ("test", "validation") for name in card.held_out.get(use, ()))
    but = f"its bases were not held out, except those of {held}" if held else "its bases were not held out"
    log.info("%s was trained on %s sequence; scoring %s: fine, but %s", model, theirs, ours, but)


def tell_of_strand(model: str, card: Card) -> None:
    """Say so when a model that reads one strand is shown a genome's forward one."""
    if card.strands == "one":
        log.warning(
            "%s reads one strand, here the forward strand: of a gene on the other one it predicts nothing", model
        )
