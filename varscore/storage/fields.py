"""What JSON files of varscore's own hold, journals and run.json, looked at before it is believed.

All raise TypeError for a value of another kind.
"""

from __future__ import annotations


def integer(value: object) -> int:
    """A whole number: no flag, which JSON's ``true`` is."""
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value


def count(value: object) -> int:
    """A whole number that counts something. Raises ValueError for one that cannot."""
    number = integer(value)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"{value!r} is no count")
    return number


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is no flag")
    return value


def text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def entries(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no table")
    return value
