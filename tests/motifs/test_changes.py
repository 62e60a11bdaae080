"""Lost, gained and changed sites against a loop over spellings, placements and bases."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pysam
import pytest
from motifs.made_motifs import letters, motif, random_motif, turned

from varscore.demo import DemoFiles
from varscore.formats.motifs import read_motifs
from varscore.genome.coords import Variant
from varscore.genome.sequence import Genome
from varscore.motifs.chance import draw_snvs, expected_changes
from varscore.motifs.changes import MotifChange, MotifSet, motif_changes
from varscore.motifs.pvalues import Model

dice = random.Random(18)
SEQUENCE = letters(150, dice) + "CA" * 12 + letters(60, dice) + "A" * 9 + "GATAGATAGATA" + letters(150, dice)
SEQUENCE = SEQUENCE[:300] + "N" * 4 + SEQUENCE[304:]
MOTIFS = [
    motif("gata", "AGATAAG"),
    motif("short", "CACA", 0.97),
    motif("long", "CACACACANNNTTGCA", 0.7),
    *(random_motif(f"random{i}", 5 + i, np.random.default_rng(i)) for i in range(4)),
]
LOOSE = MotifSet.of(MOTIFS, p=0.02, ratio=2.0, one_voice=False)


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Genome]:
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    path.write_text(f">c\n{SEQUENCE}\n>turned\n{turned(SEQUENCE)}\n")
    pysam.faidx(str(path))
    with Genome(path) as opened:
        yield opened


def spellings(sequence: str, start: int, ref: str, alt: str) -> Iterator[tuple[int, str, str]]:
    """Every way to make the same sequence by replacing one stretch, no base of which is kept at either end."""
    made = sequence[:start] + alt + sequence[start + len(ref) :]
    for first in range(len(sequence) + 1):
        if sequence[:first] != made[:first]:
            return
        for size in range(len(sequence) - first + 1):
            other = size + len(made) - len(sequence)
            if other < 0 or sequence[first + size :] != made[first + other :]:
                continue
            old, new = sequence[first : first + size], made[first : first + other]
            if not (old and new and (old[0] == new[0] or old[-1] == new[-1])):
                yield first, old, new
            break


def slow_best(sequence: str, model: Model, touched: list[tuple[int, int]]) -> tuple[float, set[tuple[int, str]]]:
    """p of the best placement that touches one of the stretches (a junction where it is empty), and where it is."""
    log_odds, width = model_matrix(model), model.width
    best, where = -(10**9), set()
    for at in range(len(sequence) - width + 1):
        site = sequence[at : at + width]
        if "N" in site or not any(at < end and at + width > begin for begin, end in touched):
            continue
        for strand, read in (("+", site), ("-", turned(site))):
            score = sum(int(log_odds[column, "ACGT".index(base)]) for column, base in enumerate(read))
            if score > best:
                best, where = score, set()
            if score == best:
                where.add((at, strand))
    return float(model.p(np.array([best]))[0]) if where else 1.0, where


def model_matrix(model: Model) -> np.ndarray:
    from varscore.motifs.pvalues import scaled

    return scaled(model.motif)


def slow_changes(
    sequence: str, start: int, ref: str, alt: str, motifs: MotifSet
) -> dict[str, tuple[str, float, float]]:
    made = sequence[:start] + alt + sequence[start + len(ref) :]
    ways = list(spellings(sequence, start, ref, alt))
    found = {}
    for model in motifs.models:
        ref_p, _ = slow_best(sequence, model, [(at, at + len(old)) for at, old, _ in ways])
        alt_p, _ = slow_best(made, model, [(at, at + len(new)) for at, _, new in ways])
        passes = ref_p <= motifs.p, alt_p <= motifs.p
        if any(passes) and max(ref_p, alt_p) >= motifs.ratio * min(ref_p, alt_p):
            sign = "~" if all(passes) else "-" if passes[0] else "+"
            found[model.motif.name] = sign, ref_p, alt_p
    return found


def made_alleles() -> list[tuple[int, str, str]]:
    """SNVs, MNVs, insertions, deletions and mixtures, many of them in the repeats and by the N."""
    alleles = []
    while len(alleles) < 60:
        start = dice.choice([dice.randrange(60, 330), dice.randrange(150, 180), dice.randrange(234, 255), 298, 305])
        ref = SEQUENCE[start : start + dice.choice([1, 1, 1, 2, 3, 5, 9])]
        alt = dice.choice([letters(len(ref), dice), ref[:1], ref + letters(2, dice), ref[0] + "CA" + ref[1:], "A"])
        if "N" not in ref and ref != alt:
            alleles.append((start, ref, alt))
    return alleles


ALLELES = made_alleles()


def said(found: list[MotifChange]) -> dict[str, tuple[str, float, float]]:
    return {one.motif.name: (one.sign, *one.p) for one in found}


def test_changes_are_those_of_a_loop(genome: Genome) -> None:
    signs = set()
    for start, ref, alt in ALLELES:
        found = said(motif_changes(Variant("c", start, ref, alt), genome, LOOSE))
        expected = slow_changes(SEQUENCE, start, ref, alt, LOOSE)
        assert found == {name: (sign, pytest.approx(a), pytest.approx(b)) for name, (sign, a, b) in expected.items()}
        assert [min(p) for _, *p in found.values()] == sorted(min(p) for _, *p in found.values())
        signs |= {sign for sign, *_ in found.values()}
    assert signs == {"-", "+", "~"}


def test_sites_stand_where_they_are_said_to(genome: Genome) -> None:
    for start, ref, alt in ALLELES:
        made = SEQUENCE[:start] + alt + SEQUENCE[start + len(ref) :]
        ways = list(spellings(SEQUENCE, start, ref, alt))
        for one in motif_changes(Variant("c", start, ref, alt), genome, LOOSE):
            model = next(model for model in LOOSE.models if model.motif is one.motif)
            olds, news = [(at, at + len(old)) for at, old, _ in ways], [(at, at + len(new)) for at, _, new in ways]
            for side, (sequence, touched) in enumerate(((SEQUENCE, olds), (made, news))):
                _, where = slow_best(sequence, model, touched)
                if one.start[side] is None:
                    assert not where and one.score[side] is None
                else:
                    assert one.start[side] in {at for at, _ in where}
                if one.p[side] == min(one.p) and one.p[0] != one.p[1]:
                    assert (one.start[side], one.strand) in where


def test_an_allele_that_changes_nothing_changes_no_site(genome: Genome) -> None:
    assert not motif_changes(Variant("c", 100, SEQUENCE[100:103], SEQUENCE[100:103]), genome, LOOSE)


def test_swapped_alleles_swap_lost_and_gained(genome: Genome, tmp_path: Path) -> None:
    opposite = {"-": "+", "+": "-", "~": "~"}
    path = tmp_path / "g.fa"
    alleles = ALLELES[:25]
    genomes = [SEQUENCE[:start] + alt + SEQUENCE[start + len(ref) :] for start, ref, alt in alleles]
    path.write_text("".join(f">c{i}\n{sequence}\n" for i, sequence in enumerate(genomes)))
    pysam.faidx(str(path))
    with Genome(path) as other:
        for i, (start, ref, alt) in enumerate(alleles):
            there = said(motif_changes(Variant("c", start, ref, alt), genome, LOOSE))
            back = said(motif_changes(Variant(f"c{i}", start, alt, ref), other, LOOSE))
            assert back == {name: (opposite[sign], b, a) for name, (sign, a, b) in there.items()}


def test_the_other_strand_of_the_genome_says_the_same(genome: Genome) -> None:
    for start, ref, alt in ALLELES:
        end = len(SEQUENCE) - start - len(ref)
        forward = said(motif_changes(Variant("c", start, ref, alt), genome, LOOSE))
        assert forward == said(motif_changes(Variant("turned", end, turned(ref), turned(alt)), genome, LOOSE))


def test_a_lost_copy_of_a_repeat_is_no_lost_site(genome: Genome) -> None:
    at = SEQUENCE.index("GATAGATAGATA")
    motifs = MotifSet.of([motif("gata", "GATA", 0.97)], p=0.01, one_voice=False)
    for spelled in (
        Variant("c", at - 1, SEQUENCE[at - 1 : at + 4], SEQUENCE[at - 1]),
        Variant("c", at + 7, "AGATA", "A"),
    ):
        assert not motif_changes(spelled, genome, motifs)
    whole = Variant("c", at - 1, SEQUENCE[at - 1 : at + 12], SEQUENCE[at - 1])
    (lost,) = motif_changes(whole, genome, motifs)
    assert (lost.sign, lost.p[0]) == ("-", pytest.approx(0.25**4 * 2, rel=1)) and lost.p[1] > 0.01  # of the junction


def test_of_motifs_that_look_alike_the_better_one_speaks(genome: Genome) -> None:
    at = SEQUENCE.index("GATAGATAGATA") + 4
    alike = [motif("one", "GATAGATA", 0.9), motif("two", "NGATAGAT", 0.9), motif("far", "CCCGGGCC", 0.9)]
    variant = Variant("c", at, "G", "C")
    found = motif_changes(variant, genome, MotifSet.of(alike, p=1e-3, one_voice=False))
    assert {one.motif.name for one in found} == {"one", "two"}
    (spoken,) = motif_changes(variant, genome, MotifSet.of(alike, p=1e-3))
    assert spoken.motif.name == found[0].motif.name


def test_chance_is_counted_on_drawn_snvs(genome: Genome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path))
    drawn = draw_snvs(genome)
    assert len(drawn) == 2000
    one = [
        (drawn.contigs[c], int(s), drawn.ref[i].decode(), drawn.alt[i].decode())
        for i, (c, s) in enumerate(zip(drawn.contig.tolist(), drawn.start.tolist(), strict=True))
    ]
    sequences = {"c": SEQUENCE, "turned": turned(SEQUENCE)}
    assert all(sequences[contig][start] == ref != alt for contig, start, ref, alt in one)
    assert {contig for contig, *_ in one} == {"c", "turned"}
    counted = [len(motif_changes(Variant(*snv), genome, LOOSE)) for snv in one[:200]]
    expected = expected_changes(genome, LOOSE, "key")
    assert abs(np.mean(counted) - expected) < 4 * np.std(counted) / np.sqrt(len(counted))
    assert expected_changes(genome, MotifSet((), None), "key") == expected  # kept


@pytest.mark.realdata
def test_the_demo_breaks_gata(shared_data: Path, tmp_path: Path) -> None:
    DemoFiles(tmp_path).write()
    motifs = read_motifs(shared_data / "motifs" / "JASPAR2022_CORE_vertebrates_latest_versions.txt")
    few = [m for m in motifs if m.name.startswith(("GATA", "CTCF", "CEBP", "FOX", "SP"))]
    mates = {m.name for m in few if m.name.startswith("GATA")}
    with Genome(tmp_path / "demo.fa") as opened:
        found = motif_changes(Variant.from_vcf("demo1", 5472, "AGATA", "A"), opened, MotifSet.of(few))
    assert found[0].sign == "-" and found[0].motif.name in mates
