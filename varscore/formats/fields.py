"""The columns of many tab-separated lines, found in one go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from varscore.genome.alleles import ByteColumn, stretches

_TAB = ord("\t")
DIGITS = 18
"""Of a whole number, at most: as many fit int64"""


@dataclass(frozen=True, slots=True)
class Field(Sequence[bytes]):
    """One column of n lines: string i is ``text[start[i]:end[i]]``, which is cut out when it is asked for.

    start, end: int64 (n,); another byte, such as a tab, follows each string in the text
    """

    text: bytes
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    @classmethod
    def of(cls, values: Sequence[bytes]) -> Field:
        """A column of its own."""
        lengths = np.array([len(value) for value in values], np.int64)
        end = np.cumsum(lengths + 1) - 1
        return cls(b"\t".join([*values, b""]), end - lengths, end)

    def __len__(self) -> int:
        return len(self.start)

    @overload
    def __getitem__(self, row: int) -> bytes: ...

    @overload
    def __getitem__(self, row: slice) -> Field: ...

    def __getitem__(self, row: int | slice) -> bytes | Field:
        if isinstance(row, slice):
            return Field(self.text, self.start[row], self.end[row])
        return self.text[self.start[row] : self.end[row]]

    def __iter__(self) -> Iterator[bytes]:
        text = self.text
        return iter([text[start:end] for start, end in zip(self.start.tolist(), self.end.tolist(), strict=True)])

    def take(self, rows: NDArray[np.int64 | np.bool_]) -> Field:
        """The strings ``rows``, int64 (m,)."""
        return Field(self.text, self.start[rows], self.end[rows])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 (n,)"""
        return np.asarray(self.end - self.start)

    @property
    def first(self) -> NDArray[np.uint8]:
        """The first byte of every string, uint8 (n,); of an empty one what follows it."""
        return np.asarray(self._data[self.start])

    @property
    def last(self) -> NDArray[np.uint8]:
        """The last byte of every string, uint8 (n,); of an empty one what follows it."""
        return np.asarray(self._data[np.maximum(self.end - 1, self.start)])

    @property
    def is_other(self) -> NDArray[np.bool_]:
        """bool (n,): which strings, none of them empty, are not the same as the one before, as the first is not."""
        lengths = self.lengths[1:]
        one, other = (self._data[stretches(start, lengths)] for start in (self.start[1:], self.start[:-1]))
        differ = np.logical_or.reduceat(one != other, np.cumsum(lengths) - lengths)
        return np.concatenate([[True], (self.lengths[:-1] != lengths) | differ])

    def split(self, byte: bytes) -> tuple[ByteColumn, NDArray[np.int64]]:
        """All strings cut at every ``byte``, and into how many pieces each of them, int64 (n,)."""
        lengths = self.lengths + 1
        data = self._data[stretches(self.start, lengths)]
        ends, is_end = np.cumsum(lengths), data == byte[0]
        is_end[ends - 1] = True
        pieces = ByteColumn.end_to_end(data[~is_end], np.diff(np.flatnonzero(is_end), prepend=-1) - 1)
        return pieces, np.add.reduceat(is_end, ends - lengths, dtype=np.int64)

    def numbers(self) -> NDArray[np.int64] | None:
        """The column as whole numbers, int64 (n,); None when a string is none, or has more than DIGITS digits."""
        lengths = self.lengths
        if lengths.min() < 1 or lengths.max() > DIGITS:
            return None
        place = np.arange(lengths.max())  # from the right
        there = place < lengths[:, None]
        digits = self._data[np.where(there, self.end[:, None] - 1 - place, 0)] - np.uint8(48)
        digits[~there] = 0
        return None if (digits > 9).any() else digits @ 10**place

    @property
    def _data(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.text, np.uint8)


@dataclass(frozen=True, slots=True)
class Fields:
    """The first columns of n lines, in one text where a tab ends each of them.

    tabs: int64 (n, columns)
    """

    text: bytes
    tabs: NDArray[np.int64]

    @classmethod
    def of(cls, lines: Sequence[bytes], columns: int, first: int) -> Fields | None:
        """The ``first`` of the ``columns`` columns of one line or more; None when a line has another number."""
        heads = lines
        if columns > first:
            if {line.count(b"\t") for line in lines} != {columns - 1}:
                return None
            heads = [line[: len(line) - len(line.split(b"\t", first)[first]) - 1] for line in lines]
        text = b"\t".join([*heads, b""])
        tabs = np.flatnonzero(np.frombuffer(text, np.uint8) == _TAB)
        ends = np.cumsum(list(map(len, heads))) + np.arange(len(heads))
        if len(tabs) != first * len(heads) or (tabs[first - 1 :: first] != ends).any():
            return None
        return cls(text, tabs.reshape(-1, first))

    def __getitem__(self, column: int) -> Field:
        before = self.tabs[:, column - 1] if column else np.append(-1, self.tabs[:-1, -1])
        return Field(self.text, before + 1, self.tabs[:, column])

    @property
    def ends(self) -> NDArray[np.int64]:
        """Bytes of each line up to the end of the last of these columns, int64 (n,)."""
        return np.asarray(self.tabs[:, -1] - self[0].start)

    def places(self, byte: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Line and column of every occurrence of a byte, two int64 (m,)."""
        at = np.searchsorted(self.tabs.reshape(-1), np.flatnonzero(np.frombuffer(self.text, np.uint8) == byte[0]))
        return at // self.tabs.shape[1], at % self.tabs.shape[1]
