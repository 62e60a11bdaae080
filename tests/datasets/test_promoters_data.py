"""Promoters of a FASTA and of a genome against plain text, and what a fold keeps together."""

from __future__ import annotations

import math
import random
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from varscore.datasets.examples import ExampleSet
from varscore.datasets.expression import Expression
from varscore.datasets.promoters import (
    PermutedSet,
    PromoterOptions,
    Promoters,
    Site,
    alike,
    build_promoters,
    cut_promoters,
    deal_folds,
    overlapping,
    read_promoters,
    read_sites,
)
from varscore.errors import DataError, UsageError
from varscore.genome.sequence import Genome, decode, encode

OTHER = str.maketrans("ACGT", "TGCA")


def letters(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def fasta(folder: Path, records: dict[str, str]) -> Path:
    (folder / "p.fa").write_text("".join(f">{header}\n{bases[:7]}\n{bases[7:]}\n" for header, bases in records.items()))
    return folder / "p.fa"


def test_headers_and_middles_of_a_fasta(tmp_path: Path) -> None:
    bases = {i: letters(21, i) for i in range(6)}
    records = {
        "gt;FP000885 Sox4_1              :+U  EU:NC; range  -200 to    50.": bases[0],
        "FP000886 Nkx2-1_2 :+U": bases[1],
        "FP000887 Sox4_2 :+U": bases[2],
        "Gata1 anything": bases[3].lower(),
        "short": bases[4][:19],
        "unknown": bases[5][:10] + "N" + bases[5][11:],
    }
    found = read_promoters(fasta(tmp_path, records), 20)
    assert found.genes == ("Sox4", "Nkx2-1", "Gata1")
    assert [decode(row).decode() for row in found.codes] == [bases[i][1:] for i in (0, 1, 3)]
    assert found.counts == {
        "promoters read": 6,
        "shorter promoters": 1,
        "further promoters": 1,
        "promoters in unknown sequence": 1,
    }
    assert read_promoters(tmp_path / "p.fa", None).codes.shape == (3, 21), "the commonest length"
    assert read_promoters(tmp_path / "p.fa", None).counts["shorter promoters"] == 1


def test_a_gene_may_stand_anywhere_in_a_header(tmp_path: Path) -> None:
    path = fasta(tmp_path, {"id1|Sox4|x": letters(9, 1), "id2|Gata1|y": letters(9, 2)})
    for pattern in (r"\|([^|]+)", r"\|(?P<gene>\w+)"):
        assert read_promoters(path, None, pattern).genes == ("Sox4", "Gata1")
    for pattern, error in {r"\d\d(.)": DataError, r"\w+": DataError, "(": UsageError}.items():
        with pytest.raises(error, match="`gene="):
            read_promoters(path, None, pattern)
    with pytest.raises(DataError):
        read_promoters(tmp_path / "none.fa", None)


UCSC = 'gene.ID,geneID_UCSC,gene.name,chrom,strand,Tx.start,Tx.end,TSS\nm1,"NM_1,NM_2",Xkr4,chr1,-,100,180,180\n'


def test_tables_of_start_sites(tmp_path: Path) -> None:
    expected = [Site("Xkr4", "chr1", 179, "-"), Site("Rp1", "chr2", 30, "+")]
    texts = [
        UCSC + "m2,NM_3,Rp1,chr2,+,30,99,30\n",
        "chr1\t100\t180\tXkr4\t0\t-\nchr2\t30\t99\tRp1\t0\t+\n",
        "#bin\tname\tchrom\tstrand\ttxStart\ttxEnd\tcdsStart\tname2\n"
        "585\tNM_1\tchr1\t-\t100\t180\t110\tXkr4\n9\tNM_3\tchr2\t+\t30\t99\t40\tRp1\n",
        "# of 2026\n#name\tchrom\tstrand\ttxStart\ttxEnd\nXkr4\tchr1\t-\t100\t180\nRp1\tchr2\t+\t30\t99\n",
        "# made\nSymbol\tChr\tStrand\tTSS\nXkr4\tchr1\t-\t180\nRp1\tchr2\t+\t31\n",
    ]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}").write_text(text)
        assert read_sites(tmp_path / f"{number}") == expected, text
    for text in ("a,b\n1,2\n", "", UCSC + "m2,NM_3,Rp1,chr2,*,30,99,30\n", UCSC + "m2,NM_3,Rp1,chr2,+,x,99,30\n"):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(DataError, match="not a (table of )?start site"):
            read_sites(tmp_path / "bad")


