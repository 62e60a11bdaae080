"""What the run.json of a shard says of its outputs, checked before anything is merged.

A shard whose record was cut short or edited must not give a merged file that lacks records.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from varscore.errors import DataError
from varscore.formats import shards
from varscore.storage.bgzf import EOF_BLOCK
from varscore.storage.blocktext import HEAD
from varscore.storage.runjson import SUFFIX, read_run

ALL = "all"
"""What the identity of a run that was not limited to regions says of them"""


@dataclass(frozen=True, order=True)
class Block:
    """A block of the input's records: its number, and how many of its records and rows the shard has."""

    number: int
    records: int
    rows: int


@dataclass(frozen=True)
class TextFacts:
    """Of an output that is text: [block, bytes, CRC-32] of the header (block HEAD) and of each block of records.

    pieces: None for an output that is a table; is_sorted, reach: of a VCF, see SortOrder
    """

    pieces: Sequence[tuple[int, int, int]] | None = None
    is_sorted: bool = True
    reach: int = 0

    def demand_blocks(self, blocks: Sequence[int], *, all_of_them: bool) -> None:
        """Raises ValueError unless the pieces are the header and, in order, those ``blocks`` or some of them."""
        if self.pieces is None:
            return
        numbers = [number for number, _, _ in self.pieces]
        rest = numbers[1:]
        if numbers[:1] != [HEAD] or any(a >= b for a, b in pairwise(rest)) or not set(rest) <= set(blocks):
            raise ValueError("its pieces are not a header and blocks of the shard")
        if all_of_them and len(rest) != len(blocks):
            raise ValueError(f"{len(blocks) - len(rest)} of its {len(blocks)} blocks have no piece")


@dataclass(frozen=True)
class ShardFacts:
    """index, of: which shard, from 1 on; blocks: those it has, ascending; scores: tasks and blocks of its matrix"""

    index: int
    of: int
    blocks: Sequence[Block]
    provenance: Mapping[str, str]
    annotated: TextFacts
    scores: Mapping[str, Sequence[str]] | None
    skipped: TextFacts | None
    motifs: TextFacts | None
    haplotypes: TextFacts | None

    @property
    def records(self) -> int:
        return sum(block.records for block in self.blocks)

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> ShardFacts:
        """Raises KeyError, TypeError and ValueError for what no shard has written."""
        scores = fields["scores"]
        return cls(
            index=_count(fields["index"]),
            of=_count(fields["of"]),
            blocks=[Block(*map(_count, block)) for block in fields["blocks"]],
            provenance={str(name): str(value) for name, value in fields["provenance"].items()},
            annotated=_text_facts(fields["annotated"]),
            scores=None if scores is None else {name: list(map(str, scores[name])) for name in ("tasks", "blocks")},
            skipped=_list_facts(fields["skipped"]),
            motifs=_list_facts(fields["motifs"]),
            haplotypes=_list_facts(fields["haplotypes"]),
        )

    def demand_whole(self, records_read: int, limited: bool) -> None:
        """Raises ValueError unless the blocks are those that the shard of an input of so many records has.

        limited: whether the run was limited to regions, so that blocks may have fewer records, or none
        """
        size = shards.BLOCK
        mine = range(self.index - 1, -(-records_read // size), max(self.of, 1))
        expected = {number: min(size, records_read - number * size) for number in mine}
        found = {block.number: block.records for block in self.blocks}
        if not 1 <= self.index <= self.of or len(found) != len(self.blocks) or list(found) != sorted(found):
            raise ValueError("its blocks are not in order")
        if not found.keys() <= expected.keys() or any(not 0 < n <= expected[number] for number, n in found.items()):
            raise ValueError("it has blocks that no such shard has")
        if not limited and found != expected:
            raise ValueError(f"it has {self.records:,} of {sum(expected.values()):,} records")
        numbers = list(found)
        self.annotated.demand_blocks(numbers, all_of_them=True)
        for listed in (self.skipped, self.motifs, self.haplotypes):
            if listed is not None:
                listed.demand_blocks(numbers, all_of_them=False)


@dataclass(frozen=True)
class ShardRun:
    """The run.json of a shard; ``facts`` are what it says of the shard.

    identity: what all shards of a run have in common; outputs: names of its files, by kind, beside the annotated one
    """

    run: str
    identity: Mapping[str, str]
    versions: Mapping[str, str]
    counts: Mapping[str, int]
    records_read: int
    outputs: Mapping[str, str]
    facts: ShardFacts


def read_shard(output: str) -> ShardRun | None:
    """What is beside a shard's annotated file; None when that is of a whole run.

    Raises DataError when there is nothing, or it is damaged, or does not account for all of the shard's records.
    """
    fields = read_run(output)
    if not isinstance(fields.get("shard"), dict):
        return None
    try:
        run = ShardRun(
            run=str(fields["run"]),
            identity={str(name): str(value) for name, value in fields["identity"].items()},
            versions={str(name): str(value) for name, value in fields["versions"].items()},
            counts={str(name): _count(value) for name, value in fields["counts"].items()},
            records_read=_count(fields["records_read"]),
            outputs={str(name): str(value) for name, value in fields["outputs"].items()},
            facts=ShardFacts.parse(fields["shard"]),
        )
        _demand_whole(run)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        cause = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            "the record of this shard is incomplete", where=output + SUFFIX, cause=cause, remedy="run the shard again"
        ) from None
    return run


def _demand_whole(run: ShardRun) -> None:
    facts = run.facts
    facts.demand_whole(run.records_read, limited=run.identity.get("regions") != ALL)
    if run.counts["records"] != facts.records:
        raise ValueError(f"its blocks have {facts.records:,} records, its counts {run.counts['records']:,}")
    further = (("scores", facts.scores), ("skipped", facts.skipped), ("motifs", facts.motifs),
               ("haplotypes", facts.haplotypes))  # fmt: skip
    for name, there in (("annotated", True), *further):
        if (there is not None) != (name in run.outputs):
            raise ValueError(f"it does not say where {name!r} is")


def demand_size(path: str, facts: TextFacts) -> None:
    """Raises DataError unless the file is as long as its pieces say."""
    if facts.pieces is None:
        return
    try:
        with open(path, "rb") as file:
            is_gzip = file.read(2) == EOF_BLOCK[:2]
            there = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise DataError("cannot read", where=path, cause=error.strerror or str(error)) from None
    stated = sum(size for _, size, _ in facts.pieces) + (len(EOF_BLOCK) if is_gzip else 0)
    if there != stated:
        raise DataError(
            "the shard is not what was written", where=path, cause=f"it has {there:,} bytes instead of {stated:,}",
            remedy="run the shard again",
        )  # fmt: skip


def _list_facts(fields: Mapping[str, Any] | None) -> TextFacts | None:
    """Of a list beside the annotated file, if there is one."""
    return None if fields is None else _text_facts({"pieces": None, **fields})


def _text_facts(fields: Mapping[str, Any]) -> TextFacts:
    if "pieces" not in fields:
        return TextFacts()
    pieces = [(_number(block), _count(size), _count(crc)) for block, size, crc in fields["pieces"]]
    return TextFacts(pieces, bool(fields.get("is_sorted", True)), _count(fields.get("reach", 0)))


def _number(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no number")
    return value


def _count(value: object) -> int:
    number = _number(value)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"{value!r} is no count")
    return number
