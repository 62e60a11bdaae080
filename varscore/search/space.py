"""The search space of Genetic Architect (Table 2): 24 keys, 4,756,340,736,000 points."""

from __future__ import annotations

import difflib
import hashlib
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from varscore.errors import DataError, UsageError
from varscore.nets.architect import GLOBAL_REDUCTIONS, NONLINEARITIES, REDUCTIONS, RNN_TYPES, ArchitectConfig
from varscore.nets.registry import Recipe
from varscore.storage.bounded import read_text

Value = bool | int | float | str
Point = Mapping[str, Value]
Space = Mapping[str, tuple[Value, ...]]
"""Key -> the values that may be drawn, in the order of :data:`TABLE`"""

ABSENT = "-"
"""In the place of the value of a key that has no effect"""
REDRAWS = 2_000
"""In a row that are points drawn before, after which a space is called exhausted"""


@dataclass(frozen=True)
class Key:
    """One line of the table. ``ordinal``: its values have an order that a tree may cut; ``needs``: another key and the
    value of that at which this one has no effect."""

    name: str
    values: tuple[Value, ...]
    ordinal: bool = True
    needs: tuple[str, Value] | None = None

    def acts(self, point: Point) -> bool:
        """Whether it has an effect, given the others."""
        return self.needs is None or point[self.needs[0]] != self.needs[1]


_FLAG = (True, False)
_RECURRENT, _DENSE = ("rnn_layers", 0), ("fc_layers", 0)
KEYS = (
    Key("conv_width", (3, 5, 7, 9)),
    Key("nonlinearity", tuple(NONLINEARITIES), ordinal=False),
    Key("conv_norm", _FLAG),
    Key("filters", (8, 16, 32, 64)),
    Key("convs_before", (1, 2, 3, 4, 5)),
    Key("residual_before", _FLAG, needs=("convs_before", 1)),
    Key("reduction", REDUCTIONS, ordinal=False),
    Key("stride", (2, 4, 8), needs=("reduction", "none")),
    Key("convs_after", (1, 2, 3, 4, 5)),
    Key("residual_after", _FLAG),
    Key("rnn_layers", (0, 1, 2)),
    Key("rnn_units", (16, 32, 64), needs=_RECURRENT),
    Key("rnn_type", RNN_TYPES, ordinal=False, needs=_RECURRENT),
    Key("bidirectional", _FLAG, needs=_RECURRENT),
    Key("rnn_clip", (0, 1, 5, 15), needs=_RECURRENT),
    Key("global_reduction", GLOBAL_REDUCTIONS, ordinal=False),
    Key("fc_layers", (0, 1, 2, 3)),
    Key("fc_units", (64, 128, 256, 512, 1024), needs=_DENSE),
    Key("fc_norm", _FLAG, needs=_DENSE),
    Key("fc_dropout", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6), needs=_DENSE),
    Key("l2", (0.0, 1e-3, 1e-4, 1e-5)),
    Key("optimizer", ("adam", "nesterov"), ordinal=False),
    Key("lr_scale", (0.03, 0.1, 0.3, 1.0, 2.0, 10.0)),
    Key("batch_size", (25, 50, 125, 250)),
)
TABLE: dict[str, Key] = {key.name: key for key in KEYS}
WHOLE: Space = {key.name: key.values for key in KEYS}

TABLE_3: Point = {
    "conv_width": 3, "nonlinearity": "elu", "conv_norm": True, "filters": 64, "convs_before": 2,
    "residual_before": False, "reduction": "none", "stride": 2, "convs_after": 5, "residual_after": True,
    "rnn_layers": 0, "rnn_units": 16, "rnn_type": "lstm", "bidirectional": False, "rnn_clip": 0,
    "global_reduction": "attention", "fc_layers": 3, "fc_units": 256, "fc_norm": False, "fc_dropout": 0.2,
    "l2": 0.0, "optimizer": "adam", "lr_scale": 1.0, "batch_size": 50,
}  # fmt: skip
"""AttentionNet; of the trainer's keys the paper says nothing"""
TABLE_4: Point = {
    **TABLE_3, "conv_width": 5, "filters": 8, "convs_before": 4, "reduction": "max", "stride": 4, "convs_after": 3,
    "rnn_layers": 1, "fc_dropout": 0.3,
}  # fmt: skip
"""PromoterNet"""
RATES = {"adam": 1e-3, "nesterov": 1e-2}
MOMENTUM = {"adam": 0.0, "nesterov": 0.9}


def is_point(values: Mapping[str, object]) -> bool:
    """Whether each key of the table has one of its values, and nothing else has one."""
    return values.keys() == TABLE.keys() and all(_among(values[name], key.values) for name, key in TABLE.items())


def combinations(space: Space = WHOLE) -> int:
    """Points of a space, those included that are the same network."""
    return math.prod(len(values) for values in space.values())


def effective(point: Point) -> dict[str, Value]:
    """What of a point has an effect: two points with the same are one trial."""
    return {name: point[name] for name, key in TABLE.items() if key.acts(point)}


