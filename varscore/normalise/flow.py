"""Variants in any form to a VCF: one record an ALT allele, REF checked, minimal and left-aligned, sorted.

Nothing that was given is lost without a word: an allele whose REF the genome contradicts is written as it came, and
what cannot be written at all (an rsID that nothing is known of, a deletion on a contig that the FASTA does not have) is
counted and listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.errors import UsageError
from varscore.formats.dbsnp import look_up
from varscore.formats.htsindex import IndexedFile, SortOrder
from varscore.formats.variantlist import Entry, Kind, read_entries, recognise
from varscore.formats.vcf import VariantReader
from varscore.formats.vcf_header import decode, encode
from varscore.genome.alleles import AlleleBatch, ByteColumn, Status
from varscore.genome.contigs import ContigNames
from varscore.genome.coords import one_based
from varscore.genome.named import NamedGenome
from varscore.genome.reasons import Rules, judge
from varscore.genome.sequence import Genome
from varscore.genome.spelling import spell
from varscore.scoring.survey import GenomeRules, compare_references, contig_names
from varscore.storage.atomic import AtomicFile
from varscore.storage.bgzf import BgzfWriter

SUFFIXES = (".vcf", ".vcf.gz", ".vcf.bgz")
UNKNOWN_ID = "UNKNOWN_ID"
"""Why an rsID is no record: the dbSNP file does not have it"""


@dataclass(frozen=True)
class Listed:
    """Alleles as they were given, their IDs, and what is no allele: where it stood, its text, the reason."""

    alleles: AlleleBatch
    ids: list[str]
    left_out: list[tuple[str, str, str]] = field(default_factory=list)
    lengths: dict[str, int] = field(default_factory=dict)
    stated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Normalised:
    """Alleles in VCF order, as they are to be written, and what became of them.

    contigs: FASTA contig of each of the batch's, None for one that it does not have; status: uint8 (n,)
    left_out: what could not be written: where it stood, its text, the reason; names: what the genome calls contigs
    """

    alleles: AlleleBatch
    ids: list[str]
    contigs: list[str | None]
    status: NDArray[np.uint8]
    left_out: list[tuple[str, str, str]]
    names: ContigNames

    @property
    def counts(self) -> Counter[str]:
        """Alleles by status other than PASS, and what was left out by its reason."""
        written = Counter(Status(value).name for value in self.status.tolist() if value != Status.PASS)
        return written + Counter(reason for *_, reason in self.left_out)

    def __str__(self) -> str:
        reasons = "".join(f", {count:,} {reason}" for reason, count in self.counts.most_common())
        return f"{len(self.ids):,} alleles written, {len(self.left_out):,} left out{reasons}"


def normalise(
    source: str | Sequence[Entry],
    genome: Genome,
    *,
    kind: Kind | None = None,
    dbsnp: str | None = None,
    left_align: bool = True,
    rules: GenomeRules | None = None,
) -> Normalised:
    """Read variants and bring them into the form of a VCF.

    source: a file, or entries; kind: of the file, None to recognise it; dbsnp: a VCF in which rsIDs are looked up
    What the FASTA lacks is not warned of yet: ``Normalised.names`` does.
    Raises DataError, VariantFileError (another assembly than the FASTA's, most REFs contradict it) and UsageError.
    """
    rules = rules or GenomeRules()
    where = source if isinstance(source, str) else "the variants given"
    given = listed(source, genome, kind, dbsnp, rules)
    names = contig_names(genome, rules, where, given.lengths, given.stated)
    contigs = names.of(given.alleles.contigs)
    names.demand_some(given.alleles.contigs)
    compare_references([_Piece(given.alleles)], genome, names, rules, where)
    status, alleles = judge(given.alleles, NamedGenome(genome, contigs), Rules(as_written=not left_align))
    order = _order(alleles, contigs, genome)
    return Normalised(
        alleles.take(order, np.arange(len(order))),
        [given.ids[row] for row in order.tolist()],
        contigs,
        status[order],
        given.left_out,
        names,
    )


def write_vcf(found: Normalised, genome: Genome, output: AtomicFile, *, index: bool = True) -> None:
    """Write and commit a VCF without samples; ``.gz`` and ``.bgz`` are bgzipped, and indexed beside.

    Raises OutputError; nothing is left behind then.
    """
    zipped = output.path.endswith((".gz", ".bgz"))
    order = SortOrder()
    order.see(found.alleles)
    file = IndexedFile(output, order, genome.contigs.values(), "vcf" if zipped and index else None)
    try:
        text = vcf_text(found, genome)
        if zipped:
            writer = BgzfWriter(output.write)
            writer.write(text)
            writer.close()
        else:
            output.write(text)
        file.settle()
        file.place()
    except BaseException:
        file.abort()
        raise


def vcf_text(found: Normalised, genome: Genome) -> bytes:
    """The VCF, uncompressed. Contigs have the FASTA's names."""
    alleles = found.alleles
    names = [encode(name or alleles.contigs[index]) for index, name in enumerate(found.contigs)]
    lines = [
        b"##fileformat=VCFv4.3",
        f"##source=varscore {__version__} normalise".encode(),
        b"##reference=" + encode(genome.path.name),
        *(b"##contig=<ID=%s,length=%d>" % (encode(name), length) for name, length in genome.contigs.items()),
        *(_REACH_LINES if alleles.affected_bases.any() else ()),
        b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    positions = one_based(alleles.start).tolist()
    columns = zip(alleles.contig.tolist(), positions, found.ids, alleles.affected_bases.tolist(), strict=True)
    for row, (contig, pos, name, affected) in enumerate(columns):
        alt = alleles.alt[row]
        fields = (names[contig], b"%d" % pos, encode(name), alleles.ref[row], alt, b".\t.", _reach(pos, alt, affected))
        lines.append(b"\t".join(fields))
    return b"\n".join([*lines, b""])


_REACH_LINES = (
    b'##INFO=<ID=END,Number=1,Type=Integer,Description="The last base of a structural allele">',
    b'##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Its bases, those of a deletion below 0">',
)


def _reach(pos: int, alt: bytes, affected: int) -> bytes:
    """INFO of an allele: how far ``<DEL>`` and the like reach."""
    if not affected:
        return b"."
    return b"END=%d;SVLEN=%d" % (pos + affected, -affected if alt.startswith(b"<DEL") else affected)


def skipped_text(found: Normalised) -> str:
    """A table of what was left out, and of what was written though it cannot be scored."""
    alleles = found.alleles
    rows = [("where", "text", "reason"), *found.left_out]
    for row in np.flatnonzero(found.status != Status.PASS).tolist():
        place = f"{alleles.contigs[alleles.contig[row]]}:{one_based(int(alleles.start[row]))}"
        change = f"{alleles.ref[row].decode('ascii', 'replace')}>{alleles.alt[row].decode('ascii', 'replace')}"
        rows.append((place, change, Status(int(found.status[row])).name))
    return "".join("\t".join(row) + "\n" for row in rows)


@dataclass(frozen=True)
class _Piece:
    alleles: AlleleBatch


def _order(alleles: AlleleBatch, contigs: Sequence[str | None], genome: Genome) -> NDArray[np.int64]:
    """Rows by contig, in the FASTA's order, and position; of one place in the order in which they came. int64 (n,)"""
    place = {name: number for number, name in enumerate(genome.contigs)}
    last = len(place)
    rank = np.array([place[name] if name else last + number for number, name in enumerate(contigs)], np.int64)
    return np.lexsort((alleles.start, rank[alleles.contig])) if len(alleles) else np.zeros(0, np.int64)


def listed(
    source: str | Sequence[Entry],
    genome: Genome,
    kind: Kind | None = None,
    dbsnp: str | None = None,
    rules: GenomeRules | None = None,
) -> Listed:
    """The alleles that a file or entries name, in their order, spelled as in a VCF. See :func:`normalise`."""
    rules = rules or GenomeRules()
    if isinstance(source, str):
        kind = kind or recognise(source)
        if kind is Kind.VCF:
            return _from_vcf(source)
        if kind is Kind.REGION:
            raise UsageError(
                "intervals without alleles",
                where=source,
                remedy="`varscore annotate` scores every substitution in them",
            )
        entries: Iterable[Entry] = read_entries(source, kind)
    else:
        entries = source
    return _from_entries(list(entries), genome, dbsnp, rules)


def _from_vcf(source: str) -> Listed:
    with VariantReader(source) as reader:
        chunks = list(reader.chunks())
        header = reader.header
    ids = [decode(chunk.ids[record]) for chunk in chunks for record in chunk.alleles.record.tolist()]
    lengths = {name: length for name, length in header.contigs.items() if length is not None}
    return Listed(_joined([chunk.alleles for chunk in chunks]), ids, [], lengths, header.stated)


def _joined(parts: Sequence[AlleleBatch]) -> AlleleBatch:
    """Batches of one reader, whose list of contigs only grows, one after the other."""
    if not parts:
        return _batch(())
    together = AlleleBatch.joined(parts)
    return replace(together, record=np.arange(len(together)))


def _from_entries(entries: Sequence[Entry], genome: Genome, dbsnp: str | None, rules: GenomeRules) -> Listed:
    """Names spelled out by the genome, rsIDs by dbSNP."""
    rows, left_out = _spelled(entries, genome, rules)
    asked: dict[str, list[int]] = {}  # an ID may be given several times
    for number, entry in enumerate(entries):
        if entry.change is None:
            asked.setdefault(entry.name, []).append(number)
    if not asked:
        return Listed(_batch(rows), [row.name for row in rows], left_out)
    if dbsnp is None:
        raise UsageError(
            f"{len(asked):,} rsIDs, which have no position of their own",
            where=entries[min(asked.values())[0]].where,
            remedy="give `dbsnp`, a VCF with IDs in which they are looked up",
        )
    known = look_up(dbsnp, asked)
    names = iter(known.ids)
    for part in known.alleles:
        for row in range(len(part)):
            name = next(names)
            ref, alt = (column[row].decode("ascii", "replace") for column in (part.ref, part.alt))
            place = part.contigs[part.contig[row]], int(part.start[row]), ref, alt, name
            rows += [_Row(number, *place) for number in asked[name]]
    rows.sort(key=lambda row: row.number)
    found = set(known.ids)
    left_out += [
        (entries[number].where, name, UNKNOWN_ID)
        for name, numbers in asked.items()
        if name not in found
        for number in numbers
    ]
    return Listed(_batch(rows), [row.name for row in rows], left_out, known.lengths, known.stated)


@dataclass(frozen=True, slots=True)
class _Row:
    """An allele as in a VCF, but for its start, which is 0-based. number: of the entry that it comes from"""

    number: int
    contig: str
    start: int
    ref: str
    alt: str
    name: str


def _spelled(
    entries: Sequence[Entry], genome: Genome, rules: GenomeRules
) -> tuple[list[_Row], list[tuple[str, str, str]]]:
    """The entries that name a change, and those of them that cannot be spelled: where they stood, their text, why."""
    changes = [(number, entry, entry.change) for number, entry in enumerate(entries) if entry.change is not None]
    contigs = list(dict.fromkeys(change.contig for *_, change in changes))
    there = ContigNames(genome, {}, rules.renames, None, rules.check_assembly).of(contigs)
    names = dict(zip(contigs, there, strict=True))
    rows: list[_Row] = []
    left_out: list[tuple[str, str, str]] = []
    for number, entry, change in changes:
        name = names[change.contig]
        try:
            start, ref, alt = spell(change, genome, name) if name else (change.start, change.ref, change.alt)
        except ValueError:
            left_out.append((entry.where, entry.name, Status.OFF_CONTIG.name))
            continue
        if ref and alt:
            rows.append(_Row(number, change.contig, start, ref, alt, entry.name))
        else:  # the genome would have to say the rest
            left_out.append((entry.where, entry.name, Status.MISSING_CONTIG.name))
    return rows, left_out


def _batch(rows: Sequence[_Row]) -> AlleleBatch:
    contigs = tuple(dict.fromkeys(row.contig for row in rows))
    number = {contig: index for index, contig in enumerate(contigs)}
    return AlleleBatch(
        record=np.arange(len(rows)),
        contig=np.array([number[row.contig] for row in rows], np.int32),
        contigs=contigs,
        start=np.array([row.start for row in rows], np.int64),
        ref=ByteColumn.of([row.ref.encode() for row in rows]),
        alt=ByteColumn.of([row.alt.encode() for row in rows]),
    )
