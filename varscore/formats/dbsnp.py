"""What rsIDs stand for, from dbSNP's VCF or any other with IDs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from varscore.formats.vcf import RecordChunk, VariantReader
from varscore.genome.alleles import AlleleBatch


@dataclass(frozen=True)
class Known:
    """The ALT alleles of the records with a wanted ID. ids: the ID of each row of ``alleles``, in lower case

    lengths: contigs whose length the file declares; stated: what its header says of the assembly
    """

    ids: list[str]
    alleles: list[AlleleBatch]
    lengths: dict[str, int]
    stated: tuple[str, ...]


def look_up(path: str, wanted: Collection[str]) -> Known:
    """Every record of a VCF or BCF that has one of the ``wanted`` IDs (lower case), alone or among others.

    The file is read once, from front to back; an ID can stand in several records, so all of it is read.
    Raises VariantFileError.
    """
    asked = {text.encode() for text in wanted}
    ids: list[str] = []
    alleles: list[AlleleBatch] = []
    with VariantReader(path) as reader:
        for chunk in reader.chunks(1 << 14):
            for names in _wanted(chunk, asked):
                found = chunk.select(np.isin(np.arange(len(chunk)), list(names)))
                named = list(names.values())
                ids += [named[record] for record in found.alleles.record.tolist()]
                alleles.append(found.alleles)
        header = reader.header
    lengths = {name: length for name, length in header.contigs.items() if length is not None}
    return Known(ids, alleles, lengths, header.stated)


def _wanted(chunk: RecordChunk, asked: set[bytes]) -> Iterator[dict[int, str]]:
    """Records, by their number in the chunk, and which of their IDs is asked for; again for a further ID of theirs."""
    turns: list[dict[int, str]] = []
    for record, text in enumerate(chunk.ids):
        if text in asked:
            names = [text]
        elif b";" in text or b"RS" in text:
            names = [one for one in dict.fromkeys(text.lower().split(b";")) if one in asked]
        else:
            continue
        for turn, name in enumerate(names):
            if turn == len(turns):
                turns.append({})
            turns[turn][record] = name.decode()
    yield from turns
