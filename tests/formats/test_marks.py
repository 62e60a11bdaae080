"""Texts that begin with a byte order mark, as editors on Windows write them: no first line is lost, anywhere."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from varscore.cli.config import read_config
from varscore.cli.snp import read_about
from varscore.datasets import cells, deepsea, expression, peaks, promoters, signal, spans, tfbs, tss
from varscore.errors import VarscoreError
from varscore.exchange.statedict import read_map
from varscore.formats.fasta import looks_like_fasta, read_fasta
from varscore.formats.motifs import read_motifs
from varscore.formats.renames import read_renames
from varscore.formats.sites import read_positions, read_variants
from varscore.genome.sequence import Genome

JASPAR = ">MA1 one\nA [1 0]\nC [0 1]\nG [0 0]\nT [0 0]\n"
MEME = "MEME version 4\nALPHABET= ACGT\nMOTIF one\nletter-probability matrix: w= 1\n1 0 0 0\n"
BED6 = "chr1\t5\t9\tgene\t0\t+\nchr1\t20\t29\tother\t0\t-\n"


def plain(found: Any) -> str:
    """Something comparable, arrays in full."""
    return repr({k: v.tolist() for k, v in found.items()} if isinstance(found, dict) and found else found)


def listed(folder: Path, path: Path) -> Any:
    (folder / "x.bed").touch()
    return peaks.find_tracks(path)


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "spans": (BED6, lambda path: plain(spans.read_spans(path))),
    "positions": (BED6, lambda path: plain(read_positions(str(path)))),
    "positions in a table": ("chrom\tpos\nchr1\t5\n", lambda path: plain(read_positions(str(path)))),
    "variants": ("chrom\tpos\tref\talt\nchr1\t5\tA\tC\n", lambda path: read_variants(str(path)).alleles.contigs),
    "renames": ("23 X\n24 Y\n", lambda path: read_renames(str(path))),
    "sequences": (">one\nACGT\n>two\nAC\n", lambda path: (looks_like_fasta(str(path)), list(read_fasta(str(path))))),
    "jaspar": (JASPAR, lambda path: [(motif.id, motif.frequencies.tolist()) for motif in read_motifs(path)]),
    "meme": (MEME, lambda path: [(motif.id, motif.frequencies.tolist()) for motif in read_motifs(path)]),
    "tracks": ("name\tfile\ncell\tx.bed\n", lambda path: listed(path.parent, path)),
    "cells": ("cell\tfile\nK562\tx.bed\n", lambda path: cells.read_table(path, ("cell", "file"))),
    "names of tasks": ("one\ntwo\n", deepsea._read_names),
    "table of tasks": ("name\tgroup\none\tTF\n", deepsea._read_names),
    "start sites": (BED6, tss.read_peaks),
    "peaks": (BED6, tfbs.read_peaks),
    "deepbind": ("FoldID\tEventID\tseq\tBound\nA\tx\tACGT\t1\n", lambda path: len(tfbs.read_seq(path))),
    "promoters": ("gene\tchrom\tstrand\tstart\tend\nG\tchr1\t+\t5\t9\n", promoters.read_sites),
    "lineages": ("B*\tB cell\n", expression.read_lineages),
    "expression": ("gene\tB\nG\t5\n", lambda path: plain(expression.read_expression(path).genes)),
    "about": ('note = "x"\n', read_about),
    "name map": ("conv.weight\tfeatures.0.weight\n", read_map),
}


@pytest.mark.parametrize("reader", READERS)
def test_no_first_line_is_lost(reader: str, tmp_path: Path) -> None:
    text, read = READERS[reader]
    path = tmp_path / "a.txt"
    path.write_text(text)
    expected = read(path)
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    assert repr(read(path)) == repr(expected)
    path.write_bytes(text.encode("utf-16"))
    with pytest.raises(VarscoreError):
        read(path)


def test_a_signal(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">chr1\nACGTACGTACGT\n")
    (tmp_path / "a.bed").write_bytes(codecs.BOM_UTF8 + b"chr1\t1\t3\t2.5\n")
    with Genome(tmp_path / "g.fa", cache_dir=tmp_path) as genome:
        found = signal.read_peak_signal(tmp_path / "a.bed", genome).along("chr1", 0, 5)
    assert found.tolist() == [0, 2.5, 2.5, 0, 0]


def test_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_bytes(codecs.BOM_UTF8 + b'reference = "g.fa"\n')
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "config.toml"))
    assert read_config() == {"reference": "g.fa"}


def test_a_genome_and_a_vcf_are_refused(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_bytes(codecs.BOM_UTF8 + b">chr1\nACGT\n")
    with pytest.raises(VarscoreError, match="byte order mark"):
        Genome(tmp_path / "g.fa", cache_dir=tmp_path)
    (tmp_path / "a.vcf").write_bytes(codecs.BOM_UTF8 + b"##fileformat=VCFv4.2\n")
    with pytest.raises(VarscoreError, match="byte order mark"):
        read_variants(str(tmp_path / "a.vcf"))
