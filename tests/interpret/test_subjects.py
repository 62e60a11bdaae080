"""Windows of alleles against letters put together by hand, and the frame that REF and ALT share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import genome

from varscore.engine.exact.reach import Span
from varscore.errors import UsageError
from varscore.genome.coords import Interval, Variant, anchor
from varscore.genome.sequence import Genome, decode
from varscore.interpret.subjects import align, file_name, intervals, pair, parse_variant

TASK = np.zeros(1, np.int64)
NONE = np.zeros(1, np.float32)


@pytest.mark.parametrize(
    "text",
    ["chr20:1000010 A>G", "chr20:1000010A>G", "chr20:1,000,010 a>g", "chr20:1000010:A>G", "chr20:1000010:A:G",
     "chr20-1000010-A-G", "chr20:1000010 A G", " chr20 1000010 A/G "],
)  # fmt: skip
def test_one_variant_as_text(text: str) -> None:
    assert parse_variant(text) == Variant.from_vcf("chr20", 1_000_010, "A", "G")


@pytest.mark.parametrize("text", ["variants.vcf.gz", "peaks.bed", "chr20:1-20", "rs12345", "chr20:5", "a/b.fa", "-"])
def test_what_is_no_variant(text: str) -> None:
    assert parse_variant(text) is None


def test_names_with_colons_and_bad_positions() -> None:
    assert parse_variant("HLA-A*01:01:5 A>G") == Variant.from_vcf("HLA-A*01:01", 5, "A", "G")
    with pytest.raises(UsageError, match="count from 1"):
        parse_variant("chr1:0 A>G")


def test_file_names() -> None:
    assert file_name(Variant("chr1", 9, "A", "AT")) == "chr1_10_A_AT"
    assert file_name(Variant("chr1", 9, "A", "G" * 21)).startswith("chr1_10_A_21bp")
    assert "/" not in file_name(Variant("a/b", 9, "A", "G"))


def test_columns_of_an_insertion_a_deletion_and_both() -> None:
    """Window of 9, anchor at 4."""
    inserted = align(1, 3, 9)
    assert inserted.ref.tolist() == [0, 1, 2, 3, 4, -1, -1, 5, 6]
    assert inserted.alt.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert list(inserted.offsets) == ["-4", "-3", "-2", "-1", "0", "0.1", "0.2", "1", "2"]
    deleted = align(3, 1, 9)
    assert deleted.ref.tolist() == list(range(9)) and deleted.alt.tolist() == [0, 1, 2, 3, 4, -1, -1, 5, 6]
    assert list(deleted.offsets) == [str(at) for at in range(-4, 5)]
    assert align(2, 2, 9).alt.tolist() == list(range(9))
    shown = inserted.around(1)
    assert shown.alt.tolist() == [3, 4, 5, 6, 7] and shown.inside == Span(1, 4)
    assert list(shown.offsets) == ["-1", "0", "0.1", "0.2", "1"]


@settings(max_examples=30)
@given(st.integers(300, 1700), st.integers(1, 30), st.text("ACGT", min_size=1, max_size=30), st.integers(0, 100))
def test_windows_labels_and_contexts(pos: int, size: int, alt: str, span: int) -> None:
    """ALT's windows are those of a genome in which the allele stands."""
    length, middle = 60, anchor(60)
    with Genome(FASTA) as open_genome:
        variant = Variant("chr1", pos, SEQUENCE[pos : pos + size], alt)
        found = pair(variant, "chr1", open_genome, length, TASK, NONE, NONE, span=span)
        still = pair(variant, "chr1", open_genome, length, TASK, NONE, NONE, centred=False, span=span)
    changed = SEQUENCE[:pos] + alt + SEQUENCE[pos + size :]
    assert still.ref.context is None and (still.alt.codes == found.alt.codes).all()
    for subject, whole, own in ((found.ref, SEQUENCE, size), (found.alt, changed, len(alt))):
        first = pos - middle
        assert subject.letters == whole[first : first + length]
        mutated = subject.mutated
        assert mutated == Span(max(middle - span, 0), min(middle + own + span, length))
        assert subject.context is not None
        context = decode(subject.context).decode()
        for at in range(mutated.lo, mutated.hi):
            window = context[at - mutated.lo : at - mutated.lo + length]
            assert window == whole[first + at - middle : first + at - middle + length]
        for at, label in enumerate(subject.labels):
            if "." not in label:
                assert SEQUENCE[int(label) - 1] == subject.letters[at] or 0 <= at - middle < own
    for ref, alt_at in zip(found.columns.ref.tolist(), found.columns.alt.tolist(), strict=True):
        if ref >= 0 and alt_at >= 0 and not 0 <= ref - middle < size:
            assert found.ref.letters[ref] == found.alt.letters[alt_at]
            assert found.ref.labels[ref] == found.alt.labels[alt_at]


def test_labels_of_inserted_bases(tmp_path: Path) -> None:
    with Genome(FASTA) as open_genome:
        variant = Variant("chr1", 499, SEQUENCE[499], SEQUENCE[499] + "ACG")
        found = pair(variant, "chr1", open_genome, 21, TASK, NONE, NONE)
    assert list(found.alt.labels[9:16]) == ["499", "500", "500.1", "500.2", "500.3", "501", "502"]


def test_intervals_as_predict_cuts_them() -> None:
    with Genome(FASTA) as open_genome:
        (found,) = intervals([Interval("1", 400, 600)], open_genome, 60, TASK, span=3)
    assert found.letters == SEQUENCE[470:530] and found.labels[0] == "471" and found.contig == "1"
    assert found.mutated == Span(27, 34) and found.context is not None
    first = 470 + 27 - anchor(60)
    assert decode(found.context).decode() == SEQUENCE[first : first + 7 + 59]


@pytest.fixture(scope="module", autouse=True)
def _made(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FASTA, SEQUENCE
    FASTA, SEQUENCE = genome(tmp_path_factory.mktemp("genome"))


FASTA, SEQUENCE = Path(), ""
