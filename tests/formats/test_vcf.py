"""Reading VCF and BCF: what comes out is what stands in the file, and damage never passes for an end."""

from __future__ import annotations

import codecs
import gzip
import io
import logging
import sys
from pathlib import Path

import cyvcf2
import numpy as np
import pysam.bcftools
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from made_vcfs import COLUMNS, DECLARED, EMPTY, GENOTYPES, MADE, SITES, read, records, save

from varscore.errors import VariantFileError, VarscoreError
from varscore.formats import lines, vcf
from varscore.formats.lines import Lines
from varscore.formats.vcf import VariantReader
from varscore.storage.atomic import AtomicFile
from varscore.storage.bgzf import EOF_BLOCK

KINDS = ("plain", "gzip", "bgzf")
SITE = b"chr1\t5\t.\tA\tC\t.\t.\tAC=1"


@pytest.mark.parametrize("end", ["stdin", "stdout"])
def test_ends_that_are_closed(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `<&-` and `>&-` leave them."""
    monkeypatch.setattr(sys, end, None)
    with pytest.raises(VarscoreError, match=r"standard (input|output) is closed"):
        VariantReader("-") if end == "stdin" else AtomicFile("-")


def from_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def many(n: int) -> bytes:
    return EMPTY + b"".join(b"chr1\t%d\trs%d\tA\tC,GT\t.\t.\tAC=1,%d\n" % (i + 1, i, i) for i in range(n))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MADE)
def test_lines_come_out_as_they_stand(tmp_path: Path, name: str, kind: str) -> None:
    reader = VariantReader(save(tmp_path / "in", MADE[name], kind))
    assert [line for chunk in reader.chunks() for line in chunk.lines] == records(MADE[name])
    header = [*reader.header.lines, reader.header.columns]
    assert header == [line for line in MADE[name].splitlines() if line.startswith(b"#")]
    assert reader.header.newline == (b"\r\n" if name == "crlf" else b"\n")


@pytest.mark.parametrize("kind", [*KINDS, "bcf"])
def test_stdin_reads_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = save(tmp_path / "in", many(3000), kind)
    from_stdin(monkeypatch, Path(path).read_bytes())
    assert read("-") == read(path) == records(many(3000))


@pytest.mark.parametrize("kind", ["b", "u"])
def test_bcf_becomes_the_text_that_bcftools_shows(tmp_path: Path, kind: str) -> None:
    source = save(tmp_path / "in.vcf", GENOTYPES)
    path = str(tmp_path / "in.bcf")
    pysam.bcftools.view("--no-version", f"-O{kind}", "-o", path, source, catch_stdout=False)
    reader = VariantReader(path)
    assert reader.header.n_samples == 2
    assert reader.header.contigs == {"chr1": 1000, "chr2": None}
    shown = pysam.bcftools.view("-H", path)
    assert [line.decode() for chunk in reader.chunks() for line in chunk.lines] == shown.splitlines()


def test_the_header_says_what_scoring_needs(tmp_path: Path) -> None:
    header = VariantReader(save(tmp_path / "in", GENOTYPES)).header
    assert header.contigs == {"chr1": 1000, "chr2": None}
    assert header.reference == "file:///tmp/my.fa"
    assert (header.n_samples, header.n_columns) == (2, 11)
    text = b'##fileformat=VCFv4.2\n##contig=<assembly=b37,ID="a b",length=12,md5=0>\n##contig=<ID=HLA*1:2>\n' + COLUMNS
    header = VariantReader(save(tmp_path / "other", text)).header
    assert (header.contigs, header.reference, header.n_samples) == ({"a b": 12, "HLA*1:2": None}, None, 0)


def test_what_stands_in_quotes_declares_nothing(tmp_path: Path) -> None:
    lines = (
        b'##contig=<Description="was \\"old\\", ID=chr9, length=5, assembly=hg38>",ID=chr1,length=1000,assembly=b37>\n'
        b'##contig=<ID=chr2,comment="length=7,">\n##contig=<ID=chr3,Length=8>\n##contig=<length=9>\n'
    )
    header = VariantReader(save(tmp_path / "in", b"##fileformat=VCFv4.2\n" + lines + COLUMNS)).header
    assert header.contigs == {"chr1": 1000, "chr2": None, "chr3": 8}
    assert header.stated == ("b37",)


@pytest.mark.parametrize("size", [1, 2, 4096])
def test_alleles_agree_with_cyvcf2(tmp_path: Path, size: int) -> None:
    path = save(tmp_path / "in.vcf", SITES)
    expected = [
        (record.CHROM, record.POS - 1, record.REF, alt, record.ID or ".")
        for record in cyvcf2.VCF(path)
        for alt in record.ALT or ["."]
    ]
    found = []
    numbers = []
    for chunk in VariantReader(path).chunks(size):
        alleles = chunk.alleles
        numbers += range(chunk.first, chunk.first + len(chunk))
        assert np.array_equal(np.repeat(np.arange(len(chunk)), np.diff(chunk.rows)), alleles.record)
        found += [
            (
                alleles.contigs[alleles.contig[row]],
                int(alleles.start[row]),
                alleles.ref[row].decode(),
                alleles.alt[row].decode(),
                chunk.ids[alleles.record[row]].decode(),
            )
            for row in range(len(alleles))
        ]
    assert found == expected
    assert numbers == list(range(5))


def test_info_columns_are_found(tmp_path: Path) -> None:
    for text in (SITES, GENOTYPES):
        for chunk in VariantReader(save(tmp_path / "in", text)).chunks():
            for line, info, end in zip(chunk.lines, chunk.infos, chunk.info_ends, strict=True):
                assert line[:end].split(b"\t")[7:] == [info]


def test_selected_records_are_a_chunk_of_their_own(tmp_path: Path) -> None:
    (chunk,) = VariantReader(save(tmp_path / "in", SITES)).chunks()
    keep = np.array([False, True, True, False, True])
    chosen = records(SITES)[1:3] + records(SITES)[4:]
    (expected,) = VariantReader(save(tmp_path / "less", EMPTY + b"\n".join(chosen))).chunks()
    part = chunk.select(keep)
    assert part.lines == chosen
    assert list(part.ids) == list(expected.ids) and list(part.infos) == list(expected.infos)
    assert np.array_equal(part.info_ends, expected.info_ends) and np.array_equal(part.rows, expected.rows)
    for column in ("record", "start"):
        assert np.array_equal(getattr(part.alleles, column), getattr(expected.alleles, column))
    assert [part.alleles.alt[i] for i in range(5)] == [b"C", b"GT", b"*", b".", b"T"]
    assert [part.alleles.ref[i] for i in range(5)] == [b"A", b"A", b"A", b"AC", b"n"]
    assert len(chunk.select(np.zeros(5, bool))) == 0


def test_empty_lines_are_not_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(save(tmp_path / "end", EMPTY + SITE + b"\n\n\r\n\n")) == [SITE]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        text = EMPTY + b"\n".join([SITE, b"", b"", SITE, b"", SITE])
        assert read(save(tmp_path / "middle", text), size=1) == [SITE] * 3
    assert [record.fields["before_record"] for record in caplog.records] == [2]  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_an_error_names_the_line_even_after_empty_lines(tmp_path: Path, size: int) -> None:
    path = save(tmp_path / "in.vcf", EMPTY + b"\n".join([SITE, b"", b"", SITE, SITE.replace(b"5", b"x")]) + b"\n")
    number = Path(path).read_bytes().split(b"\n").index(SITE.replace(b"5", b"x")) + 1
    with pytest.raises(VariantFileError, match=f"in.vcf line {number}$"):
        read(path, size)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html>\n<html>", "web page"),
        (b"\n <HTML>", "web page"),
        (SITES.decode("latin-1").encode("utf-16"), "UTF-16"),
        (SITES.decode("latin-1").encode("utf-16-le"), "UTF-16"),
        (b"\xef\xbb\xbf" + SITES, "byte order mark"),
        (bytes(range(256)) * 9, "binary"),
        (b"PK\x03\x04 and so on", "zip"),
        (SITE + b"\n", "first line is not ##fileformat"),
        (COLUMNS + b"\n" + SITE + b"\n", "first line is not ##fileformat"),
        (DECLARED, "no #CHROM line"),
        (DECLARED + SITE + b"\n", "no #CHROM line before the first record, in.vcf line 9"),
        (DECLARED + COLUMNS.replace(b"\t", b" ") + b"\n", "eight columns"),
        (DECLARED + b"#CHROM\tPOS\tID\tREF\tALT\n", "eight columns"),
        (EMPTY + b"chr1\t5\t.\tA\tC\t.\t.\n", "7 columns instead of 8, separated by tabs, in.vcf line 10"),
        (EMPTY + SITE.replace(b"\t", b" ") + b"\n", "1 columns instead of 8"),
        (EMPTY + SITES, "a header line among the records"),
        (GENOTYPES + SITE + b"\tGT\t0/1\n", "10 columns instead of 11"),
        (GENOTYPES + SITE + b"\n", "8 columns instead of 11"),
        (
            EMPTY + SITE + SITE + b"\n",
            "15 columns instead of 8, separated by tabs, in.vcf line 10; a line end was lost",
        ),
        (GENOTYPES + (SITE + b"\tGT\t0/1\t0/1") * 2 + b"\n", "21 columns instead of 11"),
        (
            GENOTYPES + SITE + b"\tGT\t0/1\t0/1\t0/1\n",
            "12 columns instead of 11, separated by tabs, in.vcf line 12; a delimiter",
        ),
        (EMPTY + SITE + b"\tGT\t0/1\n", "10 columns instead of 8"),
        (EMPTY + SITE + b"\t\n", "9 columns instead of 8"),
        (EMPTY + SITE.replace(b"\t5\t", b"\t5.0\t"), "POS is not a position: '5.0'"),
        (EMPTY + SITE.replace(b"\t5\t", b"\t-5\t"), "POS"),
        (EMPTY + SITE.replace(b"\t5\t", b"\t\t"), "POS"),
        (EMPTY + SITE.replace(b"\t5\t", b"\t" + b"9" * 30 + b"\t"), "POS"),
        (EMPTY + SITE.replace(b"\tA\t", b"\t\t"), "REF"),
        (EMPTY + SITE.replace(b"\tC\t", b"\t\t"), "ALT"),
        (EMPTY + SITE.replace(b"\tC\t", b"\tC,,T\t"), "ALT"),
        (EMPTY + SITE.replace(b"chr1", b""), "CHROM"),
        (EMPTY + SITE + b"\n" + SITE.replace(b"A", b"\0") + b"\n", "a NUL byte in the text, in.vcf line 11"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "in.vcf", text)
    with pytest.raises(VariantFileError) as caught:
        read("in.vcf")
    assert message in str(caught.value)
    assert "in.vcf" in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(VariantFileError, match="no such file"):
        VariantReader(str(tmp_path / "nothing.vcf"))
    with pytest.raises(VariantFileError, match="a folder, where a file"):
        VariantReader(str(tmp_path))


def test_a_bgzf_without_its_last_block_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path(save(tmp_path / "in.gz", many(3000), "bgzf")).read_bytes()
    assert whole.endswith(EOF_BLOCK)
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole.removesuffix(EOF_BLOCK))
    with pytest.raises(VariantFileError, match="truncated"):
        VariantReader(str(cut))
    from_stdin(monkeypatch, cut.read_bytes())
    stream = VariantReader("-").chunks(1000)
    assert sum(len(next(stream)) for _ in range(2)) == 2000
    with pytest.raises(VariantFileError, match="truncated, standard input"):
        list(stream)


@pytest.mark.parametrize("kind", ["gzip", "bgzf", "bcf"])
def test_no_cut_goes_unnoticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    whole = Path(save(tmp_path / "in", many(50), kind)).read_bytes()
    assert len(read(str(tmp_path / "in"))) == 50
    cut = tmp_path / "cut"
    for size in range(0, len(whole), 99 if kind == "bcf" else 7):  # every reader of BCF starts a process
        cut.write_bytes(whole[:size])
        with pytest.raises(VariantFileError):
            read(str(cut))
        from_stdin(monkeypatch, whole[:size])
        with pytest.raises(VariantFileError):
            read("-")


@pytest.mark.parametrize("kind", ["gzip", "bgzf", "bcf"])
def test_a_flipped_bit_is_noticed_or_does_no_harm(tmp_path: Path, kind: str) -> None:
    whole = Path(save(tmp_path / "in", many(50), kind)).read_bytes()
    expected = read(str(tmp_path / "in"))
    noticed = 0
    step = 29 if kind == "bcf" else 3
    for position in range(0, len(whole), step):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        (tmp_path / "flipped").write_bytes(flipped)
        try:
            assert read(str(tmp_path / "flipped")) == expected  # a flag or a time in a gzip header
        except VariantFileError:
            noticed += 1
    assert noticed > len(whole) / step * 0.8


def test_damage_after_good_records_is_an_error(tmp_path: Path) -> None:
    whole = bytearray(Path(save(tmp_path / "in", many(20000), "bcf")).read_bytes())
    whole[-200] ^= 4
    (tmp_path / "in").write_bytes(whole)
    stream = VariantReader(str(tmp_path / "in")).chunks(1000)
    assert next(stream).first == 0
    with pytest.raises(VariantFileError, match="damaged"):
        list(stream)


def test_uncompressed_bcf_that_ends_inside_a_record_is_an_error(tmp_path: Path) -> None:
    text = gzip.decompress(Path(save(tmp_path / "in", many(50), "bcf")).read_bytes())
    (tmp_path / "cut").write_bytes(text[:-5])
    with pytest.raises(VariantFileError, match="damaged BCF"):
        read(str(tmp_path / "cut"))


def test_a_reader_can_be_left_early(tmp_path: Path) -> None:
    for kind in (*KINDS, "bcf"):
        with VariantReader(save(tmp_path / kind, many(50000), kind)) as reader:
            assert len(next(reader.chunks(10))) == 10


def test_thousands_of_samples(tmp_path: Path) -> None:
    names = b"\t".join(b"s%d" % i for i in range(3000))
    record = SITE + b"\tGT" + b"\t0|1" * 3000
    text = DECLARED + COLUMNS + b"\tFORMAT\t" + names + b"\n" + (record + b"\n") * 20
    reader = VariantReader(save(tmp_path / "in", text, "bgzf"))
    assert reader.header.n_samples == 3000
    assert [line for chunk in reader.chunks() for line in chunk.lines] == [record] * 20
    with pytest.raises(VariantFileError, match="3008 columns instead of 3009"):
        read(save(tmp_path / "in", text + record[:-4], "bgzf"))


def test_chunks_stay_small_when_lines_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcf, "CHUNK_BYTES", 3 * len(SITE))
    path = save(tmp_path / "in", EMPTY + (SITE + b"\n") * 7)
    assert [(chunk.first, len(chunk)) for chunk in VariantReader(path).chunks()] == [(0, 3), (3, 3), (6, 1)]


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_a_gigantic_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: bytes) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 1 << 20)
    path = save(tmp_path / "in", EMPTY + SITE + b"C" * (3 << 20) + ending)
    with pytest.raises(VariantFileError, match="longer than 1 MiB, .*in line 10"):
        read(path)


@given(
    st.sampled_from(sorted(MADE)),
    st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(b"\t\n\r,;.#\0 A9-=\xff")), max_size=4),
)
def test_damaged_text_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[int, int]]
) -> None:
    text = bytearray(MADE[name])
    for place, byte in changes:
        text[place % len(text)] = byte
    path = save(tmp_path_factory.mktemp("damaged") / "in.vcf", bytes(text))
    try:
        found = read(path)
    except VariantFileError as error:
        assert "in.vcf" in str(error)
    else:
        body = bytes(text).partition(COLUMNS)[2].replace(b"\r\n", b"\n").split(b"\n")[1:]
        assert found == [line.removesuffix(b"\r") for line in body if line not in (b"", b"\r")]


@given(
    st.lists(st.binary(max_size=6).filter(lambda line: not set(line) & set(b"\n\r\0")), max_size=8),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_lines_do_not_depend_on_how_they_arrive(
    content: list[bytes], newline: bytes, ended: bool, cuts: list[int]
) -> None:
    text = newline.join(content) + (newline if ended and content else b"")
    assume(not text.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)))
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    blocks = [text[a:b] for a, b in zip(edges, edges[1:], strict=False) if a < b]
    found = [line for group in Lines(iter(blocks), "x") for line in group]
    expected = text.replace(b"\r\n", b"\n").split(b"\n")
    assert found == (expected[:-1] if expected[-1] == b"" else expected)


@pytest.mark.realdata
def test_real_files_come_out_whole(shared_data: Path) -> None:
    files = sorted((shared_data / "variants").glob("*.vcf.gz"))
    assert files
    for path in files:
        with gzip.open(path) as file:
            expected = [line.rstrip(b"\n") for line in file]
        reader = VariantReader(str(path))
        found = [line for chunk in reader.chunks() for line in chunk.lines]
        assert [*reader.header.lines, reader.header.columns, *found] == expected
