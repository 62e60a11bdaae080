"""What a run.json says, as a value: written by one run, and of a shard read and checked before anything is merged.

A shard whose record was cut short or edited must not give a merged file that lacks records.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from varscore.errors import DataError
from varscore.formats import shards
from varscore.storage.bgzf import EOF_BLOCK
from varscore.storage.fields import count, entries, mapping
from varscore.storage.runjson import SUFFIX, read_run
from varscore.storage.textfacts import TextFacts

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
    def parse(cls, fields: Mapping[str, object]) -> MatrixFacts:
        return cls(*([str(value) for value in entries(fields[name])] for name in ("tasks", "blocks")))


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
    def parse(cls, fields: Mapping[str, object]) -> ShardFacts:
        """Raises KeyError, TypeError and ValueError for what no shard has written."""
        scores = fields["scores"]
        return cls(
            index=count(fields["index"]),
            of=count(fields["of"]),
            blocks=[Block(*map(count, entries(block))) for block in entries(fields["blocks"])],
            provenance=_texts(fields["provenance"]),
            annotated=TextFacts.parse(mapping(fields["annotated"])),
            scores=None if scores is None else MatrixFacts.parse(mapping(scores)),
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
        """As JSON, which :meth:`parse` reads."""
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

    @classmethod
    def parse(cls, fields: Mapping[str, object]) -> RunRecord:
        """Raises KeyError, TypeError and ValueError for what no run has written."""
        shard = fields.get("shard")
        known = {one.name for one in dataclasses.fields(cls)}
        return cls(
            run=str(fields["run"]),
            identity=_texts(fields["identity"]),
            versions=_texts(fields["versions"]),
            counts={name: count(value) for name, value in mapping(fields["counts"]).items()},
            records_read=count(fields["records_read"]),
            outputs=_texts(fields["outputs"]),
            told={name: value for name, value in fields.items() if name not in known},
            shard=None if shard is None else ShardFacts.parse(mapping(shard)),
        )

    @property
    def facts(self) -> ShardFacts:
        """Of a shard."""
        assert self.shard is not None
        return self.shard


def beside(output: str, **paths: object) -> dict[str, str]:
    """The names of outputs as seen from the annotated one; those that there are."""
    folder = os.path.dirname(os.path.abspath(output))
    named = {"annotated": output, **paths}
    return {name: os.path.relpath(str(path), folder) for name, path in named.items() if path}


def read_record(output: str) -> RunRecord:
    """What is beside an annotated file; of a shard, with all of its records accounted for.

    Raises DataError when there is nothing, or it is damaged or incomplete.
    """
    fields = read_run(output)
    try:
        run = RunRecord.parse(fields)
        if run.shard is not None:
            _demand_whole(run)
    except (KeyError, TypeError, ValueError) as error:
        cause = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        of = "run" if fields.get("shard") is None else "shard"
        raise DataError(
            f"the record of this {of} is incomplete", where=output + SUFFIX, cause=cause, remedy=f"run the {of} again"
        ) from None
    return run


def _demand_whole(run: RunRecord) -> None:
    facts = run.facts
    facts.demand_whole(run.records_read, limited=run.identity.get("regions") != ALL)
    if run.counts["records"] != facts.records:
        raise ValueError(f"its blocks have {facts.records:,} records, its counts {run.counts['records']:,}")
    further = (
        ("scores", facts.scores),
        ("skipped", facts.skipped),
        ("motifs", facts.motifs),
        ("haplotypes", facts.haplotypes),
    )
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
            "the shard is not what was written",
            where=path,
            cause=f"it has {there:,} bytes instead of {stated:,}",
            remedy="run the shard again",
        )


def _list_facts(fields: object) -> TextFacts | None:
    """Of a list beside the annotated file, if there is one."""
    return None if fields is None else TextFacts.parse({"pieces": None, **mapping(fields)})


def _texts(value: object) -> dict[str, str]:
    return {name: str(entry) for name, entry in mapping(value).items()}
