"""Alleles that are named, and long ones: the windows of annotate, with every base in its place."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_models import WINDOW, bases, genome, model

from varscore.cli.boundary import run
from varscore.engine.plain import PlainEngine
from varscore.genome.alleles import AlleleBatch, ByteColumn
from varscore.genome.coords import Variant, anchor
from varscore.genome.sequence import UNKNOWN, Genome, complement, encode
from varscore.interpret.named import NamedAllele, effects_apart, end_that_counts, named_pair, places_of
from varscore.interpret.subjects import AllelePair, pair

KINDS = [
    ("<DEL>", 300, 0), ("<DUP>", 100, 0), ("<DUP:TANDEM>", 100, 1), ("<INV>", 400, 0), ("<INV>", 400, 1),
    ("<INV>", 30, 0), ("<INV>", 30, 1), ("<DUP>", 7, 0),
]  # fmt: skip
ZERO, NOTHING = np.zeros(1, np.int64), np.zeros(1, np.float32)
START = 600
"""Of the base before the alleles, counted from 0"""


def named(alt: str, affected: int, end: int = 0) -> NamedAllele:
    letters = ByteColumn.of([b"A"]), ByteColumn.of([alt.encode()])
    batch = AlleleBatch(ZERO, ZERO.astype(np.int32), ("1",), ZERO + START, *letters, ZERO + affected)
    return NamedAllele(batch, end)


def made_pair(allele: NamedAllele, fasta: Path) -> AllelePair:
    variant = Variant("1", START, "A", allele.batch.alt[0].decode())
    with Genome(fasta) as opened:
        return named_pair(allele, variant, "chr1", opened, WINDOW, ZERO, NOTHING, NOTHING, span=20)


@pytest.mark.parametrize(("alt", "affected", "end"), KINDS)
def test_every_base_lies_where_it_is_said_to(alt: str, affected: int, end: int, tmp_path: Path) -> None:
    """The windows are cut by the room of the genome; what runs backwards there is of the other strand."""
    fasta, sequence = genome(tmp_path)
    codes = encode(sequence.encode())
    one = made_pair(named(alt, affected, end), fasta)
    both = places_of(one.variant, affected, end, WINDOW)
    for subject, places in zip((one.ref, one.alt), both, strict=True):
        turned = (places != both[0]) & (alt == "<INV>") & (subject.allele == "alt")
        assert (subject.codes == np.where(turned, complement(codes[places]), codes[places])).all()
        assert [int(label) for label in subject.labels] == (places + 1).tolist()
    assert (both[0] != both[1]).any()


@pytest.mark.parametrize(("alt", "affected", "end"), KINDS)
def test_windows_around_mutated_bases_have_them_in_the_middle(
    alt: str, affected: int, end: int, tmp_path: Path
) -> None:
    fasta, _ = genome(tmp_path)
    one = made_pair(named(alt, affected, end), fasta)
    for subject in (one.ref, one.alt):
        assert subject.context is not None and len(subject.context) == len(subject.mutated) + WINDOW - 1
        at = np.arange(WINDOW) - subject.mutated.lo + anchor(WINDOW)
        inside = (at >= 0) & (at < len(subject.context))
        assert inside.sum() > WINDOW // 2 and (subject.context[at[inside]] == subject.codes[inside]).all()
    shade, differ = one.columns.inside, one.ref.codes != one.alt.codes
    if one.columns.paired:
        assert not differ[: shade.lo].any() and not differ[shade.hi :].any()
    else:  # the shade is one base, at which the windows part
        assert len(shade) == 1 and (differ[: shade.lo].any() != differ[shade.hi :].any())
    assert one.ref.mutated.lo <= shade.lo < shade.hi <= one.ref.mutated.hi


def test_a_long_deletion_is_the_same_spelled_out(tmp_path: Path) -> None:
    fasta, sequence = genome(tmp_path)
    one = made_pair(named("<DEL>", 300), fasta)
    spelled = Variant("1", START, sequence[START : START + 301], sequence[START])
    with Genome(fasta) as opened:
        other = pair(spelled, "chr1", opened, WINDOW, ZERO, NOTHING, NOTHING, span=20)
    assert (one.ref.codes == other.ref.codes).all() and (one.alt.codes == other.alt.codes).all()
    assert one.ref.labels == other.ref.labels and one.alt.labels == other.alt.labels
    assert not other.columns.paired and len(other.ref.mutated) == 41, "not all 300 bases are mutated"


def test_the_end_with_the_larger_difference_counts(tmp_path: Path) -> None:
    fasta, _ = genome(tmp_path)
    engine = PlainEngine(model(tmp_path / "m").load(), torch.device("cpu"))
    with Genome(fasta) as opened:
        windows = named("<INV>", 400).windows(opened, "chr1", WINDOW)
    (found,) = effects_apart(engine, (windows,))
    change = np.abs(found.diff).max(1)
    larger = int(change.argmax())
    assert len(windows) == 2 and change[0] != change[1]
    assert end_that_counts(windows, found, ()) == larger
    ref = windows.ref.copy()
    ref[larger] = UNKNOWN
    assert end_that_counts(replace(windows, ref=ref), found, ()) == 1 - larger


def rows(path: Path) -> list[dict[str, str]]:
    text = [line for line in path.read_text().splitlines() if not line.startswith("##")]
    return list(csv.DictReader(text, delimiter="\t"))


def test_the_command(tmp_path: Path) -> None:
    """A row and a picture of each, with the effect that annotate reports; a short deletion is spelled out."""
    fasta, s = genome(tmp_path)
    made = model(tmp_path / "m").path
    alleles = [
        (500, "<DEL>", "END=503"),
        (520, "<DEL>", "END=900"),
        (540, "<DUP>", "END=640"),
        (560, "<INV>", "END=990"),
        (580, s[579] + bases(90, 3), "."),
        (600, "<CNV>", "END=700"),
    ]
    info = '##INFO=<ID=END,Number=1,Type=Integer,Description="x">'
    lines = ["##fileformat=VCFv4.2", info, "##contig=<ID=chr1>", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"chr1\t{pos}\t.\t{s[pos - 1]}\t{alt}\t.\t.\t{end}" for pos, alt, end in alleles]
    (tmp_path / "v.vcf").write_text("\n".join(lines) + "\n")
    common = ["-r", str(fasta), "--device", "cpu", "--threads", "1"]
    out, scored = tmp_path / "x", tmp_path / "a.vcf"
    assert run(["explain", str(made), str(tmp_path / "v.vcf"), "-o", str(out), "--flank", "5", *common]) == 0
    found = rows(out / "alleles.tsv")
    assert [row["status"] for row in found] == ["PASS"] * 5 + ["SYMBOLIC"]
    assert run(["annotate", str(tmp_path / "v.vcf"), "-m", str(made), "-o", str(scored), *common]) == 0
    records = [line for line in scored.read_text().splitlines() if not line.startswith("#")]
    effects = [line.partition(";VS_DIFF=")[2].partition(";")[0] for line in records]
    for mine, its in zip(found[:5], effects[:5], strict=True):
        assert float(mine["diff"]) == pytest.approx(float(its), rel=1e-3)
        assert ("ALT - REF" in (out / mine["picture"]).read_text()) == (mine["pos"] == "500")
    assert f">chr1:500 {s[499:503]}&gt;{s[499]} " in (out / found[0]["picture"]).read_text()
    assert "&lt;DEL&gt; of 380 bp" in (out / found[1]["picture"]).read_text()


def test_hgvs_is_spelled_out_by_the_genome(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fasta, s = genome(tmp_path)
    common = ["-r", str(fasta), "--device", "cpu", "--threads", "1", "--span", "0", "--picture", "none"]
    words = ["explain", str(model(tmp_path / "m").path)]
    assert run([*words, "chr1:g.501_503del", "-o", str(tmp_path / "x"), *common]) == 0
    (row,) = rows(tmp_path / "x" / "alleles.tsv")
    assert (row["pos"], row["ref"], row["alt"]) == ("500", s[499:503], s[499])
    capsys.readouterr()
    assert run([*words, "chr9:g.501_503del", "-o", str(tmp_path / "y"), *common]) == 2
    assert "genome.fa has no chr9" in capsys.readouterr().err
