"""Our tags in a VCF: the header lines that declare them, and INFO columns with them appended."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from varscore.annotate.writers.scores import MISSING, AlleleScores, Provenance, in_lines, task_labels, text_columns
from varscore.formats.shards import split_blocks
from varscore.formats.vcf import RecordChunk
from varscore.formats.vcf_header import VcfHeader, encode
from varscore.genome.alleles import Status, stretches
from varscore.scoring.tags import ALWAYS, OF_TASKS, OF_TEXT, Tags

_MEANINGS = {
    "status": ("String", "PASS, or why the allele has no score"),
    "diff": ("Float", "Probability difference, alternative minus reference, of the task where it is largest"),
    "task": ("String", "That task, as index:name"),
    "logodds": ("Float", "log2-odds difference of that task"),
    "ref_prob": ("Float", "Probability of that task with the reference allele, both strands together"),
    "span": ("Integer", "Bases of the reference that the allele changes: deletes, replaces, doubles or inverts"),
    "e": ("Float", "Smallest E-value of a task"),
    "e_task": ("String", "The task whose E-value is smallest, as index:name"),
    "e_diff": ("Float", "Probability difference, alternative minus reference, of the task whose E-value is smallest"),
    "hap_diff": ("Float", "diff on a haplotype that carries the allele, with the variants beside it: the largest"),
    "hap_task": ("String", "The task of that difference, as index:name"),
    "hap_logodds": ("Float", "log2-odds difference of that task there"),
    "hap_n": ("Integer", "Distinct sets of variants beside the allele on the haplotypes that carry it, none included"),
    "joint_diff": ("Float", "Difference of that whole haplotype from the reference, of the task where it is largest"),
    "joint_task": ("String", "That task, as index:name"),
    "hap_status": (
        "String",
        "PASS, or why the allele has no score on a haplotype: NO_CARRIER, UNPHASED, TOO_MANY; "
        "OVERLAP: scored, though another variant overlaps it wherever it is carried",
    ),
}
"""What columns hold, unless a run says more of them"""
_OF_VALUES = {
    "diff": (
        "Float",
        "Difference of the predicted value, alternative minus reference, of the task where it is largest",
    ),
    "logodds": ("Float", "Missing: the model predicts values, which have no odds"),
    "ref_prob": ("Float", "Predicted value of that task with the reference allele"),
}
log = logging.getLogger(__name__)


def annotated_header(
    header: VcfHeader,
    provenance: Provenance,
    tags: Tags,
    contig_lengths: Mapping[str, int],
    of_values: bool = False,
    meanings: Mapping[str, str] | None = None,
) -> list[bytes]:
    """Every header line of the output: the input's own, less those of an earlier run with these tags, then ours.

    of_values: whether the model predicts values, not probabilities; meanings: what this run says of its columns
    """
    contigs = [
        b"##contig=<ID=%s,length=%d>" % (encode(name), length)
        for name, length in contig_lengths.items()
        if name not in header.contigs
    ]
    known = {**_MEANINGS, **(_OF_VALUES if of_values else {})}
    strings = {*OF_TASKS, *OF_TEXT}
    said = {column: ("String" if column in strings else "Float", text) for column, text in (meanings or {}).items()}
    declared = [
        _declaration(name, *(said.get(column) or known.get(column) or ("Float", "See ##varscoreTags")))
        for column, name in zip(tags.columns, tags.names, strict=True)
    ]
    return [
        *tags.without_earlier(header),
        *contigs,
        *declared,
        tags.line,
        *provenance.lines(tags.suffix),
        header.columns,
    ]


def _declaration(name: str, kind: str, meaning: str) -> bytes:
    quoted = meaning.replace("\\", "/").replace('"', "'")
    return f'##INFO=<ID={name},Number=A,Type={kind},Description="{quoted}">'.encode()


class Annotator:
    """Appends a run's tags to the INFO column of records and leaves every other byte alone.

    header: of the records; the tags that an earlier run has written (see Tags) make room for ours
    """

    def __init__(self, header: VcfHeader, tasks: Sequence[str], tags: Tags) -> None:
        self._labels = task_labels(tasks)
        self._extra_columns = tags.columns[len(ALWAYS) :]
        names = [name.encode() for name in tags.names]
        self._form = b";".join(name + b"=%b" for name in names)
        self._status_alone = names[0] + b"=%b"
        self._prefix, self._is_rerun = tags.prefix.encode() + b"_", tags.has_run(header)
        self._replaced = tags.replaced(header)
        self._noted = False

    def texts(self, chunk: RecordChunk, scores: AlleleScores, newline: bytes = b"\n") -> Iterator[tuple[int, bytes]]:
        """The annotated records of each block of a chunk (see split_blocks), after the block's number."""
        pieces: list[bytes] = [newline] * (5 * len(chunk))
        pieces[0::5], pieces[1::5], pieces[3::5] = self._around(chunk)
        pieces[2::5] = self._tags(chunk, scores)
        for block, first, end in split_blocks(chunk):
            yield block, b"".join(pieces[5 * first : 5 * end])

    def _around(self, chunk: RecordChunk) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """What stands before the tags of each record, what parts these from it, and what comes after them."""
        infos, ends = chunk.infos, chunk.info_ends.tolist()
        before, between, after = chunk.lines.copy(), [b";"] * len(chunk), [b""] * len(chunk)
        if ends != list(map(len, chunk.lines)):
            before = [line[:end] for line, end in zip(chunk.lines, ends, strict=True)]
            after = [line[end:] for line, end in zip(chunk.lines, ends, strict=True)]
        last = infos.last
        is_odd = (infos.lengths == 0) | (last == ord(";")) | (last == ord("."))
        if self._prefix in infos.text:
            is_odd |= np.array([self._prefix in info for info in infos], bool)
        for record in np.flatnonzero(is_odd).tolist():
            info = infos[record]
            head, info = before[record].removesuffix(info), self._without_earlier_tags(info)
            is_empty = info.strip(b";") in (b"", MISSING)
            before[record] = head if is_empty else head + info
            between[record] = b"" if is_empty or info.endswith(b";") else b";"
        return before, between, after

    def _tags(self, chunk: RecordChunk, scores: AlleleScores) -> list[bytes]:
        """``VS_STATUS=..;VS_DIFF=..`` of each record, one value per ALT; of a record without any score its status."""
        first, counts, passes = chunk.rows[:-1], np.diff(chunk.rows), scores.status == Status.PASS
        is_plain = (counts == 1) & passes[first]
        tags = np.empty(len(chunk), object)
        columns = text_columns(scores.take(first[is_plain]), self._labels, self._extra_columns)
        tags[is_plain] = in_lines(self._form, columns)
        others = np.flatnonzero(~is_plain)
        if len(others):
            rows = stretches(first[others], counts[others])
            tags[others] = self._tags_of_several(scores.take(rows), counts[others])
        found: list[bytes] = tags.tolist()
        return found

    def _tags_of_several(self, scores: AlleleScores, counts: NDArray[np.int64]) -> list[bytes]:
        """The same for records with any number of alleles, int64 (n,)."""
        columns = [column.texts() for column in text_columns(scores, self._labels, self._extra_columns)]
        ends = np.cumsum(counts)
        spans = list(zip((ends - counts).tolist(), ends.tolist(), strict=True))
        columns = [[b",".join(column[first:end]) for first, end in spans] for column in columns]
        scored = np.add.reduceat(scores.status == Status.PASS, ends - counts, dtype=np.int64) > 0
        return [
            self._form % values if has_score else self._status_alone % values[0]
            for values, has_score in zip(zip(*columns, strict=True), scored.tolist(), strict=True)
        ]

    def _without_earlier_tags(self, info: bytes) -> bytes:
        if self._prefix not in info:
            return info
        entries = info.split(b";")
        kept = b";".join(entry for entry in entries if entry.partition(b"=")[0] not in self._replaced)
        if kept != info and not self._noted:
            self._noted = True
            self._note(next(key for entry in entries if (key := entry.partition(b"=")[0]) in self._replaced).decode())
        return kept

    def _note(self, name: str) -> None:
        if self._is_rerun:
            log.info("%s tags of an earlier run are replaced", self._prefix.decode())
        else:
            log.warning(
                "tags like %s are replaced, though the header tells of no run of varscore; to keep them, name ours "
                "otherwise with `tag_prefix`",
                name,
            )
