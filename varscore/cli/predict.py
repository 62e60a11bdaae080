"""``varscore predict``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.groups import given_of, grouped
from varscore.cli.inputs import demand_free, demand_genome, demand_model, look_at_files, look_at_target
from varscore.cli.options import AutoBatchSize, Computing, Force, ModelName, Reference

if TYPE_CHECKING:
    from varscore.genome.coords import Interval
    from varscore.predict.flow import PredictJob

TRACKS = "Tracks along the genome"


@dataclass(frozen=True)
class Along:
    """``--bigwig`` and what goes with it"""

    bigwig: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead of a table: predictions along intervals of a BED, regions or whole contigs, one bigWig a "
            "task in this folder, with a UCSC hub and a session of IGV.",
            rich_help_panel=TRACKS,
            callback=look_at_target,
        ),
    ] = None
    region: Annotated[
        list[str] | None,
        typer.Option(metavar="CHR:FROM-TO", help="A stretch, or a whole contig; repeatable.", rich_help_panel=TRACKS),
    ] = None
    contig: Annotated[
        list[str] | None,
        typer.Option(metavar="CHR", help="A whole contig; repeatable. By default all.", rich_help_panel=TRACKS),
    ] = None
    step: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Bases from one window to the next; auto: the largest up to 100 at which windows share most.",
            rich_help_panel=TRACKS,
        ),
    ] = "auto"
    value: Annotated[
        Literal["prob", "logit"],
        typer.Option(help="Probabilities (or values), or their natural log-odds.", rich_help_panel=TRACKS),
    ] = "prob"
    bedgraph: Annotated[
        bool, typer.Option("--bedgraph", help="Also write each track as bedGraph.", rich_help_panel=TRACKS)
    ] = False
    assembly: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What browsers call the genome, such as hg38; by default told by the contigs' lengths.",
            show_default=False,
            rich_help_panel=TRACKS,
        ),
    ] = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Carry on where tracks of this command were stopped or killed.",
            rich_help_panel=TRACKS,
        ),
    ] = True
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Many hours of a CPU are meant.", rich_help_panel=TRACKS)] = (
        False
    )

    @property
    def base_step(self) -> int | None:
        """Raises BadParameter."""
        if self.step == "auto":
            return None
        if not re.fullmatch(r"\d{1,9}", self.step):
            raise typer.BadParameter(f"--step {self.step!r} is neither auto nor a number of bases")
        return int(self.step)


Source = Annotated[
    str | None,
    typer.Argument(
        metavar="[FASTA|BED]",
        help="Sequences, plain or gzipped (- is stdin), or intervals of the genome that -r names.",
        callback=look_at_files,
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option("--tasks", "--task", metavar="GLOB", help="Only tasks whose name fits, such as 'K562*'; repeatable."),
]


@grouped
def predict(
    model: ModelName,
    source: Source = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="OUT", help="File to write.")] = None,
    reference: Reference = None,
    tasks: Tasks = None,
    *,
    tracks: Along,
    computing: Computing,
    batch_size: AutoBatchSize = None,
    force: Force = False,
) -> None:
    """Predict every task of given sequences, as .tsv, .tsv.gz or .parquet: its probability, or its value.

    Most models predict both strands and give the mean, DeepBind's the larger; start sites and expression are predicted
    as a sequence stands, in the direction of transcription (for a BED interval: on the forward strand).
    A sequence as long as the model's window is taken as it is; a shorter one is centred and padded with N, a longer one
    cut to its middle. For a BED interval it is the window around its middle: base (start + end) // 2 at window // 2.
    """
    demand_free((output,), force, [source] if source else [])
    demand_model(model, tasks or ())
    if tracks.bigwig is None and (extra := given_of(tracks)):
        raise typer.BadParameter(f"{extra[0]} belongs to --bigwig DIR")
    if tracks.bigwig is not None and output is not None:
        raise typer.BadParameter("--output is a table, --bigwig a folder of tracks: one at a time")
    if tracks.bigwig is not None:
        _along(model, source, reference, tasks, tracks, computing, force)
        return
    if source is None or output is None:
        raise typer.BadParameter("give FASTA or BED and --output OUT, or --bigwig DIR")

    from varscore.cli.config import find_reference
    from varscore.formats.fasta import looks_like_fasta
    from varscore.formats.regions import read_bed
    from varscore.predict.tables import suffix_of

    suffix_of(str(output))
    are_sequences = source == "-" or looks_like_fasta(source)
    intervals = [] if are_sequences else read_bed(source)
    fasta = None if are_sequences else find_reference(reference, "-")
    if fasta is not None:
        demand_genome(fasta)

    from varscore.engine.device import use_threads
    from varscore.predict.flow import PredictJob
    from varscore.storage.outputs import check_names, with_indexes
    from varscore.zoo.models import find_model

    use_threads(computing.threads)
    chosen = find_model(model)
    chosen.warn_of_interim()
    check_names([str(output)], [*with_indexes(source, *([str(reference)] if reference else [])), *chosen.files])
    names = tuple(tasks or ())
    job = PredictJob(chosen, str(output), names, compute=computing.compute(), batch_size=batch_size, force=force)
    _table(job, source, intervals, fasta)


def _table(job: PredictJob, source: str, intervals: Sequence[Interval], fasta: Path | None) -> None:
    """``--output``; without a FASTA the source is sequences."""
    from varscore.cli import log
    from varscore.genome.sequence import Genome
    from varscore.predict.flow import predict_fasta, predict_intervals

    if fasta is None:
        with log.progress(None, "sequences") as meter:
            predict_fasta(job, source, meter.advance)
        return
    with Genome(fasta) as genome, log.progress(len(intervals), "intervals") as meter:
        predict_intervals(job, intervals, genome, meter.advance)


def _along(
    model: str,
    source: str | None,
    reference: Path | None,
    tasks: list[str] | None,
    tracks: Along,
    computing: Computing,
    force: bool,
) -> None:
    """``--bigwig``"""
    from varscore.cli.config import find_reference
    from varscore.formats.regions import ended, parse_regions, read_bed
    from varscore.genome.sequence import Genome

    assert tracks.bigwig is not None
    texts = [*(tracks.region or []), *(tracks.contig or [])]
    intervals = [*parse_regions(texts), *(read_bed(source) if source else [])]
    path = find_reference(reference, "-")
    with Genome(path) as genome:
        intervals = ended(intervals, genome)

    import logging

    from varscore.cli import log
    from varscore.cli.ending import at_last
    from varscore.cli.stopping import SignalStop
    from varscore.predict.tracks import TracksJob, write_tracks
    from varscore.zoo.models import find_model

    chosen = find_model(model)
    chosen.warn_of_interim()
    job = TracksJob(
        model=chosen,
        reference=path,
        folder=tracks.bigwig,
        tasks=tuple(tasks or ()),
        intervals=tuple(intervals),
        where=source or ", ".join(texts) or str(path),
        step=tracks.base_step,
        value=tracks.value,
        bedgraph=tracks.bedgraph,
        assembly=tracks.assembly,
        compute=computing.compute(),
        resume=tracks.resume,
        force=force,
        large=tracks.yes,
    )
    job.check()
    with log.progress(None, "windows") as meter, SignalStop() as stop:
        windows = write_tracks(job, meter.advance, stop, later=at_last)
    logging.getLogger(__name__).info("%s: %s windows", tracks.bigwig, f"{windows:,}")
