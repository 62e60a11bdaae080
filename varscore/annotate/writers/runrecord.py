"""What a run.json says, as a value: written by one run, and of a shard read and checked before anything is merged.

A shard whose record was cut short or edited must not give a merged file that lacks records.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from varscore.errors import DataError
from varscore.formats import shards
from varscore.storage.bgzf import EOF_BLOCK
from varscore.storage.runjson import SUFFIX, read_run
from varscore.storage.textfacts import TextFacts, count

ALL = "all"
"""What the identity of a run that was not limited to regions says of them"""


@dataclass(frozen=True, order=True)
class Block:
    """A block of the input's records: its number, and how many of its records and rows the shard has."""

    number: int
    records: int
    rows: int


@dataclass(frozen=True)
class MatrixFacts:
    """Of a score matrix: its tasks, and the blocks of columns of each."""

    tasks: Sequence[str]
    blocks: Sequence[str]

    def fields(self) -> dict[str, list[str]]:
        return {"tasks": list(self.tasks), "blocks": list(self.blocks)}

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> MatrixFacts:
        return cls(*(list(map(str, fields[name])) for name in ("tasks", "blocks")))


@dataclass(frozen=True)
class ShardFacts:
    """index, of: which shard, from 1 on; blocks: those it has, ascending; scores and what follows: of its other
    outputs, where there are any"""

    index: int
    of: int
    blocks: Sequence[Block]
    provenance: Mapping[str, str]
    annotated: TextFacts
    scores: MatrixFacts | None
    skipped: TextFacts | None
    motifs: TextFacts | None
    haplotypes: TextFacts | None

    @property
    def records(self) -> int:
        return sum(block.records for block in self.blocks)

    def fields(self) -> dict[str, object]:
        """As JSON, which :meth:`parse` reads."""
        beside = {name: getattr(self, name) for name in ("scores", "skipped", "motifs", "haplotypes")}
        return {
            "index": self.index,
            "of": self.of,
            "blocks": [[block.number, block.records, block.rows] for block in self.blocks],
            "provenance": dict(self.provenance),
            "annotated": self.annotated.fields(),
            **{name: None if facts is None else facts.fields() for name, facts in beside.items()},
        }

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> ShardFacts:
        """Raises KeyError, TypeError and ValueError for what no shard has written."""
        scores = fields["scores"]
        return cls(
            index=count(fields["index"]),
            of=count(fields["of"]),
            blocks=[Block(*map(count, block)) for block in fields["blocks"]],
            provenance={str(name): str(value) for name, value in fields["provenance"].items()},
            annotated=TextFacts.parse(fields["annotated"]),
            scores=None if scores is None else MatrixFacts.parse(scores),
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
class RunRecord:
    """What a run.json says.

    identity: what all shards of a run have in common; outputs: names of its files, by kind, beside the annotated one;
    told: what only people read, such as command, times and memory
    """

    run: str
    identity: Mapping[str, str]
    versions: Mapping[str, str]
    counts: Mapping[str, int]
    records_read: int
    outputs: Mapping[str, str]
    told: Mapping[str, object] = field(default_factory=dict)
    shard: ShardFacts | None = None

    def fields(self) -> dict[str, object]:
        """As JSON, which :func:`read_shard` reads."""
        return {
            "run": self.run,
            **self.told,
            "versions": dict(self.versions),
            "identity": dict(self.identity),
            "counts": dict(self.counts),
            "records_read": self.records_read,
            "outputs": dict(self.outputs),
            **({} if self.shard is None else {"shard": self.shard.fields()}),
        }

    @property
    def facts(self) -> ShardFacts:
        """Of one that :func:`read_shard` has read."""
        assert self.shard is not None
        return self.shard


def beside(output: str, **paths: object) -> dict[str, str]:
    """The names of outputs as seen from the annotated one; those that there are."""
    folder = os.path.dirname(os.path.abspath(output))
    named = {"annotated": output, **paths}
    return {name: os.path.relpath(str(path), folder) for name, path in named.items() if path}


def read_shard(output: str) -> RunRecord | None:
    """What is beside a shard's annotated file; None when that is of a whole run.

    Raises DataError when there is nothing, or it is damaged, or does not account for all of the shard's records.
    """
    fields = read_run(output)
    if not isinstance(fields.get("shard"), dict):
        return None
    try:
        run = RunRecord(
            run=str(fields["run"]),
            identity={str(name): str(value) for name, value in fields["identity"].items()},
            versions={str(name): str(value) for name, value in fields["versions"].items()},
            counts={str(name): count(value) for name, value in fields["counts"].items()},
            records_read=count(fields["records_read"]),
            outputs={str(name): str(value) for name, value in fields["outputs"].items()},
            shard=ShardFacts.parse(fields["shard"]),
        )
        _demand_whole(run)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        cause = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            "the record of this shard is incomplete", where=output + SUFFIX, cause=cause, remedy="run the shard again"
        ) from None
    return run


def _demand_whole(run: RunRecord) -> None:
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
    return None if fields is None else TextFacts.parse({"pieces": None, **fields})
