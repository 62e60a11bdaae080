"""One variant, many spellings: the rules of the minimal form on strings, one base at a time, and ways to break it."""

from __future__ import annotations

import random


def trim(ref: str, alt: str, start: int = 0) -> tuple[int, str, str]:
    """Without the bases that both share, last ones first, as long as both keep one."""
    while min(len(ref), len(alt)) > 1 and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while min(len(ref), len(alt)) > 1 and ref[0] == alt[0]:
        ref, alt, start = ref[1:], alt[1:], start + 1
    return start, ref, alt


def minimal(sequence: str, start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Start, REF and ALT of the minimal, left-aligned form, upper-case, by Tan, Abecasis and Kang (2015).

    sequence: the contig, to which ``start`` counts from 0; letters other than ACGT are N. An N that both alleles end
    with is trimmed like any other letter: `N > AN` beside a T is the `T > TA` that somebody else has written.
    """
    known = "".join(base if base in "ACGT" else "N" for base in sequence.upper())
    start, ref, alt = trim(ref.upper(), alt.upper(), start)
    while ref != alt and ref[-1] == alt[-1] and start > 0:
        ref, alt = ref[:-1], alt[:-1]
        if not ref or not alt:
            start -= 1
            ref, alt = known[start] + ref, known[start] + alt
    return trim(ref, alt, start)


def respelled(sequence: str, start: int, ref: str, alt: str, dice: random.Random) -> tuple[int, str, str]:
    """The same variant as somebody else might write it: moved right as far as it goes or less, padded on both sides."""
    for _ in range(dice.choice([0, 0, 1, 3, 10, 100])):
        after = start + len(ref)
        if len(ref) == len(alt) or ref[0].upper() != alt[0].upper() or after == len(sequence):
            break
        longer, base = max(ref, alt, key=len), sequence[after].upper()
        if longer[1].upper() != base or min(len(ref), len(alt)) > 1:
            break
        ref, alt, start = (ref + base)[1:], (alt + base)[1:], start + 1
    left, right = dice.choice([0, 0, 1, 7]), dice.choice([0, 0, 1, 7])
    before, after = sequence[max(start - left, 0) : start], sequence[start + len(ref) :][:right]
    return start - len(before), before + ref + after, before + alt + after


def repeats(length: int, dice: random.Random) -> str:
    """Sequence that indels find much to move along in, in both cases, with unknown stretches."""
    pieces: list[str] = []
    while sum(map(len, pieces)) < length:
        unit = "".join(dice.choices("ACGT", k=dice.choice([1, 1, 2, 3, 5, 30])))
        piece = dice.choice(
            [unit * dice.choice([1, 2, 5, 20]), unit, "N" * dice.choice([1, 20]) if dice.random() < 0.05 else unit]
        )
        pieces.append(piece.lower() if dice.random() < 0.2 else piece)
    return "".join(pieces)[:length]


def random_alleles(sequence: str, dice: random.Random) -> tuple[int, str, list[str]]:
    """Start, REF and one to three ALTs of a record as callers write them, all within known sequence."""
    while True:
        start = dice.randrange(len(sequence) - 60)
        ref = sequence[start : start + dice.choice([1, 1, 1, 2, 3, 8, 40])].upper()
        if "N" not in ref:
            break
    alts = {_changed(ref, dice) for _ in range(dice.choice([1, 1, 2, 3]))} - {ref}
    return (start, ref, sorted(alts)) if alts else random_alleles(sequence, dice)


def _changed(ref: str, dice: random.Random) -> str:
    """One base substituted, some deleted, some doubled, others put in, or something else altogether."""
    at = dice.randrange(len(ref))
    size = dice.randint(1, len(ref))
    new = "".join(dice.choices("ACGT", k=dice.choice([1, 2, 5])))
    changes = [ref[:at] + dice.choice("ACGT") + ref[at + 1 :], ref[:at] + ref[at + size :] or ref[0], new]
    return dice.choice([*changes, ref[:at] + ref[at : at + size] + ref[at:], ref[: at + 1] + new + ref[at + 1 :]])


def vcf_of(contig: str, sequence: str, records: list[tuple[int, str, list[str]]]) -> str:
    """A VCF of them, sorted; ID is the record's number, INFO/AI says which of its ALTs is which."""
    lines = [
        f"{contig}\t{start + 1}\tr{number}\t{ref}\t{','.join(alts)}\t.\t.\tAI={','.join(map(str, range(len(alts))))}"
        for number, (start, ref, alts) in enumerate(sorted(records))
    ]
    head = ["##fileformat=VCFv4.2", f"##contig=<ID={contig},length={len(sequence)}>"]
    head += ['##INFO=<ID=AI,Number=A,Type=Integer,Description="Number of the ALT">']
    return "\n".join([*head, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO", *lines]) + "\n"
