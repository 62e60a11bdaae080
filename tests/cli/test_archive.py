"""Archives: what is in them is what ``--saturate`` computes, and damage is refused."""

from __future__ import annotations

import json
import random
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pysam
import pysam.bcftools
import pytest
from cli.made_runs import HEADER, SEQUENCE, annotate, set_up, written

from varscore.annotate import archives
from varscore.cli.boundary import run
from varscore.errors import DataError, VarscoreError
from varscore.scoring.stored.archive import ENTRY, FOOT, Archive, Head, from_stored, to_stored
from varscore.storage import pieces
from varscore.zoo.models import ModelFolder

BED = "chr1\t1000\t1130\nchr1\t1120\t1300\nchr1\t1500\t1501\n"
"""Two stretches, of 300 bases and of one"""
OPTIONS = "--background ../b.safetensors"
BACKGROUND: list[bytes] = []


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch, heeded_signals: None) -> None:
    set_up(tmp_path, monkeypatch)
    monkeypatch.setattr(archives, "PIECE", 128)
    letters = list(SEQUENCE)
    letters[1100] = "N"
    Path("g.fa").write_text(f">chr0\nACGT\n>chr1\n{''.join(letters)}\n")
    Path("../some.bed").write_text(BED)
    if not BACKGROUND:  # the model and its effects are the same in every test
        words = ["background", "tiny", "--vcf", "in.vcf", "-r", "g.fa", "-o", "../b.safetensors", "--threads", "1"]
        assert run(words) == 0
        BACKGROUND.append(Path("../b.safetensors").read_bytes())
    Path("../b.safetensors").write_bytes(BACKGROUND[0])


def build(words: str = "", output: str = "../a.vsa", regions: str = "--regions ../some.bed") -> int:
    return run(["archive", "build", "tiny", "-r", "g.fa", "-o", output, *f"{regions} {OPTIONS} {words}".split()])


def saturate(output: str, words: str = OPTIONS) -> None:
    assert annotate(f"--saturate ../some.bed -o {output} --force {words}") == 0


def test_export_is_what_saturate_writes() -> None:
    assert build("--threads 1") == 0
    for name in ("s.vcf.gz", "s.tsv", "s.parquet"):
        saturate(name)
        assert run(["archive", "export", "../a.vsa", "-o", f"e{name}"]) == 0
        assert Path(f"e{name}").read_bytes() == Path(name).read_bytes(), name
    assert Path("es.vcf.gz.tbi").exists()
    assert len(Archive(Path("../a.vsa"))) == 21  # of 16 bases, cut at their multiples


def test_an_exported_table_has_an_index() -> None:
    assert build("--threads 1 --columns sig") == 0
    assert run(["archive", "export", "../a.vsa", "-o", "e.tsv.gz"]) == 0
    with pysam.TabixFile("e.tsv.gz") as table:
        rows = [line.split("\t") for line in table.fetch("chr1", 1049, 1051)]
    saturate("s.parquet")
    expected = pq.read_table("s.parquet").to_pylist()
    expected = [row for row in expected if row["pos"] in (1050, 1051)]
    assert [(int(row[1]), row[4]) for row in rows] == [(row["pos"], row["alt"]) for row in expected]
    names = Path("e.tsv.gz").name and pysam.BGZFile("e.tsv.gz").read().decode().split("\nchrom\t")[1].splitlines()[0]
    assert names.split("\t")[-2:] == ["sig", "span"]
    assert [row[-2] for row in rows] == [f"{row['sig']:.6g}" for row in expected]


def test_bcftools_takes_the_values_of_an_export() -> None:
    assert build("--threads 1") == 0
    assert run(["archive", "export", "../a.vsa", "-o", "e.vcf.gz"]) == 0
    places = list(range(1001, 1099, 4))
    snvs(places)
    pysam.bcftools.annotate(
        "-a",
        "e.vcf.gz",
        "-c",
        "INFO/VS_DIFF,INFO/VS_SIG,INFO/VS_TASK",
        "-Oz",
        "-o",
        "b.vcf.gz",
        "--no-version",
        sorted_copy("../snvs.vcf"),
        catch_stdout=False,
    )
    expected = rows("")
    with pysam.VariantFile("b.vcf.gz") as file:
        found = [(record.info["VS_DIFF"][0], record.info["VS_SIG"][0]) for record in file]
    assert len(found) == len(places)
    np.testing.assert_allclose(found, [(row["diff"], row["sig"]) for row in expected], rtol=1e-5)


