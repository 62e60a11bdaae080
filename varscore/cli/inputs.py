"""What a command is given, looked at before anything heavy is loaded: torch alone takes seconds.

``demand_...`` are called by the commands before they import what does the work, or are callbacks of options and
arguments, as ``look_at_...``, where no other of them is needed: then they come when all options have been understood.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from varscore.normalise import Given

Item = TypeVar("Item")
LOOKS = "varscore.looks"
"""Where a context keeps what is still to be looked at"""


def look_later(context: typer.Context, look: Callable[[Item], None], given: Iterable[Item]) -> None:
    """Have ``look`` called with each thing given, when all of the command line has been understood."""
    if not context.resilient_parsing:
        context.meta.setdefault(LOOKS, []).extend(partial(look, each) for each in given)


def look_first(command: Any) -> None:
    """Let a command, and those below it, look at what it was given before it does anything else."""
    run = command.invoke

    def invoke(context: typer.Context) -> object:
        for look in context.meta.pop(LOOKS, ()):
            look()
        return run(context)

    command.invoke = invoke
    for below in getattr(command, "commands", {}).values():
        look_first(below)


def _looking(look: Callable[[Any], None]) -> Callable[[typer.Context, object], object]:
    """A callback of options and arguments, given once or several times, that has ``look`` called later."""

    def callback(context: typer.Context, given: object) -> object:
        several = given if isinstance(given, list | tuple) else () if given is None else (given,)
        look_later(context, look, several)
        return given

    return callback


def demand_source(source: str) -> None:
    """Raises InputError when variants are asked of what is no file, unless they may be spelled out."""
    from varscore.formats.lookalikes import describe_name

    if source == "-" or not _is_absent(source) or not (describe_name(source) or re.search(r"[\s:>]", source)):
        demand_files(source)


def demand_reference(path: Path | None) -> None:
    """Raises FastaError for a FASTA that is not there, or does not begin like one. No index is looked for."""
    if path is None:
        return
    from varscore.genome.fasta.text import open_text

    open_text(path).close()


def demand_variants(given: Given) -> None:
    """Raises VariantFileError for a VCF or BCF whose header cannot be read. A stream can be read only once."""
    from varscore.formats.vcf import VariantReader
    from varscore.storage.atomic import is_stream

    if given.kind.value == "vcf" and not is_stream(given.path):
        with VariantReader(given.path, quiet=True):
            pass


def demand_genome(path: Path) -> None:
    """Raises FastaError for what is no FASTA. Its index is made where it is missing."""
    from varscore.genome.sequence import Genome

    with Genome(path):
        pass


def demand_model(name: str | None, tasks: Sequence[str] = (), classifiers: Sequence[str] | None = None) -> None:
    """Raises ModelError when there is no model of this name (None: the default one) or no such classifier of it, and
    UsageError for a glob of ``--tasks`` that fits none of its tasks. A damaged model is for its reader to say."""
    from varscore.zoo.shelf import classifier_folder, model_folder

    folder = model_folder(name)
    for classifier in classifiers or ():
        classifier_folder(folder, classifier)
    if tasks:
        from varscore.errors import DataError
        from varscore.tasks import choose, parse_tasks
        from varscore.zoo.card import TASKS

        with suppress(OSError, UnicodeDecodeError, DataError):
            choose(parse_tasks((folder / TASKS).read_text(encoding="utf-8")), tasks, "--tasks")


def demand_free(
    paths: Iterable[str | Path | None], force: bool, inputs: Iterable[str | Path] = (), *, folders: bool = True
) -> None:
    """Raises OutputExists for the first output that is a file already, unless ``force``. None is no output; of what a
    killed run has left its journal beside the first one decides later, and of folders whoever writes them.

    folders: whether those of the outputs have to be there. Raises UsageError for one that is also an input, which
    ``force`` would not help, or whose folder is not there.
    """
    from varscore.storage.atomic import refuse_existing
    from varscore.storage.journal import Journal
    from varscore.storage.outputs import check_names, with_indexes

    given = [str(path) for path in paths if path is not None]
    if folders:
        check_names(given, with_indexes(*map(str, inputs)))
    if given and not Journal(given[0]).path.exists():
        for path in given:
            if path == "-" or not os.path.isdir(path):
                refuse_existing(path, force=force)


def demand_kind(path: str, letter: str | None = None) -> None:
    """Raises UsageError when neither an output's suffix nor ``-O`` says how it is to be written."""
    from varscore.formats.kinds import format_of

    format_of(path, letter)