@pytest.mark.parametrize("upstream", [0, 7, 19])
def test_promoters_of_a_genome_begin_upstream_on_either_strand(tmp_path: Path, upstream: int) -> None:
    contigs = {"chr1": letters(400, 1), "chr2": letters(100, 2) + "N" * 30}
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()))
    sites = [
        Site("a", "chr2", 40, "+"), Site("b", "1", 350, "-"), Site("c", "chr1", 60, "-"), Site("d", "chr9", 5, "+"),
        Site("a", "chr1", 90, "+"), Site("e", "chr2", 105, "+"), Site("f", "chr2", 110, "-"), Site("g", "chr1", 3, "-"),
    ]  # fmt: skip
    with Genome(tmp_path / "g.fa", cache_dir=tmp_path / "cache") as genome:
        found = cut_promoters(genome, sites, 20, upstream)
    expected = {}
    for gene, contig, position, strand in sites:
        bases = contigs.get(contig if contig.startswith("chr") else f"chr{contig}", "")
        at = position if strand == "+" else len(bases) - 1 - position
        bases = bases if strand == "+" else bases[::-1].translate(OTHER)
        window = bases[at - upstream : at - upstream + 20] if at >= upstream else ""
        if len(window) == 20 and "N" not in window:
            expected.setdefault(gene, window)
    windows = {gene: decode(codes).decode() for gene, codes in zip(found.genes, found.codes, strict=True)}
    assert windows == expected and {"a", "b", "c"} <= windows.keys()
    assert found.counts["promoters off the FASTA"] == 1 and found.counts["further promoters"] == 1
    known = found.counts["promoters read"] - found.counts["promoters in unknown sequence"] - 2
    assert known == len(windows)


@settings(max_examples=60)
@example(["AAAAAACAA", "AAAAACCAA", "ACCCCAACA", "AAACCCCAA", "AAACCCCAA", "AAAAAAAAA", "AACCCAACA"], 7)
@given(st.lists(st.text("AC", min_size=9, max_size=9), min_size=2, max_size=8), st.integers(4, 9))
def test_alike_finds_what_a_search_of_text_finds(sequences: list[str], length: int) -> None:
    def pieces(bases: str) -> set[str]:
        both = (bases, bases[::-1].translate(OTHER))
        return {text[i : i + length] for text in both for i in range(len(bases) - length + 1)}

    codes = np.stack([encode(bases.encode()) for bases in sequences])
    n = len(sequences)
    same = [(i, j) for i, j in combinations(range(n), 2) if pieces(sequences[i]) & pieces(sequences[j])]
    one, other = (deal_folds(n, links, n, 0) for links in (alike(codes, length), same))
    assert one.tolist() == other.tolist()  # the same groups, in folds enough for each to have its own
    for i, j in same:
        assert one[i] == one[j]


def test_overlapping_windows_are_linked_and_no_others() -> None:
    contig, start = np.array([0, 1, 0, 0, 0]), np.array([100, 100, 119, 80, 300])
    assert sorted(map(sorted, overlapping(contig, start, 20))) == [[0, 2]]
    assert sorted(map(sorted, overlapping(contig, start, 21))) == [[0, 2], [0, 3]]


