"""``varscore search status``, ``report`` and ``best``: what a search has found."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.inputs import demand_free, look_at_data, look_later
from varscore.cli.options import Device, Threads

if TYPE_CHECKING:
    from varscore.datasets.examples import ExampleSet
    from varscore.search.best import Place
    from varscore.search.study import Branch, Study
    from varscore.search.trials import Trial


def look_at_study(context: typer.Context, folder: Path) -> Path:
    """Have DataError raised for a folder that holds no study."""
    from varscore.search.marker import demand_study

    look_later(context, demand_study, [folder])
    return folder


StudyFolder = Annotated[
    Path,
    typer.Argument(
        metavar="STUDY",
        help="Folder of a search.",
        callback=look_at_study,
    ),
]
DataOf = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DATA", help="Where the study's data set lies now.", show_default=False, callback=look_at_data
    ),
]


def only_branch(study: Study, name: str | None) -> Branch:
    """The branch of that name, or the only one. Raises UsageError where there are several."""
    from varscore.errors import UsageError

    there = study.branches()
    if name is None and len(there) != 1:
        raise UsageError(
            "which branch?", where=study.folder, remedy=f"--branch {' or '.join(one.name for one in there) or 'NAME'}"
        )
    return study.branch(name) if name is not None else there[0]


def say_best(study: Study, branch: Branch) -> None:
    from varscore.search.trials import ranked

    trials = branch.trials()
    best = ranked(trials, study.metric)
    said = f"{branch.name}: {len(trials)} trials"
    if best:
        said += (
            f", the best {study.metric.name} {best[0].metric:.4f} of trial {best[0].number} ({network_line(best[0])})"
        )
    typer.echo(said)


def network_line(trial: Trial) -> str:
    """A trial's effective keys on one line."""
    from varscore.search.space import effective, plain

    return " ".join(f"{key}={plain(value)}" for key, value in effective(trial.drawn).items())


def status(study_folder: StudyFolder) -> None:
    """Say how far every branch is, and which trials are the best; write STUDY/optuna.journal anew."""
    from varscore.cli.tables import print_table
    from varscore.search.best import places
    from varscore.search.stages import lines
    from varscore.search.study import open_study
    from varscore.search.trials import STATES, ranked

    study = open_study(study_folder)
    name, rows = study.metric.name, []
    for depth, branch in lines(study):
        trials = branch.trials()
        best = ranked(trials, study.metric)
        counts = [sum(trial.state == state for trial in trials) for state in STATES]
        others = ", ".join(f"{n} {state}" for n, state in zip(counts[1:], STATES[1:], strict=True) if n)
        under_way = len(branch.claimed()) - len(trials)
        figure = f"{best[0].metric:.4f}" if best else "-"
        rows.append(
            ["  " * depth + branch.name, str(counts[0]), others or "-", str(under_way), figure, branch.why or "-"]
        )
    print_table(["branch", "done", "otherwise ended", "under way", f"best {name}", "why"], rows, ["done", "under way"])
    best_rows = [
        [
            str(each.rank),
            each.branch.name,
            str(each.trial.number),
            f"{each.trial.metric:.4f}",
            f"{each.trial.parameters:,}",
            f"{each.trial.seconds:.0f}",
            network_line(each.trial),
        ]
        for each in places(study)[:5]
    ]
    if best_rows:
        typer.echo()
        columns = ["rank", "branch", "trial", name, "parameters", "seconds", "network"]
        print_table(columns, best_rows, columns[2:6])
    _journal(study)


def _journal(study: Study) -> None:
    """Written where Optuna is."""
    import importlib.util
    import logging

    from varscore.search.journal import write_journal

    if importlib.util.find_spec("optuna") is None:
        logging.getLogger(__name__).info("optuna.journal left out: Optuna is not installed")
    else:
        write_journal(study)


def report(
    study_folder: StudyFolder,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.html", help="Page to write.")],
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Title of the page.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
) -> None:
    """Write one offline page of a search: stages, trees of the best trials, what matters, learning curves, all trials.

    Also writes tree.txt and tree.svg into the folder of every branch, and STUDY/optuna.journal.
    """
    demand_free((output,), force)

    from varscore.search.page import study_page
    from varscore.search.study import open_study
    from varscore.storage.whole import put_file

    study = open_study(study_folder)
    put_file(output, study_page(study, title or f"Search: {study.folder.resolve().name}").html())
    _journal(study)


def best(
    study_folder: StudyFolder,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MODELDIR", help="Model folder to write.")],
    rank: Annotated[int, typer.Option(min=1, metavar="N", help="1: the best, 2: the next.")] = 1,
    branch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of one branch; by default of all.", show_default=False)
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train it anew, for longer, and measure it on the test split, once.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Of --retrain, at most.")] = 60,
    data: DataOf = None,
    device: Device = "auto",
    threads: Threads = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing model that was copied.")] = False,
) -> None:
    """Make the best network an ordinary model, for predict, annotate and explain: a copy, or trained anew.

    With --retrain the same command goes on where it was stopped.
    """
    from varscore.search.best import copy_best, place
    from varscore.search.study import data_of, open_study

    study = open_study(study_folder)
    chosen = place(study, rank, branch)
    said = f"trial {chosen.trial.number} of {chosen.branch.name}, {study.metric.name} {chosen.trial.metric:.4f}"
    typer.echo(f"{said} ({network_line(chosen.trial)})")
    if retrain:
        _retrain(study, chosen, data_of(study, data), output, epochs, device, threads)
    else:
        copy_best(study, chosen, output, force)
        typer.echo(f"{output}: copied as it was after its trial; --retrain would train it for longer")


def _retrain(
    study: Study, chosen: Place, data: ExampleSet, output: Path, epochs: int, device: str, threads: int | None
) -> None:
    import sys

    from varscore.cli.stopping import TRAINING_PATIENCE, SignalStop
    from varscore.cli.train import command_line
    from varscore.engine.device import pick_device, use_threads
    from varscore.search.best import retrain as train_anew
    from varscore.train.run import RunOptions

    use_threads(threads)
    options = RunOptions(
        seed=study.settings.seed,
        device=pick_device(device),
        precision=study.settings.precision,
        command=command_line(sys.argv[1:]),
        stopping=partial(SignalStop, TRAINING_PATIENCE),
    )
    model, _ = train_anew(study, chosen, data, output, epochs, options)
    figures = model.card.figures("test")
    words = ", ".join(f"{name} {figures[name]:.4f}" for name in ("auroc", "auprc", "pearson") if name in figures)
    typer.echo(f"{output}: {model.card.ended}; on the test split: {words}")
