"""Intervals as arrays against sets of bases."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varscore.datasets.spans import covered, merge_spans, read_spans, read_union
from varscore.errors import DataError
from varscore.genome.sequence import Genome

SPAN = st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))
SPANS = st.lists(SPAN, max_size=12)


def array(spans: list[tuple[int, int]]) -> np.ndarray:
    return np.array(spans, np.int64).reshape(-1, 2)


def bases(spans: list[tuple[int, int]]) -> set[int]:
    return {base for start, end in spans for base in range(start, end)}


@given(SPANS)
def test_a_union_covers_the_same_bases_with_disjoint_intervals(spans: list[tuple[int, int]]) -> None:
    union = merge_spans(array(spans))
    assert bases(union.tolist()) == bases(spans)
    assert (union[1:, 0] > union[:-1, 1]).all()


@given(SPANS, st.lists(st.tuples(st.integers(-10, 90), st.integers(0, 30)), min_size=1, max_size=8))
def test_covered_counts_bases(spans: list[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    start = np.array([at for at, _ in asked])
    end = start + [length for _, length in asked]
    expected = [len(bases(spans) & set(range(a, b))) for a, b in zip(start.tolist(), end.tolist(), strict=True)]
    assert covered(merge_spans(array(spans)), start, end).tolist() == expected


def test_three_columns_are_read_from_every_flavour(tmp_path: Path) -> None:
    text = "track name=x\n# a comment\nbrowser position\n\nchr1\t5\t9\tpeak\t0\t.\nchr2 0 3\nchr1\t1\t2\r\n"
    plain, zipped = tmp_path / "a.bed", tmp_path / "b.narrowPeak.gz"
    plain.write_text(text)
    zipped.write_bytes(gzip.compress(text.encode()))
    for path in (plain, zipped):
        found = read_spans(path)
        assert {contig: rows.tolist() for contig, rows in found.items()} == {"chr1": [[5, 9], [1, 2]], "chr2": [[0, 3]]}
        assert all(rows.dtype == np.int64 for rows in found.values())


def test_an_empty_file_has_no_intervals(tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text("")
    assert read_spans(tmp_path / "a.bed") == {}


@pytest.mark.parametrize(
    "line", ["chr1\t5", "chr1", "chr1\tx\t9", "chr1\t5\t9.5", "chr1\t9\t5", "chr1\t-1\t5", "<html>"]
)
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.bed"
    path.write_text(f"chr1\t1\t2\n#\n{line}\nchr1\t1\t2\n")
    with pytest.raises(DataError, match=r"not a BED interval, .*a\.bed line 3; .*columns"):
        read_spans(path)


def test_a_truncated_or_missing_file_is_a_data_error(tmp_path: Path) -> None:
    content = gzip.compress(b"chr1\t1\t2\n" * 1000)
    for damage in (content[:-10], content[:20] + b"\xff" * 10 + content[30:]):
        (tmp_path / "a.bed.gz").write_bytes(damage)
        with pytest.raises(DataError, match="truncated|damaged"):
            read_spans(tmp_path / "a.bed.gz")
    with pytest.raises(DataError, match="no such file"):
        read_spans(tmp_path / "none.bed")


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    (tmp_path / "g.fa").write_text(">chr1\nACGT\n>2\nACGT\n")
    return Genome(tmp_path / "g.fa")


def test_contigs_take_the_names_of_the_fasta(tmp_path: Path, genome: Genome) -> None:
    path = tmp_path / "a.bed"
    path.write_text("1\t0\t2\nchr1\t1\t3\nchr2\t0\t1\nchrUn\t0\t1\n")
    found = {contig: rows.tolist() for contig, rows in read_union(path, genome).items()}
    assert found == {"chr1": [[0, 3]], "2": [[0, 1]]}


def test_intervals_of_another_genome_are_warned_of(
    tmp_path: Path, genome: Genome, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.bed"
    path.write_text("chrX\t0\t2\n")
    with caplog.at_level(logging.WARNING, "varscore"):
        assert read_union(path, genome) == {}
    assert "none of the contigs is in the FASTA" in caplog.text
