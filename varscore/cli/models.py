"""``varscore models``: what networks there are, what they are made of, and whether they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli import completing
from varscore.cli.inputs import demand_free_model, demand_model, look_at_folders, look_at_models
from varscore.cli.modelpage import outline, show_architecture, show_held_out, show_model
from varscore.cli.options import Data, Force, ModelName, OutputDir
from varscore.cli.tables import print_table

if TYPE_CHECKING:
    from varscore.zoo.models import ModelFolder

MEANS = {"training": "in training", "true": "in truth"}
FIGURES = ("auroc", "auprc")


def list_models(
    architectures: Annotated[
        bool, typer.Option("--architectures", help="List the architectures that can be trained instead.")
    ] = False,
) -> None:
    """List the models found in VARSCORE_MODELS and among the bundled ones, with their figures on held-out data."""
    if architectures:
        _list_architectures()
        return
    import logging

    from varscore.zoo.shelf import available, search_path

    rows = [[name, *_model_cells(name)] for name in available()]
    if not rows:
        places = ", ".join(map(str, search_path()))
        logging.getLogger(__name__).warning("no model in %s; set VARSCORE_MODELS to a folder of models", places)
        return
    columns = ["model", "architecture", "tasks", "parameters", "AUROC", "AUPRC", "notes"]
    print_table(columns, rows, right=columns[2:6])


def show(
    name: Annotated[str, typer.Argument(metavar="ARCH|MODEL", help="An architecture, or a model's name or folder.")],
    tasks: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Count with N outputs (an architecture only).")
    ] = None,
    argument: Annotated[
        list[str] | None,
        typer.Option("--arg", metavar="NAME=VALUE", help="Another argument (an architecture only); repeatable."),
    ] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only the chromosomes that a model was not trained on.")
    ] = False,
) -> None:
    """Show an architecture or a model: layers, arguments, parameters; of a model also its card."""
    if held_out:
        show_held_out(name)
        return
    from difflib import get_close_matches

    from varscore.cli.train import parse_arguments
    from varscore.errors import UsageError
    from varscore.nets import architectures
    from varscore.zoo.card import CARD
    from varscore.zoo.models import find_model
    from varscore.zoo.shelf import DEFAULT, available

    models, known = available(), architectures()
    if name in (DEFAULT, *models) or (Path(name) / CARD).is_file():
        if tasks is not None or argument:
            cause = "its tasks and arguments are fixed"
            raise UsageError(f"{name} is a model", cause=cause, remedy="name an architecture")
        show_model(find_model(name))
    elif name in known:
        given = parse_arguments(known[name].config, argument or [])
        show_architecture(known[name], given | ({} if tasks is None else {"n_tasks": tasks}))
    else:
        near = get_close_matches(name, [*models, *known], 3, 0.4) or [*models, *known]
        raise UsageError(f"no model or architecture {name!r}", remedy=f"did you mean {', '.join(near)}?")


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL...", help="Models' names or folders; by default all there are."),
    ] = None,
) -> None:
    """Check that models are whole: checksums, weights and task tables. Status 2 when one is not."""
    from varscore.errors import ModelError
    from varscore.zoo.models import find_model
    from varscore.zoo.shelf import available

    wanted = names or list(available())
    if not wanted:
        raise ModelError("there is no model to verify", remedy="set VARSCORE_MODELS, or give a model's folder")
    failed = 0
    for name in wanted:
        try:
            typer.echo(f"{name}: ok, {_examine(find_model(name))}")
        except ModelError as error:
            failed += 1
            typer.echo(f"{name}: FAILED, {error}")
    if failed:
        raise ModelError(f"{failed} of {len(wanted)} models failed", remedy="copy or train them again")


def tasks(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A model's name or folder; by default the bundled one.",
            show_default=False,
            autocompletion=completing.models,
            callback=look_at_models,
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Only those that have TEXT in their name, cell, assay or treatment, in any case; or, with * or ?, "
            "those that --tasks TEXT would choose.",
            autocompletion=completing.tasks,
        ),
    ] = None,
) -> None:
    """List what a model predicts: the names that --tasks takes, with cell, assay, treatment and how good each is.

    AUROC and AUPRC are of the model's test data, empty where it says nothing of a task.
    """
    from varscore.tasks import NAMING, search
    from varscore.zoo.models import find_model

    model = find_model(name)
    table, figures = model.tasks(), model.figures()
    chosen = range(len(table)) if like is None else search(table, like, "--like")
    rows = []
    for index in chosen:
        task, told = table[index], figures.get(index, {})
        good = [f"{told[figure]:.3f}" if figure in told else "" for figure in FIGURES]
        rows.append([str(index), task.name, *map(task.told, NAMING), task.group, *good])
    columns = ["index", "name", "cell", "assay", "treatment", "group", "AUROC", "AUPRC"]
    print_table(columns, rows, right=["index", "AUROC", "AUPRC"])


def path(name: ModelName) -> None:
    """Print the folder a model lies in."""
    from varscore.zoo.models import find_model

    typer.echo(find_model(name).path)


def priors(name: ModelName, data: Data) -> None:
    """State how frequent positives are, in a model's training and in truth, and shift its log-odds accordingly.

    Training does so by itself; this is for models made before it did. Predictions change: a background and classifiers
    have to be made anew.
    """
    from varscore.datasets.examples import ExampleSet
    from varscore.train.run import add_priors
    from varscore.zoo.models import find_model

    model = add_priors(find_model(name), ExampleSet(data))
    said = model.card.priors
    shares = ", ".join(f"{said[key]:.3%} {what}" for key, what in MEANS.items() if key in said)
    typer.echo(
        f"{model.path}: positives are {shares}, on average over tasks; {len(said['untrained'])} tasks without any"
    )
    typer.echo(f"log-odds are {'shifted' if said['shifted'] else 'as they were'}; sha256 {model.sha256}")


def select(
    name: ModelName,
    output: OutputDir,
    globs: Annotated[
        list[str],
        typer.Option(
            "--tasks",
            metavar="GLOB",
            help="A task's name, number or glob, as `models tasks` lists them; repeatable.",
            autocompletion=completing.tasks,
        ),
    ],
    force: Force = False,
) -> None:
    """Write a model of some of a model's tasks: smaller outputs, or without tasks that only helped in training.

    Its predictions are the same. What was made with the whole model is not for it: evaluate it, and make a background
    and classifiers of its own.
    """
    demand_model(name, globs)
    demand_free_model(output, force)

    import numpy as np

    from varscore.tasks import choose
    from varscore.zoo.models import find_model
    from varscore.zoo.selecting import select_tasks

    model = find_model(name)
    model.warn_of_interim()
    chosen = np.array(choose(model.tasks(), globs, "--tasks"), np.int64)
    made = select_tasks(model, chosen, output, force=force)
    typer.echo(f"{made.path}: {len(chosen):,} of {len(model.tasks()):,} tasks of {model.id}; sha256 {made.sha256}")


def import_danq_xgboost(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="GRASP or GWAS, with model.0 ... and scaler.pkl.",
            callback=look_at_folders,
        ),
    ],
    output: OutputDir,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="ID|DIR",
            help="The model of 919 tasks it is to be used with, and no other; by default any.",
            show_default=False,
            callback=look_at_models,
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Read a functional-SNP classifier that DanQ's authors have published; nothing in its pickle is executed."""
    demand_free_model(output, force)

    from varscore.functional.published import import_danq
    from varscore.scoring.tags import tag
    from varscore.zoo.models import find_model

    made = import_danq(folder, output, find_model(model) if model else None, force=force)
    folds = len(made.card["imported"]) - 1
    typer.echo(f"{made.path}: {tag(made.column)}, the mean of {folds} folds, {made.width:,} features")
    typer.echo(f"without --conservation NAME=BIGWIG it takes DeepSEA's constants for {', '.join(made.conservation)}")


