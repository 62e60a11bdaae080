"""The only place that converts between 1-based and 0-based coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varscore.genome.coords import Interval, Variant, anchor, one_based, zero_based


@pytest.mark.parametrize(("length", "index"), [(1000, 499), (101, 50), (200, 99), (7, 3), (2, 0), (1, 0)])
def test_the_first_ref_base_of_a_window_sits_where_deepsea_puts_an_snv(length: int, index: int) -> None:
    assert anchor(length) == index


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("chr1:1-1", Interval("chr1", 0, 1)),
        ("chr1:1,001-2,000", Interval("chr1", 1000, 2000)),
        ("20:5", Interval("20", 4, 5)),
        ("20:5-", Interval("20", 4, 2**62)),
        ("chrX", Interval("chrX", 0, 2**62)),
        ("HLA-A*01:01:3-9", Interval("HLA-A*01:01", 2, 9)),
    ],
)
def test_a_region_is_one_based_and_inclusive(text: str, interval: Interval) -> None:
    assert Interval.parse(text) == interval


@pytest.mark.parametrize("text", ["chr1:0-5", "chr1:9-5", ":1-5", "chr1:a-b", "chr1:-5", "chr1:"])
def test_a_region_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Interval.parse(text)


@given(st.sampled_from(["chr1", "MT", "HLA*01:02"]), st.integers(0, 2**40), st.integers(1, 2**20))
def test_a_region_survives_being_written_and_read(contig: str, start: int, size: int) -> None:
    interval = Interval(contig, start, start + size)
    assert Interval.parse(str(interval)) == interval
    assert len(interval) == size


@given(st.integers(-(2**40), 2**40))
def test_positions_convert_both_ways(pos: int) -> None:
    assert zero_based(pos) == pos - 1
    assert one_based(zero_based(pos)) == pos
    assert one_based(np.array([pos - 1]))[0] == pos


def test_a_variant_prints_its_vcf_position() -> None:
    variant = Variant.from_vcf("chr1", 1006, "A", "G")
    assert variant == Variant("chr1", 1005, ref="A", alt="G")
    assert variant.pos == 1006
    assert str(variant) == "chr1:1006:A>G"
