"""Priors: counted by looking at every example, and the shift against what Bayes says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from datasets.test_peaks import SMALL, World

from varscore.datasets.examples import ExampleSet, write_examples
from varscore.datasets.peaks import BinOptions
from varscore.errors import DataError
from varscore.tasks import Task
from varscore.zoo.priors import Priors, count_priors, stated_priors

TASKS = (Task(0, "a|b"), Task(1, 'c "d"\te'), Task(2, "f"))
MADE = Priors(np.array([5, 0, 3]), np.array([20, 20, 9]), np.array([5, 0, 0]), np.array([80, 80, 0]))


def test_shares_and_shift_by_hand() -> None:
    assert MADE.training == pytest.approx([0.25, 0, 1 / 3])
    assert MADE.true[:2] == pytest.approx([0.0625, 0]) and np.isnan(MADE.true[2])
    assert MADE.untrained.tolist() == [1]
    # odds 5:15 in training, 5:75 in truth; without positives 20 negatives stand for 80; what nobody counted stays
    assert MADE.shift == pytest.approx([np.log((5 / 75) / (5 / 15)), np.log(20 / 80), 0])
    assert MADE.shift.dtype == np.float32


def test_the_shift_is_what_bayes_says_of_examples_drawn_by_class() -> None:
    """Four kinds of sequence; training keeps all positives and a tenth of the negatives."""
    positives, negatives = np.array([40, 300, 10, 650]), np.array([9000, 4000, 20_000, 1000])
    kept = negatives // 10
    shift = Priors(*(np.array([n]) for n in (1000, 1000 + kept.sum(), 1000, 1000 + negatives.sum()))).shift
    network = np.log(positives / kept)  # what a perfect network learns of each kind
    assert 1 / (1 + np.exp(-(network + shift))) == pytest.approx(positives / (positives + negatives), rel=1e-6)


def test_a_table_comes_back() -> None:
    read = Priors.parse(MADE.text(TASKS), 3)
    for name in ("positives", "examples", "true_positives", "true_examples"):
        assert getattr(read, name).tolist() == getattr(MADE, name).tolist()


@pytest.mark.parametrize(
    "edit", [("5\t20", "21\t20"), ("5\t20", "-5\t20"), ("20", "x"), ("positives", "p"), ("0\ta|b", ""), ("9", "9" * 30)]
)
def test_a_damaged_table_is_refused(edit: tuple[str, str]) -> None:
    with pytest.raises(DataError):
        Priors.parse(MADE.text(TASKS).replace(*edit), 3)
    with pytest.raises(DataError, match="priors of 3 tasks, not of 4"):
        Priors.parse(MADE.text(TASKS), 4)


def test_a_table_of_tasks_may_state_them() -> None:
    stated = tuple(Task(i, "t", "", {"positives": str(i), "examples": "9"}) for i in range(3))
    found = stated_priors(stated)
    assert found is not None and found.positives.tolist() == [0, 1, 2] and not found.shift.any()
    assert stated_priors((*stated, Task(3, "t", "", {"positives": "1"}))) is None
    with pytest.raises(DataError, match="not a table of priors"):
        stated_priors((Task(0, "t", "", {"positives": "many", "examples": "9"}),))


@pytest.mark.parametrize("kept", [{"bins": "any"}, {"bins": "all"}, {"bins": "all", "unlabelled": 0.5}])
def test_a_data_set_of_peaks_counts_what_it_left_out(tmp_path: Path, kept: dict[str, object]) -> None:
    """Against every bin of the training contigs, labelled by looking at each base."""
    bases = "".join(np.random.default_rng(0).choice(list("ACGT"), 1000))
    tracks = {"x": [("chr1", 30, 300), ("chr2", 0, 400)], "y": [("chr1", 200, 260), ("chr3", 0, 99)], "z": []}
    world = World({"chr1": "N" * 100 + bases, "chr2": bases, "chr3": bases}, tracks)
    options = BinOptions(**{**vars(SMALL), **kept})
    data = world.build(tmp_path, options)
    every = [labels for (contig, _), (_, labels) in world.slowly(options).items() if contig == "chr1"]
    found = count_priors(data)
    assert found.true_positives.tolist() == np.sum(every, axis=0).tolist() and found.true_positives[0] > 3
    assert found.true_examples.tolist() == [len(every)] * 3
    rows = data.rows("train")
    assert found.positives.tolist() == data.labels(rows).sum(0).tolist() and found.untrained.tolist() == [2]
    assert found.examples.tolist() == [len(rows)] * 3
    assert (len(rows) < len(every)) == (kept != {"bins": "all"}) == bool((found.shift[1:] < 0).all())


def test_unknown_labels_are_no_examples_and_another_split_has_no_population(tmp_path: Path) -> None:
    labels = np.array([[1, 0], [1, 1], [0, 1], [1, 1]], np.uint8)
    known = np.array([[1, 0], [0, 1], [1, 1], [1, 1]], np.uint8)
    zeros = np.zeros(4, np.int64)
    write_examples(
        tmp_path / "d",
        info={"window": 2, "contigs": ["c"], "population": {"examples": [9, 8], "positives": [4, 3]}},
        tasks=TASKS[:2],
        codes=[np.zeros(2, np.uint8)],
        bases=2,
        arrays={
            "offset": zeros,
            "contig": zeros,
            "start": zeros,
            "split": np.array([0, 0, 0, 2], np.uint8),
            "labels": np.packbits(labels, axis=1),
            "known": np.packbits(known, axis=1),
        },
    )
    data = ExampleSet(tmp_path / "d")
    found = count_priors(data)
    counts = (found.positives, found.examples, found.true_positives, found.true_examples)
    assert [count.tolist() for count in counts] == [[1, 2], [2, 2], [4, 3], [9, 8]]
    other = count_priors(data.with_split(data.split, held_out_fold=1))
    assert other.true_examples.tolist() == [0, 0] and not other.shift.any()


def test_a_damaged_population_is_said_to_be(tmp_path: Path) -> None:
    world = World({"chr1": "ACGT" * 50, "chr2": "ACGT" * 50, "chr3": "ACGT" * 50}, {"x": [("chr1", 30, 120)]})
    world.build(tmp_path, SMALL)
    path = tmp_path / "data" / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"population": {"examples": 9, "positives": [1, 2]}}))
    with pytest.raises(DataError, match="damaged data set"):
        ExampleSet(tmp_path / "data")
