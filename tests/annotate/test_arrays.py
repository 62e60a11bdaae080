"""Score matrices, read back with the libraries that other people read them with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from varscore.annotate.writers import arrays
from varscore.annotate.writers.arrays import MatrixWriter, open_matrix
from varscore.errors import OutputError, OutputExists, UsageError
from varscore.genome.alleles import ByteColumn

TASKS = ("0:K562|CTCF|None", "3:HepG2|DNase|None", "7:tab\there and ünïcode")
FACTS = {"varscoreVersion": "1.2", "varscoreModel": "<ID=m,SHA256=ab>"}
FORMATS = ("parquet", "zarr", "h5")
BLOCKS = ("ref", "alt", "diff", "logodds")
COLUMNS = {"ref": "ref_prob", "alt": "alt_prob", "diff": "diff", "logodds": "logodds"}


@dataclass(frozen=True)
class Rows:
    """Alleles and their scores, as the test knows them."""

    chrom: list[str]
    pos: np.ndarray
    ref: list[bytes]
    alt: list[bytes]
    status: list[str]
    values: dict[str, np.ndarray]

    @classmethod
    def random(cls, n: int, tasks: int = len(TASKS), blocks: tuple[str, ...] = BLOCKS) -> Rows:
        random = np.random.default_rng(n)
        scored = random.random(n) < 0.8
        values = {name: random.standard_normal((n, tasks)).astype(np.float32) for name in blocks}
        for block in values.values():
            block[~scored] = np.nan
        alts = [[b"T", b"<DEL>", b"G" * 300][i % 3] for i in range(n)]
        status = ["PASS" if ok else "SYMBOLIC" for ok in scored.tolist()]
        return cls([f"chr{i // 7}" for i in range(n)], np.arange(n) * 3 + 1, [b"AC"] * n, alts, status, values)

    def write(self, writer: MatrixWriter, pieces: Iterator[int]) -> None:
        first = 0
        while first < len(self.pos):
            here = slice(first, first + next(pieces))
            values = {name: block[here] for name, block in self.values.items()}
            writer.write(self.chrom[here], self.pos[here], self.ref[here], self.alt[here], self.status[here], values)
            first = here.stop


def forever(n: int) -> Iterator[int]:
    while True:
        yield n


def read(path: Path) -> tuple[dict[str, list[str]], np.ndarray, dict[str, np.ndarray]]:
    """Text columns, pos and score columns of a matrix; a Parquet null is a row of NaN."""
    text = ("chrom", "ref", "alt", "status")
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        scores = {}
        for name in table.column_names[5:]:
            rows = table[name].to_pylist()
            scores[name] = np.array([[np.nan] * 3 if row is None else row for row in rows], np.float32).reshape(-1, 3)
        return {name: table[name].to_pylist() for name in text}, table["pos"].to_numpy(), scores
    if path.suffix == ".zarr":
        group = zarr.open_group(path, mode="r")
        every = {name: array[:] for name, array in group.arrays()}
    else:
        with h5py.File(path) as file:
            every = {name: (data.asstr()[:] if name in text else data[:]) for name, data in file.items()}
        every.pop("task")
    strings = {name: [str(value) for value in every.pop(name)] for name in text}
    return strings, every.pop("pos"), every


@pytest.fixture
def small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slabs of 32 rows, so that a few dozen rows are several."""
    monkeypatch.setattr(arrays, "_MOST_CHUNK_ROWS", 2)


@pytest.mark.usefixtures("small_slabs")
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 100])
def test_what_is_written_is_what_is_read(tmp_path: Path, suffix: str, n: int) -> None:
    path = tmp_path / f"scores.{suffix}"
    rows = Rows.random(n)
    with open_matrix(str(path), TASKS, FACTS) as writer:
        rows.write(writer, forever(7))
        assert not path.exists()
    text, pos, scores = read(path)
    assert text == {
        "chrom": rows.chrom,
        "ref": [allele.decode() for allele in rows.ref],
        "alt": [allele.decode() for allele in rows.alt],
        "status": rows.status,
    }
    assert pos.dtype == np.int64
    np.testing.assert_array_equal(pos, rows.pos)
    assert set(scores) == set(COLUMNS.values())
    for name, column in COLUMNS.items():
        assert scores[column].dtype == np.float32
        assert scores[column].shape == (n, 3)
        np.testing.assert_array_equal(scores[column], rows.values[name])
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.usefixtures("small_slabs")
@pytest.mark.parametrize("suffix", FORMATS)
def test_the_files_do_not_depend_on_the_pieces(tmp_path: Path, suffix: str) -> None:
    contents = []
    for size in (1, 5, 32, 1000):
        path = tmp_path / str(size) / f"scores.{suffix}"
        path.parent.mkdir()
        with open_matrix(str(path), TASKS, FACTS) as writer:
            Rows.random(77).write(writer, forever(size))
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        contents.append({str(file.relative_to(path.parent)): file.read_bytes() for file in files})
    assert contents[0] == contents[1] == contents[2] == contents[3]


