"""The alleles on each of their backgrounds, a row each: TSV (``.gz`` means BGZF) or Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from varscore.annotate.writers.scores import MISSING, format_floats, task_labels
from varscore.annotate.writers.table_writer import SpooledParquet
from varscore.errors import UsageError
from varscore.formats.shards import block_of
from varscore.formats.vcf import RecordChunk
from varscore.formats.vcf_header import encode
from varscore.genome.coords import one_based
from varscore.genome.haplotype import Change
from varscore.scoring.backgrounds import Carried, Haplotypes
from varscore.scoring.haplotypes import OnHaplotypes
from varscore.storage.atomic import AtomicFile, refuse_existing
from varscore.storage.bgzf import LEVEL
from varscore.storage.blocktext import BlockText, BlockTextOutput, joined
from varscore.storage.tablespool import TableSpool
from varscore.storage.textfacts import TextFacts

NUMBERS = ("pos", "carriers", "unphased_nearby")
FLOATS = ("diff_alone", "diff_hap", "diff_joint", "interaction", "logodds_hap")
COLUMNS = (
    "chrom",
    "pos",
    "ref",
    "alt",
    "background",
    "carriers",
    "samples",
    "phase_sets",
    "diff_alone",
    "diff_hap",
    "diff_joint",
    "interaction",
    "task",
    "logodds_hap",
    "unphased_nearby",
    "flags",
)
SUFFIXES = (".tsv", ".tsv.gz", ".parquet")


def check_table(path: str, *, force: bool) -> None:
    """Raises UsageError for a name of another kind, and OutputExists."""
    if not path.endswith(SUFFIXES):
        raise UsageError("unknown kind of table", where=path, remedy=f"end its name in {', '.join(SUFFIXES)}")
    refuse_existing(path, force=force)


def is_text(path: str) -> bool:
    return not path.endswith(".parquet")


def open_table(
    path: str, tasks: Sequence[str], *, force: bool, in_pieces: bool, carry: Mapping[str, object] | None
) -> HaplotypeText | HaplotypeParquet:
    """The table for ``path``. Raises OutputExists and OutputError."""
    rows = HaplotypeRows(tasks)
    if is_text(path):
        return HaplotypeText(path, rows, force=force, in_pieces=in_pieces, carry=carry)
    return HaplotypeParquet(path, rows, force=force, carry=carry)


class HaplotypeRows:
    """The rows of a chunk. tasks: names by index"""

    def __init__(self, tasks: Sequence[str]) -> None:
        self._labels = task_labels(tasks)

    def rows(self, chunk: RecordChunk, carried_on: OnHaplotypes) -> list[tuple[int, list[bytes]]]:
        """The number of its record, and the columns as text, of each allele on each background."""
        alleles, found, effects = chunk.alleles, carried_on.found, carried_on.effects
        floats = (effects.alone, effects.diff, effects.joint, effects.interaction, effects.logodds)
        numbers = list(zip(*map(format_floats, floats), strict=True))
        rows = []
        for carried, task, (alone, diff, joint, interaction, logodds) in zip(
            found.carried, effects.task.tolist(), numbers, strict=True
        ):
            record = int(alleles.record[carried.allele])
            chrom, pos, _ = chunk.lines[record].split(b"\t", 2)
            row = [
                chrom,
                pos,
                alleles.ref[carried.allele],
                alleles.alt[carried.allele],
                _background(found, carried.others),
                b"%d" % carried.carriers,
                _named(carried, found.samples),
                _sets(carried.phase_sets),
                alone,
                diff,
                joint,
                interaction,
                self._labels[task],
                logodds,
                b"%d" % carried.unphased,
                b"sv" if carried.is_spanned else MISSING,
            ]
            rows.append((int(chunk.numbers[record]), row))
        return rows


def _named(carried: Carried, samples: Sequence[str]) -> bytes:
    names = [f"{samples[sample]}|{slot + 1}" for sample, slot in carried.named]
    more = carried.carriers - len(names)
    return encode(",".join([*names, *([f"+{more}"] if more else [])]))


def _background(found: Haplotypes, others: Sequence[Change]) -> bytes:
    """``pos:ref>alt`` of each variant, as it is scored."""
    alleles = found.hood.alleles
    return (
        b";".join(
            b"%d:%b>%b"
            % (one_based(change.start), alleles.ref[change.order].upper(), alleles.alt[change.order].upper())
            for change in others
        )
        or MISSING
    )


def _sets(numbers: Sequence[int]) -> bytes:
    return b",".join(b"%d" % number for number in numbers if number >= 0) or MISSING


class HaplotypeText(BlockTextOutput):
    """As TSV. in_pieces, carry: see BlockText. Raises OutputExists and OutputError."""

    def __init__(
        self, path: str, rows: HaplotypeRows, *, force: bool, in_pieces: bool, carry: Mapping[str, object] | None
    ) -> None:
        self._rows = rows
        self._file = AtomicFile(path, force=force, keep=carry is not None)
        level, head = LEVEL if path.endswith(".gz") else None, "\t".join(COLUMNS).encode()
        try:
            self._text = BlockText(self._file, joined([head]), level=level, in_pieces=in_pieces, carry=carry)
        except BaseException:
            self._file.suspend()
            raise

    def write(self, chunk: RecordChunk, carried_on: OnHaplotypes) -> None:
        for number, row in self._rows.rows(chunk, carried_on):
            self._text.write(block_of(number), b"\t".join(row) + b"\n")


class HaplotypeParquet(SpooledParquet):
    """As Parquet; rows wait in a spool until all are known. carry: see Resumable. Raises OutputExists, OutputError."""

    def __init__(self, path: str, rows: HaplotypeRows, *, force: bool, carry: Mapping[str, object] | None) -> None:
        kinds = {**dict.fromkeys(NUMBERS, pa.int64()), **dict.fromkeys(FLOATS, pa.float32())}
        self._schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
        self._rows = rows
        self._output = AtomicFile(path, force=force, keep=carry is not None)
        try:
            self._output.empty()
            self._spool = TableSpool(path, self._schema, carry)
        except BaseException:
            self._output.suspend()
            raise

    def write(self, chunk: RecordChunk, carried_on: OnHaplotypes) -> None:
        rows = [row for _, row in self._rows.rows(chunk, carried_on)]
        columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
        self._spool.put(pa.table([_array(*pair) for pair in zip(self._schema, columns, strict=True)], self._schema))

    def facts(self) -> TextFacts:
        return TextFacts()


def _array(field: pa.Field, values: Sequence[bytes]) -> pa.Array:
    """A column of text as what it holds. A float is the text's, to six digits, as in every table."""
    texts = [value.decode("utf-8", "replace") for value in values]
    if field.type == pa.string():
        return pa.array(texts, pa.string())
    known = [None if text == "." else (int(text) if field.type == pa.int64() else float(text)) for text in texts]
    return pa.array(known, field.type)
