"""What a search is begun with: its options, and the study that they make or go on with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from varscore.cli.inputs import look_at_files
from varscore.cli.study import only_branch

if TYPE_CHECKING:
    from varscore.datasets.examples import ExampleSet
    from varscore.search.space import Space
    from varscore.search.study import Branch, Settings, Study

PANEL = "Of a new study; of one that is there they must be the same, or left out"


def _option(help: str, *names: str, **more: Any) -> object:
    return typer.Option(*names, help=help, rich_help_panel=PANEL, show_default=False, **more)


@dataclass(frozen=True)
class NewStudy:
    """What all trials of a study have in common; a group (:mod:`varscore.cli.groups`). None: as it is usually, or as
    the study that is there has it."""

    space: Annotated[
        Path | None,
        _option(
            "What to draw from: a line a key; by default all of Table 2.", metavar="SPACE.toml", callback=look_at_files
        ),
    ] = None
    sampler: Annotated[
        Literal["random", "tpe"] | None,
        _option("random (the default): trial n follows from seed, branch and n. tpe: Optuna's, of those before."),
    ] = None
    metric: Annotated[
        Literal["auroc", "auprc", "r", "loss"] | None,
        _option("What trials are compared by, of the validation split; by default auroc, of values r."),
    ] = None
    epochs: Annotated[int | None, _option("Passes over the data, at most; by default 12.", min=1, metavar="N")] = None
    time_per_trial: Annotated[
        str | None, _option("End a trial after this time, such as 90s, 30m (the default) or 2h.", metavar="TIME")
    ] = None
    max_parameters: Annotated[
        int | None, _option("Do not try larger networks; by default 5,000,000.", min=1, metavar="N")
    ] = None
    halving: Annotated[
        bool | None,
        _option("End trials that are below the median after 2 and 5 epochs.", "--halving/--no-halving"),
    ] = None
    seed: Annotated[int | None, _option("Seed of everything random; by default 0.", min=0, metavar="N")] = None
    precision: Annotated[
        Literal["fp32", "tf32", "bf16", "fp16"] | None,
        _option("Arithmetic of the networks; by default fp32. Anything else is faster on a GPU, and not as exact."),
    ] = None

    def begin(self, folder: Path, data: Path | None, branch: str | None) -> tuple[Study, Branch, ExampleSet]:
        """The study in a folder and a branch of it, both new or those that are there, and the data set.

        What is wrong is found before anything is written. Raises UsageError, DataError, OutputError, OutputExists.
        """
        from varscore.errors import UsageError
        from varscore.search.marker import STUDY
        from varscore.search.sampler import demand_optuna
        from varscore.search.space import WHOLE, read_space
        from varscore.search.study import MAIN, begin_study, demand_name, open_data, open_study

        before = open_study(folder) if (folder / STUDY).exists() else None
        if data is None and before is None:
            raise UsageError("a new search wants a data set", remedy="varscore search --data DATA -o STUDY")
        examples = open_data(data or (before.settings.data if before else ""))
        settings = self._settings(examples, before.settings if before else None)
        if settings.sampler == "tpe":
            demand_optuna()
        space = None if self.space is None else read_space(self.space)
        if before is None or not before.branches():
            demand_name(branch or MAIN)
            study = begin_study(folder, settings)
            return study, study.make_branch(branch or MAIN, WHOLE if space is None else space), examples
        study = begin_study(folder, settings)
        return study, _same_branch(study, branch, space), examples

    def _settings(self, data: ExampleSet, before: Settings | None) -> Settings:
        """Those of the study that is there, or of a new one, with what the command line says."""
        import dataclasses

        from varscore.search.study import Settings
        from varscore.search.trials import USUAL

        usual = before or Settings(str(data.folder.absolute()), data.sha256, data.kind, self.metric or USUAL[data.kind])
        given = {**vars(self), "time_per_trial": self.time_per_trial and parse_time(self.time_per_trial)}
        said = {name: value for name, value in given.items() if value is not None and name != "space"}
        return dataclasses.replace(usual, data_sha256=data.sha256, kind=data.kind, **said)


def _same_branch(study: Study, name: str | None, space: Space | None) -> Branch:
    """One that is there. Raises OutputExists when it has another space."""
    chosen = only_branch(study, name)
    return chosen if space is None else study.make_branch(chosen.name, space, chosen.parent, chosen.why)


def parse_time(text: str) -> float:
    """``90s``, ``30m``, ``2h`` as seconds. Raises UsageError."""
    from varscore.errors import UsageError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not found or float(found[1]) <= 0:
        raise UsageError(f"--time-per-trial {text} is no time", remedy="such as 90s, 30m or 2h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]
