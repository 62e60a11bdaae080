"""Our tags in a VCF: the header lines that declare them, and INFO columns with them appended."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from varscore.files.scores import MISSING, AlleleScores, Provenance, task_labels, text_columns
from varscore.files.vcf import RecordChunk
from varscore.files.vcf_header import VcfHeader, encode
from varscore.genome.alleles import Status

PREFIX = b"VS_"
_OUR_LINE = re.compile(rb'##varscore|##INFO=<(?:[^"]*,)?ID=VS_')
_TAGS = {
    "STATUS": ("String", "PASS, or why the allele has no score"),
    "DIFF": ("Float", "Probability difference, alternative minus reference, of the task where it is largest"),
    "TASK": ("String", "That task, as index:name"),
    "LOGODDS": ("Float", "log2-odds difference of that task"),
    "SIG": ("Float", "Functional significance against a background of common variants; lower is more significant"),
}
_TAGS_OF_VALUES = {
    "DIFF": (
        "Float",
        "Difference of the predicted value, alternative minus reference, of the task where it is largest",
    ),
    "LOGODDS": ("Float", "Missing: the model predicts values, which have no odds"),
}
log = logging.getLogger(__name__)


def annotated_header(
    header: VcfHeader,
    provenance: Provenance,
    extra_columns: Sequence[str],
    contig_lengths: Mapping[str, int],
    of_values: bool = False,
) -> list[bytes]:
    """Every header line of the output: the input's own, less those of an earlier varscore run, then ours.

    of_values: whether the model predicts values, not probabilities
    """
    kept = [line for line in header.lines if not _OUR_LINE.match(line)]
    contigs = [
        b"##contig=<ID=%s,length=%d>" % (encode(name), length)
        for name, length in contig_lengths.items()
        if name not in header.contigs
    ]
    meanings = {**_TAGS, **_TAGS_OF_VALUES} if of_values else _TAGS
    tags = [
        _declaration(name, meanings) for name in ("STATUS", "DIFF", "TASK", "LOGODDS", *map(str.upper, extra_columns))
    ]
    return [*kept, *contigs, *tags, *provenance.lines(), header.columns]


def _declaration(name: str, meanings: Mapping[str, tuple[str, str]]) -> bytes:
    kind, meaning = meanings.get(name) or ("Float", f"Probability from the classifier {name.removeprefix('P_')}")
    return f'##INFO=<ID=VS_{name},Number=A,Type={kind},Description="{meaning}">'.encode()


class Annotator:
    """Appends our tags to the INFO column of records and leaves every other byte alone."""

    def __init__(self, tasks: Sequence[str], extra_columns: Sequence[str]) -> None:
        self._labels = task_labels(tasks)
        self._extra_columns = tuple(extra_columns)
        names = (b"STATUS", b"DIFF", b"TASK", b"LOGODDS", *(name.upper().encode() for name in extra_columns))
        self._template = b";".join(PREFIX + name + b"=%b" for name in names)
        self._noted = False

    def lines(self, chunk: RecordChunk, scores: AlleleScores) -> Iterator[bytes]:
        """The annotated records, without line ends."""
        for line, info, end, tags in zip(
            chunk.lines, chunk.infos, chunk.info_ends.tolist(), self._tags(chunk, scores), strict=True
        ):
            if PREFIX in info:
                info, line, end = self._without_our_tags(info, line, end)
            if info in (b"", MISSING):
                yield b"%b%b%b" % (line[: end - len(info)], tags, line[end:])
            else:
                yield b"%b;%b%b" % (line[:end], tags, line[end:])

    def _tags(self, chunk: RecordChunk, scores: AlleleScores) -> list[bytes]:
        """``VS_STATUS=..;VS_DIFF=..`` of each record, one value per ALT."""
        columns = text_columns(scores, self._labels, self._extra_columns)
        if len(chunk) != len(scores):
            spans = list(zip(chunk.rows[:-1].tolist(), chunk.rows[1:].tolist(), strict=True))
            columns = [[b",".join(column[first:end]) for first, end in spans] for column in columns]
        tags = [self._template % values for values in zip(*columns, strict=True)]
        alone = (scores.status[chunk.rows[:-1]] == Status.NO_ALT) & (np.diff(chunk.rows) == 1)
        for record in np.flatnonzero(alone).tolist():
            tags[record] = b"VS_STATUS=NO_ALT"
        return tags

    def _without_our_tags(self, info: bytes, line: bytes, end: int) -> tuple[bytes, bytes, int]:
        """INFO, line and end of INFO after the tags of an earlier run are gone."""
        kept = b";".join(entry for entry in info.split(b";") if not entry.startswith(PREFIX))
        if kept != info and not self._noted:
            self._noted = True
            log.info("VS_ tags of an earlier run are replaced")
        start = end - len(info)
        return kept, line[:start] + kept + line[end:], start + len(kept)
