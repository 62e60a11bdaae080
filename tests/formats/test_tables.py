"""Tables of others from which lines could vanish: quotes that nobody closes, ends of files that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pysam
import pytest

from varscore.annotate.phased import read_names
from varscore.datasets import cells, expression, promoters, spans, tfbs, tss
from varscore.errors import DataError, VarscoreError
from varscore.formats.lines import table_rows, text_lines
from varscore.formats.variantlist import Kind, read_entries, recognise
from varscore.interpret.motifs import read_families
from varscore.report.genes import read_genes


def entries(path: Path) -> list[str]:
    assert recognise(str(path)) is Kind.TABLE
    found = read_entries(str(path), Kind.TABLE)
    return [f"{one.name} {one.change.contig}:{one.change.start + 1}" for one in found if one.change]


TABLES: dict[str, tuple[str, list[str], Callable[[Path], Any]]] = {
    "variants": ("chrom,pos,ref,alt,id", ["chr1,5,A,G,{}", "chr1,7,C,G,b", "chr1,9,C,T,c"], entries),
    "variants, tabs": ("chrom\tpos\tref\talt\tid", ["chr1\t5\tA\tG\t{}", "chr1\t7\tC\tG\tb"], entries),
    "one name": ("rsid", ["{}", "rs2", "rs3"], lambda path: list(read_entries(str(path), Kind.TABLE))),
    "cells": ("file\tcell", ["x.bed\t{}", "y.bed\tb"], lambda path: cells.read_table(path, ("cell", "file"))),
    "start sites": (
        "gene\tstrand\tchromosome\tpeaks\tsource",
        ["A\t+\tchr1\t(5, 9)\t{}", "B\t-\tchr1\t(15, 19)\tCAGE"],
        tss.read_peaks,
    ),
    "promoters": ("chrom,strand,start,end,gene", ["chr1,+,5,9,{}", "chr1,-,15,19,B"], promoters.read_sites),
    "expression": ("gene\tx\ty", ["{}\t1\t2", "B\t3\t4"], lambda path: repr(expression.read_expression(path))),
    "families": ("M0\tnone", ["M1\t{}", "M2\tETS"], read_families),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_quote_that_is_not_closed_swallows_no_line(name: str, tmp_path: Path) -> None:
    header, rows, read = TABLES[name]
    path = tmp_path / "t.txt"

    def written(value: str) -> Path:
        path.write_text("\n".join([header, *rows, ""]).format(value))
        return path

    value = "rs1" if name == "one name" else "a"
    assert read(written(f'"{value}"')) == read(written(value))  # what is closed is fine
    if name in ("variants", "cells"):
        assert len(read(written('"a, and\nmore"'))) == len(rows)
    for text in (written(f'"{value}').read_text(), "\n".join([header, *rows * 2, ""]).format(*[f'"{value}'] * 2)):
        path.write_text(text)
        with pytest.raises(DataError, match=r"quotation mark that is not closed, .*line 2"):
            read(path)


def test_rows_are_those_of_a_reader_of_letters() -> None:
    """A reader that goes letter by letter, over texts with quotes in all places."""

    def slowly(text: str) -> list[list[str]]:
        rows, row, cell, quoted, at = [], [], "", False, 0
        while at < len(text):
            letter = text[at]
            if quoted and text[at : at + 2] == '""':
                cell, at = cell + '"', at + 1
            elif letter == '"' and (quoted or not cell):
                quoted = not quoted
            elif letter == "," and not quoted:
                row, cell = [*row, cell], ""
            elif letter == "\n" and not quoted:
                rows, row, cell = [*rows, [*row, cell]], [], ""
            else:
                cell += letter
            at += 1
        return rows

    text = 'a,"b ""c"" d",e\n"x\ny",2,3\n,,\n"1,2",3,"4\n5\n"\nu,v"w,z\n'
    found = list(table_rows(text_lines(text), ",", "t"))
    assert [row for _, row in found] == slowly(text)
    assert [number for number, _ in found] == [1, 3, 4, 7, 8]


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\x0b", "\x0c", "\x1c"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_only_line_ends_end_lines(mark: str, end: str, tmp_path: Path) -> None:
    """0x85 is the three dots of Windows' Latin-1; Python counts it, and four others, as the end of a line."""
    lines = [
        f"# so{mark} and so",
        f"id{mark}\tchrom\tpos\tref\talt",
        f"a{mark}b\tchr1\t5\tA\tG",
        "c\tchr1\t7\tC\tG",
        "",
    ]
    (tmp_path / "t.tsv").write_bytes(end.join(lines).encode("latin-1" if mark < "\x90" else "utf-8"))
    found = list(read_entries(str(tmp_path / "t.tsv"), Kind.TABLE))
    assert [one.change.start + 1 for one in found if one.change] == [5, 7]


