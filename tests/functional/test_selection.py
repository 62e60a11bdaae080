"""Which variants are trained on: read from files, restricted, matched, drawn."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_model import variants_at

from varscore.errors import DataError, VariantFileError
from varscore.functional.selection import Selection, Sources, select
from varscore.functional.variants import among, gather, look_up_frequencies
from varscore.genome.sequence import Genome
from varscore.scoring.survey import GenomeRules

Row = tuple[str, int, str, str]
WINDOW = 20


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Genome]:
    """Nothing but A, and a stretch of N at the end of chr3."""
    folder = tmp_path_factory.mktemp("plain")
    contigs = {"chr1": "A" * 100_000, "chr2": "A" * 20_000, "chr3": "A" * 5000 + "N" * 1000}
    (folder / "g.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()))
    with Genome(folder / "g.fa", cache_dir=folder) as genome:
        yield genome


def write(path: Path, rows: list[Row], frequencies: list[float] | None = None) -> str:
    """A table; with frequencies, a VCF."""
    if frequencies is None:
        lines = ["chrom\tpos\tref\talt", *("\t".join(map(str, row)) for row in rows)]
    else:
        lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
        lines += [
            f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t" + (f"AF={f}" if f == f else ".")
            for (c, p, r, a), f in zip(rows, frequencies, strict=True)
        ]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def names(selection: Selection, group: str) -> list[str]:
    return [name for name, of in zip(selection.variants.names(), selection.group, strict=True) if of == group]


def test_names_are_the_genome_s_and_alleles_come_once(
    genome: Genome, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = write(tmp_path / "a.tsv", [("1", 9, "A", "G"), ("chr1", 9, "a", "g"), ("chrX", 3, "A", "C")])
    second = write(tmp_path / "b.vcf", [("chr2", 5, "A", "T"), ("1", 9, "A", "G")], [0.5, 0.1])
    with caplog.at_level(logging.INFO):
        found = gather([first, second], genome)
    assert list(found.names()) == ["chr1:9:A>G", "chr2:5:A>T"]
    assert found.alleles.contigs == ("chr1", "chr2", "chr3")
    np.testing.assert_array_equal(found.frequency, [np.nan, 0.5])
    assert "1 of 3 alleles" in caplog.text and "2 alleles come twice" in caplog.text
    assert among(found, gather([second], genome)).tolist() == [True, True]
    with pytest.raises(VariantFileError, match="none of the contigs is in the FASTA"):
        gather([write(tmp_path / "c.tsv", [("chrX", 1, "A", "C")])], genome)


def test_a_positive_is_never_a_negative(genome: Genome, tmp_path: Path) -> None:
    positives = write(tmp_path / "p.tsv", [("chr1", 10, "A", "G"), ("chr2", 10, "A", "G")])
    rows = [("1", 10, "A", "G"), ("chr1", 10, "A", "T"), ("chr1", 7, "A", "T")]
    found = select(Sources((positives,), (write(tmp_path / "n.tsv", rows),)), genome, WINDOW, 0)
    assert list(found.variants.names()) == ["chr1:7:A>T", "chr1:10:A>G", "chr1:10:A>T", "chr2:10:A>G"]
    assert found.label.tolist() == [False, True, False, True]
    assert found.group.tolist() == ["given", "positive", "given", "positive"]


def test_both_classes_are_restricted_and_rare_negatives_left_out(genome: Genome, tmp_path: Path) -> None:
    positives = write(tmp_path / "p.tsv", [("chr1", p, "A", "G") for p in (100, 101, 200, 201)])
    rows = [("chr1", p, "A", "T") for p in (100, 101, 150, 200, 201)]
    negatives = write(tmp_path / "n.vcf", rows, [0.5, 0.005, float("nan"), 0.5, 0.5])
    (tmp_path / "x.bed").write_text("1\t100\t200\n")  # POS 101 to 200
    sources = Sources((positives,), (negatives,), restrict=str(tmp_path / "x.bed"), least_frequency=0.01)
    found = select(sources, genome, WINDOW, 0)
    assert names(found, "positive") == ["chr1:101:A>G", "chr1:200:A>G"]
    assert names(found, "given") == ["chr1:150:A>T", "chr1:200:A>T"]
    with pytest.raises(DataError, match="none of the positives lies in"):
        (tmp_path / "x.bed").write_text("chr3\t0\t9\n")
        select(sources, genome, WINDOW, 0)


def test_given_negatives_are_matched_by_distance_to_a_tss(genome: Genome, tmp_path: Path) -> None:
    (tmp_path / "tss.bed").write_text("1\t1000\t1001\nchr2\t1000\t1001\n")
    positives = write(tmp_path / "p.tsv", [("chr1", 1001 + d, "A", "G") for d in (0, 5, 10, 5000)])
    rows = [("chr1", 1001 + d, "A", "T") for d in (2, 20, 300)] + [("chr2", 1001, "A", "T")]
    negatives = write(tmp_path / "n.tsv", rows)
    found = select(Sources((positives,), (negatives,), tss=str(tmp_path / "tss.bed")), genome, WINDOW, 0)
    assert names(found, "given") == ["chr1:1003:A>T", "chr1:1021:A>T"]
    assert len(names(found, "positive")) == 2
    halves = Sources((positives,), (negatives,), tss=str(tmp_path / "tss.bed"), ratio=0.5)
    assert len(names(select(halves, genome, WINDOW, 0), "given")) == 1
    (tmp_path / "tss.bed").write_text("chrX\t1000\t1001\n")
    with pytest.raises(DataError, match="none of the TSS is on a contig"):
        select(Sources((positives,), (negatives,), tss=str(tmp_path / "tss.bed")), genome, WINDOW, 0)


def test_frequencies_of_positives_are_looked_up_where_negatives_come_from(
    genome: Genome, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool = [("chr1", 10 * p, "A", "G") for p in range(1, 40)]
    frequency = [0.3 if p % 2 else 0.06 for p in range(1, 40)]
    drawn_from = write(tmp_path / "pool.vcf", pool, frequency)
    positives = write(tmp_path / "p.tsv", [*pool[:10:2], ("chr1", 7, "A", "C")])  # five common ones, one nobody knows
    found = select(Sources((positives,), pool=(drawn_from,), match_frequency=True), genome, WINDOW, 0)
    drawn = [int(name.split(":")[1]) for name in names(found, "random")]
    assert len(drawn) == 5 and all(position // 10 % 2 for position in drawn)
    assert "1 positives have no known allele frequency" in caplog.text
    unknown = write(tmp_path / "q.tsv", [("chr1", 7, "A", "C")])
    with pytest.raises(DataError, match="the allele frequency of no positive is known.*leave out `match_af`"):
        select(Sources((unknown,), pool=(drawn_from,), match_frequency=True), genome, WINDOW, 0)


def test_groups_of_negatives_keep_their_names(genome: Genome, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    positives = write(tmp_path / "p.tsv", [("chr1", p, "A", "G") for p in (1000, 50_000)])
    pool = write(tmp_path / "pool.tsv", [("chr1", p, "A", "T") for p in (1100, 1200, 50_090, 90_000, 91_000)])
    sources = Sources((positives,), pool=(pool,), distances=(100, 200, 7000, None))
    found = select(sources, genome, WINDOW, 0)
    assert names(found, "100") == ["chr1:1100:A>T", "chr1:50090:A>T"]
    assert names(found, "200") == ["chr1:1200:A>T"]
    assert len(names(found, "random")) == 2 and found.groups == ["100", "200", "random"]
    assert "no negative of the group 7000" in caplog.text


def test_what_is_given_is_not_drawn_again(genome: Genome, tmp_path: Path) -> None:
    positives = write(tmp_path / "p.tsv", [("chr1", 1000, "A", "G")])
    rows = [("chr1", 1100, "A", "T"), ("chr1", 2000, "A", "T")]
    given, pool = write(tmp_path / "n.tsv", rows[:1]), write(tmp_path / "pool.tsv", rows)
    found = select(Sources((positives,), (given,), (pool,), ratio=5), genome, WINDOW, 0)
    assert names(found, "given") == ["chr1:1100:A>T"] and names(found, "random") == ["chr1:2000:A>T"]


def test_no_negative_at_all_is_an_error(genome: Genome, tmp_path: Path) -> None:
    positives = write(tmp_path / "p.tsv", [("chr1", 1000, "A", "G")])
    with pytest.raises(DataError, match="1 positives and 0 negatives: nothing to learn from"):
        select(Sources((positives,), (positives,)), genome, WINDOW, 0)


def test_what_cannot_be_scored_is_left_out_before_matching_and_counted(
    genome: Genome, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two negatives of 100 can be scored: a positive is matched to each of these, never to one of the others."""
    (tmp_path / "tss.bed").write_text("1\t1000\t1001\nchr3\t1000\t1001\n")
    positives = write(tmp_path / "p.tsv", [("chr1", 1000 + i, "A", "G") for i in range(5)] + [("chr3", 5500, "A", "G")])
    wrong = [("chr1", 1000 + i, "C", "T") for i in range(98)]
    negatives = write(tmp_path / "n.tsv", [*wrong, ("chr1", 990, "A", "T"), ("chr1", 991, "A", "T")])
    with pytest.raises(VariantFileError, match=r"98 of 100 REF alleles disagree .*n.tsv; .*another assembly"):
        select(Sources((positives,), (negatives,)), genome, WINDOW, 0)
    anyhow = GenomeRules(max_mismatch=1)
    found = select(Sources((positives,), (negatives,), tss=str(tmp_path / "tss.bed"), rules=anyhow), genome, WINDOW, 0)
    assert names(found, "given") == ["chr1:990:A>T", "chr1:991:A>T"] and found.label.sum() == 2
    assert found.left_out == {"positives": {"REF_UNKNOWN": 1}, "negatives": {"REF_MISMATCH": 98}}
    assert "98 of 100 negatives cannot be scored: 98 REF_MISMATCH" in caplog.text
    with pytest.raises(DataError, match="none of the negatives can be scored.*98 REF_MISMATCH"):
        select(Sources((positives,), (write(tmp_path / "w.tsv", wrong),), rules=anyhow), genome, WINDOW, 0)


