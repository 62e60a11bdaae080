"""``annotate --cache``: cold, warm and none give the same bytes, and nothing is taken that would have others."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from cli.disturbance import Disturbance
from cli.made_runs import HEADER, SEQUENCE, VCF, annotate, remove_all, set_up, undisturbed, written

from varscore.cli.boundary import run
from varscore.scoring import score
from varscore.scoring.stored import profile
from varscore.zoo.models import ModelFolder

CACHE = "--cache ../scores"
OUTPUTS = ("out.vcf.gz", "out.parquet")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch, heeded_signals: None) -> None:
    set_up(tmp_path, monkeypatch)


@pytest.fixture
def disturb(monkeypatch: pytest.MonkeyPatch) -> Disturbance:
    return Disturbance(monkeypatch)


def counted(output: str = "out.vcf.gz") -> tuple[int, int]:
    """Hits and misses."""
    said = json.loads(Path(f"{output}.run.json").read_text())["cache"]
    return said["hits"], said["misses"]


@pytest.fixture
def background() -> str:
    """Options by which the small model has all columns but those of classifiers."""
    assert run(["background", "tiny", "--vcf", "in.vcf", "-r", "g.fa", "-o", "../b.safetensors", "--threads", "1"]) == 0
    return "--background ../b.safetensors"


@pytest.mark.parametrize("output", OUTPUTS)
def test_cold_warm_and_no_cache_give_the_same_bytes(
    background: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"in.vcf -o {output} {background}"
    expected = undisturbed(words)
    assert annotate(f"{words} {CACHE}") == 0
    assert written() == expected
    hits, misses = counted(output)
    assert hits == 0 and misses > 250
    remove_all()
    capsys.readouterr()
    assert annotate(f"{words} {CACHE}") == 0
    assert written() == expected and counted(output) == (misses, 0)
    assert f"{misses:,} scored, {misses:,} of them were there already" in capsys.readouterr().err


def test_half_of_it_there(background: str) -> None:
    expected = undisturbed(f"in.vcf -o out.vcf.gz {background}")
    half = HEADER + "".join(line for number, line in enumerate(VCF.removeprefix(HEADER).splitlines(True)) if number % 2)
    Path("../half.vcf").write_text(half)
    assert annotate(f"../half.vcf -o ../half.vcf.gz {background} {CACHE}") == 0
    assert annotate(f"in.vcf -o out.vcf.gz {background} {CACHE}") == 0
    assert written() == expected
    hits, misses = counted()
    assert hits > 100 and misses > 100


def test_stopped_and_carried_on(disturb: Disturbance, background: str) -> None:
    words = f"in.vcf -o out.vcf.gz {background} --skipped s.tsv"
    expected = undisturbed(words)
    disturb.signal(2, signal.SIGTERM)
    assert annotate(f"{words} {CACHE}") == 143
    disturb.signal(2, signal.SIGTERM)
    assert annotate(words) == 143  # also without it
    disturb.plan(None)
    assert annotate(f"{words} {CACHE}") == 0
    assert written() == expected
    remove_all()
    assert annotate(f"{words} {CACHE}") == 0
    assert written() == expected
    hits, misses = counted()
    assert hits > 150 and misses > 50  # what the run without a cache has done


def test_shards_share_it(background: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("varscore.formats.shards.BLOCK", 64)
    expected = undisturbed(f"in.vcf -o out.vcf.gz {background}")
    for part in (1, 2, 1, 2):
        assert annotate(f"in.vcf -o ../part{part}.vcf.gz --shard {part}/2 --force {background} {CACHE}") == 0
    assert counted("../part2.vcf.gz")[1] == 0
    assert run(["merge", "../part2.vcf.gz", "../part1.vcf.gz", "-o", "out.vcf.gz"]) == 0
    assert written() == expected


@pytest.mark.parametrize("matrix", [True, False])
def test_the_score_matrix(background: str, matrix: bool, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"in.vcf -o out.vcf.gz --scores m.parquet {background}"
    expected = undisturbed(words)
    further = f"{CACHE} --cache-matrix" if matrix else CACHE
    for _ in range(2):
        remove_all()
        assert annotate(f"{words} {further}") == 0
        assert written() == expected
    assert (counted()[1] == 0) == matrix
    assert ("nothing is taken from the cache" in capsys.readouterr().err) == (not matrix)
    remove_all()
    if matrix:  # whatever is asked of the effects
        assert annotate(f"in.vcf -o out.vcf.gz --tasks 0 {further}") == 0
        assert counted()[1] == 0


def test_a_background_takes_the_effects_of_annotate(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["background", "tiny", "--vcf", "in.vcf", "-r", "g.fa", "--threads", "1", "-o"]
    assert run([*words, "../b.safetensors"]) == 0
    assert annotate(f"in.vcf -o out.vcf {CACHE} --cache-matrix") == 0
    computed: list[int] = []
    monkeypatch.setattr(score, "effects_of", lambda engine, windows, untrained: computed.append(len(windows)))
    assert run([*words, "../c.safetensors", "--cache", "../scores"]) == 0
    assert Path("../c.safetensors").read_bytes() == Path("../b.safetensors").read_bytes()
    assert not computed, "all of it was there"


# -- another genome, another profile ---------------------------------------------------------------------------------


def one_variant(pos: int, ref: str, alt: str) -> None:
    Path("../one.vcf").write_text(HEADER + f"chr1\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n")


def hits_of_one(words: str = "") -> int:
    assert annotate(f"../one.vcf -o out.vcf.gz --force {CACHE} {words}") == 0
    hits, misses = counted()
    assert hits + misses == 1
    return hits


def edit_genome(place: int) -> None:
    letters = list(SEQUENCE)
    letters[place] = "A" if letters[place] != "A" else "C"
    Path("g.fa").write_text(f">chr1\n{''.join(letters)}\n")


@pytest.mark.parametrize("kind", ["substitution", "insertion", "deletion"])
def test_a_base_changed_in_a_window_is_a_miss(kind: str) -> None:
    """Windows of 120 bp show the bases from 59 before the allele on; a deletion's ALT window, 30 more behind."""
    at, other = 1000, next(base for base in "ACGT" if base not in SEQUENCE[1000])
    ref = SEQUENCE[at : at + 31] if kind == "deletion" else SEQUENCE[at]
    alt = {"substitution": other, "insertion": ref[0] + "ACGTT", "deletion": ref[0]}[kind]
    one_variant(at + 1, ref, alt)
    assert hits_of_one() == 0
    assert hits_of_one() == 1
    last = {"substitution": 60, "insertion": 60, "deletion": 60 + 29}[kind]
    for place in (at - 70, at + last + 20):  # indels move: they are anchored a few bases to the left, at most
        edit_genome(place)
        assert hits_of_one() == 1, place
    for place in (at - 50, at + last - 8):
        edit_genome(place)
        assert hits_of_one() == 0, place


