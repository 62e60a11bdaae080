"""Assemblies told by lengths and names; accessions are contig names only where the length is right."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from varscore.errors import InputError, VariantFileError
from varscore.genome.assembly import ASSEMBLIES, accession, accession_of, chromosome, identify, named
from varscore.genome.contigs import ContigNames, match_contigs

BY_NAME = {assembly.name: assembly for assembly in ASSEMBLIES}
TOTALS = {
    "GRCh37": 3_095_677_412,
    "GRCh38": 3_088_269_832,
    "T2T-CHM13v2": 3_117_275_501,
    "GRCm38": 2_725_521_370,
    "GRCm39": 2_723_414_844,
}
"""Bases of all chromosomes, without the mitochondrion, as the assemblies' own statistics give them"""


def genome(**lengths: int) -> Any:
    return cast(Any, SimpleNamespace(contigs=lengths, path=SimpleNamespace(name="g.fa")))


def test_the_lengths_add_up_and_none_is_in_two_assemblies() -> None:
    assert {name: sum(one.lengths.values()) for name, one in BY_NAME.items()} == TOTALS
    pairs = [(name, length) for one in ASSEMBLIES for name, length in one.lengths.items()]
    assert len(pairs) == len(set(pairs)) == 3 * 24 + 2 * 21


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("GRCh38", "GRCh38"), ("GRCh37.p13", "GRCh37"), ("b37", "GRCh37"), ("file:///refs/hg19.fa", "GRCh37"),
        ("/data/hg38/genome.fa.gz", "GRCh38"), ("/hg38/ucsc.hg19.fasta", "GRCh37"), ("hs37d5.fa.gz", "GRCh37"),
        ("human_g1k_v37_decoy.fasta", "GRCh37"), ("Homo_sapiens_assembly38.fasta", "GRCh38"),
        ("GCA_000001405.15_GRCh38_no_alt_analysis_set.fna", "GRCh38"), ("GCF_000001405.25", "GRCh37"),
        ("chm13v2.0.fa", "T2T-CHM13v2"), ("hs1", "T2T-CHM13v2"), ("mm10.fa", "GRCm38"), ("GRCm39", "GRCm39"),
        ("hg19_to_hg38.fa", None), ("genome.fa", None), ("NCBI36", None), ("hg190", None), ("chr19.fa", None),
    ],
)  # fmt: skip
def test_assemblies_by_name(text: str, name: str | None) -> None:
    assert (str(found) if (found := named(text)) else None) == name


def test_assemblies_by_length() -> None:
    assert identify({"chr20": 63_025_520}) is BY_NAME["GRCh37"]
    assert identify({"20": 64_444_167, "GL000191.1": 106_433}) is BY_NAME["GRCh38"]
    assert identify({"chr20": 63_025_520, "chr21": 46_709_983, "chr22": 50_818_468}) is BY_NAME["GRCh38"]
    assert identify({"chrM": 16_569, "chr1": 30_000, "chr2": None}) is None
    assert identify({}) is None


def test_accessions() -> None:
    assert accession("NC_000020.10") == (BY_NAME["GRCh37"], "20")
    assert accession("NC_000020.11") == (BY_NAME["GRCh38"], "20")
    assert accession("NC_000023.11") == (BY_NAME["GRCh38"], "X")
    assert accession("NC_000014.8") == (BY_NAME["GRCh37"], "14") and accession("NC_000007.14") == (
        BY_NAME["GRCh38"],
        "7",
    )
    assert accession("NC_000020.12") is accession("chr20") is accession("NC_000067.7") is None
    assert [chromosome(name) for name in ("chrX", "X", "NC_000023.10", "chrUn_1")] == ["X", "X", "X", "Un_1"]
    assert accession_of("chr20", 63_025_520) == "NC_000020.10" and accession_of("20", 1) is None


