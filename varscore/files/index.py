"""Indexes beside bgzipped VCF and BCF output."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import pysam

from varscore.files.atomic import AtomicFile, output_errors
from varscore.genome.alleles import AlleleBatch

TBI_REACH = 1 << 29  # a .tbi ends here; a .csi does not
SUFFIXES = (".tbi", ".csi")
log = logging.getLogger(__name__)


class SortOrder:
    """Whether records come contig by contig with POS never going down, and how far they reach."""

    def __init__(self) -> None:
        self.is_sorted = True
        self.reach = 0
        self._done: set[int] = set()
        self._contig, self._start = -1, -1

    def see(self, alleles: AlleleBatch) -> None:
        """Take the next records into account."""
        if not len(alleles):
            return
        self.reach = max(self.reach, int((alleles.start + alleles.ref.lengths).max()))
        contig = np.concatenate([[self._contig], alleles.contig])
        start = np.concatenate([[self._start], alleles.start])
        changes = np.diff(contig) != 0
        if (np.diff(start)[~changes] < 0).any():
            self.is_sorted = False
        for before, after in zip(contig[:-1][changes].tolist(), contig[1:][changes].tolist(), strict=True):
            self._done.add(before)
            if after in self._done:
                self.is_sorted = False
        self._contig, self._start = int(contig[-1]), int(start[-1])


def build_index(
    output: AtomicFile, order: SortOrder, lengths: Iterable[int | None], *, preset: str
) -> AtomicFile | None:
    """Index the finished but not yet committed ``output``; the index is to be committed after it.

    preset: ``vcf`` (a .tbi, or a .csi where a contig or record reaches beyond 2^29) or ``bcf`` (a .csi).
    Returns None, after one warning, for records that cannot be indexed. Raises OutputError.
    """
    if not order.is_sorted:
        log.warning("the records are not sorted, so there is no index", extra={"fields": {"output": output.path}})
        return None
    reach = max([order.reach, *(length or 0 for length in lengths)])
    output.sync()
    for suffix in SUFFIXES if preset == "vcf" and reach <= TBI_REACH else (".csi",):
        index = AtomicFile(output.path + suffix, force=True)
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


def remove_stale_indexes(path: str) -> None:
    """Remove the indexes of the file that is about to be replaced: they would point into the wrong one."""
    for suffix in SUFFIXES:
        with output_errors(path), suppress(FileNotFoundError):
            os.unlink(path + suffix)
