"""``varscore annotate`` from its command line: names, streams, messages and exit statuses."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from types import SimpleNamespace

import pysam
import pysam.bcftools
import pytest
import torch
from made_vcfs import without_our_tags

from varscore.annotate.job import AnnotateJob, Summary
from varscore.cli.annotate import default_output
from varscore.cli.boundary import run
from varscore.engine.compute import Compute
from varscore.formats.shards import Shard
from varscore.zoo.models import ModelFolder


def letters(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


SEQUENCE = letters(900, 1)
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=900>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def record(pos: int, alt: str | None = None, ref: str | None = None, contig: str = "chr1") -> str:
    there = ref or SEQUENCE[pos - 1]
    return f"{contig}\t{pos}\t.\t{there}\t{alt or OTHER[there[0]]}\t.\t.\t.\n"


VCF = HEADER + "".join(record(pos) for pos in (100, 300, 500)) + record(700, "<DEL>")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``g.fa`` and ``in.vcf``, and nothing configured."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("VARSCORE_REFERENCE", raising=False)
    (folder / "g.fa").write_text(f">chr1\n{SEQUENCE}\n")
    pysam.faidx("g.fa")  # so that no line on stderr speaks of an index
    (folder / "in.vcf").write_text(VCF)
    return folder


def rows(path: str | Path) -> list[list[str]]:
    """The eight columns of every record of a VCF, bgzipped or not."""
    content = Path(path).read_bytes()
    text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


def tags(info: str) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in info.split(";"))


# -- input and output ------------------------------------------------------------------------------------------------


def test_the_default_output_is_indexed_and_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["annotate", "in.vcf", "-r", "g.fa"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "varscore: 4 records, 4 alleles, 3 scored, 1 SYMBOLIC\n"
    assert sorted(path.name for path in Path().iterdir()) == [
        "g.fa",
        "g.fa.fai",
        "in.varscore.vcf.gz",
        "in.varscore.vcf.gz.run.json",
        "in.varscore.vcf.gz.tbi",
        "in.vcf",
    ]
    with pysam.VariantFile("in.varscore.vcf.gz") as file:
        (found,) = file.fetch("chr1", 299, 300)
        assert found.info["VS_STATUS"] == ("PASS",)
        assert -1 <= found.info["VS_DIFF"][0] <= 1
        assert found.info["VS_TASK"][0] in ("0:K562_CTCF_None", "1:K562_DNase_None", "2:HepG2_CTCF_None")
        assert file.header.info["VS_LOGODDS"].number == "A"
    header = gzip.decompress(Path("in.varscore.vcf.gz").read_bytes()).decode()
    for line in ("##varscoreVersion=", "##varscoreCommand=annotate ", "##varscoreModel=<ID=tiny,SHA256="):
        assert header.count(f"\n{line}") == 1
    assert str(Path().absolute()) not in header


@pytest.mark.parametrize(
    ("source", "letter", "output"),
    [
        ("a/b/x.vcf", None, "x.varscore.vcf.gz"),
        ("x.g.vcf.gz", None, "x.g.varscore.vcf.gz"),
        ("x.vcf.bgz", None, "x.varscore.vcf.gz"),
        ("x.bcf", None, "x.varscore.vcf.gz"),
        ("x", None, "x.varscore.vcf.gz"),
        ("x.txt", None, "x.varscore.vcf.gz"),
        ("x.vcf", "b", "x.varscore.bcf"),
        ("x.vcf", "u", "x.varscore.bcf"),
        ("x.vcf", "v", "x.varscore.vcf"),
        ("x.vcf", "t", "x.varscore.tsv"),
        ("x.vcf", "p", "x.varscore.parquet"),
        ("-", None, "-"),
        ("-", "z", "-"),
        ("/dev/stdin", None, "-"),
        ("/dev/fd/63", None, "-"),
    ],
)
def test_the_default_output_is_named_after_the_input(source: str, letter: str | None, output: str) -> None:
    assert default_output(source, letter) == output


MAGIC = {"v": b"##fileformat", "z": b"\x1f\x8b", "b": b"\x1f\x8b", "u": b"\x1f\x8b", "t": b"##varscore", "p": b"PAR1"}


@pytest.mark.parametrize("letter", MAGIC)
def test_a_letter_decides_where_there_is_no_suffix(letter: str) -> None:
    assert run(["annotate", "in.vcf", "-r", "g.fa", "-o", "plain", "-O", letter]) == 0
    content = Path("plain").read_bytes()
    assert content.startswith(MAGIC[letter])
    if letter in "zbu":
        assert gzip.decompress(content).startswith(b"##fileformat" if letter == "z" else b"BCF\x02")


def test_from_stdin_to_stdout(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(gzip.compress(VCF.encode()))))
    assert run(["annotate", "-", "-r", "g.fa"]) == 0
    out, err = capsysbinary.readouterr()
    assert b" 3 scored" in err
    assert run(["annotate", "in.vcf", "-r", "g.fa", "-o", "out.vcf"]) == 0
    assert out == Path("out.vcf").read_bytes()
    assert run(["annotate", "in.vcf", "-r", "g.fa", "-o", "-", "-O", "t"]) == 0
    table = capsysbinary.readouterr().out.splitlines()
    assert table[4] == b"chrom\tpos\tid\tref\talt\tstatus\tdiff\ttask\tlogodds\tref_prob\tspan"
    assert len(table) == 5 + 4


def test_every_option_reaches_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[AnnotateJob] = []
    monkeypatch.setattr("varscore.annotate.flow.annotate_file", lambda job, *rest: jobs.append(job) or Summary())
    Path("r.bed").write_text("chr1\t0\t10\n")
    words = "annotate in.vcf -r g.fa -o o -O t -m tiny --scores s.h5 --skipped k.tsv --tasks 0 --tasks K562*"
    words += " --check-ref skip --engine plain --device cpu --precision bf16 --batch-size 32 --force --threads 3"
    words += " --region chr1:7-9 --shard 2/3 --no-resume"
    assert run([*words.split(), "--regions", "r.bed"]) == 0
    (job,) = jobs
    assert job.model.id == "tiny"
    assert job.regions is not None
    assert job == AnnotateJob(
        source="in.vcf",
        output="o",
        reference=Path("g.fa"),
        model=job.model,
        output_format="t",
        tasks=("0", "K562*"),
        regions=job.regions,
        check_ref="skip",
        scores=Path("s.h5"),
        skipped=Path("k.tsv"),
        compute=Compute("cpu", "bf16", 3, "plain"),
        batch_size=32,
        force=True,
        resume=False,
        shard=Shard(1, 3),
        inputs=("r.bed",),
    )
    assert run(["annotate", "in.vcf", "-r", "g.fa"]) == 0
    assert jobs[1] == AnnotateJob("in.vcf", "in.varscore.vcf.gz", Path("g.fa"), jobs[1].model)


def test_regions_of_both_kinds_are_united(capsys: pytest.CaptureFixture[str]) -> None:
    Path("r.bed").write_text("1\t299\t300\n")
    words = ["annotate", "in.vcf", "-r", "g.fa", "-o", "out.vcf", "--region", "chr1:90-100", "--regions", "r.bed"]
    assert run(words) == 0
    assert [row[1] for row in rows("out.vcf")] == ["100", "300"]
    summary = "varscore: 2 records, 2 alleles, 2 scored, 2 records outside the regions left out\n"
    assert capsys.readouterr().err == summary


def test_the_summary_is_fields_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["annotate", "in.vcf", "-r", "g.fa", "--log-format", "json"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    counts = {"records": 4, "alleles": 4, "scored": 3, "outside": 0, "SYMBOLIC": 1}
    found = json.loads(line)
    assert counts.items() <= found.items()
    assert found["event"] == "4 records, 4 alleles, 3 scored, 1 SYMBOLIC"


def test_tags_of_an_earlier_run_are_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["annotate", "in.vcf", "-r", "g.fa", "-o", "once.vcf"]) == 0
    capsys.readouterr()
    assert run(["annotate", "once.vcf", "-r", "g.fa", "-o", "twice.vcf"]) == 0
    assert Path("once.vcf").read_bytes() == Path("twice.vcf").read_bytes()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "varscore: VS_ tags of an earlier run are replaced"
    assert len(lines) == 2


def test_an_old_index_does_not_survive(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["annotate", "in.vcf", "-r", "g.fa", "-o", "out.vcf.gz"]
    Path("out.vcf.gz.tbi").write_text("left over")
    assert run(words) == 0
    with pysam.VariantFile("out.vcf.gz") as file:
        assert len(list(file.fetch("chr1", 99, 300))) == 2
    Path("in.vcf").write_text(HEADER + record(500) + record(100))
    assert run([*words, "--force"]) == 0
    assert "warning: the records are not sorted, so there is no index" in capsys.readouterr().err
    assert not Path("out.vcf.gz.tbi").exists()


def test_strict_is_status_3_with_everything_written(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["annotate", "in.vcf", "-r", "g.fa", "-o", "out.vcf", "--strict", "--skipped", "skipped.tsv"]
    assert run(words) == 3
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("varscore: error: --strict: 1 of 4 alleles could not be scored; ")
    assert [tags(row[7])["VS_STATUS"] for row in rows("out.vcf")] == ["PASS", "PASS", "PASS", "SYMBOLIC"]
    assert Path("skipped.tsv").read_text().splitlines()[1:] == [f"chr1\t700\t.\t{SEQUENCE[699]}\t<DEL>\tSYMBOLIC"]
    Path("in.vcf").write_text(HEADER + record(100) + record(200, "."))  # a record without ALT lacks nothing
    assert run([*words, "--force"]) == 0


def test_most_references_wrong_suggests_another_assembly(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "".join(record(pos, ref=OTHER[SEQUENCE[pos - 1]]) for pos in (100, 200, 300))
    Path("in.vcf").write_text(HEADER + wrong + record(400))
    assert run(["annotate", "in.vcf", "-r", "g.fa", "-o", "out.vcf"]) == 0
    summary, hint = capsys.readouterr().err.splitlines()
    assert summary.endswith("4 records, 4 alleles, 1 scored, 3 REF_MISMATCH")
    assert hint.startswith("varscore: warning: 3 of 4 REF alleles disagree with g.fa: ")
    assert "another assembly" in hint
    Path("in.vcf").write_text(HEADER + wrong + "".join(record(pos) for pos in (400, 500, 600)))
    assert run(["annotate", "in.vcf", "-r", "g.fa", "-o", "out.vcf", "--force"]) == 0
    assert "assembly" not in capsys.readouterr().err


# -- what is refused -------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], status: int, *words: str) -> str:
    """Run; the exit status and the one line on stderr, without its beginning."""
    capsys.readouterr()
    assert run(["annotate", *words]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("varscore: error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err.removeprefix("varscore: error: ").removesuffix("\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("in.vcf -r gone.fa", "gone.fa"),
        ("in.vcf", "no reference genome; pass -r FASTA, set VARSCORE_REFERENCE, or write `reference ="),
        ("gone.vcf -r g.fa", "no such file, gone.vcf"),
        ("gone.vcf", "no such file, gone.vcf"),
        (". -r g.fa -o out.vcf", "cannot read, .; it is a folder, where a file"),
        ("in.vcf -r g.fa -m tinny", "no model 'tinny'; `varscore models list` has tiny"),
        ("in.vcf -r g.fa -m .", "not a model directory, .; it has no card.toml"),
        ("in.vcf -r g.fa -o gone/out.vcf", "the output's folder does not exist, gone/out.vcf"),
        ("in.vcf -r g.fa -o out.txt", "unknown kind of output, out.txt"),
        ("in.vcf -r g.fa -o out.vcf -O t", "-O t does not go with the output's suffix, out.vcf"),
        ("in.vcf -r g.fa -O q", "Invalid value for '--output-type'"),
        ("in.vcf -r g.fa -o in.vcf --force", "the output is also an input, in.vcf"),
        ("in.vcf -r g.fa --skipped in.vcf --force", "the output is also an input, in.vcf"),
        ("in.vcf -r g.fa -o x.parquet --scores x.parquet", "two outputs have the same name, x.parquet"),
        ("in.vcf -r g.fa --scores x.npz", "not a name for a score matrix, x.npz"),
        ("in.vcf -r g.fa --scores -", "not a name for a score matrix, -"),
        ("in.vcf -r g.fa --tasks PML*", "--tasks 'PML*' matches none of the 3 tasks; near it are "),
        ("in.vcf -r g.fa --region chr1:9-7", "not a region, 'chr1:9-7'"),
        ("in.vcf -r g.fa --regions gone.bed", "no such file, gone.bed"),
        ("in.vcf -r g.fa --regions in.vcf", "not a BED interval, in.vcf line 4"),
        ("- -r g.fa --regions -", "IN and --regions cannot both be stdin"),
        ("in.vcf -r g.fa --batch-size 0", "Invalid value for '--batch-size': '0' is neither auto nor"),
        ("in.vcf -r g.fa --device gpu", "Invalid value for '--device'"),
        ("in.vcf -r g.fa --check-ref maybe", "Invalid value for '--check-ref'"),
        ("in.vcf -r in.vcf", "in.vcf"),
        ("g.fa -r g.fa", "not a VCF or BCF, g.fa"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    assert message in refused(capsys, 2, *words.split())
    assert {path.name for path in Path().iterdir()} == {"g.fa", "g.fa.fai", "in.vcf"}
    assert Path("in.vcf").read_text() == VCF


def test_damaged_input_is_one_line_and_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pysam.BGZFile("whole.vcf.gz", "wb") as file:
        file.write(HEADER.encode() + b"".join(record(pos).encode() for pos in range(1, 900)))
    whole = Path("whole.vcf.gz").read_bytes()
    cases = {
        "cut.vcf.gz": (whole[: len(whole) // 2], "cut.vcf.gz"),
        "no_end.vcf.gz": (whole[:-28], "no_end.vcf.gz"),
        "empty.vcf": (b"", "the file is empty, empty.vcf"),
        "page.vcf": (b"<html><body>404</body></html>", "web page"),
        "noise.vcf": (bytes(range(256)) * 4, "not a VCF or BCF, noise.vcf"),
        "short.vcf": (VCF.encode() + b"chr1\t800\n", "2 columns instead of 8, separated by tabs, short.vcf line 8"),
        "header.vcf": (b"##fileformat=VCFv4.2\n", "no #CHROM line, header.vcf"),
    }
    for name, (content, message) in cases.items():
        Path(name).write_bytes(content)
        assert message in refused(capsys, 2, name, "-r", "g.fa", "-o", "out.vcf.gz", "--scores", "m.parquet")
        assert not list(Path().glob("*out*")) + list(Path().glob("*.parquet*")) + list(Path().glob(".*part*"))


def test_variants_of_another_genome_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("foreign.vcf").write_text(VCF.replace("chr1", "scaffold_1"))
    message = refused(capsys, 2, "foreign.vcf", "-r", "g.fa")
    assert message.startswith("none of the contigs is in the FASTA, foreign.vcf; the variants are on scaffold_1; ")
    wrong = OTHER[SEQUENCE[299]]
    Path("wrong.vcf").write_text(HEADER + record(100) + record(300, ref=wrong, alt="GATTACA"))
    message = refused(capsys, 2, "wrong.vcf", "-r", "g.fa", "--check-ref", "error")
    expected = f"REF of chr1:300:{wrong}>GATTACA is not what the FASTA has ({SEQUENCE[299]}), g.fa; another assembly"
    assert message.startswith(expected)
    assert not list(Path().glob("*varscore*"))


def test_a_damaged_model_is_refused(capsys: pytest.CaptureFixture[str], tiny_model: ModelFolder) -> None:
    weights = tiny_model.path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "model.safetensors does not have the checksum on the card" in refused(capsys, 2, "in.vcf", "-r", "g.fa")
    weights.unlink()
    assert "cannot read 'model.safetensors'" in refused(capsys, 2, "in.vcf", "-r", "g.fa")
    (tiny_model.path / "card.toml").unlink()
    assert "no default model is bundled; name one with --model" in refused(capsys, 2, "in.vcf", "-r", "g.fa")


@pytest.mark.parametrize("options", ["-o old.vcf", "--scores old.zarr", "--scores old.parquet", "--skipped old.tsv"])
def test_an_existing_output_is_refused_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    words = ["in.vcf", "-r", "g.fa", "-o", "out.vcf", *options.split()]
    old = words[-1]
    assert run(["annotate", *words]) == 0
    Path("out.vcf").unlink(missing_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(ModelFolder, "load", None)  # nothing is loaded
        assert refused(capsys, 2, *words).startswith(f"the output exists already, {old}; ")
    assert run(["annotate", *words, "--force"]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("options", ["-o /dev/full", "-o out.vcf --skipped /dev/full"])
def test_a_full_disk_is_status_1(capsys: pytest.CaptureFixture[str], options: str) -> None:
    assert refused(capsys, 1, "in.vcf", "-r", "g.fa", *options.split()).startswith("cannot write: No space left")
    assert not Path("out.vcf").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, 1, "in.vcf", "-r", "g.fa", "--device", "cuda")
    assert message.startswith("device cuda was asked for; ")
    assert "--device cpu" in message


def test_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["annotate", "gone.vcf", "-r", "g.fa", "--debug"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.splitlines()[-1].startswith("varscore: error: there is no such file, gone.vcf")


# -- real variants ---------------------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["1kg_phase3_chr20_1-2Mb", "multiallelic_chr22"])
def test_real_records_come_out_whole(shared_data: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    with gzip.open(shared_data / "variants" / f"{name}.vcf.gz", "rb") as file:
        lines = file.read().splitlines(keepends=True)
    header = [line for line in lines if line.startswith(b"#")]
    records = lines[len(header) :][:300]
    Path("real.vcf").write_bytes(b"".join([*header, *records]))
    genome = str(shared_data / "genome" / "hg19.masked.fa.gz")
    assert run(["annotate", "real.vcf", "-r", genome, "-o", "out.vcf.gz", "--skipped", "skipped.tsv"]) == 0
    err = capsys.readouterr().err
    assert "300 records, " in err
    assert "assembly" not in err

    text = gzip.decompress(Path("out.vcf.gz").read_bytes())
    kept = [line for line in without_our_tags(text).splitlines(keepends=True) if line not in header]
    whole = without_our_tags(b"".join(records)).splitlines(keepends=True)
    assert [line for line in kept if not line.startswith(b"##contig=<ID=")] == whole
    contigs = [line for line in text.splitlines() if line.startswith(b"##contig=<ID=")]
    assert len(contigs) == len({line.partition(b"ID=")[2].split(b",")[0].rstrip(b">") for line in contigs}) >= 23

    alleles = sum(line.split(b"\t")[4].count(b",") + 1 for line in records)
    assert f"{alleles:,} alleles" in err
    assert pysam.bcftools.view("-H", "out.vcf.gz").count("\n") == 300
    assert pysam.bcftools.view("-H", "-r", records[150].split(b"\t")[0].decode(), "out.vcf.gz").count("\n") == 300
    query = "%POS %VS_STATUS %VS_DIFF %VS_TASK %VS_LOGODDS\n"
    split = pysam.bcftools.norm("-m-", "-Ou", "-o", "split.bcf", "out.vcf.gz", catch_stdout=False)
    assert split is None
    found = [line.split() for line in pysam.bcftools.query("-f", query, "split.bcf").splitlines()]
    assert len(found) == alleles
    scored = [words for words in found if words[1] == "PASS"]
    assert len(scored) > alleles / 4
    assert all((words[2] == ".") == (words[1] != "PASS") for words in found)
    assert len(Path("skipped.tsv").read_text().splitlines()) - 1 == alleles - len(scored)


# -- saturation mutagenesis ------------------------------------------------------------------------------------------


def test_saturation_gives_what_the_same_variants_in_a_file_get() -> None:
    Path("some.bed").write_text("chr1\t400\t420\n")
    Path("same.vcf").write_text(
        HEADER + "".join(record(pos, ",".join(b for b in "ACGT" if b != SEQUENCE[pos - 1])) for pos in range(401, 421))
    )
    assert run(["annotate", "--saturate", "some.bed", "-r", "g.fa", "-o", "made.vcf"]) == 0
    assert run(["annotate", "same.vcf", "-r", "g.fa", "-o", "read.vcf"]) == 0
    assert len(rows("made.vcf")) == 20
    assert rows("made.vcf") == rows("read.vcf")


@pytest.mark.parametrize("arguments", [[], ["in.vcf", "--saturate", "some.bed"]])
def test_either_a_file_or_saturation(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("some.bed").write_text("chr1\t400\t420\n")
    assert run(["annotate", *arguments, "-r", "g.fa", "-o", "out.vcf"]) == 2
    assert "either IN or --saturate" in capsys.readouterr().err


# -- large variants --------------------------------------------------------------------------------------------------


def test_a_deletion_has_one_score_however_it_is_written_and_says_what_it_spans() -> None:
    deleted = SEQUENCE[399:500]
    lines = [
        record(400, "<DEL>").replace("\t.\n", "\tEND=500\n"),
        record(400, "<DEL>", "N").replace("\t.\n", "\tSVLEN=-100\n"),
        record(400, deleted[0], deleted),
        record(400, "<DEL>").replace("\t.\n", "\tEND=500;CIPOS=-1,1\n"),
        record(400, "<DUP>,<INV>,G" if SEQUENCE[399] != "G" else "<DUP>,<INV>,T").replace("\t.\n", "\tEND=500\n"),
        record(400, SEQUENCE[399] + "ACGT" * 30),
    ]
    Path("large.vcf").write_text(HEADER + "".join(lines))
    assert run(["annotate", "large.vcf", "-r", "g.fa", "-o", "out.vcf"]) == 0
    found = [tags(row[7]) for row in rows("out.vcf")]
    scored = ("VS_STATUS", "VS_DIFF", "VS_TASK", "VS_LOGODDS", "VS_REF", "VS_SPAN")
    first, *others = [[tag.get(name) for name in scored] for tag in found]
    assert first[0] == "PASS" and first == others[0] == others[1] and float(first[1] or 0) != 0
    assert [tag["VS_STATUS"] for tag in found] == ["PASS"] * 3 + ["SYMBOLIC", "PASS,PASS,PASS", "PASS"]
    assert [tag.get("VS_SPAN") for tag in found] == ["100"] * 3 + [None, "100,100,1", "0"]
    with pysam.VariantFile("out.vcf") as file:
        assert file.header.info["VS_SPAN"].type == "Integer" and file.header.info["VS_SPAN"].number == "A"