def test_the_same_sequence_elsewhere_is_found() -> None:
    one_variant(1001, SEQUENCE[1000], "A" if SEQUENCE[1000] != "A" else "C")
    assert hits_of_one() == 0
    Path("g.fa").write_text(f">other\n{'ACGT' * 200}\n>chr1\n{SEQUENCE[:2999]}\n")
    Path("../one.vcf").write_text(Path("../one.vcf").read_text().replace("length=3000", "length=2999"))
    assert hits_of_one() == 1


def test_whatever_scores_depend_on_is_another_profile(
    background: str, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_variant(1001, SEQUENCE[1000], "A" if SEQUENCE[1000] != "A" else "C")
    assert hits_of_one() == 0
    for words in (background, f"{background} --deepsea-floor", "--tasks 1", "--engine plain", "--precision bf16"):
        assert hits_of_one(words) == 0, words
        assert hits_of_one(words) == 1, words
    for name, value in (("_processor", "another"), ("_code", "another"), ("_version", "9.9")):
        with monkeypatch.context() as patch:
            patch.setattr(profile, name, lambda *_, said=value: said)
            assert hits_of_one() == 0, name
    card = tiny_model.path / "card.toml"
    for line in ('strands = "both-mean"', 'strands = "one"'):
        assert line.partition(" ")[0] in card.read_text(), line
    card.write_text(card.read_text().replace('strands = "both-mean"', 'strands = "both-max"'))
    assert hits_of_one() == 0
    assert len(list(Path("../scores").glob("*/profile.json"))) == 10


def test_the_place_counts_where_there_is_conservation() -> None:
    pybigtools = pytest.importorskip("pybigtools")
    pybigtools.open("../c.bw", "w").write({"chr1": 3000}, iter([("chr1", 0, 1500, 0.5), ("chr1", 1500, 3000, 0.25)]))
    twice = SEQUENCE[:1500] * 2
    Path("g.fa").write_text(f">chr1\n{twice}\n")
    alt = "A" if twice[700] != "A" else "C"
    one_variant(701, twice[700], alt)
    assert hits_of_one("--conservation c=../c.bw") == 0
    one_variant(2201, twice[2200], alt)
    assert hits_of_one() == 0
    one_variant(701, twice[700], alt)
    assert hits_of_one() == 1  # the same windows
    one_variant(2201, twice[2200], alt)
    assert hits_of_one("--conservation c=../c.bw") == 0


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_damage_in_the_cache_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    expected = undisturbed("in.vcf -o out.vcf.gz")
    assert annotate(f"in.vcf -o out.vcf.gz {CACHE}") == 0
    (path,) = Path("../scores").glob("*/*.scores")
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    remove_all()
    capsys.readouterr()
    assert annotate(f"in.vcf -o out.vcf.gz {CACHE}") == 0
    assert written() == expected
    assert capsys.readouterr().err.count("a part of it is not what was written") == 1
    assert run(["cache", "verify", "../scores"]) == 0
    assert "1 files are sound, 1 were removed" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    Path("../scores").mkdir(mode=0o500)
    assert annotate(f"in.vcf -o out.vcf.gz {CACHE}") == 0
    assert "nothing more is kept in the cache" in capsys.readouterr().err


def test_where_the_cache_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one_variant(1001, SEQUENCE[1000], "A" if SEQUENCE[1000] != "A" else "C")
    words = "../one.vcf -o out.vcf.gz --force"
    (tmp_path / "none.toml").write_text('score-cache = "conf"\n')
    assert annotate(words) == 0
    assert counted() == (0, 1) and (tmp_path / "conf").is_dir()
    monkeypatch.setenv("VARSCORE_SCORES", "../env")
    assert annotate(words) == 0
    assert counted() == (0, 1) and Path("../env").is_dir()
    assert annotate(f"{words} --no-cache") == 0
    assert "cache" not in json.loads(Path("out.vcf.gz.run.json").read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--cache in.vcf", "the cache is a folder, and this is a file"),
        ("--cache-limit 5G", "want --cache DIR"),
        ("--cache ../scores --cache-limit much", "is no size"),
        ("--archive-only", "want --archive FILE.vsa"),
        ("--cache ../scores --cluster ray", "do not go with --cluster"),
    ],
)
def test_what_is_refused(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate(f"in.vcf -o out.vcf.gz {words}") == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not written()


def test_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert annotate(f"in.vcf -o out.vcf.gz --force {CACHE} --cache-limit 1G") == 0
        edit_genome(1500)
    capsys.readouterr()
    assert run(["cache", "info", "../scores"]) == 0
    assert "2 files" in capsys.readouterr().out
    assert run(["cache", "merge", "../scores"]) == 0
    assert "2 files into one" in capsys.readouterr().out
    assert run(["cache", "prune", "../scores", "0"]) == 0
    assert "1 files were removed" in capsys.readouterr().out
    assert run(["cache", "info", "."]) == 2
