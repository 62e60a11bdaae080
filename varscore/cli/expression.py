"""``varscore dataset promoters`` and ``varscore train-expression``: how much is transcribed from a promoter."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.groups import grouped
from varscore.cli.inputs import look_at_files, look_at_references
from varscore.cli.options import Data, Force, OutputDir, Seed
from varscore.cli.train import Training, run_study, run_training

if TYPE_CHECKING:
    from varscore.datasets.examples import ExampleSet
    from varscore.datasets.promoters import PromoterOptions, Promoters

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Options that say where promoters come from."""

    promoters: Annotated[
        Path | None,
        typer.Option(
            metavar="FASTA",
            help="Promoter sequences, as they are transcribed; of longer ones the middle is taken.",
            show_default=False,
            callback=look_at_files,
        ),
    ] = None
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            "-r",
            metavar="FASTA",
            help="Genome to cut promoters from, with --tss.",
            show_default=False,
            callback=look_at_references,
        ),
    ] = None
    tss: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE|BED",
            help="Start sites: a table with columns for gene, chrom, strand, and start and end (from 0, as UCSC's) or "
            "TSS (from 1), or BED with names and strands. Of a gene the first counts.",
            show_default=False,
            callback=look_at_files,
        ),
    ] = None
    gene: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Finds the gene in a FASTA header, as its first group; by default the first word, of EPD's headers "
            "the second.",
            show_default=False,
        ),
    ] = None

    def read(self, options: PromoterOptions) -> tuple[Promoters, dict[str, dict[str, str]]]:
        """The promoters and what the data set says of the genome. Raises UsageError when it is not clear which."""
        from varscore.datasets.promoters import WINDOW, cut_promoters, read_promoters, read_sites
        from varscore.errors import UsageError
        from varscore.genome.sequence import Genome

        if self.promoters and not (self.reference or self.tss or options.upstream is not None):
            return read_promoters(self.promoters, options.window, self.gene), {}
        if self.promoters or self.gene or not (self.reference and self.tss):
            raise UsageError("promoters come from a FASTA, or from a genome", remedy="--promoters, or -r and --tss")
        window = options.window or WINDOW
        upstream = window // 2 if options.upstream is None else options.upstream
        with Genome(self.reference) as genome:
            facts = {"reference": genome.told()}
            return cut_promoters(genome, read_sites(self.tss), window, upstream), facts


@dataclass(frozen=True)
class Shape:
    """Options that say what an example is."""

    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="BP",
            help="Length of a promoter; by default the commonest of the FASTA's, and 2000 of a genome.",
            show_default=False,
        ),
    ] = None
    upstream: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="BP", help="Bases before the start site; by default half of the window.", show_default=False
        ),
    ] = None
    outputs: Annotated[
        Literal["lineages", "columns", "mean"],
        typer.Option(help="What is predicted: the mean of every lineage, each cell type, or the mean of all."),
    ] = "lineages"
    scale: Annotated[
        Literal["auto", "linear", "log2"],
        typer.Option(help="Of the matrix; log2 is taken of a linear one, for which auto takes values above 50."),
    ] = "auto"
    pseudocount: Annotated[float, typer.Option(min=0, metavar="N", help="Added to linear values.")] = 0.0
    strands: Annotated[
        Literal["one", "both"],
        typer.Option(
            help="Networks read promoters as they are transcribed, or either strand and predict the mean of both, "
            "which suits variants of genes on the minus strand."
        ),
    ] = "one"
    folds: Annotated[int, typer.Option(min=3, metavar="N", help="Parts of the cross-validation.")] = 10

    def options(self, seed: int) -> PromoterOptions:
        from varscore.datasets.promoters import PromoterOptions

        return PromoterOptions(
            self.window, self.upstream, self.outputs, self.scale, self.pseudocount, self.strands, self.folds, seed
        )


