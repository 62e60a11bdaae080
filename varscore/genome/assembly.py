"""The assemblies that are known by the lengths of their chromosomes, and what they and their contigs are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_HUMAN = (*map(str, range(1, 23)), "X", "Y")
_MOUSE = (*map(str, range(1, 20)), "X", "Y")
_REFSEQ = (10, 11, 11, 11, 9, 11, 13, 10, 11, 10, 9, 11, 10, 8, 9, 9, 10, 9, 9, 10, 8, 10, 10, 9)
"""Versions of NC_000001 to NC_000024 in GRCh37; GRCh38's are one higher"""
RCRS = "NC_012920.1"
"""The mitochondrion of GRCh37 and GRCh38, 16,569 bases: not that of hg19"""


@dataclass(frozen=True, eq=False)
class Assembly:
    """lengths: chromosome (``1``, ``X``) -> bases; spellings: a pattern of what it is called, in lower case."""

    name: str
    species: str
    lengths: Mapping[str, int]
    spellings: str
    accessions: Mapping[str, str]
    """RefSeq accession -> chromosome, as far as they are taken for contig names"""

    def __str__(self) -> str:
        return self.name


def _assembly(
    name: str, chromosomes: tuple[str, ...], spellings: str, lengths: str, newer: int | None = None
) -> Assembly:
    known = dict(zip(chromosomes, map(int, lengths.split()), strict=True))
    versions = [] if newer is None else [version + newer for version in _REFSEQ]
    accessions = {f"NC_{n:06}.{version}": chromosomes[n - 1] for n, version in enumerate(versions, 1)}
    species = "human" if chromosomes is _HUMAN else "mouse"
    return Assembly(name, species, known, spellings, accessions)


ASSEMBLIES = (
    _assembly(
        "GRCh37", _HUMAN, r"grch37|hg19|b37|hs37(d5)?|(human_)?g1k_v37|homo_sapiens_assembly19"
        r"|gca_000001405\.(1[0-4]?|[2-9])|gcf_000001405\.(1[3-9]|2[0-5])",
        """249250621 243199373 198022430 191154276 180915260 171115067 159138663 146364022 141213431 135534747
        135006516 133851895 115169878 107349540 102531392 90354753 81195210 78077248 59128983 63025520 48129895
        51304566 155270560 59373566""", 0,
    ),
    _assembly(
        "GRCh38", _HUMAN, r"grch38|hg38|b38|hs38(dh|d1)?|homo_sapiens_assembly38"
        r"|gca_000001405\.(1[5-9]|2[0-9])|gcf_000001405\.(2[6-9]|[34][0-9])",
        """248956422 242193529 198295559 190214555 181538259 170805979 159345973 145138636 138394717 133797422
        135086622 133275309 114364328 107043718 101991189 90338345 83257441 80373285 58617616 64444167 46709983
        50818468 156040895 57227415""", 1,
    ),
    _assembly(
        "T2T-CHM13v2", _HUMAN, r"(t2t[-_]?)?chm13(v2)?|t2t|hs1|gc[af]_009914755\.[0-9]+",
        """248387328 242696752 201105948 193574945 182045439 172126628 160567428 146259331 150617247 134758134
        135127769 133324548 113566686 101161492 99753195 96330374 84276897 80542538 61707364 66210255 45090682
        51324926 154259566 62460029""",
    ),
    _assembly(
        "GRCm38", _MOUSE, r"grcm38|mm10|gca_000001635\.[2-8]|gcf_000001635\.2[0-6]",
        """195471971 182113224 160039680 156508116 151834684 149736546 145441459 129401213 124595110 130694993
        122082543 120129022 120421639 124902244 104043685 98207768 94987271 90702639 61431566 171031299 91744698""",
    ),
    _assembly(
        "GRCm39", _MOUSE, r"grcm39|mm39|gca_000001635\.9|gcf_000001635\.27",
        """195154279 181755017 159745316 156860686 151758149 149588044 144995196 130127694 124359700 130530862
        121973369 120092757 120883175 125139656 104073951 98008968 95294699 90720763 61420004 169476592 91455967""",
    ),
)  # fmt: skip


def chromosome(contig: str) -> str:
    """``20`` for ``20``, ``chr20`` and the accessions of chromosome 20; other names as they are, without ``chr``."""
    stated = accession(contig)
    return contig.removeprefix("chr") if stated is None else stated[1]


def accession(contig: str) -> tuple[Assembly, str] | None:
    """The assembly and chromosome that a RefSeq accession of GRCh37 or GRCh38 stands for; None for other names."""
    found = ((one, one.accessions[contig]) for one in ASSEMBLIES if contig in one.accessions)
    return next(found, None)


def accession_of(contig: str, length: int) -> str | None:
    """The accession of ``20`` or ``chr20``, where an assembly that has accessions gives it this length."""
    number = contig.removeprefix("chr")
    stated = ((name, a.lengths[of]) for a in ASSEMBLIES for name, of in a.accessions.items() if of == number)
    return next((name for name, bases in stated if bases == length), None)


def identify(lengths: Mapping[str, int | None]) -> Assembly | None:
    """The assembly that contigs with these lengths are of: most of the chromosomes among them have its lengths."""
    stated = [(chromosome(name), length) for name, length in lengths.items() if length is not None]
    for assembly in ASSEMBLIES:
        among = [assembly.lengths[name] == length for name, length in stated if name in assembly.lengths]
        if sum(among) * 2 > len(among):
            return assembly
    return None


def named(text: str) -> Assembly | None:
    """The assembly that a name, path or address speaks of, its last part before its folders; None when that is none
    or several."""
    for part in reversed(re.split(r"[/\\]", text)):
        found = list(_named(part.lower()))
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _named(text: str) -> Iterator[Assembly]:
    for assembly in ASSEMBLIES:
        if re.search(rf"(?<![a-z0-9])({assembly.spellings})(?![a-z0-9])", text):
            yield assembly
