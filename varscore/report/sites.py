"""``--motif-table``: every binding site that the page's alleles lose, gain or change, with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from varscore.errors import DataError
from varscore.formats.lines import Lines, read_blocks, source_name
from varscore.report.scored import Allele

SHOWN = 30
"""Sites of an allele on the page, best p first; the others are counted"""
_WANTED = ("chrom", "pos", "ref", "alt", "motif", "change", "strand", "ref_pos", "alt_pos", "ref_p", "alt_p")


@dataclass(frozen=True, slots=True)
class Site:
    """ref_pos, alt_pos: 1-based, of its leftmost base, 0 where there is none; width: bases, 0 where it is not known"""

    motif: str
    change: str
    strand: str
    ref_pos: int
    alt_pos: int
    ref_p: float
    alt_p: float
    width: int

    def row(self) -> list[object]:
        return [self.motif, self.change, self.strand, self.ref_pos, self.alt_pos, self.ref_p, self.alt_p, self.width]


def read_sites(path: str, alleles: Sequence[Allele]) -> list[list[Site]]:
    """The sites of each of the page's alleles, best p first. Memory: the page's sites.

    Raises DataError, with the line, for what is no table of ``annotate --motif-table``.
    """
    keys = [tuple(map(str, allele.key)) for allele in alleles]
    found: dict[tuple[str, ...], dict[Site, None]] = {key: {} for key in keys}
    for key, site in _lines(path):
        if key in found:
            found[key][site] = None  # a file may have an allele twice, and then has its sites twice
    return [sorted(found[key], key=lambda site: min(site.ref_p, site.alt_p)) for key in keys]


def _lines(path: str) -> Iterator[tuple[tuple[str, ...], Site]]:
    where = source_name(path)
    lines = (line.decode("utf-8", "replace") for line in chain.from_iterable(_read(path, where)))
    names = next(lines, "").split("\t")
    missing = [name for name in _WANTED if name not in names]
    if missing:
        raise DataError(
            "not a table of motifs",
            where=where,
            cause=f"its first line names no column {', '.join(missing)}",
            remedy="annotate `motifs=FILE` `motif_table` writes one",
        )
    for number, line in enumerate(lines, 2):
        fields = line.split("\t")
        try:
            said = dict(zip(names, fields, strict=True))
            yield tuple(said[name] for name in _WANTED[:4]), _site(said)
        except ValueError as error:
            raise DataError(
                "not a line of a table of motifs", where=f"{where} line {number}", cause=str(error)
            ) from None


def _read(path: str, where: str) -> Lines:
    return Lines(read_blocks(path, DataError), where, DataError)


def _site(said: dict[str, str]) -> Site:
    ref_pos, alt_pos = (0 if said[name] == "." else int(said[name]) for name in ("ref_pos", "alt_pos"))
    ref_p, alt_p = (1.0 if said[name] == "." else float(said[name]) for name in ("ref_p", "alt_p"))
    width = int(said.get("width", 0))
    return Site(said["motif"], said["change"], said["strand"], ref_pos, alt_pos, ref_p, alt_p, width)
