"""``varscore predict --bigwig``: predictions along regions and whole contigs, one track a task."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from varscore import __version__
from varscore.annotate.job import choose_tasks
from varscore.annotate.saturation import merged
from varscore.engine.compute import Compute
from varscore.engine.exact.reach import stride
from varscore.engine.plain import PlainEngine, over_strands
from varscore.engine.pool import LOCAL, Engines
from varscore.errors import DeviceError, OutputError, OutputExists, UsageError
from varscore.formats.bigwig import Stretch, demand_library, write_bigwig
from varscore.genome.coords import Interval
from varscore.genome.sequence import Genome, reverse_complement
from varscore.nets.layers import SequenceNet
from varscore.predict.grid import Grid, Piece, choose_step, is_known, pieces
from varscore.predict.hub import Track, browser_name, hub_files, igv_session
from varscore.predict.spool import Later, TrackSpool
from varscore.stop import Stop
from varscore.storage.atomic import Spool
from varscore.storage.digest import file_sha256, json_sha256
from varscore.storage.journal import DamagedJournal, Journal
from varscore.storage.whole import put_file, whole_file
from varscore.tasks import safe
from varscore.zoo.models import ModelFolder

RECORD = "tracks.json"
MOST_WINDOWS = 2_000_000
"""That are predicted on a CPU without being asked for twice"""
SPEED = 300
"""Windows a second of a CPU thread, roughly: what an estimate is made with"""
BYTES = 10.5
"""Of a window in a bigWig"""
LONGEST_NAME = 100
Values = tuple[NDArray[np.uint8], int]
"""What an engine is sent: the codes of a stretch, and the step"""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TracksJob:
    """What to predict along. folder: of the tracks; intervals: none means every contig; step: None for the best
    value: ``prob``, or ``logit``, natural log-odds; bedgraph: whether to write these too; assembly: as browsers call it
    large: whether a run of many hours is meant
    """

    model: ModelFolder
    reference: Path
    folder: Path
    tasks: tuple[str, ...]
    intervals: tuple[Interval, ...] = ()
    where: str = "the regions"
    step: int | None = None
    value: str = "prob"
    bedgraph: bool = False
    assembly: str | None = None
    compute: Compute = field(default_factory=Compute)
    resume: bool = True
    force: bool = False
    large: bool = False

    def check(self) -> None:
        """Raises UsageError and OutputExists."""
        demand_library()
        if not self.tasks:
            raise UsageError("which tasks?", cause="each is a file", remedy="`tasks=GLOB`, or `tasks='*'` for all")
        if self.value == "logit" and self.model.card.objective == "values":
            raise UsageError("`value=logit`: the model predicts values, which have no odds", where=self.model.id)
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError("the tracks are a folder, and this is a file", where=self.folder)
        if not (self.resume and self.journal.path.exists()):
            self.demand_none()

    def demand_none(self) -> None:
        """Raises OutputExists where there are tracks that this run must not take the place of."""
        if (self.folder / RECORD).exists() and not self.force:
            raise OutputExists("the folder has tracks already", where=self.folder, remedy="name another, or `force`")

    @property
    def journal(self) -> Journal:
        """Of the run that writes into the folder."""
        return Journal(str(self.folder / RECORD))


def write_tracks(
    job: TracksJob,
    advance: Callable[[int], None] = lambda windows: None,
    stop: Stop | None = None,
    engines: Engines = LOCAL,
    later: Later = lambda act: act(),
) -> int:
    """Predict and write everything; returns how many windows there are. advance: told of windows

    What an earlier process has left of the same job is carried on with. Raises the errors of :mod:`varscore.errors`.
    """
    job.check()
    chosen = choose_tasks(job.model.tasks(), job.tasks).tolist()
    net = job.model.load()
    grid = Grid(net.window, choose_step(net, job.step))
    with ExitStack() as stack:
        genome = stack.enter_context(Genome(job.reference))
        asked = job.intervals or [Interval(name, 0, length) for name, length in genome.contigs.items()]
        parts = list(pieces(merged(asked, genome, job.where, None), grid))
        tracks = _tracks(job, chosen, net)
        where = job.compute.where(engines)
        _demand_room(job, grid, net, parts, len(tracks), len(where) * (where[0].type == "cpu"))
        key = _key(job, genome, grid, chosen)
        names = [track.file for _, track in tracks]
        if _is_done(job, key, names):  # the process that wrote them was killed before it had cleared up
            Spool(str(job.folder / RECORD)).abort()
            later(job.journal.remove)
            return sum(map(len, parts))
        job.demand_none()
        windows = [len(part) for part in parts]
        spool = stack.enter_context(TrackSpool(job.folder / RECORD, windows, len(tracks), key, resume=job.resume))
        advance(sum(windows[: spool.done]))
        if spool.done < len(parts):
            plan = job.compute.plan(net, where[: len(parts) - spool.done])
            pool = stack.enter_context(engines.pool(plan))
            work = partial(along, chosen, job.value == "logit")
            read = _read(parts[spool.done :], genome, grid)
            for part, found in pool.map(work, read, partial(_nothing, len(tracks))):
                spool.add(part.values(found))
                advance(len(part.piece))
                if stop is not None and stop.asked:
                    spool.commit()
                    stop.leave()
        _write(job, genome, grid, parts, tracks, spool)
        spool.finish(later)
    return sum(windows)


# -- predicting ------------------------------------------------------------------------------------------------------


def along(tasks: Sequence[int], as_logits: bool, engine: PlainEngine, item: Values) -> NDArray[np.float32]:
    """What a pool's engine does with a stretch: predictions of its windows, float32 (tracks, windows).

    A track a task, both strands together as everywhere; of a network of one strand two, forward first.
    """
    codes, step = item
    net = engine.net

    def read(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(net.goal.odds(outputs) + net.goal.shift if as_logits else net.goal.predict(outputs))

    found = read(engine.along(codes, step))
    if net.strands == "one":
        used = len(codes) - (len(codes) - net.window) % step
        other = read(engine.along(reverse_complement(codes[:used]), step))[:, ::-1]
        both = np.concatenate([found, other])
    else:
        both = over_strands(found, net.strands)[None]
    return np.ascontiguousarray(both[:, :, list(tasks)].transpose(2, 0, 1)).reshape(-1, both.shape[1])


def _nothing(tracks: int, item: Values) -> NDArray[np.float32] | None:
    return None if len(item[0]) else np.empty((tracks, 0), np.float32)


@dataclass(frozen=True)
class _Part:
    """A piece on its way. known: bool (windows,), those that are not mostly N; [first, last): all of these"""

    piece: Piece
    first: int
    last: int
    known: NDArray[np.bool_]

    def values(self, found: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of all windows, NaN for those that are mostly N: float32 (tracks, windows).

        found: float32 (tracks, last - first). Raises DeviceError for what is no number.
        """
        values = np.full((len(found), len(self.piece)), np.nan, np.float32)
        values[:, self.first : self.last] = found
        if not np.isfinite(values[:, self.known]).all():
            raise DeviceError("a prediction is not a number", where=str(self.piece), cause="a reduced precision?")
        values[:, ~self.known] = np.nan
        return values


