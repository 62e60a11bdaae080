"""Regions: how they are written, and which records lie in them."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varscore.errors import DataError, UsageError
from varscore.formats.regions import RegionSet, parse_regions, read_bed
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.coords import Interval


def batch(places: list[tuple[str, int, bytes, int]]) -> AlleleBatch:
    """Alleles of records (contig, start, ref, number of ALTs)."""
    contigs = tuple(dict.fromkeys(contig for contig, *_ in places))
    rows = [(i, contigs.index(c), start, ref) for i, (c, start, ref, n) in enumerate(places) for _ in range(n)]
    return AlleleBatch(
        record=np.array([row[0] for row in rows], np.int64),
        contig=np.array([row[1] for row in rows], np.int32),
        contigs=contigs,
        start=np.array([row[2] for row in rows], np.int64),
        ref=ByteColumn.of([row[3] for row in rows]),
        alt=ByteColumn.of([b"A"] * len(rows)),
    )


def test_regions_are_one_based_and_inclusive() -> None:
    regions = parse_regions(["chr1:1-100", "chr1:1,001-2,000", "2:5", "X"])
    assert regions[:3] == [Interval("chr1", 0, 100), Interval("chr1", 1000, 2000), Interval("2", 4, 5)]
    assert regions[3].contig == "X" and regions[3].start == 0 and regions[3].end > 1 << 40


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("chr1:9-5", "the end lies before the start"),
        ("chr1:0-5", "positions count from 1"),
        ("chr1:-5-10", "'' is no position"),
        ("chr1:1-99999999999999999999", "'99999999999999999999' is no position"),
        ("chr1:" + "9" * 5000, "'999999999999999999999999999...' is no position"),
        ("chr1:1_000-2_000", "'1_000' is no position"),
        ("chr1:\u0661-5", "is no position"),
        ("", "it names no contig"),
    ],
)
def test_why_it_is_no_region(text: str, cause: str) -> None:
    with pytest.raises(UsageError, match=cause) as caught:
        parse_regions([text])
    assert len(str(caught.value)) < 5200 and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "chr1:", "chr1:x", "chr1:0-5", "chr1:9-5", ":1-5", "chr1:1-2-3"])
def test_what_is_no_region_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="CHR:FROM-TO"):
        parse_regions(["chr1:1-100", text])


BED = b"""# a comment
track name="x"
browser position chr1
chr1\t0\t100\tname one\t3

