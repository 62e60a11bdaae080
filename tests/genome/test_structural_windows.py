"""Windows of ``<DEL>``, ``<DUP>`` and ``<INV>`` against the ALT contig written out as text, and where they stand
against ``bcftools norm``."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools
import pytest
from spellings import minimal, repeats

from varscore.genome.alleles import AlleleBatch, ByteColumn, Status
from varscore.genome.reasons import BY_DEFAULT, Rules
from varscore.genome.sequence import Genome, decode
from varscore.genome.windows import Windows, cut_windows

DICE = random.Random(4)
SEQUENCES = {"c": repeats(3000, DICE).replace("n", "a").replace("N", "A"), "d": "".join(DICE.choices("ACGT", k=900))}
LENGTHS = [1000, 101, 8]
NAMES = ["<DEL>", "<DEL:ME>", "<DUP>", "<DUP:TANDEM>", "<INV>"]
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
Named = tuple[str, int, int, str]  # contig, 0-based position of the base before, bases affected, ALT


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    folder = tmp_path_factory.mktemp("structural")
    path = folder / "genome.fa"
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in SEQUENCES.items()))
    return Genome(path, cache_dir=folder / "cache")


def batch_of(alleles: list[Named], refs: list[str] | None = None) -> AlleleBatch:
    there = [SEQUENCES[contig][start] for contig, start, *_ in alleles]
    return AlleleBatch(
        record=np.arange(len(alleles)),
        contig=np.array([list(SEQUENCES).index(contig) for contig, *_ in alleles], np.int32),
        contigs=tuple(SEQUENCES),
        start=np.array([start for _, start, *_ in alleles], np.int64),
        ref=ByteColumn.of([ref.encode() for ref in refs or there]),
        alt=ByteColumn.of([alt.encode() for *_, alt in alleles]),
        affected=np.array([affected for _, _, affected, _ in alleles], np.int64),
    )


def cut(
    genome: Genome, alleles: list[Named], length: int, rules: Rules = BY_DEFAULT
) -> tuple[list[str], AlleleBatch, Windows]:
    status, batch, windows = cut_windows(batch_of(alleles), genome, list(SEQUENCES), length, rules)
    return [Status(s).name for s in status], batch, windows


def other_strand(text: str) -> str:
    return text.translate(COMPLEMENT)[::-1]


# -- the slow truth: the whole ALT contig, and slices of it -----------------------------------------------------------


def around(sequence: str, at: int, length: int) -> str:
    """The window in which the base ``at`` is anchored."""
    pad = "N" * length
    first = len(pad) + at - (length - 1) // 2
    return (pad + sequence + pad)[first : first + length]


def alternative(sequence: str, first: int, end: int, alt: str) -> str:
    """The contig with ``[first, end)`` deleted, doubled or inverted."""
    inside = sequence[first:end]
    changed = {"DEL": "", "DUP": inside + inside, "INV": other_strand(inside)}[alt[1:4]]
    return sequence[:first] + changed + sequence[end:]


def slow_windows(contig: str, start: int, affected: int, alt: str, length: int) -> list[tuple[str, str]]:
    sequence, first = SEQUENCES[contig].upper(), start + 1
    changed = alternative(sequence, first, first + affected, alt)
    if alt == "<INV>":
        pairs = []
        for ref, other in ((sequence, changed), (other_strand(sequence), other_strand(changed))):
            differ = [i for i in range(len(ref)) if ref[i] != other[i]]
            at = differ[0] if differ else 0
            pairs.append((around(ref, at, length), around(other, at, length)))
        return [pairs[0], (other_strand(pairs[1][0]), other_strand(pairs[1][1]))] if differ else []
    while first > 1 and alternative(sequence, first - 1, first - 1 + affected, alt) == changed:
        first -= 1
    if alt.startswith("<DEL"):
        return [(around(sequence, first - 1, length), around(changed, first - 1, length))]
    end, middle = first + affected, (length - 1) // 2
    junction = around(changed, end - 1, length)
    assert junction[middle] == sequence[end - 1] and junction[middle + 1] == sequence[first]
    return [(around(sequence, end - 1, length), junction), (around(sequence, first - 1, length), junction)]


def some_alleles(count: int, seed: int) -> list[Named]:
    dice, found = random.Random(seed), []
    while len(found) < count:
        contig = dice.choice(list(SEQUENCES))
        size = len(SEQUENCES[contig])
        affected = dice.choice([1, 2, 3, 16, 17, dice.randrange(1, 60), dice.randrange(1, 800)])
        start = dice.choice([0, 1, size - 1 - affected, dice.randrange(size)])
        if 0 <= start <= size - 1 - affected:
            found.append((contig, start, affected, dice.choice(NAMES)))
    return found


@pytest.mark.parametrize("length", LENGTHS)
def test_windows_are_slices_of_the_alternative_contig(genome: Genome, length: int) -> None:
    alleles = some_alleles(400, length)
    status, _, windows = cut(genome, alleles, length)
    checked = 0
    for row, allele in enumerate(alleles):
        found = np.flatnonzero(windows.rows == row)
        expected = slow_windows(*allele, length)
        if status[row] == "N_WINDOW":  # at the ends of a contig
            assert not len(found)
            continue
        if not expected:  # a palindrome inverted
            assert (windows.ref[found] == windows.alt[found]).all()
            continue
        pairs = [(decode(windows.ref[i]).decode(), decode(windows.alt[i]).decode()) for i in found.tolist()]
        assert pairs == [pair for pair in expected if max(side.count("N") for side in pair) <= length / 2], allele
        checked += len(pairs)
    assert checked > 550 and np.all(np.diff(windows.rows) >= 0)
    outside = np.arange(length)
    outside_span = (outside < windows.lo[:, None]) | (outside >= windows.hi[:, None])
    assert not ((windows.ref != windows.alt) & outside_span).any()
    middle = (length - 1) // 2
    assert ((windows.lo >= middle) | (windows.hi <= length - middle)).all(), "a pair differs on one side of the anchor"


@pytest.mark.parametrize("length", LENGTHS)
def test_a_deletion_has_the_windows_of_the_same_spelled_out(genome: Genome, length: int) -> None:
    alleles = [a for a in some_alleles(300, 5) if a[3] == "<DEL>"]
    named, _, windows = cut(genome, alleles, length)
    spelled = batch_of(alleles, [SEQUENCES[c][start : start + 1 + n] for c, start, n, _ in alleles])
    alts = [SEQUENCES[c][start].encode() for c, start, *_ in alleles]
    batch = replace(spelled, alt=ByteColumn.of(alts), affected=None)
    status, _, expected = cut_windows(batch, genome, list(SEQUENCES), length)
    assert named == [Status(s).name for s in status] and named.count("PASS") > 30
    for field in ("rows", "ref", "alt", "contig", "start", "lo", "hi", "sequence"):
        assert np.array_equal(getattr(windows, field), getattr(expected, field)), field


def test_an_inversion_begins_where_the_same_spelled_out_does(genome: Genome) -> None:
    for contig, start, size, _ in [a for a in some_alleles(200, 6) if a[3] == "<INV>"]:
        ref = SEQUENCES[contig][start : start + 1 + size].upper()
        alt = ref[0] + other_strand(ref[1:])
        status, _, windows = cut(genome, [(contig, start, size, "<INV>")], 101)
        if ref == alt or status != ["PASS"]:
            continue
        assert minimal(SEQUENCES[contig], start, ref, alt)[0] - 50 == windows.start[0]


def test_deletions_and_duplications_stand_where_bcftools_norm_puts_them(genome: Genome, tmp_path: Path) -> None:
    alleles = sorted(a for a in some_alleles(300, 7) if a[3] in ("<DEL>", "<DUP>"))
    lines = [
        f"{contig}\t{start + 1}\tr{i}\t{SEQUENCES[contig][start]}\t{alt}\t.\t.\tEND={start + 1 + n};SVLEN={n}"
        for i, (contig, start, n, alt) in enumerate(alleles)
    ]
    head = ["##fileformat=VCFv4.3", *(f"##contig=<ID={c},length={len(s)}>" for c, s in SEQUENCES.items())]
    head += ['##INFO=<ID=END,Number=1,Type=Integer,Description="End">']
    head += ['##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length">']
    (tmp_path / "in.vcf").write_text("\n".join([*head, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO", *lines]) + "\n")
    text = str(pysam.bcftools.norm("-f", str(genome.path), str(tmp_path / "in.vcf")))
    normed = {f[2]: int(f[1]) for f in (line.split("\t") for line in text.splitlines() if not line.startswith("#"))}
    _, batch, _ = cut(genome, alleles, 8)
    assert [normed[f"r{i}"] for i in range(len(alleles))] == (batch.start + 1).tolist()
    assert sum(start + 1 != normed[f"r{i}"] for i, (_, start, *_) in enumerate(alleles)) > 20, "none was moved"


def test_as_written_they_stay(genome: Genome) -> None:
    alleles = [a for a in some_alleles(100, 8) if a[1] > 0]
    _, batch, _ = cut(genome, alleles, 101, Rules(as_written=True))
    assert batch.start.tolist() == [start for _, start, *_ in alleles]
    assert batch.affected_bases.tolist() == [n for _, _, n, _ in alleles]


@pytest.mark.parametrize(
    ("contig", "start", "affected", "alt", "ref", "status"),
    [
        ("c", 1000, 500, "<DEL>", None, Status.PASS),
        ("c", 1000, 500, "<DEL>", "N", Status.PASS),
        ("c", 1000, 500, "<DEL>", "n", Status.PASS),
        ("c", 1000, 0, "<DEL>", None, Status.SYMBOLIC),
        ("c", 1000, 500, "<DEL>", "R", Status.NON_ACGT),
        ("c", 1000, 500, "<DEL>", "WRONG", Status.NON_ACGT),
        ("c", -1, 500, "<DEL>", "N", Status.OFF_CONTIG),
        ("c", 2990, 9, "<DEL>", None, Status.PASS),
        ("c", 2990, 10, "<DEL>", None, Status.OFF_CONTIG),
        ("c", 10**15, 10, "<INV>", "A", Status.OFF_CONTIG),
        ("d", 100, 20, "<DUP>", "X", Status.NON_ACGT),
    ],
)
def test_statuses(
    genome: Genome, contig: str, start: int, affected: int, alt: str, ref: str | None, status: Status
) -> None:
    batch = batch_of([(contig, min(max(start, 0), 10), affected, alt)], None if ref is None else [ref])
    if ref is None:
        batch = batch_of([(contig, start, affected, alt)])
    batch.start[0] = start
    found, _, windows = cut_windows(batch, genome, list(SEQUENCES), 8)
    assert [Status(s) for s in found] == [status]
    assert (len(windows) > 0) == (status == Status.PASS)


def test_a_deletion_that_moves_to_an_unknown_base_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "n.fa").write_text(">c\nACGTACGTACNCACACATTGACCAGT\n")
    with Genome(tmp_path / "n.fa", cache_dir=tmp_path) as genome:
        zero, found = np.zeros(1, np.int64), []
        for start, ref in ((14, "A"), (10, "N"), (10, "n"), (10, "A")):  # CA of CACACA, after it, before it
            batch = AlleleBatch(
                zero,
                np.zeros(1, np.int32),
                ("c",),
                zero + start,
                ByteColumn.of([ref.encode()]),
                ByteColumn.of([b"<DEL>"]),
                zero + 2,
            )
            status, moved, windows = cut_windows(batch, genome, ["c"], 8)
            found.append((Status(status[0]).name, int(moved.start[0]), [decode(one) for one in windows.alt]))
    assert found[0] == ("PASS", 10, [b"TACNCACA"]) and found[1] == found[2] == found[0]
    assert found[3] == ("REF_UNKNOWN", 10, [])


def test_another_base_before_it_is_a_mismatch_unless_nobody_asks(genome: Genome) -> None:
    wrong = "A" if SEQUENCES["d"][100].upper() != "A" else "C"
    batch = batch_of([("d", 100, 20, "<DUP>")], [wrong])
    assert cut_windows(batch, genome, list(SEQUENCES), 8)[0].tolist() == [Status.REF_MISMATCH]
    status, _, windows = cut_windows(batch, genome, list(SEQUENCES), 8, Rules(check_ref=False))
    assert status.tolist() == [Status.PASS] and len(windows) == 2
