"""The variants a classifier is trained on: gathered from files, named as the genome names its contigs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError
from varscore.formats.regions import RegionSet
from varscore.formats.sites import VariantTable, read_variants
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.named import NamedGenome
from varscore.genome.reasons import Rules, judge
from varscore.genome.sequence import Genome
from varscore.genome.windows import cut_windows
from varscore.scoring.survey import GenomeRules, compare_references, contig_names

log = logging.getLogger(__name__)
Key = tuple[int, int, bytes, bytes]
_PIECE = 4096  # variants whose windows are in memory at a time


@dataclass(frozen=True)
class Variants:
    """n alleles, all on contigs of the FASTA, in their minimal form: one variant is one allele, however it was spelled.

    ``alleles.contigs`` are all of the FASTA's, in its order, so that contig indices of different Variants agree.
    frequency: float64 (n,), NaN where unknown. An allele that the genome contradicts stays as it was written.
    """

    alleles: AlleleBatch
    frequency: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.alleles)

    @property
    def contig(self) -> NDArray[np.int32]:
        return self.alleles.contig

    @property
    def start(self) -> NDArray[np.int64]:
        return self.alleles.start

    def take(self, rows: NDArray[np.int64 | np.bool_]) -> Variants:
        """The variants picked by a boolean mask or an index array."""
        chosen = np.arange(len(self))[rows]
        return Variants(self.alleles.take(chosen, np.arange(len(chosen))), self.frequency[chosen])

    def identities(self) -> list[Key]:
        """What makes an allele the same as another: contig, position, REF, ALT."""
        alleles = self.alleles
        places = zip(alleles.contig.tolist(), alleles.start.tolist(), strict=True)
        return [(*place, alleles.ref[row].upper(), alleles.alt[row].upper()) for row, place in enumerate(places)]

    def names(self) -> Iterator[str]:
        """``chr1:1006:A>G`` of each."""
        for contig, start, ref, alt in self.identities():
            yield f"{self.alleles.contigs[contig]}:{start + 1}:{ref.decode()}>{alt.decode()}"


def gather(paths: Sequence[str], genome: Genome, rules: GenomeRules | None = None) -> Variants:
    """The alleles of some files, each once, the first time it comes.

    Alleles on contigs the FASTA does not have are left out with a warning. Raises the reader's errors, VariantFileError
    when a file does not fit the genome, and DataError when none is left.
    """
    parts = [_on_genome(read_variants(path), genome, path, rules or GenomeRules()) for path in paths]
    together = join(parts)
    first: dict[Key, int] = {}
    for row, key in enumerate(together.identities()):
        first.setdefault(key, row)
    if not first:
        raise DataError("no variant", where=", ".join(paths), cause="none is on a contig of the FASTA")
    if len(first) < len(together):
        log.info("%s alleles come twice in %s", f"{len(together) - len(first):,}", ", ".join(paths))
    return together.take(np.array(list(first.values()), np.int64))


def join(parts: Sequence[Variants]) -> Variants:
    """The variants of all parts, of which there is one at least, one after the other."""
    alleles = [part.alleles for part in parts]
    return Variants(
        AlleleBatch(
            record=np.arange(sum(map(len, parts))),
            contig=np.concatenate([part.contig for part in alleles]),
            contigs=alleles[0].contigs,
            start=np.concatenate([part.start for part in alleles]),
            ref=ByteColumn.joined([part.ref for part in alleles]),
            alt=ByteColumn.joined([part.alt for part in alleles]),
        ),
        np.concatenate([part.frequency for part in parts]),
    )


def among(variants: Variants, others: Variants) -> NDArray[np.bool_]:
    """bool (n,): which of ``variants`` are also in ``others``."""
    known = set(others.identities())
    return np.array([key in known for key in variants.identities()], bool)


def look_up_frequencies(variants: Variants, source: Variants) -> Variants:
    """``variants`` with the frequencies that only ``source`` states."""
    stated = dict(zip(source.identities(), source.frequency.tolist(), strict=True))
    found = np.array([stated.get(key, np.nan) for key in variants.identities()], np.float64)
    return Variants(variants.alleles, np.where(np.isnan(variants.frequency), found, variants.frequency))


def statuses(variants: Variants, genome: Genome, window: int) -> NDArray[np.uint8]:
    """Whether each can be scored by a network of that window, uint8 (n,) of :class:`varscore.genome.alleles.Status`."""
    contigs = variants.alleles.contigs
    rows = np.split(np.arange(len(variants)), range(_PIECE, len(variants), _PIECE))
    return np.concatenate([cut_windows(variants.take(piece).alleles, genome, contigs, window)[0] for piece in rows])


def inside(variants: Variants, regions: RegionSet) -> NDArray[np.bool_]:
    """bool (n,)"""
    return regions.overlaps(variants.alleles)


def _on_genome(table: VariantTable, genome: Genome, path: str, rules: GenomeRules) -> Variants:
    own = contig_names(genome, rules, path, table.lengths, table.stated)
    compare_references([table], genome, own, rules, path)
    own.demand_some(table.alleles.contigs)
    contigs = tuple(genome.contigs)
    index = {contig: number for number, contig in enumerate(contigs)}
    names = own.of(table.alleles.contigs)
    numbers = np.array([-1 if name is None else index[name] for name in names], np.int32)
    contig = numbers[table.alleles.contig] if len(numbers) else table.alleles.contig
    alleles = table.alleles
    placed = AlleleBatch(alleles.record, contig, contigs, alleles.start, alleles.ref, alleles.alt)
    found = Variants(placed, table.frequency)
    if missing := np.count_nonzero(contig < 0):
        log.warning("%s of %s alleles of %s are on contigs the FASTA lacks", f"{missing:,}", f"{len(contig):,}", path)
        own.warn_of_missing()
        found = found.take(contig >= 0)
    return Variants(judge(found.alleles, NamedGenome(genome, contigs), Rules())[1], found.frequency)
