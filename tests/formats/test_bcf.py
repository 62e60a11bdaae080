"""VCF and BCF into one another, by htslib in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from varscore.formats.bcf import read_bcf, write_bcf

HEADER = b"##fileformat=VCFv4.3\n##contig=<ID=1,length=100>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
RECORDS = [b"1\t5\t.\tA\tC\t.\t.\t.\n", b"1\t9\t.\tG\tT\t.\t.\t.\n"]


def bcf() -> bytes:
    pieces: list[bytes] = []

    def body() -> Iterator[bytes]:
        yield from RECORDS

    write_bcf(HEADER, body, "b", pieces.append)
    return b"".join(pieces)


def test_there_and_back_nothing_is_left_in_the_folder_of_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pysam leaves one for every conversion; on a cluster's nodes they would never go away."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    text = b"".join(read_bcf([bcf()], "x.bcf"))
    assert [line + b"\n" for line in text.splitlines() if not line.startswith(b"#")] == RECORDS
    reading = read_bcf([bcf()], "x.bcf")
    assert next(reading).startswith(b"##fileformat=VCF")
    reading.close()  # long before its end
    assert list(tmp_path.iterdir()) == []
