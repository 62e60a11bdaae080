"""The command table: every command of varscore and the function behind it.

A command function lives in ``varscore/cli/<group>.py``, takes its options from ``varscore.cli.options`` where they are
shared, and imports the flow it calls inside its body, so that ``varscore --help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from varscore.cli import (
    annotate,
    archive,
    assemblies,
    background,
    bench,
    binding,
    configs,
    dataset,
    deepsea,
    demo,
    evaluate,
    exchange,
    explain,
    expression,
    log,
    merge,
    models,
    motifs,
    normalise,
    predict,
    report,
    search,
    skill,
    slurm,
    snp,
    stored,
    study,
    tfbs,
    train,
    tss,
)

app = typer.Typer(
    name="varscore",
    help="Which non-coding variants change what the DNA does.",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The options above may also stand after the command.",
    pretty_exceptions_enable=False,
)


def print_version(wanted: bool) -> None:
    """Print the versions that decide a score, one a line."""
    if not wanted:
        return
    from importlib import metadata

    import torch

    from varscore import __version__

    # xgboost or xgboost-cpu brings the module; asking the package is seconds faster than importing it
    packages = metadata.packages_distributions().get("xgboost", [])
    xgboost = ", ".join(metadata.version(package) for package in packages) or "not installed"
    device = f"cuda ({torch.cuda.get_device_name()})" if torch.cuda.is_available() else "cpu"
    lines = {"varscore": __version__, "torch": torch.__version__, "xgboost": xgboost, "device": device}
    for name, value in lines.items():
        typer.echo(f"{name} {value}")
    raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print the versions and the device."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    log_format: Annotated[
        Literal["text", "json"], typer.Option("--log-format", help="How messages on stderr are written.")
    ] = "text",
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.py",
            help="A Python file of yours that registers architectures; it is run, so that models of them can be "
            "trained and loaded.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Everything there is to say.")] = False,
) -> None:
    log.configure(log_format=log_format, quiet=quiet, verbose=verbose)
    if plugin:
        from varscore.nets.plugins import load_plugin

        for path in plugin:
            load_plugin(path)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)
        raise typer.Exit(2)


# The command table, in the order of `varscore --help`.
SCORING, TRAINING = "Scoring", "Training"

app.command("annotate", rich_help_panel=SCORING)(annotate.annotate)
app.command("normalise", rich_help_panel=SCORING)(normalise.normalise)
app.command("genome", rich_help_panel=SCORING)(assemblies.genome)
app.command("configs", rich_help_panel=SCORING)(configs.configs)
app.command("skill", rich_help_panel=SCORING)(skill.skill)
app.command("merge", rich_help_panel=SCORING)(merge.merge)
app.command("slurm", rich_help_panel=SCORING)(slurm.slurm)
app.command("predict", rich_help_panel=SCORING)(predict.predict)
app.command("explain", rich_help_panel=SCORING)(explain.explain)
app.command("motifs", rich_help_panel=SCORING)(motifs.motifs)
app.command("report", rich_help_panel=SCORING)(report.report)
app.command("demo", rich_help_panel=SCORING)(demo.demo)
app.command("bench", rich_help_panel=SCORING)(bench.bench)

caches = typer.Typer(help="The folder of annotate --cache.", no_args_is_help=True)
caches.command("info")(stored.cache_info)
caches.command("verify")(stored.cache_verify)
caches.command("prune")(stored.cache_prune)
caches.command("merge")(stored.cache_merge)
app.add_typer(caches, name="cache", rich_help_panel=SCORING)

archives = typer.Typer(help="Scores of all substitutions of some regions, in one file.", no_args_is_help=True)
archives.command("build")(archive.build)
archives.command("merge")(archive.merge)
archives.command("info")(archive.info)
archives.command("verify")(archive.verify)
archives.command("export")(archive.export)
app.add_typer(archives, name="archive", rich_help_panel=SCORING)

datasets = typer.Typer(help="Raw material into training data.", no_args_is_help=True)
datasets.command("peaks")(dataset.peaks)
datasets.command("deepsea")(deepsea.dataset_deepsea)
datasets.command("tss")(tss.dataset_tss)
datasets.command("tfbs")(tfbs.dataset_tfbs)
datasets.command("promoters")(expression.dataset_promoters)
datasets.command("binding")(binding.dataset_binding)
app.add_typer(datasets, name="dataset", rich_help_panel=TRAINING)
app.command("train-chromatin", rich_help_panel=TRAINING)(train.train_chromatin)
app.command("train-tss", rich_help_panel=TRAINING)(tss.train_tss)
app.command("train-tfbs", rich_help_panel=TRAINING)(tfbs.train_tfbs)
app.command("train-expression", rich_help_panel=TRAINING)(expression.train_expression)
app.command("train-binding", rich_help_panel=TRAINING)(binding.train_binding)
app.command("train-snp", rich_help_panel=TRAINING)(snp.train_snp)
app.command("background", rich_help_panel=TRAINING)(background.background)
app.command("evaluate", rich_help_panel=TRAINING)(evaluate.evaluate)

searching = typer.Typer(no_args_is_help=True)
searching.callback(invoke_without_command=True)(search.search)
searching.command("status")(study.status)
searching.command("narrow")(search.narrow)
searching.command("fork")(search.fork)
searching.command("run-stages")(search.run_stages)
searching.command("report")(study.report)
searching.command("best")(study.best)
app.add_typer(searching, name="search", rich_help_panel=TRAINING)

registry = typer.Typer(help="The models and architectures there are.", no_args_is_help=True)
registry.command("list")(models.list_models)
registry.command("show")(models.show)
registry.command("tasks")(models.tasks)
registry.command("verify")(models.verify)
registry.command("path")(models.path)
registry.command("priors")(models.priors)
registry.command("select")(models.select)
registry.command("export")(exchange.export)
imports = typer.Typer(help="Models and classifiers that others have published.", no_args_is_help=True)
imports.command("danq-keras")(exchange.import_danq_keras)
imports.command("danq-xgboost")(models.import_danq_xgboost)
imports.command("torch")(exchange.import_torch)
registry.add_typer(imports, name="import")
app.add_typer(registry, name="models", rich_help_panel="Models")
