"""Structural variants that are named, not spelled out: how many bases an allele like ``<DEL>`` affects.

``POS`` is the base before them. ``END`` is the last of them, ``SVLEN`` their number. A record says so for certain or it
does not: where a breakpoint is not known to the base, nothing is known of the sequence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_KNOWN = re.compile(rb"<(?:DEL(?::[^<>]*)?|DUP(?::TANDEM)?|INV)>")
_INTEGER = re.compile(rb"[+-]?[0-9]{1,18}")
_INTERVALS = (b"CIPOS", b"CIEND", b"CILEN")
"""How far breakpoints may lie from where the record has them; CILEN is VCF 4.4's"""
_INSERTED = (b"SVINSLEN", b"SVINSSEQ", b"INSLEN", b"NTLEN")
"""Bases between the two sides of the junction that the reference has not, as Manta, Delly and Pindel write them"""
_CLASSES = {b"BAF", b"PE", b"RD"}
"""Of EVIDENCE in GATK-SV and gnomAD-SV: reads that are split at a breakpoint (SR) tell of its place, these do not"""


def affected_bases(alts: Sequence[bytes], pos: int, info: bytes) -> list[int]:
    """For each ALT of a record at ``pos`` (1-based) how many bases from ``pos`` + 1 on it deletes, doubles or inverts.

    0 for an allele that is spelled out or of another kind, and where the record does not say it to the base.
    Of a record with one ALT END is believed before SVLEN, which some programs count otherwise; of one with several
    SVLEN, which has a value for each.
    """
    entries = dict(entry.partition(b"=")[::2] for entry in info.split(b";"))
    end = _integers(entries, b"END")
    to_end = max(0, end[0] - pos) if end and len(end) == 1 else 0
    lengths = _integers(entries, b"SVLEN") or []
    own = [abs(length) for length in lengths] if len(lengths) == len(alts) else [0] * len(alts)
    found = [to_end or own[0]] if len(alts) == 1 else [length or to_end for length in own]
    return [
        size if _KNOWN.fullmatch(alt) and _is_precise(entries, index, len(alts)) else 0
        for index, (alt, size) in enumerate(zip(alts, found, strict=True))
    ]


def _is_precise(entries: Mapping[bytes, bytes], index: int, alts: int) -> bool:
    """Whether both breakpoints of the allele ``index`` are known to the base, and nothing is inserted between them."""
    claims = entries.get(b"SVCLAIM", b".").split(b",")
    claim = claims[index] if len(claims) == alts else claims[0]
    by_depth = claim == b"D" or set(entries.get(b"EVIDENCE", b".").split(b",")) <= _CLASSES  # D: VCF 4.4
    if b"IMPRECISE" in entries or by_depth:
        return False
    for key in _INTERVALS:
        around = _integers(entries, key)
        if around is None:
            return False
        if any(around[2 * index : 2 * index + 2] if len(around) == 2 * alts else around):
            return False
    return all(value in (b".", b"0", b"") for key in _INSERTED for value in entries.get(key, b".").split(b","))


def _integers(entries: Mapping[bytes, bytes], key: bytes) -> list[int] | None:
    """The numbers of an entry, 0 for a missing one, none where all are missing; None when they are no numbers."""
    values = entries.get(key, b".").split(b",")
    if all(value == b"." for value in values):
        return []
    numbers = [b"0" if value == b"." else value for value in values]
    return list(map(int, numbers)) if all(map(_INTEGER.fullmatch, numbers)) else None
