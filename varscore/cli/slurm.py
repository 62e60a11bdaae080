"""``varscore slurm``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from varscore.cli.annotate import annotate
from varscore.cli.groups import grouped
from varscore.cli.inputs import demand_source, look_first
from varscore.cli.options import Force

if TYPE_CHECKING:
    from varscore.cluster.slurm import ArrayPlan, Resources

ASKED = "What each job asks for"
REFUSED = {
    "shard": "--shard is what this command adds",
    "cluster": "--cluster and a job array are two ways to the same end",
    "strict": "--strict would keep the merge from running; the merged run.json counts what has no score",
    "dry_run": "say --dry-run before the --",
}


@dataclass(frozen=True)
class Asked:
    """Options that say what each job asks of SLURM."""

    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Time of a task, such as 2:00:00; it is queued again until its shard is done.",
            rich_help_panel=ASKED,
        ),
    ] = None
    mem: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory, such as 8G.", rich_help_panel=ASKED)] = None
    cpus: Annotated[int, typer.Option(min=1, metavar="N", help="CPUs of a task.", rich_help_panel=ASKED)] = 1
    gpus: Annotated[int, typer.Option(min=0, metavar="N", help="GPUs of a task.", rich_help_panel=ASKED)] = 0
    partition: Annotated[
        str | None, typer.Option("--partition", "-p", metavar="NAME", help="Partition.", rich_help_panel=ASKED)
    ] = None
    at_once: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Tasks that may run at the same time.", rich_help_panel=ASKED),
    ] = None
    sbatch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTION",
            help="Any other option of sbatch, such as --account=lab; repeatable.",
            rich_help_panel=ASKED,
        ),
    ] = None

    def resources(self) -> Resources:
        """Raises UsageError for what is no option of sbatch."""
        from varscore.cluster.slurm import Resources
        from varscore.errors import UsageError

        further = tuple(self.sbatch or ())
        if any(not option.startswith("-") for option in further):
            raise UsageError("--sbatch takes whole options", remedy="such as --sbatch --account=lab")
        return Resources(self.time, self.mem, self.cpus, self.gpus, self.partition, self.at_once, further)


@grouped
def slurm(
    words: Annotated[
        list[str], typer.Argument(metavar="-- IN [OPTIONS OF ANNOTATE]", help="What varscore annotate is to do.")
    ],
    shards: Annotated[int, typer.Option("--shards", "-n", min=1, max=9999, metavar="N", help="Tasks of the array.")],
    asked: Asked,
    setup: Annotated[
        list[str] | None,
        typer.Option(metavar="LINE", help="A shell line to begin with, such as 'module load cuda'; repeatable."),
    ] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Also submit them.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and print the scripts instead.")] = False,
    force: Force = False,
) -> None:
    """Write the scripts of a SLURM job array that runs annotate in shards, and of a job that merges them.

    They go into the folder OUT.slurm. Preempted tasks carry on where they were stopped.
    """
    import logging

    from varscore.cluster.slurm import SUBMIT, write_scripts
    from varscore.cluster.slurm import submit as submit_scripts

    if submit and dry_run:
        raise typer.BadParameter("give either --submit or --dry-run")
    plan = _plan(words, shards, asked.resources(), tuple(setup or ()))
    _suggest(plan, asked)
    if dry_run:
        for name, text in plan.scripts().items():
            typer.echo(f"==> {plan.folder / name} <==\n{text}")
        return
    folder = write_scripts(plan, force=force)
    log = logging.getLogger(__name__)
    if submit:
        log.info("submitted: %s; logs go to %s", submit_scripts(folder), folder / "logs")
    else:
        log.info("written; to submit: %s", folder / SUBMIT)


def _suggest(plan: ArrayPlan, asked: Asked) -> None:
    """Say what a task will need, where the user has not said what it gets."""
    import logging

    from varscore.annotate.job import count_records
    from varscore.cluster.slurm import suggestion

    if asked.time is not None and asked.mem is not None:
        return
    records = count_records(plan.source)
    if records is not None:
        time, memory = suggestion(records, plan.shards, asked.cpus)
        text = "%s records in %d tasks of %d CPUs: about --time %s --mem %s would do for each"
        logging.getLogger(__name__).info(text, f"{records:,}", plan.shards, asked.cpus, time, memory)


def _plan(words: list[str], shards: int, asked: Resources, setup: tuple[str, ...]) -> ArrayPlan:
    """Let ``annotate`` read its words and check what it can. Raises what it raises, and UsageError."""
    from varscore.cli.annotate import default_output
    from varscore.cluster.slurm import ArrayPlan
    from varscore.errors import UsageError
    from varscore.storage.atomic import is_stream

    words, plugins = _split_plugins(words)
    given = _read_words(words)
    for name, why in REFUSED.items():
        if given[name]:
            raise UsageError(f"not in a job array: --{name.replace('_', '-')}", cause=why)
    if not given["resume"]:
        raise UsageError("not in a job array: --no-resume", cause="a task that is stopped could not carry on")
    source = given["source"] or given["saturate"]
    demand_source(source)
    output = given["output"] or default_output(source, given["output_format"])
    if is_stream(source) or is_stream(output):
        raise UsageError("a job array cannot read from or write to a stream", remedy="give file names")
    further = ("scores", "skipped", "motif_table", "haplotype_table")
    names = {name: None if given[name] is None else str(given[name]) for name in further}
    plan = ArrayPlan(
        [*words, *plugins],
        source,
        output,
        shards,
        Path.cwd(),
        force=given["force"],
        resources=asked,
        setup=setup,
        **names,
    )
    _read_words([*words, "-o", output, "--dry-run"], invoke=True)
    return plan


def _split_plugins(words: list[str]) -> tuple[list[str], list[str]]:
    """The words without ``--plugin FILE``, and that option for every plugin, named before the ``--`` or after it."""
    if "varscore.nets.plugins" not in sys.modules and not any(word.startswith("--plugin") for word in words):
        return words, []  # and torch is not loaded yet
    from varscore.nets.plugins import load_plugin, loaded

    rest: list[str] = []
    given = iter(words)
    for word in given:
        option, equals, value = word.partition("=")
        if option == "--plugin":
            load_plugin(Path(value if equals else next(given, "")))
        else:
            rest.append(word)
    return rest, [f"--plugin={plugin.path}" for plugin in loaded()]


def _read_words(words: list[str], invoke: bool = False) -> dict[str, Any]:
    """The parameters of ``annotate`` that the words say; with ``invoke`` it is run with them."""
    from typer.main import get_command

    app = typer.Typer()
    app.command()(annotate)
    command = get_command(app)
    look_first(command)
    with command.make_context("varscore annotate", list(words)) as context:
        if invoke:
            command.invoke(context)
        return dict(context.params)
