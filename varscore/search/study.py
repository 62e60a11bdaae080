"""The folder of a search.

    study.toml                            the data, and what is the same for every trial
    branches/NAME/space.toml              what trials of the branch are drawn from
    branches/NAME/branch.toml             the branch it came from, and why
    branches/NAME/trials/00042/           a trial: ``trial.json`` when it has ended, ``model/`` of the best
    optuna.journal                        all of it as Optuna studies, written by ``search status`` and ``report``

No database: a folder that appears is a claim, a file that is renamed is a result.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli_w

from varscore.datasets.examples import ExampleSet
from varscore.errors import DataError, OutputExists, UsageError
from varscore.search.marker import STUDY, demand_study
from varscore.search.space import Point, Space, draws, read_space, space_text
from varscore.search.trials import METRICS, TRIAL, USUAL, Metric, Trial, read_trial
from varscore.storage.atomic import output_errors
from varscore.storage.bounded import read_text
from varscore.storage.whole import put_file

SPACE, BRANCH, TRIALS, BRANCHES = "space.toml", "branch.toml", "trials", "branches"
FORMAT = 1
MAIN = "main"


@dataclass(frozen=True)
class Settings:
    """What all trials of a study have in common. data: where the data set lay last;
    time_per_trial: in seconds."""

    data: str
    data_sha256: str
    kind: str
    metric: str
    seed: int = 0
    epochs: int = 12
    time_per_trial: float = 1800.0
    max_parameters: int = 5_000_000
    sampler: str = "random"
    halving: bool = False
    precision: str = "fp32"

    def __post_init__(self) -> None:
        """Raises UsageError when the metric is none of such data."""
        fits = {"auroc": ("labels", "classes"), "auprc": ("labels", "classes"), "r": ("values",)}
        if self.metric not in METRICS or self.kind not in fits.get(self.metric, (self.kind,)):
            raise UsageError(
                f"metric {self.metric!r} of {self.kind}", remedy=f"`metric={USUAL.get(self.kind, 'loss')}`, or loss"
            )


@dataclass(frozen=True)
class Branch:
    """A part of a study with its own space. parent: the branch it came from, empty for a first one."""

    folder: Path
    space: Space
    parent: str = ""
    why: str = ""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def trials_folder(self) -> Path:
        return self.folder / TRIALS

    def trial_folder(self, number: int) -> Path:
        return self.trials_folder / f"{number:05}"

    def claimed(self) -> list[int]:
        """Numbers of the trials that somebody has begun."""
        if not self.trials_folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.trials_folder.iterdir() if re.fullmatch(r"\d{5,}", path.name))

    @property
    def begun(self) -> int:
        """How many trials there are, whether they have ended or not, up to the last that somebody has begun."""
        return max(self.claimed(), default=-1) + 1

    def ended(self) -> list[Path]:
        """The files of the trials that have ended."""
        return sorted(self.trials_folder.glob(f"*/{TRIAL}"))

    def trials(self) -> list[Trial]:
        """Those that have ended, in order. Raises DataError when one is damaged."""
        found = (read_trial(self.trial_folder(number)) for number in self.claimed())
        return [trial for trial in found if trial is not None]

    def points(self, seed: int) -> Iterator[Point]:
        """What trials 0, 1, 2, ... are when they are drawn."""
        return draws(self.space, seed, self.name)


@dataclass(frozen=True)
class Study:
    folder: Path
    settings: Settings

    @property
    def metric(self) -> Metric:
        return METRICS[self.settings.metric]

    @cached_property
    def _branches(self) -> Path:
        return self.folder / BRANCHES

    def ended(self) -> list[Path]:
        """The files of the trials of all branches that have ended."""
        return sorted(self._branches.glob(f"*/{TRIALS}/*/{TRIAL}"))

    def branches(self) -> list[Branch]:
        """Parents before their children, else by name."""
        found = [_read_branch(path.parent) for path in sorted(self._branches.glob(f"[!.]*/{SPACE}"))]
        by_parent: dict[str, list[Branch]] = {}
        names = {branch.name for branch in found}
        for branch in found:
            by_parent.setdefault(branch.parent if branch.parent in names else "", []).append(branch)
        return list(_downwards("", by_parent))

    def branch(self, name: str) -> Branch:
        """Raises UsageError when there is none of that name."""
        there = {branch.name: branch for branch in self.branches()}
        if name not in there:
            raise UsageError(
                f"the study has no branch {name!r}",
                where=self.folder,
                remedy=f"it has {', '.join(there) or 'none yet'}; `varscore search fork` makes another",
            )
        return there[name]

    def make_branch(self, name: str, space: Space, parent: str = "", why: str = "") -> Branch:
        """A new branch, or the one that is there when it is the same. Raises UsageError, OutputExists, OutputError."""
        demand_name(name)
        folder = self._branches / name
        if not (folder / SPACE).exists():
            self._place(folder, {BRANCH: tomli_w.dumps({"parent": parent, "why": why}), SPACE: space_text(space)})
        there = _read_branch(folder)
        if there.space != space:
            raise OutputExists("a branch of this name has another space", where=folder, remedy="choose another name")
        return there

    def _place(self, folder: Path, files: dict[str, str]) -> None:
        """Make a branch's folder whole; where another process has just done so, its folder stays."""
        partial = self._branches / f".{folder.name}.{secrets.token_hex(4)}"
        with output_errors(str(folder)):
            (partial / TRIALS).mkdir(parents=True)
            for name, text in files.items():
                put_file(partial / name, text)
            try:
                os.rename(partial, folder)
            except OSError:
                shutil.rmtree(partial, ignore_errors=True)
                if not (folder / SPACE).exists():
                    raise