# -- lists -----------------------------------------------------------------------------------------------------------


def _list_architectures() -> None:
    from varscore.nets import architectures

    rows = [
        [name, f"{network.window:,}", f"{network.n_tasks:,}", f"{network.counts()[0]:,}", architecture.summary]
        for name, architecture in architectures().items()
        for network in [outline(architecture.name, {})]
    ]
    print_table(["architecture", "window", "tasks", "parameters", "made of"], rows, ["window", "tasks", "parameters"])


def _model_cells(name: str) -> list[str]:
    """architecture, tasks, parameters, AUROC, AUPRC, notes of one model; a damaged one has its damage for a note."""
    from varscore.errors import VarscoreError
    from varscore.zoo.models import find_model

    try:
        model = find_model(name)
        network = outline(model.architecture, model.card.arguments)
        tasks = len(model.tasks())
    except VarscoreError as error:
        return ["", "", "", "", "", f"damaged: {error}"]
    figures = model.card.figures("test")
    measures = [f"{figures[key]:.4f}" if key in figures else "" for key in ("auroc", "auprc")]
    states = {"default": model.card.is_default, "interim": model.card.interim}
    notes = ", ".join(note for note, holds in states.items() if holds)
    return [model.architecture, f"{tasks:,}", f"{network.counts()[0]:,}", *measures, notes]


def _examine(model: ModelFolder) -> str:
    """What was checked. Raises ModelError at the first thing that is wrong."""
    import torch

    from varscore.errors import ModelError
    from varscore.scoring.classifier import open_classifier
    from varscore.scoring.evalue import BACKGROUND, load_background
    from varscore.zoo.card import CARD
    from varscore.zoo.shelf import classifiers_of

    files = list(model.card.files)
    for name in files:
        model.read(name)
    net = model.load()
    tensors = net.state_dict()
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ModelError(f"the weights {name} are not all numbers", where=model.path, cause="its training diverged")
    tasks = model.tasks()
    if len(tasks) != net.n_tasks:
        raise ModelError(f"{len(tasks)} tasks are named, the network has {net.n_tasks}", where=model.path)
    found = f"{len(files)} checksums, {len(tensors)} weight tensors that fit and are finite, {len(tasks):,} tasks"
    classifiers = classifiers_of(model.path)
    for path in classifiers.values():
        classifier = open_classifier(path)
        classifier.check(model)
        classifier.load()
    found += f", {len(classifiers)} classifiers" if classifiers else ""
    background = model.path / BACKGROUND
    if background.is_file():
        found += f", a background of {load_background(background, model.sha256, net.n_tasks).n:,} alleles"
    known = {CARD, BACKGROUND, *files}
    rest = sorted(path.name for path in model.path.iterdir() if path.is_file() and path.name not in known)
    return found + (f"; not read: {', '.join(rest)}" if rest else "")