def test_an_accession_is_a_name_only_where_the_length_is_that_assembly_s() -> None:
    right, wrong = genome(chr20=63_025_520), genome(chr20=64_444_167)
    assert match_contigs(["NC_000020.10"], right) == {"NC_000020.10": "chr20"}
    assert match_contigs(["NC_000020.10"], genome(**{"20": 63_025_520})) == {"NC_000020.10": "20"}
    assert match_contigs(["NC_000020.10"], wrong) == {"NC_000020.10": None}
    assert match_contigs(["NC_000020.10"], genome(**{"NC_000020.10": 9})) == {"NC_000020.10": "NC_000020.10"}
    turned = genome(**{"NC_000020.10": 63_025_520})
    assert list(match_contigs(["chr20", "20", "chr21"], turned).values()) == ["NC_000020.10", "NC_000020.10", None]
    assert match_contigs(["20"], genome(**{"NC_000020.10": 64_444_167})) == {"20": None}
    assert match_contigs(["NC_012920.1"], genome(chrM=16_569)) == {"NC_012920.1": "chrM"}
    assert match_contigs(["NC_012920.1"], genome(chrM=16_571)) == {"NC_012920.1": None}


def test_plink_s_numbers_are_no_names_but_what_renames_say_is() -> None:
    there = genome(chr1=10, chrX=20, chr23=5)
    assert match_contigs(["23", "24", "26", "XY"], genome(chr1=10, chrX=20)) == dict.fromkeys(["23", "24", "26", "XY"])
    assert match_contigs(["23"], there) == {"23": "chr23"}  # a cow has one
    said = {"23": "chrX", "24": "X", "chr1": "nowhere"}
    assert match_contigs(["23", "24", "chr1", "1"], there, None, said) == {
        "23": "chrX",
        "24": "chrX",
        "chr1": None,
        "1": "chr1",
    }


def test_a_contig_with_records_of_another_length_is_refused() -> None:
    there = genome(chr20=63_025_520, chr22=51_304_566)
    names = ContigNames(there, {"20": 63_025_520, "22": 50_818_468}, where="x.vcf")
    assert names.of(["20"]) == ["chr20"] and names.find("22") == "chr22"
    expected = (
        r"on GRCh38, the FASTA is GRCh37, x.vcf; 22, here chr22, is declared with 50,818,468 bases and has 51,304"
    )
    with pytest.raises(VariantFileError, match=expected):
        ContigNames(there, {"22": 50_818_468}, where="x.vcf").of(["22"])
    with pytest.raises(VariantFileError, match="the names differ: NC_000022.11 is chromosome 22 of GRCh38, 50,818,468"):
        ContigNames(there, {}).of(["NC_000022.11"])
    assert ContigNames(there, {"22": 5}, check="off").of(["22", "NC_000022.11"]) == ["chr22", None]


def test_what_may_be_another_assembly_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    names = ContigNames(genome(chr1=9), {"chr1": 8}, check="warn")
    assert names.of(["chr1", "chr1"]) == ["chr1", "chr1"]
    (line,) = caplog.messages
    assert line.startswith("the variants are on another assembly than the FASTA; ")
    assert "chr1 is declared with 8 bases and has 9 in the FASTA" in line


def test_regions_on_a_contig_that_nobody_has() -> None:
    names = ContigNames(genome(chr1=9, chr2=9), {"GL1": 7})
    names.demand_regions(["1", "chr2", "GL1"], ["GL1"])
    with pytest.raises(InputError, match="neither the variants nor g.fa has, chr9; the FASTA has chr1, chr2"):
        names.demand_regions(["1", "chr9"], ["GL1"])
    names.demand_regions(["1", "chr9"], partly=True)
    with pytest.raises(InputError, match="chr9, chr8"):
        names.demand_regions(["chr9", "chr8"], partly=True)
    assert names.key("1") == names.key("chr1") == "chr1" and names.key("GL1") == "GL1"


def test_contigs_that_the_fasta_does_not_have_are_named(caplog: pytest.LogCaptureFixture) -> None:
    names = ContigNames(genome(chr1=9), {})
    names.of(["1"])
    names.warn_of_missing()
    assert not caplog.messages
    names.of(["23", "GL1"])
    names.warn_of_missing()
    (line,) = caplog.messages
    assert "23, GL1 (23 to 26 and XY are plink's names)" in line and "`rename_chrs=FILE`" in line
