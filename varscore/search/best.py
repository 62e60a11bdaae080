"""The best network of a search as an ordinary model: the one that was trained there, or one trained anew for longer."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from varscore.datasets.examples import ExampleSet
from varscore.errors import UsageError
from varscore.evaluate import Examined, Scores, evaluate_model, record
from varscore.search.space import arguments, recipe
from varscore.search.study import Branch, Study
from varscore.search.trials import MODEL, Trial, ranked
from varscore.storage.folders import own_name, refuse_existing_folder
from varscore.storage.whole import whole_folder
from varscore.train.run import RunOptions, train_model
from varscore.zoo.card import CARD, write_card
from varscore.zoo.models import ModelFolder, open_model


@dataclass(frozen=True)
class Place:
    """A trial and where it stands. rank: 1 is the best"""

    rank: int
    branch: Branch
    trial: Trial

    @property
    def model(self) -> Path:
        return self.branch.trial_folder(self.trial.number) / MODEL


def places(study: Study, branch: str | None = None) -> list[Place]:
    """The trials of a branch or, by default, of all, the best first."""
    branches = [study.branch(branch)] if branch else study.branches()
    found = [(each, trial) for each in branches for trial in ranked(each.trials(), study.metric)]
    found.sort(key=lambda pair: -study.metric.goodness(pair[1].metric or 0.0))
    return [Place(rank, *pair) for rank, pair in enumerate(found, 1)]


def place(study: Study, rank: int, branch: str | None = None) -> Place:
    """Raises UsageError when there are fewer."""
    found = places(study, branch)
    if rank > len(found):
        raise UsageError(f"no trial of rank {rank}", where=study.folder, cause=f"{len(found)} have come to a metric")
    return found[rank - 1]


def _facts(study: Study, chosen: Place) -> dict[str, object]:
    trial = chosen.trial
    facts = {"study": own_name(study.folder), "branch": chosen.branch.name, "trial": trial.number, "rank": chosen.rank}
    return {**facts, study.metric.name: trial.metric, "rnn_clip": "elements of the gradient, after the backward pass"}


def copy_best(study: Study, chosen: Place, folder: Path, force: bool = False) -> ModelFolder:
    """The model that the trial left, copied. Raises UsageError when it was not kept, OutputExists, OutputError."""
    if not (chosen.model / CARD).exists():
        raise UsageError(
            f"the model of trial {chosen.trial.number} was not kept",
            where=chosen.model.parent,
            remedy="train it anew (`retrain`), or keep more of them (`keep`) from the start",
        )
    model = open_model(chosen.model)
    model.verify()
    refuse_existing_folder(str(folder), CARD, force=force)
    with whole_folder(folder) as partial:
        for path in map(Path, model.files[1:]):
            shutil.copyfile(path, partial / path.name)
        write_card(partial, model.card.changed(id=own_name(folder), search=_facts(study, chosen)))
    return open_model(folder)


def retrain(
    study: Study, chosen: Place, data: ExampleSet, folder: Path, epochs: int, options: RunOptions
) -> tuple[ModelFolder, Scores]:
    """The same network and settings, trained anew for up to ``epochs``, and its measures on the test split, which is
    read here, once, and nowhere else in a search. Raises what training and evaluation raise."""
    examined = Examined(data)
    _ = examined.rows  # that there is a test split is asked before hours of training
    how = recipe(chosen.trial.drawn, epochs)
    if chosen.trial.batch_size:
        how = replace(how, batch_size=chosen.trial.batch_size)
    model = train_model("architect", data, folder, recipe=how, arguments=arguments(chosen.trial.drawn), options=options)
    write_card(folder, model.card.changed(search=_facts(study, chosen)))
    model = open_model(folder)
    scores = evaluate_model(model, examined, options.device, options.precision)
    record(model, examined, scores)
    return open_model(folder), scores
