"""Prediction tables, read back with csv and pyarrow."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from varscore.errors import OutputExists, UsageError
from varscore.genome.coords import Interval
from varscore.predict import tables as predictions
from varscore.predict.tables import open_predictions

FACTS = [("varscoreVersion", "1"), ("varscoreModel", "<ID=m>")]
TASKS = ["0:CTCF", "2:DNase"]
NAMES = ["one", "two", "thr|ee"]
PLACES = [Interval("chr1", 0, 10), Interval("chr2", 5, 9), Interval("chr1", 3, 3)]
VALUES = np.array([[0.125, 1.0], [1e-9, 0.333333333], [0.5, 0.0]], np.float32)


def write(path: Path, places: list[Interval], tasks: list[str] = TASKS, values: np.ndarray = VALUES) -> None:
    with open_predictions(str(path), FACTS, tasks, places=bool(places)) as writer:
        writer.write(NAMES[:2], places[:2], values[:2])
        writer.write(NAMES[2:], places[2:], values[2:])


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz"])
@pytest.mark.parametrize("places", [[], PLACES])
def test_tsv(tmp_path: Path, suffix: str, places: list[Interval]) -> None:
    path = tmp_path / f"p{suffix}"
    write(path, places)
    text = gzip.decompress(path.read_bytes()).decode() if suffix == ".tsv.gz" else path.read_text()
    lines = text.splitlines()
    assert lines[:2] == ["##varscoreVersion=1", "##varscoreModel=<ID=m>"]
    rows = list(csv.DictReader(lines[2:], delimiter="\t"))
    assert [row["name"] for row in rows] == NAMES
    if places:
        assert [(row["chrom"], row["start"], row["end"]) for row in rows] == [
            ("chr1", "0", "10"),
            ("chr2", "5", "9"),
            ("chr1", "3", "3"),
        ]
    assert list(rows[0]) == ["name", *(["chrom", "start", "end"] if places else []), *TASKS]
    assert [[row[task] for task in TASKS] for row in rows] == [["0.125", "1"], ["1e-09", "0.333333"], ["0.5", "0"]]


def test_tsv_gz_is_bgzf(tmp_path: Path) -> None:
    write(tmp_path / "p.tsv.gz", [])
    content = (tmp_path / "p.tsv.gz").read_bytes()
    assert content[12:14] == b"BC"
    assert content.endswith(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))


@pytest.mark.parametrize("rows_a_group", [1, 2, 1000])
@pytest.mark.parametrize("places", [[], PLACES])
def test_parquet_with_a_column_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: list[Interval], rows_a_group: int
) -> None:
    monkeypatch.setattr(predictions, "_MOST_ROWS", rows_a_group)
    path = tmp_path / "p.parquet"
    write(path, places)
    table = pq.read_table(path)
    assert table["name"].to_pylist() == NAMES
    if places:
        assert table.select(["chrom", "start", "end"]).to_pylist()[1] == {"chrom": "chr2", "start": 5, "end": 9}
    for column, task in enumerate(TASKS):
        assert table.schema.field(task).type == pa.float32()
        np.testing.assert_array_equal(table[task].to_numpy(), VALUES[:, column])
    assert table.schema.metadata[b"varscoreModel"] == b"<ID=m>"
    assert json.loads(table.schema.metadata[b"varscoreTasks"]) == TASKS
    assert pq.ParquetFile(path).num_row_groups == -(-3 // rows_a_group)


def test_parquet_with_too_many_tasks_for_columns(tmp_path: Path) -> None:
    tasks = [f"{i}:t" for i in range(2001)]
    values = np.random.default_rng(0).random((3, 2001), np.float32)
    write(tmp_path / "p.parquet", PLACES, tasks, values)
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names == ["name", "chrom", "start", "end", "probability"]
    np.testing.assert_array_equal(np.array(table["probability"].to_pylist(), np.float32), values)
    assert json.loads(table.schema.metadata[b"varscoreTasks"]) == tasks


@pytest.mark.parametrize("suffix", predictions.SUFFIXES)
def test_a_failure_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    path.write_text("old")
    with pytest.raises(OutputExists):
        write(path, [])
    with pytest.raises(KeyError), open_predictions(str(path), FACTS, TASKS, places=False, force=True) as writer:
        writer.write(NAMES, [], VALUES)
        raise KeyError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.tsv, \.tsv\.gz, \.parquet"):
        write(tmp_path / "p.csv", [])
    assert os.listdir(tmp_path) == []


FILL_THE_DISK = """
import resource, sys
import numpy as np
from varscore.errors import OutputError
from varscore.predict.tables import open_predictions
values = np.random.default_rng(0).random((10_000, 40), np.float32)
names = [str(i) for i in range(len(values))]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2)
try:
    with open_predictions(sys.argv[1], [], [str(i) for i in range(40)], places=False) as writer:
        writer.write(names, [], values)
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("suffix", predictions.SUFFIXES)
def test_a_full_disk_is_an_output_error(tmp_path: Path, suffix: str) -> None:
    command = [sys.executable, "-c", FILL_THE_DISK, str(tmp_path / f"p{suffix}")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.stdout.startswith("cannot write: "), answer.stderr
    assert answer.returncode == 0
    assert os.listdir(tmp_path) == []