def shown(point: Point) -> dict[str, Value]:
    """All 24 keys, :data:`ABSENT` for those without effect."""
    acting = effective(point)
    return {name: acting.get(name, ABSENT) for name in TABLE}


def arguments(point: Point) -> dict[str, Value]:
    """Arguments of the network ``architect``."""
    names = {field.name for field in fields(ArchitectConfig)}
    return {name: value for name, value in effective(point).items() if name in names}


def recipe(point: Point, epochs: int) -> Recipe:
    """How the point is trained: a constant rate, at an end when three epochs have not bettered the validation loss."""
    optimizer = str(point["optimizer"])
    return Recipe(
        optimizer=optimizer,
        lr=RATES[optimizer] * float(point["lr_scale"]),
        momentum=MOMENTUM[optimizer],
        weight_decay=float(point["l2"]),
        recurrent_clip=float(effective(point).get("rnn_clip", 0)),
        batch_size=int(point["batch_size"]),
        epochs=epochs,
        patience=3,
        schedule="constant",
    )


# draws


def seed_of(seed: int, branch: str, number: int) -> tuple[int, int, int]:
    """What is random of a trial follows from this alone."""
    return seed, int.from_bytes(hashlib.sha256(branch.encode()).digest()[:8], "big"), number


def draw(space: Space, random: np.random.Generator) -> dict[str, Value]:
    """A point, uniform and independent in every key."""
    places = random.integers([len(values) for values in space.values()]).tolist()
    return {name: values[place] for (name, values), place in zip(space.items(), places, strict=True)}


def draws(space: Space, seed: int, branch: str) -> Iterator[dict[str, Value]]:
    """The points of trials 0, 1, 2, ...: no two with the same effect. It ends where the space has no more."""
    seen: set[tuple[tuple[str, Value], ...]] = set()
    number = 0
    while True:
        random = np.random.default_rng(seed_of(seed, branch, number))
        for _ in range(REDRAWS):
            point = draw(space, random)
            identity = tuple(effective(point).items())
            if identity not in seen:
                break
        else:
            return
        seen.add(identity)
        yield point
        number += 1


# SPACE.toml


def space_text(space: Space) -> str:
    """A line a key; :func:`read_space` reads it."""
    return "".join(f"{name} = [{', '.join(map(word, values))}]\n" for name, values in space.items())


def word(value: Value) -> str:
    """As TOML writes it."""
    return f'"{value}"' if isinstance(value, str) else plain(value)


def plain(value: Value) -> str:
    """As people and the command line write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:g}"


def read_space(path: Path) -> Space:
    """The space in a file, in the order of the table; a key that is not in it has all of its values.

    Raises DataError that names the file, for what is no key or value, with near ones, or an empty list.
    """
    try:
        given = tomllib.loads(read_text(path, DataError))
    except FileNotFoundError:
        raise DataError("there is no such space", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as error:
        raise DataError("not a search space", where=path, cause=str(error), remedy="KEY = [VALUE, ...]") from None
    try:
        return subspace(WHOLE, given)
    except UsageError as error:
        raise DataError(error.what, where=path, cause=error.cause, remedy=error.remedy) from None


def subspace(space: Space, given: Mapping[str, Any]) -> Space:
    """``space`` with some keys restricted to the values given. Raises UsageError for what it does not have."""
    for name, values in given.items():
        _demand_key(name)
        if not isinstance(values, list | tuple) or not values:
            raise UsageError(f"{name} has no values", remedy=f"some of {_words(space[name])}")
        for value in values:
            if not _among(value, space[name]):
                near = difflib.get_close_matches(str(value), [str(each) for each in space[name]], 2)
                remedy = f"did you mean {' or '.join(near)}?" if near else f"some of {_words(space[name])}"
                raise UsageError(f"{name} has no value {value!r}", remedy=remedy)
    return {
        name: tuple(value for value in values if name not in given or _among(value, given[name]))
        for name, values in space.items()
    }


def parse_fix(texts: Sequence[str], space: Space) -> Space:
    """``KEY=V[,V]`` words of the command line as a part of ``space``. Raises UsageError."""
    given: dict[str, list[Value]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise UsageError(f"`fix={text}` is not KEY=VALUE[,VALUE]")
        _demand_key(name)
        known = {plain(value): value for value in TABLE[name].values}
        wanted = [value.strip() for value in values.split(",")]
        if unknown := [value for value in wanted if value not in known]:
            raise UsageError(f"`fix={text}`: {name} has no value {unknown[0]!r}", remedy=f"one of {', '.join(known)}")
        given[name] = [known[value] for value in wanted]
    return subspace(space, given)


def _demand_key(name: str) -> None:
    if name not in TABLE:
        near = difflib.get_close_matches(name, TABLE, 3)
        remedy = f"did you mean {' or '.join(near)}?" if near else f"the keys are {', '.join(TABLE)}"
        raise UsageError(f"the search space has no key {name!r}", remedy=remedy)


def _among(value: object, values: Sequence[Value]) -> bool:
    """Whether a value is there: true is not 1."""
    return any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in values)


def _words(values: Sequence[Value]) -> str:
    return ", ".join(map(plain, values))