def demand_matrix(path: Path | None) -> None:
    """Raises UsageError for a name that is not one of a matrix (``--scores``)."""
    if path is not None:
        from varscore.annotate.writers.arrays import check_matrix

        check_matrix(str(path), force=True)


def demand_free_model(folder: Path, force: bool) -> None:
    """Raises OutputExists when a folder holds a model or a classifier, unless ``force``."""
    from varscore.zoo.card import CARD

    demand_free((folder / CARD,), force, folders=False)


def demand_free_folder(path: Path, force: bool) -> None:
    """Raises OutputExists when a folder to be written is there, unless ``force``."""
    from varscore.storage.folders import refuse_existing_folder

    if not force:
        refuse_existing_folder(str(path), "", force=False)


def demand_files(*paths: str | Path | None) -> None:
    """Raises InputError for the first that is not there, is a folder, or is empty. None and ``-`` are no files."""
    from varscore.errors import InputError

    demand_paths(*paths)
    for path in paths:
        if path is None or str(path) == "-":
            continue
        with suppress(OSError):
            about = os.stat(path)
            if stat.S_ISDIR(about.st_mode):
                raise InputError("cannot read", where=path, cause="it is a folder, where a file is expected")
            if stat.S_ISREG(about.st_mode) and not about.st_size:
                raise InputError("the file is empty", where=path, remedy="check the command that made it")


def demand_paths(*paths: str | Path | None) -> None:
    """Raises InputError for the first that is not there. None and ``-`` are no files."""
    from varscore.errors import InputError
    from varscore.formats.lookalikes import describe_name

    for path in paths:
        if path is not None and str(path) != "-" and _is_absent(path):
            cause, remedy = describe_name(str(path)) or (None, "check the path")
            raise InputError("there is no such file", where=path, cause=cause, remedy=remedy)


def demand_folders(path: str | Path) -> None:
    """Raises InputError when it is not there, or is a file."""
    from varscore.errors import InputError

    demand_paths(path)
    if not os.path.isdir(path):
        raise InputError("cannot read", where=path, cause="it is a file, where a folder is expected")


def demand_old_matrix(path: str | Path) -> None:
    """For a matrix of scores: raises InputError as of files, but that one of zarr is a folder."""
    (demand_folders if str(path).endswith(".zarr") else demand_files)(path)


def demand_data(folder: Path) -> None:
    """Raises DataError for what is no data set."""
    from varscore.datasets.examples import read_info

    read_info(folder)


def demand_sets(folder: Path) -> None:
    """Raises DataError for what is neither a data set nor a folder of them."""
    from varscore.datasets.examples import set_folders

    set_folders(folder)


def demand_target(folder: Path) -> None:
    """Raises OutputExists when a folder to be written, or gone on with, is a file."""
    from varscore.errors import OutputExists

    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputExists("the output is a folder, and this is a file", where=folder, remedy="choose another name")


def _is_absent(path: str | Path) -> bool:
    """Whether nothing is there. What is there and cannot be read is for its reader to say."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


look_at_files = _looking(demand_files)
look_at_paths = _looking(demand_paths)
look_at_folders = _looking(demand_folders)
look_at_matrices = _looking(demand_old_matrix)
look_at_references = _looking(demand_reference)
look_at_models = _looking(demand_model)
look_at_data = _looking(demand_data)
look_at_sets = _looking(demand_sets)
look_at_target = _looking(demand_target)
