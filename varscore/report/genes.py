"""Genes for the locus strip and the table: GTF or BED12 (or BED6), plain or compressed."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from varscore.errors import DataError
from varscore.formats.lines import Lines, read_blocks, source_name

log = logging.getLogger(__name__)
_ATTRIBUTE = re.compile(r'(\w+)[ =]"?([^";]*)"?')
_TAKEN = {"gene": 0, "ncRNA_gene": 0, "pseudogene": 0, "transcript": 1, "mRNA": 1}
"""Features of a GTF or GFF that are genes; transcripts count where there are no genes"""


@dataclass(frozen=True, slots=True)
class Gene:
    """start, end: 0-based, half-open; strand: + or -"""

    contig: str
    start: int
    end: int
    name: str
    strand: str

    @property
    def tss(self) -> int:
        """0-based position of its first base."""
        return self.end - 1 if self.strand == "-" else self.start


class Genes:
    """Genes by place. Contigs are found with and without ``chr``."""

    def __init__(self, genes: list[Gene]) -> None:
        self._genes: dict[str, list[Gene]] = defaultdict(list)
        for gene in sorted(genes, key=lambda gene: (gene.tss, gene.name)):
            self._genes[_bare(gene.contig)].append(gene)
        self._starts = {contig: np.array([gene.tss for gene in here]) for contig, here in self._genes.items()}

    def __len__(self) -> int:
        return sum(map(len, self._genes.values()))

    def warn_of_contigs(self, contigs: Iterable[str], where: str) -> None:
        """Say so when there are contigs and no gene is on one of them."""
        wanted = list(dict.fromkeys(contigs))
        if wanted and not any(_bare(contig) in self._genes for contig in wanted):
            mine, theirs = (", ".join(list(names)[:3]) for names in (self._genes, wanted))
            log.warning(
                "%s: no gene is on a contig of the alleles; its genes are on %s, these on %s", where, mine, theirs
            )

    def nearest(self, contig: str, position: int) -> tuple[Gene, int] | None:
        """The gene whose start is nearest to a 0-based position, and how far downstream of it (in the direction of
        the gene) the position lies, negative for upstream."""
        here = self._genes.get(_bare(contig))
        if not here:
            return None
        starts = self._starts[_bare(contig)]
        after = int(np.searchsorted(starts, position))
        gene = min((here[i] for i in (after - 1, after) if 0 <= i < len(here)), key=lambda one: abs(one.tss - position))
        return gene, (gene.tss - position if gene.strand == "-" else position - gene.tss)

    def overlapping(self, contig: str, start: int, end: int) -> list[Gene]:
        """Those that share a base with [start, end), by start site."""
        return [gene for gene in self._genes.get(_bare(contig), ()) if gene.start < end and gene.end > start]


def _bare(contig: str) -> str:
    return contig.removeprefix("chr")


def read_genes(path: str) -> Genes:
    """Genes of a GTF or GFF (features gene, else transcripts, one gene a name) or of a BED file with names.

    Raises DataError, with the line, for what is neither.
    """
    found: list[Gene] = []
    made_of: list[int] = []
    where = source_name(path)
    for number, line in enumerate(chain.from_iterable(Lines(read_blocks(path, DataError), where, DataError)), 1):
        text = line.decode("utf-8", "replace")
        if not text.strip() or text.startswith(("#", "track", "browser")):
            continue
        for gene, rank in _of_line(text.split("\t"), f"{where} line {number}"):
            found.append(gene)
            made_of.append(rank)
    if not found:
        raise DataError("no gene in the file", where=where, remedy="a GTF with gene lines, or a BED file with names")
    best = min(made_of)
    return Genes(_merged([gene for gene, rank in zip(found, made_of, strict=True) if rank == best]))


def _of_line(fields: list[str], where: str) -> Iterator[tuple[Gene, int]]:
    try:
        if len(fields) == 9 and fields[3].isdigit() and not fields[1].isdigit():  # a BED line may name genes by number
            if (rank := _TAKEN.get(fields[2])) is not None:
                said = dict(_ATTRIBUTE.findall(fields[8]))
                name = next((said[key] for key in ("gene_name", "Name", "gene_id", "ID") if said.get(key)), "?")
                yield Gene(fields[0], int(fields[3]) - 1, int(fields[4]), name, fields[6]), rank
            return
        contig, start, end, name = fields[:4]
        yield Gene(contig, int(start), int(end), name, fields[5] if len(fields) > 5 else "+"), 0
    except ValueError:
        raise DataError(
            "neither a GTF nor a BED line",
            where=where,
            cause=f"it has {len(fields)} columns, separated by tabs",
            remedy="a GTF has nine, a BED file of genes at least four: contig, start, end, name",
        ) from None


def _merged(genes: list[Gene]) -> list[Gene]:
    """One gene for the transcripts of a name on one strand of a contig that overlap."""
    groups: dict[tuple[str, str, str], list[Gene]] = defaultdict(list)
    for gene in genes:
        groups[gene.contig, gene.name, gene.strand].append(gene)
    merged = []
    for group in groups.values():
        group.sort(key=lambda gene: gene.start)
        last = group[0]
        for gene in group[1:]:
            if gene.start >= last.end:
                merged.append(last)
                last = gene
            else:
                last = Gene(last.contig, last.start, max(last.end, gene.end), last.name, last.strand)
        merged.append(last)
    return merged
