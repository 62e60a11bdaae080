"""Columns of lines, against lines that are split one by one."""

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from varscore.formats.fields import DIGITS, Field, Fields

CELLS = st.text("aA1,;.<", max_size=4).map(str.encode)
ROWS = st.integers(2, 5).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=6))


@given(ROWS, st.data())
def test_columns_are_those_of_split_lines(rows: list[list[bytes]], data: st.DataObject) -> None:
    columns = len(rows[0])
    first = data.draw(st.integers(1, columns))
    fields = Fields.of([b"\t".join(row) for row in rows], columns, first)
    assert fields is not None
    for column in range(first):
        field, expected = fields[column], [row[column] for row in rows]
        assert list(field) == expected == [field[row] for row in range(len(rows))]
        assert list(field[1:]) == expected[1:] and field.lengths.tolist() == list(map(len, expected))
        assert list(field.take(np.array([0, -1]))) == [expected[0], expected[-1]]
        assert field.first.tolist() == [(cell + b"\t")[0] for cell in expected]
        assert field.last.tolist() == [(cell or b"\t")[-1] for cell in expected]
    assert fields.ends.tolist() == [len(b"\t".join(row[:first])) for row in rows]
    commas = [
        (at, column) for at, row in enumerate(rows) for column in range(first) for _ in range(row[column].count(b","))
    ]
    assert list(zip(*(places.tolist() for places in fields.places(b",")), strict=True)) == commas


@given(ROWS)
def test_a_line_with_another_number_of_columns_is_noticed(rows: list[list[bytes]]) -> None:
    columns = len(rows[0])
    lines = [b"\t".join(row) for row in rows]
    for first in {1, columns - 1, columns}:
        assert Fields.of([*lines, lines[0] + b"\t"], columns, first) is None
        assert Fields.of([lines[-1].rpartition(b"\t")[0], *lines], columns, first) is None
    # one too many in one line, one too few in the next: all together there are as many as there should be
    assert Fields.of([*lines, lines[0] + b"\t", lines[0].rpartition(b"\t")[0]], columns, columns) is None


@given(st.lists(st.text("AC,", max_size=5).map(str.encode), min_size=1, max_size=8))
def test_strings_are_cut_at_a_byte(values: list[bytes]) -> None:
    pieces, counts = Field.of(values).split(b",")
    assert [pieces[row] for row in range(len(pieces))] == b",".join(values).split(b",")
    assert counts.tolist() == [value.count(b",") + 1 for value in values]


@given(st.lists(st.sampled_from([b"chr1", b"chr2", b"1", b"chr10"]), min_size=1, max_size=9))
def test_where_a_string_is_not_the_one_before(values: list[bytes]) -> None:
    field = Field.of(values)
    assert list(field.take(field.is_other)) == [value for value, _ in groupby(values)]
    assert field.is_other[0]


@given(st.lists(st.text("0123456789", min_size=1, max_size=DIGITS), min_size=1, max_size=6))
def test_whole_numbers(values: list[str]) -> None:
    numbers = Field.of([value.encode() for value in values]).numbers()
    assert numbers is not None and numbers.dtype == np.int64
    assert numbers.tolist() == list(map(int, values))


def test_what_is_no_whole_number() -> None:
    for odd in (b"", b"+1", b"-1", b"1.0", b" 1", b"1e3", b"a", b"/", b":", b"\xb2", b"1" * (DIGITS + 1)):
        assert Field.of([b"12", odd, b"7"]).numbers() is None


def test_no_strings() -> None:
    assert list(Field.of([])) == [] and len(Field.of([]).lengths) == 0
