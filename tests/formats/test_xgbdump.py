"""Published classifiers: text dumps, XGBoost's JSON, and a pickle from strangers."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from made_pickles import python_2_pickle
from sklearn.preprocessing import StandardScaler

from varscore.errors import ModelError
from varscore.formats.scalerpickle import read_scaler
from varscore.formats.xgbdump import read_dump
from varscore.formats.xgbjson import booster_json, parse_booster

WIDTH = 12


def dump_tree(draw: random.Random, depth: int) -> list[str]:
    """A tree as a dump has it: numbers with gaps, depth first, children after their parent."""
    lines: list[str] = []
    free = iter(range(1, 10_000, 2))

    def grow(index: int, level: int) -> None:
        if level == depth or draw.random() < 0.2:
            lines.append("\t" * level + f"{index}:leaf={draw.uniform(-0.05, 0.05):.6g}")
            return
        yes = next(free)
        yes, no = yes, yes + 1
        missing = draw.choice([yes, no])
        feature, threshold = draw.randrange(WIDTH), draw.uniform(-2, 2)
        lines.append("\t" * level + f"{index}:[f{feature}<{threshold:.6g}] yes={yes},no={no},missing={missing}")
        grow(yes, level + 1)
        grow(no, level + 1)

    grow(0, 0)
    return lines


def made_dump(trees: int, seed: int = 0) -> str:
    draw = random.Random(seed)
    return "".join(f"booster[{i}]:\n" + "\n".join(dump_tree(draw, 6)) + "\n" for i in range(trees))


def slow_margin(text: str, row: np.ndarray) -> float:
    """Walk every tree of a dump line by line."""
    total = 0.0
    for block in re.split(r"booster\[\d+\]:\n", text)[1:]:
        nodes = {int(line.strip().split(":")[0]): line.strip().split(":", 1)[1] for line in block.splitlines()}
        at = 0
        while not nodes[at].startswith("leaf"):
            feature, threshold, yes, no, missing = re.match(
                r"\[f(\d+)<(.+)\] yes=(\d+),no=(\d+),missing=(\d+)", nodes[at]
            ).groups()  # type: ignore[union-attr]
            value = row[int(feature)]
            at = int(missing) if np.isnan(value) else int(yes if value < np.float32(threshold) else no)
        total += float(nodes[at].split("=")[1])
    return total


def rows(count: int) -> np.ndarray:
    made = np.random.default_rng(0).normal(size=(count, WIDTH)).astype(np.float32)
    made[np.random.default_rng(1).random(made.shape) < 0.1] = np.nan
    return made


def test_plain_xgboost_evaluates_an_imported_dump_as_a_walk_through_its_lines_does(tmp_path: Path) -> None:
    text, given = made_dump(40), rows(60)
    (tmp_path / "model.0").write_text(text)
    (tmp_path / "m.json").write_bytes(booster_json(read_dump(tmp_path / "model.0", WIDTH), WIDTH))
    booster = xgboost.Booster(model_file=str(tmp_path / "m.json"))
    margins = booster.predict(xgboost.DMatrix(given), output_margin=True)
    expected = [slow_margin(text, row) for row in given]
    np.testing.assert_allclose(margins, expected, rtol=0, atol=1e-6)
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(
        booster.predict(xgboost.DMatrix(given)), 1 / (1 + np.exp(-np.array(expected))), atol=1e-6
    )


def test_a_threshold_belongs_to_the_right_side(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("booster[0]:\n0:[f3<0.1] yes=1,no=2,missing=2\n\t1:leaf=-1\n\t2:leaf=1\n")
    (tmp_path / "m.json").write_bytes(booster_json(read_dump(tmp_path / "d", WIDTH), WIDTH))
    booster = xgboost.Booster(model_file=str(tmp_path / "m.json"))
    given = np.zeros((3, WIDTH), np.float32)
    given[:, 3] = np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(0)), np.nan
    assert booster.predict(xgboost.DMatrix(given), output_margin=True).tolist() == [1, -1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no line booster\[0\]"),
        ("0:leaf=1\n", "line 1; it stands before the first booster"),
        ("booster[0]:\n0:leaf=nan\n", "line 2"),
        ("booster[0]:\n0:leaf=1\n0:leaf=2\n", "line 3; node 0 comes twice"),
        ("booster[0]:\n0:[f12<1] yes=1,no=2,missing=1\n1:leaf=1\n2:leaf=1\n", "line 2; a feature beyond f11"),
        ("booster[0]:\n0:[f1<1] yes=1,no=2,missing=3\n1:leaf=1\n2:leaf=1\n", "line 2"),
        ("booster[0]:\n0:[f1<1] yes=1,no=2,missing=1\n1:leaf=1\n", r"booster\[0\]; its nodes do not form a tree"),
        ("booster[0]:\n0:[f1<1] yes=0,no=1,missing=1\n1:leaf=1\n", "do not form a tree"),
        ("booster[0]:\n0:[f1<1] yes=1,no=1,missing=1\n1:leaf=1\n2:leaf=1\n", "do not form a tree"),
        ("booster[0]:\n0:leaf=1\n7:leaf=1\n", "do not form a tree"),
        ("booster[0]:\nbooster[1]:\n0:leaf=1\n", "do not form a tree"),
        ("booster[0]:\nsomething else\n", "line 2; neither a split nor a leaf"),
    ],
)
def test_what_is_no_dump_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d").write_text(text)
    with pytest.raises(ModelError, match=message):
        read_dump(tmp_path / "d", WIDTH)


# -- XGBoost's JSON --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained() -> bytes:
    random_ = np.random.default_rng(5)
    given = random_.normal(size=(300, WIDTH)).astype(np.float32)
    data = xgboost.DMatrix(given, given[:, 1] * given[:, 2] > 0)
    parameters = {"objective": "binary:logistic", "base_score": 0.5, "max_depth": 4, "gamma": 0.5, "nthread": 1}
    return bytes(xgboost.train(parameters, data, 20).save_raw("json"))


def test_trees_that_xgboost_wrote_predict_the_same_when_written_anew(trained: bytes) -> None:
    anew = booster_json(parse_booster(trained, WIDTH, "x"), WIDTH)
    given = xgboost.DMatrix(rows(200))
    before, after = (xgboost.Booster(model_file=bytearray(content)).predict(given) for content in (trained, anew))
    np.testing.assert_array_equal(before, after)
    assert np.std(before) > 0.1


def at(*path: Any) -> Callable[[Any, Any], None]:
    def change(model: Any, value: Any) -> None:
        for key in path[:-1]:
            model = model[key]
        model[path[-1]] = value

    return change


TREE = "learner", "gradient_booster", "model", "trees", 3


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (at(*TREE, "left_children", 0), 10_000),
        (at(*TREE, "left_children", 0), -7),
        (at(*TREE, "right_children", 0), 0),
        (at(*TREE, "right_children", 0), 1),
        (at(*TREE, "right_children", 0), -1),
        (at(*TREE, "left_children", 0), 1.5),
        (at(*TREE, "split_indices", 0), WIDTH),
        (at(*TREE, "split_indices", 0), -1),
        (at(*TREE, "split_indices"), [0]),
        (at(*TREE, "split_conditions", 0), float("nan")),
        (at(*TREE, "split_conditions", 0), "x"),
        (at(*TREE, "split_type", 0), 1),
        (at(*TREE, "categories"), [1]),
        (at(*TREE[:-1], 3), []),
        (at(*TREE[:-1]), []),
        (at("learner", "gradient_booster", "name"), "dart"),
        (at("learner", "objective", "name"), "reg:squarederror"),
        (at("learner", "learner_model_param", "num_feature"), "13"),
        (at("learner", "learner_model_param", "base_score"), "[2E-1]"),
        (at("learner", "gradient_booster", "model", "tree_info", 0), 1),
        (at("learner"), None),
    ],
)
def test_a_tampered_model_is_refused(trained: bytes, change: Callable[[Any, Any], None], value: Any) -> None:
    model = json.loads(trained)
    change(model, value)
    with pytest.raises(ModelError, match="not an XGBoost model this varscore can use, x"):
        parse_booster(json.dumps(model).encode(), WIDTH, "x")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\x00", b"[]"])
def test_what_is_no_json_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="not an XGBoost model"):
        parse_booster(content, WIDTH, "x")


# -- the pickle ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scaler() -> StandardScaler:
    return StandardScaler().fit(np.random.default_rng(0).normal(3, 2, (50, WIDTH)))


def test_mean_and_scale_come_out_of_every_protocol(scaler: StandardScaler, tmp_path: Path) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "s.pkl").write_bytes(pickle.dumps(scaler, protocol=protocol))
        mean, scale = read_scaler(tmp_path / "s.pkl", WIDTH)
        np.testing.assert_array_equal(mean, scaler.mean_)
        np.testing.assert_array_equal(scale, scaler.scale_)


@pytest.mark.parametrize("name", ["scale_", "std_", "var_"])
def test_a_pickle_of_python_2_is_read(tmp_path: Path, name: str) -> None:
    mean, scale = np.linspace(-1, 1, WIDTH), np.linspace(0.5, 2, WIDTH)
    scale[3] = np.frombuffer(b"\n'\"\\\x80\xff\x00\x3f", "<f8")[0]  # bytes that a string literal has to escape
    given = scale**2 if name == "var_" else scale
    (tmp_path / "s.pkl").write_bytes(python_2_pickle({"mean_": mean, name: given}))
    found = read_scaler(tmp_path / "s.pkl", WIDTH)
    np.testing.assert_array_equal(found[0], mean)
    np.testing.assert_allclose(found[1], scale, rtol=1e-15)


class Calls:
    """Pickles to a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("where", ["alone", "in the state", "in an array"])