def sorted_copy(path: str) -> str:
    """The file, bgzipped and indexed, as bcftools wants it."""
    pysam.tabix_compress(path, "sorted.vcf.gz", force=True)
    pysam.tabix_index("sorted.vcf.gz", preset="vcf", force=True)
    return "sorted.vcf.gz"


def test_annotate_takes_what_is_there_and_computes_the_rest() -> None:
    """Substitutions in the regions and outside, insertions and deletions, several at a site."""
    lines = [
        f"chr1\t{at + 1}\t.\t{SEQUENCE[at : at + size]}\t{alts}\t.\t.\t.\n"
        for at in range(950, 1350, 3)
        for size, alts in [(1, ",".join(base for base in "ACGT" if base != SEQUENCE[at])), (1, "AGT,<DEL>"), (3, "C")]
    ]
    Path("mixed.vcf").write_text(HEADER + "".join(lines))
    assert annotate(f"mixed.vcf -o out.vcf.gz {OPTIONS}") == 0
    expected = Path("out.vcf.gz").read_bytes()
    assert build("--threads 1") == 0
    for words in ("--archive ../a.vsa", "--archive ../a.vsa --cache ../scores", "--archive ../a.vsa --cache ../scores"):
        assert annotate(f"mixed.vcf -o out.vcf.gz --force {OPTIONS} {words}") == 0
        assert Path("out.vcf.gz").read_bytes() == expected
    said = json.loads(Path("out.vcf.gz.run.json").read_text())["cache"]
    assert said["misses"] == 0 and said["blocks"] == 20 and said["stale_blocks"] == 0


def test_saturation_from_an_archive_is_the_same() -> None:
    saturate("s.vcf.gz")
    expected = Path("s.vcf.gz").read_bytes()
    assert build("--threads 1") == 0
    saturate("s.vcf.gz", f"{OPTIONS} --archive ../a.vsa")
    assert Path("s.vcf.gz").read_bytes() == expected
    said = json.loads(Path("s.vcf.gz.run.json").read_text())["cache"]
    assert said["misses"] == 0 and said["hits"] == 3 * 300


def snvs(places: list[int]) -> None:
    lines = [f"chr1\t{at + 1}\t.\t{SEQUENCE[at]}\t{'C' if SEQUENCE[at] != 'C' else 'A'}\t.\t.\t.\n" for at in places]
    Path("../snvs.vcf").write_text(HEADER + "".join(lines))


def rows(words: str) -> list[dict[str, Any]]:
    assert annotate(f"../snvs.vcf -o o.parquet --force {OPTIONS} {words}") == 0
    return pq.read_table("o.parquet").to_pylist()


def test_nothing_is_computed_with_archive_only() -> None:
    assert build("--threads 1") == 0
    places = [*range(990, 1010), *range(1290, 1310), 1500]
    snvs(places)
    found, expected = rows("--archive ../a.vsa --archive-only"), rows("")
    for at, here, there in zip(places, found, expected, strict=True):
        if 1000 <= at < 1300 or at == 1500:
            assert here == there
        else:
            assert here["status"] == "NOT_IN_ARCHIVE" and here["diff"] is here["task"] is None