def test_parquet_has_null_lists_bounded_row_groups_and_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_CHUNK_BYTES", 24)  # two rows of three tasks
    path = tmp_path / "scores.parquet"
    rows = Rows.random(70)
    with open_matrix(str(path), TASKS, FACTS) as writer:
        rows.write(writer, forever(70))
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [32, 32, 6]
    assert file.schema_arrow.field("diff").type == pa.list_(pa.field("element", pa.float32()), 3)
    nulls = file.read().column("diff").is_null().to_pylist()
    assert nulls == [status != "PASS" for status in rows.status]
    assert True in nulls
    metadata = file.schema_arrow.metadata
    assert {key: metadata[key.encode()].decode() for key in FACTS} == FACTS
    assert tuple(json.loads(metadata[b"varscoreTasks"])) == TASKS


@pytest.mark.usefixtures("small_slabs")
def test_zarr_is_version_3_sharded_and_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.zarr"
    with open_matrix(str(path), TASKS, FACTS) as writer:
        Rows.random(70).write(writer, forever(70))
    group = zarr.open_group(path, mode="r")
    diff = group["diff"]
    assert group.metadata.zarr_format == 3
    assert isinstance(diff, zarr.Array)
    assert (diff.shards, diff.chunks) == ((32, 3), (2, 3))
    assert diff.metadata.dimension_names == ("allele", "task")
    assert dict(group.attrs) == {**FACTS, "varscoreTasks": list(TASKS)}


