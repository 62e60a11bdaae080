"""Who carries what: the genotypes of a chunk of records, read by cyvcf2.

Records come from a VariantReader, which hands on any VCF or BCF as text. htslib gets their GT alone, in a spelling that
every version of it reads: what it would refuse, cut short or print a message about has been dealt with before.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from cyvcf2 import VCF
from numpy.typing import NDArray

from varscore.formats.vcf import RecordChunk

MISSING, ABSENT = -1, -2
"""In the place of an allele: one that is not known; one that the call, of fewer alleles than others, does not have"""
MOST_SLOTS = 8
"""Alleles of a call; with more it is not read"""
_ODD = -2
_HIGHEST = 9999
"""Stands for every number of an ALT beyond, which no record has"""
_HEADER = b"##fileformat=VCFv4.2\n##contig=<ID=c>\n" + b'##FORMAT=<ID=GT,Number=1,Type=String,Description="">\n'
_COLUMNS = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
_RECORD = b"c\t1\t.\tN\t<X>\t.\t.\t.\tGT\t"
_SIMPLE = re.compile(rb"(?:[0-9.](?:[|/][0-9.])?(?:\t|\Z))+")
_CALL = re.compile(rb"[|/]?(?:[0-9]+|\.)(?:[|/](?:[0-9]+|\.))*")


@dataclass(frozen=True, slots=True)
class Genotypes:
    """The calls of R records in S samples, of up to P alleles each.

    alleles: int16 (R, S, P): 0 is REF, k the k-th ALT, else MISSING or ABSENT
    phased: bool (R, S), whether every separator is ``|``; a call whose haplotype is named by PSL (VCF 4.4), which is
        not read, is not
    phase_set: int64 (R, S): PS, -1 where there is none
    is_odd: bool (R,), a record with a call that cannot be: more ALTs than it has, no genotype at all, too many alleles
    odd_sets: how many PS are no whole numbers
    """

    alleles: NDArray[np.int16]
    phased: NDArray[np.bool_]
    phase_set: NDArray[np.int64]
    is_odd: NDArray[np.bool_]
    odd_sets: int = 0

    @property
    def is_certain(self) -> NDArray[np.bool_]:
        """bool (R, S): calls that need no phase, since all their alleles are the same and known."""
        first = self.alleles[:, :, :1]
        return np.asarray(((self.alleles == first) | (self.alleles == ABSENT)).all(2) & (first[:, :, 0] >= 0))

    def with_slots(self, slots: int) -> Genotypes:
        """The same with room for ``slots`` alleles a call, as many as there are or more."""
        more = ((0, 0), (0, 0), (0, slots - self.alleles.shape[2]))
        return replace(self, alleles=np.pad(self.alleles, more, constant_values=ABSENT))


def read_genotypes(chunk: RecordChunk, samples: Sequence[int], of: int) -> Genotypes:
    """The genotypes of a chunk, in some of the ``of`` samples that its file has: ``samples``, columns from 0 on."""
    everybody = list(samples) == list(range(of))
    calls, odd, sets = [], np.zeros(len(chunk), bool), np.full((len(chunk), len(samples)), -1, np.int64)
    odd_sets = 0
    named = np.zeros((len(chunk), len(samples)), bool)
    for record, (line, end) in enumerate(zip(chunk.lines, chunk.info_ends.tolist(), strict=True)):
        names, _, rest = line[end + 1 :].partition(b"\t")
        if everybody and names == b"GT" and _SIMPLE.fullmatch(rest):
            calls.append(rest)
            continue
        cells = rest.split(b"\t")
        keys, chosen = names.split(b":"), [cells[sample].split(b":") for sample in samples]
        spelled = [_plain(_field(keys, cell, b"GT")) for cell in chosen]
        calls.append(b"\t".join(call for call, _ in spelled))
        odd[record] = any(is_odd for _, is_odd in spelled)
        if b"PS" in keys:
            found = [_phase_set(_field(keys, cell, b"PS")) for cell in chosen]
            odd_sets += found.count(_ODD)
            sets[record] = [max(-1, number) for number in found]
        elif b"PSL" in keys:
            named[record] = [_field(keys, cell, b"PSL").strip(b".,") != b"" for cell in chosen]
    alleles, phased = _by_htslib(calls, len(samples))
    odd |= alleles.max((1, 2), initial=0) > np.diff(chunk.rows)
    return Genotypes(alleles, phased & ~named, sets, odd, odd_sets)


def _by_htslib(calls: Sequence[bytes], samples: int) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """The GT columns of records as ``alleles`` and ``phased`` of Genotypes."""
    names = b"\t".join(b"%d" % sample for sample in range(samples))
    with tempfile.TemporaryFile() as file:
        file.write(_HEADER + _COLUMNS + names + b"\n" + b"".join(_RECORD + call + b"\n" for call in calls))
        file.seek(0)
        found = list(_arrays(file.fileno()))
    assert len(found) == len(calls)
    slots = max((array.shape[1] - 1 for array in found), default=1)
    alleles = np.full((len(calls), samples, slots), ABSENT, np.int16)
    for record, array in enumerate(found):
        alleles[record, :, : array.shape[1] - 1] = array[:, :-1]
    phased = np.array([array[:, -1] for array in found], bool).reshape(len(calls), samples)
    return alleles, phased


def _arrays(descriptor: int) -> Iterator[NDArray[np.int16]]:
    """Of each record int16 (samples, slots + 1), the last column 1 where a call is phased."""
    records = VCF(descriptor)
    try:
        for record in records:
            yield record.genotype.array()
    finally:
        records.close()


def _field(keys: Sequence[bytes], cell: Sequence[bytes], name: bytes) -> bytes:
    """A value of a sample; trailing ones may be left out."""
    place = keys.index(name) if name in keys else len(cell)
    return cell[place] if place < len(cell) else b"."


@lru_cache(4096)
def _plain(call: bytes) -> tuple[bytes, bool]:
    """A GT as htslib reads it, and whether it cannot be one. VCF 4.4 may begin with a separator: the first allele's."""
    if not _CALL.fullmatch(call):
        return b".", True
    alleles = re.split(rb"[|/]", call.lstrip(b"|/"))
    if len(alleles) > MOST_SLOTS:
        return b".", True
    numbers = [allele if allele == b"." else b"%d" % min(int(allele[:18]), _HIGHEST) for allele in alleles]
    return (b"/" if b"/" in call else b"|").join(numbers), False


@lru_cache(4096)
def _phase_set(value: bytes) -> int:
    """PS; -1 for none, _ODD for what is no whole number."""
    if value.isdigit() and len(value) <= 18:
        return int(value)
    return -1 if value == b"." else _ODD