GZIPPED: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "spans": ("chr1\t5\t9\n" * 2, lambda path: repr(spans.read_spans(path))),
    "start sites": ("chr1\t5\t9\tA\t0\t+\n", tss.read_peaks),
    "peaks": ("chr1\t5\t9\n" * 2, tfbs.read_peaks),
    "deepbind": ("FoldID\tEventID\tseq\tBound\nA\tx\tACGT\t1\n", lambda path: len(tfbs.read_seq(path))),
    "promoters": ("gene\tchrom\tstrand\tstart\tend\nG\tchr1\t+\t5\t9\n", promoters.read_sites),
    "lineages": ("B*\tB cell\n", expression.read_lineages),
    "expression": ("gene\tB\nG\t5\n", lambda path: repr(expression.read_expression(path))),
    "genes": ("chr1\t5\t9\tTP53\n", lambda path: len(read_genes(str(path)))),
    "variants": ("chrom\tpos\tref\talt\nchr1\t5\tA\tG\n", entries),
}


@pytest.mark.parametrize("name", GZIPPED)
def test_a_bgzipped_text_that_lost_its_end_is_refused(name: str, tmp_path: Path) -> None:
    text, read = GZIPPED[name]
    plain, zipped = tmp_path / "t.txt", tmp_path / "t.txt.gz"
    plain.write_text(text)
    pysam.tabix_compress(str(plain), str(zipped))
    assert read(zipped) == read(plain)
    whole = zipped.read_bytes()
    zipped.write_bytes(whole[:-28])  # whole blocks, and then no more: gzip itself sees nothing wrong
    with pytest.raises(VarscoreError, match="truncated"):
        read(zipped)
    zipped.write_bytes(whole[:-40])
    with pytest.raises(VarscoreError, match="truncated"):
        read(zipped)


def test_peaks_of_a_table_of_genes_are_all_taken_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    for strand, ranges, cause in (
        ("1", "(5, 9)", "strand '1'"),
        (".", "(5, 9)", "strand '.'"),
        ("+", "(9, 5)", "9 to 5"),
    ):
        path.write_text(f"strand\tchromosome\tpeaks\n-\tchr1\t(5, 9)\n{strand}\tchr1\t{ranges}\n")
        with pytest.raises(DataError, match=rf"not a peak, .*line 3; .*{cause}"):
            tss.read_peaks(path)


def test_a_motif_of_two_families(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("M1\tETS\nM1\tETS\n")
    assert read_families(tmp_path / "t") == {"M1": "ETS"}
    (tmp_path / "t").write_text("M1\tETS\nM1\tbHLH\n")
    with pytest.raises(DataError, match="M1 is of two families"):
        read_families(tmp_path / "t")


def test_names_of_samples_are_utf8_with_or_without_a_mark(tmp_path: Path) -> None:
    (tmp_path / "n").write_bytes(b"\xef\xbb\xbfJ\xc3\xbcrgen\r\nNA 1 \n\n")
    assert read_names(tmp_path / "n") == ["Jürgen", "NA 1"]


def test_genes_whatever_they_are_called(tmp_path: Path) -> None:
    """A BED of nine columns whose names are numbers is no GTF; Ensembl's GFF3 has three words for a gene."""
    (tmp_path / "g.bed").write_text("chr1\t99\t200\t7157\t0\t+\t99\t200\t0\nchr1\t300\t400\t7158\t0\t-\t300\t400\t0\n")
    genes = read_genes(str(tmp_path / "g.bed"))
    assert [(one.name, one.start, one.tss) for one in genes.overlapping("1", 0, 999)] == [
        ("7157", 99, 99), ("7158", 300, 399),
    ]  # fmt: skip
    kinds = {"gene": "A", "ncRNA_gene": "B", "pseudogene": "C", "mRNA": "D"}
    lines = [
        f"1\te\t{kind}\t{100 * at + 1}\t{100 * at + 50}\t.\t+\t.\tID=x{at};Name={name}"
        for at, (kind, name) in enumerate(kinds.items())
    ]
    (tmp_path / "g.gff3").write_text("##gff-version 3\n" + "\n".join(lines) + "\n")
    assert [one.name for one in read_genes(str(tmp_path / "g.gff3")).overlapping("1", 0, 999)] == ["A", "B", "C"]


def test_genes_of_other_contigs_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "g.bed").write_text("NC_000001.11\t99\t200\tA\n2\t99\t200\tB\n")
    genes = read_genes(str(tmp_path / "g.bed"))
    for contigs in ((), ("chr2", "chr1")):
        genes.warn_of_contigs(contigs, "g.bed")
    assert not caplog.records
    genes.warn_of_contigs(("chr1", "chr1", "chr3"), "g.bed")
    said = "g.bed: no gene is on a contig of the alleles; its genes are on NC_000001.11, 2, these on chr1, chr3"
    assert [record.message for record in caplog.records] == [said]
