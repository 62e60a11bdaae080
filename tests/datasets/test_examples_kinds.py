"""Data sets of other kinds than labels: what is written is what is read, and damage is found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_kinds import TASKS, WINDOW, made_set

from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError


def test_a_plain_set_has_nothing_more(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "chromatin")
    rows = data.rows("all")
    assert (data.kind, data.strands, data.track_names, data.names) == ("labels", "both", (), ())
    assert data.known(rows) is None and data.fold is None and data.cell is None
    assert data.tracks(rows).shape == (90, 0, WINDOW) and data.scalars(rows).shape == (90, 0)
    assert data.targets(rows).dtype == np.float32 and np.array_equal(data.targets(rows), data.labels(rows))


def test_values_are_numbers_and_nan_is_unknown(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "values", known=0.5)
    rows, stored = np.array([3, 70, 2]), np.load(tmp_path / "d/values.npy")
    assert data.kind == "values" and not (tmp_path / "d/labels.npy").exists()
    assert np.array_equal(data.known(rows), ~np.isnan(stored[rows]))
    assert np.array_equal(data.targets(rows), np.where(np.isnan(stored[rows]), 0, stored[rows]))
    assert made_set(tmp_path / "e", "values").known(rows) is None
    with pytest.raises(DataError, match="values are no labels"):
        data.rows("test", labelled_only=True)


def test_known_bits_are_read_like_labels(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "labels", known=0.5)
    bits = np.unpackbits(np.load(tmp_path / "d/known.npy"), axis=1)[:, :TASKS]
    assert np.array_equal(data.known(data.rows("all")), bits == 1) and 0 < bits.mean() < 1


def test_tracks_stay_with_their_bases_when_windows_are_cropped(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "labels", tracks=2)
    shorter, rows = data.cropped(20), np.array([5, 6])
    signal = np.load(tmp_path / "d/tracks.npy")
    first = 50 + (WINDOW - 1) // 2 - (20 - 1) // 2
    assert np.array_equal(shorter.tracks(rows)[0], signal[:, first : first + 20])
    assert data.track_names == ("track 0", "track 1")


def test_folds_are_held_out_one_by_one(tmp_path: Path) -> None:
    data = made_set(tmp_path / "d", "values", folds=5)
    tested = []
    for fold in range(5):
        other = data.held_out(fold)
        test, validation, train = (set(other.rows(split).tolist()) for split in ("test", "validation", "train"))
        assert {data.fold[row] for row in test} == {fold}
        assert {data.fold[row] for row in validation} == {(fold + 1) % 5}
        assert len(test | validation | train) == len(data) == len(test) + len(validation) + len(train)
        assert other.sha256 != data.sha256
        tested += sorted(test)
    assert sorted(tested) == list(range(len(data))), "each example is tested once"
    with pytest.raises(DataError, match="no fold 5"):
        data.held_out(5)
    with pytest.raises(DataError, match="no fold 0 to hold out.*it has 0 folds"):
        made_set(tmp_path / "e", "values").held_out(0)


def test_names_belong_to_examples(tmp_path: Path) -> None:
    names = tuple(f"gene {i}" for i in range(90))
    assert made_set(tmp_path / "d", "values", names=names).names == names
    (tmp_path / "d/names.txt").write_text("one\ntwo\n")
    with pytest.raises(DataError, match="2 names of 90 examples"):
        _ = ExampleSet(tmp_path / "d").names


def change(folder: Path, name: str, array: np.ndarray) -> None:
    np.save(folder / f"{name}.npy", array)


@pytest.mark.parametrize(
    ("name", "shape", "cause"),
    [
        ("known", (90, 2), "differ in length"),
        ("known", (89, 1), "differ in length"),
        ("tracks", (2, 900), "tracks are not as long"),
        ("scalars", (90, 4), "scalars are not as many"),
        ("fold", (4,), "differ in length"),
    ],
)
def test_damage_is_found(tmp_path: Path, name: str, shape: tuple[int, ...], cause: str) -> None:
    folder = made_set(tmp_path / "d", "labels", tracks=1, scalars=2, folds=3, known=0.5).folder
    change(folder, name, np.zeros(shape, np.load(folder / f"{name}.npy").dtype))
    with pytest.raises(DataError, match=cause):
        ExampleSet(folder)


def test_every_example_has_one_class(tmp_path: Path) -> None:
    folder = made_set(tmp_path / "d", "classes").folder
    labels = np.load(folder / "labels.npy")
    for wrong in (0, 0b11000000):
        labels[7] = wrong
        change(folder, "labels", labels)
        with pytest.raises(DataError, match="an example has no class, or two"):
            ExampleSet(folder)


def test_strands_are_both_or_one(tmp_path: Path) -> None:
    folder = made_set(tmp_path / "d", "labels").folder
    info = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(info | {"strands": "plus"}))
    with pytest.raises(DataError, match="strands are 'plus'"):
        ExampleSet(folder)
