"""Variants as people write them in one word: ``chr1:1005A>G``, ``1-1005-A-G``, ``NC_000001.10:g.1005_1006del``.

Parsing looks at nothing but the text. A deletion or duplication in HGVS does not say which bases it is about, and no
HGVS has the base before an insertion that a VCF wants, so :func:`spell` asks the genome.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from varscore.genome.assembly import accession
from varscore.genome.coords import whole_number
from varscore.genome.sequence import Genome, decode, reverse_complement

FORMS = "chr1:1005A>G, chr1-1005-A-G, 1:1005:A:G, chr1:1005AT>A, or genomic HGVS such as NC_000001.10:g.1005A>G"
"""What a variant may look like, for messages"""
TRANSCRIPTS = "VEP's Variant Recoder and the Python package hgvs turn c., n. and p. names into g. names"
RSID = re.compile(r"rs[0-9]+", re.IGNORECASE)

_BASES = "[ACGTURYSWKMBDHVN]+"
_CONTIG = r"(?P<contig>[\w.*|:-]+)"
_ARROW = re.compile(rf"{_CONTIG}[:\s-]\s*(?P<pos>[\d,]+)\s*(?P<ref>{_BASES})\s*>\s*(?P<alt>{_BASES})", re.IGNORECASE)
_PARTED = re.compile(
    rf"{_CONTIG}[\s:_-]\s*(?P<pos>[\d,]+)[\s:_-]\s*(?P<ref>{_BASES})[\s:_/>-]\s*(?P<alt>{_BASES})"
    r"(?:_(?:b37|b38|hg19|hg38|GRCh37|GRCh38))?",
    re.IGNORECASE,
)
_HGVS = re.compile(r"(?P<contig>[\w.]+):(?P<kind>[a-z])\.(?P<change>\S+)", re.IGNORECASE)
_PLACE = r"(?P<first>\d+)(?:_(?P<last>\d+))?"
_CHANGES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("replace", rf"(?P<first>\d+)(?P<last>)(?P<ref>{_BASES})>(?P<alt>{_BASES})"),
        ("replace", rf"{_PLACE}del(?P<ref>{_BASES})?ins(?P<alt>{_BASES})"),
        ("delete", rf"{_PLACE}del(?P<ref>{_BASES})?(?P<alt>)"),
        ("duplicate", rf"{_PLACE}dup(?P<ref>{_BASES})?(?P<alt>)"),
        ("invert", rf"{_PLACE}inv(?P<ref>{_BASES})?(?P<alt>)"),
        ("insert", rf"(?P<first>\d+)_(?P<last>\d+)ins(?P<ref>)(?P<alt>{_BASES})"),
    )
)

Kind = Literal["replace", "delete", "duplicate", "invert", "insert"]


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the bases ``[start, end)`` of a contig, 0-based.

    ref: the bases that are there, as far as the text says; alt: those that replace them, or are inserted before
    ``end`` (kind ``insert``, where ``start`` is the base to the left)
    """

    contig: str
    start: int
    end: int
    ref: str
    alt: str
    kind: Kind = "replace"


def is_variant(text: str) -> bool:
    """Whether a text looks like one variant, right or wrong."""
    return any(pattern.fullmatch(text.strip()) for pattern in (_ARROW, _PARTED, _HGVS))


def parse_variant(text: str) -> Edit:
    """Read one variant. Raises ValueError, which says why, for anything else.

    ``CONTIG:POS:REF:ALT`` counts from 1, but on a RefSeq accession (``NC_000001.10:1004:A:G``) it is SPDI, which counts
    from 0.
    """
    text = text.strip()
    if (found := _HGVS.fullmatch(text)) is not None:
        return _parse_hgvs(found["contig"], found["kind"], found["change"])
    if (found := _ARROW.fullmatch(text) or _PARTED.fullmatch(text)) is None:
        raise ValueError(f"it is {text[:60]!r}")
    start = whole_number(found["pos"].replace(",", "")) - 1
    is_spdi = accession(found["contig"]) is not None and text.count(":") == 3
    if start + is_spdi < 0:
        raise ValueError("positions count from 1")
    ref, alt = found["ref"].upper().replace("U", "T"), found["alt"].upper().replace("U", "T")
    return Edit(found["contig"], start + is_spdi, start + is_spdi + len(ref), ref, alt)


def _parse_hgvs(contig: str, kind: str, change: str) -> Edit:
    if kind not in "gm":
        raise ValueError(
            f"{kind}. names count along a transcript or protein, which varscore does not have; {TRANSCRIPTS}"
        )
    for what, pattern in _CHANGES:
        if found := pattern.fullmatch(change):
            first = whole_number(found["first"])
            last = whole_number(found["last"]) if found["last"] else first
            ref, alt = ((found[name] or "").upper().replace("U", "T") for name in ("ref", "alt"))
            if first < 1 or last < first:
                raise ValueError(f"{change[:40]!r} has no place: positions count from 1, the first comes first")
            if what == "insert" and last != first + 1:
                raise ValueError("an insertion is between two bases that follow on each other, such as 1005_1006insT")
            if ref and found["last"] != "" and len(ref) != last - first + 1:
                raise ValueError(f"{change[:40]!r} names {len(ref)} bases for {last - first + 1} positions")
            end = first - 1 + len(ref) if found["last"] == "" else last
            return Edit(contig, first - 1, end, ref, alt, what)  # type: ignore[arg-type]  # one of _CHANGES
    if change.endswith("="):
        raise ValueError(f"{change[:40]!r} says that nothing changes")
    raise ValueError(f"{change[:40]!r} is none of A>G, del, ins, dup, inv, delins at known positions")


def spell(edit: Edit, genome: Genome, contig: str) -> tuple[int, str, str]:
    """The 0-based position, REF and ALT of an edit in a VCF, not yet left-aligned. contig: its name in the FASTA.

    What the text says of REF stays, right or wrong, so that a wrong one can be reported. Raises ValueError for an edit
    that lies beyond the contig's end.
    """
    if edit.kind == "replace" and edit.ref:
        return edit.start, edit.ref, edit.alt
    size = genome.contigs[contig]
    if edit.end > size:
        raise ValueError(f"{edit.contig} has {size:,} bases")

    def there(start: int, end: int) -> NDArray[np.uint8]:
        return genome.codes(contig, start, end)

    if edit.kind == "insert":
        before = _text(there(edit.start, edit.end - 1))
        return edit.start, before, before + edit.alt
    ref = edit.ref or _text(there(edit.start, edit.end))
    if edit.kind == "replace":
        return edit.start, ref, edit.alt
    if edit.kind == "invert":
        return edit.start, ref, _text(reverse_complement(there(edit.start, edit.end)))
    if edit.kind == "duplicate":
        return edit.end - 1, ref[-1], ref[-1] + ref
    return _deletion(edit, ref, there, size)


def _deletion(edit: Edit, ref: str, there: Callable[[int, int], NDArray[np.uint8]], size: int) -> tuple[int, str, str]:
    """A VCF spells it with the base before it, at the very beginning of a contig with the base after it."""
    if edit.start > 0:
        before = _text(there(edit.start - 1, edit.start))
        return edit.start - 1, before + ref, before
    if edit.end == size:
        raise ValueError("it deletes the whole contig")
    after = _text(there(edit.end, edit.end + 1))
    return 0, ref + after, after


def _text(codes: NDArray[np.uint8]) -> str:
    return decode(codes).decode()
