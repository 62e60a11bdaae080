"""Saturation mutagenesis against loops over the bases of a small genome."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from varscore.annotate.saturation import SaturationReader
from varscore.errors import DataError
from varscore.genome.coords import Interval
from varscore.genome.sequence import Genome

CONTIGS = {"chr1": "ACGTNNacgtTTGCA", "chr2": "GGGCATN"}


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    fasta = tmp_path / "small.fa"
    fasta.write_text("".join(f">{name}\n{bases}\n" for name, bases in CONTIGS.items()))
    return Genome(fasta, cache_dir=tmp_path / "cache")


def expected(spans: list[tuple[str, int, int]]) -> list[tuple[str, int, str, str]]:
    """chrom, pos, ref, alt of every substitution, base after base."""
    return [
        (contig, at + 1, CONTIGS[contig][at].upper(), alt)
        for contig, start, end in spans
        for at in range(start, end)
        for alt in "ACGT"
        if CONTIGS[contig][at].upper() in "ACGT" and alt != CONTIGS[contig][at].upper()
    ]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_every_substitution_comes_once_in_genome_order(genome: Genome, size: int) -> None:
    intervals = [Interval("chr2", 0, 7), Interval("1", 2, 8), Interval("chr1", 5, 15)]
    reader = SaturationReader(intervals, genome, "some.bed")
    rows, lines = [], []
    for chunk in reader.chunks(size):
        alleles = chunk.alleles
        assert chunk.first == len(lines)
        lines += chunk.lines
        for row in range(len(alleles)):
            ref, alt = alleles.ref[row].decode(), alleles.alt[row].decode()
            rows.append((alleles.contigs[alleles.contig[row]], int(alleles.start[row]) + 1, ref, alt))
        assert (np.bincount(alleles.record) == 3).all()
    truth = expected([("chr1", 2, 15), ("chr2", 0, 7)])
    assert rows == truth
    assert [line.decode().split("\t")[:5] for line in lines] == [
        [chrom, str(pos), ".", ref, ",".join(alt for *_, alt in truth[i : i + 3])]
        for i, (chrom, pos, ref, _) in list(enumerate(truth))[::3]
    ]
    assert (reader.bases, reader.skipped) == (20, 3)


@pytest.mark.parametrize("interval", [Interval("chr3", 0, 1), Interval("chr2", 0, 8)])
def test_an_interval_outside_the_genome_is_an_error(genome: Genome, interval: Interval) -> None:
    with pytest.raises(DataError, match=r"not in the FASTA, some\.bed"):
        SaturationReader([interval], genome, "some.bed")
