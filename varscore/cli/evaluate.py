"""``varscore evaluate``: how well models predict held-out data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.inputs import demand_free, look_at_models
from varscore.cli.options import Data, Device, Force, ModelName, OutputDir, Precision, Threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from varscore.evaluate import Report
    from varscore.tasks import Task

LabelledOnly = Annotated[
    bool, typer.Option("--labelled-only", help="Only examples with a label of some task, as DeepSEA's test set.")
]
Compare = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL", help="Another model to predict the same examples; repeatable.", callback=look_at_models
    ),
]
Curves = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TASKS",
        help="Also draw ROC and precision-recall curves of these tasks, by index or a glob such as '*CTCF*'; "
        "repeatable.",
    ),
]


def evaluate(
    model: ModelName,
    data: Data,
    output: OutputDir,
    split: Annotated[Literal["train", "validation", "test", "all"], typer.Option(help="Examples to predict.")] = "test",
    labelled_only: LabelledOnly = False,
    compare: Compare = None,
    curves: Curves = None,
    record: Annotated[bool, typer.Option("--record", help="Write the figures into the model's folder, too.")] = False,
    device: Device = "auto",
    precision: Precision = "fp32",
    threads: Threads = None,
    force: Force = False,
) -> None:
    """Measure how well a model predicts, as CSV, JSON and a table: AUROC, AUPRC, recall and loss of every task.

    AUPRC is average precision, and recall is given at false-discovery rates of 10 % and 50 %. Tasks without positives
    or without negatives are NA: counted, and left out of means. Beside --compare models every task's AUROC and AUPRC
    are drawn against theirs, as PNG and SVG. Whether probabilities are what they claim stands in reliability.csv and
    its pictures: predicted against observed shares of positives, and the expected calibration error.

    Classes are measured each against the rest, beside a confusion matrix; values by Pearson's and Spearman's r and mean
    squared error.
    """
    demand_free((output / "metrics.csv", output / "metrics.json"), force, folders=False)

    from varscore.cli import log
    from varscore.datasets.examples import ExampleSet
    from varscore.engine.device import pick_device, use_threads
    from varscore.evaluate import Examined, choose_tasks, evaluate_models, refuse_report, write_report
    from varscore.evaluate import record as record_figures
    from varscore.zoo.models import find_model

    refuse_report(output, force)
    use_threads(threads)
    models = [find_model(name) for name in (model, *(compare or ()))]
    for each in models:
        each.warn_of_interim()
    examined = Examined(ExampleSet(data), split, labelled_only)
    drawn = choose_tasks(examined.data.tasks, curves or ())
    with log.progress(len(models) * len(examined.rows), "examples") as meter:
        report = evaluate_models(models, examined, pick_device(device), precision, meter.advance, drawn)
    pictures = write_report(output, report)
    if record:
        record_figures(models[0], examined, report.scores[0])
    _print(report)
    if pictures:
        typer.echo("pictures: " + ", ".join(map(str, pictures)))


def _print(report: Report) -> None:
    from varscore.evaluate import MIN_POSITIVES

    _print_means(report)
    _print_calibration(report)
    name, confusion = report.names[0], report.confusions[0]
    if confusion is not None:
        print_confusion(name, report.examined.data.tasks, confusion)
    for other, wins in report.comparisons().items():
        if wins.tasks:
            counted = f"Of {wins.tasks} tasks with {MIN_POSITIVES} positives or more, {name} beats {other} on"
            shares = f"{wins.auroc:.1%} in AUROC, on {wins.auprc:.1%} in AUPRC, on {wins.both:.1%} in both."
            typer.echo(f"{counted} {shares}")


def print_confusion(name: str, tasks: Sequence[Task], confusion: NDArray[np.int64]) -> None:
    """A line a class: how many of its examples a model called each class. confusion: int64 (classes, classes)"""
    from varscore.cli.tables import print_table
    from varscore.evaluate.kinds import confusion_rows

    columns = ["class", "examples", *(f"called {task.name}" for task in tasks)]
    typer.echo(f"{name}:")
    print_table(columns, confusion_rows(tasks, confusion), columns[1:])


MEASURES = {
    "auroc": "AUROC",
    "auroc_median": "median",
    "auprc": "AUPRC",
    "auprc_median": "median",
    "recall_at_fdr_0.1": "recall, FDR 10 %",
    "recall_at_fdr_0.5": "FDR 50 %",
    "loss": "loss",
}
VALUE_MEASURES = {
    "pearson": "Pearson r",
    "pearson_median": "median",
    "spearman": "Spearman r",
    "spearman_median": "median",
    "mse": "squared error",
}


def _print_calibration(report: Report) -> None:
    """How much the models predict, and how much there is; nothing of values."""
    from varscore.cli.tables import print_table

    rows = []
    for group in report.groups:
        for number, (name, summary) in enumerate(report.summaries.items()):
            row = summary[group].row()
            if "ece" in row:
                ratio = f"{row['predicted'] / row['observed']:.2f}" if row["observed"] else ""
                figures = [f"{row[measure]:.5f}" for measure in ("predicted", "observed", "ece")]
                rows.append(["" if number else group, name, *figures[:2], ratio, figures[2]])
    if rows:
        columns = ["group", "model", "mean prediction", "share of positives", "ratio", "calibration error"]
        print_table(columns, rows, columns[2:])
        if report.examined.is_thinned:
            typer.echo(
                "Bins without a label are left out: positives are more frequent here than in the genome, for which"
            )
            typer.echo("a model with priors predicts. Its ratio is below 1 then, and its loss says little.")


def _print_means(report: Report) -> None:
    """A line a group and model, and the figures others have published."""
    from varscore.cli.tables import print_table
    from varscore.evaluate.kinds import ValueScores

    examined, values = report.examined, isinstance(report.scores[0], ValueScores)
    measures = VALUE_MEASURES if values else MEASURES
    rows = []
    models = [*report.summaries.items(), *((f"{name}*", row) for name, row in report.published.items())]
    for group in report.groups:
        for number, (name, summary) in enumerate(models):
            row = summary[group].row()
            shown = [f"{row[measure]:.4f}" if measure in row else "" for measure in measures]
            counts = [f"{int(row['tasks'] - row['na'])}", f"{int(row['na'])}"]
            rows.append(["" if number else group, name, *counts, *shown])
    with_label = " with a label" * examined.labelled_only
    typer.echo(f"{examined.data.name}, {examined.split}: {len(examined.rows):,} examples{with_label}")
    columns = ["group", "model", "tasks", "NA", *measures.values()]
    print_table(columns, rows, columns[2:])
    notes = ["" if values else "AUPRC is average precision", "* published, on other bins" * bool(report.published)]
    typer.echo("; ".join(["means over tasks, NA left out", *filter(None, notes)]))
