"""A small made-up genome with real binding sites, and variants that break and make them: something to score at once.

Nothing here is random but for the bases between the sites, and those are the same every time.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from varscore.genome.coords import one_based
from varscore.storage.whole import put_file

# What these proteins bind best, as their sites are usually written (5' to 3').
CONSENSUS = {
    "CTCF": "TGGCCACCAGGGGGCGCTA",
    "REST": "TTCAGCACCACGGACAGCGCC",
    "NRF1": "TGCGCATGCGCA",
    "SP1": "GGGGGCGGGGC",
    "ELK1": "AACCGGAAGTGA",
    "NFY": "CTCAGCCAATCAGCG",
    "CREB": "GGTGACGTCACC",
    "YY1": "CAAGATGGCGGC",
    "AP-1": "GATGAGTCATC",
    "CEBP": "GATTGCGCAATC",
    "GATA": "CAGATAAGGA",
    "FOXA": "CTGTTTACTTT",
    "RUNX": "CTGTGGTTTGC",
}


@dataclass(frozen=True)
class Contig:
    """A contig before its sites are put in. island: the stretch that is rich in C, G and CpG, as promoters are."""

    name: str
    length: int
    island: tuple[int, int] = (0, 0)
    unknown: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Site:
    """A binding site at a 0-based position of a contig; ``flaw`` replaces one base of the consensus: index, base."""

    contig: str
    start: int
    protein: str
    flaw: tuple[int, str] | None = None

    @property
    def sequence(self) -> str:
        """What the genome has there."""
        bases = list(CONSENSUS[self.protein])
        if self.flaw:
            bases[self.flaw[0]] = self.flaw[1]
        return "".join(bases)


@dataclass(frozen=True)
class DemoVariant:
    """A record of ``demo.vcf``. start: 0-based; meaning: what it does to the genome."""

    contig: str
    start: int
    ref: str
    alts: tuple[str, ...]
    meaning: str


CONTIGS = (
    Contig("demo1", 8000, island=(1600, 2400)),
    Contig("demo2", 6000),
    Contig("demo3", 4000, unknown=(3000, 3200)),
)

SITES = {
    # a promoter in its CpG island
    "promoter NFY": Site("demo1", 1830, "NFY"),
    "promoter SP1": Site("demo1", 1875, "SP1"),
    "promoter CREB": Site("demo1", 1910, "CREB"),
    "second promoter SP1": Site("demo1", 1940, "SP1"),
    "promoter ELK1": Site("demo1", 1965, "ELK1"),
    "promoter NRF1": Site("demo1", 1990, "NRF1"),
    "second promoter ELK1": Site("demo1", 2020, "ELK1"),
    "third promoter SP1": Site("demo1", 2045, "SP1"),
    "second promoter NRF1": Site("demo1", 2070, "NRF1"),
    "promoter YY1": Site("demo1", 2100, "YY1"),
    # an enhancer
    "enhancer RUNX": Site("demo1", 5420, "RUNX"),
    "enhancer AP-1": Site("demo1", 5445, "AP-1"),
    "enhancer GATA": Site("demo1", 5470, "GATA"),
    "enhancer CEBP": Site("demo1", 5490, "CEBP"),
    "second enhancer AP-1": Site("demo1", 5515, "AP-1"),
    "enhancer FOXA": Site("demo1", 5540, "FOXA"),
    "second enhancer GATA": Site("demo1", 5565, "GATA"),
    # insulators, a silencer, and sites that one base is missing from
    "CTCF": Site("demo2", 1500, "CTCF"),
    "second CTCF": Site("demo2", 3000, "CTCF"),
    "REST": Site("demo2", 4500, "REST"),
    "flawed AP-1": Site("demo1", 6900, "AP-1", flaw=(6, "G")),
    "flawed CTCF": Site("demo3", 1500, "CTCF", flaw=(12, "A")),
}


def genome() -> dict[str, str]:
    """Contig name -> sequence, in order."""
    draw = random.Random(2015)
    sequences = {contig.name: list(_background(contig, draw)) for contig in CONTIGS}
    for site in SITES.values():
        sequences[site.contig][site.start : site.start + len(site.sequence)] = site.sequence
    for contig in CONTIGS:
        first, last = contig.unknown
        sequences[contig.name][first:last] = "N" * (last - first)
    return {name: "".join(bases) for name, bases in sequences.items()}


def _background(contig: Contig, draw: random.Random) -> Iterator[str]:
    """Bases one after the other: 41 % G and C, with few CpG as in our genome; 65 % and all CpG in the island."""
    before = ""
    for position in range(contig.length):
        inside = contig.island[0] <= position < contig.island[1]
        strong = 0.325 if inside else 0.205
        weights = {"A": 0.5 - strong, "C": strong, "G": strong, "T": 0.5 - strong}
        if before == "C" and not inside:
            weights["G"] *= 0.25
        base = _pick(weights, draw.random())
        before = base
        yield base


def _pick(weights: dict[str, float], share: float) -> str:
    """The key in which ``share`` (0 to 1) of the summed weights falls."""
    rest = share * sum(weights.values())
    for base, weight in weights.items():
        rest -= weight
        if rest < 0:
            return base
    return "T"


def variants(sequences: dict[str, str]) -> list[DemoVariant]:
    """The records of ``demo.vcf`` for the genome, sorted."""
    return [
        _between(sequences, "demo1", 700),
        _change("promoter SP1", 5, "A"),
        _change("promoter ELK1", 5, "A"),
        _change("promoter NRF1", 4, "A"),
        _between(sequences, "demo1", 3300),
        _change("enhancer AP-1", 3, "T"),
        _cut("enhancer GATA", 2, 6, "cuts GATA out of the enhancer GATA site"),
        _insert("second enhancer AP-1", 5, "CCT"),
        _mend("flawed AP-1"),
        _change("CTCF", 12, "C", "T"),
        _between(sequences, "demo2", 2300),
        _cut("second CTCF", 7, 15, "cuts the middle out of the second CTCF site"),
        _change("REST", 12, "T"),
        DemoVariant("demo2", 5200, sequences["demo2"][5200], ("<INS>",), "an insertion, not spelled out"),
        _mend("flawed CTCF"),
        DemoVariant("demo3", 2000, _OTHER[sequences["demo3"][2000]], ("G",), "REF is not what the genome has"),
        DemoVariant("demo3", 3100, "A", ("C",), "the genome is unknown here"),
    ]


_OTHER = {"A": "C", "C": "A", "G": "T", "T": "A"}


def _between(sequences: dict[str, str], contig: str, start: int) -> DemoVariant:
    ref = sequences[contig][start]
    return DemoVariant(contig, start, ref, (_OTHER[ref],), "nothing, it lies between the sites")


def _change(name: str, index: int, *alts: str) -> DemoVariant:
    site = SITES[name]
    return DemoVariant(site.contig, site.start + index, site.sequence[index], alts, f"breaks the {name} site")


def _mend(name: str) -> DemoVariant:
    site = SITES[name]
    assert site.flaw is not None
    index, flaw = site.flaw
    alt = CONSENSUS[site.protein][index]
    return DemoVariant(site.contig, site.start + index, flaw, (alt,), f"completes the {name} site")


def _cut(name: str, first: int, last: int, meaning: str) -> DemoVariant:
    """A deletion of the site's bases [first, last), with the base before it as VCF wants."""
    site = SITES[name]
    ref = site.sequence[first - 1 : last]
    return DemoVariant(site.contig, site.start + first - 1, ref, (ref[0],), meaning)


