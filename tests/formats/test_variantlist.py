"""Lists and tables of variants: told apart, and read to the same variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from varscore.errors import DataError
from varscore.formats.variantlist import Kind, entries_of_columns, read_entries, read_regions, recognise

VARIANTS = [("chr1", 5, "A", "G"), ("chr1", 7, "AT", "A"), ("chrX", 9, "C", "CGG")]
KINDS = {
    "names": (Kind.NAMES, "chr1:5A>G\n# a comment\n\nchr1-7-AT-A\nchrX:9:C:CGG\n"),
    "blanks": (Kind.NAMES, "chr1 5 A G\nchr1 7 AT A\nchrX 9 C CGG\n"),
    "tsv": (
        Kind.TABLE,
        "#CHR\tpos\tID\tRef\tALT\tbeta\nchr1\t5\trs1\tA\tG\t1\nchr1\t7\t.\tat\ta\t2\nchrX\t9\t\tC\tCGG\t3\n",
    ),
    "csv": (Kind.TABLE, 'chrom,position,reference,alternate\n"chr1",5,A,G\nchr1,7,AT,A\nchrX,9,C,CGG\n'),
    "comments": (Kind.TABLE, "# made by hand\nchrom,pos,ref,alt\nchr1,5.0,A,G\n# gap\nchr1,7,AT,A\n\nchrX,9,C,CGG\n"),
    "semicolons": (Kind.TABLE, "Chromosome;Start;Ref;Alt\r\nchr1;5;A;G\r\nchr1;7;AT;A\r\nchrX;9;C;CGG\r\n"),
    "our own": (
        Kind.TABLE,
        "##varscoreVersion=0\nchrom\tpos\tref\talt\nchr1\t5\tA\tG\nchr1\t7\tAT\tA\nchrX\t9\tC\tCGG\n",
    ),
    "blanks under one another": (
        Kind.TABLE,
        " CHR   SNP   BP  A1  A2\nchr1   rs1    5   G   A\nchr1    .    7   A  AT\nchrX    .    9 CGG   C\n",
    ),
    "regenie": (
        Kind.TABLE,
        "CHROM GENPOS ID ALLELE0 ALLELE1 N\nchr1 5 a A G 9\nchr1 7 b AT A 9\nchrX 9 c C CGG 9\n",
    ),
    "bolt": (
        Kind.TABLE,
        "SNP\tCHR\tBP\tGENPOS\tALLELE1\tALLELE0\na\tchr1\t5\t.1\tG\tA\nb\tchr1\t7\t.2\tA\tAT\nc\tchrX\t9\t.3\tCGG\tC\n",
    ),
    "plink2": (
        Kind.TABLE,
        "#CHROM\tPOS\tID\tREF\tALT\tA1\nchr1\t5\ta\tA\tG\tA\nchr1\t7\tb\tAT\tA\tA\nchrX\t9\tc\tC\tCGG\tC\n",
    ),
    "GWAS-SSF": (
        Kind.TABLE,
        "chromosome\tbase_pair_location\teffect_allele\tother_allele\nchr1\t5\tG\tA\nchr1\t7\tA\tAT\nchrX\t9\tCGG\tC\n",
    ),
    "with ends": (Kind.TABLE, "chr,start,end,ref,alt\nchr1,5,5,A,G\nchr1,7,8,AT,A\nchrX,9,9,C,CGG\n"),
    "dbNSFP": (Kind.TABLE, "#chr\tpos(1-based)\tref\talt\nchr1\t5\tA\tG\nchr1\t7\tAT\tA\nchrX\t9\tC\tCGG\n"),
    "one column": (Kind.TABLE, "gene,variant\nA,chr1:5A>G\nB,chr1:7AT>A\nC,chrX:9:C:CGG\n"),
    "bed": (Kind.BED, "track name=x\nchr1\t4\t5\tA/G\nchr1\t6\t8\tAT>A\nchrX\t8\t9\tC|CGG\n"),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_list_is_recognised_and_read(name: str, mark: bytes, tmp_path: Path) -> None:
    kind, text = KINDS[name]
    path = tmp_path / "list.txt"
    path.write_bytes(mark + text.encode())
    assert recognise(str(path)) is kind
    changes = [entry.change for entry in read_entries(str(path), kind)]
    assert [(c.contig, c.start + 1, c.ref, c.alt) for c in changes if c] == VARIANTS


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("##fileformat=VCFv4.2\n#CHROM\tPOS\n", Kind.VCF),
        ("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n", Kind.VCF),  # whose reader says what is missing
        ("whatever\n", Kind.VCF),
        ("", Kind.VCF),
        ("#CHROM\tPOS\tID\tREF\tALT\tP\n", Kind.TABLE),
        ("rs12\nrs13\n", Kind.RSID),
        ("rs12, RS13;rs14\n", Kind.RSID),
        ("NC_000001.10:g.5A>G\n", Kind.HGVS),
        ("chr1\t10\t20\tpeak7\n", Kind.REGION),
        ("chr1:1,000-2,000\n", Kind.REGION),
        ("rsid\tp\nrs12\t.1\n", Kind.TABLE),
    ],
)
def test_what_else_a_file_may_be(text: str, kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(text)
    assert recognise(str(tmp_path / "x")) is kind


def test_alleles_that_are_no_bases(tmp_path: Path) -> None:
    """``-`` as three programs write it, of one deletion of base 8 and one insertion behind base 8: of 1-based bases."""
    deleted, inserted = ("delete", 7, 8, "T", ""), ("insert", 7, 9, "", "GG")
    names = ("Start End Ref Alt", "Start_Position End_Position Reference_Allele Tumor_Seq_Allele2", "start end ref alt")
    for name, place in zip(names, ("8\t8", "8\t9", "9\t8"), strict=True):
        header = "chrom\t" + name.replace(" ", "\t")
        (tmp_path / "t").write_text(f"#version 2.4\n{header}\nchr1\t8\t8\tT\t-\nchr1\t{place}\t-\tGG\n")
        assert recognise(str(tmp_path / "t")) is Kind.TABLE
        changes = [entry.change for entry in read_entries(str(tmp_path / "t"), Kind.TABLE)]
        assert [(c.kind, c.start, c.end, c.ref, c.alt) for c in changes if c] == [deleted, inserted]


def test_rsids_alone_and_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("RS12\nrs13\n")
    (tmp_path / "b").write_text("trait,SNP\nheight,rs12\nweight,rs13\n")
    for name, kind in (("a", Kind.RSID), ("b", Kind.TABLE)):
        found = list(read_entries(str(tmp_path / name), kind))
        assert [(entry.name, entry.change) for entry in found] == [("rs12", None), ("rs13", None)]


def test_names_of_variants_come_along(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("id\tchrom\tpos\tref\talt\nmy one\t1\t5\tA\tC,G\n")
    assert [(e.name, e.change.alt) for e in read_entries(str(tmp_path / "t"), Kind.TABLE) if e.change] == [
        ("my_one", "C"),
        ("my_one", "G"),
    ]
    columns = {"chr": ["1"], "pos": ["5"], "ref": ["A"], "alt": ["C"], "rsid": ["rs9"]}
    assert [e.name for e in entries_of_columns(columns, "the frame")] == ["rs9"]
    columns = {"Chromosome": ["1"], "Start": ["4"], "End": ["5"], "ref": ["A"], "alt": ["C"]}
    with pytest.raises(DataError, match="counts from 0, the frame"):
        list(entries_of_columns(columns, "the frame"))


WRONG = {
    "chr1:5A>G\nchr1:7\n": (Kind.NAMES, "line 2", "chr1-1005-A-G"),
    "rs1\nchr1:7A>G\n": (Kind.RSID, "line 2", "such as rs12345"),
    "chrom,pos,ref,alt\n1,five,A,G\n": (Kind.TABLE, "line 2", "'five' is no position"),
    "chrom,pos,ref,alt\n1,5.5,A,G\n": (Kind.TABLE, "line 2", "'5.5' is no position"),
    "# c\nchrom,pos,ref,alt\n1,,A,G\n": (Kind.TABLE, "line 3", "is no position"),
    "chrom,pos,ref,alt\n1,5,A\n": (Kind.TABLE, "line 2", "3 columns where the first line has 4"),
    "chrom,pos,ref,alt\n1,5,-,G\n": (Kind.TABLE, "line 2", "spelled with the base before it"),
    "chrom,start,end,ref,alt\n1,5,9,-,G\n": (Kind.TABLE, "line 2", "with a column end"),
    "chrom,start,end,ref,alt\n1,4,5,A,G\n1,6,8,AT,A\n": (Kind.TABLE, "the table counts from 0", "add 1 to its start"),
    "chrom,pos,ref,alt,pos\n1,5,A,G,6\n": (Kind.TABLE, "two columns are called pos", "take one of them out"),
    "chrom,pos,ref,alt\n1,0,A,G\n": (Kind.TABLE, "line 2", "positions count from 1"),
    "a,b\n1,2\n": (Kind.TABLE, "does not name the columns", "chrom, pos, ref, alt"),
    "chr1\t4\t5\tpeak\n": (Kind.BED, "line 1", "REF/ALT"),
    "chr1\t4\t6\tA/G\n": (Kind.BED, "line 1", "REF A has 1 bases, the interval 2"),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_its_line(text: str, tmp_path: Path) -> None:
    kind, where, why = WRONG[text]
    (tmp_path / "list").write_text(text)
    with pytest.raises(DataError) as caught:
        list(read_entries(str(tmp_path / "list"), kind))
    assert where in str(caught.value) and why in str(caught.value)


def test_regions_as_bed_and_as_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("chr1\t9\t20\nchr2\t0\t5\n")
    (tmp_path / "b").write_text("chr1:10-20\nchr2:1-5\n")
    assert read_regions(str(tmp_path / "a")) == read_regions(str(tmp_path / "b"))


def test_a_point_between_thousands_is_not_guessed(tmp_path: Path) -> None:
    """5.000 had been 5."""
    path = tmp_path / "t.csv"
    for told, pos in (("5.0", 5), ("5.00", 5), ("5000.000", 5000), ("5000.", 5000), ("5.000", 0), ("955.000", 0)):
        path.write_text(f"chrom;pos;ref;alt\nchr1;{told};A;G\n")
        if pos:
            (found,) = read_entries(str(path), Kind.TABLE)
            assert found.change is not None and found.change.start + 1 == pos
        else:
            with pytest.raises(DataError, match=f"not a position, .*line 2; '{told}' may be "):
                list(read_entries(str(path), Kind.TABLE))
