"""``varscore evaluate``: how well models predict held-out data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from varscore.cli.options import Data, Device, Force, OutputDir, Precision, Threads

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from varscore.data.examples import Task
    from varscore.evaluate import Report


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name or folder.")],
    data: Data,
    output: OutputDir,
    split: Annotated[Literal["train", "validation", "test", "all"], typer.Option(help="Examples to predict.")] = "test",
    labelled_only: Annotated[
        bool, typer.Option("--labelled-only", help="Only examples with a label of some task, as DeepSEA's test set.")
    ] = False,
    compare: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Another model to predict the same examples; repeatable.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Write the figures into the model's folder, too.")] = False,
    device: Device = "auto",
    precision: Precision = "fp32",
    threads: Threads = None,
    force: Force = False,
) -> None:
    """Measure how well a model predicts, as CSV, JSON and a table: AUROC, AUPRC, recall and loss of every task.

    Classes are measured each against the rest, beside a confusion matrix; values by Pearson's and Spearman's r and mean
    squared error.
    """
    from varscore.cli import log
    from varscore.data.examples import ExampleSet
    from varscore.engine.device import pick_device, use_threads
    from varscore.evaluate import Examined, evaluate_models, refuse_report, write_report
    from varscore.evaluate import record as record_figures
    from varscore.zoo import find_model

    refuse_report(output, force)
    use_threads(threads)
    models = [find_model(name) for name in (model, *(compare or ()))]
    examined = Examined(ExampleSet(data), split, labelled_only)
    with log.progress(len(models) * len(examined.rows), "examples") as meter:
        report = evaluate_models(models, examined, pick_device(device), precision, meter.advance)
    write_report(output, report)
    if record:
        record_figures(models[0], examined, report.scores[0])
    _print(report)


def _print(report: Report) -> None:
    from rich.console import Console

    from varscore.evaluate import MIN_POSITIVES

    console = Console()
    console.print(_table(report))
    name, confusion = report.names[0], report.confusions[0]
    if confusion is not None:
        print_confusion(name, report.examined.data.tasks, confusion)
    for other, wins in report.comparisons().items():
        if wins.tasks:
            counted = f"Of {wins.tasks} tasks with {MIN_POSITIVES} positives or more, {name} beats {other} on"
            shares = f"{wins.auroc:.1%} in AUROC, on {wins.auprc:.1%} in AUPRC, on {wins.both:.1%} in both."
            console.print(counted, shares, highlight=False)


def print_confusion(name: str, tasks: Sequence[Task], confusion: np.ndarray) -> None:
    """A line a class: how many of its examples a model called each class. confusion: int64 (classes, classes)"""
    from varscore.cli.tables import print_table
    from varscore.evaluate.kinds import confusion_rows

    columns = ["class", "examples", *(f"called {task.name}" for task in tasks)]
    typer.echo(f"{name}:")
    print_table(columns, confusion_rows(tasks, confusion), columns[1:])


def _table(report: Report) -> Table:
    from rich.table import Table

    from varscore.evaluate.kinds import ValueScores

    examined = report.examined
    title = f"{examined.data.folder.name}, {examined.split}: {len(examined.rows):,} examples"
    table = Table(
        title=title + " with a label" * examined.labelled_only,
        caption="means over tasks; * published, on other bins" if report.published else None,
    )
    table.add_column("group")
    table.add_column("model", overflow="fold")
    measures = {"auroc": "AUROC", "auroc_median": "median", "auprc": "AUPRC", "auprc_median": "median", "loss": "loss"}
    if isinstance(report.scores[0], ValueScores):
        r = {"pearson": "Pearson r", "pearson_median": "median", "spearman": "Spearman r", "spearman_median": "median"}
        measures = {**r, "mse": "squared error"}
    for column in ("tasks", *measures.values()):
        table.add_column(column, justify="right")
    rows = [*report.summaries.items(), *((f"{name}*", row) for name, row in report.published.items())]
    for group in report.groups:
        for number, (name, summary) in enumerate(rows):
            figures = summary[group]
            values = (getattr(figures, measure) for measure in measures)
            shown = ["" if math.isnan(value) else f"{value:.4f}" for value in values]
            table.add_row("" if number else group, name, str(figures.tasks - figures.na), *shown)
        table.add_section()
    return table
