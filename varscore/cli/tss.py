"""``varscore dataset tss`` and ``varscore train-tss``: transcription start sites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.groups import grouped
from varscore.cli.inputs import look_at_files, look_at_references
from varscore.cli.options import Data, Force, OutputDir, Seed, parse_names
from varscore.cli.train import Training, run_study, run_training

if TYPE_CHECKING:
    from varscore.datasets.examples import ExampleSet
    from varscore.train.studies.tss import Result


def dataset_tss(
    reference: Annotated[
        Path,
        typer.Option(
            "--reference", "-r", metavar="FASTA", help="Genome the peaks are on.", callback=look_at_references
        ),
    ],
    peaks: Annotated[
        list[Path],
        typer.Option(
            metavar="BED|TABLE",
            help="CAGE peaks: BED with strands, or a table with the columns 'chromosome' and 'strand' and ranges like "
            "(100, 120) in others; repeatable, and what is in several files counts once.",
            callback=look_at_files,
        ),
    ],
    output: OutputDir,
    window: Annotated[
        int, typer.Option(min=2, metavar="BP", help="Length of an example; the site is its middle.")
    ] = 200,
    sharp: Annotated[int, typer.Option(min=1, metavar="BP", help="Widest peak that is sharp; others are broad.")] = 11,
    peak_share: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of peaks among the examples; the rest is background.")
    ] = 0.1,
    validation: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the examples outside the test split, drawn at random.")
    ] = 0.2,
    test: Annotated[str, typer.Option(metavar="CHR,..", help="Chromosomes of the test split.")] = "chr1,chr8,chr21",
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Make sharp, broad and background examples of CAGE peaks, each in the direction of transcription.

    A window has the peak's summit, or else its middle, at base window // 2, counted from 0; those of minus-strand peaks
    are reverse-complemented. Background windows lie on either strand of known sequence and touch no peak. Windows with
    an unknown base are left out and counted.
    """
    from varscore.datasets.examples import fresh_folder
    from varscore.datasets.tss import TssOptions, build_tss
    from varscore.genome.sequence import Genome

    options = TssOptions(window, sharp, peak_share, validation, parse_names(test), seed)
    fresh_folder(output, force)
    with Genome(reference) as genome:
        counts = build_tss(genome, peaks, output, options)
    typer.echo(f"{output}: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()))


@grouped
def train_tss(
    data: Data,
    output: OutputDir,
    training: Training,
    architecture: Annotated[
        str, typer.Argument(metavar="ARCH", help="Any architecture for windows of this length.")
    ] = "tss",
    safe: Annotated[
        Literal["whole", "tata", "center", "both", "all"],
        typer.Option(
            help="What the network sees of a window, in training and later; the rest is zeroed: all of it, positions "
            "-35 to -20 of the start site, -10 to +10, or -35 to +10. With all, the study: a model of each and a k-mer "
            "model beside it in DIR, and safe.csv; called again, it goes on."
        ),
    ] = "whole",
) -> None:
    """Train a network that tells sharp and broad transcription start sites from background, and test it.

    Prints AUROC and AUPRC of each class against the others on the test split, and the confusion matrix.
    """
    from varscore.datasets.examples import ExampleSet
    from varscore.train.studies.tss import SafeRegions, measure, record_whole, visible

    examples = ExampleSet(data)
    if safe == "all":
        study = SafeRegions(training.plan(architecture), training.baseline().plan("kmer"), examples)
        run_study(study, output, training)
        results = study.results
    else:
        model = run_training(architecture, examples, output, training, visible=visible(examples, safe))
        results = measure(model, examples, safe, training.run_options().device)
        record_whole(model, examples, results)
    _print(results, examples)


def _print(results: list[Result], data: ExampleSet) -> None:
    from varscore.cli.evaluate import print_confusion
    from varscore.cli.tables import print_table
    from varscore.train.studies.tss import table

    for result in results:
        if result.safe == result.tested and result.scores.confusion is not None:
            print_confusion(f"{result.model}, {result.safe}", data.tasks, result.scores.confusion)
    rows = table(results, data)
    columns = list(rows[0])
    print_table(columns, [list(row.values()) for row in rows], columns[3:])