def test_a_patch_in_the_genome_makes_its_blocks_miss(capsys: pytest.CaptureFixture[str]) -> None:
    """Windows are of 120 bp: those of the bases 1,241 to 1,360 show base 1,300."""
    assert build("--threads 1") == 0
    text = Path("g.fa").read_text()
    at = text.index(">chr1\n") + 6 + 1300
    Path("g.fa").write_text(text[:at] + ("A" if text[at] != "A" else "C") + text[at + 1 :])
    places = list(range(1001, 1299, 4))
    snvs(places)
    expected = rows("")
    assert rows("--archive ../a.vsa") == expected
    assert "the archive does not match the FASTA here: 5 of 20 blocks" in capsys.readouterr().err
    said = json.loads(Path("o.parquet.run.json").read_text())["cache"]
    blocks = {at // 16 for at in places}
    stale = {block for block in blocks if block * 16 + 15 + 60 >= 1300}
    assert said["stale_blocks"] == len(stale) == 5
    assert said["misses"] == sum(at // 16 in stale for at in places)


def test_another_genome_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("varscore.scoring.stored.reuse.FEWEST_COMPARED", 3)
    assert build("--threads 1") == 0
    other = "".join(random.Random(5).choices("ACGT", k=3000))
    Path("g.fa").write_text(f">chr1\n{other}\n")
    Path("../snvs.vcf").write_text(
        HEADER
        + "".join(
            f"chr1\t{at + 1}\t.\t{other[at]}\t{'C' if other[at] != 'C' else 'A'}\t.\t.\t.\n"
            for at in range(1000, 1300, 20)
        )
    )
    assert annotate(f"../snvs.vcf -o o.parquet {OPTIONS} --archive ../a.vsa") == 2
    assert "blocks of the archive were computed from other bases" in capsys.readouterr().err
    assert run(["archive", "verify", "../a.vsa", "-r", "g.fa"]) == 2


@pytest.mark.parametrize(
    ("words", "differs"),
    [
        ("", "background"),
        (f"{OPTIONS} --deepsea-floor", "background"),
        (f"{OPTIONS} --tasks 1", "tasks"),
        (f"{OPTIONS} --engine plain", "engine"),
    ],
)
def test_another_profile_is_refused(words: str, differs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert build("--threads 1") == 0
    snvs([1010])
    capsys.readouterr()
    assert annotate(f"../snvs.vcf -o o.parquet {words} --archive ../a.vsa") == 2
    assert f"not the same: {differs}" in capsys.readouterr().err


def test_another_machine_wants_to_be_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert build("--threads 1") == 0
    snvs([1010])
    expected = rows("")
    monkeypatch.setattr("varscore.scoring.stored.profile._processor", lambda: "another")
    assert annotate(f"../snvs.vcf -o x.vcf {OPTIONS} --archive ../a.vsa") == 2
    assert "not the same: processor; they differ in their last digits: --archive-any-device" in capsys.readouterr().err
    assert rows("--archive ../a.vsa --archive-any-device") == expected
    assert "OTHER=processor" in pq.read_metadata("o.parquet").metadata[b"varscoreArchive"].decode()


def test_float16_is_rounded_and_says_so() -> None:
    assert build("--threads 1 --float 16") == 0
    snvs(list(range(1001, 1299, 7)))
    rounded, exact = rows("--archive ../a.vsa"), rows("")
    assert [row["task"] for row in rounded] == [row["task"] for row in exact]
    for name in ("diff", "logodds", "sig", "ref_prob", "e", "e_diff"):
        there, true = ([row[name] for row in table] for table in (rounded, exact))
        assert there != true
        np.testing.assert_allclose(there, true, rtol=2.0**-11, atol=1e-11)
    assert run(["archive", "export", "../a.vsa", "-o", "e.parquet"]) == 0
    saturate("s.parquet")
    there, true = (pq.read_table(name)["sig"].to_numpy() for name in ("e.parquet", "s.parquet"))
    np.testing.assert_allclose(there, true, rtol=2.0**-11)
    rows("--archive ../a.vsa")
    assert "PRECISION=float16" in pq.read_metadata("o.parquet").metadata[b"varscoreArchive"].decode()


def test_float16_keeps_three_digits_of_small_numbers_and_refuses_large_ones() -> None:
    numbers = np.array([1e-6, -1.2345e-6, 3e-8, 6e-5, 0.1, -1.0, 0.0, np.nan], np.float32)
    head = Head({}, ["diff", "task", "logodds", "e"], "float16", 16, 1000, {}, ["a", "b"])
    records = np.zeros(len(numbers), head.record)
    records["diff"], records["e"], records["task"], records["logodds"] = numbers, numbers, 7, 1000 * numbers
    found = from_stored(head, to_stored(head, records))
    for name in ("diff", "e"):
        np.testing.assert_allclose(found[name], numbers, rtol=2.0**-11)
    assert found["task"].tolist() == [7] * len(numbers) and found["logodds"][5] == -1000
    records["logodds"][0] = 70_000
    with pytest.raises(DataError, match="logodds is too large for 16 bits"):
        to_stored(head, records)
    of_values = replace(head, of_values=True)
    records["logodds"], records["diff"][1] = np.nan, 12_345
    assert from_stored(of_values, to_stored(of_values, records))["diff"][1] == np.float32(np.float16(12_345))


# -- building --------------------------------------------------------------------------------------------------------


def test_a_stopped_build_carries_on_and_shards_are_the_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pieces, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(pieces, "COMMIT_SHARE", float("inf"))
    assert build("--threads 1") == 0
    expected = Path("../a.vsa").read_bytes()
    add, count = archives._Building.add, 0

    def watched(*arguments: Any) -> None:
        nonlocal count
        add(*arguments)
        count += 1
        if count == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(archives._Building, "add", watched)
    assert build("--threads 1", "../c.vsa") == 143
    assert not Path("../c.vsa").exists()
    assert build("--threads 1 --float 16", "../c.vsa") == 2  # another build
    assert build("--threads 1", "../c.vsa") == 0
    assert count == 5  # pieces of 128 bases in [1000, 1300) and [1500, 1501)
    assert "carrying on after the first 2 pieces" in capsys.readouterr().err
    assert Path("../c.vsa").read_bytes() == expected
    for part in (1, 2, 3):
        assert build(f"--threads 1 --shard {part}/3", f"../p{part}.vsa") == 0
    assert run(["archive", "merge", "../p3.vsa", "../p1.vsa", "../p2.vsa", "-o", "../m.vsa"]) == 0
    assert Path("../m.vsa").read_bytes() == expected
    assert not [path for path in Path("..").iterdir() if path.name.startswith(".")]
    assert run(["archive", "merge", "../p3.vsa", "../p1.vsa", "../p3.vsa", "-o", "../n.vsa"]) == 2
    assert "two archives have the same bases" in capsys.readouterr().err


def test_what_an_archive_says_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert build("--threads 1") == 0
    capsys.readouterr()
    assert run(["archive", "info", "../a.vsa"]) == 0
    said = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert (said["bases"], said["blocks"], said["precision"]) == ("301", "21", "float32")
    assert run(["archive", "verify", "../a.vsa", "-r", "g.fa"]) == 0
    assert "21 blocks, nothing wrong" in capsys.readouterr().out
    assert not written()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["archive", "build", "tiny", "-r", "g.fa", "-o", "x.vsa"], "say what to score"),
        (["archive", "build", "tiny", "-r", "g.fa", "-o", "x.vsa", "--contig", "chr7"], "is not in the FASTA"),
        (
            ["archive", "build", "tiny", "-r", "g.fa", "-o", "x.vsa", "--contig", "chr1", "--columns", "p"],
            "no column 'p'",
        ),
        (["archive", "info", "g.fa"], "the archive is damaged"),
        (["archive", "info", "none.vsa"], "there is no such file"),
        (["annotate", "in.vcf", "-r", "g.fa", "-o", "o.vcf", "--archive", "none.vsa"], "there is no such file"),
        (
            ["annotate", "in.vcf", "-r", "g.fa", "-o", "o.vcf", "--archive", "in.vcf", "--scores", "m.h5"],
            "no score matrix",
        ),
    ],
)
def test_what_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not written()


