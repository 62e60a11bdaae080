"""Shards: together they have every record once, and merged they are the bytes of one run."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pysam
import pytest
from cli.disturbance import Disturbance
from hypothesis import given
from hypothesis import strategies as st

from varscore.annotate import outputs
from varscore.cli.annotate import default_output
from varscore.cli.boundary import run
from varscore.errors import UsageError
from varscore.formats import shards
from varscore.formats.shards import Range, Shard
from varscore.formats.vcf import VariantReader
from varscore.zoo.models import ModelFolder

dice = random.Random(4)
SEQUENCE = "".join(dice.choices("ACGT", k=2000))
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=2000>\n##contig=<ID=chr2,length=2000>\n" + COLUMNS
BLOCK = 16
RECORDS = 109
"""Seven blocks, the last one short"""


def made_records(count: int) -> list[str]:
    lines = []
    for contig in ("chr1", "chr2"):
        for pos in sorted(dice.choices(range(1, 1990), k=(count + (contig == "chr1")) // 2)):
            alts = ",".join(dice.sample(["AG", "CC", "GAT", "<DEL>", "<INV>", "*"], dice.choice([1, 1, 2])))
            info = "SVLEN=" + ",".join(["-30"] * len(alts.split(","))) if "<" in alts else "."
            lines.append(f"{contig}\t{pos}\tv{len(lines)}\t{SEQUENCE[pos - 1]}\t{alts}\t17.251234\t.\t{info}\n")
    return lines


LINES = made_records(RECORDS)
VCF = HEADER + "".join(LINES)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with ``g.fa`` and ``in.vcf``, and blocks of 16 records."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setattr(shards, "BLOCK", BLOCK)
    (folder / "g.fa").write_text(f">chr1\n{SEQUENCE}\n>chr2\n{SEQUENCE}\n")
    pysam.faidx("g.fa")
    (folder / "in.vcf").write_text(VCF)
    yield folder


def annotate(words: str) -> int:
    return run(["annotate", *words.split(), "-r", "g.fa", "--threads", "1"])


def annotate_shards(of: int, words: str, suffix: str, further: str = "") -> list[str]:
    """Run all shards; ``{i}`` in ``further`` is the shard's number. Returns their outputs, in no order."""
    names = []
    for i in range(1, of + 1):
        names.append(f"part{i}{suffix}")
        assert annotate(f"{words} -o {names[-1]} --shard {i}/{of} {further.format(i=i)}") == 0
    return random.Random(of).sample(names, of)


def content(path: str) -> dict[str, bytes]:
    """A file, or all files of a folder."""
    top = Path(path)
    files = [file for file in sorted(top.rglob("*")) if file.is_file()] if top.is_dir() else [top]
    return {str(file.relative_to(top)): file.read_bytes() for file in files}


# -- which records a shard has ---------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(0, 3000))
def test_every_record_is_in_one_shard_and_shards_are_balanced(of: int, records: int) -> None:
    owners = [[shard.index for shard in (Shard(i, of) for i in range(of)) if shard.has(r)] for r in range(records)]
    assert all(len(owner) == 1 for owner in owners)
    counts = [sum(owner == [index] for owner in owners) for index in range(of)]
    assert max(counts) - min(counts) <= shards.BLOCK