def test_alleles_and_their_neighbours_are_matched(tmp_path: Path) -> None:
    """CGA repeated: positives change C or A, so negatives that change G are left out; REF and ALT may be swapped."""
    (tmp_path / "g.fa").write_text(">chr1\n" + "CGA" * 100 + "\n>chr2\n" + "TGA" * 100 + "\n")
    positives = write(tmp_path / "p.tsv", [("chr1", 31, "C", "T"), ("chr1", 33, "A", "G"), ("chr1", 34, "C", "T")])
    negatives = [("chr1", 61, "C", "T"), ("chr1", 62, "G", "A"), ("chr1", 63, "A", "T"), ("chr1", 66, "A", "G")]
    swapped = [("chr1", 92, "G", "C"), ("chr2", 91, "T", "C")]  # A[T/C]G on chr2, where chr1 has A[C/T]G
    with Genome(tmp_path / "g.fa", cache_dir=tmp_path) as genome:
        sources = Sources((positives,), (write(tmp_path / "n.tsv", negatives + swapped),), match_context=True)
        found = select(sources, genome, WINDOW, 0)
    assert names(found, "given") == ["chr1:61:C>T", "chr1:66:A>G", "chr2:91:T>C"]
    assert len(names(found, "positive")) == 3


def test_groups_come_in_the_order_of_their_distance() -> None:
    group = np.array(["positive", "random", "6300", "710", "given"], object)
    assert Selection(variants_at([0] * 5, range(5)), group == "positive", group).groups == [
        "710",
        "6300",
        "given",
        "random",
    ]


