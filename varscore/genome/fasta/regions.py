"""Regions of a FASTA as text, letters as they are spelled: for people and checks, not for windows.

pyfaidx reads plain files and htslib bgzipped ones, so that what is shown does not come from the code that scores. Both
trust an index; here they are given one that has been compared with the file.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import pyfaidx
import pysam

from varscore.errors import FastaError
from varscore.genome.cache import cache_folder
from varscore.genome.coords import Interval
from varscore.genome.fasta.index import Fasta


class Regions:
    """Opens a FASTA. ``lengths``: contig name -> bases, in file order. Raises FastaError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = TemporaryDirectory(prefix="varscore-index-")
        try:
            place = Path(self._folder.name, "checked")
            fasta = Fasta(path, cache_folder(None))
            try:
                self.lengths = {name: record.length for name, record in fasta.records.items()}
                is_compressed = fasta.save_index(place)
            finally:
                fasta.close()
            index = f"{place}.fai"
            self._reader: pysam.FastaFile | pyfaidx.Faidx = (
                pysam.FastaFile(str(path), filepath_index=index, filepath_index_compressed=f"{place}.gzi")
                if is_compressed
                else pyfaidx.Faidx(str(path), indexname=index, rebuild=False, as_raw=True)
            )
        except BaseException:
            self._folder.cleanup()
            raise

    def text(self, region: Interval) -> str:
        """The letters of a region that lies on its contig. Raises FastaError when it does not."""
        length = self.lengths.get(region.contig)
        if length is None or not 0 <= region.start < region.end <= length:
            cause = "it has no such contig" if length is None else f"{region.contig} has {length:,} bases"
            raise FastaError(f"{region} is not in the FASTA", where=self.path, cause=cause)
        if isinstance(self._reader, pyfaidx.Faidx):
            return str(self._reader.fetch(region.contig, region.start + 1, region.end))
        return str(self._reader.fetch(region.contig, region.start, region.end))

    def close(self) -> None:
        self._reader.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
