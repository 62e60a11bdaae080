"""Which contig of the FASTA a name in another file means, and whether it is the same sequence there."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

from varscore.errors import DataError, InputError, VariantFileError
from varscore.genome.assembly import RCRS, accession, accession_of, chromosome, identify
from varscore.genome.coords import Interval
from varscore.genome.sequence import Genome

MITOCHONDRIAL = ("chrM", "MT", "M", "chrMT", RCRS)
RCRS_LENGTH = 16_569
PLINK = ("23", "24", "25", "26", "XY")
"""X, Y, XY and MT in plink. Never taken for them: a cow has a chromosome 23"""
RENAME = "`rename_chrs=FILE` says which is which"
_SHOWN = 5
log = logging.getLogger(__name__)


def match_contigs(
    names: Iterable[str],
    genome: Genome,
    lengths: Mapping[str, int] | None = None,
    renames: Mapping[str, str] | None = None,
) -> dict[str, str | None]:
    """For each contig name of another file, the FASTA contig it means, or None.

    What ``renames`` says of a name comes first. Then the same name is taken, else the name with or without ``chr``,
    else a RefSeq accession of GRCh37 or GRCh38 for its chromosome, and the other way round, where the FASTA's contig
    has the length that the chromosome has in that assembly. The mitochondrion's names (``M``, ``MT``, ``chrM``,
    ``chrMT``) are taken for one another only when the length declared for it in ``lengths`` is the FASTA's: hg19's
    chrM (16,571 bases) is another sequence than the MT of GRCh37 and GRCh38 (16,569).
    """
    said, declared = renames or {}, lengths or {}
    return {name: _match(said.get(name, name), genome.contigs, declared.get(name)) for name in names}


def _match(name: str, contigs: Mapping[str, int], declared: int | None) -> str | None:
    if name in contigs:
        return name
    if name in MITOCHONDRIAL:
        length = RCRS_LENGTH if name == RCRS else declared
        return next((other for other in MITOCHONDRIAL if contigs.get(other, -1) == length), None)
    if (stated := accession(name)) is not None:
        assembly, number = stated
        return next((c for c in (number, f"chr{number}") if contigs.get(c) == assembly.lengths[number]), None)
    other = name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"
    if other in contigs:
        return other
    number = chromosome(name)
    return next((c for c, length in contigs.items() if accession(c) and accession_of(number, length) == c), None)


def find_contigs(intervals: Iterable[Interval], genome: Genome) -> dict[str, str]:
    """The FASTA's name for every contig of the intervals.

    Raises DataError, naming the interval, for a contig the FASTA does not have and for an interval that ends beyond it.
    """
    found = match_contigs(dict.fromkeys(interval.contig for interval in intervals), genome)
    contigs: dict[str, str] = {}
    for interval in intervals:
        name = found[interval.contig]
        if name is None or interval.end > genome.contigs[name]:
            cause = "no such contig" if name is None else f"{interval.contig} has {genome.contigs[name]:,} bp"
            raise DataError(
                f"the interval {interval} is not in the FASTA",
                where=genome.path.name,
                cause=cause,
                remedy="pass the FASTA of the intervals' assembly with -r",
            )
        contigs[interval.contig] = name
    return contigs


class ContigNames:
    """The FASTA's name for every contig name of a variant file, looked up once each.

    lengths: contigs that the file declares; renames: what its names mean, from ``--rename-chrs``; where: the file
    check: what to do about a contig with records that is another sequence in the FASTA, by its declared length or its
    accession: ``error``, ``warn`` or ``off``
    """

    def __init__(
        self,
        genome: Genome,
        lengths: Mapping[str, int | None],
        renames: Mapping[str, str] | None = None,
        where: str | None = None,
        check: str = "error",
    ) -> None:
        self._genome, self._renames, self._where, self._check = genome, dict(renames or {}), where, check
        self._lengths = {name: length for name, length in lengths.items() if length is not None}
        self._matches: dict[str, str | None] = {}
        self._asked: dict[str, str | None] = {}

    def find(self, name: str) -> str | None:
        """The FASTA's name, or None, for a name that need not be a record's."""
        if name not in self._matches:
            self._matches |= match_contigs([name], self._genome, self._lengths, self._renames)
        return self._matches[name]

    def of(self, names: Iterable[str]) -> list[str | None]:
        """The FASTA's names for contigs of records. Raises VariantFileError for one that is another there."""
        asked = list(names)
        for name in asked:
            if name not in self._asked:
                self._compare(name)
                self._asked[name] = self.find(name)
        return [self._asked[name] for name in asked]

    def differs(self, name: str) -> bool:
        """Whether the length declared for a contig is not the FASTA's."""
        found, length = self.find(name), self._lengths.get(name)
        return found is not None and length is not None and length != self._genome.contigs[found]

    def demand_some(self, names: Sequence[str], declared: Collection[str] = ()) -> None:
        """Raises VariantFileError when there are ``names``, of records, and none of them is in the FASTA, nor one of
        the ``declared``."""
        if names and not any(self.find(name) for name in (*names, *declared)):
            raise VariantFileError(
                "none of the contigs is in the FASTA",
                where=self._where,
                cause=f"the variants are on {shown(names)}; {self._genome.path.name} has {shown(self._genome.contigs)}",
                remedy=f"if only the names differ, {RENAME}; else pass the FASTA of their assembly with -r",
            )

    def key(self, name: str) -> str:
        """The same for all names of a contig, whether the FASTA has it or not."""
        return self.find(name) or chromosome(name)

    def unknown(self, regions: Iterable[str], names: Iterable[str] = ()) -> list[str]:
        """The ``regions``' contigs that neither the FASTA has nor the variant file, whose contigs are ``names``."""
        known = set(map(self.key, names))
        return [name for name in dict.fromkeys(regions) if not self.find(name) and self.key(name) not in known]

    def demand_regions(self, regions: Collection[str], names: Iterable[str] = (), partly: bool = False) -> None:
        """Raises InputError for such contigs; with ``partly``, for regions to leave out, warns unless all are such."""
        strange = self.unknown(regions, names)
        if not strange:
            return
        error = InputError(
            f"regions on contigs that neither the variants nor {self._genome.path.name} has",
            where=shown(strange),
            cause=f"the FASTA has {shown(self._genome.contigs)}",
            remedy=f"check the names; {RENAME}",
        )
        if not partly or len(strange) == len(set(regions)):
            raise error
        log.warning("%s", error)

    def warn_of_missing(self) -> None:
        """Say which contigs of the records the FASTA does not have."""
        missing = [name for name, found in self._asked.items() if found is None]
        if not missing:
            return
        plink = " (23 to 26 and XY are plink's names)" if set(missing) & set(PLINK) else ""
        log.warning(
            "%d of the variants' contigs are not in %s, which has %s: %s%s; if only the names differ, %s",
            len(missing),
            self._genome.path.name,
            shown(self._genome.contigs),
            shown(missing),
            plink,
            RENAME,
        )

    def _compare(self, name: str) -> None:
        cause = self._difference(name) if self._check != "off" else None
        if cause is None:
            return
        theirs, ours = self._assembly(name), identify(self._genome.contigs)
        what = f"the variants are on {theirs or 'another assembly'}, the FASTA is {ours or 'not'}"
        if theirs is ours is None:
            what = "the variants are on another assembly than the FASTA"
        report_difference(what, cause, self._where, self._check, str(theirs or "their assembly"))

    def _difference(self, name: str) -> str | None:
        """How a contig of the records differs from the FASTA's of the same name."""
        found, contigs, said = self.find(name), self._genome.contigs, self._renames.get(name, name)
        if found is not None and self.differs(name):
            spelled = name if name == found else f"{name}, here {found},"
            return f"{spelled} is declared with {self._lengths[name]:,} bases and has {contigs[found]:,} in the FASTA"
        if found is None and (stated := accession(said)) is not None:
            assembly, number = stated
            there = next((c for c in (number, f"chr{number}") if c in contigs), None)
            if there is not None:
                theirs = f"{said} is chromosome {number} of {assembly}, {assembly.lengths[number]:,} bases"
                return f"the names differ: {theirs}; {there} has {contigs[there]:,} in the FASTA"
        return None

    def _assembly(self, name: str) -> object:
        stated = accession(self._renames.get(name, name))
        return stated[0] if stated else identify(self._lengths)


def report_difference(what: str, cause: str, where: str | None, check: str, assembly: str) -> None:
    """Another assembly: raises VariantFileError, or warns, as ``--check-assembly`` says. assembly: the variants'"""
    error = VariantFileError(
        what,
        where=where,
        cause=cause,
        remedy=f"pass the FASTA of {assembly} with -r, or `check_assembly=warn` if this is right",
    )
    if check == "error":
        raise error
    if check == "warn":
        log.warning("%s", error)


def shown(names: Iterable[str]) -> str:
    """The first few names of many, for a message; what cannot be printed in them is spelled out."""
    every = list(names)
    first = ("".join(c if c.isprintable() else repr(c)[1:-1] for c in name) for name in every[:_SHOWN])
    return ", ".join(first) + (f" ... ({len(every):,} in all)" if len(every) > _SHOWN else "")
