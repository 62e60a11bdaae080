"""Indexes beside bgzipped VCF and BCF output."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

import numpy as np
import pysam

from varscore.genome.alleles import AlleleBatch
from varscore.storage.atomic import AtomicFile, SideFile, output_errors, side_name
from varscore.storage.fields import count, entries, flag, integer, text
from varscore.storage.outputs import INDEX_SUFFIXES
from varscore.storage.stages import Output, Placement

TBI_REACH = 1 << 29  # a .tbi ends here; a .csi does not
log = logging.getLogger(__name__)


class SortOrder:
    """Whether records come contig by contig with POS never going down, and how far they reach.

    carry: the :meth:`mark` of another that has seen the records before
    """

    def __init__(self, carry: Mapping[str, object] | None = None) -> None:
        carry = {} if carry is None else dict(carry)
        self.is_sorted = flag(carry.get("is_sorted", True))
        self.reach = count(carry.get("reach", 0))
        self._contigs = [text(name) for name in entries(carry.get("contigs", []))]  # in order, the one under way last
        self._start = integer(carry.get("start", -1))

    def mark(self) -> dict[str, object]:
        """What there is to know about the records seen so far, as JSON."""
        return {"is_sorted": self.is_sorted, "reach": self.reach, "contigs": self._contigs, "start": self._start}

    def see(self, alleles: AlleleBatch) -> None:
        """Take the next records into account."""
        if not len(alleles):
            return
        self.reach = max(self.reach, int((alleles.start + alleles.ref.lengths).max()))
        if not self.is_sorted:
            return
        changes = np.diff(alleles.contig) != 0
        if (np.diff(alleles.start)[~changes] < 0).any():
            self.is_sorted = False
        for index in alleles.contig[np.append(True, changes)].tolist():
            name = alleles.contigs[index]
            if self._contigs and name == self._contigs[-1]:  # the first of these records carry on the last's contig
                self.is_sorted &= int(alleles.start[0]) >= self._start
            else:
                self.is_sorted &= name not in self._contigs
                self._contigs.append(name)
        self._start = int(alleles.start[-1])


def build_index(
    output: AtomicFile, order: SortOrder, lengths: Iterable[int | None], *, preset: str
) -> AtomicFile | None:
    """Index the finished but not yet committed ``output``; the index is to be committed after it.

    preset: ``vcf`` (a .tbi, or a .csi where a contig or record reaches beyond 2^29) or ``bcf`` (a .csi).
    Returns None, after one warning, for records that cannot be indexed. Raises OutputError.
    """
    if not order.is_sorted:
        log.warning(
            "the records are not sorted, so there is no index; `bcftools sort` makes a copy that can be indexed",
            extra={"fields": {"output": output.path}},
        )
        return None
    reach = max([order.reach, *(length or 0 for length in lengths)])
    output.sync()
    for suffix in INDEX_SUFFIXES if preset == "vcf" and reach <= TBI_REACH else (".csi",):
        index = SideFile(output.path + suffix)
        try:
            if _index(output.temporary, index, preset):
                return index
        except BaseException:
            index.abort()
            raise
        index.abort()
    log.warning("the records could not be indexed", extra={"fields": {"output": output.path}})
    return None


def _index(data: str, index: AtomicFile, preset: str) -> bool:
    verbosity = pysam.set_verbosity(0)  # htslib's own words on stderr would come on top of ours
    try:
        pysam.tabix_index(
            data,
            preset=preset,  # type: ignore[arg-type]  # pysam's stubs forget "bcf"
            index=index.temporary,
            csi=index.path.endswith(".csi"),
            force=True,
            keep_original=True,
        )
    except OSError:
        # pysam does not say whether the records or the disk are to blame. If the disk is, this fails as well.
        index.write(bytes(1 << 16))
        index.sync()
        return False
    finally:
        pysam.set_verbosity(verbosity)
    return True


class IndexedFile(Output):
    """An output and the index that is put beside it; a stream, and a file without ``preset``, has none.

    An index of an older file is removed before: it would point into the wrong one.
    order, lengths, preset: see :func:`build_index`
    """

    def __init__(self, output: AtomicFile, order: SortOrder, lengths: Iterable[int | None], preset: str | None) -> None:
        self.output, self._order, self._lengths = output, order, list(lengths)
        self._preset = None if output.direct else preset
        self._index: AtomicFile | None = None

    def settle(self) -> list[Placement]:
        data = self.output.settle()
        if self._preset is None:
            return data
        self._index = build_index(self.output, self._order, self._lengths, preset=self._preset)
        stale = [Placement(None, side_name(self.output.path + suffix)) for suffix in INDEX_SUFFIXES]
        if self._index is None:
            return [*stale, *data]
        return [*stale, *data, *self._index.settle()]

    def place(self) -> None:
        if self._preset is not None:
            for suffix in INDEX_SUFFIXES:
                with output_errors(self.output.path), suppress(FileNotFoundError):
                    os.unlink(self.output.path + suffix)
        self.output.place()
        if self._index:
            self._index.place()

    def abort(self) -> None:
        self.output.abort()
        if self._index:
            self._index.abort()

    def suspend(self) -> None:
        self.output.suspend()
        if self._index:
            self._index.suspend()
