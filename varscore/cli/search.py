"""``varscore search``: Genetic Architect."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from varscore.cli.crew import Crew, work_together
from varscore.cli.groups import grouped
from varscore.cli.inputs import demand_free, look_at_data, look_at_files, look_at_target
from varscore.cli.newstudy import NewStudy
from varscore.cli.slurm import Asked
from varscore.cli.study import DataOf, StudyFolder, only_branch, say_best

if TYPE_CHECKING:
    from varscore.datasets.examples import ExampleSet
    from varscore.search.study import Branch, Study

BranchName = Annotated[
    str | None,
    typer.Option("--branch", metavar="NAME", help="Of one branch; by default the only one.", show_default=False),
]


@grouped
def search(
    context: typer.Context,
    crew: Crew,
    asked: Asked,
    new: NewStudy,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA", help="A data set with a validation split.", show_default=False, callback=look_at_data
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="STUDY",
            help="Folder of the search, new or to go on with.",
            callback=look_at_target,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, max=99_999, metavar="N", help="Trials of the branch in all; by default 200, or as many as there are."
        ),
    ] = None,
    branch: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Branch to work on: of a new study its first, main by default."),
    ] = None,
    setup: Annotated[
        list[str] | None,
        typer.Option(metavar="LINE", help="A shell line for the array to begin with; repeatable."),
    ] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Also submit the array.")] = False,
) -> None:
    """Search for a network: train draws from 24 hyper-parameters and see what the best have in common.

    Every trial is a folder in STUDY. Killed, or run by any number of processes, the same command goes on with the same
    trials. Networks are compared on the validation split; the test split is not read.
    """
    if context.invoked_subcommand:
        return
    from varscore.errors import UsageError

    if output is None:
        raise UsageError("a search wants a folder", remedy="varscore search --data DATA -o STUDY")
    study, branch_now, examples = new.begin(output, data, branch)
    count = trials or max(200, branch_now.begun)
    _work(study, branch_now, examples, count, crew, asked, tuple(setup or ()), submit)


# who works


def _work(
    study: Study,
    branch: Branch,
    data: ExampleSet,
    count: int,
    crew: Crew,
    asked: Asked,
    setup: tuple[str, ...] = (),
    submit: bool = False,
) -> None:
    """Bring the trials of a branch to their end, here or elsewhere, and say which is the best."""
    from varscore.cli import log
    from varscore.search.worker import run_branch

    words = ["search", "--data", str(data.folder), "-o", str(study.folder), "--branch", branch.name]
    words += ["--trials", str(count)]
    if crew.workers == "slurm":
        _write_array(study, [*words, *crew.words(asked.cpus)], crew.tasks, asked, setup, submit)
        return
    if crew.workers.startswith("ray"):
        _work_on_ray(study, branch, data, count, crew)
    elif crew.processes > 1:
        work_together(words, crew, branch.ended, count)
    else:
        with log.progress(count, "trials") as meter:
            run_branch(study, branch, data, crew.work(count), meter.advance)
    say_best(study, branch)


def _work_on_ray(study: Study, branch: Branch, data: ExampleSet, count: int, crew: Crew) -> None:
    from varscore.cluster import ray_engines
    from varscore.search.worker import work_in

    with ray_engines(crew.workers, crew.threads) as engines:
        folders = str(study.folder.absolute()), branch.name, str(data.folder.absolute())
        job = (*folders, count, crew.device, crew.keep, 1)
        engines.everywhere(work_in, [job] * crew.tasks, device=crew.device)


def _write_array(
    study: Study, words: list[str], tasks: int, asked: Asked, setup: tuple[str, ...], submit: bool
) -> None:
    import logging

    from varscore.cluster.slurm import SUBMIT, WorkersPlan, write_scripts
    from varscore.cluster.slurm import submit as submit_scripts

    plan = WorkersPlan(words, study.folder.absolute() / "slurm", tasks, Path.cwd(), asked.resources(), setup)
    folder = write_scripts(plan, force=True)
    log = logging.getLogger(__name__)
    if submit:
        log.info("submitted: %s; logs go to %s", submit_scripts(folder), folder / "logs")
    else:
        log.info("written; to submit: %s", folder / SUBMIT)


# what to do next


@grouped
def narrow(
    study_folder: StudyFolder,
    crew: Crew,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="SPACE.toml", help="Write the narrowed space.", show_default=False),
    ] = None,
    branch: BranchName = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept", help="Make the narrowed space the next stage, a branch, and run as many trials of it."
        ),
    ] = False,
    data: DataOf = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
) -> None:
    """Propose which values to give up: those that the best fifth of the trials do without.

    Prints the tree of the best trials, what it proposes and why, and whether a fork is in order. A proposal: decide
    yourself. `search run-stages` follows it without asking.
    """
    demand_free((output,), force)

    from varscore.search.proposals import narrow as narrowed_by
    from varscore.search.proposals import propose_fork
    from varscore.search.reading import grow_tree, read_trials
    from varscore.search.space import space_text
    from varscore.search.stages import next_name
    from varscore.search.study import data_of, open_study
    from varscore.storage.whole import put_file

    study = open_study(study_folder)
    chosen = only_branch(study, branch)
    trials = read_trials(chosen.trials(), study.metric, chosen.space)
    found, tree = narrowed_by(trials), grow_tree(trials)
    if tree is not None:
        typer.echo(f"the best {trials.top_count} of {len(trials)}; {tree.verdict}\n{tree.text}")
    for one in found.dropped or ("nothing to give up",):
        typer.echo(str(one))
    for side in propose_fork(tree, chosen.space) or ():
        words = [str(study_folder), "--from", chosen.name, "--branch", side.name, "--fix", side.fix]
        typer.echo(f"fork: {shlex.join(['varscore', 'search', 'fork', *words])}")
    if output is not None:
        put_file(output, space_text(found.space))
    if accept and found.dropped:
        following = study.make_branch(next_name(chosen.name), found.space, chosen.name, found.why)
        _work(study, following, data_of(study, data), chosen.begun, crew, Asked())


def fork(
    study_folder: StudyFolder,
    name: Annotated[str, typer.Option("--branch", metavar="NAME", help="Name of the new branch.")],
    fix: Annotated[
        list[str], typer.Option(metavar="KEY=V[,V]", help="Values that the branch keeps of a key; repeatable.")
    ],
    parent: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="Branch to divide; by default the only one.", show_default=False),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            metavar="SPACE.toml",
            help="Space to fork instead of the parent's.",
            show_default=False,
            callback=look_at_files,
        ),
    ] = None,
) -> None:
    """Make a branch of a part of another's space, to be searched on its own."""
    from varscore.search.space import parse_fix, read_space
    from varscore.search.study import open_study

    study = open_study(study_folder)
    chosen = only_branch(study, parent)
    within = parse_fix(fix, read_space(space) if space else chosen.space)
    made = study.make_branch(name, within, chosen.name, f"forked: {' '.join(fix)}")
    typer.echo(f"{made.name}: {shlex.join(['varscore', 'search', '-o', str(study_folder), '--branch', made.name])}")