def demand_name(name: str) -> None:
    """Raises UsageError for what cannot be the name of a branch."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name, re.ASCII):
        raise UsageError(f"{name!r} cannot be the name of a branch", remedy="letters, digits, . _ -")


def _downwards(name: str, by_parent: dict[str, list[Branch]]) -> Iterator[Branch]:
    for branch in by_parent.pop(name, []):
        yield branch
        yield from _downwards(branch.name, by_parent)


def _read_branch(folder: Path) -> Branch:
    about = _read_toml(folder / BRANCH)
    return Branch(folder, read_space(folder / SPACE), str(about.get("parent", "")), str(about.get("why", "")))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path, DataError))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError("damaged study", where=path, cause=str(error)) from None


_TYPES: dict[object, type | tuple[type, ...]] = {"str": str, "int": int, "float": (float, int), "bool": bool}


def open_study(folder: Path) -> Study:
    """Raises DataError when there is none, or one that this varscore cannot read."""
    demand_study(folder)
    path = folder / STUDY
    facts = _read_toml(path)
    try:
        written = facts.pop("format")
        if written != FORMAT:
            raise DataError(
                "a study of another format",
                where=path,
                cause=f"it is {written}, this varscore reads {FORMAT}",
                remedy="go on with the varscore that began it, or begin another",
            )
        settings = Settings(**facts)
    except KeyError as error:
        raise DataError("damaged study", where=path, cause=f"it has no {error}") from None
    except (TypeError, UsageError) as error:
        raise DataError("damaged study, or one of another varscore", where=path, cause=str(error)) from None
    for each in fields(Settings):
        if not isinstance(value := getattr(settings, each.name), _TYPES[each.type]):
            raise DataError("damaged study", where=path, cause=f"{each.name} = {value!r}")
    return Study(folder, settings)


def begin_study(folder: Path, settings: Settings) -> Study:
    """A study with these settings, new or the one that is there. Raises UsageError when that has others, OutputExists
    when the folder holds something else."""
    if folder.exists() and not folder.is_dir():
        raise OutputExists("the search wants a folder, and this is a file", where=folder)
    with output_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if there and STUDY not in there:
        raise OutputExists(
            "the folder holds something else",
            where=folder,
            cause=f"it has {min(there)}, and no {STUDY}",
            remedy="another folder for the search",
        )
    if not there:
        put_file(folder / STUDY, tomli_w.dumps({"format": FORMAT, **asdict(settings)}))
    study = open_study(folder)
    names = [field.name for field in fields(Settings) if field.name != "data"]
    different = [name for name in names if getattr(study.settings, name) != getattr(settings, name)]
    if different:
        name = different[0]
        raise UsageError(
            f"the study has another {'data set' if name == 'data_sha256' else name.replace('_', ' ')}",
            where=folder / STUDY,
            cause=f"there {getattr(study.settings, name)}, here {getattr(settings, name)}",
            remedy="another folder for another search",
        )
    return study


def open_data(folder: Path | str) -> ExampleSet:
    """The data set of a search. Raises DataError when it has nothing to train or to validate with."""
    data = ExampleSet(folder)
    for split in ("train", "validation"):
        if not len(data.rows(split)):
            raise DataError(
                f"a data set without a {split} split",
                where=data.folder,
                remedy="a search compares networks on the validation split: make the data set with one",
            )
    return data


def data_of(study: Study, folder: Path | None = None) -> ExampleSet:
    """The study's data set, where it lay or in ``folder``. Raises DataError when it is gone, or another one."""
    data = open_data(folder or study.settings.data)
    if data.sha256 != study.settings.data_sha256:
        raise DataError("not the data set of the study", where=data.folder, cause=f"the study is {study.folder}")
    return data
