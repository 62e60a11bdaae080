"""bigWig tracks, one value a base: conservation scores and the like. Wants the ``bigwig`` extra."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from varscore.errors import DataError, UsageError
from varscore.genome.contigs import match_contigs, shown
from varscore.genome.sequence import Genome

log = logging.getLogger(__name__)
_GAP = 512  # positions no farther apart are fetched together


class BigWig:
    """A bigWig file. Copies in other processes open the file themselves. Raises UsageError and DataError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file, self._contigs = _open(path)
        self._find: Callable[[str], str | None] | None = None
        self._of_genome: dict[str, str] = {}
        self._asked = self._missing = 0

    def __reduce__(self) -> tuple[object, ...]:
        return BigWig, (self.path,)

    def fit(self, genome: Genome, find: Callable[[str], str | None] | None = None) -> None:
        """Take contigs for those of the genome that they are named like. find: the FASTA's name for a contig that
        :meth:`values` will be asked of; by default names are the FASTA's.

        Raises DataError when no contig is one of the genome's; one of another length is warned of.
        """
        matches = match_contigs(self._contigs, genome, self._contigs)
        self._of_genome = {theirs: ours for ours, theirs in matches.items() if theirs is not None}
        self._find = find or (lambda contig: contig)
        if not self._of_genome:
            cause = f"it has {shown(self._contigs)}; {genome.path.name} has {shown(genome.contigs)}"
            raise DataError(
                "none of the bigWig's contigs is in the FASTA", where=self.path, cause=cause,
                remedy="pass the track of the FASTA's assembly",
            )  # fmt: skip
        for theirs, ours in self._of_genome.items():
            if self._contigs[ours] != genome.contigs[theirs]:
                log.warning(
                    "%s is probably of another assembly than %s: its %s has %s bases, the FASTA's %s",
                    self.path, genome.path.name, ours, f"{self._contigs[ours]:,}", f"{genome.contigs[theirs]:,}",
                )  # fmt: skip
                break

    def warn_of_missing(self) -> None:
        """Say so when most of the values that were asked for are not there."""
        if self._missing * 2 > self._asked:
            log.warning(
                "%s has no value for %s of %s positions: is it of another assembly?",
                self.path, f"{self._missing:,}", f"{self._asked:,}",
            )  # fmt: skip

    def values(self, contigs: Sequence[str], contig: np.ndarray, start: np.ndarray) -> np.ndarray:
        """The value at each position, float32 (n,), NaN where the track has none.

        contigs: names, as :meth:`fit` was told, else spelled with or without ``chr``
        contig: int (n,) index into them; start: int64 (n,), 0-based
        """
        found = np.full(len(start), np.nan, np.float32)
        for index in np.unique(contig).tolist():
            name = self._name(contigs[index])
            if name is None:
                continue
            rows = np.flatnonzero((contig == index) & (start >= 0) & (start < self._contigs[name]))
            rows = rows[np.argsort(start[rows], kind="stable")]
            for near in np.split(rows, np.flatnonzero(np.diff(start[rows]) > _GAP) + 1):
                if len(near):
                    first, last = int(start[near[0]]), int(start[near[-1]])
                    found[near] = self._fetch(name, first, last + 1)[start[near] - first]
        self._asked += len(found)
        self._missing += int(np.isnan(found).sum())
        return found

    def _name(self, contig: str) -> str | None:
        if self._find is not None:
            return self._of_genome.get(self._find(contig) or "")
        other = contig.removeprefix("chr") if contig.startswith("chr") else f"chr{contig}"
        return next((name for name in (contig, other) if name in self._contigs), None)

    def _fetch(self, contig: str, start: int, end: int) -> np.ndarray:
        try:
            values: np.ndarray = self._file.values(contig, start, end, fillna=np.nan)
        except Exception as error:  # the library has an error of its own for each thing that can be damaged
            raise DataError("cannot read the bigWig", where=self.path, cause=str(error)) from None
        return values


def _open(path: Path) -> tuple[Any, dict[str, int]]:
    try:
        import pybigtools
    except ImportError:
        raise UsageError(
            "bigWig tracks cannot be read", cause="pybigtools is missing",
            remedy="pip install pybigtools",
        ) from None  # fmt: skip
    if not path.is_file():
        raise DataError("no such file", where=path, remedy="check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            file = pybigtools.open(str(path))
            if not file.is_bigwig:
                raise DataError("a bigBed, not a bigWig", where=path)
            return file, dict(file.chroms())
    except DataError:
        raise
    except Exception as error:  # as above
        raise DataError("not a bigWig", where=path, cause=str(error)) from None