@grouped
def run_stages(
    study_folder: StudyFolder,
    crew: Crew,
    data: DataOf = None,
    stages: Annotated[int, typer.Option(min=1, max=99, metavar="N", help="Stages in all.")] = 6,
    trials: Annotated[int, typer.Option(min=1, max=99_999, metavar="N", help="Trials of every branch.")] = 100,
    branch: BranchName = None,
) -> None:
    """Run stage after stage without asking: narrow, fork once where the tree says so, and go on in every branch.

    STUDY is one that `varscore search` has begun; its first branch, or the one named, is the first stage. What was
    decided, and why, is printed and stands in every branch. The same command goes on where it was stopped.
    """
    from varscore.cli import log
    from varscore.errors import UsageError
    from varscore.search.stages import run_stages as run_all
    from varscore.search.study import MAIN, data_of, open_study
    from varscore.search.worker import run_branch

    if not crew.workers.isdecimal():
        raise UsageError("stages are run by processes on this machine", remedy="--workers N, on any number of machines")
    study = open_study(study_folder)
    first = study.branch(branch or next((each.name for each in study.branches()), MAIN))
    examples = data_of(study, data)
    if crew.processes > 1:
        words = ["search", "run-stages", str(study_folder), "--data", str(examples.folder), "--stages", str(stages)]
        work_together([*words, "--trials", str(trials), "--branch", first.name], crew, study.ended)
    work = crew.work(trials)
    with log.progress(None, "trials") as meter:
        done = run_all(study, first, stages, lambda each: run_branch(study, each, examples, work, meter.advance))
    for stage in done:
        say_best(study, stage.branch)
        typer.echo(f"  -> {', '.join(child.name for child in stage.children) or 'ends here'}: {stage.why}")
