"""Variants in any form to one VCF: the same for every form, and what bcftools norm makes of it."""

from __future__ import annotations

import random
from pathlib import Path

import pysam
import pysam.bcftools
import pytest
from spellings import random_alleles, repeats, vcf_of

from varscore.errors import UsageError, VariantFileError
from varscore.formats.variantlist import Kind
from varscore.genome.sequence import Genome
from varscore.normalise import Given, listed, normalise, skipped_text, vcf_text, write_vcf
from varscore.storage.atomic import AtomicFile

SEQUENCE = "GATTACAGGCCATGCACACACATTTTTGGA"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("normalise")


@pytest.fixture(scope="module")
def genome(folder: Path) -> Genome:
    (folder / "g.fa").write_text(f">chr1\n{SEQUENCE}\n>chr2\nACGTACGTAC\n")
    return Genome(folder / "g.fa", cache_dir=folder)


def records(text: bytes) -> list[str]:
    """CHROM, POS, REF and ALT of the records of a VCF."""
    fields = (line.split("\t") for line in text.decode().splitlines() if not line.startswith("#"))
    return [" ".join((f[0], f[1], f[3], f[4])) for f in fields]


FORMS = {
    "list": "chr2:3G>T\nchr1:g.21_22del\nchr1:g.27_28insT\nchr1:5A>C\n",
    "tsv": "chrom\tpos\tref\talt\nchr2\t3\tG\tT\nchr1\t20\tACA\tA\nchr1\t27\tT\tTT\n1\t5\tA\tC\n",
    "bed": "chr2\t2\t3\tG/T\nchr1\t19\t22\tACA/A\nchr1\t26\t27\tT/TT\nchr1\t4\t5\tA/C\n",
    "hgvs": "chr2:g.3G>T\nchr1:g.21_22del\nchr1:g.23dup\nchr1:g.5A>C\n",
    "vcf": "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    "chr2\t3\t.\tG\tT\t.\t.\t.\nchr1\t20\t.\tACA\tA\t.\t.\t.\nchr1\t27\t.\tT\tTT\t.\t.\t.\nchr1\t5\t.\tA\tC\t.\t.\t.\n",
}
# worked out by hand: CA is deleted from CACACACA at 15, T inserted into TTTTT at 23; sorted
WANTED = ["chr1 5 A C", "chr1 14 GCA G", "chr1 22 A AT", "chr2 3 G T"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_variants_makes_the_same_vcf(form: str, folder: Path, genome: Genome) -> None:
    (folder / form).write_text(FORMS[form])
    found = normalise(str(folder / form), genome)
    assert records(vcf_text(found, genome)) == WANTED
    assert found.left_out == [] and not found.counts


def test_what_bcftools_norm_makes_of_five_hundred_indels_in_repeats(folder: Path) -> None:
    draw = random.Random(3)
    sequence = repeats(8000, draw)
    (folder / "r.fa").write_text(f">C\n{sequence}\n")
    written = sorted(random_alleles(sequence, draw) for _ in range(500))
    (folder / "r.vcf").write_text(vcf_of("C", sequence, written))
    norm = str(pysam.bcftools.norm("-m-", "-f", str(folder / "r.fa"), str(folder / "r.vcf")))
    with Genome(folder / "r.fa", cache_dir=folder) as genome:
        found = normalise(str(folder / "r.vcf"), genome)
        assert sorted(records(vcf_text(found, genome))) == sorted(records(norm.upper().encode()))
    assert len(found.ids) == sum(len(alts) for *_, alts in written) > 500


def test_rsids_are_looked_up_and_unknown_ones_listed(folder: Path, genome: Genome) -> None:
    (folder / "db.vcf").write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "1\t5\trs1\tA\tC,G\t.\t.\t.\n1\t6\trs2\tC\tT\t.\t.\t.\n1\t7\trs9;rs3\tA\tT\t.\t.\t.\n"
    )
    (folder / "ids").write_text("rs3\nRS1\nrs77\n")
    found = normalise(str(folder / "ids"), genome, dbsnp=str(folder / "db.vcf"))
    assert records(vcf_text(found, genome)) == ["chr1 5 A C", "chr1 5 A G", "chr1 7 A T"]
    assert found.ids == ["rs1", "rs1", "rs3"]
    assert skipped_text(found).splitlines()[1:] == [f"{folder / 'ids'} line 3\trs77\tUNKNOWN_ID"]
    with pytest.raises(UsageError, match="no position of their own"):
        normalise(str(folder / "ids"), genome)


