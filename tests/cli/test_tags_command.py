"""Whose tags are whose: ``annotate --tag-prefix``, and files that carry the tags of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pysam
import pysam.bcftools
import pytest
from cli.made_runs import HEADER, annotate, set_up, undisturbed, written

from varscore.cli.boundary import run
from varscore.formats import shards
from varscore.zoo.models import ModelFolder

SUFFIXES = (".vcf", ".vcf.gz", ".bcf")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    set_up(tmp_path, monkeypatch)
    lines = Path("in.vcf").read_text().splitlines(keepends=True)
    Path("in.vcf").write_text("".join(lines[:60]))
    monkeypatch.setattr(shards, "BLOCK", 16)
    yield


def lines(path: str) -> list[str]:
    return str(pysam.bcftools.view("--no-version", path)).splitlines()


def infos(path: str, prefix: str) -> list[list[str]]:
    """The entries of every record whose tags have the prefix."""
    rows = [line.split("\t")[7].split(";") for line in lines(path) if not line.startswith("#")]
    return [[entry for entry in row if entry.startswith(f"{prefix}_")] for row in rows]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_two_runs_stand_side_by_side(suffix: str) -> None:
    assert annotate(f"in.vcf -o one{suffix}") == 0
    assert annotate(f"one{suffix} -o both{suffix} --tag-prefix K562 --tasks K562*") == 0
    assert annotate(f"in.vcf -o other{suffix} --tasks K562*") == 0
    assert infos(f"both{suffix}", "VS") == infos(f"one{suffix}", "VS")
    renamed = [[f"VS_{entry[5:]}" for entry in row] for row in infos(f"both{suffix}", "K562")]
    assert renamed == infos(f"other{suffix}", "VS")
    header = [line for line in lines(f"both{suffix}") if line.startswith("#")]
    assert set(lines(f"one{suffix}")) >= {line for line in header if "K562" not in line}
    facts = {line.partition("=")[0]: line.partition("=")[2] for line in header if line.startswith("##varscore")}
    tags = ["STATUS", "DIFF", "TASK", "LOGODDS", "REF", "SPAN"]
    assert facts["##varscoreTags"] == ",".join(f"VS_{tag}" for tag in tags)
    assert facts["##varscoreTags_K562"] == ",".join(f"K562_{tag}" for tag in tags)
    assert "--tasks" in facts["##varscoreCommand_K562"] and "--tasks" not in facts["##varscoreCommand"]
    assert facts["##varscoreModel_K562"] == facts["##varscoreModel"]
    for tag in tags:
        assert sum(line.startswith(f"##INFO=<ID=K562_{tag},Number=A,") for line in header) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_second_run_with_a_prefix_replaces_its_own_tags_only(suffix: str) -> None:
    assert annotate(f"in.vcf -o one{suffix}") == 0
    assert annotate(f"one{suffix} -o both{suffix} --tag-prefix B_2") == 0
    assert annotate(f"both{suffix} -o again{suffix} --tag-prefix B_2") == 0
    assert Path(f"again{suffix}").read_bytes() == Path(f"both{suffix}").read_bytes()
    assert annotate(f"both{suffix} -o turned{suffix}") == 0  # the default's now stand last
    for prefix in ("VS", "B_2"):
        assert infos(f"turned{suffix}", prefix) == infos(f"both{suffix}", prefix)
    headers = [sorted(line for line in lines(f"{name}{suffix}") if line[0] == "#") for name in ("turned", "both")]
    assert headers[0] == headers[1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tags_of_another_program_stay(suffix: str) -> None:
    declared = '##INFO=<ID=VS_QUAL,Number=1,Type=Integer,Description="other tool">\n'
    declared += '##INFO=<ID=VS_P_OLD,Number=1,Type=Float,Description="mine">\n'
    declared += '##INFO=<ID=VS,Number=1,Type=Integer,Description="short">\n##varscoreboard=7\n'
    text = Path("in.vcf").read_text().replace("#CHROM", declared + "#CHROM")
    Path("foreign.vcf").write_text(text.replace("X=1", "VS_QUAL=7;VS_P_OLD=3;VS=1"))
    source = "foreign.bcf" if suffix == ".bcf" else "foreign.vcf"
    if suffix == ".bcf":
        pysam.bcftools.view("-Ob", "-o", source, "foreign.vcf", catch_stdout=False)
    assert annotate(f"{source} -o once{suffix}") == 0
    assert annotate(f"once{suffix} -o twice{suffix}") == 0
    assert Path(f"once{suffix}").read_bytes() == Path(f"twice{suffix}").read_bytes()
    for row in lines(f"twice{suffix}"):
        assert row.startswith("#") or ";VS_QUAL=7;VS_P_OLD=3;VS=1;VS_STATUS=" in row
    assert set(declared.splitlines()) <= set(lines(f"twice{suffix}"))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("inner", "outer"), [("K_E", "K"), ("VS_E", "VS")])
def test_a_prefix_that_begins_with_another_keeps_its_tags(inner: str, outer: str, suffix: str) -> None:
    """``K_E_DIFF`` would be a tag of the prefix ``K`` as well, of a model with a background."""
    assert annotate(f"in.vcf -o one{suffix} --tag-prefix {inner}") == 0
    assert annotate(f"one{suffix} -o both{suffix} --tag-prefix {outer}") == 0
    assert annotate(f"both{suffix} -o again{suffix} --tag-prefix {outer}") == 0
    for path in (f"both{suffix}", f"again{suffix}"):
        assert infos(path, inner) == infos(f"one{suffix}", inner)
        assert sum(line.startswith(f"##INFO=<ID={inner}_DIFF,") for line in lines(path)) == 1


def test_a_record_without_any_score_has_its_status_alone() -> None:
    rows = ["5\t.\tN\t<DEL>,*", "6\t.\tR\tA", "7\t.\tA\t."]
    Path("none.vcf").write_text(HEADER + "".join(f"chr1\t{row}\t.\t.\t.\n" for row in rows))
    assert annotate("none.vcf -o none.bcf") == 0
    found = list(infos("none.bcf", "VS"))
    assert found == [["VS_STATUS=SYMBOLIC,SPANNING_DELETION"], ["VS_STATUS=NON_ACGT"], ["VS_STATUS=NO_ALT"]]


def test_shards_merge_to_the_bytes_of_one_run() -> None:
    words = "in.vcf --tag-prefix M1"
    expected = undisturbed(f"{words} -o all.vcf.gz")
    names = [f"part{i}.vcf.gz" for i in (1, 2, 3)]
    for i, name in enumerate(names, 1):
        assert annotate(f"{words} -o {name} --shard {i}/3") == 0
    assert run(["merge", *names, "-o", "all.vcf.gz"]) == 0
    for name in ("all.vcf.gz", "all.vcf.gz.tbi"):
        assert written()[name] == expected[name]
    assert json.loads(Path("all.vcf.gz.run.json").read_text())["identity"]["tag prefix"] == "M1"
    assert run(["merge", *names, "-o", "all.bcf"]) == 0
    assert infos("all.bcf", "M1") == infos("all.vcf.gz", "M1") and not any(infos("all.bcf", "VS"))


def test_shards_of_two_prefixes_are_not_of_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate("in.vcf -o a.vcf --shard 1/2") == 0
    assert annotate("in.vcf -o b.vcf --shard 2/2 --tag-prefix M1") == 0
    capsys.readouterr()
    assert run(["merge", "a.vcf", "b.vcf", "-o", "all.vcf"]) == 2
    assert "not the same: tag prefix" in capsys.readouterr().err


def test_scripts_of_an_array_carry_the_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["in.vcf", "-r", "g.fa", "-o", "all.vcf.gz", "--tag-prefix", "M1"]
    assert run(["slurm", "-n", "2", "--dry-run", "--", *words]) == 0
    assert "--tag-prefix M1" in capsys.readouterr().out


@pytest.mark.parametrize("prefix", ["VS_", "1A", "A-B", "A B", "A;B", "é", "_A"])
def test_what_is_no_prefix_is_refused(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate("in.vcf -o out.vcf", "--tag-prefix", prefix) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"varscore: error: --tag-prefix {prefix!r} cannot begin a tag; ")
    assert not Path("out.vcf").exists()


def test_a_prefix_that_makes_the_tags_of_another_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("in.vcf").read_text().replace("#CHROM", "##varscoreTags_A=A_B_DIFF\n#CHROM")
    Path("foreign.vcf").write_text(text.replace("X=1", "A_B_DIFF=.5"))
    assert annotate("foreign.vcf -o out.vcf --tag-prefix A_B") == 2
    assert "--tag-prefix A_B would replace A_B_DIFF; a run with A wrote it" in capsys.readouterr().err
    assert not [path for path in Path().iterdir() if "out.vcf" in path.name]
