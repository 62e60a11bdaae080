"""A model, a genome, and a VCF of a few blocks of records."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pysam
import pytest
from cli.conftest import tiny_model

from varscore.formats import shards
from varscore.zoo.models import ModelFolder

__all__ = ["tiny_model", "workspace"]

dice = random.Random(12)
SEQUENCE = "".join(dice.choices("ACGT", k=2000))
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=2000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
RECORDS = 109


def made_records() -> Iterator[str]:
    for number, pos in enumerate(sorted(dice.choices(range(1, 1990), k=RECORDS))):
        alts = ",".join(dice.sample(["AG", "CC", "GAT", "<DEL>", "*"], dice.choice([1, 1, 2])))
        yield f"chr1\t{pos}\tv{number}\t{SEQUENCE[pos - 1]}\t{alts}\t17.251234\t.\t.\n"


@pytest.fixture
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``g.fa`` and ``in.vcf``, and blocks of 16 records in this process."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setattr(shards, "BLOCK", 16)
    (folder / "g.fa").write_text(f">chr1\n{SEQUENCE}\n")
    pysam.faidx("g.fa")
    (folder / "in.vcf").write_text(HEADER + "".join(made_records()))
    return folder