@given(st.integers(1, 9), st.integers(0, 400), st.integers(0, 400))
def test_a_range_is_what_is_left_of_a_shard(of: int, start: int, record: int) -> None:
    shard = Shard(of // 2, of)
    assert Range(shard, start).has(record) == (record >= start and shard.has(record))


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/3", "1/2/3", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="such as 3/10"):
        Shard.parse(text)


def test_a_shard_is_named_after_its_number() -> None:
    shard = Shard.parse(" 3/10 ")
    assert (shard, str(shard)) == (Shard(2, 10), "3/10")
    assert default_output("a/x.vcf.gz", None, shard) == "x.varscore.shard-0003-of-0010.vcf.gz"
    assert default_output("x.bcf", "p", shard) == "x.varscore.shard-0003-of-0010.parquet"


@pytest.mark.parametrize("size", [1, 7, 16, 100])
@pytest.mark.parametrize("of", [1, 2, 3, 8, 11])
def test_readers_read_what_is_wanted(of: int, size: int) -> None:
    read: list[bytes] = []
    for index in range(of):
        reader = VariantReader("in.vcf")
        found = [
            (number, line)
            for chunk in reader.chunks(size, Shard(index, of).has)
            for number, line in zip(chunk.numbers.tolist(), chunk.lines, strict=True)
        ]
        assert all(LINES[number].encode() == line + b"\n" for number, line in found)
        assert [number for number, _ in found] == [n for n in range(RECORDS) if n // BLOCK % of == index]
        assert (reader.records, reader.contigs) == (RECORDS, ("chr1", "chr2"))
        read += [line for _, line in found]
    assert len(read) == RECORDS


# -- merged ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [1, 2, 3, 9])  # with 9 there are two shards without a record
@pytest.mark.parametrize("suffix", [".vcf", ".vcf.gz", ".tsv", ".tsv.gz", ".parquet"])
def test_merged_shards_are_the_bytes_of_one_run(suffix: str, of: int) -> None:
    assert annotate(f"in.vcf -o one{suffix} --skipped one.txt --batch-size 7") == 0
    names = annotate_shards(of, "in.vcf", suffix, "--skipped part{i}.txt")
    assert run(["merge", *names, "-o", f"all{suffix}", "--skipped", "all.txt"]) == 0
    assert content(f"all{suffix}") == content(f"one{suffix}")
    assert content("all.txt") == content("one.txt")
    assert Path(f"all{suffix}.tbi").exists() == (suffix == ".vcf.gz")
    if suffix == ".vcf.gz":
        assert content("all.vcf.gz.tbi") == content("one.vcf.gz.tbi")
    merged, one = (json.loads(Path(f"{name}{suffix}.run.json").read_text()) for name in ("all", "one"))
    same = ("identity", "counts", "records_read", "versions")
    assert {key: merged[key] for key in same} == {key: one[key] for key in same}
    assert not list(Path().glob(".*varscore*"))


@pytest.mark.parametrize("suffix", [".vcf", ".vcf.gz"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_merged_to_bcf(suffix: str, newline: str) -> None:
    Path("in.vcf").write_bytes(VCF.replace("\n", newline).encode())
    assert annotate("in.vcf -o one.bcf") == 0
    assert run(["merge", *annotate_shards(3, "in.vcf", suffix), "-o", "all.bcf"]) == 0
    assert content("all.bcf") == content("one.bcf")
    assert content("all.bcf.csi") == content("one.bcf.csi")


@pytest.mark.parametrize("suffix", [".parquet", ".zarr", ".h5"])
@pytest.mark.parametrize("of", [1, 3, 8])
def test_merged_matrices_are_the_bytes_of_one_run(suffix: str, of: int) -> None:
    assert annotate(f"in.vcf -o one.vcf --scores one{suffix} --tasks K562*") == 0
    names = annotate_shards(of, "in.vcf --tasks K562*", ".vcf", f"--scores m{{i}}{suffix}")
    assert run(["merge", *names, "-o", "all.vcf", "--scores", f"all{suffix}"]) == 0
    assert content(f"all{suffix}") == content(f"one{suffix}")


@pytest.mark.parametrize(
    "words",
    ["in.vcf --region chr1:200-700 --region chr2:5-90", "--saturate some.bed", "empty.vcf", "unsorted.vcf", "bare.vcf"],
)
def test_other_inputs_merge_too(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("some.bed").write_text("chr1\t100\t300\nchr2\t7\t50\n")
    Path("empty.vcf").write_text(HEADER)
    Path("unsorted.vcf").write_text(HEADER + "".join(random.Random(1).sample(LINES, RECORDS)))
    Path("bare.vcf").write_text("##fileformat=VCFv4.1\n" + COLUMNS + "".join(LINES).replace("chr", ""))
    assert annotate(f"{words} -o one.vcf.gz") == 0
    summary = capsys.readouterr().err.splitlines()[-1]
    assert run(["merge", *annotate_shards(3, words, ".vcf.gz"), "-o", "all.vcf.gz"]) == 0
    assert content("all.vcf.gz") == content("one.vcf.gz")
    assert Path("all.vcf.gz.tbi").exists() == Path("one.vcf.gz.tbi").exists() == ("unsorted" not in words)
    counts = json.loads(Path("all.vcf.gz.run.json").read_text())["counts"]
    assert summary.startswith(f"varscore: {counts['records']:,} records, {counts['alleles']:,} alleles, ")


def test_blocks_on_foreign_contigs_are_no_error_in_a_shard() -> None:
    foreign = "".join(f"GL{i}\t5\t.\tA\tC\t.\t.\t.\n" for i in range(BLOCK))
    Path("in.vcf").write_text("##fileformat=VCFv4.1\n" + COLUMNS + foreign + "".join(LINES))
    assert annotate("in.vcf -o one.vcf") == 0
    assert run(["merge", *annotate_shards(8, "in.vcf", ".vcf"), "-o", "all.vcf"]) == 0
    assert content("all.vcf") == content("one.vcf")


def test_a_shard_that_was_stopped_carries_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(outputs, "COMMIT_SHARE", float("inf"))
    monkeypatch.setattr("varscore.annotate.job.FEWEST", 8)
    words = "in.vcf --batch-size 8"
    further = "--scores m{i}.parquet --skipped part{i}.txt"
    assert annotate(f"{words} -o one.vcf.gz --scores one.parquet --skipped one.txt") == 0
    disturb = Disturbance(monkeypatch)
    disturb.signal(3, signal.SIGTERM)
    assert annotate(f"{words} -o part1.vcf.gz --shard 1/2 {further.format(i=1)}") == 143
    disturb.plan(None)
    names = annotate_shards(2, words, ".vcf.gz", further)
    assert disturb.portions == 14 - 3
    more = ["--scores", "all.parquet", "--skipped", "all.txt"]
    assert run(["merge", *names, "-o", "all.vcf.gz", *more]) == 0
    for kind in ("vcf.gz", "parquet", "txt"):
        assert content(f"all.{kind}") == content(f"one.{kind}")


def test_to_stdout(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert annotate("in.vcf -o one.vcf") == 0
    names = annotate_shards(2, "in.vcf", ".vcf")
    capsysbinary.readouterr()
    assert run(["merge", *names, "-o", "-"]) == 0
    assert capsysbinary.readouterr().out == content("one.vcf")["."]


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.fixture
def parts() -> list[str]:
    return sorted(annotate_shards(3, "in.vcf", ".vcf.gz"))


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line on stderr, without its beginning; nothing is left."""
    capsys.readouterr()
    assert run(["merge", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not [path for path in Path().iterdir() if "all" in path.name]
    return line.removeprefix("varscore: error: ")


def test_a_missing_or_doubled_shard_is_named(parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, *parts[:2], "-o", "all.vcf.gz").startswith("shard 3 of 3 is missing; ")
    assert refused(capsys, parts[1], "-o", "all.vcf.gz").startswith("shards 1, 3 of 3 are missing; ")
    shutil.copy(parts[0], "again.vcf.gz")
    shutil.copy(f"{parts[0]}.run.json", "again.vcf.gz.run.json")
    message = refused(capsys, *parts, "again.vcf.gz", "-o", "all.vcf.gz")
    assert message.startswith("shard 1/3 is given twice, part1.vcf.gz and again.vcf.gz")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("other.vcf --shard 3/3", "input"),
        ("in.vcf --shard 3/3 --tasks K562*", "options"),
        ("in.vcf --shard 3/3 --region chr1:1-90", "regions"),
        ("in.vcf --shard 3/4", "number of shards"),
    ],
)
def test_shards_of_other_runs_do_not_mix(
    parts: list[str], capsys: pytest.CaptureFixture[str], words: str, what: str
) -> None:
    Path("other.vcf").write_text(VCF.replace("17.251234", "18"))
    assert annotate(f"{words} -o part3.vcf.gz --force") == 0
    message = refused(capsys, *parts, "-o", "all.vcf.gz")
    assert message.startswith(f"these shards are not of one run, part1.vcf.gz and part3.vcf.gz; not the same: {what}")


def test_a_damaged_shard_is_found(parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    whole = Path(parts[1]).read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:]):
        Path(parts[1]).write_bytes(damaged)
        message = refused(capsys, *parts, "-o", "all.vcf.gz")
        assert message.startswith("the shard is not what was written, part2.vcf.gz; ")


def test_a_shard_needs_its_run_json(parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    record = Path(f"{parts[1]}.run.json")
    record.write_text("{")
    assert refused(capsys, *parts, "-o", "all.vcf.gz").startswith("cannot read what was run, part2.vcf.gz.run.json")
    record.unlink()
    message = refused(capsys, *parts, "-o", "all.vcf.gz")
    assert message.startswith("what was run is not known, part2.vcf.gz; part2.vcf.gz.run.json is not beside it; ")
    assert annotate("in.vcf -o part2.vcf.gz --force") == 0
    assert refused(capsys, *parts, "-o", "all.vcf.gz").startswith("not a shard, part2.vcf.gz; ")


CUTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no identity": lambda run: run.pop("identity"),
    "no versions": lambda run: run.pop("versions"),
    "no counts": lambda run: run.pop("counts"),
    "no outputs": lambda run: run.pop("outputs"),
    "no blocks": lambda run: run["shard"].pop("blocks"),
    "no pieces": lambda run: run["shard"]["annotated"].pop("pieces"),
    "no number": lambda run: run["shard"].pop("index"),
    "a word for a number": lambda run: run["shard"].update(of="3"),
    "shards without end": lambda run: run["shard"].update(of=0),
    "an empty shard": lambda run: run.update(shard={}),
    "one block less": lambda run: run["shard"]["blocks"].pop(),
    "one piece less": lambda run: run["shard"]["annotated"]["pieces"].pop(),
    "one block and its piece less": lambda run: [
        run["shard"]["blocks"].pop(),
        run["shard"]["annotated"]["pieces"].pop(),
        run["counts"].update(records=sum(records for _, records, _ in run["shard"]["blocks"])),
    ],
    "no header": lambda run: run["shard"]["annotated"]["pieces"].pop(0),
    "a piece twice": lambda run: run["shard"]["annotated"]["pieces"].append(run["shard"]["annotated"]["pieces"][-1]),
    "fewer records": lambda run: run["counts"].update(records=5),
    "a block of another shard": lambda run: run["shard"]["blocks"][-1].__setitem__(0, 3),
}


def test_a_record_that_does_not_cover_the_shard_is_refused(
    parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = Path(f"{parts[1]}.run.json")
    whole = record.read_text()
    for name, cut in CUTS.items():
        fields = json.loads(whole)
        cut(fields)
        record.write_text(json.dumps(fields))
        message = refused(capsys, *parts, "-o", "all.vcf.gz")
        assert message.startswith("the record of this shard is incomplete, part2.vcf.gz.run.json; "), name


def test_a_shard_that_has_more_than_its_record_says_is_refused(
    parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with Path(parts[1]).open("ab") as file:
        file.write(b"more")
    assert refused(capsys, *parts, "-o", "all.vcf.gz").startswith("the shard is not what was written, part2.vcf.gz; ")


def test_regions_leave_blocks_out_without_harm() -> None:
    words = "in.vcf --region chr2:1-1000"
    assert annotate(f"{words} -o one.vcf") == 0
    assert run(["merge", *annotate_shards(3, words, ".vcf"), "-o", "all.vcf"]) == 0
    assert content("all.vcf") == content("one.vcf")


def test_other_names_are_refused(parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "merge them to .vcf.gz or .bcf" in refused(capsys, *parts, "-o", "all.tsv")
    assert "unknown kind of output" in refused(capsys, *parts, "-o", "all.txt")
    assert "a shard has no --scores" in refused(capsys, *parts, "-o", "all.vcf.gz", "--scores", "all.h5")
    assert "the output is also an input" in refused(capsys, *parts, "-o", "part1.vcf.gz", "--force")
    Path("old.vcf.gz").write_text("old")
    assert "the output exists already" in refused(capsys, *parts, "-o", "old.vcf.gz")
    assert run(["merge", *parts, "-o", "old.vcf.gz", "--force"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("- --shard 1/2 -o x.vcf", "a shard cannot be read from or written to a stream"),
        ("in.vcf --shard 1/2 -o -", "a shard cannot be read from or written to a stream"),
        ("in.vcf --shard 1/2 -o x.bcf", "varscore merge makes a .bcf of the shards"),
        ("in.vcf --shard 3/2", "not a shard: '3/2'"),
    ],
)
def test_what_a_shard_cannot_be(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
