"""Files and streams of another assembly, found out before anything is scored."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from varscore.errors import InputError, VariantFileError
from varscore.formats.vcf import VariantReader
from varscore.genome.sequence import Genome
from varscore.scoring import survey
from varscore.scoring.survey import GenomeRules, compared, open_names

SEQUENCE = "".join(random.Random(6).choices("ACGT", k=3000))
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture
def genome(tmp_path: Path) -> Iterator[Genome]:
    (tmp_path / "g.fa").write_text(f">chr1\n{SEQUENCE}\n>chr2\n{SEQUENCE}\n")
    with Genome(tmp_path / "g.fa", cache_dir=tmp_path) as genome:
        yield genome


def record(pos: int, kind: str = "right", contig: str = "chr1") -> str:
    """kind: ``right``, ``wrong`` (neither allele is the FASTA's), ``swapped``, ``symbolic``"""
    there = SEQUENCE[pos - 1]
    second, third = OTHER[there], OTHER[OTHER[there]]
    ref, alt = {
        "right": (there, second),
        "wrong": (second, third),
        "swapped": (second, there),
        "symbolic": (there, "<DEL>"),
    }[kind]
    return f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n"


def write(path: Path, *records: str, header: str = "") -> str:
    path.write_text("##fileformat=VCFv4.2\n" + header + COLUMNS + "".join(records))
    return str(path)


def check(path: str, genome: Genome, regions: tuple[str, ...] = (), **rules: object) -> None:
    with VariantReader(path) as reader:
        open_names(path, reader, genome, GenomeRules(**rules), regions)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kinds", "refused"),
    [
        (["wrong"] * 7 + ["right"] * 13, True),
        (["wrong"] * 6 + ["right"] * 14, False),  # 30 % are not more than 30 %
        (["wrong"] * 19, False),  # too few to tell
        (["wrong"] * 20, True),
        (["wrong"] * 19 + ["symbolic"] * 30, False),  # of which nothing can be told
        (["swapped"] * 40, False),
        (["swapped"] * 14 + ["wrong"] * 6, False),
        (["swapped"] * 13 + ["wrong"] * 7, True),
        (["right"] * 70 + ["wrong"] * 30, False),
        (["right"] * 69 + ["wrong"] * 31, True),
    ],
)
def test_a_third_of_wrong_references_is_refused(
    kinds: list[str], refused: bool, tmp_path: Path, genome: Genome
) -> None:
    path = write(tmp_path / "a.vcf", *(record(10 + 3 * i, kind) for i, kind in enumerate(kinds)))
    if not refused:
        check(path, genome)
        return
    with pytest.raises(
        VariantFileError, match=rf"{kinds.count('wrong')} of {len(kinds)} REF alleles disagree with g.fa"
    ):
        check(path, genome)
    check(path, genome, max_mismatch=1.0)


def test_only_the_first_alleles_are_judged(tmp_path: Path, genome: Genome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "MOST_COMPARED", 40)
    right, wrong = [record(pos) for pos in range(1, 41)], [record(pos, "wrong") for pos in range(41, 500)]
    check(write(tmp_path / "a.vcf", *right, *wrong), genome)
    with pytest.raises(VariantFileError, match="13 of 40 REF alleles"):
        check(write(tmp_path / "b.vcf", *right[:27], *wrong), genome)


def test_of_a_stream_the_first_chunk_is_judged(tmp_path: Path, genome: Genome) -> None:
    path = write(tmp_path / "a.vcf", *(record(pos, "wrong" if pos < 30 else "right") for pos in range(1, 300)))
    for size, bad in ((60, True), (200, False)):
        with VariantReader(path) as reader:
            names = open_names("-", reader, genome, GenomeRules())
            chunks = compared(reader.chunks(size), "-", names, genome, GenomeRules())
            if bad:
                with pytest.raises(VariantFileError, match="29 of 60 REF alleles"):
                    next(chunks)
            else:
                assert sum(map(len, chunks)) == 299


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("##contig=<ID=chr1,length=2999>\n", "chr1 is declared with 2,999 bases and has 3,000"),
        ("##contig=<ID=chr2,length=2999>\n", None),  # no record
        ("##contig=<ID=1,length=2999>\n", None),  # the records' is called otherwise
        ("##contig=<ID=chr1,length=3000,assembly=GRCh38>\n##reference=GRCh37\n", None),  # the FASTA is neither
    ],
)
def test_declared_lengths(header: str, message: str | None, tmp_path: Path, genome: Genome) -> None:
    path = write(tmp_path / "a.vcf", record(5), header=header)
    if message is None:
        check(path, genome)
        return
    with pytest.raises(VariantFileError, match=message):
        check(path, genome)
    check(path, genome, check_assembly="warn")
    check(path, genome, check_assembly="off")


