"""Variant files as they come: which are annotated, every original byte kept, and which end in one clear line."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pysam
import pysam.bcftools
import pytest
from made_vcfs import without_our_tags
from typer.main import get_command

from varscore.cli.boundary import run
from varscore.storage.bgzf import EOF_BLOCK
from varscore.zoo.models import ModelFolder

SEQUENCE = "ACGT" * 250
"""chr1: A at POS 1, 5, 9 ..., C at 2, 6, 10 ..."""
VERSION = b"##fileformat=VCFv4.2\n"
META = VERSION + (
    b"##contig=<ID=chr1,length=1000>\n"
    b'##INFO=<ID=AC,Number=A,Type=Integer,Description="Count, of alleles">\n'
    b'##INFO=<ID=END,Number=1,Type=Integer,Description="End">\n'
    b'##INFO=<ID=X,Number=1,Type=String,Description="Anything">\n'
    b'##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
)
SITES = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
HEADER = META + SITES
GENOTYPES = META + SITES[:-1] + b"\tFORMAT\tanna\tben\n"


def line(pos: int | str, ref: str, alt: str, info: str = "AC=1", contig: str = "chr1") -> bytes:
    return f"{contig}\t{pos}\t.\t{ref}\t{alt}\t50\tPASS\t{info}\n".encode()


GOOD = line(401, "A", "C")
MANY = HEADER + b"".join(line(pos, "A", "C", f"AC={pos};X={pos**9}") for pos in range(201, 801, 4))


def bgzipped(text: bytes, piece: int = 700) -> bytes:
    """As bgzip does it, but with small blocks."""
    path = Path("made.gz")
    with pysam.BGZFile(str(path), "wb") as file:
        for start in range(0, len(text), piece):
            file.write(text[start : start + piece])
            file.flush()
    data = path.read_bytes()
    path.unlink()
    return data


def bcf(text: bytes) -> bytes:
    Path("made.vcf").write_bytes(text)
    pysam.bcftools.view("--no-version", "-Ob", "-o", "made.bcf", "made.vcf", catch_stdout=False)
    data = Path("made.bcf").read_bytes()
    Path("made.vcf").unlink()
    Path("made.bcf").unlink()
    return data


def garbled(data: bytes, size: int = 40) -> bytes:
    """In the middle there are ``size`` bytes of noise."""
    middle = len(data) // 2
    return data[:middle] + random.Random(size).randbytes(size) + data[middle + size :]


@dataclass(frozen=True)
class Kept:
    """Annotated, with these words of VS_STATUS, a word a record. warning: what else is said"""

    data: bytes
    statuses: str
    warning: str = ""
    is_indexed: bool = True


WILD = {
    "VCF 3.3": Kept(HEADER.replace(b"VCFv4.2", b"VCFv3.3") + GOOD, "PASS"),
    "VCF 4.0 with Windows line ends": Kept((HEADER.replace(b"4.2", b"4.0") + GOOD).replace(b"\n", b"\r\n"), "PASS"),
    "VCF 4.5": Kept(HEADER.replace(b"VCFv4.2", b"VCFv4.5") + line(401, "A", "C,<*>", "AC=1,2"), "PASS,SYMBOLIC"),
    "nothing declared": Kept(
        VERSION + SITES + b"1\t401\trs1\tA\tC\t50\tq10;lowDP\tAC=1;FOO;BAR=x,y\nchrUn_7\t5\t.\tA\tC\t.\ts50\tDB\n",
        "PASS MISSING_CONTIG",
        "1 of the variants' contigs are not in g.fa",
    ),
    "a header only": Kept(HEADER, ""),
    "no end of line at the end": Kept((HEADER + GOOD + GOOD)[:-1], "PASS PASS"),
    "odd header lines": Kept(
        META + b'##\n##words\n##INFO=<ID=Q,Description="a \\"b\\" > ,">\n##x=<ID=\n##INFO=<ID=AC,Number=1>\n'
        + SITES + GOOD,
        "PASS",
    ),
    "empty lines": Kept(HEADER + GOOD + b"\n\n" + GOOD + b"\n", "PASS PASS", "empty lines between records are skipped"),
    "two thousand samples": Kept(
        META + SITES[:-1] + b"\tFORMAT" + b"".join(b"\ts%d" % i for i in range(2000)) + b"\n"
        + GOOD[:-1] + b"\tGT" + b"\t0|1" * 2000 + b"\n",
        "PASS",
    ),
    "samples of all kinds": Kept(
        GENOTYPES + GOOD[:-1] + b"\tGT:XX\t0/1:a%3Ab\t./.\n" + GOOD[:-1] + b"\tDP:GT\t3:0|1\t.\n"
        + GOOD[:-1] + b"\t.\t.\t.\n" + GOOD[:-1] + b"\tGT\t0/9\t0\n",
        "PASS PASS PASS PASS",
    ),
    "symbolic alleles": Kept(
        HEADER + line(401, "A", "<DEL>", "SVTYPE=DEL;END=700") + line(402, "C", "*") + line(403, "G", "<INS:ME:ALU>,T")
        + line(404, "N", "<DEL>", "IMPRECISE;END=700") + line(405, "A", "<INV>", "SVLEN=100") +
        line(406, "C", "<DUP>,<DUP:TANDEM>,<DUP>", "SVLEN=10,20,.") + line(407, "A", "<INV>", "END=500"),
        "PASS SPANNING_DELETION SYMBOLIC,PASS SYMBOLIC PASS PASS,PASS,SYMBOLIC REF_MISMATCH",
    ),
    "breakends": Kept(
        HEADER + line(401, "A", "A]17:198982]") + line(402, "C", "]13:123456]T") + line(403, "G", ".A") +
        line(404, "T", "T[<ctg1>:7["),
        "BREAKEND BREAKEND BREAKEND BREAKEND",
    ),
    "a gVCF": Kept(
        HEADER + line(401, "A", "<NON_REF>", "END=420") + line(421, "A", "C,<NON_REF>") + line(422, "C", ".", "."),
        "SYMBOLIC PASS,SYMBOLIC NO_ALT",
    ),
    "no ALT": Kept(HEADER + line(401, "A", ".", "."), "NO_ALT"),
    "IUPAC and lower-case letters": Kept(
        HEADER + line(401, "a", "c") + line(401, "A", "R") + line(401, "M", "C") + line(401, "A", "N,t") +
        line(402, "cGtA", "c"),
        "PASS NON_ACGT NON_ACGT NON_ACGT,PASS PASS",
    ),
    "REF of another genome": Kept(HEADER + line(401, "G", "C") + line(402, "C", "T"), "REF_MISMATCH PASS"),
    "POS 0": Kept(HEADER + line(0, "N", "<DEL>") + line(0, "A", "C"), "SYMBOLIC OFF_CONTIG"),
    "POS past the end": Kept(HEADER + line(1001, "A", "C") + line(4_000_000_000, "A", "C"), "OFF_CONTIG OFF_CONTIG"),
    "POS with zeros in front": Kept(HEADER + line("000401", "A", "C"), "PASS"),
    "unsorted": Kept(HEADER + line(405, "A", "C") + GOOD, "PASS PASS", "the records are not sorted", False),
    "duplicates": Kept(HEADER + GOOD * 3 + line(401, "A", "C,C"), "PASS PASS PASS PASS,PASS"),
    "a very long line": Kept(
        HEADER + line(401, "A", "C", "X=" + "y" * 3_000_000) + line(401, "ACGT" * 99, "A") + line(401, "A", "AC" * 99),
        "PASS PASS PASS",
    ),
    "percent signs and bytes that are not UTF-8": Kept(
        VERSION + b"##x=caf\xe9\n" + SITES[:-1] + b"\tFORMAT\tJos\xe9\n"
        + b"chr1\t401\tr\xff\tA\tC\t.\tq\xe9\tN=caf\xe9%3B%zz%25;\xc3\xa9=1\tGT\t0/1\n"
        + b"\xe9\t9\t.\tA\tC\t.\t.\t.\tGT\t.\n",
        "PASS MISSING_CONTIG",
        "1 of the variants' contigs are not in g.fa",
    ),
    "odd INFO": Kept(
        HEADER + line(401, "A", "C", "AC=1,2,3") + line(401, "A", "C", "AC=x;AC=2;;=5;END") + line(401, "A", "C", " "),
        "PASS PASS PASS",
    ),
    "odd QUAL and FILTER": Kept(
        HEADER + b"chr1\t401\t\tA\tC\t442156.340\t\tAC=1\nchr1\t401\t.\tA\tC\t1e999\t0;PASS;;q\tAC=1\n", "PASS PASS"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Refused:
    """Ends with status 2 and a line that has ``message`` in it. make: gives the file"""

    make: Callable[[], bytes]
    message: str


HOPELESS = {
    "nothing": Refused(lambda: b"", "the file is empty"),
    "a web page": Refused(lambda: b"<!DOCTYPE html>\n<html><body>404", "it looks like a web page"),
    "random bytes": Refused(lambda: bytes(range(256)) * 20, "it looks like binary data"),
    "UTF-16": Refused(lambda: (HEADER + GOOD).decode().encode("utf-16"), "the file is UTF-16"),
    "a byte order mark": Refused(lambda: b"\xef\xbb\xbf" + HEADER + GOOD, "a byte order mark"),
    "no first line": Refused(lambda: HEADER.partition(b"\n")[2] + GOOD, "its first line is not ##fileformat=VCF"),
    "no #CHROM line": Refused(lambda: META + GOOD, "no #CHROM line before the first record, in.vcf line 7"),
    "a header that breaks off": Refused(lambda: META, "the file ends inside its header"),
    "spaces for tabs in the header": Refused(lambda: META + SITES.replace(b"\t", b" ") + GOOD, "separated by tabs"),
    "spaces for tabs": Refused(lambda: HEADER + GOOD.replace(b"\t", b" "), "1 columns instead of 8"),
    "a sample twice": Refused(lambda: GENOTYPES.replace(b"ben", b"anna"), "two samples have the same name: 'anna'"),
    "FORMAT and no sample": Refused(lambda: META + SITES[:-1] + b"\tFORMAT\n", "the #CHROM line must have FORMAT and"),
    "a sample too few": Refused(lambda: GENOTYPES + GOOD[:-1] + b"\tGT\t0/1\n", "10 columns instead of 11"),
    "a sample too many": Refused(lambda: HEADER + GOOD[:-1] + b"\tGT\t0/1\n", "10 columns instead of 8"),
    "a lost line end": Refused(lambda: HEADER + GOOD[:-1] + GOOD, "a line end was lost: two lines in one"),
    "text that breaks off": Refused(lambda: HEADER + GOOD + GOOD[:14], "5 columns instead of 8, separated by tabs"),
    "POS that is no number": Refused(lambda: HEADER + line("4e2", "A", "C"), "POS is not a position: '4e2'"),
    "a negative POS": Refused(lambda: HEADER + line(-1, "A", "C"), "POS is not a position: '-1'"),
    "POS beyond all numbers": Refused(lambda: HEADER + line("9" * 25, "A", "C"), "POS is not a position"),
    "an empty ALT": Refused(lambda: HEADER + line(401, "A", "C,,T"), "an ALT allele is empty"),
    "a comma in CHROM": Refused(lambda: HEADER + line(401, "A", "C", contig="a,b"), "CHROM is not a name: 'a,b'"),
    "a comma in FILTER": Refused(lambda: HEADER + GOOD.replace(b"PASS", b"q10,s50"), "a comma in FILTER"),
    "a comma in an INFO key": Refused(lambda: HEADER + line(401, "A", "C", "N=x;y,z=1"), "INFO entry: 'y,'"),
    "a NUL byte": Refused(lambda: HEADER + GOOD + GOOD.replace(b"PASS", b"P\0SS"), "a NUL byte in the text"),
    "two files joined by cat": Refused(lambda: (HEADER + GOOD) * 2, "a header line among the records"),
    "garbage in the middle": Refused(lambda: garbled(MANY, 600), "in.vcf line "),
    "BGZF without its last block": Refused(lambda: bgzipped(MANY).removesuffix(EOF_BLOCK), "the file is truncated"),
    "BGZF that breaks off": Refused(lambda: bgzipped(MANY)[:-900], "the file is truncated"),
    "BGZF with a hole": Refused(lambda: bgzipped(MANY)[:-900] + EOF_BLOCK, "download or copy the file again"),
    "BGZF with garbage in the middle": Refused(lambda: garbled(bgzipped(MANY)), "the compressed data are damaged"),
    "BGZF with garbage after it": Refused(lambda: bgzipped(MANY) + b"garbage", "the file is truncated"),
    "gzip that breaks off": Refused(lambda: gzip.compress(MANY)[:-9], "it ends inside a gzip member"),
    "BCF that breaks off": Refused(lambda: bcf(MANY)[:-400], "the file is truncated"),
    "BCF without its last block": Refused(lambda: bcf(MANY).removesuffix(EOF_BLOCK), "the file is truncated"),
    "BCF with garbage in the middle": Refused(lambda: garbled(bcf(MANY)), "damaged"),
    "uncompressed BCF with garbage": Refused(lambda: garbled(gzip.decompress(bcf(MANY))), "damaged BCF"),
    "uncompressed BCF that breaks off": Refused(lambda: gzip.decompress(bcf(MANY))[:-5], "damaged BCF"),
}


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with nothing in it, and ``../g.fa``."""
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setattr("typer.main.get_command", cache(get_command))  # it takes longer than the rest
    (tmp_path / "g.fa").write_text(f">chr1\n{SEQUENCE}\n")
    pysam.faidx(str(tmp_path / "g.fa"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def annotate(source: str, output: str) -> int:
    return run(["annotate", source, "-r", "../g.fa", "-o", output, "--threads", "1"])


def records(text: bytes) -> list[bytes]:
    return [row for row in text.splitlines() if row and not row.startswith(b"#")]


def statuses(text: bytes) -> str:
    tags = [dict(tag.partition(b"=")[::2] for tag in row.split(b"\t")[7].split(b";")) for row in records(text)]
    return b" ".join(tag[b"VS_STATUS"] for tag in tags).decode()


@pytest.mark.parametrize("name", WILD)
def test_what_is_well_formed_is_annotated(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    case = WILD[name]
    Path("in.vcf").write_bytes(case.data)
    assert annotate("in.vcf", "out.vcf.gz") == 0
    written = gzip.decompress(Path("out.vcf.gz").read_bytes())
    ends = b"\r\n" if b"\r\n" in case.data else b"\n"
    original = [row for row in case.data.split(ends) if row]
    left = without_our_tags(written).split(ends)
    assert left.pop() == b""
    added = [row for row in left if row not in original]
    assert all(row == b"##contig=<ID=%s,length=1000>" % (b"1" if b"\n1\t" in case.data else b"chr1") for row in added)
    assert [row for row in left if row not in added] == original
    assert statuses(written) == case.statuses
    *warnings, summary = capsys.readouterr().err.splitlines()
    assert summary.startswith(f"varscore: {len(records(case.data)):,} records, ")
    assert [case.warning in warning for warning in warnings] == [True] * bool(case.warning)
    assert Path("out.vcf.gz.tbi").exists() or Path("out.vcf.gz.csi").exists() or not case.is_indexed


@pytest.mark.parametrize("name", HOPELESS)
def test_what_is_hopeless_ends_in_one_line(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """capfd: what native readers say would be seen, too."""
    Path("in.vcf").write_bytes(HOPELESS[name].make())
    capfd.readouterr()
    assert annotate("in.vcf", "out.vcf.gz") == 2
    (message,) = capfd.readouterr().err.splitlines()
    assert message.startswith("varscore: error: ")
    assert HOPELESS[name].message in message and "in.vcf" in message
    assert [path.name for path in Path().iterdir()] == ["in.vcf"]


@pytest.mark.parametrize("name", ["BGZF that breaks off", "BCF that breaks off", "text that breaks off"])
def test_a_stream_that_breaks_off_is_status_2_too(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(HOPELESS[name].make())))
    assert annotate("-", "out.vcf.gz") == 2
    assert "standard input" in capfd.readouterr().err
    assert list(Path().iterdir()) == []


def test_containers_hold_the_same() -> None:
    """BCF keeps what htslib keeps, which here is everything."""
    for data in (MANY, gzip.compress(MANY), bgzipped(MANY), bcf(MANY), gzip.decompress(bcf(MANY))):
        Path("in").write_bytes(data)
        assert annotate("in", "out.vcf") == 0
        assert records(without_our_tags(Path("out.vcf").read_bytes())) == records(MANY)
        Path("out.vcf").unlink()