@pytest.mark.parametrize("tasks", [3, 9000])
def test_hdf5_names_its_tasks_however_many_there_are(tmp_path: Path, tasks: int) -> None:
    path = tmp_path / "scores.h5"
    names = [f"{i}:a rather long task name" for i in range(tasks)]  # together more than an attribute holds
    with open_matrix(str(path), names, FACTS) as writer:
        Rows.random(3, tasks).write(writer, forever(3))
    with h5py.File(path) as file:
        assert file["task"].asstr()[:].tolist() == names
        assert dict(file.attrs) == FACTS
        assert file["diff"].shape == (3, tasks)
        assert file["diff"].chunks == (2**20 // (4 * tasks) if tasks == 9000 else 4096, tasks)


@pytest.mark.parametrize("suffix", FORMATS)
def test_other_blocks_and_byte_columns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scores.{suffix}"
    rows = Rows.random(5, blocks=("diff", "evalue"))
    with open_matrix(str(path), TASKS, {}, blocks=("diff", "evalue")) as writer:
        chrom = np.array(rows.chrom)
        writer.write(chrom, rows.pos, ByteColumn.of(rows.ref), ByteColumn.of(rows.alt), rows.status, rows.values)
    text, _, scores = read(path)
    assert text["alt"] == [allele.decode() for allele in rows.alt]
    assert text["chrom"] == rows.chrom
    assert set(scores) == {"diff", "evalue"}
    np.testing.assert_array_equal(scores["evalue"], rows.values["evalue"])


@pytest.mark.parametrize("damage", ["fewer tasks", "fewer rows", "another block", "fewer alleles"])
def test_blocks_that_do_not_fit_are_a_bug(tmp_path: Path, damage: str) -> None:
    rows = Rows.random(4)
    values, chrom = dict(rows.values), rows.chrom
    if damage == "fewer tasks":
        values["diff"] = values["diff"][:, :2]
    elif damage == "fewer rows":
        values["diff"] = values["diff"][:3]
    elif damage == "another block":
        values["other"] = values.pop("diff")
    else:
        chrom = chrom[:3]
    writer = open_matrix(str(tmp_path / "scores.parquet"), TASKS, FACTS)
    with pytest.raises(ValueError, match="blocks"):
        writer.write(chrom, rows.pos, rows.ref, rows.alt, rows.status, values)
    writer.abort()


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_existing_matrix_is_replaced_only_with_force_and_only_at_the_end(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scores.{suffix}"
    for n in (3, 5):
        with open_matrix(str(path), TASKS, FACTS, force=n == 5) as writer:
            Rows.random(n).write(writer, forever(n))
            assert n == 3 or len(read(path)[1]) == 3
    with pytest.raises(OutputExists):
        open_matrix(str(path), TASKS, FACTS)
    assert len(read(path)[1]) == 5
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_failure_leaves_the_old_matrix_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scores.{suffix}"
    with open_matrix(str(path), TASKS, FACTS) as writer:
        Rows.random(3).write(writer, forever(3))
    with pytest.raises(KeyError), open_matrix(str(path), TASKS, FACTS, force=True) as writer:
        Rows.random(4).write(writer, forever(4))
        raise KeyError
    writer.abort()
    writer.commit()
    assert len(read(path)[1]) == 3
    assert os.listdir(tmp_path) == [path.name]


def test_force_never_removes_a_folder_that_is_no_zarr_store(tmp_path: Path) -> None:
    path = tmp_path / "precious.zarr"
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputExists, match="remove it yourself"):
        open_matrix(str(path), TASKS, FACTS, force=True)
    assert (path / "thesis.tex").read_text() == "years of work"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", FORMATS)
def test_two_writers_of_one_matrix_do_not_meet(tmp_path: Path, suffix: str) -> None:
    path = str(tmp_path / f"scores.{suffix}")
    with open_matrix(path, TASKS, FACTS) as writer:
        Rows.random(3).write(writer, forever(3))
        with pytest.raises(OutputError, match="another process is writing"):
            open_matrix(path, TASKS, FACTS)
    assert len(read(Path(path))[1]) == 3


def test_what_a_killed_process_left_behind_is_taken_over(tmp_path: Path) -> None:
    left = tmp_path / ".scores.zarr.varscore-part" / "diff" / "c"
    left.mkdir(parents=True)
    (left / "99").write_bytes(b"half a shard")
    with open_matrix(str(tmp_path / "scores.zarr"), TASKS, FACTS) as writer:
        Rows.random(3).write(writer, forever(3))
    assert os.listdir(tmp_path) == ["scores.zarr"]
    assert not (tmp_path / "scores.zarr" / "diff" / "c" / "99").exists()
    assert len(read(tmp_path / "scores.zarr")[1]) == 3


@pytest.mark.parametrize(("suffix", "package"), [("zarr", "zarr"), ("h5", "h5py")])
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"needs the package {package}.*pip install {package}"):
        open_matrix(str(tmp_path / f"scores.{suffix}"), TASKS, FACTS)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["scores", "scores.csv", "-", "scores.h5.gz"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.parquet, \.zarr or \.h5"):
        open_matrix(name if name == "-" else str(tmp_path / name), TASKS, FACTS)


def test_a_stream_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(UsageError, match="stream"):
        open_matrix(str(tmp_path / "pipe.parquet"), TASKS, FACTS)


FILL_THE_DISK = """
import resource, sys
import numpy as np
from varscore.errors import OutputError
from varscore.annotate.writers.arrays import open_matrix
n, tasks = 40_000, 50
try:
    with open_matrix(sys.argv[1], [str(i) for i in range(tasks)], {}, force=True) as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
        block = np.random.default_rng(0).random((n, tasks), np.float32)
        values = dict.fromkeys(("ref", "alt", "diff", "logodds"), block)
        for _ in range(3):
            writer.write(["chr1"] * n, np.arange(n), [b"A"] * n, [b"G"] * n, ["PASS"] * n, values)
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("limit", [2_000, 5_000_000])
def test_a_full_disk_is_an_output_error_and_the_old_matrix_survives(tmp_path: Path, suffix: str, limit: int) -> None:
    path = tmp_path / f"scores.{suffix}"
    with open_matrix(str(path), TASKS, FACTS) as writer:
        Rows.random(3).write(writer, forever(3))
    answer = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(path), str(limit)], capture_output=True, text=True, timeout=120
    )
    assert answer.stdout.startswith("cannot write: "), answer.stderr
    assert answer.stdout.count("\n") == 1
    assert answer.returncode == 0
    assert len(read(path)[1]) == 3
    assert os.listdir(tmp_path) == [path.name]
