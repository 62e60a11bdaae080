"""The minimal, left-aligned form of alleles, against bcftools norm and against a loop over the bases of strings."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools
import pytest
from spellings import minimal, random_alleles, repeats, respelled, vcf_of

from varscore.genome.alleles import AlleleBatch, ByteColumn, Status
from varscore.genome.named import NamedGenome
from varscore.genome.reasons import BY_DEFAULT, Rules, judge
from varscore.genome.sequence import Genome

Allele = tuple[int, str, str]  # 0-based start, REF, ALT


def genome_of(folder: Path, sequence: str) -> Genome:
    (folder / "g.fa").write_text(f">c\n{sequence}\n")
    return Genome(folder / "g.fa", cache_dir=folder)


def forms(genome: Genome, alleles: list[Allele], rules: Rules = BY_DEFAULT) -> tuple[list[str], list[Allele]]:
    """Statuses, and what is scored."""
    batch = AlleleBatch(
        record=np.arange(len(alleles)),
        contig=np.zeros(len(alleles), np.int32),
        contigs=("c",),
        start=np.array([start for start, *_ in alleles], np.int64),
        ref=ByteColumn.of([ref.encode() for _, ref, _ in alleles]),
        alt=ByteColumn.of([alt.encode() for *_, alt in alleles]),
    )
    status, found = judge(batch, NamedGenome(genome, ["c"]), rules)
    texts = [(found.ref[row].decode().upper(), found.alt[row].decode().upper()) for row in range(len(found))]
    return [Status(s).name for s in status], [(at, *text) for at, text in zip(found.start.tolist(), texts, strict=True)]


@pytest.mark.parametrize(
    ("sequence", "written", "scored"),
    [
        ("GGCATTTACC", (3, "A", "C"), (3, "A", "C")),
        ("GGCATTTACC", (1, "GCATT", "GCGTT"), (3, "A", "G")),
        ("GGCATTTACC", (2, "CAT", "TAC"), (2, "CAT", "TAC")),  # ends differ, the middle does not
        ("GGCATTTACC", (6, "TA", "T"), (6, "TA", "T")),
        ("GGCATTTACC", (5, "TT", "T"), (3, "AT", "A")),
        ("GGCATTTACC", (6, "T", "TT"), (3, "A", "AT")),
        ("GGCATTTACC", (6, "TACC", "TTACC"), (3, "A", "AT")),
        ("GGCATTTACC", (3, "ATTTA", "AA"), (3, "ATTT", "A")),
        ("GGCATTTACC", (3, "ATTTA", "AGA"), (4, "TTT", "G")),
        ("GCACACAT", (6, "A", "ACACA"), (0, "G", "GCACA")),  # in steps of the unit, and it turns
        ("GCACACAT", (6, "A", "AACA"), (3, "C", "CACA")),
        ("GCACACAT", (5, "C", "CAC"), (0, "G", "GCA")),
        ("gcacacat", (5, "CA", "C"), (5, "CA", "C")),
        ("gcacacat", (4, "ACA", "A"), (0, "GCA", "G")),
        ("AAAAC", (3, "A", "AA"), (0, "A", "AA")),  # nothing stands before it
        ("AAAAC", (2, "AA", "A"), (0, "AA", "A")),
        ("CACAG", (2, "CAG", "G"), (0, "CAC", "C")),
        ("CACAG", (3, "A", "ACA"), (0, "C", "CAC")),
        ("GATT", (0, "GA", "A"), (0, "GA", "A")),
        ("GATT", (0, "G", "TGG"), (0, "G", "TGG")),
        ("NAAAC", (3, "A", "AA"), (0, "N", "NA")),  # N ends the way
        ("NNACAC", (3, "CAC", "C"), (1, "NAC", "N")),
        ("CARACA", (3, "ACA", "A"), (2, "NAC", "N")),  # R could be A, or not
        ("GGCATT", (3, "A", "A"), (3, "A", "A")),
        ("GGCATT", (2, "CAT", "CAT"), (2, "C", "C")),
    ],
)
def test_forms_by_hand(tmp_path: Path, sequence: str, written: Allele, scored: Allele) -> None:
    assert minimal(sequence, *written) == scored  # the loop agrees with the hand
    with genome_of(tmp_path, sequence) as genome:
        assert forms(genome, [written]) == (["PASS"], [scored])
        assert forms(genome, [written], Rules(as_written=True)) == (["PASS"], [written])
        assert forms(genome, [scored]) == (["PASS"], [scored])


def test_forms_are_those_of_bcftools_norm(tmp_path: Path) -> None:
    dice = random.Random(5)
    sequence = repeats(20_000, dice)
    records = sorted(random_alleles(sequence, dice) for _ in range(3300))
    (tmp_path / "in.vcf").write_text(vcf_of("c", sequence, records))
    with genome_of(tmp_path, sequence) as genome:
        text = pysam.bcftools.norm("-m-", "-f", str(genome.path), str(tmp_path / "in.vcf"))
        truth = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                _, pos, name, ref, alt, _, _, info = line.split("\t")
                truth[int(name[1:]), int(info.removeprefix("AI="))] = int(pos) - 1, ref.upper(), alt.upper()
        written = {(n, i): (at, ref, alt) for n, (at, ref, alts) in enumerate(records) for i, alt in enumerate(alts)}
        status, found = forms(genome, list(written.values()))
    assert set(status) == {"PASS"} and len(found) == len(truth) > 5000
    assert dict(zip(written, found, strict=True)) == truth
    assert sum(one != truth[key] for key, one in written.items()) > 1500
    assert sum(at < written[key][0] for key, (at, *_) in truth.items()) > 500


def test_every_spelling_has_one_form(tmp_path: Path) -> None:
    dice = random.Random(8)
    sequence = repeats(8000, dice)
    alleles = [(start, ref, alts[0]) for start, ref, alts in (random_alleles(sequence, dice) for _ in range(1500))]
    with genome_of(tmp_path, sequence) as genome:
        _, found = forms(genome, alleles)
        assert found == [minimal(sequence, *allele) for allele in alleles]
        again = [respelled(sequence, *allele, dice) for allele in found]
        assert sum(one != other for one, other in zip(again, found, strict=True)) > 1000
        assert forms(genome, again) == (["PASS"] * len(again), found)


@pytest.mark.parametrize("unit", ["A", "CAT", "ACGTTGCATGCCATGATTAG" * 3])
def test_an_indel_moves_as_far_as_the_repeat_reaches(tmp_path: Path, unit: str) -> None:
    """Past windows, past what is looked at in one go, past a block of the decoded genome."""
    count = 70_000 // len(unit)
    sequence = "GTC" + unit * count + "GGC"
    end = 3 + count * len(unit)
    with genome_of(tmp_path, sequence) as genome:
        last = sequence[end - 1]
        alleles = [(end - 1, last, last + unit), (end - 1 - len(unit), sequence[end - 1 - len(unit) : end], last)]
        assert forms(genome, alleles) == (["PASS"] * 2, [(2, "C", "C" + unit), (2, "C" + unit, "C")])


def test_padding_costs_no_allele_its_score_and_an_error_in_it_is_an_error(tmp_path: Path) -> None:
    sequence = "ACGT" * 50 + "TTGCA"
    padded = (10, sequence[10:205], sequence[10:203] + "AA")
    wrong = (10, "T" + sequence[11:205], "T" + sequence[11:203] + "AA")
    with genome_of(tmp_path, sequence) as genome:
        limited = Rules(longest=20)
        assert forms(genome, [padded, wrong], limited) == (["PASS", "REF_MISMATCH"], [(203, "C", "A"), wrong])
        assert forms(genome, [padded], Rules(longest=20, as_written=True))[0] == ["TOO_LONG"]
        beyond = (202, "GCAT", "GAAT")
        assert forms(genome, [beyond], limited) == (["OFF_CONTIG"], [beyond])
        unchecked = Rules(check_ref=False, longest=20)  # the genome's bases are REF: nothing is padding any more
        assert forms(genome, [wrong], unchecked)[0] == ["TOO_LONG"]
        assert forms(genome, [(4, "CC", "CG"), (4, "TG", "TC"), (4, "TT", "AC")], unchecked) == (
            ["PASS", "PASS", "SWAPPED"],
            [(4, "AC", "CG"), (4, "A", "T"), (4, "TT", "AC")],
        )


def test_swapped_is_what_bcftools_swaps(tmp_path: Path) -> None:
    dice = random.Random(2)
    sequence = "".join(dice.choices("ACGT", k=500))
    alleles = []
    for _ in range(800):
        start = dice.randrange(480)
        size = dice.choice([1, 1, 2, 3])  # it swaps substitutions only
        ref, alt = ("".join(dice.choices("ACGT", k=size)) for _ in range(2))
        alt = sequence[start : start + len(alt)] if dice.random() < 0.3 else alt
        if ref != alt:
            alleles.append((start, ref, alt))
    alleles.sort()
    (tmp_path / "in.vcf").write_text(vcf_of("c", sequence, [(start, ref, [alt]) for start, ref, alt in alleles]))
    with genome_of(tmp_path, sequence) as genome:
        text = pysam.bcftools.norm("-c", "s", "-N", "-f", str(genome.path), str(tmp_path / "in.vcf"))
        fixed = {
            int(f[2][1:]): (f[3], f[4]) for f in (line.split("\t") for line in text.splitlines() if line[0] != "#")
        }
        status, _ = forms(genome, alleles)
    swapped = [fixed[row] == (alt, ref) for row, (_, ref, alt) in enumerate(alleles)]
    assert [one == "SWAPPED" for one in status] == swapped and 200 < sum(swapped) < 400
