"""``varscore train-snp``: a classifier of functional variants from your own."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from varscore.cli.genome import Fitting
from varscore.cli.groups import grouped
from varscore.cli.inputs import demand_free_model, demand_genome, look_at_files, look_at_models
from varscore.cli.options import (
    Computing,
    Force,
    Model,
    OutputDir,
    Reference,
    Seed,
    parse_names,
)
from varscore.cli.stored import EffectsCache
from varscore.cli.tables import print_table
from varscore.cli.tracks import Conservation, parse_tracks

if TYPE_CHECKING:
    from varscore.functional.flow import Outcome, SnpJob
    from varscore.functional.selection import Sources
    from varscore.functional.trees import Settings
    from varscore.scoring.survey import GenomeRules

NEGATIVES, TREES, TESTING = "Negatives", "Trees (the defaults are DanQ's)", "Testing"


def _option(panel: str, help: str, *names: str, **more: Any) -> object:
    return typer.Option(*names, help=help, rich_help_panel=panel, **more)


@dataclass(frozen=True)
class Choosing:
    """Options that say what the other class is."""

    negatives: Annotated[
        list[str] | None,
        _option(
            NEGATIVES,
            "Variants of the other class: all, or as many as match; repeatable.",
            metavar="FILE",
            callback=look_at_files,
        ),
    ] = None
    negatives_from: Annotated[
        list[str] | None,
        _option(
            NEGATIVES,
            "Variants to draw negatives from; repeatable.",
            metavar="FILE",
            callback=look_at_files,
        ),
    ] = None
    distance: Annotated[
        str,
        _option(
            NEGATIVES,
            "Groups to draw: bp to the nearest positive (half to one and a half times that), or random.",
            metavar="BP,..|random",
        ),
    ] = "random"
    ratio: Annotated[float, _option(NEGATIVES, "Negatives for each positive, when drawn or matched.", metavar="N")] = (
        1.0
    )
    match_af: Annotated[
        bool, _option(NEGATIVES, "As many negatives of each class of allele frequency as positives.", "--match-af")
    ] = False
    match_tss: Annotated[
        str | None,
        _option(
            NEGATIVES,
            "The same for chromosome and distance to the nearest of these TSS (BED, or a table with chrom, pos).",
            metavar="FILE",
            callback=look_at_files,
        ),
    ] = None
    match_context: Annotated[
        bool,
        _option(
            NEGATIVES,
            "The same for the two alleles and the bases on both sides of them, or the length of an indel: some mutate "
            "more often, which is no function.",
            "--match-context",
        ),
    ] = False
    min_af: Annotated[
        float, _option(NEGATIVES, "No negatives whose INFO/AF says they are rarer.", min=0, max=1, metavar="AF")
    ] = 0.0
    restrict: Annotated[
        str | None,
        typer.Option(
            metavar="BED",
            help="Only variants, of both classes, in these regions.",
            callback=look_at_files,
        ),
    ] = None

    def sources(self, positives: list[str], rules: GenomeRules) -> Sources:
        """Where variants come from. Raises BadParameter when options do not go together."""
        from varscore.functional.selection import Sources

        distances = parse_distances(self.distance)
        matched = self.match_af or self.match_context or self.match_tss is not None
        if not self.negatives and not self.negatives_from:
            raise typer.BadParameter("there are no negatives: give --negatives or --negatives-from")
        if not 0 < self.ratio < math.inf:
            raise typer.BadParameter("--ratio must be above 0")
        if not self.negatives_from and distances != (None,):
            raise typer.BadParameter("--distance is for negatives that are drawn: give --negatives-from")
        if not self.negatives_from and not matched and self.ratio != 1:
            raise typer.BadParameter(
                "--ratio is for negatives that are drawn or matched: give --negatives-from or --match-*"
            )
        return Sources(
            positives=tuple(positives),
            negatives=tuple(self.negatives or ()),
            pool=tuple(self.negatives_from or ()),
            distances=distances,
            ratio=self.ratio,
            match_frequency=self.match_af,
            match_context=self.match_context,
            tss=self.match_tss,
            restrict=self.restrict,
            least_frequency=self.min_af,
            rules=rules,
        )


@dataclass(frozen=True)
class Trees:
    """Options of the classifier itself."""

    trees: Annotated[int, _option(TREES, "Number of trees.", min=1, metavar="N")] = 300
    depth: Annotated[int, _option(TREES, "Largest depth of a tree.", min=1, max=16, metavar="N")] = 6
    eta: Annotated[float, _option(TREES, "Learning rate.", min=0, max=1, metavar="RATE")] = 0.05
    max_delta_step: Annotated[float, _option(TREES, "Largest step of a leaf.", min=0, metavar="STEP")] = 1.0
    max_bin: Annotated[
        int, _option(TREES, "Values a feature may be split at; fewer are quicker.", min=2, metavar="N")
    ] = 256

    def settings(self, seed: int, threads: int) -> Settings:
        from varscore.functional.trees import Settings

        return Settings(self.trees, self.depth, self.eta, self.max_delta_step, self.max_bin, seed, threads)


@dataclass(frozen=True)
class Testing:
    """Options of the cross-validation."""

    folds: Annotated[int, _option(TESTING, "Folds of the cross-validation.", min=2, metavar="N")] = 10
    group_by: Annotated[Literal["locus", "chrom", "none"], _option(TESTING, "What is kept together in one fold.")] = (
        "locus"
    )
    locus: Annotated[
        int, _option(TESTING, "Variants no farther apart are one locus (chained).", min=0, metavar="BP")
    ] = 10_000
    hold_out: Annotated[
        str, _option(TESTING, "Chromosomes that are not trained on, only tested on.", metavar="CHR,..")
    ] = ""
    baseline_model: Annotated[
        str | None,
        _option(
            TESTING,
            "Another model, whose features are tested in the same folds.",
            metavar="ID|DIR",
            callback=look_at_models,
        ),
    ] = None


Positives = Annotated[
    list[str],
    typer.Option(
        metavar="FILE",
        help="Functional variants: VCF, BCF or a table with chrom, pos, ref, alt; repeatable.",
        callback=look_at_files,
    ),
]
About = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.toml",
        help="What else the card is to say: what the classes are, limits, licence.",
        callback=look_at_files,
    ),
]


@grouped
def train_snp(
    positives: Positives,
    output: OutputDir,
    choosing: Choosing,
    fitting: Fitting,
    trees: Trees,
    testing: Testing,
    reference: Reference = None,
    model: Model = None,
    conservation: Conservation = None,
    about: About = None,
    seed: Seed = 0,
    *,
    computing: Computing,
    cache: EffectsCache = None,
    force: Force = False,
) -> None:
    """Train a classifier of functional variants on a model's effects, cross-validate it, and write its folder.

    `varscore annotate -c DIR` then gives every variant a probability.
    """
    demand_free_model(output, force)

    from varscore.cli.config import find_reference

    sources, path = choosing.sources(positives, fitting.rules()), find_reference(reference, "-")
    said = read_about(about) if about else {}
    demand_genome(path)

    from varscore.cli.train import command_line
    from varscore.cpus import available_cpus
    from varscore.functional.flow import SnpJob
    from varscore.scoring.features import Tracks
    from varscore.zoo.models import find_model

    job = SnpJob(
        output=output,
        sources=sources,
        reference=path,
        model=find_model(model),
        tracks=Tracks.open(parse_tracks(conservation)),
        settings=trees.settings(seed, computing.threads or available_cpus()),
        compute=computing.compute(),
        group_by=testing.group_by,
        locus=testing.locus,
        folds=testing.folds,
        hold_out=parse_names(testing.hold_out),
        baseline=find_model(testing.baseline_model) if testing.baseline_model else None,
        about=said,
        command=command_line(sys.argv[1:]),
        cache=cache,
        force=force,
    )
    for each in filter(None, (job.model, job.baseline)):
        each.warn_of_interim()
    _train(job)


def _train(job: SnpJob) -> None:
    from varscore.cli import log
    from varscore.functional.flow import train_classifier
    from varscore.functional.report import write_report

    with log.progress(None, "variants") as meter:
        outcome = train_classifier(job, meter.advance)
    write_report(outcome, job.model.tasks())
    _print(outcome)


def parse_distances(text: str) -> tuple[int | None, ...]:
    """``360,710,random`` as numbers, None for random. Raises BadParameter."""
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"[1-9]\d{0,8}|random", word) for word in words) or len(set(words)) < len(words):
        raise typer.BadParameter(f"--distance {text!r} is not a list of bp, or random, each once")
    return tuple(None if word == "random" else int(word) for word in words)


def read_about(path: Path) -> dict[str, Any]:
    """The entries of a TOML file. Raises DataError."""
    import tomllib

    from varscore.errors import DataError, reason
    from varscore.storage.bounded import read_text

    try:
        return tomllib.loads(read_text(path, DataError))
    except OSError as error:
        raise DataError("cannot read --about", where=path, cause=reason(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError("--about is no TOML file", where=path, cause=str(error)) from None


def _print(outcome: Outcome) -> None:
    from varscore.scoring.classifier import CONSTANT_BRIER
    from varscore.scoring.tags import tag

    rows = [
        [name, group, model, f"{found.positives:,}", f"{found.negatives:,}", str(found.auroc), str(found.auprc)]
        for (name, group, model), found in outcome.tested.measures.items()
    ]
    columns = ["set", "negatives", "model", "n positive", "n negative", "AUROC (95 %)", "AUPRC (95 %)"]
    print_table(columns, rows, right=columns[3:])
    for (name, group), difference in outcome.tested.differences.items():
        typer.echo(f"AUROC above the baseline, {name}, {group}: {difference}")
    calibration, card = outcome.tested.calibration, outcome.classifier.card
    brier = f"Brier {calibration.brier.text(4)}, {CONSTANT_BRIER} by a constant"
    typer.echo(f"calibration, classes weighing the same: {brier}; error {calibration.ece:.4f}")
    state = "on" if card["on_by_default"] else f"not on by default: {card['off_because']}"
    typer.echo(f"{outcome.classifier.path}: {tag(outcome.classifier.column)}, {state}")
