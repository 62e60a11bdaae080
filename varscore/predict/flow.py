"""Predictions for given sequences: windows of a FASTA or of a genome's intervals, through a model, into a table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.annotate.job import choose_tasks
from varscore.annotate.writers.scores import Provenance
from varscore.engine.compute import Compute
from varscore.engine.device import evaluating, pick_device
from varscore.engine.plain import PlainEngine, demand_numbers, demand_sequence_only
from varscore.formats.fasta import FastaRecord, Fitted, read_fasta
from varscore.genome.contigs import find_contigs
from varscore.genome.coords import Interval, window_start
from varscore.genome.sequence import UNKNOWN, Genome, fit
from varscore.predict.tables import open_predictions
from varscore.scoring.survey import tell_of_strand
from varscore.tasks import safe
from varscore.zoo.models import ModelFolder

log = logging.getLogger(__name__)

BATCH = 1024
"""Windows that are read, predicted and written at a time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """n windows on their way. windows: uint8 (n, length) base codes; places: the n intervals, or none for a FASTA."""

    names: list[str]
    places: list[Interval]
    windows: NDArray[np.uint8]


@dataclass(frozen=True)
class PredictJob:
    """What to write, and how to compute it. ``tasks`` are globs; none means all."""

    model: ModelFolder
    output: str
    tasks: tuple[str, ...] = ()
    compute: Compute = field(default_factory=Compute)
    batch_size: int | None = None
    force: bool = False

    def command(self) -> str:
        """The options that change what is written, normalised."""
        globs = [f"--tasks {glob}" for glob in sorted(self.tasks)]
        return " ".join(["predict", f"--precision {self.compute.precision}", *globs])


def predict_fasta(job: PredictJob, source: str, advance: Callable[[int], None] = lambda rows: None) -> int:
    """Predict every record of a FASTA; returns how many there were. One warning counts those that did not fit.

    A sequence as long as the model's window is taken as it is, a shorter one is centred and padded with N, a longer one
    is cut to its middle. Raises the errors of :mod:`varscore.errors`.
    """
    fitted = Fitted(job.model.config().window)
    batches = fasta_batches(fitted.count(read_fasta(source)), fitted.window, job.batch_size or BATCH)
    done = _predict(job, batches, None, advance)
    if fitted.padded or fitted.cut:
        log.warning(
            "of %s sequences, %s were shorter than the window of %s bp and padded with N, %s were longer and cut to "
            "their middle",
            f"{done:,}",
            f"{fitted.padded:,}",
            f"{fitted.window:,}",
            f"{fitted.cut:,}",
        )
    _warn_of_unknown(fitted.unknown, done, "sequences")
    return done


def predict_intervals(
    job: PredictJob, intervals: Sequence[Interval], genome: Genome, advance: Callable[[int], None] = lambda rows: None
) -> int:
    """Predict the window around the middle of every interval; returns how many there were.

    One warning counts windows that are mostly N. Raises DataError for an interval that is not on the genome, before
    anything is computed.
    """
    contigs = find_contigs(intervals, genome)
    window, unknown = job.model.config().window, 0

    def counted() -> Iterator[Batch]:
        nonlocal unknown
        for batch in bed_batches(intervals, genome, contigs, window, job.batch_size or BATCH):
            unknown += int(np.count_nonzero(2 * np.count_nonzero(batch.windows == UNKNOWN, axis=1) > window))
            yield batch

    done = _predict(job, counted(), genome, advance)
    _warn_of_unknown(unknown, done, "windows")
    tell_of_strand(job.model.id, job.model.card)
    return done


def _warn_of_unknown(unknown: int, of: int, what: str) -> None:
    if unknown:
        log.warning(
            "%s of %s %s are more than half N: what is predicted there says little", f"{unknown:,}", f"{of:,}", what
        )


def fasta_batches(records: Iterator[FastaRecord], length: int, size: int) -> Iterator[Batch]:
    """Records in groups of ``size``, each fitted to ``length`` bases."""
    fitted = ((record.name, fit(record.sequence, length)) for record in records)
    while group := list(islice(fitted, size)):
        names, windows = zip(*group, strict=True)
        yield Batch(list(names), [], np.stack(windows))


def bed_batches(
    intervals: Sequence[Interval], genome: Genome, contigs: dict[str, str], length: int, size: int
) -> Iterator[Batch]:
    """The windows around intervals, in groups of ``size``, in their order; past a contig's end there is N.

    contigs: the FASTA's name for every contig of the intervals.
    """
    for first in range(0, len(intervals), size):
        group = intervals[first : first + size]
        windows = np.empty((len(group), length), np.uint8)
        names = np.array([contigs[interval.contig] for interval in group])
        starts = np.array([window_start(interval.start, interval.end, length) for interval in group])
        for name in np.unique(names):
            here = np.flatnonzero(names == name)
            windows[here] = genome.windows(str(name), starts[here], length)
        yield Batch([str(interval) for interval in group], list(group), windows)


def predict_batches(engine: PlainEngine, batches: Iterable[Batch]) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
    """Each batch with its predictions, float32 (n, tasks). A row does not depend on its batch.

    Raises DeviceError for one that is no number.
    """
    for batch in batches:
        values = engine.predict(batch.windows)
        demand_numbers(values)
        yield batch, values


def _predict(job: PredictJob, batches: Iterable[Batch], genome: Genome | None, advance: Callable[[int], None]) -> int:
    tasks = job.model.tasks()
    chosen = choose_tasks(tasks, job.tasks)
    labels = [f"{task}:{safe(tasks[task].name)}" for task in chosen.tolist()]
    device, net = pick_device(job.compute.device), job.model.load()
    demand_sequence_only(net)
    done = 0
    with (
        evaluating(net, device),
        open_predictions(job.output, _facts(job, genome), labels, places=genome is not None, force=job.force) as table,
    ):
        engine = PlainEngine(net, device, job.compute.precision)
        for batch, values in predict_batches(engine, batches):
            table.write(batch.names, batch.places, np.ascontiguousarray(values[:, chosen]))
            done += len(batch.names)
            advance(len(batch.names))
    return done


def _facts(job: PredictJob, genome: Genome | None) -> list[tuple[str, str]]:
    """Provenance; sequences of a FASTA have no reference genome."""
    provenance = Provenance(
        version=__version__,
        command=job.command(),
        model=job.model.id,
        model_sha256=job.model.sha256,
        reference=genome.path.name if genome else "",
        reference_sha256=genome.sha256 if genome else "",
    )
    return [(key, value) for key, value in provenance.items() if genome or key != "varscoreReference"]
