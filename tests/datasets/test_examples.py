"""The data set on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varscore.datasets.examples import ExampleSet, fresh_folder, pack_windows, write_examples
from varscore.errors import DataError, OutputExists
from varscore.tasks import Task, format_tasks, parse_tasks

TASKS = tuple(Task(i, f"t{i}", "TF") for i in range(11))
CODES = np.arange(40, dtype=np.uint8) % 5
LABELS = np.random.default_rng(0).integers(0, 2, (6, 11), dtype=np.uint8)
LABELS[2] = 0


def write(folder: Path, **more: object) -> None:
    write_examples(
        folder,
        info={"window": 8, "contigs": ["a", "b"], **more},
        tasks=TASKS,
        codes=[CODES[:13], CODES[13:]],
        bases=40,
        arrays={
            "offset": np.array([0, 4, 8, 20, 24, 32]),
            "contig": np.array([0, 0, 0, 1, 1, 1], np.int16),
            "start": np.array([-2, 2, 6, 100, 104, 112]),
            "labels": np.packbits(LABELS, axis=1),
            "split": np.array([0, 0, 2, 1, 0, 2], np.uint8),
        },
    )


@pytest.fixture
def data(tmp_path: Path) -> ExampleSet:
    write(tmp_path / "data")
    return ExampleSet(tmp_path / "data")


def test_what_is_written_is_read(data: ExampleSet) -> None:
    assert (len(data), data.window, data.contigs, data.tasks) == (6, 8, ("a", "b"), TASKS)
    rows = np.array([5, 0])
    assert data.windows(rows).tolist() == [CODES[32:40].tolist(), CODES[0:8].tolist()]
    assert (data.labels(rows) == LABELS[rows]).all()
    assert data.labels(rows).dtype == data.windows(rows).dtype == np.uint8


def test_rows_of_a_split(data: ExampleSet) -> None:
    assert [data.rows(split).tolist() for split in ("train", "validation", "test")] == [[0, 1, 4], [3], [2, 5]]
    assert data.rows("all").tolist() == [0, 1, 2, 3, 4, 5]
    assert data.rows("test", labelled_only=True).tolist() == [5]
    with pytest.raises(DataError, match="no split 'tset'"):
        data.rows("tset")


def test_cropped_windows_keep_what_stands_at_the_anchor(data: ExampleSet) -> None:
    """Of 8 bp the anchor is index 3, of 4 bp index 1, of 5 bp index 2, of 1 bp index 0."""
    every = data.rows("all")
    wide = data.windows(every)
    for window, kept in ((4, slice(2, 6)), (5, slice(1, 6)), (1, slice(3, 4)), (7, slice(0, 7))):
        short = data.cropped(window)
        assert short.window == window and len(short) == len(data)
        assert np.array_equal(short.windows(every), wide[:, kept])
        assert np.array_equal(short.start, data.start + kept.start)
        assert np.array_equal(short.labels(every), LABELS)
        assert short.sha256 == data.sha256
    assert data.window == 8 and np.array_equal(data.windows(every), wide)
    assert data.cropped(8) is data
    with pytest.raises(DataError, match="reads 9 bp.* windows of 8 bp"):
        data.cropped(9)


def test_reading_changes_nothing_on_disk(data: ExampleSet) -> None:
    data.codes[:] = 0
    assert (ExampleSet(data.folder).codes == CODES).all()


def test_identity_follows_content(data: ExampleSet, tmp_path: Path) -> None:
    write(tmp_path / "same")
    write(tmp_path / "other", peaks={"a.bed": "0" * 64})
    same, other = ExampleSet(tmp_path / "same"), ExampleSet(tmp_path / "other")
    assert (same.sha256, same.source_sha256) == (data.sha256, data.source_sha256)
    assert other.sha256 != data.sha256 and other.source_sha256 != data.source_sha256


def drop(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def rewrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def edit(**changes: object) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        info = json.loads((folder / "dataset.json").read_text())
        info |= changes
        (folder / "dataset.json").write_text(json.dumps({k: v for k, v in info.items() if v is not None}))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop("dataset.json"), "not a varscore data set.*varscore dataset"),
        (shutil.rmtree, "not a varscore data set"),
        (rewrite("dataset.json", b"{"), "damaged data set"),
        (rewrite("dataset.json", b"[]"), "not a data set of format 1"),
        (edit(format=2), "not a data set of format 1"),
        (edit(window=None), "damaged data set"),
        (edit(window="wide"), "damaged data set"),
        (drop("labels.npy"), "damaged data set"),
        (drop("tasks.tsv"), "damaged data set"),
        (rewrite("tasks.tsv", b"index\tname\tgroup\n0\tx\t\n"), "arrays differ in length"),
        (rewrite("codes.npy", b""), "damaged data set"),
        (rewrite("codes.npy", b"\x80\x04K\x01."), "damaged data set"),  # a pickle
        (lambda folder: np.save(folder / "split.npy", np.zeros(5, np.uint8)), "arrays differ in length"),
        (lambda folder: np.save(folder / "offset.npy", np.arange(6) * 8), "beyond the stored bases"),
    ],
)
def test_a_damaged_data_set_is_one_line(data: ExampleSet, damage: Callable[[Path], object], message: str) -> None:
    damage(data.folder)
    with pytest.raises(DataError, match=message) as caught:
        ExampleSet(data.folder)
    assert "\n" not in str(caught.value)


def test_a_truncated_array_is_noticed(data: ExampleSet) -> None:
    path = data.folder / "codes.npy"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="damaged data set"):
        ExampleSet(data.folder)


def test_an_existing_folder_is_only_replaced_when_told(data: ExampleSet, tmp_path: Path) -> None:
    fresh_folder(tmp_path / "new", force=False)
    with pytest.raises(OutputExists, match="`force`"):
        fresh_folder(data.folder, force=False)
    fresh_folder(data.folder, force=True)
    assert ExampleSet(data.folder), "checking removes nothing"
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputExists, match="is no data set"):
        fresh_folder(tmp_path / "mine", force=True)


def test_a_failed_build_leaves_the_old_data_set_and_nothing_else(data: ExampleSet, tmp_path: Path) -> None:
    def codes() -> object:
        yield CODES[:13]
        raise DataError("the genome ended")

    with pytest.raises(DataError, match="the genome ended"):
        write_examples(data.folder, info={}, tasks=TASKS, codes=codes(), bases=40, arrays={})  # type: ignore[arg-type]
    assert len(ExampleSet(data.folder)) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    write(data.folder, kind="again")
    assert ExampleSet(data.folder).info["kind"] == "again"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 60)), max_size=15, unique=True).map(sorted))
def test_packed_windows_can_be_cut_out_again(places: list[tuple[int, int]]) -> None:
    """Lay 'bases' named (contig, position) end to end as told, and cut every window out again."""
    contig, start = np.array(places, np.int64).reshape(-1, 2).T
    stretches, offset = pack_windows(contig, start, 7)
    laid = [(c, i) for c, a, b in stretches.tolist() for i in range(a, b)]
    for (c, a), at in zip(places, offset.tolist(), strict=True):
        assert laid[at : at + 7] == [(c, i) for i in range(a, a + 7)]
    needed = {(c, i) for c, a in places for i in range(a, a + 7)}
    assert len(laid) == len(needed) and set(laid) == needed, "nothing is stored twice or for nothing"


def test_task_tables_come_back() -> None:
    tasks = (Task(0, 'a "b"', "", {"x": "1\t2"}), Task(1, "c\nd", "TF", {"y": "ü"}), Task(2, "", ""))
    text = format_tasks(tasks)
    assert text.splitlines()[0] == "index\tname\tgroup\tx\ty"
    assert parse_tasks(text) == tasks


@pytest.mark.parametrize(
    "text",
    [
        "",
        "index\tname\n",
        "index\tname\n0\tx\n",
        "index\tname\tgroup\n",
        "index\tname\tgroup\n1\tx\t\n",
        "index\tname\tgroup\nx\ty\tz\n",
        "index\tname\tgroup\n0\n",
        "index\tname\tgroup\n0\tx\t\textra\n",
    ],
)
def test_what_is_no_task_table(text: str) -> None:
    with pytest.raises(DataError, match="not a task table"):
        parse_tasks(text)