def test_an_id_is_one_of_several_and_may_be_given_twice(folder: Path, genome: Genome) -> None:
    (folder / "db.vcf").write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "1\t5\trs1\tA\tC\t.\t.\t.\n1\t6\trs2\tC\tT\t.\t.\t.\n1\t7\trs9;rs3\tA\tT\t.\t.\t.\n"
    )
    (folder / "ids").write_text("rs3\nrs1\nRS9\nrs1\nrs77\nrs77\n")
    found = listed(str(folder / "ids"), genome, dbsnp=str(folder / "db.vcf"))
    assert list(zip(found.ids, found.alleles.start.tolist(), strict=True)) == [
        ("rs3", 6),
        ("rs1", 4),
        ("rs9", 6),
        ("rs1", 4),
    ]
    assert [(where[-1], name) for where, name, _ in found.left_out] == [("5", "rs77"), ("6", "rs77")]


def test_how_far_a_structural_allele_reaches_is_kept(folder: Path, genome: Genome) -> None:
    lines = [
        "chr1\t20\td\tA\t<DEL>\tEND=22",
        "chr1\t4\tu\tT\t<DUP>,<INV>\tSVLEN=2,5",
        "chr1\t2\ti\tA\t<DEL>\tIMPRECISE;END=4",
    ]
    rows = ["\t".join([*line.split("\t")[:5], ".", ".", line.split("\t")[5]]) for line in lines]
    (folder / "sv.vcf").write_text(FORMS["vcf"].partition("chr2")[0] + "\n".join(rows) + "\n")
    found = normalise(str(folder / "sv.vcf"), genome)
    written = [line for line in vcf_text(found, genome).decode().splitlines() if not line.startswith("##")][1:]
    assert [line.split("\t") for line in written] == [  # by hand: CA is deleted from CACACACA at 15
        ["chr1", "2", "i", "A", "<DEL>", ".", ".", "."],
        ["chr1", "4", "u", "T", "<DUP>", ".", ".", "END=6;SVLEN=2"],
        ["chr1", "4", "u", "T", "<INV>", ".", ".", "END=9;SVLEN=5"],
        ["chr1", "14", "d", "G", "<DEL>", ".", ".", "END=16;SVLEN=-2"],
    ]
    assert found.counts == {"SYMBOLIC": 1}
    (folder / "again.vcf").write_bytes(vcf_text(found, genome))
    assert vcf_text(normalise(str(folder / "again.vcf"), genome), genome) == vcf_text(found, genome)


def test_nothing_is_lost_without_a_word(folder: Path, genome: Genome) -> None:
    (folder / "odd").write_text("chr1:5C>G\nchr1:5C>A\nchr9:5A>G\nchr9:g.5del\nchr1:g.99del\nchr1:99A>G\n")
    found = normalise(str(folder / "odd"), genome)
    assert records(vcf_text(found, genome)) == ["chr1 5 C G", "chr1 5 C A", "chr1 99 A G", "chr9 5 A G"]
    assert [reason for *_, reason in found.left_out] == ["MISSING_CONTIG", "OFF_CONTIG"]
    assert found.counts == {"REF_MISMATCH": 1, "SWAPPED": 1, "MISSING_CONTIG": 2, "OFF_CONTIG": 2}
    assert len(skipped_text(found).splitlines()) == 1 + 6


def test_another_assembly_is_refused_before_anything_is_written(folder: Path, genome: Genome) -> None:
    wrong = [f"chr1:{pos}{'A' if SEQUENCE[pos - 1] != 'A' else 'C'}>G" for pos in range(1, 26)]
    (folder / "wrong").write_text("\n".join(wrong))
    with pytest.raises(VariantFileError, match="REF alleles disagree"):
        normalise(str(folder / "wrong"), genome)
    (folder / "acc").write_text("NC_000001.11:g.5A>G\n")
    with pytest.raises(VariantFileError, match="NC_000001.11 is chromosome 1 of GRCh38"):
        normalise(str(folder / "acc"), genome)


def test_a_bgzipped_vcf_has_an_index_that_htslib_reads(folder: Path, genome: Genome) -> None:
    (folder / "list").write_text(FORMS["list"])
    for name in ("n.vcf.gz", "n.vcf.bgz"):
        write_vcf(normalise(str(folder / "list"), genome), genome, AtomicFile(str(folder / name)))
        with pysam.VariantFile(str(folder / name)) as file:
            assert [record.pos for record in file.fetch("chr1", 10, 20)] == [14]


def test_what_is_given_is_a_file_or_a_variant(folder: Path) -> None:
    assert Given.of("chr1:5A>G").is_list and Given.of("chr1:5A>G").name == "chr1_5A_G"
    (folder / "peaks.bed").write_text("chr1\t1\t9\n")
    assert Given.of(str(folder / "peaks.bed")).kind is Kind.VCF  # its reader says what to do
    asked = Given.of(str(folder / "peaks.bed"), Kind.REGION)
    assert [str(interval) for interval in asked.intervals()] == ["chr1:2-9"]
