"""DeepSEA's bundle in miniature: files with the real axes, written by scipy and h5py, read back as a data set."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from varscore.cli.boundary import run
from varscore.datasets import deepsea
from varscore.datasets.deepsea import build_deepsea, read_tasks
from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError
from varscore.formats import matlab

LETTERS, OTHER = "AGCT", str.maketrans("ACGTN", "TGCAN")
CODES = {letter: code for code, letter in enumerate("ACGTN")}
TASKS = 11


def sequences(count: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("ACGTN"), 1000, p=[0.3, 0.2, 0.24, 0.25, 0.01])) for _ in range(count)]


def with_pairs(one: list[str]) -> list[str]:
    return one + [text.translate(OTHER)[::-1] for text in one]


def as_matlab(texts: list[str]) -> np.ndarray:
    """uint8 (N, 4, 1000), channels A, G, C, T, as MATLAB shows it."""
    letters = np.array([list(text) for text in texts])
    return np.stack([letters == letter for letter in LETTERS], 1).astype(np.uint8)


def made_labels(count: int, seed: int, pairs: bool = True) -> np.ndarray:
    labels = (np.random.default_rng(seed).random((count, TASKS)) < 0.3).astype(np.uint8)
    return np.concatenate([labels, labels]) if pairs else labels


def save_73(path: Path, stem: str, bases: np.ndarray, labels: np.ndarray, **how: Any) -> None:
    """Version 7.3: HDF5 behind 512 bytes of text, every array stored with its axes in reverse."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset(f"{stem}xdata", data=np.ascontiguousarray(bases.T), **how)
        file.create_dataset(f"{stem}data", data=np.ascontiguousarray(labels.T))
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def save_5(path: Path, stem: str, bases: np.ndarray, labels: np.ndarray, compress: bool = True) -> None:
    others = {"about": "a text", "cells": np.array([1, "x"], object)}
    arrays = {**others, f"{stem}xdata": bases, f"{stem}data": labels}
    scipy.io.savemat(path, arrays, do_compression=compress)


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, list[str], np.ndarray]:
    """The folder, and the sequences and labels that belong into the data set, in order."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    train, valid, test = sequences(9, 1), sequences(4, 2), sequences(5, 3)
    labels = [made_labels(len(part), len(part)) for part in (train, valid, test)]
    save_73(folder / "train.mat", "train", as_matlab(with_pairs(train)), labels[0], chunks=(100, 4, 5), compression=1)
    save_5(folder / "valid.mat", "valid", as_matlab(with_pairs(valid)), labels[1].astype(np.float64))
    save_5(folder / "test.mat", "test", as_matlab(with_pairs(test)), labels[2], compress=False)
    kept = np.concatenate([part[: len(part) // 2] for part in labels])
    return folder, train + valid + test, kept


@pytest.mark.parametrize("rows", [4096, 3])
def test_a_bundle_becomes_a_data_set(
    bundle: tuple[Path, list[str], np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(deepsea, "_ROWS", rows)
    folder, texts, labels = bundle
    assert build_deepsea(folder, tmp_path / "d") == {"train": 9, "validation": 4, "test": 5}
    data = ExampleSet(tmp_path / "d")
    everything = data.rows("all")
    assert data.windows(everything).tolist() == [[CODES[letter] for letter in text] for text in texts]
    assert data.labels(everything).tolist() == labels.tolist()
    assert [len(data.rows(split)) for split in ("train", "validation", "test")] == [9, 4, 5]
    assert (data.window, data.strands, len(data.tasks), data.tasks[3].name) == (1000, "both", TASKS, "task3")
    assert [data.contigs[c] for c in data.contig[[0, 9, 13]]] == ["train.mat", "valid.mat", "test.mat"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "d"]  # nothing of the scratch is left


def test_rows_that_are_no_pairs_are_all_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts, labels = sequences(6, 4), made_labels(6, 4, pairs=False)
    save_5(tmp_path / "valid.mat", "valid", as_matlab(texts), labels)
    assert build_deepsea(tmp_path, tmp_path / "out" / "d") == {"validation": 6}
    data = ExampleSet(tmp_path / "out" / "d")
    assert data.labels(data.rows("validation")).tolist() == labels.tolist()
    assert data.windows(np.array([5]))[0].tolist() == [CODES[letter] for letter in texts[5]]
    assert "every row is kept" in caplog.text and "no train.mat, test.mat" in caplog.text


@pytest.mark.parametrize("save", [save_73, save_5])
@pytest.mark.parametrize("order", [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_another_order_of_axes_is_refused(tmp_path: Path, save: Any, order: tuple[int, int, int]) -> None:
    bases = as_matlab(with_pairs(sequences(3, 5)))
    save(tmp_path / "test.mat", "test", np.ascontiguousarray(bases.transpose(order)), made_labels(3, 5))
    with pytest.raises(DataError, match="testxdata has its axes in another order.*N, 4, 1000"):
        build_deepsea(tmp_path, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_labels_the_wrong_way_round_are_refused(tmp_path: Path) -> None:
    bases = as_matlab(with_pairs(sequences(3, 5)))
    save_73(tmp_path / "train.mat", "train", bases, made_labels(3, 5).T)
    with pytest.raises(DataError, match=r"traindata has its axes in another order.*6, tasks.*\(11, 6\)"):
        build_deepsea(tmp_path, tmp_path / "d")


def spoil(bundle: Path, what: str) -> None:
    bases, labels = as_matlab(with_pairs(sequences(100, 6))), made_labels(100, 6)
    if what == "two":
        bases[70, :2, 5] = 1
    elif what == "value":
        bases[70, :, 5] *= 2
    elif what == "label":
        labels[70, 0] = 3
    elif what == "pair":
        bases[90] = as_matlab(sequences(1, 7))[0]
    elif what == "few pairs":
        bases[3] = as_matlab(sequences(1, 7))[0]
    else:
        labels[190, 2] ^= 1
    save_5(bundle / "test.mat", "test", bases, labels)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("two", "are not one-hot"),
        ("value", "are not one-hot"),
        ("label", "are not all 0 or 1"),
        ("pair", "row 190 is not the reverse complement of row 90"),
        ("few pairs", "some rows of its second half"),
        ("other label", "row 190 is not the reverse complement of row 90 with its labels"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path: Path, what: str, message: str) -> None:
    spoil(tmp_path, what)
    with pytest.raises(DataError, match=message):
        build_deepsea(tmp_path, tmp_path / "d")


@pytest.mark.parametrize("save", [save_73, save_5])
def test_memory_is_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Any) -> None:
    monkeypatch.setattr(deepsea, "_ROWS", 16)
    monkeypatch.setattr(matlab, "_PIECE", 1 << 14)
    peaks = []
    for count in (60, 600):
        folder = tmp_path / f"{count}"
        folder.mkdir()
        one = np.eye(4, dtype=np.uint8)[np.random.default_rng(0).integers(0, 4, (count, 1000))].transpose(0, 2, 1)
        bases = np.concatenate([one, one[:, ::-1, ::-1]])
        how = {"chunks": (1000, 4, 8)} if save is save_73 else {}
        save(folder / "test.mat", "test", bases, made_labels(count, 1), **how)
        size = bases.nbytes
        del one, bases
        if not peaks:
            build_deepsea(folder, folder / "warm")
        tracemalloc.start()
        build_deepsea(folder, folder / "d")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert size == 4_800_000 and peaks[1] < peaks[0] * 1.2 and peaks[1] < 3_000_000


def test_names_of_tasks(tmp_path: Path) -> None:
    lines, table = tmp_path / "predictor.names", tmp_path / "names.tsv"
    lines.write_text("8988T|DNase|None\nK562|CTCF|None\n")
    assert [task.name for task in read_tasks(lines, 2)] == ["8988T|DNase|None", "K562|CTCF|None"]
    table.write_text("index\tname\tgroup\tcell\n0\ta\tTF\tK562\n1\ta\t\tHeLa\n")
    first, second = read_tasks(table, 2)
    assert (first.name, first.group, dict(first.facts)) == ("a", "TF", {"cell": "K562"})
    assert (second.index, second.name, second.group) == (1, "a", "")
    with pytest.raises(DataError, match="2 names for 3 tasks"):
        read_tasks(lines, 3)
    table.write_text("index\tname\n1\ta\n0\tb\n")
    with pytest.raises(DataError, match="does not count from 0"):
        read_tasks(table, 2)
    groups = [task.group for task in read_tasks(None, 919)]
    assert [groups[i] for i in (0, 124, 125, 814, 815, 918)] == ["DNase", "DNase", "TF", "TF", "histone", "histone"]


@pytest.mark.parametrize("damage", ["text", "cut", "bits", "missing array", "hdf5 cut", "elsewhere", "objects"])
def test_damaged_files_are_one_line(
    bundle: tuple[Path, list[str], np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    folder = bundle[0]
    valid, train = folder / "valid.mat", folder / "train.mat"
    if damage == "text":
        valid.write_text("no matrix at all " * 20)
    elif damage == "cut":
        valid.write_bytes(valid.read_bytes()[:-900])
    elif damage == "bits":
        content = bytearray(valid.read_bytes())
        content[1000] ^= 255
        valid.write_bytes(content)
    elif damage == "missing array":
        save_5(valid, "other", np.zeros((2, 4, 1000), np.uint8), np.zeros((2, TASKS), np.uint8))
    elif damage == "hdf5 cut":
        train.write_bytes(train.read_bytes()[:5000])
    elif damage == "elsewhere":
        with h5py.File(train, "a") as file:
            del file["traindata"]
            file["traindata"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x")
    else:
        scipy.io.savemat(valid, {"validxdata": np.array([1, "x"], object), "validdata": np.zeros((2, 2))})
    assert run(["dataset", "deepsea", str(folder), "-o", str(tmp_path / "d")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("varscore: error: ") and err.count("\n") == 1
    assert not (tmp_path / "d").exists()


def test_the_command(
    bundle: tuple[Path, list[str], np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("".join(f"cell{i}|TF|None\n" for i in range(TASKS)))
    command = ["dataset", "deepsea", str(bundle[0]), "-o", str(tmp_path / "d"), "--names", str(names)]
    assert run(command) == 0
    assert "9 train, 4 validation, 5 test" in capsys.readouterr().out
    assert ExampleSet(tmp_path / "d").tasks[10].name == "cell10|TF|None"
    assert run(command) == 2 and "--force" in capsys.readouterr().err
    assert run([*command, "--force"]) == 0
