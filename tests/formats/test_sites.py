"""Variants and positions from VCF, BCF, tables and BED, against cyvcf2 and by hand."""

from __future__ import annotations

import gzip
from pathlib import Path

import cyvcf2
import numpy as np
import pysam
import pytest

from varscore.errors import DataError, VariantFileError
from varscore.formats.sites import VariantTable, frequencies, read_positions, read_variants
from varscore.formats.vcf import VariantReader

VCF = """##fileformat=VCFv4.2
##contig=<ID=chr1,length=900>
##contig=<ID=chr2>
##INFO=<ID=AF,Number=A,Type=Float,Description="f">
##INFO=<ID=EAS_AF,Number=A,Type=Float,Description="f">
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO
chr1	5	.	A	T,G	.	.	EAS_AF=0.9;AF=0.25,0.5
chr1	9	.	AC	A	.	.	AF=0.125
chr1	9	.	A	C	.	.	EAS_AF=0.5
chr2	1	.	C	.	.	.	.
chr2	2	.	C	T,A	.	.	AF=0.5
chr2	3	.	C	T	.	.	AF=.
"""


def rows(table: VariantTable) -> list[tuple[str, int, str, str, float]]:
    alleles = table.alleles
    return [
        (
            alleles.contigs[alleles.contig[i]],
            int(alleles.start[i]) + 1,
            alleles.ref[i].decode(),
            alleles.alt[i].decode(),
            float(table.frequency[i]),
        )
        for i in range(len(alleles))
    ]


EXPECTED = [
    ("chr1", 5, "A", "T", 0.25),
    ("chr1", 5, "A", "G", 0.5),
    ("chr1", 9, "AC", "A", 0.125),
    ("chr1", 9, "A", "C", np.nan),
    ("chr2", 1, "C", ".", np.nan),
    ("chr2", 2, "C", "T", np.nan),  # one frequency for two alleles
    ("chr2", 2, "C", "A", np.nan),
    ("chr2", 3, "C", "T", np.nan),
]


@pytest.mark.parametrize("kind", ["vcf", "vcf.gz", "bcf"])
def test_the_alleles_of_a_variant_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_text(VCF)
    if kind == "vcf.gz":
        path.write_bytes(gzip.compress(VCF.encode()))
    if kind == "bcf":
        (tmp_path / "a.vcf").write_text(VCF)
        with (
            pysam.VariantFile(str(tmp_path / "a.vcf")) as text,
            pysam.VariantFile(str(path), "wb", header=text.header) as out,
        ):
            for record in text:
                out.write(record)
    table = read_variants(str(path))
    np.testing.assert_equal(rows(table), EXPECTED)
    assert table.lengths["chr1"] == 900


@pytest.mark.realdata
def test_frequencies_of_a_real_file_are_those_cyvcf2_reads(shared_data: Path) -> None:
    path = str(shared_data / "variants" / "1kg_phase3_chr20_1-2Mb.vcf.gz")
    expected = []
    for record in cyvcf2.VCF(path):
        stated = record.INFO.get("AF")
        expected += list(stated) if isinstance(stated, tuple) else [stated]
    with VariantReader(path) as reader:
        found = np.concatenate([frequencies(chunk) for chunk in reader.chunks()])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["#CHROM", "chrom", "Chr"])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_rows_of_a_table(tmp_path: Path, name: str, zipped: bool) -> None:
    text = f"##made today\n{name}\tPOS\tid\tref\tALT\taf\nchr1\t5\tx\tA\tT\t0.25\n2\t7\ty\tAC\ta\t.\n\n"
    path = tmp_path / "t"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.replace("\n", "\r\n").encode())
    np.testing.assert_equal(rows(read_variants(str(path))), [("chr1", 5, "A", "T", 0.25), ("2", 7, "AC", "a", np.nan)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("chrom\tpos\tref\n", "neither a VCF or BCF nor a table, .*names no column alt"),
        ("chr1\t5\t6\n", "names no column chrom, pos, ref, alt"),
        ("chrom\tpos\tref\talt\nchr1\t5\tA\n", "3 columns where the first line has 4, .* line 2; the line was cut"),
        ("chrom\tpos\tref\talt\nchr1\t5\tA\tTchr1\t6\tA\tT\n", "7 columns where .* line 2; a line end was lost"),
        ("chrom\tpos\tref\talt\nchr1\t5\tA\tT\t\n", "5 columns where the first line has 4, .* line 2"),
        ("chrom\tpos\tref\talt\nchr1\t5\tA\tT\nchr1\t0\tA\tT\n", "not a variant, .* line 3"),
        ("chrom\tpos\tref\talt\nchr1\tx\tA\tT\n", "not a variant, .* line 2"),
        ("chrom\tpos\tref\talt\nchr1\t5\t\tT\n", "not a variant, .* line 2"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_variants(str(tmp_path / "t.tsv"))


def test_a_damaged_vcf_is_the_reader_s_error(tmp_path: Path) -> None:
    (tmp_path / "t.vcf").write_text(VCF + "chr2\tx\t.\tC\tT\t.\t.\t.\n")
    with pytest.raises(VariantFileError, match="line 13"):
        read_variants(str(tmp_path / "t.vcf"))
    with pytest.raises(DataError, match="no such file"):
        read_variants(str(tmp_path / "absent"))


def test_positions_of_a_bed_and_of_a_table_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text("# comment\ntrack x\nchr1\t9\t12\ta\t0\t+\nchr1\t2\t6\tb\t0\t-\nchr2\t0\t4\n")
    (tmp_path / "a.tsv").write_text("gene\tchrom\tpos\na\tchr1\t10\nb\tchr1\t6\nc\tchr2\t1\nd\tchr2\t1\n")
    for name in ("a.bed", "a.tsv"):
        found = read_positions(str(tmp_path / name))
        assert {contig: positions.tolist() for contig, positions in found.items()} == {"chr1": [5, 9], "chr2": [0]}


@pytest.mark.parametrize(("text", "message"), [("chr1\t5\n", "not a BED interval, .* line 1"), ("#\n", "no position")])
def test_positions_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.bed").write_text(text)
    with pytest.raises(DataError, match=message):
        read_positions(str(tmp_path / "x.bed"))


@pytest.mark.parametrize("text", ["-1", "1.5", "12%", "0,3", "x", "inf"])
def test_what_is_no_allele_frequency_is_refused(text: str, tmp_path: Path) -> None:
    """-1 had been rare, 1.5 a class of its own, and what is no number unknown."""
    path = tmp_path / "t.tsv"
    path.write_text(f"chrom\tpos\tref\talt\taf\nchr1\t5\tA\tC\t{text}\n")
    with pytest.raises(DataError, match="is no allele frequency"):
        read_variants(str(path))
    if "," not in text:
        path.write_text(VCF.replace("AF=0.125", f"AF={text}"))
        with pytest.raises(DataError, match="is no allele frequency, INFO AF="):
            read_variants(str(path))


def test_frequencies_that_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(
        "chrom\tpos\tref\talt\taf\n" + "".join(f"chr1\t5\tA\tC\t{af}\n" for af in ("", ".", "NA", "nan", "1e-3"))
    )
    assert np.isnan(read_variants(str(path)).frequency).tolist() == [True] * 4 + [False]


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("chrom\tpos\tref\talt\tpos\nchr1\t5\tA\tC\t7\n")
    with pytest.raises(DataError, match="two columns are called pos"):
        read_variants(str(path))
