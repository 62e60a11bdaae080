"""The 24 keys, draws, and spaces in files."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from varscore.errors import DataError, UsageError
from varscore.search.space import (
    ABSENT,
    KEYS,
    TABLE_3,
    TABLE_4,
    WHOLE,
    arguments,
    combinations,
    draw,
    draws,
    effective,
    parse_fix,
    read_space,
    recipe,
    shown,
    space_text,
    subspace,
)


def test_table_2_has_24_keys_and_as_many_points_as_the_paper_counts() -> None:
    assert len(KEYS) == 24 and combinations() == 4_756_340_736_000
    for point in (TABLE_3, TABLE_4):
        assert all(point[name] in values for name, values in WHOLE.items()) and list(point) == list(WHOLE)


def test_draws_lie_in_the_table_and_follow_from_seed_branch_and_number() -> None:
    first = list(itertools.islice(draws(WHOLE, 0, "main"), 200))
    assert first == list(itertools.islice(draws(WHOLE, 0, "main"), 200))
    assert all(point[name] in values for point in first for name, values in WHOLE.items())
    assert all(list(point) == list(WHOLE) for point in first)
    for seed, branch in ((1, "main"), (0, "other")):
        assert first[:5] != list(itertools.islice(draws(WHOLE, seed, branch), 5))
    random = np.random.default_rng((0, int.from_bytes(hashlib.sha256(b"main").digest()[:8], "big"), 7))
    assert first[7] == draw(WHOLE, random)


def test_draws_are_uniform() -> None:
    random = np.random.default_rng(5)
    points = [draw(WHOLE, random) for _ in range(4000)]
    for name, values in WHOLE.items():
        for value in values:
            share = np.mean([point[name] == value for point in points])
            assert abs(share - 1 / len(values)) < 0.04, (name, value)


def test_what_has_no_effect() -> None:
    point = {**TABLE_3, "convs_before": 1, "fc_layers": 0}
    absent = {name for name, value in shown(point).items() if value == ABSENT}
    recurrent = {"rnn_units", "rnn_type", "bidirectional", "rnn_clip"}
    assert absent == {"stride", "residual_before", "fc_units", "fc_norm", "fc_dropout"} | recurrent
    assert set(effective(point)) == set(WHOLE) - absent
    assert effective({**point, "stride": 8, "rnn_type": "simple"}) == effective(point)
    assert arguments({**point, "fc_units": 1024}) == arguments(point)


def test_no_two_trials_are_the_same_network_and_settings_and_a_space_can_come_to_its_end() -> None:
    small = subspace(WHOLE, {name: [values[0]] for name, values in WHOLE.items() if name not in ("stride", "l2")})
    assert small["reduction"] == ("none",) and combinations(small) == 12
    found = list(draws(small, 0, "main"))
    assert len(found) == 4, "a stride has no effect where nothing is reduced"
    assert {point["l2"] for point in found} == set(WHOLE["l2"])


def test_the_trainers_five_keys() -> None:
    point = {**TABLE_4, "optimizer": "nesterov", "lr_scale": 2.0, "l2": 1e-4, "rnn_clip": 5, "batch_size": 125}
    made = recipe(point, 7)
    assert (made.optimizer, made.momentum, made.lr) == ("nesterov", 0.9, pytest.approx(0.02))
    assert (made.weight_decay, made.recurrent_clip, made.batch_size) == (1e-4, 5.0, 125)
    assert (made.epochs, made.patience, made.schedule) == (7, 3, "constant")
    assert recipe({**point, "optimizer": "adam"}, 7).lr == pytest.approx(2e-3)
    assert recipe({**point, "rnn_layers": 0}, 7).recurrent_clip == 0


def test_a_space_in_a_file_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(space_text(WHOLE))
    assert read_space(path) == WHOLE and len(path.read_text().splitlines()) == 24
    path.write_text("l2 = [0, 1e-5]\nconv_norm = [false]\nfilters = [64, 8]\nfc_dropout = [0, 0.1]\n")
    read = read_space(path)
    assert (read["l2"], read["conv_norm"], read["filters"]) == ((0.0, 1e-5), (False,), (8, 64))
    assert read["fc_dropout"] == (0.0, 0.1) and read["stride"] == WHOLE["stride"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filters = []", "filters has no values, .*s.toml; some of 8, 16, 32, 64"),
        ("filter = [8]", "has no key 'filter', .*s.toml; did you mean filters"),
        ('nonlinearity = ["relo"]', "nonlinearity has no value 'relo', .*; did you mean relu"),
        ("conv_norm = [1]", "conv_norm has no value 1"),
        ("rnn_layers = [true]", "rnn_layers has no value True"),
        ("filters = 8", "filters has no values"),
        ("filters = [", "not a search space, .*s.toml"),
    ],
)
def test_a_wrong_space_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_space(tmp_path / "s.toml")


def test_fixing_on_the_command_line() -> None:
    fixed = parse_fix(["rnn_layers=1,2", "conv_norm=false", "l2=0.001,0"], WHOLE)
    assert (fixed["rnn_layers"], fixed["conv_norm"], fixed["l2"]) == ((1, 2), (False,), (0.0, 1e-3))
    with pytest.raises(UsageError, match="rnn_layers has no value 2"):
        parse_fix(["rnn_layers=2"], subspace(WHOLE, {"rnn_layers": [0, 1]}))
    for text, message in {
        "rnn": "not KEY=VALUE",
        "rnn=1": "no key 'rnn'",
        "stride=3": "no value '3'; one of 2, 4, 8",
    }.items():
        with pytest.raises(UsageError, match=message):
            parse_fix([text], WHOLE)