# -- damage ------------------------------------------------------------------------------------------------------------


def test_of_a_damaged_archive_no_wrong_score_is_taken() -> None:
    """A thousand archives with a byte changed, or cut: refused, when opened or when the block is read."""
    assert build("--threads 1", regions="--region chr1:1011-1033") == 0
    path, dice = Path("../a.vsa"), random.Random(2)
    whole = path.read_bytes()
    truth = [[part.tobytes() for part in piece[1:]] for piece in Archive(path).pieces()]
    refused = 0
    for trial in range(1000):
        damaged, at = bytearray(whole), dice.randrange(len(whole))
        damaged[at] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged if trial % 5 else damaged[:at])
        try:
            found = [[part.tobytes() for part in piece[1:]] for piece in Archive(path).pieces()]
        except VarscoreError as error:
            refused += error.exit_status == 2
            continue
        assert found == truth
    assert refused == 1000


def test_a_block_names_its_place_when_it_is_damaged(capsys: pytest.CaptureFixture[str]) -> None:
    assert build("--threads 1") == 0
    path = Path("../a.vsa")
    content, archive = bytearray(path.read_bytes()), Archive(path)
    after = len(archive) * ENTRY.itemsize + FOOT.size + (len(archive) - 6) * archive.head.stored.itemsize
    content[len(content) - after + 30] ^= 1
    path.write_bytes(content)
    snvs([1095])
    assert annotate(f"../snvs.vcf -o o.parquet {OPTIONS} --archive ../a.vsa") == 2
    assert "a.vsa, chr1:1089-1104; its checksum is wrong" in capsys.readouterr().err
    assert not written()
