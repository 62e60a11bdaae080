"""The records around those that are scored, with who carries them: a buffer that slides over a sorted file.

It reads the whole file for itself, so that a shard, a run that carries on, and one that is limited to regions all see
the same neighbours. Genotypes, which cost most, are read only where they are asked for.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from varscore.errors import VariantFileError
from varscore.formats.genotypes import Genotypes, read_genotypes
from varscore.formats.vcf import RecordChunk, VariantReader
from varscore.genome.alleles import AlleleBatch, Status
from varscore.genome.contigs import ContigNames
from varscore.genome.haplotype import Change
from varscore.genome.named import NamedGenome
from varscore.genome.reasons import Rules, judge
from varscore.genome.sequence import Genome, encode

PIECE = 256
"""Records of the buffer that come and go together"""
REACH = 8
"""Windows to either side in which neighbours are looked for. All but a few are within one: only behind a deletion that
is longer than a window there is more to see."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Samples:
    """Whose genotypes count. names: in the order of the file; columns: theirs, from 0 on; of: samples of the file"""

    names: tuple[str, ...]
    columns: tuple[int, ...]
    of: int


class Piece:
    """Some consecutive records; what costs time is found out when it is asked for."""

    def __init__(self, chunk: RecordChunk, samples: Samples, genome: NamedGenome, rules: Rules) -> None:
        self.chunk = chunk
        self._samples, self._genome, self._rules = samples, genome, rules
        alleles, first = chunk.alleles, chunk.rows[:-1]
        self.contig, self.start = alleles.contig[first], alleles.start[first]

    @cached_property
    def genotypes(self) -> Genotypes:
        return read_genotypes(self.chunk, self._samples.columns, self._samples.of)

    @cached_property
    def judged(self) -> tuple[NDArray[np.uint8], AlleleBatch]:
        """Status of every allele, uint8, and the alleles in the form in which they are scored."""
        return judge(self.chunk.alleles, self._genome, self._rules)

    @property
    def last(self) -> tuple[int, int]:
        """Contig and position of the last record."""
        return int(self.contig[-1]), int(self.start[-1])


@dataclass(frozen=True)
class Spanning:
    """Structural alleles, and deletions called ``*``, that are known to lie over [start, end) of a contig.

    carried: bool (k, S, P), who has them on which slot
    """

    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    carried: NDArray[np.bool_]

    def over(self, contig: int, start: int, end: int) -> NDArray[np.bool_]:
        """bool (S, P): who has one of them within [start, end)."""
        meets = (self.contig == contig) & (self.start < end) & (self.end > start)
        return np.asarray(self.carried[meets].any(0))


@dataclass(frozen=True)
class Neighbourhood:
    """Consecutive records of the file.

    first: the number of the first of R; genotypes: theirs; rows: int64 (R + 1,), as of a chunk
    alleles, status: of all their alleles, as scored; spanning: what no window shows and yet may be missing there
    samples: names
    """

    first: int
    genotypes: Genotypes
    rows: NDArray[np.int64]
    alleles: AlleleBatch
    status: NDArray[np.uint8]
    spanning: Spanning
    samples: tuple[str, ...]

    @cached_property
    def sorted(self) -> NDArray[np.int64]:
        """The alleles that a haplotype may have, int64 (k,), in the order in which they are applied to it."""
        usable = np.flatnonzero((self.status == Status.PASS) & (self.alleles.affected_bases == 0))
        order = np.lexsort((usable, self.alleles.start[usable], self.alleles.contig[usable]))
        return np.asarray(usable[order])

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """Contig and position of ``sorted`` in one number, int64 (k,)."""
        return place(self.alleles.contig[self.sorted], self.alleles.start[self.sorted])

    @cached_property
    def lost(self) -> NDArray[np.int64]:
        """int64 (k,): how many bases each of ``sorted`` takes out of its haplotype."""
        longer = self.alleles.ref.lengths[self.sorted] - self.alleles.alt.lengths[self.sorted]
        return np.asarray(np.maximum(longer, 0))

    @cached_property
    def longest(self) -> int:
        """Bases of the longest REF that a haplotype may have."""
        return int(self.alleles.ref.lengths[self.sorted].max(initial=1))

    def change(self, allele: int) -> Change:
        """An allele as a change of the sequence."""
        start, ref, alt = int(self.alleles.start[allele]), self.alleles.ref[allele], self.alleles.alt[allele]
        is_padded = len(ref) != len(alt) and ref[:1].upper() == alt[:1].upper()
        return Change(start, start + len(ref), encode(alt), allele, is_padded)

    def near(self, contig: int, start: int, length: int) -> NDArray[np.int64]:
        """The alleles that a window of ``length`` bases around a position may show, as indices of ``sorted``."""
        most, reach, seen = REACH * length, length, np.empty(0, np.int64)
        while True:
            left, right = min(reach + self.longest, most), min(reach, most)
            ends = place(np.array([contig, contig]), np.array([max(0, start - left), start + right + 1]))
            seen = np.arange(*np.searchsorted(self.place, ends))
            wider = length + int(self.lost[seen].sum())
            if wider <= reach or reach >= most:
                return seen
            reach = wider


