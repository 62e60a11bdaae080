"""What surrounds a run: folders that cannot be written to, slow and impatient readers, signals early on, fuzz."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from cli.made_runs import VCF, annotate, set_up, undisturbed, written
from hypothesis import given, settings
from hypothesis import strategies as st
from stress.fuzz import Bench, Tally, fuzz, surroundings
from stress.judge import Judge

from varscore.formats.vcf import VariantReader
from varscore.zoo.models import ModelFolder

SHORT = VCF[: VCF.index("\tv100\t")].rpartition("\n")[0] + "\n"
"""The header and a hundred records"""


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch, heeded_signals: None) -> None:
    set_up(tmp_path, monkeypatch)


@pytest.fixture
def open_workspace(tiny_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working directory that another user can read and work in; pytest's is root's alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in (folder, folder / "cache"):
            path.mkdir(exist_ok=True)
            path.chmod(0o777)
        shutil.copytree(tiny_model.path.parent, folder / "models")
        monkeypatch.setenv("VARSCORE_MODELS", str(folder / "models"))
        monkeypatch.setattr("varscore.zoo.shelf.bundled_folder", lambda: folder / "models")
        set_up(folder, monkeypatch)
        yield


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the powers of root, who may write everywhere."""
    if is_root := os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.parametrize("further", ["", "--no-resume", "--scores other/m.zarr"])
def test_a_folder_that_cannot_be_written_to(
    open_workspace: None, further: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, mode in (("locked", 0o555), ("other", 0o777)):
        Path(name).mkdir()
        Path(name).chmod(mode)
    with as_nobody():
        assert annotate(f"in.vcf -o locked/out.vcf.gz {further}") == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("varscore: error: cannot write: Permission denied, locked/out.vcf.gz; ")
    assert written() == {}


# -- pipes -----------------------------------------------------------------------------------------------------------


@contextmanager
def narrow_pipe(reader: Callable[[int], None]) -> Iterator[str]:
    """The name of a pipe that holds a page, whose other end is given to ``reader`` in a thread."""
    source, sink = os.pipe()
    fcntl.fcntl(sink, 1031, 4096)  # F_SETPIPE_SZ
    thread = threading.Thread(target=reader, args=(source,))
    thread.start()
    yield f"/dev/fd/{sink}"
    os.close(sink)
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("letter", "vt")
def test_a_reader_of_single_bytes_gets_everything(letter: str) -> None:
    Path("in.vcf").write_text(SHORT)
    (expected,) = (data for name, data in undisturbed(f"in.vcf -o out -O {letter}").items() if name == "out")
    taken = bytearray()

    def read(source: int) -> None:
        while byte := os.read(source, 1):
            taken.extend(byte)
        os.close(source)

    with narrow_pipe(read) as name:
        assert annotate(f"in.vcf -o {name} -O {letter}") == 0
    assert bytes(taken) == expected


@pytest.mark.parametrize(("letter", "taken"), [("v", 0), ("v", 1), *((letter, 5000) for letter in "vzbtp")])
def test_a_reader_that_leaves_is_status_141_and_silence(
    letter: str, taken: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def read(source: int) -> None:
        os.read(source, taken) if taken else None
        os.close(source)

    with narrow_pipe(read) as name:
        assert annotate(f"in.vcf -o {name} -O {letter}") == 141
    assert capfd.readouterr().err == ""
    assert written() == {}


def test_an_input_that_comes_byte_by_byte() -> None:
    Path("in.vcf").write_text(SHORT)
    expected = undisturbed("in.vcf -o out.vcf")["out.vcf"]
    os.mkfifo("slow")

    def feed() -> None:
        with open("slow", "wb", buffering=0) as pipe:
            for byte in SHORT.encode():
                pipe.write(bytes([byte]))

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert annotate("slow -o out.vcf") == 0
    feeder.join(60)
    assert Path("out.vcf").read_bytes() == expected


# -- early and late --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_before_the_first_record_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], signum: int
) -> None:
    load = ModelFolder.load

    def disturbed(model: ModelFolder) -> object:
        signal.raise_signal(signum)
        return load(model)

    monkeypatch.setattr(ModelFolder, "load", disturbed)
    assert annotate("in.vcf -o out.vcf.gz") == 128 + signum
    assert capsys.readouterr().err.splitlines()[-1].startswith("varscore: warning: ")
    assert all(Path(name).name.startswith(".") for name in written())
    monkeypatch.setattr(ModelFolder, "load", load)
    assert annotate("in.vcf -o out.vcf.gz") == 0
    assert Path("out.vcf.gz").exists()


def test_a_run_in_the_worker_process_of_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the engine's thread must leave signals alone, which only the main thread may touch."""
    expected = undisturbed("in.vcf -o out.vcf")
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: threading.Thread())
    assert annotate("in.vcf -o out.vcf") == 0
    assert written() == expected


# -- fuzz ------------------------------------------------------------------------------------------------------------


def test_whatever_comes_in_comes_out_whole_or_is_refused(tmp_path: Path, tiny_model: ModelFolder) -> None:
    """The seconds-long version of ``make stress``; hypothesis shrinks what fails."""
    with Judge() as judge:
        bench = Bench.make(tmp_path, Path("g.fa").resolve(), tiny_model, judge)
        tally = Tally()

        @settings(max_examples=60, database=None)
        @given(st.randoms(use_true_random=False))
        def try_some(dice: Random) -> None:
            bench.try_one(dice, tally)

        with surroundings(bench):
            for seed in range(20):  # hypothesis may draw damage alone
                bench.try_one(Random(seed), tally)
            try_some()
    assert {"annotated", "bad text refused"} <= tally.ways.keys()


def test_the_fuzz_finds_what_it_looks_for(tmp_path: Path, tiny_model: ModelFolder) -> None:
    """A reader that loses records or takes part of a file for all of it must not pass."""
    with Judge() as judge, pytest.MonkeyPatch.context() as patch:
        bench = Bench.make(tmp_path, Path("g.fa").resolve(), tiny_model, judge)
        assert not fuzz(30, 5, bench).failures
        chunks = VariantReader.chunks
        patch.setattr(VariantReader, "chunks", lambda *given: (c.select(c.numbers != 2) for c in chunks(*given)))
        assert fuzz(30, 5, bench).failures