@grouped
def dataset_promoters(
    *,
    expression: Annotated[
        Path,
        typer.Option(
            metavar="MATRIX",
            help="Table of genes (lines, named in the first column) by cell types, tab- or comma-separated.",
            callback=look_at_files,
        ),
    ],
    output: OutputDir,
    genes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Gene names, one a line, of a matrix that has none.",
            show_default=False,
            callback=look_at_files,
        ),
    ] = None,
    lineages: Annotated[
        Path | None,
        typer.Option(
            metavar="TSV",
            help="Lineage of each column: lines of a pattern (B.*) and a name, the first that fits counts; by default "
            "eleven lineages of ImmGen's names.",
            show_default=False,
            callback=look_at_files,
        ),
    ] = None,
    places: Places,
    shape: Shape,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Pair promoters with the expression of their genes, log2, in lineages or cell types.

    Promoters are the sequences of a FASTA, or windows of a genome around start sites, those of the minus strand
    reverse-complemented. Promoters that share half of their length, or overlap, are in one fold. What has an unknown
    base, no expression or an ambiguous name is left out and counted.
    """
    from varscore.datasets.examples import fresh_folder
    from varscore.datasets.expression import IMMGEN, read_expression, read_lineages
    from varscore.datasets.promoters import build_promoters, hashed
    from varscore.errors import UsageError

    if lineages and shape.outputs == "mean":
        raise UsageError("--lineages has no part in the mean of all columns", remedy="--outputs lineages")
    options = shape.options(seed)
    fresh_folder(output, force)
    found, facts = places.read(options)
    matrix = read_expression(expression, genes)
    mapped = read_lineages(lineages) if lineages else IMMGEN
    files = [path for path in (expression, genes, lineages, places.promoters, places.tss) if path]
    counts = build_promoters(found, matrix, output, options, mapped, {**facts, "sources": hashed(files)})
    typer.echo(f"{output}: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()))


@grouped
def train_expression(
    data: Data,
    output: OutputDir,
    training: Training,
    architecture: Annotated[
        str, typer.Argument(metavar="ARCH", help="promoternet, deepbind, deepmotif, kmer, or any other architecture.")
    ] = "promoternet",
    cross_validate: Annotated[
        bool,
        typer.Option(
            "--cross-validate",
            help="Train a model for every fold of the data set, the k-mer baseline too, and predict every gene once: "
            "expression.csv, predictions.tsv and scatter pictures in DIR, of all networks cross-validated there. "
            "Called again, it goes on.",
        ),
    ] = False,
    permuted: Annotated[
        bool,
        typer.Option(help="Cross-validate ARCH on permuted genes besides: what it makes of nothing."),
    ] = True,
) -> None:
    """Train a network that predicts expression from promoters, and say Pearson's r of every output.

    Without --cross-validate one model is trained: the first fold is its test split, the second validation.
    """
    from varscore.cli.tables import print_table
    from varscore.datasets.examples import ExampleSet
    from varscore.train.studies.expression import CrossValidation, folds_of

    examples = ExampleSet(data)
    folds_of(examples)
    if not cross_validate:
        if not permuted:
            log.warning("`permuted=False` changes nothing: permuted genes are for --cross-validate")
        _print_model(architecture, examples, output, training)
        return
    baseline = training.baseline().plan("kmer")
    study = CrossValidation(training.plan(architecture), baseline, examples, training.seed, permuted)
    run_study(study, output, training)
    columns = list(study.rows[0])
    print_table(columns, [list(row.values()) for row in study.rows], columns[1:])


def _print_model(architecture: str, data: ExampleSet, output: Path, training: Training) -> None:
    from varscore.cli.tables import print_table
    from varscore.evaluate import Examined, ValueScores, evaluate_model, record
    from varscore.formats.csvtable import cell

    model = run_training(architecture, data, output, training)
    examined = Examined(data)
    scores = evaluate_model(model, examined, training.run_options().device)
    assert isinstance(scores, ValueScores)
    record(model, examined, scores)
    columns = ["output", "genes", "pearson r", "spearman r"]
    found = zip(data.tasks, scores.examples, scores.pearson, scores.spearman, strict=True)
    print_table(columns, [[t.name, f"{n:,}", cell(r, 4), cell(s, 4)] for t, n, r, s in found], columns[1:])
