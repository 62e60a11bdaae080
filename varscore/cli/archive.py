"""``varscore archive``: scores of all substitutions of some regions, in one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.choosing import named_classifiers
from varscore.cli.groups import grouped
from varscore.cli.inputs import demand_free, demand_kind, demand_model, look_at_files
from varscore.cli.options import COMPUTING, Computing, Force, ModelName, Reference
from varscore.cli.tracks import Conservation, parse_tracks

if TYPE_CHECKING:
    from varscore.annotate.archives import BuildJob
    from varscore.genome.coords import Interval
    from varscore.scoring.annotations import Annotations
    from varscore.zoo.models import ModelFolder

ArchiveFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE.vsa",
        help="An archive.",
        callback=look_at_files,
    ),
]
ArchiveOutput = Annotated[str, typer.Option("--output", "-o", metavar="FILE.vsa", help="File to write.")]


@dataclass(frozen=True)
class Stretches:
    """Options that say what is scored."""

    region: Annotated[
        list[str] | None, typer.Option(metavar="CHR:FROM-TO", help="A stretch, or a whole contig (CHR); repeatable.")
    ] = None
    regions: Annotated[
        str | None,
        typer.Option(
            metavar="BED",
            help="The intervals of a BED file.",
            callback=look_at_files,
        ),
    ] = None
    contig: Annotated[list[str] | None, typer.Option(metavar="CHR", help="A whole contig; repeatable.")] = None

    @property
    def where(self) -> str:
        """What messages call it."""
        return self.regions or ", ".join([*(self.region or []), *(self.contig or [])])

    def intervals(self, reference: Path) -> tuple[Interval, ...]:
        """Raises BadParameter when there are none, InputError and FastaError."""
        from varscore.formats.regions import ended, parse_regions, read_bed
        from varscore.genome.sequence import Genome

        found = parse_regions([*(self.region or []), *(self.contig or [])])
        found = [*found, *(read_bed(self.regions) if self.regions else [])]
        if not found:
            raise typer.BadParameter("say what to score: --regions BED, --region CHR:FROM-TO or --contig CHR")
        with Genome(reference) as genome:
            return tuple(ended(found, genome))


@dataclass(frozen=True)
class AsOfAnnotate:
    """Options that have to be those of the runs which are to take from the archive."""

    tasks: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="As of annotate, for runs with the same; repeatable.")
    ] = None
    classifier: Annotated[
        list[str] | None,
        typer.Option("--classifier", "-c", metavar="ID|DIR", help="As of annotate; repeatable.", show_default=False),
    ] = None
    background: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="As of annotate; by default the model's.", show_default=False, callback=look_at_files
        ),
    ] = None
    conservation: Conservation = None
    engine: Annotated[Literal["exact", "plain"], typer.Option(help="As of annotate.", rich_help_panel=COMPUTING)] = (
        "exact"
    )

    @property
    def classifiers(self) -> list[str] | None:
        return named_classifiers(self.classifier)

    def annotations(self, model: ModelFolder) -> Annotations:
        from varscore.scoring.annotations import Annotations

        return Annotations.open(model, self.classifiers, self.background, parse_tracks(self.conservation))


@grouped
def build(
    model: ModelName,
    output: ArchiveOutput,
    stretches: Stretches,
    scored: AsOfAnnotate,
    computing: Computing,
    reference: Reference = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,..",
            help="Only these, such as diff,task,sig: for exports, and for runs that write no others. By default all.",
            show_default=False,
        ),
    ] = None,
    float_bits: Annotated[
        Literal["32", "16"],
        typer.Option("--float", help="32 keeps every bit; 16 rounds, and outputs made with it say so."),
    ] = "32",
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only every Nth piece of 1,024 bases, from the Ith on; merge joins them."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Carry on where a build of this command was stopped or killed.")
    ] = True,
    force: Force = False,
) -> None:
    """Score every substitution at every base of some regions into an archive, for annotate --archive."""
    demand_free((output,), force)
    demand_model(model, scored.tasks or (), scored.classifiers)

    from varscore.cli.config import find_reference

    path = find_reference(reference, "-")
    intervals = stretches.intervals(path)

    from varscore.annotate.archives import BuildJob
    from varscore.formats.shards import Shard
    from varscore.zoo.models import find_model

    chosen = find_model(model)
    chosen.warn_of_interim()
    job = BuildJob(
        model=chosen,
        reference=path,
        output=output,
        intervals=intervals,
        where=stretches.where,
        annotations=scored.annotations(chosen),
        tasks=tuple(scored.tasks or ()),
        columns=tuple(filter(None, (columns or "").split(","))),
        stored=f"float{float_bits}",
        shard=Shard.parse(shard) if shard is not None else None,
        compute=computing.compute(scored.engine),
        resume=resume,
        force=force,
        inputs=tuple(str(path) for path in (stretches.regions, scored.background) if path),
    )
    _build(job)


def _build(job: BuildJob) -> None:
    import logging

    from varscore.annotate.archives import build_archive
    from varscore.cli import log
    from varscore.cli.ending import at_last
    from varscore.cli.stopping import SignalStop

    total = sum(map(len, job.intervals)) if job.shard is None else None
    with log.progress(total, "bases") as meter, SignalStop() as stop:
        bases = build_archive(job, meter.advance, stop, later=at_last)
    logging.getLogger(__name__).info("%s: %s bases scored", job.output, f"{bases:,}")


def merge(
    archives: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES...",
            help="Archives of other regions, or shards.",
            callback=look_at_files,
        ),
    ],
    output: ArchiveOutput,
    force: Force = False,
) -> None:
    """Put archives together that differ in nothing but their regions."""
    from varscore.scoring.stored.archive import Archive

    demand_free((output,), force, archives)
    for path in archives:
        Archive(path)

    from varscore.annotate.archives import merge_archives

    typer.echo(f"{output}: {merge_archives(archives, output, force):,} blocks")


def info(archive: ArchiveFile) -> None:
    """Say what an archive has."""
    from varscore.scoring.stored.archive import Archive, describe

    for name, value in describe(Archive(archive)).items():
        typer.echo(f"{name}\t{value:,}" if isinstance(value, int) else f"{name}\t{value}")


def verify(archive: ArchiveFile, reference: Reference = None) -> None:
    """Read all of an archive; with -r, compare the bases that it was computed from with a FASTA's."""
    from varscore.scoring.stored.archive import Archive

    Archive(archive)

    from contextlib import nullcontext

    from varscore.annotate.archives import verify_archive
    from varscore.errors import DataError
    from varscore.genome.sequence import Genome

    blocks = 0

    def count(number: int) -> None:
        nonlocal blocks
        blocks += number

    with nullcontext(None) if reference is None else Genome(reference) as genome:
        differ = verify_archive(archive, genome, count)
    if differ:
        raise DataError(
            f"{differ:,} of {blocks:,} blocks were computed from other bases",
            where=archive,
            cause=f"{reference} is not, or no longer, what it was built from",
        )
    typer.echo(f"{archive}: {blocks:,} blocks, nothing wrong")


def export(
    archive: ArchiveFile,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="OUT", help="File to write: .vcf.gz, .bcf, .tsv.gz, .parquet ...")
    ],
    force: Force = False,
) -> None:
    """Write an archive as what annotate --saturate writes, for other programs."""
    from varscore.scoring.stored.archive import Archive

    demand_free((output,), force, [archive])
    demand_kind(output)
    Archive(archive)

    from varscore.annotate.archive_export import export_archive
    from varscore.cli import log

    with log.progress(None, "bases") as meter:
        bases = export_archive(archive, output, force, meter.advance)
    typer.echo(f"{output}: {bases:,} bases")