2 5 7
chr1\t90\t90
"""


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    for data in (b"\xef\xbb\xbfchr1\t0\t100\nchr2\t5\t7\n", gzip.compress(b"\xef\xbb\xbfchr1\t0\t100\nchr2\t5\t7")):
        path.write_bytes(data)
        assert read_bed(str(path)) == [Interval("chr1", 0, 100), Interval("chr2", 5, 7)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: data.replace(b"\n", b"\r\n")])
def test_bed_files(tmp_path: Path, pack: type[bytes]) -> None:
    path = tmp_path / "a.bed"
    path.write_bytes(pack(BED))
    assert read_bed(str(path)) == [Interval("chr1", 0, 100), Interval("2", 5, 7), Interval("chr1", 90, 90)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no interval"),
        (b"#nothing\n", "no interval"),
        (BED + b"chr1\t5\n", "a.bed line 8"),
        (BED + b"chr1\t5\t4\n", "a.bed line 8"),
        (BED + b"chr1\t-1\t4\n", "a.bed line 8"),
        (BED + b"chr1\tx\t4\n", "a.bed line 8"),
        (BED + b"chr1\t5\t99999999999999999999\n", "a.bed line 8; '99999999999999999999' is no position"),
        (BED + b"chr1\t1_0\t20\n", "a.bed line 8; '1_0' is no position"),
        (BED + b"\t5\t9\n", "a.bed line 8; it names no contig"),
        (
            b"chr1\t5\t6\ta\nchr1\t8\t9\tbchr1\t10\t11\tc\n",
            "7 columns where the first line has 4, .*line 2; a line end",
        ),
        (b"chr1\t5\t6\tachr1\t8\t9\tb\nchr1\t10\t11\tc\n", "a.bed line 1; a line end was lost"),
        (b"chr1 5 6 a\nchr1 8 9 bchr2 10 11 c\n", "7 columns where the first line has 4, .*line 2; a line end"),
        (b"chr1\t5\t6\nchr1\t8\t9\tb\n", "4 columns where the first line has 3, .*line 2"),
        (b"chr1\t5\t6\0\n", "NUL"),
        (b"\xff\xfec\0h\0", "the file is UTF-16, .*a.bed"),
        (b"\xf1\t5\t6\n", "a.bed line 1"),
        (gzip.compress(BED, mtime=0)[:-5], "truncated"),
    ],
)
def test_bad_bed_files(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.bed"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_bed(str(path))
    with pytest.raises(DataError, match="no such file"):
        read_bed(str(tmp_path / "b.bed"))


def test_edges_by_hand() -> None:
    regions = RegionSet(parse_regions(["chr1:11-20", "chr2"]))
    records = [
        ("chr1", 9, b"A", 1),  # POS 10: just before
        ("chr1", 9, b"AC", 3),  # its deletion reaches in
        ("chr1", 10, b"A", 1),
        ("chr1", 19, b"A", 2),
        ("chr1", 20, b"A", 1),  # POS 21: just behind
        ("1", 15, b"A", 1),
        ("2", 10**9, b"A", 1),
        ("chr3", 15, b"A", 1),
    ]
    assert regions.overlaps(batch(records)).tolist() == [False, True, True, True, False, True, True, False]


def test_a_structural_allele_reaches_as_far_as_it_affects() -> None:
    regions = RegionSet(parse_regions(["chr1:11-20"]))
    records = batch([("chr1", 4, b"A", 2), ("chr1", 4, b"A", 2), ("chr1", 20, b"A", 1)])
    affected = np.array([0, 4, 5, 0, 99])  # POS 5 <DEL> up to 9; <DEL>,A up to 10; POS 21 <DEL>
    assert regions.overlaps(replace(records, affected=affected)).tolist() == [False, False, False]
    assert regions.overlaps(replace(records, affected=affected + 1)).tolist() == [False, True, False]


def test_contigs_are_one_where_the_key_says_so() -> None:
    regions = RegionSet(parse_regions(["chr1:11-20", "NC_2"]))
    records = batch([("one", 15, b"A", 1), ("chr1", 15, b"A", 1), ("chr2", 3, b"A", 1), ("chr9", 3, b"A", 1)])
    assert regions.contigs == ("chr1", "NC_2")
    assert regions.overlaps(records).tolist() == [False, True, False, False]
    key = {"one": "1", "chr1": "1", "NC_2": "2", "chr2": "2"}
    placed = regions.placed(lambda name: key.get(name, name))
    assert placed.overlaps(records).tolist() == [True, True, True, False]


CONTIGS = st.sampled_from(["chr1", "1", "chr2", "X"])
SPANS = st.tuples(CONTIGS, st.integers(0, 30), st.integers(0, 8))
RECORDS = st.tuples(CONTIGS, st.integers(-1, 40), st.integers(1, 5), st.integers(1, 3))


@given(st.lists(SPANS, max_size=6), st.lists(RECORDS, max_size=8))
def test_overlap_is_a_shared_base(spans: list[tuple[str, int, int]], places: list[tuple[str, int, int, int]]) -> None:
    def bases(contig: str, start: int, length: int) -> set[tuple[str, int]]:
        return {(contig.replace("chr", ""), position) for position in range(start, start + length)}

    covered = set().union(*(bases(*span) for span in spans))
    expected = [bool(bases(contig, start, length) & covered) for contig, start, length, _ in places]
    regions = RegionSet([Interval(contig, start, start + length) for contig, start, length in spans])
    alleles = batch([(contig, start, b"A" * length, n) for contig, start, length, n in places])
    assert regions.overlaps(alleles).tolist() == expected


@pytest.mark.realdata
def test_a_real_bed(shared_data: Path) -> None:
    path = shared_data / "genome" / "blacklist.bed.gz"
    with gzip.open(path, "rt") as file:
        expected = [line.split("\t")[:3] for line in file]
    assert [(i.contig, str(i.start), str(i.end)) for i in read_bed(str(path))] == [
        (contig, start, end.strip()) for contig, start, end in expected
    ]
