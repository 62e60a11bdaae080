"""FASTA streams, compared with what pyfaidx reads from the same file and with what was written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyfaidx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varscore.errors import DataError
from varscore.formats.fasta import FastaRecord, looks_like_fasta, read_fasta

names = st.text("abcXYZ019_.|:-", min_size=1, max_size=8)
sequences = st.text("ACGTNacgtnRYK", min_size=1, max_size=200)


def as_fasta(records: list[tuple[str, str]], width: int, newline: str) -> bytes:
    lines = []
    for name, sequence in records:
        lines += [f">{name}", *(sequence[i : i + width] for i in range(0, len(sequence), width))]
    return newline.join([*lines, ""]).encode()


@given(
    records=st.lists(st.tuples(names, sequences), min_size=1, max_size=5),
    width=st.integers(1, 80),
    newline=st.sampled_from(["\n", "\r\n"]),
    zipped=st.booleans(),
)
def test_records_come_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[str, str]], width: int, newline: str, zipped: bool
) -> None:
    path = tmp_path_factory.mktemp("fasta") / "some.fa"
    text = as_fasta(records, width, newline)
    path.write_bytes(gzip.compress(text) if zipped else text)
    assert list(read_fasta(str(path))) == [FastaRecord(name, sequence.encode()) for name, sequence in records]
    assert looks_like_fasta(str(path))


def test_pyfaidx_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "some.fa"
    path.write_text(">chr1 first one\tx\nACGTN\nacg\n>chr2\nGG\n\n")
    theirs = {record.name: str(record).encode() for record in pyfaidx.Fasta(str(path), rebuild=True)}
    assert {record.name: record.sequence for record in read_fasta(str(path))} == theirs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("chr1\t0\t100\n", "not a FASTA"),
        (">a\n>b\nACGT\n", "a record without a sequence.*record a"),
        (">a\nACGT\n>b\n", "a record without a sequence.*record b"),
        (">a\nACGU\n", "'U' is no letter of DNA.*record a"),
        (">protein\nMKLE\n", "is no letter of DNA"),
        (">a\nAC\0T\n", "NUL"),
    ],
)
def test_what_is_not_a_fasta_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "some.fa"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        list(read_fasta(str(path)))


def test_a_bed_does_not_look_like_a_fasta_and_an_empty_file_like_nothing(tmp_path: Path) -> None:
    path = tmp_path / "some"
    path.write_text("chr1\t0\t100\n")
    assert not looks_like_fasta(str(path))
    path.write_text("\n")
    with pytest.raises(DataError, match="empty"):
        looks_like_fasta(str(path))
    with pytest.raises(DataError, match="no such file"):
        looks_like_fasta(str(tmp_path / "nothing"))
