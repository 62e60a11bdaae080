"""bigWig tracks: conservation scores and the like, read; predictions, written. Wants the ``bigwig`` extra."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varscore.errors import DataError, OutputError, UsageError
from varscore.genome.contigs import match_contigs, shown
from varscore.genome.sequence import Genome
from varscore.storage.atomic import TEMPORARY_SUFFIX, hidden_name, output_errors, sync_folder

if TYPE_CHECKING:
    import pybigtools

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
                "none of the bigWig's contigs is in the FASTA",
                where=self.path,
                cause=cause,
                remedy="pass the track of the FASTA's assembly",
            )
        for theirs, ours in self._of_genome.items():
            if self._contigs[ours] != genome.contigs[theirs]:
                log.warning(
                    "%s is probably of another assembly than %s: its %s has %s bases, the FASTA's %s",
                    self.path,
                    genome.path.name,
                    ours,
                    f"{self._contigs[ours]:,}",
                    f"{genome.contigs[theirs]:,}",
                )
                break

    def warn_of_missing(self) -> None:
        """Say so when most of the values that were asked for are not there."""
        if self._missing * 2 > self._asked:
            log.warning(
                "%s has no value for %s of %s positions: is it of another assembly?",
                self.path,
                f"{self._missing:,}",
                f"{self._asked:,}",
            )

    def values(
        self, contigs: Sequence[str], contig: NDArray[np.integer], start: NDArray[np.int64]
    ) -> NDArray[np.float32]:
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

    def _fetch(self, contig: str, start: int, end: int) -> NDArray[np.float64]:
        try:
            values: NDArray[np.float64] = self._file.values(contig, start, end, fillna=np.nan)
        except Exception as error:  # the library has an error of its own for each thing that can be damaged
            raise DataError("cannot read the bigWig", where=self.path, cause=str(error)) from None
        return values


Stretch = tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
"""Of one contig: where intervals begin and end, int64 (n,), ascending, and their values, float32 (n,), finite"""


def write_bigwig(path: Path, contigs: Mapping[str, int], stretches: Iterable[Stretch]) -> None:
    """Write a track; contigs: names and lengths. Stretches come in the order of names and bases.

    The library says nothing of what it could not write: so what goes in is checked before, and what has come out after.
    Raises UsageError without the library, ValueError for intervals that are no track, OutputError.
    """
    library = _library()
    counted = _Counted(contigs)
    names = {name: contigs[name] for name in sorted(contigs)}
    with output_errors(str(path)):
        partial = Path(hidden_name(str(path), TEMPORARY_SUFFIX) + path.suffix)
        try:
            library.open(str(partial), "w").write(names, counted.records(stretches))
            counted.demand(partial, path)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
            sync_folder(str(path.parent))
        finally:
            partial.unlink(missing_ok=True)


class _Counted:
    """Hands records on and remembers of each contig what a file that has them all says of them."""

    def __init__(self, contigs: Mapping[str, int]) -> None:
        self._contigs = contigs
        self._ends: dict[str, tuple[tuple[int, float], tuple[int, float]]] = {}
        self._bases = 0
        self._error: ValueError | None = None

    def records(self, stretches: Iterable[Stretch]) -> Iterator[tuple[str, int, int, float]]:
        last, at = "", 0
        try:
            for contig, start, end, values in stretches:
                if not len(values):
                    continue
                at = at if contig == last else 0
                _demand_track(contig, start, end, values, at, contig >= last, self._contigs[contig])
                first = (int(start[0]), float(values[0]))
                self._ends[contig] = (self._ends.get(contig, (first,))[0], (int(start[-1]), float(values[-1])))
                self._bases += int((end - start).sum())
                last, at = contig, int(end[-1])
                columns = (column.tolist() for column in (start, end, values))
                yield from ((contig, *record) for record in zip(*columns, strict=True))
        except ValueError as error:  # which the library would print and swallow
            self._error = error

    def demand(self, partial: Path, path: Path) -> None:
        """Raises OutputError unless the file has all of it."""
        if self._error is not None:
            raise self._error
        if not self._ends:
            return
        try:
            file = _library().open(str(partial))
            bases = file.info()["summary"]["basesCovered"]
            there = {
                name: tuple((at, float(file.values(name, at, at + 1, fillna=np.nan)[0])) for at, _ in ends)
                for name, ends in self._ends.items()
            }
        except Exception as error:  # as in _fetch
            raise _not_written(path, str(error)) from None
        if bases != self._bases or there != self._ends:
            raise _not_written(path, f"it covers {bases:,} of {self._bases:,} bases, or has other values")


def _not_written(path: Path, cause: str) -> OutputError:
    return OutputError("the bigWig is not what was to be written", where=path, cause=cause, remedy="is the disk full?")


def _demand_track(
    contig: str,
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    values: NDArray[np.float32],
    at: int,
    in_order: bool,
    length: int,
) -> None:
    """Raises ValueError unless intervals of a contig follow on base ``at`` and on one another, and are finite."""
    apart = (start[1:] >= end[:-1]).all() and start[0] >= at and (end > start).all()
    if not (in_order and apart and end[-1] <= length and np.isfinite(values).all()):
        raise ValueError(f"not a track on {contig}: intervals out of order, off the contig, or not finite")


def demand_library() -> None:
    """Raises UsageError where bigWigs can be neither read nor written."""
    _library()


def _library() -> Any:
    try:
        import pybigtools
    except ImportError:
        raise UsageError(
            "bigWig tracks cannot be read or written",
            cause="pybigtools is missing",
            remedy="pip install pybigtools",
        ) from None
    return pybigtools


def _open(path: Path) -> tuple[pybigtools.BBIReader, dict[str, int]]:
    library = _library()
    if not path.is_file():
        raise DataError("no such file", where=path, remedy="check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            file = library.open(str(path))
            if not file.is_bigwig:
                raise DataError("a bigBed, not a bigWig", where=path)
            return file, dict(file.chroms())
    except DataError:
        raise
    except Exception as error:  # as above
        raise DataError("not a bigWig", where=path, cause=str(error)) from None
