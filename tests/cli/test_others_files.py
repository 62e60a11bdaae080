"""Files of others: nothing but a run's own outputs is written, renamed or removed, whatever lies beside them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.disturbance import Disturbance
from cli.made_runs import VCF, annotate, remove_all, set_up, undisturbed, written

from varscore.annotate import outputs
from varscore.cli import ending
from varscore.cli.boundary import run
from varscore.zoo.models import ModelFolder

SHORT = VCF[: VCF.index("\tv300\t")].rpartition("\n")[0] + "\n"
"""The header and three hundred records: two portions"""
PRECIOUS = "a thing that somebody else needs\n"
WORDS = "in.vcf -o out.vcf.gz --skipped s.tsv --scores m.parquet"
SIDES = (
    ".out.vcf.gz.varscore-journal",
    "..out.vcf.gz.varscore-journal.varscore-part",
    ".out.vcf.gz.varscore-part",
    "out.vcf.gz.run.json",
    ".out.vcf.gz.run.json.varscore-part",
    "out.vcf.gz.tbi",
    ".out.vcf.gz.tbi.varscore-part",
    ".s.tsv.varscore-part",
    ".m.parquet.varscore-spool",
    ".m.parquet.varscore-part",
)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch, heeded_signals: None) -> None:
    set_up(tmp_path, monkeypatch)
    Path("in.vcf").write_text(SHORT)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file in another folder."""
    path = tmp_path / "elsewhere" / "precious.txt"
    path.parent.mkdir()
    path.write_text(PRECIOUS)
    return path


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command has ended with."""
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("varscore: warning: ")]
    (line,) = [line for line in lines if "error" in line]
    assert "internal error" not in line
    return line.removeprefix("varscore: error: ")


# -- side files ------------------------------------------------------------------------------------------------------

PLANTED: dict[str, Callable[[str, Path], None]] = {
    "symlink": lambda name, precious: os.symlink(precious, name),
    "hard link": lambda name, precious: os.link(precious, name),
    "pipe": lambda name, precious: os.mkfifo(name),
    "symlink into the void": lambda name, precious: os.symlink(precious.with_name("new"), name),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_no_side_file_is_written_through_a_link_or_into_a_pipe(
    kind: str, precious: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = undisturbed(WORDS)
    for name in SIDES:
        PLANTED[kind](name, precious)
        status = annotate(WORDS)
        assert precious.read_text() == PRECIOUS and not precious.with_name("new").exists(), name
        said = capsys.readouterr().err
        if status == 0:  # what had the name of a finished file was replaced
            assert written() == expected, name
            assert not any(path.is_symlink() or path.is_fifo() for path in Path().iterdir()), name
        else:
            assert status == 1 and "something else has the name of a file that varscore keeps" in said, name
            assert not Path("out.vcf.gz").exists() and os.path.lexists(name)
        for path in [path for path in Path().iterdir() if path.name not in ("g.fa", "g.fa.fai", "in.vcf")]:
            path.unlink()


def test_a_folder_with_the_name_of_a_side_file_is_found_before_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelFolder, "load", None)
    for name in ("out.vcf.gz.run.json", "out.vcf.gz.tbi", "out.vcf.gz.csi"):
        Path(name).mkdir()
        assert annotate("in.vcf -o out.vcf.gz") == 2
        assert error(capsys).startswith(f"a folder has the name of a file that goes with the output, {name}; ")
        Path(name).rmdir()


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        (f"{'o' * 245}.vcf.gz", "out.vcf.gz.run.json"),
        (f"{'o' * 250}.vcf", ""),
        (f"out.vcf --skipped {'s' * 252}.tsv", ""),
        (f"out.vcf --scores {'s' * 252}.zarr", ""),
        (f"{'ü' * 123}.vcf.gz", "run.json"),
    ],
)
def test_a_name_that_is_too_long_is_found_before_the_work(
    name: str, cause: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelFolder, "load", None)
    assert annotate(f"in.vcf -o {name}") == 2
    message = error(capsys)
    assert message.startswith("the name is too long, ") and "bytes of at most 255" in message
    assert written() == {}


def test_names_that_just_fit_are_all_kept_apart() -> None:
    long = "o" * (255 - len(".tsv.run.json"))
    words = f"in.vcf -o {long}.tsv --skipped {long}x.tsv --scores {long}.zarr"
    assert annotate(words) == 0
    assert {Path(name).parts[0] for name in written()} == {
        f"{long}.tsv",
        f"{long}.tsv.run.json",
        f"{long}x.tsv",
        f"{long}.zarr",
    }


# -- journals --------------------------------------------------------------------------------------------------------

JOURNAL = Path(".out.vcf.gz.varscore-journal")


def forge(change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the journal says, its checksum too."""
    fields = json.loads(JOURNAL.read_bytes().partition(b"\n")[2])
    change(fields)
    text = json.dumps(fields).encode()
    JOURNAL.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def rename(fields: dict[str, Any], temporary: str | None, target: str) -> None:
    one = {"temporary": temporary, "target": target, "is_ours": True, "stamp": None}
    if temporary is not None:
        about = os.stat(temporary)
        one["stamp"] = [about.st_ino, about.st_size, about.st_mtime_ns]
    fields["placements"] = [one]