def test_a_contig_of_another_length_is_found_behind_all_that_is_compared(
    tmp_path: Path, genome: Genome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "MOST_COMPARED", 5)
    monkeypatch.setattr("varscore.formats.vcf.CHUNK_BYTES", 100)  # so that chunks are small
    records = [record(pos) for pos in range(1, 100)]
    header = "##contig=<ID=chr1,length=3000>\n##contig=<ID=chr2,length=2999>\n"
    check(write(tmp_path / "a.vcf", *records, header=header), genome)
    with pytest.raises(VariantFileError, match="chr2 is declared with 2,999 bases"):
        check(write(tmp_path / "b.vcf", *records, record(5, contig="chr2"), header=header), genome)


GRCH37 = {"chr20": 63_025_520, "chr22": 51_304_566}


def named_like(header: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genome: Genome, **rules: object) -> None:
    monkeypatch.setattr(genome, "contigs", GRCH37)
    check(write(tmp_path / "a.vcf", header=header), genome, **rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line", ["##reference=GRCh38", "##reference=file:///x/hg38.fa", "##contig=<ID=1,assembly=hg38>"]
)
def test_another_assembly_by_name(
    line: str, tmp_path: Path, genome: Genome, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(VariantFileError, match="on GRCh38, the FASTA is GRCh37, .*a.vcf; the header says"):
        named_like(line + "\n", tmp_path, monkeypatch, genome)
    named_like(line + "\n", tmp_path, monkeypatch, genome, check_assembly="off")
    assert not caplog.messages
    named_like(line + "\n", tmp_path, monkeypatch, genome, check_assembly="warn")
    assert "the variants are on GRCh38" in caplog.text
    named_like(line.replace("38", "37") + "\n", tmp_path, monkeypatch, genome)
    named_like("##reference=mine.fa\n", tmp_path, monkeypatch, genome)


def test_regions_may_be_on_contigs_of_records_that_nobody_declares(
    tmp_path: Path, genome: Genome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "MOST_COMPARED", 1)
    monkeypatch.setattr("varscore.formats.vcf.CHUNK_BYTES", 100)
    path = write(tmp_path / "a.vcf", *(record(pos) for pos in range(1, 50)), "GL1\t5\t.\tA\tC\t.\t.\t.\n")
    check(path, genome, ("1", "chr2", "GL1"))
    with pytest.raises(InputError, match="neither the variants nor g.fa has, chrX"):
        check(path, genome, ("1", "chrX"))


def test_renamed_contigs_are_compared_as_what_they_are(tmp_path: Path, genome: Genome) -> None:
    path = write(tmp_path / "a.vcf", *(record(pos, contig="23") for pos in range(1, 60)))
    with pytest.raises(VariantFileError, match="none of the contigs .*the variants are on 23; g.fa has chr1"):
        check(path, genome)
    check(path, genome, renames={"23": "2"})
    shifted = write(tmp_path / "b.vcf", *(record(pos, "wrong", "23") for pos in range(1, 60)))
    with pytest.raises(VariantFileError, match="59 of 59 REF alleles"):
        check(shifted, genome, renames={"23": "chr2"})
    assert GenomeRules(renames={"a": "b", "c": "d"}).digest == GenomeRules(renames={"c": "d", "a": "b"}).digest
    assert GenomeRules(renames={"a": "b"}).digest != GenomeRules(renames={"a": "d"}).digest


@pytest.mark.realdata
def test_the_real_files_fit_the_real_genome(shared_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Genome(shared_data / "genome" / "hg19.masked.fa.gz") as genome:
        files = sorted((shared_data / "variants").glob("*.vcf.gz"))
        for path in files:
            check(str(path), genome)
        assert len(files) == 7
        with pytest.raises(VariantFileError, match="the variants are on GRCh38, the FASTA is GRCh37"):
            check(str(shared_data.parent / "cases" / "hg38_on_hg19.vcf"), genome)
    assert not [message for message in caplog.messages if "assembly" in message]