def _read(parts: Sequence[Piece], genome: Genome, grid: Grid) -> Iterator[tuple[_Part, Values]]:
    """Of each piece the bases of its windows from the first to the last that is not mostly N."""
    for piece in parts:
        codes = piece.codes(genome, grid)
        known = is_known(codes, grid)
        some = np.flatnonzero(known)
        first, last = (int(some[0]), int(some[-1]) + 1) if len(some) else (0, 0)
        stretch = codes[first * grid.step : (last - 1) * grid.step + grid.window] if len(some) else codes[:0]
        yield _Part(piece, first, last, known), (stretch, grid.step)


def _is_done(job: TracksJob, key: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether the folder has all that the run is to write, by its journal. names: of the tracks"""
    record, wanted = job.folder / RECORD, [job.folder / name for name in names]
    wanted += [path.with_suffix(".bedgraph") for path in wanted if job.bedgraph]
    if not (job.resume and all(path.is_file() for path in (record, *wanted))):
        return False
    with suppress(DamagedJournal, KeyError, TypeError, ValueError):
        entry, assembly = job.journal.read(), json.loads(record.read_text())["assembly"]
        if entry is not None and entry.key == key and job.assembly in (None, assembly):
            return bool(entry.marks["done"]["sha256"] == file_sha256(record))
    return False


def _key(job: TracksJob, genome: Genome, grid: Grid, chosen: Sequence[int]) -> dict[str, str]:
    """What a journal must agree with."""
    intervals = [(one.contig, one.start, one.end) for one in job.intervals]
    return {
        "model": f"{job.model.id} {json_sha256(dict(job.model.card))}",
        "reference": genome.sha256,
        "regions": json_sha256(intervals),
        "tasks": json_sha256(list(chosen)),
        "options": " ".join([f"--step {grid.step} --value {job.value}", *job.compute.options]),
        "version": __version__,
    }


# -- what is written -------------------------------------------------------------------------------------------------


def _tracks(job: TracksJob, chosen: Sequence[int], net: SequenceNet) -> list[tuple[int, Track]]:
    """Task and track, in the order of their values; tasks of one name are told apart by their number."""
    tasks, found = job.model.tasks(), []
    names = Counter(tasks[task].name for task in chosen)
    for task in chosen:
        name = tasks[task].name if names[tasks[task].name] == 1 else f"{tasks[task].name} ({tasks[task].index})"
        stem = f"{tasks[task].index:04}.{re.sub(r'[^A-Za-z0-9_.-]', '_', safe(tasks[task].name))}"[:LONGEST_NAME]
        strands = {"+": ".plus", "-": ".minus"} if net.strands == "one" else {"": ""}
        for strand, ending in strands.items():
            found.append((task, Track(name, f"{stem}{ending}.bw", tasks[task].group, strand)))
    return found


def _write(
    job: TracksJob,
    genome: Genome,
    grid: Grid,
    parts: Sequence[Piece],
    tracks: Sequence[tuple[int, Track]],
    spool: TrackSpool,
) -> None:
    """One file after the other, the record of them last."""
    _remove_older(job.folder)
    used = {piece.contig: genome.contigs[piece.contig] for piece in parts}
    entries = []
    for number, (task, track) in enumerate(tracks):
        stretches = partial(_stretches, spool, number, parts, grid)
        write_bigwig(job.folder / track.file, used, stretches())
        if job.bedgraph:
            _write_bedgraph((job.folder / track.file).with_suffix(".bedgraph"), stretches())
        digest = file_sha256(job.folder / track.file)
        entries.append({"task": task, **asdict(track), "sha256": digest})
    bounds = (0.0, 1.0) if job.value == "prob" and job.model.card.objective != "values" else None
    known = job.assembly or browser_name(genome.contigs)
    names = [track for _, track in tracks]
    for name, text in hub_files(job.model.id, known or "unknown", names, bounds).items():
        put_file(job.folder / name, text)
    locus = f"{parts[0].contig}:{parts[0].start + 1}-{parts[0].end}" if parts else "all"
    put_file(job.folder / "igv_session.json", igv_session(known, genome.path.name, locus, names, bounds))
    record = {
        "format": 1,
        "varscore": __version__,
        "model": job.model.id,
        "model_sha256": job.model.sha256,
        "reference": genome.path.name,
        "reference_sha256": genome.sha256,
        "assembly": known,
        "window": grid.window,
        "step": grid.step,
        "value": job.value,
        "precision": job.compute.precision,
        "tracks": entries,
    }
    text = json.dumps(record, indent=1) + "\n"
    spool.settle(text)
    put_file(job.folder / RECORD, text)


def _stretches(spool: TrackSpool, track: int, parts: Sequence[Piece], grid: Grid) -> Iterator[Stretch]:
    for number, piece in enumerate(parts):
        values = spool.read(track, number)
        start, end = piece.intervals(grid)
        there = np.isfinite(values)
        yield piece.contig, start[there], end[there], values[there]


def _write_bedgraph(path: Path, stretches: Iterator[Stretch]) -> None:
    with whole_file(path) as file:
        for contig, start, end, values in stretches:
            rows = zip(start.tolist(), end.tolist(), values.tolist(), strict=True)
            file.write("".join(f"{contig}\t{a}\t{b}\t{value:.6g}\n" for a, b, value in rows).encode())


def _remove_older(folder: Path) -> None:
    """The files of a run that this one takes the place of."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        for entry in json.loads((folder / RECORD).read_text())["tracks"]:
            name = str(entry["file"])
            if Path(name).name == name and name.endswith(".bw"):
                (folder / name).unlink(missing_ok=True)
                (folder / name).with_suffix(".bedgraph").unlink(missing_ok=True)
        (folder / RECORD).unlink()


def _demand_room(job: TracksJob, grid: Grid, net: SequenceNet, parts: Sequence[Piece], tracks: int, cpus: int) -> None:
    """Say what it will take. cpus: threads, 0 on a GPU

    Raises UsageError for what takes hours without being meant, OutputError when the disk is too small.
    """
    windows = sum(map(len, parts))
    hours = windows / (SPEED * cpus) / 3600 if cpus else 0.0
    size = BYTES * windows * tracks + 4.0 * windows * tracks
    estimate = f"about {hours * 60:,.0f} minutes" if cpus else "on a GPU"
    log.info(
        "%s windows, %s bases apart, %s tracks: %s, %s MB",
        f"{windows:,}",
        grid.step,
        f"{tracks:,}",
        estimate,
        f"{size / 1e6:,.1f}",
    )
    if grid.step % stride(net):
        log.info("`step=%s` is no multiple of the network's stride of %s: less is shared", grid.step, stride(net))
    if cpus and windows > MOST_WINDOWS and not job.large:
        raise UsageError(
            f"{windows:,} windows take about {hours:,.0f} hours here",
            cause=f"{cpus} CPU threads",
            remedy="`yes` if that is meant; `contig` or `region` for less, `step` for fewer",
        )
    there = next(folder for folder in (job.folder, *job.folder.resolve().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if size > free:
        raise OutputError(
            f"the tracks need about {size / 1e6:,.0f} MB",
            where=there,
            cause=f"{free / 1e6:,.0f} MB are free",
            remedy="fewer tasks, or a larger `step`",
        )