def test_spellings_of_one_variant_are_one_variant(genome: Genome, tmp_path: Path) -> None:
    """Padded, right of where an indel can be moved to, or both: met twice, among the positives, with a frequency."""
    minimal = [("chr1", 500, "A", "G"), ("chr1", 600, "AAA", "GAG"), ("chr2", 1, "A", "AA"), ("chr2", 700, "A", "AC")]
    spelled = [
        ("1", 498, "AAAA", "AAGA"),
        ("1", 599, "AAAAA", "AGAGA"),
        ("2", 9000, "AA", "AAA"),
        ("2", 700, "AA", "ACA"),
    ]
    once = gather([write(tmp_path / "twice.tsv", [*spelled, *minimal])], genome)
    assert list(once.names()) == [f"{c}:{p}:{r}>{a}" for c, p, r, a in minimal]
    positives = write(tmp_path / "p.tsv", spelled[:2])
    negatives = write(tmp_path / "n.tsv", [*minimal[1:], *spelled[2:]])
    plain = select(Sources((positives,), (negatives,)), genome, WINDOW, 0)
    assert names(plain, "positive") == ["chr1:500:A>G", "chr1:600:AAA>GAG"]
    assert names(plain, "given") == ["chr2:1:A>AA", "chr2:700:A>AC"]
    frequent = write(tmp_path / "f.vcf", minimal, [0.1, 0.2, 0.3, 0.4])
    looked_up = look_up_frequencies(once, gather([frequent], genome))
    assert looked_up.frequency.tolist() == [0.1, 0.2, 0.3, 0.4]
