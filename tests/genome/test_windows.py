"""Windows and statuses, against the rules spelled out on strings, one variant and one character at a time."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spellings import minimal

from varscore.genome.alleles import AlleleBatch, ByteColumn, Status
from varscore.genome.sequence import Genome, decode
from varscore.genome.windows import Windows, cut_windows

LENGTHS = [1000, 101, 200, 7]
Allele = tuple[str, int, str, str]  # contig as the variant file spells it, 0-based start, REF, ALT

#: contigs of the variant file -> contig of the FASTA
NAMES = {"1": "chr1", "2": "chr2", "short": "short", "gone": None}


def bases(length: int, seed: int, letters: str) -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


SEQUENCES = {
    "chr1": bases(1500, 1, "ACGTacgt") + "N" * 700 + bases(900, 2, "ACGTacgt") + "n" * 60 + bases(40, 3, "ACGT"),
    "chr2": bases(700, 4, "ACGT" * 20 + "acgtNR"),
    "short": "GATTACA",
}


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    return genome_of(SEQUENCES, tmp_path_factory.mktemp("windows"))


def genome_of(contigs: dict[str, str], folder: Path) -> Genome:
    path = folder / "genome.fa"
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return Genome(path, cache_dir=folder / "cache")


def batch_of(alleles: Sequence[Allele], contigs: Sequence[str] = tuple(NAMES)) -> AlleleBatch:
    return AlleleBatch(
        record=np.arange(len(alleles)),
        contig=np.array([contigs.index(contig) for contig, *_ in alleles], np.int32),
        contigs=tuple(contigs),
        start=np.array([start for _, start, *_ in alleles], np.int64),
        ref=ByteColumn.of([ref.encode() for *_, ref, _ in alleles]),
        alt=ByteColumn.of([alt.encode() for *_, alt in alleles]),
    )


# -- the slow truth --------------------------------------------------------------------------------------------------


def slow_windows(sequence: str, start: int, ref: str, alt: str, length: int) -> tuple[str, str]:
    """Pad the contig generously, put the ALT in, slice."""
    pad = "N" * (2 * length)
    padded = pad + "".join(base if base in "ACGT" else "N" for base in sequence.upper()) + pad
    first = len(pad) + start - (length - 1) // 2
    edited = padded[: len(pad) + start] + alt.upper() + padded[len(pad) + start + len(ref) :]
    return padded[first : first + length], edited[first : first + length]


def slow_status(sequence: str | None, start: int, ref: str, alt: str, length: int) -> Status:
    """The rules in the order of the design."""
    if alt in ("", "."):
        return Status.NO_ALT
    if alt.startswith("<") and alt.endswith(">"):
        return Status.SYMBOLIC
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return Status.BREAKEND
    if alt == "*":
        return Status.SPANNING_DELETION
    ref, alt = ref.upper(), alt.upper()
    lone = {"ref": ref == "N" and is_sequence(alt), "alt": alt == "N" and is_sequence(ref)}
    is_spelled = ref and (not set(ref + alt) - set("ACGT") or any(lone.values()))
    if not is_spelled and not is_padded(sequence, start, ref, alt):
        return Status.NON_ACGT
    if sequence is None:
        return Status.MISSING_CONTIG
    if start < 0 or start + len(ref) > len(sequence):
        return Status.OFF_CONTIG
    there = sequence[start : start + len(ref)].upper()
    pairs = list(zip(ref, there, strict=True))
    if any(base not in "ACGT" and (letter != "N" or lone["ref"]) for letter, base in pairs):
        return Status.REF_UNKNOWN
    if not lone["ref"] and any(letter != base for letter, base in pairs if letter != "N"):
        return Status.REF_MISMATCH if lone["alt"] or not sequence[start:].upper().startswith(alt) else Status.SWAPPED
    if (
        max(window.count("N") for window in slow_windows(sequence, *scored(sequence, start, ref, alt), length))
        > length / 2
    ):
        return Status.N_WINDOW
    return Status.PASS


def is_sequence(allele: str) -> bool:
    return len(allele) > 1 and not set(allele) - set("ACGT")


def is_padded(sequence: str | None, start: int, ref: str, alt: str) -> bool:
    """Whether all letters other than ACGT are N, trimmed away, and in the genome not ACGT either."""
    if sequence is None or not ref or not 0 <= start <= len(sequence) - len(ref):
        return False
    there = sequence[start : start + len(ref)].upper()
    if any(
        letter not in "ACGT" and not (letter == "N" and base not in "ACGT")
        for letter, base in zip(ref, there, strict=True)
    ):
        return False
    suffix = os.path.commonprefix([ref[::-1], alt[::-1]])
    rest = [allele.removesuffix(suffix[::-1]) for allele in (ref, alt)]
    prefix = os.path.commonprefix(rest)
    changed = "".join(allele.removeprefix(prefix) for allele in rest)
    return bool(changed) and not set(changed) - set("ACGT")


def scored(sequence: str, start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """An allele that is PASS in the form in which it is scored."""
    base = sequence[start].upper()
    return minimal(sequence, start, base if ref.upper() == "N" else ref, base if alt.upper() == "N" else alt)


def check(alleles: Sequence[Allele], genome: Genome, length: int) -> Counter[Status]:
    """Compare a whole batch with the slow truth; returns how often each status occurred."""
    written = batch_of(alleles)
    status, batch, windows = cut_windows(written, genome, list(NAMES.values()), length)
    truth = []
    for contig, start, ref, alt in alleles:
        name = NAMES[contig]
        truth.append(slow_status(None if name is None else SEQUENCES[name], start, ref, alt, length))
    assert status.dtype == np.uint8
    assert [Status(s).name for s in status] == [s.name for s in truth]
    for row in np.flatnonzero((status != Status.PASS) & (status != Status.N_WINDOW)).tolist():
        assert (batch.start[row], batch.ref[row], batch.alt[row]) == (
            written.start[row],
            written.ref[row],
            written.alt[row],
        )
    assert windows.rows.tolist() == [row for row, s in enumerate(truth) if s == Status.PASS]
    assert windows.ref.shape == windows.alt.shape == (len(windows), length)
    assert windows.ref.dtype == windows.alt.dtype == np.uint8
    for i, row in enumerate(windows.rows.tolist()):
        contig, start, ref, alt = alleles[row]
        found = decode(windows.ref[i]).decode(), decode(windows.alt[i]).decode()
        sequence = SEQUENCES[str(NAMES[contig])]
        start, ref, alt = scored(sequence, start, ref, alt)
        assert (batch.start[row], batch.ref[row].decode().upper(), batch.alt[row].decode().upper()) == (start, ref, alt)
        assert found == slow_windows(sequence, start, ref, alt, length), alleles[row]
        assert list(NAMES)[windows.contig[i]] == contig
        assert windows.start[i] == start - (length - 1) // 2
        assert windows.lo[i] == (length - 1) // 2 and windows.sequence[i] == 0
        assert windows.hi[i] == (min(length, windows.lo[i] + len(ref)) if len(ref) == len(alt) else length)
    return Counter(truth)


@st.composite
def some_allele(draw: st.DrawFn, length: int) -> Allele:
    """Any kind of allele: mostly with a REF that is really there, often near an edge, an N or the size limit."""
    contig = draw(st.sampled_from(["1", "1", "2", "2", "short", "gone"]))
    sequence = SEQUENCES[NAMES[contig] or "chr1"]
    edges = st.sampled_from([-1, 0, 1, 1499, 2200, 2210, 3100, len(sequence) - 2, len(sequence) - 1, len(sequence)])
    start = draw(st.integers(0, len(sequence) - 1) | edges)
    size = draw(st.sampled_from([1, 1, 1, 2, 3, length // 2, length // 2 + 1]))
    ref = sequence[max(start, 0) : max(start, 0) + size] or "A"
    change = draw(st.sampled_from(["as is"] * 8 + ["upper"] * 3 + ["other", "empty"]))
    ref = {"as is": ref, "upper": ref.upper(), "other": draw(st.text("ACGT", min_size=1, max_size=3)), "empty": ""}[
        change
    ]
    odd = st.sampled_from([".", "", "*", "<DEL>", "<*>", "<", "]1:5]A", "A[1:5[", ".A", "A.", "N", "AN", "A*"])
    same_size = st.text("ACGTacgt", min_size=len(ref), max_size=len(ref))
    plain = st.text("ACGTacgt", min_size=1, max_size=6)
    longest = st.integers(length // 2 - 1, length // 2 + 2).map(lambda n: "ACGT" * (n // 4) + "ACGT"[: n % 4])
    return contig, start, ref, draw(same_size | same_size | plain | plain | longest | odd)


@pytest.mark.parametrize("length", LENGTHS)
def test_any_batch_agrees_with_the_rules_on_strings(genome: Genome, length: int) -> None:
    @settings(max_examples=60)
    @given(st.lists(some_allele(length), max_size=30))
    def agrees(alleles: list[Allele]) -> None:
        check(alleles, genome, length)

    agrees()


def random_allele(dice: random.Random, length: int) -> Allele:
    contig = dice.choice(["1", "1", "1", "2", "2", "short"])
    sequence = SEQUENCES[str(NAMES[contig])]
    start = dice.randrange(len(sequence))
    ref = sequence[start : start + dice.choice([1, 1, 1, 2, 5, length // 2])]
    alt = "".join(dice.choices("ACGTacgt", k=dice.choice([len(ref), len(ref), 1, 3, length // 2 + 9])))
    ref = dice.choice([ref, ref.upper().replace("N", "A"), ref.lower()])
    return contig, start, ref, alt


@pytest.mark.parametrize("length", LENGTHS)
def test_thousands_of_variants_agree_and_every_kind_is_among_them(genome: Genome, length: int) -> None:
    dice = random.Random(length)
    alleles = [random_allele(dice, length) for _ in range(2000)]
    seen = check(alleles, genome, length)
    assert seen[Status.PASS] > 700 and min(seen[Status.REF_UNKNOWN], seen[Status.NON_ACGT]) > 50
    _, batch, windows = cut_windows(batch_of(alleles), genome, list(NAMES.values()), length)
    ref, alt = batch.ref.lengths[windows.rows], batch.alt.lengths[windows.rows]
    kinds = {
        "SNV": (ref == 1) & (alt == 1),
        "MNV": (ref > 1) & (alt == ref),
        "insertion": alt > ref,
        "deletion": alt < ref,
        "over the left edge": windows.start < 0,
        "longer than half a window": np.maximum(ref, alt) > length / 2,
    }
    assert all(kind.sum() > 20 for kind in kinds.values()), kinds


# -- one hand-made case for every rule -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    #                0         1         2         3
    #                0123456789012345678901234567890123456
    contigs = {"c": "ACGTTGCAACNNNNNNNNNNTTTTGGGGacgtACGTR", "tiny": "GATT"}
    return genome_of(contigs, tmp_path_factory.mktemp("small"))


def cut(
    small: Genome, *alleles: tuple[int, str, str], contig: str = "c", length: int = 7
) -> tuple[list[Status], Windows]:
    batch = batch_of([(contig, start, ref, alt) for start, ref, alt in alleles], ["c", "tiny", "gone"])
    status, _, windows = cut_windows(batch, small, ["c", "tiny", None], length)
    return [Status(s) for s in status], windows


def letters(windows: Windows) -> list[tuple[str, str]]:
    return [(decode(r).decode(), decode(a).decode()) for r, a in zip(windows.ref, windows.alt, strict=True)]


@pytest.mark.parametrize(
    ("start", "ref", "alt", "expected_ref", "expected_alt"),
    [
        (4, "T", "A", "CGTTGCA", "CGTAGCA"),  # SNV: the first REF base is at index 3 of 7
        (4, "t", "a", "CGTTGCA", "CGTAGCA"),  # lower case in the VCF
        (28, "A", "G", "GGGACGT", "GGGGCGT"),  # lower case in the FASTA
        (4, "TG", "CC", "CGTTGCA", "CGTCCCA"),  # MNV
        (4, "T", "TAA", "CGTTGCA", "CGTTAAG"),  # insertion pushes the right flank out
        (4, "TGC", "T", "CGTTGCA", "CGTTAAC"),  # deletion pulls the genome in
        (4, "TGC", "AA", "CGTTGCA", "CGTAAAA"),  # complex
        (4, "TG", "CCC", "CGTTGCA", "CGTCCCC"),
        (0, "A", "T", "NNNACGT", "NNNTCGT"),  # N past the left end
        (35, "T", "A", "ACGTNNN", "ACGANNN"),  # R and the right end are N
    ],
)
def test_windows_by_hand(small: Genome, start: int, ref: str, alt: str, expected_ref: str, expected_alt: str) -> None:
    status, windows = cut(small, (start, ref, alt))
    assert status == [Status.PASS]
    assert letters(windows) == [(expected_ref, expected_alt)]
    assert windows.start.tolist() == [start - 3]


@pytest.mark.parametrize(
    ("start", "ref", "alt", "status"),
    [
        (4, "T", ".", Status.NO_ALT),
        (4, "T", "", Status.NO_ALT),
        (4, "T", "<DEL>", Status.SYMBOLIC),
        (4, "T", "<*>", Status.SYMBOLIC),
        (4, "T", "<NON_REF>", Status.SYMBOLIC),
        (4, "T", "T[c:9[", Status.BREAKEND),
        (4, "T", "]c:9]T", Status.BREAKEND),
        (4, "T", "]<ctg>:9]T", Status.BREAKEND),
        (4, "T", ".T", Status.BREAKEND),
        (4, "T", "T.", Status.BREAKEND),
        (4, "T", "*", Status.SPANNING_DELETION),
        (4, "T", "N", Status.NON_ACGT),
        (4, "N", "T", Status.NON_ACGT),
        (4, "N", "N", Status.NON_ACGT),
        (10, "N", "N", Status.NON_ACGT),
        (4, "TN", "T", Status.NON_ACGT),
        (4, "T", "R", Status.NON_ACGT),
        (4, "T", "T*", Status.NON_ACGT),
        (4, "T", "<DEL", Status.NON_ACGT),
        (4, "", "A", Status.NON_ACGT),
        (-1, "A", "C", Status.OFF_CONTIG),  # POS 0
        (37, "A", "C", Status.OFF_CONTIG),
        (35, "TAA", "T", Status.OFF_CONTIG),  # REF reaches past the end
        (10**15, "A", "C", Status.OFF_CONTIG),
        (4, "TGCA", "T", Status.PASS),  # longer than half the window
        (4, "T", "TAAA", Status.PASS),
        (10, "A", "C", Status.REF_UNKNOWN),
        (9, "CA", "C", Status.REF_UNKNOWN),
        (36, "A", "C", Status.REF_UNKNOWN),  # the FASTA has R
        (4, "A", "C", Status.REF_MISMATCH),
        (4, "CG", "C", Status.REF_MISMATCH),
        (4, "TA", "T", Status.SWAPPED),  # as bcftools norm -c s takes it: T>TA
        (4, "A", "T", Status.SWAPPED),
        (4, "a", "t", Status.SWAPPED),
        (4, "A", "TG", Status.SWAPPED),
        (4, "A", "TGA", Status.REF_MISMATCH),
        (4, "AGC", "TGC", Status.SWAPPED),
        (0, "C", "ACG", Status.SWAPPED),
        (36, "A", "R", Status.NON_ACGT),
        (35, "C", "TR", Status.NON_ACGT),
        (35, "C", "TA", Status.REF_MISMATCH),
        (4, "N", "TA", Status.PASS),  # N is the genome's T
        (4, "n", "ac", Status.PASS),
        (4, "TG", "N", Status.PASS),
        (4, "TA", "N", Status.REF_MISMATCH),  # N says nothing of what is swapped
        (4, "N", "NA", Status.NON_ACGT),
        (4, "NG", "NA", Status.NON_ACGT),  # the genome knows the base
        (10, "N", "AC", Status.REF_UNKNOWN),
        (19, "NT", "NA", Status.PASS),  # unknown in the genome too, and trimmed away
        (19, "nT", "NA", Status.PASS),
        (19, "RT", "RA", Status.NON_ACGT),
        (19, "AT", "AA", Status.REF_UNKNOWN),
        (20, "TT", "T", Status.N_WINDOW),  # scored at 19, like the next
        (19, "NT", "N", Status.N_WINDOW),
        (19, "N", "NT", Status.N_WINDOW),
        (18, "NN", "NA", Status.NON_ACGT),
        (18, "NN", "N", Status.NON_ACGT),
        (9, "C", "A", Status.PASS),  # AACNNN: three of seven unknown
        (8, "AC", "A", Status.PASS),  # three of seven in the ALT window
        (7, "AAC", "A", Status.PASS),  # one of seven in the REF window, three in the ALT window
    ],
)
def test_every_status(small: Genome, start: int, ref: str, alt: str, status: Status) -> None:
    expected = slow_status("ACGTTGCAACNNNNNNNNNNTTTTGGGGacgtACGTR", start, ref, alt, 7)
    assert expected == status  # the rules on strings agree with the hand
    found, windows = cut(small, (start, ref, alt))
    assert found == [status]
    assert len(windows) == (status == Status.PASS)


def test_a_window_of_mostly_unknown_bases(small: Genome) -> None:
    found, _ = cut(small, (20, "T", "A"), (21, "T", "A"), length=15)
    assert found == [Status.PASS, Status.PASS]  # seven, six of fifteen
    found, _ = cut(small, (20, "T", "A"), (19, "N", "A"), (0, "A", "C"), length=21)
    assert found == [Status.PASS, Status.NON_ACGT, Status.N_WINDOW]  # ten; -; ten before the contig and one N


def test_a_deletion_that_pulls_unknown_bases_into_the_alt_window_alone(small: Genome) -> None:
    found, windows = cut(small, (0, "GA", "TC"), (0, "GAT", "G"), contig="tiny")
    assert letters(windows) == [("NNNGATT", "NNNTCTT")]
    assert found == [Status.PASS, Status.N_WINDOW]  # NNNGATT has three of seven, NNNGTNN five


@pytest.mark.parametrize(
    ("contig", "start", "ref", "alt", "status"),
    [
        ("gone", -1, "N", ".", Status.NO_ALT),
        ("gone", -1, "N", "<[>", Status.SYMBOLIC),
        ("gone", -1, "N", "N[c:1[", Status.BREAKEND),
        ("gone", -1, "N", "*", Status.SPANNING_DELETION),
        ("gone", -1, "N", "A", Status.NON_ACGT),
        ("gone", -1, "AAAA", "A", Status.MISSING_CONTIG),
        ("c", -1, "AAAA", "A", Status.OFF_CONTIG),
        ("c", 10, "AAAA", "A", Status.REF_UNKNOWN),
        ("c", 9, "AA", "A", Status.REF_UNKNOWN),  # one base differs, the other is unknown
        ("tiny", 0, "GAC", "T", Status.REF_MISMATCH),  # the ALT window would have too many N
    ],
)
def test_the_first_reason_wins(small: Genome, contig: str, start: int, ref: str, alt: str, status: Status) -> None:
    assert cut(small, (start, ref, alt), contig=contig)[0] == [status]


def test_an_mnv_over_the_middle_keeps_both_flanks(small: Genome) -> None:
    assert letters(cut(small, (4, "TGC", "ATA"))[1]) == [("CGTTGCA", "CGTATAA")]


def test_rows_keep_their_places_among_unscored_ones(small: Genome) -> None:
    status, windows = cut(small, (4, "T", "*"), (4, "T", "A"), (4, "G", "A"), (4, "T", "TA"), (4, "T", "."))
    assert status == [Status.SPANNING_DELETION, Status.PASS, Status.REF_MISMATCH, Status.PASS, Status.NO_ALT]
    assert windows.rows.tolist() == [1, 3]
    assert letters(windows.take(np.array([False, True]))) == [("CGTTGCA", "CGTTAGC")]


def test_a_batch_without_windows_is_empty_not_an_error(small: Genome) -> None:
    for alleles in ([], [(4, "T", "."), (10, "A", "C")]):
        status, windows = cut(small, *alleles)
        assert len(status) == len(alleles) and windows.ref.shape == windows.alt.shape == (0, 7)


# -- real data -------------------------------------------------------------------------------------------------------


@pytest.mark.realdata
def test_every_snv_of_the_1000_genomes_matches_the_real_genome(shared_data: Path) -> None:
    alleles: list[Allele] = []
    with pysam.VariantFile(str(shared_data / "variants" / "1kg_phase3_chr20_1-2Mb.vcf.gz")) as records:
        for record in records:
            for alt in record.alts or ():
                if len(str(record.ref)) == len(alt) == 1 and alt in "ACGT":
                    alleles.append((record.chrom, record.start, str(record.ref), alt))
    assert len(alleles) > 27_000
    path = shared_data / "genome" / "hg19.masked.fa.gz"
    with Genome(path) as genome, pysam.FastaFile(str(path)) as reader:
        status, _, windows = cut_windows(batch_of(alleles, ["20"]), genome, ["chr20"], 1000)
        assert set(status.tolist()) == {Status.PASS}
        for i in range(0, len(windows), 997):
            start, (_, _, _, alt) = int(windows.start[i]), alleles[windows.rows[i]]
            truth = reader.fetch("chr20", start, start + 1000).upper()
            assert decode(windows.ref[i]).decode() == truth
            assert decode(windows.alt[i]).decode() == truth[:499] + alt + truth[500:]
