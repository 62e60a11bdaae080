"""Blocks of records, and which of them a shard of a run has to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from varscore.errors import UsageError
from varscore.formats.vcf import RecordChunk

BLOCK = 1024
"""Records of the input, counted from its first, that stay together: in one shard, and never in one BGZF block with the
next. So the output of a run is that of its shards, block by block."""
_SHARD = re.compile(r"\s*(\d+)\s*/\s*(\d+)\s*")


@dataclass(frozen=True)
class Shard:
    """Every ``of``-th block of the input, from block ``index`` on. Both count from 0; printed as ``index + 1/of``."""

    index: int = 0
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``3/10``. Raises UsageError."""
        found = _SHARD.fullmatch(text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"not a shard: {text!r}", remedy="write I/N with I from 1 to N, such as 3/10")
        return cls(int(found[1]) - 1, int(found[2]))

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.of}"

    @property
    def tag(self) -> str:
        """What tells its files from those of the others: ``shard-0003-of-0010``."""
        return f"shard-{self.index + 1:04}-of-{self.of:04}"

    def has(self, record: int) -> bool:
        """Whether a record, by its number in the input from 0 on, belongs to it."""
        return block_of(record) % self.of == self.index


@dataclass(frozen=True)
class Range:
    """The records that a run still has to do: those of its shard from record ``start`` on."""

    shard: Shard = Shard()
    start: int = 0

    def has(self, record: int) -> bool:
        return record >= self.start and self.shard.has(record)


def block_of(record: int) -> int:
    """The block of a record, by its number in the input from 0 on."""
    return record // BLOCK


def split_blocks(chunk: RecordChunk) -> Iterator[tuple[int, int, int]]:
    """The runs of records of one block in a chunk: block, first record, record after the last."""
    if not len(chunk):
        return
    blocks = chunk.numbers // BLOCK
    starts = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist()]
    for first, end in zip(starts, [*starts[1:], len(chunk)], strict=True):
        yield int(blocks[first]), first, end
