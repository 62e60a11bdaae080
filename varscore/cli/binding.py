"""``varscore dataset binding`` and ``varscore train-binding``: transcription factors across cell types."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.groups import grouped
from varscore.cli.inputs import look_at_files, look_at_paths, look_at_references
from varscore.cli.options import Data, Force, OutputDir, Seed, parse_names
from varscore.cli.tracks import look_at_tracks, parse_tracks
from varscore.cli.train import Training, run_study, run_training

if TYPE_CHECKING:
    from varscore.datasets.binding import BindingOptions, Sources
    from varscore.datasets.examples import ExampleSet
    from varscore.train.studies.binding import Result


@dataclass(frozen=True)
class Files:
    """Options that say what is known of the cell types."""

    chip: Annotated[
        Path,
        typer.Option(
            metavar="DIR|TSV",
            help="ChIP-seq peaks: a folder of files called ChIPseq.CELL.FACTOR.conservative.bed.gz (more words may "
            "come before bed), or a table with the columns cell, factor, file and perhaps relaxed.",
            callback=look_at_paths,
        ),
    ]
    dnase: Annotated[
        Path,
        typer.Option(
            metavar="DIR|TSV",
            help="DNase peaks: a folder of files with the cell type in their names, or a table with cell and file.",
            callback=look_at_paths,
        ),
    ]
    dnase_signal: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|TSV",
            help="DNase signal as bigWigs, found as the peaks are; by default the peaks' own signal.",
            callback=look_at_paths,
        ),
    ] = None
    signal_column: Annotated[
        int | None,
        typer.Option(
            min=4, metavar="N", help="Column of the peaks' signal; by default 7 of narrowPeak files, 4 of others."
        ),
    ] = None
    relaxed: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Uncertain peaks, ChIPseq.CELL.FACTOR.relaxed.bed.gz: they make bins ambiguous.",
            callback=look_at_paths,
        ),
    ] = None
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=BIGWIG",
            help="A further track, of the shape of DNA, standardised; repeatable.",
            callback=look_at_tracks,
        ),
    ] = None
    expression: Annotated[
        Path | None,
        typer.Option(
            metavar="TSV",
            help="Expression: a column gene and one of each cell type. Every gene becomes an input.",
            callback=look_at_files,
        ),
    ] = None
    exclude: Annotated[
        Path | None,
        typer.Option(
            metavar="BED", help="Leave out windows that touch these regions (a blacklist).", callback=look_at_paths
        ),
    ] = None

    def sources(self) -> Sources:
        """Raises BadParameter for a track without a name."""
        from varscore.datasets.binding import Sources

        tracks = parse_tracks(self.shape, "--shape")
        return Sources(
            self.chip,
            self.dnase,
            self.relaxed,
            self.dnase_signal,
            self.signal_column,
            tracks,
            self.expression,
            self.exclude,
        )


@dataclass(frozen=True)
class Bins:
    """Options that say which bins there are, and what they are labelled with."""

    ambiguous: Annotated[
        Literal["unbound", "unknown"], typer.Option(help="What an ambiguous bin counts as, in training and test.")
    ] = "unbound"
    factors: Annotated[str, typer.Option(metavar="NAME,..", help="Factors; by default all.", show_default=False)] = ""
    cells: Annotated[str, typer.Option(metavar="NAME,..", help="Cell types; by default all.", show_default=False)] = ""
    test_cells: Annotated[
        str,
        typer.Option(
            metavar="NAME,..",
            help="Cell types of the test split alone; without, all cell types are tested on the held-out chromosomes.",
            show_default=False,
        ),
    ] = ""
    bin: Annotated[int, typer.Option(min=1, metavar="BP", help="Length of a bin, which labels describe.")] = 200
    stride: Annotated[int, typer.Option(min=1, metavar="BP", help="From one bin to the next.")] = 50
    window: Annotated[int, typer.Option(min=1, metavar="BP", help="Length of the window around each bin.")] = 1000
    bound: Annotated[
        int, typer.Option(min=1, metavar="BP", help="Bases of a bin under conservative peaks that make it bound.")
    ] = 100
    others: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Bins without a DNase peak that a cell type trains on, at most."),
    ] = 100_000
    validation: Annotated[str, typer.Option(metavar="CHR,..", help="Chromosomes of the validation split.")] = "chr7"
    test: Annotated[str, typer.Option(metavar="CHR,..", help="Chromosomes of the test split.")] = "chr8,chr9"

    def options(self, seed: int) -> BindingOptions:
        from varscore.datasets.binding import BindingOptions

        return BindingOptions(
            bin=self.bin,
            stride=self.stride,
            window=self.window,
            bound=self.bound,
            ambiguous=self.ambiguous,
            others=self.others,
            seed=seed,
            factors=parse_names(self.factors),
            cells=parse_names(self.cells),
            test_cells=parse_names(self.test_cells),
            validation=parse_names(self.validation),
            test=parse_names(self.test),
        )


@grouped
def dataset_binding(
    reference: Annotated[
        Path,
        typer.Option(
            "--reference", "-r", metavar="FASTA", help="Genome the peaks are on.", callback=look_at_references
        ),
    ],
    output: OutputDir,
    files: Files,
    bins: Bins,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Label the bins of cell types as bound or unbound by factors, with DNase beside their sequence (ENCODE-DREAM).

    A factor is unknown, not unbound, in a cell type that has no peaks of it, and on a chromosome that none of its peaks
    there is on. Training has the bins that touch a DNase peak and a sample of the others, the test all bins of its cell
    types and chromosomes. DNase becomes log(x + 1). Windows with an unknown base are left out.
    """
    from varscore.datasets.binding import build_binding
    from varscore.datasets.examples import fresh_folder
    from varscore.genome.sequence import Genome

    sources, options = files.sources(), bins.options(seed)
    fresh_folder(output, force)
    with Genome(reference) as genome:
        counts = build_binding(genome, sources, output, options)
    typer.echo(f"{output}: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()))


@grouped
def train_binding(
    data: Data,
    output: OutputDir,
    training: Training,
    architecture: Annotated[
        str,
        typer.Argument(
            metavar="ARCH", help="binding-shallow, binding-deep, binding-multitask, or any for windows of this length."
        ),
    ] = "binding-shallow",
    inputs: Annotated[
        Literal["all", "sequence", "dnase", "dnase+shape", "dnase+expression", "study"],
        typer.Option(
            help="What the network reads: all that the data set has and it can take, or some of it. With study, a "
            "model of each and k-mer models with and without DNase, in DIR, and binding.csv; called again, it goes on."
        ),
    ] = "all",
) -> None:
    """Train a network that tells where factors bind in a cell type, and test it.

    Prints AUROC, AUPRC and the recall at 10 % and 50 % false discoveries of each factor in each cell type of the test
    split, and in all of them together.
    """
    from varscore.datasets.examples import ExampleSet
    from varscore.train.studies.binding import KMER, SEQUENCE, InputStudy, measure, variant

    examples = ExampleSet(data)
    if inputs == "study":
        study = InputStudy(training.plan(architecture), training.baseline().plan(KMER[SEQUENCE]), examples)
        run_study(study, output, training)
        results = study.results
    else:
        of = variant(architecture, inputs, examples)
        given = [*(training.argument or []), *(f"{name}={value}" for name, value in of.arguments.items())]
        model = run_training(architecture, examples, output, dataclasses.replace(training, argument=given))
        results = [measure(model, of, examples, training.run_options().device)]
    _print(results, examples)


def _print(results: list[Result], data: ExampleSet) -> None:
    from varscore.cli.tables import print_table
    from varscore.train.studies.binding import table

    rows = table(results, data)
    columns = list(rows[0])
    print_table(columns, [list(row.values()) for row in rows], columns[4:])