def test_a_malicious_pickle_is_refused_and_does_nothing(
    tmp_path: Path, scaler: StandardScaler, protocol: int, where: str
) -> None:
    sign = tmp_path / "executed"
    evil = Calls(os.system, f"touch {sign}")
    bad = StandardScaler()
    bad.__dict__.update(vars(scaler) | ({"copy": evil} if where == "in the state" else {}))
    if where == "in an array":
        bad.mean_ = np.array([evil], object)
    (tmp_path / "s.pkl").write_bytes(pickle.dumps(evil if where == "alone" else bad, protocol=protocol))
    with pytest.raises(ModelError, match=r"not a scaler that is safe to read, .*system, which is not let in"):
        read_scaler(tmp_path / "s.pkl", WIDTH)
    assert not sign.exists()
    pickle.loads((tmp_path / "s.pkl").read_bytes())
    assert sign.exists(), "the pickle was not malicious, and the test shows nothing"


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n.",
        b"cnumpy\nload\n.",
        b"cnumpy.core.multiarray\nfromfile\n.",
        b"csklearn.preprocessing.data\nStandardScaler.__init__\n.",
        b"csklearn.preprocessing.data\nMinMaxScaler\n.",
        b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.",
        b"P5\n.",
        b"I1\n.",
        b"csklearn.preprocessing.data\nStandardScaler\n.",
        b"(lp0\n.",
        b"",
        b"\x80\x09.",
    ],
)
def test_everything_else_in_a_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.pkl").write_bytes(content)
    with pytest.raises(ModelError, match="not a scaler that is safe to read"):
        read_scaler(tmp_path / "s.pkl", WIDTH)


def test_a_scaler_of_another_size_or_without_numbers_is_refused(tmp_path: Path) -> None:
    ones = np.ones(WIDTH)
    (tmp_path / "s.pkl").write_bytes(python_2_pickle({"mean_": ones, "scale_": ones}))
    with pytest.raises(ModelError, match=f"{WIDTH} features instead of 5"):
        read_scaler(tmp_path / "s.pkl", 5)
    (tmp_path / "s.pkl").write_bytes(python_2_pickle({"mean_": ones * np.nan, "scale_": ones}))
    with pytest.raises(ModelError, match="not all numbers"):
        read_scaler(tmp_path / "s.pkl", WIDTH)
    with pytest.raises(ModelError, match="cannot read the scaler"):
        read_scaler(tmp_path / "absent.pkl", WIDTH)
