"""``varscore background``: common variants through a network, their magnitudes into a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.engine.compute import Compute
from varscore.errors import DataError
from varscore.formats.regions import RegionSet
from varscore.formats.sites import frequencies
from varscore.formats.vcf import RecordChunk, VariantReader
from varscore.functional.scoring import CHUNK, open_cache
from varscore.genome.alleles import AlleleBatch, Status
from varscore.genome.contigs import ContigNames
from varscore.genome.sequence import Genome
from varscore.scoring.evalue import BACKGROUND, TAIL, Background, BackgroundBuilder, magnitudes, save_background
from varscore.scoring.features import Tracks
from varscore.scoring.score import score_chunks
from varscore.scoring.survey import GenomeRules, compared, open_names
from varscore.storage.atomic import refuse_existing
from varscore.storage.digest import file_sha256
from varscore.storage.outputs import check_names, with_indexes
from varscore.zoo.card import write_card
from varscore.zoo.models import ModelFolder, demand_odds

REMEMBERED = 1 << 14
"""Alleles of a file among which one that comes again is noticed"""


@dataclass(frozen=True)
class BackgroundJob:
    """Everything ``background`` is asked to do.

    exclude: records that overlap are left out; least_frequency: so are alleles that state a lower one
    tail: largest values that are kept of each task
    """

    model: ModelFolder
    sources: tuple[str, ...]
    reference: Path
    output: str
    exclude: RegionSet | None = None
    least_frequency: float = 0.0
    tail: int = TAIL
    rules: GenomeRules = field(default_factory=GenomeRules)
    tracks: Tracks = field(default_factory=Tracks)
    compute: Compute = field(default_factory=Compute)
    cache: Path | None = None
    """Of effects, see open_cache"""
    force: bool = False
    inputs: tuple[str, ...] = ()
    """What is read besides, a BED of regions to leave out"""

    def check(self) -> None:
        """Raises UsageError and OutputExists."""
        demand_odds(self.model, "background")
        read = [*with_indexes(*self.sources, str(self.reference)), *self.inputs, *self.model.files, *self.tracks.paths]
        check_names([self.output], read)
        refuse_existing(self.output, force=self.force)


def make_background(
    job: BackgroundJob, advance: Callable[[int], None] = lambda records: None
) -> tuple[Background, int]:
    """Score the variants and write the file; returns the background and the file's size in bytes.

    An allele that comes several times in a file, not too far apart, counts once, however it is spelled. Memory does
    not grow with the number of variants. A model's own background is also noted on its card. ``advance`` is told of
    records read. Raises DataError when no allele can be scored, and the errors of the readers.
    """
    job.check()
    config = job.model.config()
    builder = BackgroundBuilder(config.n_tasks + len(job.tracks.names), job.tail)
    left_out: Counter[str] = Counter()
    with (
        Genome(job.reference) as genome,
        job.compute.pool(job.model.load()) as pool,
        open_cache(job.cache, job.model, job.compute) as store,
    ):
        for source in job.sources:
            with VariantReader(source) as reader:
                names = open_names(source, reader, genome, job.rules)
                job.tracks.fit(genome, names.find)
                read = compared(reader.chunks(CHUNK), source, names, genome, job.rules)
                chunks = _chosen(job, read, names, left_out, advance)
                repeats = _Repeats()
                untrained = job.model.untrained.tolist()
                scored = score_chunks(chunks, genome, names, pool, config.window, store=store, untrained=untrained)
                for chunk, found in scored:
                    tracks = job.tracks.values(found.alleles, found.rows)
                    rare = frequencies(chunk)[found.rows] < job.least_frequency  # unknown counts as common
                    again = repeats.among(found.alleles, found.rows[~rare])
                    values = magnitudes(found.effects.diff, found.effects.logodds)
                    builder.add(np.concatenate([values, tracks], axis=1)[~rare][~again])
                    left_out["rare"] += int(np.count_nonzero(rare))
                    left_out["repeated"] += int(np.count_nonzero(again))
                    left_out.update(Status(value).name for value in found.status[found.status != Status.PASS].tolist())
                names.warn_of_missing()
        if not builder.n:
            cause = ", ".join(f"{n:,} {reason}" for reason, n in left_out.most_common() if n)
            raise DataError("no variant for the background", where=", ".join(job.sources), cause=cause or "empty files")
        job.tracks.warn_of_missing()
        facts = _facts(job, genome, left_out)
    background = builder.finish(job.model.sha256, job.tracks.names, facts)
    size = save_background(job.output, background, force=job.force)
    if Path(job.output).resolve() == (job.model.path / BACKGROUND).resolve():
        _note_on_card(job.model, background)
    return background, size


def _note_on_card(model: ModelFolder, background: Background) -> None:
    """``[background]``: how many alleles there are, where they come from, and the file's identity."""
    said = {name: background.facts[name] for name in ("sources", "reference", "least_frequency", "left_out")}
    note = {"alleles": background.n, "sha256": background.sha256, "conservation": list(background.conservation), **said}
    write_card(model.path, model.card.changed(background=note))


class _Repeats:
    """Finds alleles that have been met before, among the last ones of a file: spellings of one variant lie close."""

    def __init__(self) -> None:
        self._met: dict[tuple[int, int, bytes, bytes, int], None] = {}

    def among(self, alleles: AlleleBatch, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool (len(rows),) for the rows (int64, ascending) of the next piece of the file, in their minimal form"""
        found = np.zeros(len(rows), bool)
        places = zip(alleles.contig[rows].tolist(), alleles.start[rows].tolist(), strict=True)
        affected = alleles.affected_bases
        for number, (row, place) in enumerate(zip(rows.tolist(), places, strict=True)):
            allele = *place, alleles.ref[row].upper(), alleles.alt[row].upper(), int(affected[row])
            found[number] = allele in self._met
            self._met[allele] = None
            if len(self._met) > REMEMBERED:
                del self._met[next(iter(self._met))]
        return found


def _chosen(
    job: BackgroundJob,
    chunks: Iterator[RecordChunk],
    names: ContigNames,
    left_out: Counter[str],
    advance: Callable[[int], None],
) -> Iterator[RecordChunk]:
    """The records outside the excluded regions of which some allele is not known to be rare."""
    exclude = None
    if job.exclude is not None:
        names.demand_regions(job.exclude.contigs, partly=True)
        exclude = job.exclude.placed(names.key)
    for chunk in chunks:
        advance(len(chunk))
        if exclude is not None:
            excluded = exclude.overlaps(chunk.alleles)
            left_out["excluded"] += int(np.count_nonzero(excluded))
            chunk = chunk.select(~excluded)
        if len(chunk):
            rare = frequencies(chunk) < job.least_frequency
            all_rare = np.logical_and.reduceat(rare, chunk.rows[:-1])
            left_out["rare"] += int(np.count_nonzero(all_rare[chunk.alleles.record]))
            chunk = chunk.select(~all_rare)
        if len(chunk):
            yield chunk


def _facts(job: BackgroundJob, genome: Genome, left_out: Counter[str]) -> dict[str, object]:
    return {
        "varscore": __version__,
        "model": job.model.id,
        "sources": [{"name": Path(source).name, "sha256": _sha256(source)} for source in job.sources],
        "reference": {"name": genome.path.name, "sha256": genome.sha256},
        "precision": job.compute.precision,
        **({"renamed_contigs": job.rules.digest} if job.rules.renames else {}),
        "least_frequency": job.least_frequency,
        "left_out": {reason: n for reason, n in left_out.items() if n},
    }


def _sha256(path: str) -> str:
    return "" if path == "-" else file_sha256(path)