FORGERIES: dict[str, Callable[[dict[str, Any], str], object]] = {
    "renames it away": lambda fields, precious: rename(fields, precious, f"{precious}.gone"),
    "renames over it": lambda fields, precious: rename(fields, os.path.abspath("in.vcf"), precious),
    "removes it": lambda fields, precious: rename(fields, None, precious),
    "removes the input": lambda fields, precious: rename(fields, None, os.path.abspath("in.vcf")),
    "records": lambda fields, precious: fields.update(records=290),
    "counts": lambda fields, precious: fields.update(counts={"records": []}),
    "no key": lambda fields, precious: fields.pop("key"),
    "key of numbers": lambda fields, precious: fields.update(key=3),
    "marks of nothing": lambda fields, precious: fields.update(marks={}),
    "marks of strings": lambda fields, precious: fields.update(marks={"writer": {"text": "x", "order": []}}),
    "odd marks": lambda fields, precious: fields["marks"]["writer"].update(order={"contigs": 5}),
    "odd targets": lambda fields, precious: fields.update(targets=[3, "relative", "\0"]),
    "a negative length": lambda fields, precious: fields["marks"]["writer"]["text"].update(file=[-1, 0]),
    "blocks": lambda fields, precious: fields.update(blocks=[["a"]]),
    "placements of nothing": lambda fields, precious: fields.update(placements=[{}]),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_journal_moves_no_file_of_others(forgery: str, precious: Path, disturb: Disturbance) -> None:
    expected = undisturbed("in.vcf -o out.vcf.gz")
    disturb.signal(1, signal.SIGTERM)
    assert annotate("in.vcf -o out.vcf.gz") == 143
    disturb.plan(None)
    forge(lambda fields: FORGERIES[forgery](fields, str(precious)))
    assert annotate("in.vcf -o out.vcf.gz") == 0
    assert written() == expected
    assert Path("in.vcf").read_text() == SHORT
    assert {path.name: path.read_text() for path in precious.parent.iterdir()} == {precious.name: PRECIOUS}


@pytest.fixture
def disturb(monkeypatch: pytest.MonkeyPatch) -> Disturbance:
    return Disturbance(monkeypatch)


def test_starting_anew_removes_nothing_in_other_folders(precious: Path, disturb: Disturbance) -> None:
    disturb.signal(1, signal.SIGTERM)
    assert annotate("in.vcf -o out.vcf.gz") == 143
    disturb.plan(None)
    hidden = precious.with_name(f".{precious.name}.varscore-part")
    shutil.copy(precious, hidden)
    forge(lambda fields: fields.update(targets=[str(precious)]))
    assert annotate("in.vcf -o out.vcf.gz", "--no-resume") == 0
    assert hidden.read_text() == PRECIOUS


def test_a_kill_between_completion_and_exit_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = undisturbed(WORDS)

    def finish_but_do_not_exit() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(ending, "at_last", lambda act: None)
            assert annotate(WORDS) == 0
        assert JOURNAL.exists()

    finish_but_do_not_exit()
    assert annotate(WORDS) == 0 and written() == expected
    assert annotate(WORDS) == 2, "that run had come to its end"
    assert error(capsys).startswith("the output exists already, out.vcf.gz; ")
    remove_all()
    finish_but_do_not_exit()
    Path("out.vcf.gz").write_text("another's")
    assert annotate(WORDS) == 2 and Path("out.vcf.gz").read_text() == "another's"
    Path("s.tsv").unlink()
    assert annotate(WORDS, "--force") == 0 and written() == expected


# -- outputs and inputs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("-o in.vcf", "in.vcf"),
        ("-o link.vcf", "link.vcf"),
        ("-o g.fa -O v", "g.fa"),
        ("-o g.fa.fai -O v", "g.fa.fai"),
        ("-o out.vcf --skipped r.bed --regions r.bed", "r.bed"),
        ("-o {model}/model.safetensors -O t", "model.safetensors"),
        ("-o {model}/card.toml -O t", "card.toml"),
        ("-o out.vcf --skipped in.vcf.tbi", "in.vcf.tbi"),
        ("-o out.vcf --skipped out.vcf.run.json", "out.vcf.run.json"),
        ("-o out.vcf.gz --skipped out.vcf.gz.tbi", "out.vcf.gz.tbi"),
        ("-o out.vcf --scores m.zarr --regions m.zarr/r.bed", "m.zarr"),
    ],
)
def test_no_output_is_an_input_or_another_output(
    words: str, named: str, tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("r.bed").write_text("chr1\t1\t200\n")
    Path("link.vcf").symlink_to("in.vcf")
    Path("m.zarr").mkdir()
    shutil.copy("r.bed", "m.zarr/r.bed")
    (Path("m.zarr") / "zarr.json").write_text("{}")
    before = {path: path.read_bytes() for path in [*Path().rglob("*"), *tiny_model.path.rglob("*")] if path.is_file()}
    assert annotate(f"in.vcf {words.format(model=tiny_model.path)} --force") == 2
    message = error(capsys)
    assert "is also an input" in message or "two outputs have the same name" in message
    assert named in message
    assert {path: path.read_bytes() for path in before} == before


# -- what never ends, and what nobody foresaw ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "folder"])
def test_a_configuration_that_is_no_file_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    {"pipe": lambda: os.mkfifo("config"), "folder": lambda: os.mkdir("config")}.get(
        kind, lambda: os.symlink("/dev/zero", "config")
    )()
    monkeypatch.setenv("VARSCORE_CONFIG", "config")
    assert run(["annotate", "in.vcf", "-o", "out.vcf"]) == 2
    assert "config" in error(capsys)


@pytest.mark.parametrize("name", ["g.fa.fai", "{cache}"])
def test_an_index_that_is_a_pipe_is_not_waited_for(name: str) -> None:
    Path("g.fa.fai").unlink()
    os.mkfifo("g.fa.fai")
    assert annotate("in.vcf -o out.vcf") == 0


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("in.vcf --threads 99999999999999999999 -r g.fa", 2),
        ("in.vcf --threads 99999 -r g.fa", 2),
        ("in.vcf --batch-size 99999999999999999999 -r g.fa", 2),
        ("in.vcf --region chr1:1-99999999999999999999 -r g.fa", None),
        ("in.vcf --region chr1:99999999999999999999 -r g.fa", None),
        ("url.vcf", 2),
        ("home.vcf", 2),
        ("in.vcf -r ~nobody-of-this-name/g.fa", 2),
    ],
)
def test_what_is_odd_is_one_clear_line(
    words: str, status: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, reference in (("url", "file://[bad"), ("home", "~nobody-of-this-name/g.fa")):
        Path(f"{name}.vcf").write_text(SHORT.replace("\n", f"\n##reference={reference}\n", 1))
    Path("config").write_text('reference = "~nobody-of-this-name/g.fa"\n')
    if words == "home.vcf":
        monkeypatch.setenv("VARSCORE_CONFIG", "config")
    found = run(["annotate", *words.split(), "-o", "out.vcf"])
    assert found in ((0, 2) if status is None else (status,))
    if found:
        error(capsys)
    assert "internal error" not in capsys.readouterr().err


def test_a_nul_in_a_task_s_name_is_refused(tiny_model: ModelFolder, capsys: pytest.CaptureFixture[str]) -> None:
    tasks, card = tiny_model.path / "tasks.tsv", tiny_model.path / "card.toml"
    old = tasks.read_bytes()
    new = old.replace(tiny_model.tasks()[0].name.encode(), b"a\0b")
    tasks.write_bytes(new)
    sums = [hashlib.sha256(content).hexdigest() for content in (old, new)]
    card.write_text(card.read_text().replace(*sums))
    assert annotate("in.vcf -o out.vcf --scores m.h5") == 2
    assert "task 0 has a NUL in its name" in error(capsys)


def test_durations_do_not_follow_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6, 0, -1000))
    monkeypatch.setattr("time.time", lambda: float(next(clock)))  # somebody sets it back again and again
    assert annotate("in.vcf -o out.vcf") == 0
    record = json.loads(Path("out.vcf.run.json").read_text())
    assert 0 < record["seconds"] < 300 and record["records_per_second"] > 0
    assert record["finished"] >= record["started"]
    assert outputs.COMMIT_SECONDS == 0.0