def _insert(name: str, index: int, bases: str) -> DemoVariant:
    """An insertion before the site's base ``index``."""
    site = SITES[name]
    ref = site.sequence[index - 1]
    meaning = f"inserts {bases} into the {name} site"
    return DemoVariant(site.contig, site.start + index - 1, ref, (ref + bases,), meaning)


@dataclass(frozen=True)
class DemoFiles:
    """The files of a demo folder."""

    folder: Path

    @property
    def fasta(self) -> Path:
        return self.folder / "demo.fa"

    @property
    def vcf(self) -> Path:
        return self.folder / "demo.vcf"

    @property
    def scored(self) -> Path:
        return self.folder / "demo.varscore.vcf.gz"

    @property
    def motifs(self) -> Path:
        return self.folder / "demo.jaspar"

    @property
    def page(self) -> Path:
        return self.folder / "report.html"

    def write(self) -> list[DemoVariant]:
        """Write the genome, the variants and the motifs of the sites. Raises OutputError."""
        sequences = genome()
        records = variants(sequences)
        put_file(self.fasta, "".join(_fasta_lines(sequences)))
        put_file(self.vcf, "".join(_vcf_lines(sequences, records)))
        put_file(self.motifs, "".join(_motif_lines()))
        return records


def _fasta_lines(sequences: dict[str, str], width: int = 60) -> Iterator[str]:
    for name, sequence in sequences.items():
        yield f">{name}\n"
        yield from (sequence[first : first + width] + "\n" for first in range(0, len(sequence), width))


def _motif_lines() -> Iterator[str]:
    """The consensus sequences as JASPAR writes matrices: of a hundred sites, 94 have the base that is written."""
    for protein, consensus in CONSENSUS.items():
        yield f">{protein} {protein}\n"
        for base in "ACGT":
            counts = " ".join("94" if there == base else " 2" for there in consensus)
            yield f"{base} [ {counts} ]\n"


def _vcf_lines(sequences: dict[str, str], records: list[DemoVariant]) -> Iterator[str]:
    yield "##fileformat=VCFv4.3\n"
    yield from (f"##contig=<ID={name},length={len(sequence)}>\n" for name, sequence in sequences.items())
    yield '##ALT=<ID=INS,Description="Insertion">\n'
    yield '##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length of the variant">\n'
    yield "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    for number, record in enumerate(records, 1):
        pos = one_based(record.start)
        info = "SVLEN=50" if "<INS>" in record.alts else "."
        yield f"{record.contig}\t{pos}\tdemo{number:02}\t{record.ref}\t{','.join(record.alts)}\t.\t.\t{info}\n"


@dataclass(frozen=True)
class Outcome:
    """What the annotated file says of one ALT allele."""

    variant: str
    tags: dict[str, str]
    """Tag without its ``VS_`` -> value, ``.`` where there is no score"""


def read_outcomes(scored: Path) -> list[list[Outcome]]:
    """For every record of an annotated VCF, the outcome of each of its ALT alleles."""
    with gzip.open(scored, "rt") as lines:
        return [_outcomes(line.rstrip("\n")) for line in lines if not line.startswith("#")]


def _outcomes(line: str) -> list[Outcome]:
    contig, pos, _, ref, alts, _, _, info = line.split("\t")[:8]
    entries = (entry.partition("=") for entry in info.split(";"))
    tags = {tag.removeprefix("VS_"): values.split(",") for tag, _, values in entries if tag.startswith("VS_")}
    return [
        Outcome(f"{contig}:{pos} {ref}>{alt}", dict(zip(tags, values, strict=True)))
        for alt, *values in zip(alts.split(","), *tags.values(), strict=True)
    ]