@settings(max_examples=60)
@given(st.integers(12, 60), st.integers(3, 10), st.data())
def test_folds_are_even_and_keep_links_together(n: int, folds: int, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=5))
    fold = deal_folds(n, pairs, folds, 1)
    assert all(fold[i] == fold[j] for i, j in pairs)
    assert fold.dtype == np.int16 and fold.min() >= 0 and fold.max() < folds
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 6  # the largest group that five pairs can make
    if not pairs:
        assert sizes.max() - sizes.min() <= 1
        assert fold.tolist() != deal_folds(n, pairs, folds, 2).tolist()


def made(folder: Path, options: PromoterOptions) -> tuple[ExampleSet, dict[str, int], Expression]:
    codes = np.stack([encode(letters(12, i).encode()) for i in range(30)])
    codes[7], codes[8] = codes[3], 3 - codes[4][::-1]
    genes = tuple(f"g{i}" for i in range(30))
    promoters = Promoters(genes, codes, ("p.fa",), np.zeros(30, np.int16), np.arange(30) * 12, {"promoters read": 30})
    values = 2.0 ** np.random.default_rng(0).normal(4, 3, (28, 3))
    values[3, 2] = math.nan
    matrix = Expression(tuple(f"g{i}" for i in reversed(range(28))), ("B.a", "B.b", "NK.c"), values)
    counts = build_promoters(promoters, matrix, folder / "d", options, info={"sources": {"m.tsv": "00"}})
    return ExampleSet(folder / "d"), counts, matrix


def test_every_gene_has_its_own_promoter_and_values(tmp_path: Path) -> None:
    data, counts, matrix = made(tmp_path, PromoterOptions(folds=4))
    assert data.names == tuple(f"g{i}" for i in range(28))
    assert counts["genes"] == 28 and counts["promoters without expression"] == 2 and counts["promoters read"] == 30
    rows = data.rows("all")
    for row, (window, values) in enumerate(zip(data.windows(rows), data.targets(rows), strict=True)):
        source = letters(12, 3 if row == 7 else row)
        if row == 8:
            source = letters(12, 4)[::-1].translate(OTHER)
        assert decode(window).decode() == source
        b1, b2, nk = matrix.values[27 - row]
        expected = [(math.log2(b1) + math.log2(b2)) / 2, 0 if math.isnan(nk) else math.log2(nk)]
        assert values == pytest.approx(expected, rel=1e-5)
    known = data.known(rows)
    assert known is not None and np.argwhere(~known).tolist() == [[24, 1]]
    assert data.fold is not None and data.fold[3] == data.fold[7] and data.fold[4] == data.fold[8]
    assert (data.strands, data.kind, data.info["options"]["scale"]) == ("one", "values", "linear")


def test_each_gene_is_held_out_once(tmp_path: Path) -> None:
    data, _, _ = made(tmp_path, PromoterOptions(folds=4, strands="both"))
    tests = [data.held_out(fold).rows("test") for fold in range(4)]
    assert np.sort(np.concatenate(tests)).tolist() == list(range(28))
    assert data.split.tolist() == data.held_out(0).split.tolist() and data.strands == "both"


def test_permuted_genes_have_each_others_values(tmp_path: Path) -> None:
    data, _, _ = made(tmp_path, PromoterOptions(folds=4))
    mixed, rows = PermutedSet(data.folder, 1), data.rows("all")
    one, other = data.targets(rows), mixed.targets(rows)
    assert sorted(map(tuple, one.tolist())) == sorted(map(tuple, other.tolist()))
    assert (one[:, 0] != other[:, 0]).mean() > 0.8
    assert (mixed.windows(rows) == data.windows(rows)).all()
    held = mixed.held_out(2)
    assert (held.targets(rows) == other).all()
    assert len({data.sha256, mixed.sha256, held.sha256, PermutedSet(data.folder, 2).sha256}) == 4


def test_what_cannot_be_built(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="3 folds at least"):
        PromoterOptions(folds=2)
    with pytest.raises(UsageError, match="window of 100 bp with 100 bp before"):
        PromoterOptions(window=100, upstream=100)
    with pytest.raises(DataError, match="28 genes have a promoter and an expression"):
        made(tmp_path, PromoterOptions(folds=29))