def place(contig: NDArray[np.integer], start: NDArray[np.int64]) -> NDArray[np.int64]:
    """Contig and position in one number, in their order: int64."""
    return np.asarray((contig.astype(np.int64) << 44) + start)


class Cohort:
    """The genotypes of a file, read along with those of its records that are scored."""

    def __init__(
        self, path: str, samples: Samples, genome: Genome, names: ContigNames, rules: Rules, window: int, name: str
    ) -> None:
        """window: length of the network's windows; name: of the file, in messages. Raises VariantFileError when it
        cannot be read."""
        self.samples, self._rules, self._genome, self._names = samples, rules, genome, names
        self._reader = VariantReader(path, quiet=True, name=name)
        self._chunks = self._reader.chunks(PIECE)
        self._pieces: deque[Piece] = deque()
        self._window, self._reach = window, REACH * window
        self._met: set[int] = set()
        self._before: list[Spanning] = []
        self._is_read = self._is_warned = False

    def close(self) -> None:
        self._reader.close()

    def around(self, chunk: RecordChunk) -> Neighbourhood:
        """The records of a chunk and those nearby. Chunks are asked for in the order of the file.

        Raises VariantFileError when the records are not sorted.
        """
        if not len(chunk):  # all of it was left out
            if not self._pieces:
                self._read_on()
            return self._together([self._pieces[-1]])
        alleles = chunk.alleles
        first, last = ((int(alleles.contig[row]), int(alleles.start[row])) for row in (0, -1))
        number = int(chunk.numbers[-1])
        while not self._is_read and not self._is_beyond(number, last):
            self._read_on()
        while self._pieces[0].chunk.numbers[-1] < chunk.first and self._is_past(self._pieces[0], first):
            self._forget(self._pieces.popleft(), first)
        self._before = [one for one in self._before if (one.contig == first[0]).any()]
        neighbourhood = self._together(list(self._pieces))
        self._warn_of_sets()
        return neighbourhood

    def _is_beyond(self, number: int, last: tuple[int, int]) -> bool:
        """Whether what has been read goes far enough beyond the record ``number``, which is at ``last``."""
        if not self._pieces or self._pieces[-1].chunk.numbers[-1] < number:
            return False
        contig, start = self._pieces[-1].last
        return contig != last[0] or start > last[1] + self._reach

    def _is_past(self, piece: Piece, first: tuple[int, int]) -> bool:
        contig, start = piece.last
        return contig != first[0] or start < first[1] - self._reach

    def _read_on(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            self._is_read = True
            return
        named = NamedGenome(self._genome, self._names.of(chunk.alleles.contigs))
        if not self._met:
            self._demand_genotypes(chunk)
        piece = Piece(chunk, self.samples, named, self._rules)
        self._demand_order(piece)
        self._pieces.append(piece)

    def _demand_genotypes(self, chunk: RecordChunk) -> None:
        """Raises VariantFileError when none of the first records has a GT."""
        formats = {line[end + 1 :].split(b"\t", 1)[0] for line, end in zip(chunk.lines, chunk.info_ends, strict=True)}
        if not any(b"GT" in names.split(b":") for names in formats):
            raise VariantFileError(
                "no genotypes",
                where=self._reader.where,
                cause=f"none of the first {len(chunk)} records has a GT",
                remedy="leave out `haplotypes`",
            )

    def _demand_order(self, piece: Piece) -> None:
        before = self._pieces[-1].last if self._pieces else (-1, -1)
        contig, start = np.append(before[0], piece.contig), np.append(before[1], piece.start)
        fresh = np.flatnonzero(np.diff(contig) != 0)
        again = []
        for record, name in zip(fresh.tolist(), piece.contig[fresh].tolist(), strict=True):
            again += [record] if name in self._met else []
            self._met.add(name)
        back = np.flatnonzero((np.diff(contig) == 0) & (np.diff(start) < 0)).tolist()
        if wrong := sorted(again + back):
            number = int(piece.chunk.numbers[wrong[0]]) + 1
            raise VariantFileError(
                "the records are not sorted",
                where=f"{self._reader.where} record {number}",
                cause="haplotypes are read in the order of positions",
                remedy="bcftools sort",
            )

    def _forget(self, piece: Piece, first: tuple[int, int]) -> None:
        """Keep of a piece that is left behind what reaches over the records to come."""
        alleles = piece.chunk.alleles
        end = alleles.start + 1 + alleles.affected_bases
        far = (alleles.affected_bases > 0) & (alleles.contig == first[0]) & (end > first[1] - self._window)
        if far.any():
            records = np.zeros(len(piece.chunk), bool)
            records[alleles.record[far]] = True
            part = piece.chunk.select(records)
            self._before.append(_spanning(part, read_genotypes(part, self.samples.columns, self.samples.of)))

    def _together(self, pieces: Sequence[Piece]) -> Neighbourhood:
        genotypes = _joined([piece.genotypes for piece in pieces])
        status = np.concatenate([piece.judged[0] for piece in pieces])
        alleles = AlleleBatch.joined([piece.judged[1] for piece in pieces])
        counts = np.concatenate([np.diff(piece.chunk.rows) for piece in pieces])
        slots = genotypes.alleles.shape[2]
        spanning = [*self._before, *(_spanning(piece.chunk, piece.genotypes) for piece in pieces)]
        return Neighbourhood(
            first=pieces[0].chunk.first,
            genotypes=genotypes,
            rows=np.concatenate([[0], np.cumsum(counts)]),
            alleles=alleles,
            status=status,
            spanning=_all_spanning(spanning, slots),
            samples=self.samples.names,
        )

    def _warn_of_sets(self) -> None:
        wrong = sum(piece.genotypes.odd_sets for piece in self._pieces)
        if wrong and not self._is_warned:
            self._is_warned = True
            log.warning("PS that are no whole numbers are taken as absent", extra={"fields": {"calls": wrong}})


def _joined(parts: Sequence[Genotypes]) -> Genotypes:
    slots = max(part.alleles.shape[2] for part in parts)
    return Genotypes(
        alleles=np.concatenate([part.with_slots(slots).alleles for part in parts]),
        phased=np.concatenate([part.phased for part in parts]),
        phase_set=np.concatenate([part.phase_set for part in parts]),
        is_odd=np.concatenate([part.is_odd for part in parts]),
        odd_sets=sum(part.odd_sets for part in parts),
    )


def _spanning(chunk: RecordChunk, genotypes: Genotypes) -> Spanning:
    """What a chunk has of structural alleles and ``*``."""
    alleles = chunk.alleles
    ends = alleles.start + 1 + alleles.affected_bases
    star = (alleles.alt.lengths == 1) & (alleles.alt.data[alleles.alt.offsets[:-1]] == ord("*"))
    rows = np.flatnonzero(star | (alleles.affected_bases > 0))
    record = alleles.record[rows]
    number = rows - chunk.rows[record] + 1
    carried = genotypes.alleles[record] == number[:, None, None]
    return Spanning(alleles.contig[rows], alleles.start[rows], ends[rows], carried)


def _all_spanning(parts: Sequence[Spanning], slots: int) -> Spanning:
    def wide(carried: NDArray[np.bool_]) -> NDArray[np.bool_]:
        missing = max(0, slots - carried.shape[2])
        return np.pad(carried, ((0, 0), (0, 0), (0, missing)))[:, :, :slots]

    return Spanning(
        np.concatenate([part.contig for part in parts]),
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.end for part in parts]),
        np.concatenate([wide(part.carried) for part in parts]),
    )
