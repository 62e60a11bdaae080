"""Stages that follow one another without asking: run, narrow, fork where the tree says so, run again."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from varscore.search.proposals import FEWEST, narrow, on_side, propose_fork
from varscore.search.reading import Trials, grow_tree, read_trials
from varscore.search.space import Space, subspace
from varscore.search.study import Branch, Study
from varscore.search.trials import Trial

log = logging.getLogger(__name__)
Runner = Callable[[Branch], list[Trial]]
"""Brings every trial of a branch to its end"""


@dataclass(frozen=True)
class Stage:
    """What became of one branch: those that came out of it, or none and why not."""

    branch: Branch
    children: tuple[Branch, ...]
    why: str


def run_stages(study: Study, first: Branch, stages: int, run: Runner) -> list[Stage]:
    """``stages`` stages from ``first`` on. Every stage narrows the space of each branch of the one before, or divides
    it in two, once in a line of branches. A branch ends where there is nothing to give up.

    What is decided follows from the trials alone: the same command goes on where it was stopped, in other processes
    too. Raises what ``run`` raises.
    """
    done: list[Stage] = []
    now = [first]
    for number in range(1, stages + 1):
        following: list[Branch] = []
        for branch in now:
            log.info("stage %d of %d: %s", number, stages, branch.name)
            trials = run(branch)
            if number < stages:
                stage = next_stage(study, branch, trials)
                log.info("%s: %s", branch.name, stage.why)
                done.append(stage)
                following += stage.children
            else:
                done.append(Stage(branch, (), "the last stage"))
        now = following
    return done


def next_stage(study: Study, branch: Branch, trials: list[Trial]) -> Stage:
    """Make the branches that follow from a branch's trials."""
    read = read_trials(trials, study.metric, branch.space)
    if len(read) < FEWEST:
        return Stage(branch, (), f"{len(read)} trials that count are too few to go on from: {FEWEST} or more")
    sides = None if _is_of_a_fork(branch.name) else propose_fork(grow_tree(read), branch.space)
    if sides is None:
        narrowed = narrow(read)
        if not narrowed.dropped:
            return Stage(branch, (), narrowed.why)
        child = study.make_branch(next_name(branch.name), narrowed.space, branch.name, narrowed.why)
        return Stage(branch, (child,), narrowed.why)
    children, whys = [], []
    for side in sides:
        space, why = _narrowed_side(read, subspace(branch.space, {side.key: side.values}))
        why = f"forked: {side.fix}" + (f"; {why}" if why else "")
        children.append(study.make_branch(f"{next_name(branch.name)}-{side.name}", space, branch.name, why))
        whys.append(why)
    return Stage(branch, tuple(children), " | ".join(whys))


def _narrowed_side(trials: Trials, space: Space) -> tuple[Space, str]:
    """Each side by its own trials, where they are enough."""
    mine = on_side(trials, space)
    if len(mine) < FEWEST:
        return space, ""
    found = narrow(mine)
    return found.space, found.why if found.dropped else ""


def _is_of_a_fork(name: str) -> bool:
    """``stage3-recurrent`` is on a side of one."""
    return re.fullmatch(r"stage\d+-.+", name) is not None


def next_name(name: str) -> str:
    """``stage4-recurrent`` after ``stage3-recurrent``, ``stage2`` after any other name."""
    found = re.fullmatch(r"stage(\d+)(-.+)?", name)
    return f"stage{int(found[1]) + 1}{found[2] or ''}" if found else "stage2"


def lines(study: Study) -> Iterator[tuple[int, Branch]]:
    """Every branch and how many are above it, parents before their children."""
    depth: dict[str, int] = {}
    for branch in study.branches():
        depth[branch.name] = depth.get(branch.parent, -1) + 1
        yield depth[branch.name], branch
