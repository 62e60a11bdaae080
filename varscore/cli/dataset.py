"""``varscore dataset``: raw material into training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from varscore.cli.inputs import look_at_files, look_at_paths, look_at_references
from varscore.cli.options import Force, OutputDir, Seed, parse_names

Reference = Annotated[
    Path,
    typer.Option("--reference", "-r", metavar="FASTA", help="Genome the peaks are on.", callback=look_at_references),
]
Source = Annotated[
    Path,
    typer.Option(
        "--peaks",
        metavar="DIR|TSV",
        help="Folder of peak files, or a table with a column 'file'.",
        callback=look_at_paths,
    ),
]
Exclude = Annotated[
    Path | None,
    typer.Option(
        metavar="BED", help="Leave out windows that touch these regions (a blacklist).", callback=look_at_paths
    ),
]
UnknownOption = Annotated[
    Path | None,
    typer.Option(
        metavar="TSV",
        help="Labels that are not known, and so neither train nor count: a table with track (a task or its file; "
        "* for any letters) and contig, and if need be start and end.",
        callback=look_at_files,
    ),
]
Shift = Annotated[
    list[int] | None,
    typer.Option(
        min=0,
        metavar="BP",
        help="Begin the first bin here: another grid gives new examples; repeat for several. By default 0.",
        show_default=False,
    ),
]
BinsOption = Annotated[
    Literal["any", "tf", "all"],
    typer.Option(help="Bins to keep: with any label, with a transcription-factor label (DeepSEA), or all."),
]
Unlabelled = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="RATIO",
        help="With --bins all: unlabelled bins per labelled one outside the test split, at most.",
    ),
]
MaxUnknown = Annotated[float, typer.Option(min=0, max=1, metavar="SHARE", help="Unknown bases a window may hold.")]


def peaks(
    reference: Reference,
    source: Source,
    output: OutputDir,
    exclude: Exclude = None,
    unknown: UnknownOption = None,
    bin: Annotated[int, typer.Option(min=1, metavar="BP", help="Length of a bin, which labels describe.")] = 200,
    window: Annotated[int, typer.Option(min=1, metavar="BP", help="Length of the window around each bin.")] = 1000,
    shift: Shift = None,
    bins: BinsOption = "any",
    unlabelled: Unlabelled = None,
    max_unknown: MaxUnknown = 0.0,
    validation: Annotated[str, typer.Option(metavar="CHR,..", help="Chromosomes of the validation split.")] = "chr7",
    test: Annotated[str, typer.Option(metavar="CHR,..", help="Chromosomes of the test split.")] = "chr8,chr9",
    skip_contigs: Annotated[str, typer.Option(metavar="CHR,..", help="Chromosomes to leave out altogether.")] = "",
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Cut a genome into bins, label them by the peaks that cover over half of them, and keep the windows around."""
    from varscore.datasets.examples import fresh_folder
    from varscore.datasets.peaks import BinOptions, build_peaks
    from varscore.errors import UsageError
    from varscore.genome.sequence import Genome

    if unlabelled is not None and bins != "all":
        cause = f"--bins {bins} keeps labelled bins alone"
        raise UsageError("--unlabelled thins bins that are not there", cause=cause, remedy="add --bins all")
    options = BinOptions(
        bin=bin,
        window=window,
        shifts=tuple(shift or (0,)),
        bins=bins,
        unlabelled=unlabelled,
        max_unknown=max_unknown,
        seed=seed,
        validation=parse_names(validation),
        test=parse_names(test),
        skip=parse_names(skip_contigs),
    )
    fresh_folder(output, force)
    with Genome(reference) as genome:
        counts = build_peaks(genome, source, output, options, exclude, unknown)
    typer.echo(f"{output}: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()))
