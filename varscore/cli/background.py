"""``varscore background``: what effects common variants have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.genome import Fitting
from varscore.cli.groups import grouped
from varscore.cli.inputs import demand_free, demand_genome, look_at_files, look_at_paths
from varscore.cli.options import Computing, Force, ModelName, Reference
from varscore.cli.stored import EffectsCache
from varscore.cli.tracks import Conservation, parse_tracks

if TYPE_CHECKING:
    from varscore.scoring.evalue import Background

Vcf = Annotated[
    list[str],
    typer.Option(
        metavar="VCF",
        help="Common variants, VCF or BCF; repeatable.",
        callback=look_at_files,
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File to write; background.safetensors in a model's folder is its own.",
    ),
]
Exclude = Annotated[
    str | None,
    typer.Option(
        metavar="BED", help="Leave out variants that touch these regions (a blacklist).", callback=look_at_paths
    ),
]
MinAf = Annotated[
    float, typer.Option(min=0, max=1, metavar="AF", help="Leave out alleles whose INFO/AF says they are rarer.")
]
Tail = Annotated[
    int,
    typer.Option(min=1, metavar="N", help="Largest values kept of each task: E-values are exact up to N / variants."),
]


@grouped
def background(
    model: ModelName,
    vcf: Vcf,
    output: Output,
    reference: Reference = None,
    exclude: Exclude = None,
    min_af: MinAf = 0.0,
    tail: Tail = 2048,
    conservation: Conservation = None,
    *,
    fitting: Fitting,
    computing: Computing,
    cache: EffectsCache = None,
    force: Force = False,
) -> None:
    """Score common variants, and keep how large their effects are: E-values and VS_SIG are measured against them."""
    demand_free((output,), force, [*vcf, *([exclude] if exclude else [])])

    from varscore.cli.config import find_reference
    from varscore.formats.regions import RegionSet, read_bed

    path, rules = find_reference(reference, vcf[0]), fitting.rules()
    excluded = RegionSet(read_bed(exclude)) if exclude else None
    demand_genome(path)

    from varscore.annotate.job import count_records
    from varscore.cli import log
    from varscore.functional.background import BackgroundJob, make_background
    from varscore.scoring.features import Tracks
    from varscore.zoo.models import find_model

    job = BackgroundJob(
        model=find_model(model),
        sources=tuple(vcf),
        reference=path,
        output=output,
        exclude=excluded,
        least_frequency=min_af,
        tail=tail,
        rules=rules,
        tracks=Tracks.open(parse_tracks(conservation)),
        compute=computing.compute(),
        cache=cache,
        force=force,
        inputs=(exclude,) if exclude else (),
    )
    job.check()
    job.model.warn_of_interim()
    counts = [count_records(source) for source in vcf] if log.shows_progress() else []
    total = sum(filter(None, counts)) or None
    with log.progress(total, "records") as meter:
        _report(output, *make_background(job, meter.advance))


def _report(output: str, made: Background, size: int) -> None:
    """What was made of how much. size: bytes"""
    left_out = ", ".join(f"{n:,} {reason}" for reason, n in made.facts["left_out"].items())
    typer.echo(
        f"{output}: {made.n:,} alleles, {made.tasks:,} tasks, {size / 1e6:.1f} MB (left out: {left_out or 'none'})"
    )
    typer.echo(f"smallest E-value {made.floor():.3g}, exact up to {min(1.0, made.tail.shape[1] / made.n):.3g}")
